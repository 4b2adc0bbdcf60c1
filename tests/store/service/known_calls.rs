//! Calls with ids and contexts: they are durable with their call, and leave with it.

use super::*;
use crate::support::disk_search::DiskSearch;
use dialback::history::Register;
use dialback::service::{Consumed, KnownCall};
use dialback::slot::{EnvironmentSlot, Scope};
use dialback::store::{Durability, StoredCalls, StoredFleetState, restore};
use dialback::testing::lasting::LastingStore;
use dialback::{CallId, Context, Details, E164, Timestamp, Update};
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) const HOUR: u64 = 3_600_000;

pub(super) fn id(text: &str) -> CallId {
    CallId::new(text).expect("an id")
}

pub(super) fn context(text: &str) -> Context {
    Context::new(text).expect("an object")
}

pub(super) fn ago(millis: u64) -> Timestamp {
    Timestamp::from_millis(START.millis() - millis)
}

pub(super) fn contact(number: u64) -> E164 {
    E164::from_code(493_012_300_000 + number).expect("a code")
}

pub(super) fn call(to: E164, at: Timestamp, outcome: Outcome) -> Call {
    Call { environment: Tenant(0).id(), agent: Agent(0).id(), from: Dialed(0).number(), to, at, outcome }
}

/// Returns a report of a call to the first contact.
pub(super) fn report(at: Timestamp, outcome: Outcome, name: &str, text: &str) -> Event {
    report_to(contact(1), at, outcome, name, text)
}

pub(super) fn report_to(to: E164, at: Timestamp, outcome: Outcome, name: &str, text: &str) -> Event {
    let context = (!text.is_empty()).then(|| context(text));
    Event::reported(call(to, at, outcome), Details { id: CallId::new(name), context })
}

pub(super) fn update(name: &str, outcome: Outcome, text: &str) -> Event {
    let context = (!text.is_empty()).then(|| context(text));
    Event::Update(Box::new(Update { environment: Tenant(0).id(), id: id(name), from: None, outcome, context }))
}

pub(super) fn forget(to: E164, until: Timestamp) -> Event {
    Event::Erasure(Erasure { environment: Tenant(0).id(), contact: to, until, is_ahead: false })
}

/// Records an event and returns its result.
pub(super) fn record(service: &Service, event: Event) -> Result<Applied, ServiceError> {
    record_at(service, START, event)
}

fn record_at(service: &Service, now: Timestamp, event: Event) -> Result<Applied, ServiceError> {
    let (done, answer) = mpsc::channel();
    service.submit_at(now, vec![event], move |recording| done.send(recording).expect("it is waited for"));
    answer.recv().expect("an answer").expect("it is durable").remove(0)
}

pub(super) fn known(service: &Service, name: &str) -> Option<KnownCall> {
    service.known_call(Tenant(0).id(), &id(name)).expect("readable")
}

pub(super) fn text_of(call: &KnownCall) -> &str {
    call.context.as_ref().map_or("", Context::as_str)
}

/// Returns the call behind the decision about the first contact.
pub(super) fn behind(service: &Service) -> Option<KnownCall> {
    let plan = service.plan();
    let last = ask_first(service).call.expect("a call");
    service.call_behind(&plan, Dialed(0).number(), contact(1), &last).expect("readable")
}

pub(super) fn export(path: &Path) -> Vec<u8> {
    let mut out = Vec::new();
    FjallStore::open(path).expect("it opens").exporter().export(&mut out, false).expect("readable");
    out
}

#[test]
fn reports_by_id_alone_join_their_call_also_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let service = open(directory.path());
    configure(&service, changes()).expect("it is valid");
    assert!(!service.may_know_calls(Tenant(0).id()));
    assert_eq!(record(&service, update("a", Outcome::Busy, "")), Err(ServiceError::CallNotFound));
    // In one group with the report before it.
    let events = vec![report(ago(HOUR), Outcome::Initiated, "a", "{\"n\":1}"), update("a", Outcome::Ringing, "")];
    assert_eq!(service.record(events), Ok(vec![Ok(Applied::Recorded); 2]));
    assert!(service.may_know_calls(Tenant(0).id()));
    let found = known(&service, "a").expect("it is known");
    assert_eq!(
        (found.outcome, found.at, found.to, text_of(&found)),
        (Outcome::Ringing, ago(HOUR), contact(1), "{\"n\":1}")
    );
    drop(service);
    let service = open(directory.path());
    assert!(service.may_know_calls(Tenant(0).id()));
    assert_eq!(record(&service, update("a", Outcome::Voicemail, "{\"n\":2}")), Ok(Applied::Recorded));
    assert_eq!(record(&service, update("a", Outcome::Voicemail, "{\"n\":2}")), Ok(Applied::Unchanged));
    assert_eq!(record(&service, update("a", Outcome::Ringing, "")), Ok(Applied::Unchanged));
    let found = behind(&service).expect("it is known");
    assert_eq!((found.id.as_ref(), found.outcome, text_of(&found)), (Some(&id("a")), Outcome::Voicemail, "{\"n\":2}"));
    assert_eq!(ask_first(&service).call.expect("a call").outcome, Outcome::Voicemail);
    // A status that is reported without the id counts, too.
    assert_eq!(record(&service, report_to(contact(2), ago(HOUR), Outcome::Initiated, "b", "")), Ok(Applied::Recorded));
    let plain = Event::Call(call(contact(2), ago(HOUR), Outcome::Busy));
    assert_eq!(record(&service, plain), Ok(Applied::Recorded));
    assert_eq!(known(&service, "b").map(|call| call.outcome), Some(Outcome::Busy));
}

#[test]
fn context_of_an_older_call_never_appears_with_a_newer_one() {
    let service = start(LastingStore::new([7; 32]));
    configure(&service, changes()).expect("it is valid");
    assert_eq!(record(&service, report(ago(2 * HOUR), Outcome::Busy, "", "{\"n\":1}")), Ok(Applied::Recorded));
    assert_eq!(behind(&service).map(|call| text_of(&call).to_owned()).as_deref(), Some("{\"n\":1}"));
    assert_eq!(record(&service, Event::Call(call(contact(1), ago(HOUR), Outcome::Busy))), Ok(Applied::Recorded));
    assert_eq!(behind(&service), None, "the newer call has none");
    assert_eq!(record(&service, report(ago(2 * HOUR), Outcome::Busy, "", "{\"n\":2}")), Ok(Applied::Recorded));
    assert_eq!(behind(&service), None);
    // The newer call gets an id and a context later.
    assert_eq!(record(&service, report(ago(HOUR), Outcome::Initiated, "new", "{\"n\":3}")), Ok(Applied::Recorded));
    let found = behind(&service).expect("known");
    assert_eq!((found.id, found.outcome), (Some(id("new")), Outcome::Busy));
}

#[test]
fn id_of_a_call_with_other_parties_is_refused_and_changes_nothing() {
    let service = start(LastingStore::new([7; 32]));
    configure(&service, changes()).expect("it is valid");
    let more = vec![
        Change::NumberAdded { id: Number(1).id(), number: Dialed(1).number() },
        Change::AgentCreated { id: Agent(1).id(), name: "b".into(), label: None, direction: Direction::Outbound },
    ];
    configure(&service, more).expect("it is valid");
    assert_eq!(record(&service, report(ago(HOUR), Outcome::Busy, "a", "{}")), Ok(Applied::Recorded));
    let before = known(&service, "a");
    let Event::Report(original) = report(ago(HOUR), Outcome::Voicemail, "a", "{\"n\":9}") else {
        unreachable!("it has an id")
    };
    let others = [
        Call { to: contact(2), ..original.call },
        Call { from: Dialed(1).number(), ..original.call },
        Call { agent: Agent(1).id(), ..original.call },
    ];
    for other in others {
        let event = Event::reported(other, original.details.clone());
        assert_eq!(record(&service, event), Err(ServiceError::CallIdReused), "{other:?}");
    }
    let Event::Update(mut wrong) = update("a", Outcome::Voicemail, "") else { unreachable!("it is one") };
    wrong.from = Some(Dialed(1).number());
    assert_eq!(record(&service, Event::Update(wrong)), Err(ServiceError::CallIdReused));
    assert_eq!(known(&service, "a"), before);
    let caller = |to| service.resolve(Dialed(0).number(), Caller::Number(to), START).reason;
    assert_eq!((caller(contact(1)), caller(contact(2))), (Reason::Matched, Reason::NoHistory));
}

#[test]
fn two_dates_of_one_id_are_one_call_with_the_later_date_and_the_best_status() {
    for is_later_first in [false, true] {
        let service = start(LastingStore::new([7; 32]));
        configure(&service, changes()).expect("it is valid");
        let mut reports = [
            report(ago(HOUR), Outcome::Voicemail, "a", "{\"n\":1}"),
            report(ago(HOUR - 1500), Outcome::Answered, "a", ""),
        ];
        if is_later_first {
            reports.reverse();
        }
        for report in reports {
            assert_eq!(record(&service, report), Ok(Applied::Recorded));
        }
        let found = known(&service, "a").expect("known");
        assert_eq!((found.at, found.outcome, text_of(&found)), (ago(HOUR - 1500), Outcome::Voicemail, "{\"n\":1}"));
        assert_eq!(behind(&service), Some(found.clone()));
        let last = ask_first(&service).call.expect("a call");
        assert_eq!((last.at, last.outcome), (found.at, found.outcome));
        let (all, is_all) = service.known_calls(Tenant(0).id(), contact(1), 10).expect("readable");
        assert_eq!((all, is_all), (vec![found], true));
    }
}

/// Platforms that send a new time with each status of a call lose nothing by it.
#[test]
fn five_dates_of_one_id_are_one_call_with_the_first_context_and_the_best_status() {
    let directory = tempfile::tempdir().expect("a directory");
    let service = open(directory.path());
    configure(&service, changes()).expect("it is valid");
    let first = report(ago(5 * HOUR), Outcome::Voicemail, "a", "{\"n\":1}");
    assert_eq!(record(&service, first), Ok(Applied::Recorded));
    for hours in [3, 4, 2, 1] {
        let later = report(ago(hours * HOUR), Outcome::Initiated, "a", "");
        assert!(record(&service, later).is_ok(), "{hours} hours ago");
    }
    let check = |service: &Service| {
        let found = known(service, "a").expect("known");
        assert_eq!((found.at, found.outcome, text_of(&found)), (ago(HOUR), Outcome::Voicemail, "{\"n\":1}"));
        assert_eq!(behind(service), Some(found));
        assert_eq!(ask_first(service).call.expect("a call").outcome, Outcome::Voicemail);
    };
    check(&service);
    drop(service);
    check(&open(directory.path()));
}

#[test]
fn four_dates_of_one_id_push_out_no_other_call_of_the_pair() {
    let store = LastingStore::new([7; 32]);
    let service = start(store.clone());
    configure(&service, changes()).expect("it is valid");
    for (hours, name) in [(6, "y"), (5, "z"), (4, "x"), (3, "x"), (2, "x"), (1, "x")] {
        let event = report(ago(hours * HOUR), Outcome::Busy, name, &format!("{{\"n\":{hours}}}"));
        assert_eq!(record(&service, event), Ok(Applied::Recorded), "{name} {hours} hours ago");
    }
    let texts = ["x", "y", "z"].map(|name| known(&service, name).map(|call| text_of(&call).to_owned()));
    assert_eq!(texts.map(Option::unwrap_or_default), ["{\"n\":1}", "{\"n\":6}", "{\"n\":5}"]);
    assert_eq!(StoredCalls::calls(&store, &[], 10).expect("readable").len(), 3, "one record for each");
}

#[test]
fn early_date_of_a_known_id_adds_its_status_and_its_context() {
    let service = start(LastingStore::new([7; 32]));
    configure(&service, changes()).expect("it is valid");
    for (hours, name) in [(4, "a"), (3, "b"), (2, "c"), (1, "d")] {
        assert_eq!(record(&service, report(ago(hours * HOUR), Outcome::Busy, name, "{}")), Ok(Applied::Recorded));
    }
    let early = report(ago(9 * HOUR), Outcome::Voicemail, "a", "{\"n\":2}");
    assert_eq!(record(&service, early), Ok(Applied::Recorded));
    let found = known(&service, "a").expect("known");
    assert_eq!((found.at, found.outcome, text_of(&found)), (ago(4 * HOUR), Outcome::Voicemail, "{\"n\":2}"));
    for name in ["b", "c", "d"] {
        assert!(known(&service, name).is_some(), "{name}");
    }
}

#[test]
fn call_that_gets_its_id_later_keeps_its_context_under_a_later_date() {
    let store = LastingStore::new([7; 32]);
    let service = start(store.clone());
    configure(&service, changes()).expect("it is valid");
    assert_eq!(record(&service, report(ago(3 * HOUR), Outcome::Voicemail, "", "{\"n\":1}")), Ok(Applied::Recorded));
    assert_eq!(record(&service, report(ago(3 * HOUR), Outcome::Initiated, "a", "")), Ok(Applied::Recorded));
    assert_eq!(StoredCalls::calls(&store, &[], 10).expect("readable").len(), 1, "one call, one record");
    assert_eq!(record(&service, report(ago(HOUR), Outcome::Initiated, "a", "")), Ok(Applied::Recorded));
    let found = known(&service, "a").expect("known");
    assert_eq!((found.at, found.outcome, text_of(&found)), (ago(HOUR), Outcome::Voicemail, "{\"n\":1}"));
    // A context without the id, at the time of the call.
    assert_eq!(record(&service, report(ago(HOUR), Outcome::Busy, "", "{\"n\":2}")), Ok(Applied::Recorded));
    assert_eq!(text_of(&known(&service, "a").expect("known")), "{\"n\":2}");
    assert_eq!(StoredCalls::calls(&store, &[], 10).expect("readable").len(), 1);
}

/// Waits until the service says that its store is stalled.
fn wait_until_stalled(service: &Service) {
    let waited = std::time::Instant::now();
    while !service.commits().is_stalled() {
        assert!(waited.elapsed().as_secs() < 30, "nothing says that the disk hangs");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn disk_that_hangs_in_an_erasure_counts_as_stalled() {
    let hang = Hang::default();
    let service = start(HangingStore::new(&hang, LastingStore::new([7; 32])));
    configure(&service, changes()).expect("it is valid");
    assert_eq!(record(&service, report(ago(HOUR), Outcome::Busy, "a", "{}")), Ok(Applied::Recorded));
    let hanging = hang.begin();
    let (told, answer) = mpsc::channel();
    service.submit(vec![forget(contact(1), START)], move |recording| _ = told.send(recording));
    wait_until_stalled(&service);
    assert!(answer.try_recv().is_err());
    drop(hanging);
    assert_eq!(answer.recv().expect("an answer"), Ok(vec![Ok(Applied::Erased { pairs: 1 })]));
}

/// The queue is bounded by its bytes, too: an event with a context may be a hundred times as large as a call.
#[test]
fn stalled_store_bounds_the_bytes_of_waiting_contexts() {
    const MAX_BYTES: usize = 64 << 20;
    let hang = Hang::default();
    let service = start(HangingStore::new(&hang, LastingStore::new([7; 32])));
    configure(&service, changes()).expect("it is valid");
    let (id, text) = ("i".repeat(CallId::MAX), format!("{{\"a\":\"{}\"}}", "x".repeat(Context::MAX - 8)));
    let (told, answers) = mpsc::channel();
    let submit = |event: Event| {
        let told = told.clone();
        service.submit(vec![event], move |recording| _ = told.send(recording.map(|did| did.len())));
    };
    // The second round finds that nothing waits any more.
    for round in 0..2 {
        let hanging = hang.begin();
        submit(report(ago(HOUR - round), Outcome::Busy, "", ""));
        wait_until_stalled(&service);
        let mut accepted = 0;
        let refused = loop {
            submit(report(ago(HOUR), Outcome::Busy, &id, &text));
            match answers.try_recv() {
                Ok(refused) => break refused,
                Err(_) => accepted += 1,
            }
            assert!(accepted * Context::MAX <= MAX_BYTES, "more than may wait");
        };
        assert_eq!(refused, Err(ServiceError::Stalled));
        assert!(accepted * (Context::MAX + 2 * CallId::MAX + 512) > MAX_BYTES, "{accepted}, in round {round}");
        assert_eq!(configure(&service, vec![settings()]), Err(ServiceError::Stalled));
        drop(hanging);
        for _ in 0..=accepted {
            assert_eq!(answers.recv().expect("an answer"), Ok(1));
        }
    }
}

/// The later report counts, also in the same millisecond, and when the clock has been set back.
#[test]
fn later_context_replaces_the_earlier_one_whatever_the_clock_says() {
    let service = start(LastingStore::new([7; 32]));
    configure(&service, changes()).expect("it is valid");
    assert_eq!(record(&service, report(ago(HOUR), Outcome::Busy, "a", "{\"z\":1}")), Ok(Applied::Recorded));
    for (now, text) in [(START, "{\"a\":1}"), (START, "{\"b\":1}"), (ago(HOUR), "{\"a\":0}")] {
        assert_eq!(record_at(&service, now, update("a", Outcome::Busy, text)), Ok(Applied::Recorded));
        let found = known(&service, "a").expect("known");
        assert_eq!(text_of(&found), text);
        assert!(found.context_at >= Some(START), "{:?}", found.context_at);
    }
    assert_eq!(known(&service, "a").expect("known").context_at, Some(START.plus_millis(3)));
}

#[test]
fn pair_knows_its_newest_four_calls_and_forgets_the_ids_of_the_others() {
    let directory = tempfile::tempdir().expect("a directory");
    let service = open(directory.path());
    configure(&service, changes()).expect("it is valid");
    for (hours, name) in [(5, "5"), (3, "3"), (4, "4"), (2, "2"), (1, "1"), (6, "6")] {
        assert!(record(&service, report(ago(hours * HOUR), Outcome::Busy, name, "{}")).is_ok());
    }
    let names: Vec<_> = ["1", "2", "3", "4", "5", "6"].iter().filter(|name| known(&service, name).is_some()).collect();
    assert_eq!(names, [&"1", &"2", &"3", &"4"]);
    assert_eq!(record(&service, update("5", Outcome::Voicemail, "")), Err(ServiceError::CallNotFound));
    // The id is free for another call.
    assert_eq!(record(&service, report_to(contact(2), ago(HOUR), Outcome::Busy, "5", "")), Ok(Applied::Recorded));
    let (all, is_all) = service.known_calls(Tenant(0).id(), contact(1), 3).expect("readable");
    assert_eq!((all.len(), is_all), (3, false));
}

#[test]
fn erased_contact_leaves_neither_ids_nor_contexts_in_any_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = FjallStore::open(directory.path()).expect("it opens");
    let (upkeep, exporter) = (store.upkeep(), store.exporter());
    let service = start(store);
    configure(&service, changes()).expect("it is valid");
    // Each place of the number: the contact, an id and a context with its digits.
    let (gone, kept) = (contact(1), contact(2));
    let text = |number: E164| format!("{{\"n\":\"{}\"}}", number.to_plus_form());
    for number in [gone, kept] {
        let name = format!("{}/7", number.to_plus_form());
        let event = report_to(number, ago(HOUR), Outcome::Busy, &name, &text(number));
        assert_eq!(record(&service, event), Ok(Applied::Recorded));
        let other = report_to(number, ago(3 * HOUR), Outcome::Busy, &format!("{name}/older"), &text(number));
        assert_eq!(record(&service, other), Ok(Applied::Recorded));
    }
    upkeep.purge(None, START).expect("purged");
    let search = || DiskSearch::new([gone, kept]).numbers(directory.path());
    assert_eq!(search().len(), 2, "the search finds both");
    assert_eq!(record(&service, forget(gone, START)), Ok(Applied::Erased { pairs: 1 }));
    assert_eq!(service.known_calls(Tenant(0).id(), gone, 10), Ok((vec![], true)));
    let name = format!("{}/7", gone.to_plus_form());
    assert_eq!(known(&service, &name), None);
    assert_eq!(record(&service, update(&name, Outcome::Busy, "{}")), Err(ServiceError::CallNotFound));
    let late = report_to(gone, ago(HOUR), Outcome::Voicemail, &name, &text(gone));
    assert_eq!(record(&service, late), Ok(Applied::Ignored), "a late report");
    assert_eq!(known(&service, &name), None);
    let mut out = Vec::new();
    assert_eq!(exporter.export(&mut out, false).expect("readable").known, 2);
    assert!(!String::from_utf8(out).expect("text").contains(&*gone.digits()));
    upkeep.purge(None, START).expect("purged");
    assert_eq!(search().into_iter().collect::<Vec<_>>(), [kept]);
}

#[test]
fn erasure_up_to_a_time_keeps_later_calls() {
    let service = start(LastingStore::new([7; 32]));
    configure(&service, changes()).expect("it is valid");
    for (hours, name) in [(3, "old"), (1, "new")] {
        assert_eq!(record(&service, report(ago(hours * HOUR), Outcome::Busy, name, "{}")), Ok(Applied::Recorded));
    }
    let _erased = record(&service, forget(contact(1), ago(2 * HOUR))).expect("erased");
    assert_eq!((known(&service, "old"), known(&service, "new").is_some()), (None, true));
    // Also what the same group has reported.
    let events = vec![report(ago(HOUR / 2), Outcome::Busy, "now", "{}"), forget(contact(1), START)];
    service.record(events).expect("durable");
    assert_eq!((known(&service, "new"), known(&service, "now")), (None, None));
}

/// A pair with a newer call can have records of expired ones.
#[test]
fn expired_ids_and_contexts_leave_with_a_purge_also_beside_a_newer_call() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = FjallStore::open(directory.path()).expect("it opens");
    let upkeep = store.upkeep();
    let service = start(store);
    configure(&service, changes()).expect("it is valid");
    let old = E164::from_digits("4915299887766").expect("digits");
    let text = format!("{{\"n\":\"{}\"}}", old.digits());
    for (hours, name, text) in [(50, "4915299887766", &*text), (1, "new", "{}")] {
        assert_eq!(record(&service, report(ago(hours * HOUR), Outcome::Busy, name, text)), Ok(Applied::Recorded));
    }
    upkeep.purge(None, START).expect("purged");
    assert!(!DiskSearch::new([old]).traces(directory.path()).is_empty());
    let purged = upkeep.purge(Some(Register::floor(ago(40 * HOUR))), START).expect("purged");
    assert!(purged.rewritten > 0);
    assert_eq!(known(&service, "4915299887766"), None);
    assert_eq!(record(&service, update("4915299887766", Outcome::Busy, "")), Err(ServiceError::CallNotFound));
    assert!(known(&service, "new").is_some());
    assert_eq!(DiskSearch::new([old]).traces(directory.path()), []);
    let again = upkeep.purge(Some(Register::floor(ago(40 * HOUR))), START).expect("purged");
    assert_eq!(again.rewritten, 0, "nothing has expired since");
}

/// The older value of an id may be about a call that has not expired.
#[test]
fn expired_id_does_not_uncover_an_older_value() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = FjallStore::open(directory.path()).expect("it opens");
    let (upkeep, calls) = (store.upkeep(), store.calls().expect("kept"));
    let service = start(store);
    configure(&service, changes()).expect("it is valid");
    for (hours, name) in [(70, "gone"), (1, "x")] {
        assert_eq!(record(&service, report(ago(hours * HOUR), Outcome::Busy, name, "{}")), Ok(Applied::Recorded));
    }
    let (record, _) = calls.calls(&[], 10).expect("readable").pop().expect("a record");
    let key = [&record[..3], b"x"].concat();
    let later = calls.id(&key).expect("readable").expect("known");
    let purged = upkeep.purge(Some(Register::floor(ago(60 * HOUR))), START).expect("purged");
    assert!(purged.rewritten > 0, "the later value is in a table");
    drop((service, calls, upkeep));
    let mut store = FjallStore::open(directory.path()).expect("it opens");
    let (upkeep, calls) = (store.upkeep(), store.calls().expect("kept"));
    let mut batch = Batch::default();
    let earlier = [&later[..10], &ago(50 * HOUR).millis().to_be_bytes()[2..]].concat();
    batch.calls.ids.push((key.clone(), Some(earlier)));
    store.commit(&batch).expect("stored");
    upkeep.purge(Some(Register::floor(ago(40 * HOUR))), START).expect("purged");
    assert_eq!(calls.id(&key).expect("readable"), None);
    drop(store);
}

#[test]
fn export_keeps_each_context_as_it_was_received() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, copy) = (directory.path().join("data"), directory.path().join("copy"));
    let service = open(&path);
    configure(&service, changes()).expect("it is valid");
    let longest = format!("{{\"a\":\"{}\"}}", "x".repeat(Context::MAX - 8));
    let odd = [
        "{ \"b\" : 1.10, \"a\":1E2,\"c\":[ 12345678901234567890123, 0.1e-7, -0.0 ] }",
        "{\"$serde_json::private::RawValue\":\"[1\"}",
        "{\"$serde_json::private::Number\":\"x\"}",
        "{\"\\u0000\":\"\\ud83d\\ude00 \u{1F426}\"}",
        &longest,
    ];
    for (number, text) in (10..).zip(odd) {
        let name = format!("id-{number}\"\\~");
        let event = report_to(contact(number), ago(HOUR), Outcome::Busy, &name, text);
        assert_eq!(record(&service, event), Ok(Applied::Recorded));
    }
    assert_eq!(record(&service, report(ago(HOUR), Outcome::Busy, "", "{}")), Ok(Applied::Recorded));
    assert_eq!(record(&service, report(ago(2 * HOUR), Outcome::Busy, "no-context", "")), Ok(Applied::Recorded));
    drop(service);
    let exported = export(&path);
    assert_eq!(restore(&copy, &exported[..]).expect("it is whole").known, 7);
    assert!(export(&copy) == exported, "byte for byte");
    let service = open(&copy);
    for (number, text) in (10..).zip(odd) {
        let found = known(&service, &format!("id-{number}\"\\~")).expect("known");
        assert_eq!(text_of(&found), text);
    }
    assert_eq!(record(&service, update("id-10\"\\~", Outcome::Voicemail, "{}")), Ok(Applied::Recorded));
    assert!(service.may_know_calls(Tenant(0).id()));
}

#[test]
fn export_of_version_1_is_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data");
    let service = open(&path);
    configure(&service, changes()).expect("it is valid");
    service.record(vec![call_to(1, Moment(2), Outcome::Busy)]).expect("durable");
    drop(service);
    let text = String::from_utf8(export(&path)).expect("text");
    let (lines, _) = text.trim_end().rsplit_once('\n').expect("lines");
    let lines = format!("{}\n", lines.replace("{\"dialback_export\":2", "{\"dialback_export\":1"));
    let sha256 = sha2_of(&lines);
    let end = format!(
        "{{\"end\":{{\"configurations\":1,\"calls\":1,\"erasures\":0,\"passed_over\":0,\"sha256\":\"{sha256}\"}}}}\n"
    );
    let restored = restore(directory.path().join("copy"), format!("{lines}{end}").as_bytes()).expect("it is whole");
    assert_eq!((restored.calls, restored.known), (1, 0));
}

fn sha2_of(text: &str) -> String {
    use sha2::{Digest, Sha256};
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).expect("four bits");
    Sha256::digest(text).iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)]).collect()
}

#[test]
fn environment_may_use_its_bytes_and_no_more() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = |bytes| {
        let store = FjallStore::open(directory.path()).expect("it opens");
        Service::builder(store).max_context_bytes(bytes).start().expect("it fits")
    };
    // A record of these takes 22 bytes of key, one of id, and 7 and 100 of context.
    let text = format!("{{\"a\":\"{}\"}}", "x".repeat(92));
    let service = open(260);
    configure(&service, changes()).expect("it is valid");
    assert_eq!(record(&service, report_to(contact(1), ago(HOUR), Outcome::Busy, "1", &text)), Ok(Applied::Recorded));
    assert_eq!(record(&service, report_to(contact(2), ago(HOUR), Outcome::Busy, "2", &text)), Ok(Applied::Recorded));
    for _ in 0..2 {
        let refused = record(&service, report_to(contact(3), ago(HOUR), Outcome::Busy, "3", ""));
        let Err(ServiceError::ContextsFull(full)) = refused else { panic!("{refused:?}") };
        assert_eq!((full.bytes, full.may_hold), (260, 260));
    }
    let reason = |service: &Service, to| service.resolve(Dialed(0).number(), Caller::Number(to), START).reason;
    assert_eq!((known(&service, "3"), reason(&service, contact(3))), (None, Reason::NoHistory));
    assert_eq!(record(&service, Event::Call(call(contact(3), ago(HOUR), Outcome::Busy))), Ok(Applied::Recorded));
    // A shorter context is accepted, and frees room.
    assert_eq!(record(&service, update("1", Outcome::Busy, "{}")), Ok(Applied::Recorded));
    assert_eq!(record(&service, report_to(contact(3), ago(HOUR), Outcome::Busy, "3", "{}")), Ok(Applied::Recorded));
    drop(service);
    let service = open(260);
    let refused = record(&service, update("3", Outcome::Busy, &text));
    let Err(ServiceError::ContextsFull(full)) = refused else { panic!("{refused:?}") };
    assert_eq!(full.bytes, 32 + 130 + 32, "counted anew by the start");
    let _erased = record(&service, forget(contact(2), START)).expect("erased");
    assert_eq!(record(&service, update("3", Outcome::Busy, &text)), Ok(Applied::Recorded));
}

/// A store in memory whose calls cannot be read while the switch is on.
#[derive(Clone)]
struct Unreadable {
    store: LastingStore,
    is_broken: Arc<AtomicBool>,
}

impl Unreadable {
    fn check(&self) -> Result<(), StoreError> {
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(StoreError::Engine("a block has a wrong checksum".into()));
        }
        Ok(())
    }
}

impl EventStore for Unreadable {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.store.commit(batch)
    }

    fn recover(&mut self, see: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        self.store.recover(see)
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn calls(&self) -> Option<Arc<dyn StoredCalls>> {
        Some(Arc::new(self.clone()))
    }

    fn fleet_state(&self) -> Option<Arc<dyn StoredFleetState>> {
        self.store.fleet_state()
    }

    fn erasure(&self, environment: Scope, contact: E164) -> Result<Option<Register>, StoreError> {
        self.store.erasure(environment, contact)
    }
}

impl StoredCalls for Unreadable {
    fn each(&self, prefix: &[u8], see: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError> {
        self.check()?;
        self.store.each(prefix, see)
    }

    fn id(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.check()?;
        self.store.id(key)
    }

    fn bytes(&self, environment: EnvironmentSlot) -> u64 {
        self.store.bytes(environment)
    }

    fn contacts(&self, see: &mut dyn FnMut(EnvironmentSlot, E164)) -> Result<(), StoreError> {
        self.check()?;
        self.store.contacts(see)
    }
}

#[test]
fn read_error_refuses_a_report_and_an_erasure_as_a_whole() {
    let store = Unreadable { store: LastingStore::new([7; 32]), is_broken: Arc::default() };
    let (is_broken, kept) = (Arc::clone(&store.is_broken), store.store.clone());
    let service = start(store);
    configure(&service, changes()).expect("it is valid");
    assert_eq!(record(&service, report(ago(2 * HOUR), Outcome::Busy, "a", "{}")), Ok(Applied::Recorded));
    let state = || (known(&service, "a"), ask_first(&service));
    let before = state();
    is_broken.store(true, Ordering::Relaxed);
    for event in [
        report(ago(HOUR), Outcome::Busy, "b", "{}"),
        update("a", Outcome::Voicemail, "{\"n\":1}"),
        forget(contact(1), START),
    ] {
        let refused = record(&service, event);
        assert!(matches!(refused, Err(ServiceError::NotDurable(_))), "{refused:?}");
    }
    // Nor does a node of a fleet pass such an erasure of another node.
    let (done, answer) = std::sync::mpsc::channel();
    let consumed = Consumed { events: vec![forget(contact(1), START)], place: Some(vec![1]), ..Consumed::default() };
    service.submit_consumed(consumed, move |did| done.send(did).expect("the test waits"));
    let did = answer.recv().expect("an answer").expect("the store works");
    assert!(matches!(did[..], [Err(ServiceError::NotDurable(_))]), "{did:?}");
    assert_eq!(kept.place().expect("readable"), None);
    // Calls without an id or a context need no such read.
    let plain = Event::Call(call(contact(2), ago(HOUR), Outcome::Busy));
    assert_eq!(record(&service, plain), Ok(Applied::Recorded));
    assert_eq!(service.failure(), None);
    is_broken.store(false, Ordering::Relaxed);
    assert_eq!(state(), before);
    assert_eq!(record(&service, forget(contact(1), START)), Ok(Applied::Erased { pairs: 1 }));
    assert_eq!(known(&service, "a"), None);
}

fn ask_first(service: &Service) -> Decision {
    service.resolve(Dialed(0).number(), Caller::Number(contact(1)), START)
}

#[test]
fn erasure_removes_records_that_cannot_be_decoded_and_others_do_not_suffer_from_them() {
    let mut store = LastingStore::new([7; 32]);
    let service = start(store.clone());
    configure(&service, changes()).expect("it is valid");
    for (hours, name) in [(2, "a"), (1, "b")] {
        assert_eq!(record(&service, report(ago(hours * HOUR), Outcome::Busy, name, "{}")), Ok(Applied::Recorded));
    }
    let entries = StoredCalls::calls(&store, &[], 10).expect("readable");
    assert_eq!(entries.len(), 2);
    let mut batch = Batch::default();
    let cut = [&entries[0].0[..20], &entries[0].0[..13]].map(<[u8]>::to_vec);
    batch.calls.calls = cut.into_iter().map(|key| (key, Some(vec![1]))).collect();
    batch.calls.calls.push((entries[1].0.clone(), Some(vec![0xFF; 9])));
    store.commit(&batch).expect("kept");
    assert_eq!((known(&service, "a").is_some(), known(&service, "b")), (true, None));
    assert_eq!(record(&service, report(ago(HOUR / 2), Outcome::Busy, "c", "{}")), Ok(Applied::Recorded));
    let _erased = record(&service, forget(contact(1), START)).expect("erased");
    assert_eq!(StoredCalls::calls(&store, &[], 10).expect("readable"), []);
    for name in ["a", "b", "c"] {
        let key = [&entries[0].0[..3], name.as_bytes()].concat();
        assert_eq!(store.id(&key).expect("readable"), None, "{name}");
    }
}

#[test]
fn service_that_keeps_no_calls_refuses_ids_and_contexts() {
    let service = start(dialback::store::MemoryStore);
    configure(&service, changes()).expect("it is valid");
    for event in [report(ago(HOUR), Outcome::Busy, "a", ""), update("a", Outcome::Busy, "")] {
        assert_eq!(record(&service, event), Err(ServiceError::CallsNotKept));
    }
    assert_eq!(service.known_call(Tenant(0).id(), &id("a")), Err(ServiceError::CallsNotKept));
}
