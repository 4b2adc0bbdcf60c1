//! Formats figures as Markdown tables.

use super::args::grouped;
use super::checks::short;
use super::records::Records;

/// A column: its heading, its figure, and the divisor.
type Column = (&'static str, &'static str, f64);

const COLUMNS: &[Column] = &[
    ("dependent", "dependent", 1.0),
    ("independent", "independent", 1.0),
    ("miss", "miss", 1.0),
    ("batch of 32", "batch32", 1.0),
    ("upsert", "upsert", 1.0),
    ("fill", "fill", 1.0),
    ("bytes a pair", "bytes", 1.0),
    ("least", "bytes least", 1.0),
    ("most", "bytes most", 1.0),
    ("insert p50, ns", "insert p50", 1.0),
    ("p99, ns", "insert p99", 1.0),
    ("p99.9, µs", "insert p99.9", 1e3),
    ("max, ms", "insert max", 1e6),
    ("max not preempted, ms", "insert max not preempted", 1e6),
    ("page faults", "insert page faults", 1.0),
    ("nor faulting, ms", "insert max not preempted nor faulting", 1e6),
];

/// Returns the table of the contenders at this size. A contender in several runs is shown from the first.
pub(crate) fn of(records: &Records, pairs: u64) -> String {
    let mut text = format!("| {} pairs |", grouped(pairs));
    for (head, ..) in COLUMNS {
        text += &format!(" {head} |");
    }
    text += &format!("\n| --- |{}\n", " --- |".repeat(COLUMNS.len()));
    let mut names = records.contenders("dependent");
    names.extend(records.contenders("insert max").into_iter().filter(|name| *name == "clock"));
    for name in names {
        let cells: Vec<_> = COLUMNS
            .iter()
            .map(|(_, figure, unit)| records.first(pairs, name, figure).map_or(String::new(), |v| short(v / unit)))
            .collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            text += &format!("| {name} | {} |\n", cells.join(" | "));
        }
    }
    text
}

/// Returns the figures that need several threads, at this size. Empty if they were not measured.
pub(crate) fn of_threads(records: &Records, pairs: u64) -> String {
    let mut text = String::new();
    for (head, figure) in [("no writer", "read"), ("a writer at full speed", "read beside a writer")] {
        let value = |name: &str| records.first(pairs, "ours", &format!("{figure} {name}"));
        let [Some(p50), Some(p99), Some(p999), Some(max)] = ["p50", "p99", "p99.9", "max"].map(value) else { continue };
        text += &format!("| {head} | {p50:.0} | {p99:.0} | {p999:.0} | {max:.0} |\n");
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "| a read and the clock, {} pairs | p50, ns | p99, ns | p99.9, ns | max, ns |\n| --- | --- | --- | --- | --- |\n{text}",
        grouped(pairs)
    )
}

/// Returns the figures of two builds and their ratio. The builds were not interleaved, so `of lines` is the ratio of
/// each to the random lines of its own run.
pub(crate) fn beside(one: (&str, &Records), other: (&str, &Records)) -> String {
    let figures = ["dependent", "independent", "miss", "batch32", "upsert"];
    let mut text = format!(
        "| pairs | contender | figure | {0}, ns | {1}, ns | {0}, of lines | {1}, of lines |\n| --- | --- | --- | --- | --- | --- | --- |\n",
        one.0, other.0
    );
    for pairs in one.1.sizes() {
        for name in one.1.contenders("dependent") {
            for figure in figures {
                let (Some(a), Some(b)) = (one.1.first(pairs, name, figure), other.1.first(pairs, name, figure)) else {
                    continue;
                };
                let of_lines = |records: &Records| {
                    records.ratio(pairs, (name, figure), ("lines", figure)).map_or(String::new(), short)
                };
                text += &format!(
                    "| {} | {name} | {figure} | {} | {} | {} | {} |\n",
                    grouped(pairs),
                    short(a),
                    short(b),
                    of_lines(one.1),
                    of_lines(other.1)
                );
            }
        }
    }
    text
}
