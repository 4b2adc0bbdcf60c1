//! The status from which calls count: a report below it changes no register, and makes its call known all the same.

use super::known_calls::{HOUR, ago, behind, call, contact, export, forget, known, record, report, report_to, update};
use super::*;
use dialback::service::FeedSettings;
use dialback::store::{FeedQuery, restore};
use dialback::testing::lasting::LastingStore;
use dialback::{CountsFrom, E164, Timestamp};

fn count_from(service: &Service, from: CountsFrom) {
    configure(service, vec![Change::CountsFromSet { from }]).expect("the environment exists");
}

fn started(from: CountsFrom) -> Service {
    let service = start(LastingStore::new([7; 32]));
    configure(&service, changes()).expect("it is valid");
    count_from(&service, from);
    service
}

fn plain(to: E164, at: Timestamp, outcome: Outcome) -> Event {
    Event::Call(call(to, at, outcome))
}

/// Returns the time and the outcome of the last call that the history has of a contact.
fn last(service: &Service, to: E164) -> Option<(Timestamp, Outcome)> {
    let decision = service.resolve(Dialed(0).number(), Caller::Number(to), START);
    decision.call.map(|call| (call.at, call.outcome))
}

/// The outcomes that do not count, by threshold. The table of docs/rule.md, from its other side.
const BELOW: [(CountsFrom, &[Outcome]); 3] = [
    (CountsFrom::Initiated, &[]),
    (CountsFrom::Ringing, &[Outcome::Initiated, Outcome::Failed]),
    (CountsFrom::Answered, &[Outcome::Initiated, Outcome::Ringing, Outcome::Failed, Outcome::NoAnswer, Outcome::Busy]),
];

#[test]
fn report_below_the_threshold_changes_no_register_in_a_service_and_in_an_engine() {
    for (from, below) in BELOW {
        let directory = tempfile::tempdir().expect("a directory");
        let service = open(directory.path());
        configure(&service, changes()).expect("it is valid");
        count_from(&service, from);
        let engine = Engine::new();
        engine.configure(Tenant(0).id(), START, changes()).expect("it is valid");
        engine.configure(Tenant(0).id(), START, vec![Change::CountsFromSet { from }]).expect("it is valid");
        for (number, outcome) in (1..).zip(Outcome::ALL) {
            let expected = if below.contains(&outcome) { Applied::Uncounted } else { Applied::Recorded };
            let event = plain(contact(number), ago(HOUR), outcome);
            assert_eq!(engine.apply(&event), Ok(expected), "{from} {outcome}");
            assert_eq!(record(&service, event), Ok(expected), "{from} {outcome}");
        }
        assert_eq!(engine.history().len(), 8 - below.len(), "{from}");
        assert_eq!(service.history().len(), 8 - below.len(), "{from}");
        drop(service);
        let service = open(directory.path());
        let plan = service.plan();
        assert_eq!(plan.environment(Tenant(0).id()).expect("stored").counts_from(), from);
        for (number, outcome) in (1..).zip(Outcome::ALL) {
            let expected = (!below.contains(&outcome)).then_some((ago(HOUR), outcome));
            assert_eq!(last(&service, contact(number)), expected, "{from} {outcome}");
        }
    }
}

#[test]
fn unknown_agent_and_erased_contact_are_ignored_before_the_threshold_is_asked() {
    let service = started(CountsFrom::Answered);
    let unknown = Event::Call(Call { agent: Agent(5).id(), ..call(contact(1), ago(HOUR), Outcome::Busy) });
    assert_eq!(record(&service, unknown), Ok(Applied::Ignored));
    assert_eq!(record(&service, forget(contact(1), START)), Ok(Applied::Erased { pairs: 0 }));
    assert_eq!(record(&service, plain(contact(1), ago(HOUR), Outcome::Busy)), Ok(Applied::Ignored));
    assert_eq!(record(&service, report(ago(HOUR), Outcome::Busy, "a", "{}")), Ok(Applied::Ignored));
    assert_eq!(known(&service, "a"), None, "an erased call is not known");
}

#[test]
fn call_counts_with_its_own_parties_once_a_report_by_its_id_passes() {
    let directory = tempfile::tempdir().expect("a directory");
    let service = open(directory.path());
    configure(&service, changes()).expect("it is valid");
    count_from(&service, CountsFrom::Answered);
    assert_eq!(record(&service, report(ago(HOUR), Outcome::Initiated, "a", "{\"n\":1}")), Ok(Applied::Uncounted));
    assert_eq!(record(&service, update("a", Outcome::Ringing, "")), Ok(Applied::Uncounted));
    assert_eq!(record(&service, report_to(contact(2), ago(HOUR), Outcome::Busy, "", "{}")), Ok(Applied::Uncounted));
    assert!(service.history().is_empty());
    let found = known(&service, "a").expect("it is known");
    assert_eq!((found.outcome, found.at, found.to), (Outcome::Ringing, ago(HOUR), contact(1)));
    let (calls, is_all) = service.known_calls(Tenant(0).id(), contact(2), 10).expect("readable");
    assert!(is_all && calls.len() == 1, "a context makes the call known, too");
    drop(service);
    let service = open(directory.path());
    assert_eq!(last(&service, contact(1)), None);
    assert_eq!(record(&service, update("a", Outcome::Answered, "")), Ok(Applied::Recorded));
    let decision = service.resolve(Dialed(0).number(), Caller::Number(contact(1)), START);
    let source = decision.call.expect("it counts");
    assert_eq!((source.agent, source.at, source.outcome), (Agent(0).id(), ago(HOUR), Outcome::Answered));
    assert_eq!(decision.reason, Reason::Matched);
    let found = behind(&service).expect("it is known");
    assert_eq!((found.id.as_ref().map(dialback::CallId::as_str), found.outcome), (Some("a"), Outcome::Answered));
    // From now on it counts, and a lower status changes nothing.
    assert_eq!(record(&service, update("a", Outcome::Ringing, "")), Ok(Applied::Unchanged));
    assert_eq!(record(&service, update("a", Outcome::Ringing, "{\"n\":2}")), Ok(Applied::Recorded), "a new context");
    assert_eq!(last(&service, contact(1)), Some((ago(HOUR), Outcome::Answered)));
    // A plain report joins the call, as without a threshold.
    assert_eq!(record(&service, plain(contact(2), ago(HOUR), Outcome::Completed)), Ok(Applied::Recorded));
    assert_eq!(last(&service, contact(2)), Some((ago(HOUR), Outcome::Completed)));
}

#[test]
fn reports_of_one_call_reach_one_register_in_any_order() {
    const REPORTED: [Outcome; 4] = [Outcome::Ringing, Outcome::Failed, Outcome::NoAnswer, Outcome::Answered];
    let expected = [Outcome::NoAnswer, Outcome::NoAnswer, Outcome::Answered];
    for (from, highest) in CountsFrom::ALL.into_iter().zip(expected) {
        let service = started(from);
        let mut orders = vec![vec![]];
        for outcome in REPORTED {
            let inserted = |order: &Vec<Outcome>| {
                let order = order.clone();
                (0..=order.len()).map(move |place| [&order[..place], &[outcome], &order[place..]].concat())
            };
            orders = orders.iter().flat_map(inserted).collect();
        }
        assert_eq!(orders.len(), 24);
        for (number, order) in (1..).zip(&orders) {
            // All by the id, and all without one.
            for outcome in order {
                let name = format!("call-{number}");
                let _applied =
                    record(&service, report_to(contact(number), ago(HOUR), *outcome, &name, "")).expect("durable");
                let _applied = record(&service, plain(contact(number + 100), ago(HOUR), *outcome)).expect("durable");
            }
            for to in [contact(number), contact(number + 100)] {
                assert_eq!(last(&service, to), Some((ago(HOUR), highest)), "{from} {order:?}");
            }
        }
    }
    // A call that rang counts as ringing, also if it failed.
    let service = started(CountsFrom::Ringing);
    for (number, order) in [(1, [Outcome::Ringing, Outcome::Failed]), (2, [Outcome::Failed, Outcome::Ringing])] {
        for outcome in order {
            let name = format!("call-{number}");
            let _applied =
                record(&service, report_to(contact(number), ago(HOUR), outcome, &name, "")).expect("durable");
        }
        assert_eq!(last(&service, contact(number)), Some((ago(HOUR), Outcome::Ringing)));
    }
}

#[test]
fn another_threshold_changes_nothing_that_is_recorded() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, copy) = (directory.path().join("data"), directory.path().join("copy"));
    let service = open(&path);
    configure(&service, changes()).expect("it is valid");
    assert_eq!(record(&service, plain(contact(1), ago(HOUR), Outcome::Busy)), Ok(Applied::Recorded));
    // In the group of the change, the reports before it count, and those after it do not.
    let sequence = service.plan().generation() + 1;
    let raised = vec![Change::CountsFromSet { from: CountsFrom::Answered }];
    let raised = dialback::Configuration::new(sequence, Tenant(0).id(), START, raised);
    let events = vec![
        plain(contact(2), ago(HOUR), Outcome::Busy),
        Event::Configuration(raised),
        plain(contact(3), ago(HOUR), Outcome::Busy),
        report_to(contact(4), ago(HOUR), Outcome::Busy, "d", ""),
    ];
    let did = service.record(events).expect("durable");
    let configured = Ok(Applied::Configured { generation: sequence });
    assert_eq!(did, [Ok(Applied::Recorded), configured, Ok(Applied::Uncounted), Ok(Applied::Uncounted)]);
    let lasts = |service: &Service| [1, 2, 3, 4].map(|number| last(service, contact(number)).is_some());
    assert_eq!(lasts(&service), [true, true, false, false]);
    drop(service);
    // A restart and a restored export keep what counted when it was reported.
    let exported = export(&path);
    restore(&copy, &exported[..]).expect("it is whole");
    assert!(export(&copy) == exported, "byte for byte");
    for path in [path, copy] {
        let service = open(&path);
        assert_eq!(lasts(&service), [true, true, false, false]);
        count_from(&service, CountsFrom::Initiated);
        assert_eq!(lasts(&service), [true, true, false, false], "the setting applies to later reports");
        assert_eq!(record(&service, update("d", Outcome::Busy, "")), Ok(Applied::Recorded));
        assert_eq!(lasts(&service), [true, true, false, true]);
    }
}

#[test]
fn counted_call_keeps_its_context_beside_later_calls_that_do_not_count() {
    let service = started(CountsFrom::Answered);
    assert_eq!(record(&service, report(ago(9 * HOUR), Outcome::Answered, "first", "{\"n\":1}")), Ok(Applied::Recorded));
    for hours in (1..9).rev() {
        let name = format!("later-{hours}");
        assert_eq!(record(&service, report(ago(hours * HOUR), Outcome::Busy, &name, "")), Ok(Applied::Uncounted));
    }
    let name_of = |service: &Service| behind(service).and_then(|call| Some(call.id?.as_str().to_owned()));
    assert_eq!(name_of(&service).as_deref(), Some("first"));
    let (calls, _) = service.known_calls(Tenant(0).id(), contact(1), 10).expect("readable");
    assert_eq!(calls.len(), 4, "a pair has no more records than before");
    // A call that counts later takes its place.
    assert_eq!(record(&service, update("later-2", Outcome::Voicemail, "")), Ok(Applied::Recorded));
    assert_eq!(name_of(&service).as_deref(), Some("later-2"));
}

#[test]
fn call_that_counts_is_found_after_a_lower_status_gave_it_a_later_time() {
    let service = started(CountsFrom::Answered);
    assert_eq!(record(&service, report(ago(2 * HOUR), Outcome::Answered, "a", "{\"n\":1}")), Ok(Applied::Recorded));
    assert_eq!(record(&service, report(ago(HOUR), Outcome::Busy, "a", "")), Ok(Applied::Recorded));
    assert_eq!(last(&service, contact(1)), Some((ago(HOUR), Outcome::Answered)));
    assert!(behind(&service).is_some_and(|call| call.id.is_some() && call.at == ago(HOUR)));
}

#[test]
fn moved_calls_enter_the_history_and_moved_reports_only_become_known() {
    let service = started(CountsFrom::Answered);
    let report = |number| report_to(contact(number), ago(HOUR), Outcome::Answered, &format!("call-{number}"), "{}");
    let did = service.record_moved(vec![plain(contact(1), ago(HOUR), Outcome::Busy), report(1), report(2)]);
    // The first report is about the call that is in the history already.
    assert_eq!(did, Ok(vec![Ok(Applied::Recorded), Ok(Applied::Recorded), Ok(Applied::Uncounted)]));
    assert_eq!([1, 2].map(|number| last(&service, contact(number))), [Some((ago(HOUR), Outcome::Busy)), None]);
    assert!(known(&service, "call-1").is_some() && known(&service, "call-2").is_some());
}

#[test]
fn call_that_does_not_count_has_an_event_only_if_its_id_makes_it_known() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = FjallStore::open(directory.path()).expect("it opens");
    let service = Service::builder(store).feed(FeedSettings::default()).start().expect("it starts");
    configure(&service, changes()).expect("it is valid");
    count_from(&service, CountsFrom::Answered);
    let events = || {
        let query = |environment| {
            let kinds = dialback::store::EventKinds::ALL;
            FeedQuery { environment, after: 0, kinds, limit: usize::MAX, max_bytes: usize::MAX }
        };
        service.events_of(Tenant(0).id(), query).expect("readable").expect("nothing is missed").events.len()
    };
    let before = events();
    let _applied = record(&service, plain(contact(1), ago(HOUR), Outcome::Busy)).expect("durable");
    assert_eq!(events(), before, "nothing that is known changed");
    let _applied = record(&service, report(ago(HOUR), Outcome::Busy, "a", "")).expect("durable");
    assert_eq!(events(), before + 1);
    let _applied = record(&service, update("a", Outcome::Busy, "")).expect("durable");
    assert_eq!(events(), before + 1, "the report was known");
    let _applied = record(&service, update("a", Outcome::Voicemail, "")).expect("durable");
    assert_eq!(events(), before + 2);
}
