//! Runs `dialback import` on files with ids and contexts of calls.

use super::{OURS, Site, TENANT};
use crate::support::daemon::Daemon;
use dialback::CallId;
use dialback::service::KnownCall;

const MAP: [&str; 2] = ["--map", "call_id=uuid,context.order=order no,context.campaign==summer"];

impl Site {
    fn known(&self, id: &str) -> Option<KnownCall> {
        let service = self.service();
        service.known_call(TENANT, &CallId::new(id).expect("an id")).expect("readable")
    }

    /// Returns the context of a call.
    fn context(&self, id: &str) -> Option<String> {
        Some(self.known(id)?.context?.as_str().to_owned())
    }
}

/// Returns a file with an id and an order for each line.
fn file(rows: &[(&str, &str)]) -> String {
    let row = |(place, (id, order)): (usize, &(&str, &str))| {
        format!("{OURS},+1212555014{place},2025-07-01T12:00:00Z,sales,busy,{id},{order}\n")
    };
    format!("from,to,at,agent,status,uuid,order no\n{}", rows.iter().enumerate().map(row).collect::<String>())
}

#[test]
fn ids_and_contexts_are_read_from_the_mapped_columns() {
    let site = Site::with_outbound_agents();
    let text = file(&[("a/1", "\"7, \"\"x\"\"\""), ("a/2", ""), ("", "9"), ("\"=\"\"a/3\"\"\"", "NULL")]);
    assert_eq!(site.import_text(&text, &MAP).count("accepted"), 4);
    assert_eq!(site.context("a/1").as_deref(), Some(r#"{"campaign":"summer","order":"7, \"x\""}"#));
    assert_eq!(site.context("a/2").as_deref(), Some(r#"{"campaign":"summer"}"#));
    assert_eq!(site.context("a/3").as_deref(), Some(r#"{"campaign":"summer"}"#));
    let again = site.import_text(&text, &MAP);
    assert_eq!((again.count("accepted"), again.count("unchanged")), (4, 4), "again");
    assert_eq!(site.known("a/1").expect("known").outcome, dialback::Outcome::Busy);
}

#[test]
fn another_context_replaces_the_first_one() {
    let site = Site::with_outbound_agents();
    assert_eq!(site.import_text(&file(&[("a/1", "7")]), &MAP).count("accepted"), 1);
    let done = site.import_text(&file(&[("a/1", "8")]), &MAP);
    assert_eq!((done.count("accepted"), done.count("unchanged")), (1, 0));
    assert_eq!(site.context("a/1").as_deref(), Some(r#"{"campaign":"summer","order":"8"}"#));
}

#[test]
fn apostrophe_belongs_to_the_text_and_an_empty_formula_is_no_value() {
    let site = Site::with_outbound_agents();
    let text = file(&[("a/1", "'t Hooft"), ("a/2", r#""=""""""#), (r#""=""""""#, "\"=\"\"'t\"\"\"")]);
    let map = ["--map", "call_id=uuid,context.order=order no"];
    assert_eq!(site.import_text(&text, &map).count("accepted"), 3);
    assert_eq!(site.context("a/1").as_deref(), Some(r#"{"order":"'t Hooft"}"#));
    assert_eq!(site.known("a/2").map(|call| call.context), Some(None));
}

#[test]
fn call_without_a_value_for_the_details_has_none() {
    let site = Site::with_outbound_agents();
    let text = file(&[("", ""), ("a/2", "")]);
    assert_eq!(site.import_text(&text, &["--map", "call_id=uuid,context.order=order no"]).count("accepted"), 2);
    assert_eq!(site.known("a/2").map(|call| call.context), Some(None));
    assert_eq!(site.contacts(), 2);
}

#[test]
fn bad_ids_and_contexts_are_rejected_by_line() {
    let site = Site::with_outbound_agents();
    let (long_id, long) = ("x".repeat(129), "x".repeat(4096));
    let done =
        site.import_text(&file(&[("a b", "1"), (&long_id, "1"), ("ä", "1"), ("a/1", &long), ("a/2", "1")]), &MAP);
    let id = "`call_id` must be 1 to 128 visible ASCII characters without a space";
    let context = "`context` must have at most 4096 bytes as JSON";
    done.expect_rejected(&[(2, id), (3, id), (4, id), (5, context)]);
    assert_eq!((done.count("accepted"), site.contacts()), (1, 1));
    assert!(site.known("a/2").is_some());
    // The id of another call.
    let done = site.import_text(&file(&[("a/2", "1")]), &MAP);
    assert_eq!((done.lines(), done.count("accepted")), (vec![2], 0));
}

#[test]
fn json_value_is_a_string_and_an_object_is_rejected() {
    let site = Site::with_outbound_agents();
    let row = |to: u32, more: &str| {
        format!(r#"{{"from":"{OURS}","to":"+1212555014{to}","at":"2025-07-01T12:00:00Z","agent":"sales",{more}}}"#)
            + "\n"
    };
    let text = [
        row(1, r#""id":"a","meta":{"order":1.10}"#),
        row(2, r#""id":"b","meta":{"order":{"n":1}}"#),
        row(3, r#""id":["c"],"meta":{"order":"1"}"#),
        row(4, r#""id":"d""#),
    ];
    let done = site.import_text(&text.concat(), &["--map", "call_id=id,context.order=meta.order"]);
    assert_eq!((done.lines(), done.count("accepted")), (vec![2, 3], 2));
    assert_eq!(site.context("a").as_deref(), Some(r#"{"order":"1.10"}"#));
    assert_eq!(site.known("d").map(|call| call.context), Some(None));
}

#[test]
fn target_that_is_mapped_twice_is_an_error() {
    let site = Site::with_outbound_agents();
    site.usage_error(&["--map", "call_id=uuid,call_id=status"]);
    site.usage_error(&["--map", "context.a=uuid,context.a=status"]);
    site.usage_error(&["--map", "context.=uuid"]);
    let done = site.import_text(&file(&[("a", "1")]), &["--map", "call_id=uuid", "--map", "call_id=status"]);
    assert!(done.stderr.contains("--map names the column of `call_id` twice"), "{}", done.stderr);
    assert_eq!(site.contacts(), 0);
}

#[test]
fn running_daemon_gets_ids_and_contexts() {
    let site = Site::with_outbound_agents();
    let daemon = Daemon::start(&site.path("data"));
    let text = file(&[("a\"\\1", "\"7, \"\"x\"\"\""), ("a b", "1"), ("", "")]);
    let done = site.import_text(&text, &MAP);
    let id = "`call_id` must be 1 to 128 visible ASCII characters without a space";
    done.expect_rejected(&[(3, id)]);
    assert_eq!(done.count("accepted"), 2);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(site.context("a\"\\1").as_deref(), Some(r#"{"campaign":"summer","order":"7, \"x\""}"#));
}

/// The daemon's answer names a hundred rejected lines, so the import sends lines again to learn of the others.
#[test]
fn last_context_of_a_call_remains_after_many_rejected_lines() {
    let site = Site::with_outbound_agents();
    let daemon = Daemon::start(&site.path("data"));
    assert_eq!(site.import_text(&file(&[("taken", "1")]), &MAP).count("accepted"), 1);
    let row = |to: usize, id: &str, order: usize| {
        format!("{OURS},+1212555{to:04},2025-07-01T12:00:00Z,sales,busy,{id},{order}\n")
    };
    let rejected = (0..101).map(|place| row(1000 + place, "taken", place));
    let others = (0..150).map(|place| row(2000 + place, &format!("other/{place}"), place));
    let lines = rejected.chain([row(3000, "twice", 1)]).chain(others).chain([row(3000, "twice", 2)]);
    let text = format!("from,to,at,agent,status,uuid,order no\n{}", lines.collect::<String>());
    let done = site.import_text(&text, &MAP);
    assert_eq!((done.count("rejected"), done.count("accepted")), (101, 152), "{}", done.stderr);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(site.context("twice").as_deref(), Some(r#"{"campaign":"summer","order":"2"}"#));
}
