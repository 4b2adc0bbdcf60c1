//! The report on rejected lines.

use super::{Site, assert_no_number, texts};
use std::fmt::Write as _;

/// Returns a file with many lines that are rejected for three reasons.
fn many_rejections() -> String {
    let mut text = String::from("from,to,at,agent,status\n");
    for line in 0..3000 {
        let status = format!("word-{line}");
        writeln!(text, "+15550100100,+447700900001,2025-07-01T12:00:00Z,sales,{status}").expect("a string takes all");
    }
    text += "+15550100100,+447700900001,never,sales,busy\n";
    text += "+15550100100,+447700900001,2025-07-01T12:00:00Z,,busy\n";
    text
}

#[test]
fn many_rejections_are_counted_by_reason() {
    let site = Site::configured();
    let file = site.file(many_rejections());
    let done = site.import(&file, &["--environment", "tenant"]);
    assert_eq!((done.code, done.count("rejected")), (Some(3), 3002));
    assert_eq!(done.rejected.len(), 22, "twenty lines of one reason, and one line of each other");
    let reasons = done.summary["reasons"].as_array().expect("a list");
    let counts: Vec<_> = reasons.iter().map(|row| (row["count"].as_u64(), row["first_line"].as_u64())).collect();
    assert_eq!(counts, [(Some(3000), Some(2)), (Some(1), Some(3002)), (Some(1), Some(3003))]);
    assert_eq!(reasons[0]["reason"], "`status`: \"…\" is not a known status: see `dialback import --help`");

    let all = site.import(&file, &["--environment", "tenant", "--show-rejected", "5000"]);
    assert_eq!(all.rejected.len(), 3002);
}

#[test]
fn summary_for_people_has_the_reasons() {
    let site = Site::configured();
    let file = site.file(many_rejections());
    let output = site
        .command(&file, &["--environment", "tenant", "--show-rejected", "1", "--no-progress"])
        .output()
        .expect("runs");
    let (out, err) = texts(&output);
    assert!(out.contains("\nrejected lines by reason\n      3,000  `status`: \"…\" is not a known status"), "{out}");
    assert!(out.contains("          1  `agent`: the agent is missing (first: line 3003)"), "{out}");
    assert_eq!(err.lines().count(), 3, "{err}");
    assert_no_number(&out);
    assert_no_number(&err);
}
