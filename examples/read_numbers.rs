//! Reads numbers for the comparison with Python's `phonenumbers` (`scripts/numbers`).
//!
//! Each line of standard input has a region, a tab, and a text. Each line of the output has the number in its `+` form,
//! or `-` if the text is no number. With `--possible`, the output says whether the number may be stored.

use dialback::{DialPlan, E164};
use std::collections::HashMap;
use std::io::{BufRead, BufWriter, Write, stdin, stdout};

fn main() -> std::io::Result<()> {
    let asks_possible = std::env::args().any(|argument| argument == "--possible");
    let mut plans = HashMap::new();
    let mut out = BufWriter::new(stdout().lock());
    for line in stdin().lock().lines() {
        let line = line?;
        let (region, text) = line.split_once('\t').expect("a region, a tab and a text");
        let plan = plans
            .entry(region.to_owned())
            .or_insert_with(|| DialPlan::of_region(region).expect("a region of the metadata"));
        match E164::parse(text, plan) {
            Ok(number) if asks_possible => writeln!(out, "{}", plan.check(number).is_ok())?,
            Ok(number) => writeln!(out, "{}", &*number.to_plus_form())?,
            Err(_) => writeln!(out, "-")?,
        }
    }
    out.flush()
}
