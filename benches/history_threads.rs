//! Figures of the history that need several threads or crafted pairs, as ratios within one run.
//!
//! `cargo bench --bench history_threads -- [--pairs N] [--ops N]` measures two reading threads against one, a
//! reader's percentiles without and with a writer at full speed, and crafted pairs against random ones.
//! `history_table -- --sweep` includes these figures, and also inserts during growth.

mod figures;

use figures::args::{Args, grouped};
use figures::records::Records;
use figures::{checks, table, threads};

fn main() {
    let args = Args::of_the_program();
    let measuring = args.measuring();
    let pairs = args.count("--pairs").unwrap_or(if measuring { 10_000_000 } else { 10_000 });
    let ops = args.count("--ops").unwrap_or(if measuring { 1 << 19 } else { 1 << 10 });
    println!("{} pairs", grouped(pairs));
    let mut records = Records::default();
    threads::measure(&mut records, 1, pairs, ops);
    println!("\n{}\n{}", table::of_threads(&records, pairs), checks::tell(&records));
}
