//! Measures a fleet over NATS and the bare client in one run.
//!
//! `cargo bench --bench fleet --features daemon -- [--only throughput|latency|joining] [--rounds R] [--messages N] [--calls N]
//! [--pairs N]`, and `[--server open|tls] [--key none|signs|encrypts] [--events 1|100|500]` of throughput
//!
//! Each part has its own server on loopback. Rounds are interleaved, and figures are medians. On a machine with other
//! load only the ratios are meaningful.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people"
)]
#![allow(dead_code, reason = "what is shared with others, who use more of it")]

mod access;
#[path = "../figures/args.rs"]
mod args;
mod bare;
#[path = "../../examples/support/filled.rs"]
mod filled;
mod joining;
mod latency;
mod meter;
mod throughput;
#[path = "../../tests/support"]
mod support {
    pub(crate) mod certificates;
    pub(crate) mod daemon;
    pub(crate) mod nats;
    pub(crate) mod ports;
}

use args::Args;
use std::time::Duration;

fn main() {
    let args = Args::of_the_program();
    let wants = |part: &str| args.text("--only").is_none_or(|only| only == part);
    let rounds = args.value("--rounds").unwrap_or(if args.measuring() { 5 } else { 1 });
    let small = |name: &str, measured: u64, tested: u64| {
        args.count(name).unwrap_or(if args.measuring() { measured } else { tested })
    };
    if wants("throughput") {
        throughput::run(&args, rounds, small("--messages", 200_000, 2_000));
    }
    if wants("latency") {
        latency::run(small("--calls", 1_000, 20));
    }
    if wants("joining") {
        joining::run(rounds, small("--pairs", 1_000_000, 10_000));
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Returns whether a figure meets its bar.
fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "NOT REACHED" }
}
