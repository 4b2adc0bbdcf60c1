//! Calls with ids and contexts at a node of a fleet: what it accepts from its clients, and from other nodes.

use super::known_calls::{
    HOUR, ago, behind, call, contact, context, export, forget, id, known, record, report, report_to, text_of, update,
};
use super::*;
use dialback::service::{Consumed, CutOff, FeedSettings};
use dialback::store::{EventKinds, FeedQuery, StoredCalls, restore};
use dialback::testing::lasting::LastingStore;
use dialback::{Context, Counted, CountsFrom, E164, Joined, Timestamp};

/// Returns a node of a fleet, and its store.
fn node() -> (Service, LastingStore) {
    node_that_counts_from(CountsFrom::Initiated)
}

fn node_that_counts_from(from: CountsFrom) -> (Service, LastingStore) {
    let store = LastingStore::new([7; 32]);
    let alone = start(store.clone());
    configure(&alone, changes()).expect("it is valid");
    configure(&alone, vec![Change::CountsFromSet { from }]).expect("the environment exists");
    drop(alone);
    (node_over(&store, u64::MAX), store)
}

fn node_over(store: &LastingStore, max_bytes: u64) -> Service {
    let builder = Service::builder(store.clone()).sequencer(Arc::new(CutOff)).max_context_bytes(max_bytes);
    builder.start().expect("it fits")
}

fn joined(to: E164, at: Timestamp, name: &str, text: &str, counted: Counted) -> Joined {
    let outcome = if let Counted::As(outcome) = counted { outcome } else { Outcome::Busy };
    let context = (!text.is_empty()).then(|| (START, context(text)));
    Joined { call: call(to, at, outcome), id: dialback::CallId::new(name), context, counted }
}

/// Lets the node consume reports of other nodes.
fn consume(service: &Service, reports: Vec<Joined>) -> Vec<Result<Applied, ServiceError>> {
    let events = reports.into_iter().map(|report| Event::Joined(Box::new(report))).collect();
    let (done, answer) = mpsc::channel();
    let consumed = Consumed { events, ..Consumed::default() };
    service.submit_consumed(consumed, move |recording| done.send(recording).expect("it is waited for"));
    answer.recv().expect("an answer").expect("it is durable")
}

fn entries(store: &LastingStore) -> Vec<dialback::store::KeyValue> {
    StoredCalls::calls(store, &[], usize::MAX).expect("readable")
}

#[test]
fn node_of_a_fleet_accepts_ids_and_contexts_and_puts_them_into_its_outbox() {
    let (service, store) = node();
    assert_eq!(record(&service, report(ago(HOUR), Outcome::Busy, "a", "{\"n\":1}")), Ok(Applied::Recorded));
    assert_eq!(store.waiting(), 1);
    assert_eq!(record(&service, update("a", Outcome::Voicemail, "{\"n\":2}")), Ok(Applied::Recorded));
    assert_eq!(record(&service, update("a", Outcome::Voicemail, "{\"n\":2}")), Ok(Applied::Unchanged));
    assert_eq!(store.waiting(), 2, "nothing new has no entry");
    let found = behind(&service).expect("known");
    assert_eq!((found.id.as_ref(), found.outcome, text_of(&found)), (Some(&id("a")), Outcome::Voicemail, "{\"n\":2}"));
    assert_eq!(record(&service, update("b", Outcome::Busy, "")), Err(ServiceError::CallNotFound));
    let other = report_to(contact(2), ago(HOUR), Outcome::Busy, "a", "");
    assert_eq!(record(&service, other), Err(ServiceError::CallIdReused));
    let moved = service.record_moved(vec![report(ago(HOUR), Outcome::Busy, "c", "")]);
    assert_eq!(moved, Ok(vec![Err(ServiceError::NotMovable)]), "the other nodes would not receive it");
}

#[test]
fn report_of_another_node_is_never_refused() {
    let (service, store) = node();
    drop(service);
    // No room for contexts, and the id belongs to another call.
    let service = node_over(&store, 80);
    let first = joined(contact(1), ago(2 * HOUR), "a", "{\"n\":1}", Counted::As(Outcome::Busy));
    let long = format!("{{\"n\":\"{}\"}}", "x".repeat(Context::MAX - 8));
    let other = joined(contact(2), ago(HOUR), "a", &long, Counted::As(Outcome::Busy));
    assert_eq!(consume(&service, vec![first, other]), vec![Ok(Applied::Recorded); 2]);
    assert_eq!(known(&service, "a").map(|call| call.to), Some(contact(2)), "the later call has the id");
    assert_eq!(behind(&service).map(|call| text_of(&call).to_owned()).as_deref(), Some("{\"n\":1}"));
    // Its own clients are refused, except for what each of the calls has already.
    let full = record(&service, report(ago(HOUR), Outcome::Busy, "b", "{}"));
    assert!(matches!(full, Err(ServiceError::ContextsFull(_))), "{full:?}");
    for number in [1, 2] {
        let again = report_to(contact(number), ago(HOUR * (3 - number)), Outcome::Busy, "a", "");
        assert_eq!(record(&service, again), Ok(Applied::Unchanged));
    }
    // The id is that of the other call, once the later one is gone.
    let _erased = record(&service, forget(contact(2), START)).expect("erased");
    assert_eq!(known(&service, "a").map(|call| call.to), Some(contact(1)));
    let _erased = record(&service, forget(contact(1), START)).expect("erased");
    assert_eq!((known(&service, "a"), entries(&store)), (None, vec![]));
}

#[test]
fn context_of_another_node_keeps_its_time() {
    let (service, _) = node();
    let report = |at, text| Joined {
        context: Some((at, context(text))),
        ..joined(contact(1), ago(HOUR), "a", "", Counted::As(Outcome::Busy))
    };
    let [early, late] = [report(ago(HOUR), "{\"n\":9}"), report(ago(HOUR / 2), "{\"n\":1}")];
    for order in [[&late, &early], [&early, &late]] {
        consume(&service, order.map(Clone::clone).to_vec());
        let found = known(&service, "a").expect("known");
        assert_eq!((text_of(&found), found.context_at), ("{\"n\":1}", Some(ago(HOUR / 2))));
    }
}

#[test]
fn call_of_another_node_counts_only_if_that_node_has_counted_it() {
    let (service, _) = node_that_counts_from(CountsFrom::Initiated);
    let uncounted = joined(contact(1), ago(HOUR), "a", "{}", Counted::No);
    assert_eq!(consume(&service, vec![uncounted]), [Ok(Applied::Recorded)]);
    assert!(service.history().is_empty() && known(&service, "a").is_some());
    let (service, _) = node_that_counts_from(CountsFrom::Answered);
    let counted = joined(contact(1), ago(HOUR), "a", "{}", Counted::As(Outcome::Busy));
    assert_eq!(consume(&service, vec![counted.clone(), counted]), [Ok(Applied::Recorded), Ok(Applied::Unchanged)]);
    assert_eq!(behind(&service).map(|call| call.outcome), Some(Outcome::Busy));
    let apart = joined(contact(2), ago(HOUR), "b", "{}", Counted::Apart);
    assert_eq!(consume(&service, vec![apart]), [Ok(Applied::Recorded)]);
    assert_eq!(service.history().len(), 1, "the call comes as an event of its own");
}

#[test]
fn erased_calls_of_another_node_are_dropped_whether_they_come_before_or_after_the_erasure() {
    for is_late in [false, true] {
        let (service, store) = node();
        let reports = || {
            let counted = joined(contact(1), ago(3 * HOUR), "a", "{}", Counted::As(Outcome::Busy));
            let newer = joined(contact(1), ago(HOUR), "b", "{}", Counted::As(Outcome::Busy));
            vec![counted, joined(contact(1), ago(2 * HOUR), "c", "{}", Counted::No), newer]
        };
        if !is_late {
            consume(&service, reports());
        }
        let _erased = record(&service, forget(contact(1), ago(2 * HOUR))).expect("erased");
        consume(&service, reports());
        assert_eq!(["a", "b", "c"].map(|name| known(&service, name).is_some()), [false, true, false]);
        assert_eq!(entries(&store).len(), 1, "{is_late}");
    }
}

/// A node that does not know of the erasure yet gets a report that dates the call later, and adds the context that it has.
#[test]
fn erased_context_does_not_come_back_with_a_later_time_of_its_call() {
    for is_late in [false, true] {
        let (service, store) = node();
        let later = Joined {
            context: Some((ago(4 * HOUR), context("{\"n\":1}"))),
            ..joined(contact(1), ago(HOUR), "a", "", Counted::As(Outcome::Busy))
        };
        if !is_late {
            consume(&service, vec![later.clone()]);
        }
        let _erased = record(&service, forget(contact(1), ago(2 * HOUR))).expect("erased");
        if is_late {
            consume(&service, vec![later]);
        }
        let found = known(&service, "a").expect("the call itself came later");
        assert_eq!((found.context, found.context_at), (None, None));
        assert!(entries(&store).iter().all(|(_, value)| value.len() == 1), "{is_late}");
    }
}

/// The last call that counts keeps its context, and the newest calls have theirs.
#[test]
fn calls_that_do_not_count_push_out_no_call_that_counts() {
    let (service, _) = node_that_counts_from(CountsFrom::Answered);
    assert_eq!(record(&service, report(ago(9 * HOUR), Outcome::Answered, "a", "{\"n\":1}")), Ok(Applied::Recorded));
    for (hours, name) in [(8, "b"), (7, "c"), (6, "d"), (5, "e"), (4, "f")] {
        assert_eq!(record(&service, report(ago(hours * HOUR), Outcome::Busy, name, "{}")), Ok(Applied::Uncounted));
    }
    assert_eq!(behind(&service).map(|call| text_of(&call).to_owned()).as_deref(), Some("{\"n\":1}"));
    assert_eq!(["a", "b", "c", "f"].map(|name| known(&service, name).is_some()), [true, false, true, true]);
}

#[test]
fn reports_that_date_one_call_differently_push_out_no_other_call() {
    let (service, _) = node();
    for (hours, name) in [(9, "a"), (8, "b"), (7, "c"), (6, "d"), (5, "d"), (4, "d"), (3, "d")] {
        let text = format!("{{\"n\":\"{name}\"}}");
        assert_eq!(record(&service, report(ago(hours * HOUR), Outcome::Busy, name, &text)), Ok(Applied::Recorded));
    }
    for name in ["a", "b", "c", "d"] {
        let found = known(&service, name).expect("known");
        assert_eq!(text_of(&found), format!("{{\"n\":\"{name}\"}}"));
    }
    let (calls, is_all) = service.known_calls(Tenant(0).id(), contact(1), 100).expect("readable");
    assert_eq!((calls.len(), is_all), (4, true));
}

/// A node's export has no marks. Its restored call is marked later, which is no news to anybody.
#[test]
fn mark_of_a_known_call_has_no_event() {
    let directory = tempfile::tempdir().expect("a directory");
    let alone = open(directory.path());
    configure(&alone, changes()).expect("it is valid");
    assert_eq!(record(&alone, report(ago(HOUR), Outcome::Busy, "a", "{}")), Ok(Applied::Recorded));
    drop(alone);
    let store = FjallStore::open(directory.path()).expect("it opens");
    let builder = Service::builder(store).sequencer(Arc::new(CutOff));
    let service = builder.feed(FeedSettings::default()).start().expect("it starts");
    let events = || {
        let query = |environment| {
            let kinds = EventKinds::ALL;
            FeedQuery { environment, after: 0, kinds, limit: usize::MAX, max_bytes: usize::MAX }
        };
        service.events_of(Tenant(0).id(), query).expect("readable").expect("nothing is missed").events.len()
    };
    let before = events();
    let mark = Joined { context: None, ..joined(contact(1), ago(HOUR), "a", "", Counted::As(Outcome::Busy)) };
    let known_context = known(&service, "a").and_then(|call| Some((call.context_at?, call.context?)));
    consume(&service, vec![Joined { context: known_context, ..mark.clone() }]);
    assert_eq!(events(), before);
    // What is new has one.
    consume(&service, vec![Joined { id: dialback::CallId::new("b"), ..mark }]);
    assert_eq!(events(), before + 1);
}

#[test]
fn restored_id_has_all_its_calls() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, copy) = (directory.path().join("data"), directory.path().join("copy"));
    let alone = open(&path);
    configure(&alone, changes()).expect("it is valid");
    drop(alone);
    let node = |path: &Path| {
        let store = FjallStore::open(path).expect("it opens");
        Service::builder(store).sequencer(Arc::new(CutOff)).start().expect("it starts")
    };
    let service = node(&path);
    let call = |of, hours| joined(contact(of), ago(hours * HOUR), "a", "{}", Counted::As(Outcome::Busy));
    consume(&service, vec![call(1, 1), call(2, 2)]);
    drop(service);
    restore(&copy, &export(&path)[..]).expect("it is whole");
    let service = node(&copy);
    assert_eq!(known(&service, "a").map(|call| call.to), Some(contact(1)), "the later call has the id");
    let _erased = record(&service, forget(contact(1), START)).expect("erased");
    assert_eq!(known(&service, "a").map(|call| call.to), Some(contact(2)));
}
