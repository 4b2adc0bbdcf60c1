//! The tools around the measurements: figures as records, percentiles that separate the system's share, the bars, the
//! plot, and the runs that combine them. The contenders are in `history_table.rs`.

#![allow(
    dead_code,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::format_push_string,
    clippy::inline_always,
    clippy::type_complexity,
    reason = "shared by several programs; figures for people, from counts that are far below 2^52"
)]

pub(crate) mod args;
pub(crate) mod checks;
pub(crate) mod memory;
pub(crate) mod plot;
pub(crate) mod records;
pub(crate) mod stalls;
pub(crate) mod sweep;
pub(crate) mod table;
pub(crate) mod threads;
pub(crate) mod tracked;

/// Mixes the bits of a number.
pub(crate) fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let x = (x ^ x >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    x ^ x >> 32
}

/// Returns the median.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
