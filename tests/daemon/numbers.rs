//! `dialback numbers check`, on a directory that was filled with a dial plan written by hand.

use crate::support::daemon::{Daemon, dialback};
use dialback::service::{Consumed, RecordSettings};
use dialback::store::FjallStore;
use dialback::{
    AgentId, Applied, Call, CallId, Caller, Change, Context, CountsFrom, Details, DialPlan, Direction, E164,
    EnvironmentId, Event, Lookback, NumberId, Outcome, RecordedDoor, Service, Timestamp,
};
use serde_json::Value;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

const BRITAIN: EnvironmentId = EnvironmentId::from_u128(1);
const OTHER: EnvironmentId = EnvironmentId::from_u128(2);
const SALES: AgentId = AgentId::from_u128(1);
const OURS: &str = "+442079460100";

fn service(data: &Path) -> Service {
    Service::builder(FjallStore::open(data).expect("a store")).start().expect("it starts")
}

fn number(text: &str) -> E164 {
    E164::parse_international(text).expect("a number")
}

/// Returns a recent time: an older call would have expired.
fn at(seconds: u64) -> Timestamp {
    static BEGIN: LazyLock<u64> = LazyLock::new(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        now.as_secs() - 100_000
    });
    Timestamp::from_secs(*BEGIN + seconds)
}

/// Creates two environments with British plans written by hand, and calls that such a plan reads wrongly.
fn fill(data: &Path) {
    let service = service(data);
    let by_hand = DialPlan::new("44", "0", "00").expect("a plan");
    let agent = |id| Change::AgentCreated { id, name: "sales".into(), label: None, direction: Direction::Outbound };
    let tenant = |name: &str, ours: &str| {
        vec![
            Change::EnvironmentSet { name: name.into(), dial_plan: by_hand, lookback: Lookback::default() },
            agent(SALES),
            Change::NumberAdded { id: NumberId::from_u128(1), number: E164::parse(ours, &by_hand).expect("a number") },
        ]
    };
    let (britain, other) = (tenant("Britain", OURS), tenant("Other", "+4402079460200"));
    service.configure(BRITAIN, at(0), move |_| Ok(britain)).expect("valid");
    service.configure(OTHER, at(0), move |_| Ok(other)).expect("valid");
    let call = |environment, from, to, seconds, outcome| {
        let to = E164::parse(to, &by_hand).expect("a number");
        Event::Call(Call { environment, agent: SALES, from: number(from), to, at: at(seconds), outcome })
    };
    let calls = vec![
        call(BRITAIN, OURS, "+4402079460958", 10, Outcome::Busy),
        // The number that was meant has a later call, which wins.
        call(BRITAIN, OURS, "+4402079460777", 10, Outcome::Busy),
        call(BRITAIN, OURS, "020 7946 0777", 20, Outcome::NoAnswer),
        call(BRITAIN, OURS, "12125550143", 30, Outcome::Failed),
        call(BRITAIN, OURS, "+442079460111", 40, Outcome::Busy),
        call(OTHER, "+4402079460200", "+4402079460958", 10, Outcome::Busy),
    ];
    for applied in service.record(calls).expect("recorded") {
        assert_eq!(applied.expect("room"), Applied::Recorded);
    }
}

/// Runs `dialback numbers check` and returns its exit code and its lines.
fn check(data: &Path, options: &[&str]) -> (i32, Vec<Value>, String) {
    let (code, lines, errors) = dialback(&[&["numbers", "check", "--json"], options, &["--data"]].concat(), data);
    let lines = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (code, lines, errors)
}

fn rows(lines: &[Value]) -> Vec<(String, String)> {
    let text = |row: &Value, field: &str| row[field].as_str().expect("text").to_owned();
    let rows = lines.iter().filter(|line| line["stored"].is_string());
    rows.map(|row| (text(row, "stored"), text(row, "meant"))).collect()
}

fn pair(stored: &str, meant: &str) -> (String, String) {
    (stored.to_owned(), meant.to_owned())
}

#[test]
fn check_lists_what_a_region_reads_otherwise_and_changes_nothing() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    assert_eq!(check(&data, &[]).0, 4, "there is no directory yet");
    fill(&data);
    let (code, lines, errors) = check(&data, &[]);
    assert_eq!((code, rows(&lines).len()), (0, 0), "without a region nothing changes: {errors}");
    let (code, lines, _) = check(&data, &["--region", "GB", "--environment", "Britain"]);
    let expected = vec![
        pair("+4402079460777", "+442079460777"),
        pair("+4402079460958", "+442079460958"),
        pair("+4412125550143", "+12125550143"),
    ];
    assert_eq!((code, rows(&lines)), (3, expected));
    assert_eq!(lines.last().map(|line| (&line["contacts"], &line["calls"])), Some((&3.into(), &3.into())));
    // While a daemon runs, too; and one's own numbers are listed.
    let daemon = Daemon::start(&data);
    let (code, lines, _) = check(&data, &["--region", "GB", "--environment", &OTHER.to_string()]);
    let expected = vec![pair("+4402079460200", "+442079460200"), pair("+4402079460958", "+442079460958")];
    assert_eq!((code, rows(&lines)), (3, expected));
    let (code, _, errors) = check(&data, &["--region", "GB", "--rewrite"]);
    assert!(code == 1 && errors.contains("stop it"), "{errors}");
    drop(daemon);
    for (options, message) in
        [(&["--region", "XX"][..], "region"), (&["--environment", "Nowhere"], "there is no environment")]
    {
        let (code, _, errors) = check(&data, options);
        assert!(code == 1 && errors.contains(message), "{errors}");
    }
    assert_eq!(check(&data, &["--region", "GB"]).1.len(), 6, "nothing was changed");
}

#[test]
fn rewrite_moves_calls_to_the_number_that_was_meant_and_the_later_call_wins() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    fill(&data);
    let (code, lines, errors) = check(&data, &["--region", "gb", "--environment", "Britain", "--rewrite"]);
    assert_eq!((code, rows(&lines).len()), (0, 3), "{errors}");
    assert_eq!(lines.last().map(|line| &line["moved"]), Some(&2.into()), "one has a later call");

    let service = service(&data);
    let plan = *service.plan().environment(BRITAIN).expect("it exists").dial_plan();
    assert_eq!(plan.region(), Some("GB"));
    assert_eq!(service.plan().environment(OTHER).map(|other| other.dial_plan().region().is_some()), Some(false));
    let called = |text: &str| service.resolve(number(OURS), Caller::parse(text, &plan), at(50)).call;
    let found = |text: &str| called(text).map(|call| (call.at, call.outcome));
    for text in ["+442079460958", "020 7946 0958", "+4402079460958"] {
        assert_eq!(found(text), Some((at(10), Outcome::Busy)), "{text}");
    }
    assert_eq!(found("+442079460777"), Some((at(20), Outcome::NoAnswer)), "the later call won");
    assert_eq!(found("12125550143"), Some((at(30), Outcome::Failed)));
    assert_eq!(found("+442079460111"), Some((at(40), Outcome::Busy)), "what was right stays");
    let stored = |text: &str| service.resolve(number(OURS), Caller::Number(number(text)), at(50)).call;
    for text in ["+4402079460958", "+4402079460777", "+4412125550143"] {
        assert_eq!(stored(text), None, "{text} is erased");
    }
    drop(service);
    let (code, lines, _) = check(&data, &["--environment", "Britain"]);
    assert_eq!((code, rows(&lines).len()), (0, 0), "a second check finds nothing");
}

#[test]
fn rewrite_moves_ids_and_contexts_with_their_calls() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    fill(&data);
    let id = |text| CallId::new(text).expect("an id");
    {
        let service = service(&data);
        let report = |to, seconds, outcome, name, text: Option<&str>| {
            let call = Call {
                environment: BRITAIN,
                agent: SALES,
                from: number(OURS),
                to: number(to),
                at: at(seconds),
                outcome,
            };
            let context = text.map(|text| Context::new(text).expect("an object"));
            Event::reported(call, Details { id: Some(id(name)), context })
        };
        let reports = vec![
            report("+4402079460958", 10, Outcome::Busy, "last", Some("{\"n\": 1.0}")),
            report("+4402079460958", 5, Outcome::NoAnswer, "older", None),
            // The number that was meant has a later call, and knows this one all the same.
            report("+4402079460777", 10, Outcome::Busy, "beside", Some("{}")),
            report("+442079460111", 40, Outcome::Busy, "right", Some("{}")),
        ];
        for applied in service.record(reports).expect("recorded") {
            assert_eq!(applied, Ok(Applied::Recorded));
        }
    }
    let (code, lines, errors) = check(&data, &["--region", "GB", "--environment", "Britain", "--rewrite"]);
    assert_eq!((code, rows(&lines).len()), (0, 3), "{errors}");
    assert_eq!(lines.last().map(|line| &line["moved"]), Some(&2.into()));
    let service = service(&data);
    let known = |name| {
        let call = service.known_call(BRITAIN, &id(name)).expect("readable")?;
        let text = call.context.map(|context| context.as_str().to_owned()).unwrap_or_default();
        Some((call.to, call.at, call.outcome, text))
    };
    let expected = |to, seconds, outcome, text: &str| Some((number(to), at(seconds), outcome, text.to_owned()));
    assert_eq!(known("last"), expected("+442079460958", 10, Outcome::Busy, "{\"n\": 1.0}"));
    assert_eq!(known("older"), expected("+442079460958", 5, Outcome::NoAnswer, ""));
    assert_eq!(known("beside"), expected("+442079460777", 10, Outcome::Busy, "{}"));
    assert_eq!(known("right"), expected("+442079460111", 40, Outcome::Busy, "{}"));
    for earlier in ["+4402079460958", "+4402079460777"] {
        assert_eq!(service.known_calls(BRITAIN, number(earlier), 10), Ok((vec![], true)), "{earlier} is erased");
    }
}

/// The calls were recorded before the environment's calls counted from another status on.
#[test]
fn rewrite_moves_calls_that_would_not_count_now_and_no_others() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    fill(&data);
    let name = || CallId::new("uncounted").expect("an id");
    {
        let service = service(&data);
        let set = |from| {
            let change = Change::CountsFromSet { from };
            service.configure(BRITAIN, at(50), move |_| Ok(vec![change])).expect("valid");
        };
        set(CountsFrom::Answered);
        let (from, to, outcome) = (number(OURS), number("+4402079460333"), Outcome::NoAnswer);
        let call = Call { environment: BRITAIN, agent: SALES, from, to, at: at(45), outcome };
        let details = Details { id: Some(name()), context: None };
        assert_eq!(service.record(vec![Event::reported(call, details)]), Ok(vec![Ok(Applied::Uncounted)]));
        // Of the two calls with other numbers, one would not count now. The call by id would, but was not counted.
        set(CountsFrom::Ringing);
    }
    let (code, lines, errors) = check(&data, &["--region", "GB", "--environment", "Britain", "--rewrite"]);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(lines.last().map(|line| &line["moved"]), Some(&2.into()));
    let calls = exported(&data);
    let of_britain = calls.iter().filter(|call| call["environment"] == BRITAIN.to_string());
    let mut contacts: Vec<_> = of_britain.map(|call| call["contact"].as_str().expect("a contact")).collect();
    contacts.sort_unstable();
    assert_eq!(contacts, ["+12125550143", "+442079460111", "+442079460777", "+442079460958"]);
    let known = service(&data).known_call(BRITAIN, &name()).expect("readable").expect("it is known");
    assert_eq!((known.to, known.at, known.outcome), (number("+442079460333"), at(45), Outcome::NoAnswer));
}

#[test]
fn interrupted_rewrite_is_completed_by_a_second_one() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    fill(&data);
    // As if the first run had ended before it erased anything: the region is set, and one call was moved.
    {
        let service = service(&data);
        let (name, dial_plan) = ("Britain".into(), DialPlan::of_region("GB").expect("a region"));
        let change = Change::EnvironmentSet { name, dial_plan, lookback: Lookback::default() };
        service.configure(BRITAIN, at(50), move |_| Ok(vec![change])).expect("valid");
        let (from, to) = (number(OURS), number("+442079460958"));
        let call = Call { environment: BRITAIN, agent: SALES, from, to, at: at(10), outcome: Outcome::Busy };
        service.record(vec![Event::Call(call)]).expect("recorded");
    }
    let options = ["--region", "GB", "--environment", "Britain", "--rewrite"];
    let (code, lines, errors) = check(&data, &options);
    assert_eq!((code, rows(&lines).len()), (0, 3), "{errors}");
    assert_eq!(lines.last().map(|line| &line["moved"]), Some(&1.into()));
    let calls = exported(&data);
    let of_britain = |calls: &[Value]| {
        let calls = calls.iter().filter(|call| call["environment"] == BRITAIN.to_string());
        calls.map(|call| (call["contact"].as_str().expect("a contact").to_owned(), call["outcome"].clone())).collect()
    };
    let expected: Vec<(String, Value)> = [
        ("+12125550143", "failed"),
        ("+442079460111", "busy"),
        ("+442079460777", "no_answer"),
        ("+442079460958", "busy"),
    ]
    .map(|(contact, outcome)| (contact.to_owned(), outcome.into()))
    .into();
    let mut found: Vec<(String, Value)> = of_britain(&calls);
    found.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(found, expected);
    // The other environment keeps what it has.
    let other: Vec<_> = calls.iter().filter(|call| call["environment"] == OTHER.to_string()).collect();
    assert_eq!(other.iter().map(|call| &call["contact"]).collect::<Vec<_>>(), ["+4402079460958"]);
    let (code, lines, _) = check(&data, &options);
    assert_eq!((code, rows(&lines).len()), (0, 0), "a third run finds nothing");
    assert_eq!(exported(&data), calls, "and changes nothing");
}

/// Returns the calls of the directory.
fn exported(data: &Path) -> Vec<Value> {
    let (code, lines, errors) = dialback(&["export", "--data"], data);
    assert_eq!(code, 0, "{errors}");
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter_map(|mut line| line.get_mut("call").map(Value::take)).collect()
}

#[test]
fn rewrite_with_a_region_is_refused_for_several_environments_and_for_a_node_of_a_fleet() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    fill(&data);
    let before = exported(&data);
    let (code, lines, errors) = check(&data, &["--region", "GB", "--rewrite"]);
    assert_eq!((code, lines.len()), (1, 0));
    assert!(errors.contains("--environment"), "{errors}");
    {
        let service = service(&data);
        let (sender, done) = std::sync::mpsc::channel();
        let consumed = Consumed { place: Some(vec![1]), ..Consumed::default() };
        service.submit_consumed(consumed, move |recorded| sender.send(recorded.is_ok()).expect("it waits"));
        assert_eq!(done.recv(), Ok(true));
    }
    let (code, lines, errors) = check(&data, &["--region", "GB", "--environment", "Britain", "--rewrite"]);
    assert_eq!((code, lines.len()), (1, 0));
    assert!(errors.contains("fleet"), "{errors}");
    assert_eq!(exported(&data), before);
    assert_eq!(check(&data, &["--region", "GB", "--environment", "Britain"]).0, 3, "checking is possible");
}

/// A caller without a call is in no export.
#[test]
fn rewrite_erases_records_of_callers_that_are_read_otherwise() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    fill(&data);
    let service = || {
        let store = FjallStore::open(&data).expect("a store");
        Service::builder(store).records(RecordSettings::default()).start().expect("it starts")
    };
    {
        let service = service();
        for (id, caller) in [(1, "+4402079460999"), (2, "+442079460999")] {
            let call = (number(OURS), Caller::Number(number(caller)));
            service.route_recorded(&service.plan(), call, at(50), RecordedDoor::Library, |_| id);
        }
    }
    let (code, _, errors) = check(&data, &["--region", "GB", "--environment", "Britain", "--rewrite"]);
    assert_eq!(code, 0, "{errors}");
    let service = service();
    let is_kept = |id| service.record_of(BRITAIN, id).expect("readable").is_some();
    assert_eq!((is_kept(1), is_kept(2)), (false, true));
}

#[test]
fn rewrite_says_that_own_numbers_are_left() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    fill(&data);
    let (code, lines, errors) = check(&data, &["--region", "GB", "--environment", &OTHER.to_string(), "--rewrite"]);
    assert_eq!((code, rows(&lines).len()), (3, 2), "{errors}");
    assert_eq!(lines.last().map(|line| &line["moved"]), Some(&1.into()));
    let (code, lines, _) = check(&data, &["--environment", "Other"]);
    assert_eq!((code, rows(&lines)), (3, vec![pair("+4402079460200", "+442079460200")]));
}
