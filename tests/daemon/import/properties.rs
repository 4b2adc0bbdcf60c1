//! Properties of imports of random files.

use super::running::reported;
use super::{Done, Site};
use crate::support::daemon::Daemon;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

/// A value of each column: right ones, wrong ones, and such that shift the columns or open a quote.
fn record() -> impl Strategy<Value = String> {
    let from = prop::sample::select(vec!["+15550100100", "+15550100101", "+15550100177", "201", "", "(555) 010-0100"]);
    let to = prop::sample::select(vec!["+447700900001", "+447700900002", "x", "+4477009000030000", "anonymous"]);
    let at = prop::sample::select(vec!["2025-07-01T12:00:00Z", "1751371200", "2025-07-01 12:00:00", "never", ""]);
    let agent = prop::sample::select(vec!["sales", "new", "desk", "twin", "\"a, b\"", "\"open", "\"a\nb\"", ""]);
    let status = prop::sample::select(vec!["busy", "completed", "perhaps", "", "x,y"]);
    (from, to, at, agent, status)
        .prop_map(|(from, to, at, agent, status)| format!("{from},{to},{at},{agent},{status}\n"))
}

fn counts(done: &Done) -> Vec<Value> {
    let names =
        ["rejected", "skipped", "created_numbers", "created_agents", "first_call", "last_call", "in_the_future"];
    names.iter().chain(&["reasons"]).map(|name| done.summary[*name].clone()).collect()
}

/// No file makes more calls than it has lines, each line is accepted or rejected by name, and a dry run says beforehand
/// what the import does.
#[test]
fn dry_run_and_import_agree_and_account_for_each_line() {
    let strategy = (prop::collection::vec(record(), 0..12), any::<bool>(), any::<bool>());
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let result = runner.run(&strategy, |(records, create_missing, is_new)| {
        let site = if is_new { Site::empty() } else { Site::configured() };
        let file = site.file(format!("from,to,at,agent,status\n{}", records.concat()));
        let mut options = vec!["--show-rejected", "1000", "--environment", "tenant"];
        if create_missing {
            options.push("--create-missing");
        }
        let planned = site.import(&file, &[&options[..], &["--dry-run"]].concat());
        let done = site.import(&file, &options);
        prop_assert_eq!(planned.code, done.code);
        prop_assert_eq!(&planned.rejected, &done.rejected);
        if done.summary.is_null() {
            prop_assert_eq!(done.code, Some(1));
            prop_assert!(!is_new || !site.path("data").exists());
            return Ok(());
        }
        prop_assert_eq!(counts(&planned), counts(&done));
        prop_assert_eq!(planned.count("accepted"), done.count("accepted"));
        prop_assert_eq!(done.count("rejected"), done.rejected.len() as u64);
        let lines = records.concat().lines().filter(|line| !line.is_empty()).count() as u64;
        let accounted = done.count("accepted") + done.count("rejected") + done.count("skipped");
        prop_assert!(accounted <= lines);
        // Quotes join lines.
        if !records.concat().contains('"') {
            prop_assert_eq!(accounted, lines);
        }
        prop_assert_eq!(done.code, Some(if done.rejected.is_empty() { 0 } else { 3 }));
        // Nothing is created for lines that are rejected.
        if done.count("accepted") == 0 {
            prop_assert_eq!((done.count("created_numbers"), done.count("created_agents")), (0, 0));
            prop_assert!(!is_new || !site.path("data").exists());
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// Both sites hold the same at each step, so also the calls of earlier files must be known in both.
#[test]
fn import_into_a_daemon_reports_what_an_import_into_a_directory_reports() {
    let (there, here) = (Site::configured(), Site::configured());
    let daemon = Daemon::start(&there.path("data"));
    let strategy = (prop::collection::vec(record(), 0..12), any::<bool>(), any::<bool>());
    let mut runner = TestRunner::new(Config { cases: 16, failure_persistence: None, ..Config::default() });
    let result = runner.run(&strategy, |(records, create_missing, is_dry)| {
        let text = format!("from,to,at,agent,status\n{}", records.concat());
        let mut options = vec!["--environment", "tenant", "--show-rejected", "1000"];
        options.extend(create_missing.then_some("--create-missing"));
        options.extend(is_dry.then_some("--dry-run"));
        let (to_daemon, to_directory) =
            (there.import(&there.file(&text), &options), here.import(&here.file(&text), &options));
        prop_assert_eq!(reported(&to_daemon), reported(&to_directory));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(daemon.stop(), 0);
}
