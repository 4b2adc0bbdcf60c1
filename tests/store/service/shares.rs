//! Shares of one history: which tenants may add pairs when it is nearly full.

use super::*;
use dialback::service::{Consumed, ShareUsed};
use dialback::store::MemoryStore;
use dialback::{AgentId, E164, EnvironmentId, NumberId, Timestamp};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

const DAY: u64 = 24 * 60 * 60 * 1000;

fn environment(tenant: u32) -> EnvironmentId {
    EnvironmentId::from_u128(1 + u128::from(tenant))
}

fn number(tenant: u32, line: u32) -> E164 {
    E164::from_code(15_550_000_000 + u64::from(tenant) * 100 + u64::from(line)).expect("a number")
}

fn contact(contact: u64) -> E164 {
    E164::from_code(447_700_000_000 + contact).expect("a number")
}

/// Gives each tenant one agent and two numbers.
fn furnish(service: &Service, tenants: u32) {
    for tenant in 0..tenants {
        let id = |kind: u128| kind * 1000 + u128::from(tenant);
        let added = |line| Change::NumberAdded {
            id: NumberId::from_u128(id(1 + u128::from(line))),
            number: number(tenant, line),
        };
        let agent = AgentId::from_u128(id(3));
        let created =
            Change::AgentCreated { id: agent, name: "agent".into(), label: None, direction: Direction::Outbound };
        let changes = vec![settings(), added(0), added(1), created];
        service.configure(environment(tenant), START, |_| Ok(changes)).expect("it is valid");
    }
}

fn call(tenant: u32, line: u32, to: u64, at: Timestamp) -> Event {
    Event::Call(Call {
        environment: environment(tenant),
        agent: AgentId::from_u128(3000 + u128::from(tenant)),
        from: number(tenant, line),
        to: contact(to),
        at,
        outcome: Outcome::Busy,
    })
}

fn forget(tenant: u32, to: u64, until: Timestamp) -> Event {
    Event::Erasure(Erasure { environment: environment(tenant), contact: contact(to), until, is_ahead: false })
}

fn calls(tenant: u32, to: std::ops::Range<u64>, at: Timestamp) -> Vec<Event> {
    to.map(|to| call(tenant, 0, to, at)).collect()
}

/// Records events. Returns how many were recorded, and the error of the first rejected one. All later events must be
/// rejected, too.
fn record(service: &Service, events: Vec<Event>) -> (usize, Option<ServiceError>) {
    let did = service.record(events).expect("it is durable");
    let recorded = did.iter().take_while(|did| **did == Ok(Applied::Recorded)).count();
    assert!(did[recorded..].iter().all(Result::is_err), "{did:?}");
    (recorded, did.into_iter().nth(recorded).and_then(Result::err))
}

fn is_full(refused: Option<&ServiceError>) -> bool {
    matches!(refused, Some(ServiceError::Full(_)))
}

fn is_share_used(refused: Option<&ServiceError>, pairs: usize, may_hold: usize, fixed: bool) -> bool {
    let is = |used: &ShareUsed| (used.pairs, used.may_hold, used.is_fixed) == (pairs, may_hold, fixed);
    matches!(refused, Some(ServiceError::ShareUsed(used)) if is(used))
}

fn limited(max_pairs: usize, tenants: u32) -> Service {
    let service =
        Service::builder(MemoryStore).engine(Engine::with_max_pairs(max_pairs)).start().expect("nothing is stored");
    furnish(&service, tenants);
    service
}

#[test]
fn bulk_upload_of_one_tenant_leaves_room_for_others() {
    let service = limited(800, 4);
    let (recorded, refused) = record(&service, calls(0, 0..2000, START));
    assert_eq!(recorded, 700, "seven eighths");
    assert!(is_share_used(refused.as_ref(), 700, 200, false), "{refused:?}");
    // Its existing pairs can still change.
    assert_eq!(record(&service, calls(0, 0..700, START.plus_millis(1))), (700, None));
    assert_eq!(record(&service, calls(1, 0..60, START)), (60, None));
    assert_eq!(record(&service, calls(2, 0..40, START)), (40, None));
    let (recorded, refused) = record(&service, calls(1, 100..101, START));
    assert!(recorded == 0 && is_full(refused.as_ref()), "{refused:?}");
    // Pairs that it erases are available to tenants below their shares.
    let erased = (0..30).map(|to| forget(0, to, START.plus_millis(1))).collect();
    let did = service.record(erased).expect("it is durable");
    assert!(did.iter().all(|did| *did == Ok(Applied::Erased { pairs: 1 })), "{did:?}");
}

#[test]
fn tenant_stops_at_its_share_above_seven_eighths() {
    let service = limited(800, 4);
    assert_eq!(record(&service, calls(0, 0..550, START)), (550, None));
    let (recorded, refused) = record(&service, calls(1, 0..1000, START));
    assert_eq!(recorded, 200, "its share");
    assert!(is_share_used(refused.as_ref(), 200, 200, false), "{refused:?}");
    let (recorded, refused) = record(&service, calls(2, 0..1000, START));
    assert_eq!(recorded, 50, "all that there is");
    assert!(is_full(refused.as_ref()), "{refused:?}");
}

#[test]
fn single_tenant_may_use_the_whole_history() {
    let service = limited(800, 1);
    let (recorded, refused) = record(&service, calls(0, 0..1000, START));
    assert_eq!(recorded, 800);
    assert!(is_full(refused.as_ref()), "{refused:?}");
}

#[test]
fn fixed_limit_holds_from_the_first_pair_on() {
    let engine = Engine::with_max_pairs(800).with_max_pairs_per_environment(10);
    let service = Service::builder(MemoryStore).engine(engine).start().expect("nothing is stored");
    furnish(&service, 2);
    let (recorded, refused) = record(&service, calls(0, 0..20, START));
    assert_eq!(recorded, 10);
    assert!(is_share_used(refused.as_ref(), 10, 10, true), "{refused:?}");
    assert_eq!(record(&service, calls(1, 0..10, START)), (10, None));
    let text = refused.expect("refused").to_string();
    assert!(text.contains("10 contacts") && text.contains("limit of each environment"), "{text}");
}

#[test]
fn events_of_a_stream_are_accepted_up_to_the_ceiling() {
    let service = limited(800, 4);
    assert_eq!(record(&service, calls(0, 0..2000, START)).0, 700);
    let (done, answer) = mpsc::channel();
    let consumed = Consumed { events: calls(0, 2000..2150, START), ..Consumed::default() };
    service.submit_consumed(consumed, move |did| done.send(did).expect("it is waited for"));
    let did = answer.recv().expect("an answer").expect("it is durable");
    let recorded = did.iter().filter(|did| **did == Ok(Applied::Recorded)).count();
    assert_eq!(recorded, 100);
    assert!(did[100..].iter().all(|did| matches!(did, Err(ServiceError::Full(_)))));
}

/// Returns an engine with a clock that the test sets.
fn clocked(max_pairs: usize) -> (Engine, Arc<Mutex<Timestamp>>) {
    let now = Arc::new(Mutex::new(START));
    let clock = Arc::clone(&now);
    (Engine::with_max_pairs(max_pairs).with_clock(move || *clock.lock().expect("not poisoned")), now)
}

#[test]
fn expired_pairs_make_room_at_the_ceiling_and_after_a_restart() {
    let store = RecordingStore::new();
    let (engine, now) = clocked(800);
    let service = Service::builder(store.clone()).engine(engine).start().expect("nothing is stored");
    furnish(&service, 1);
    assert_eq!(record(&service, calls(0, 0..1000, START)).0, 800);
    // After thirty days of look-back and one more day.
    let late = START.plus_millis(32 * DAY);
    *now.lock().expect("not poisoned") = late;
    assert_eq!(record(&service, calls(0, 1000..1800, late)), (800, None), "all places are free again");
    let (recorded, refused) = record(&service, calls(0, 2000..2001, late));
    assert!(recorded == 0 && is_full(refused.as_ref()), "{refused:?}");
    drop(service);
    assert_eq!(store.pairs(), 1600, "no purge has been there");
    // Each history places the pairs differently.
    for restart in 1..=20 {
        let (engine, now) = clocked(800);
        *now.lock().expect("not poisoned") = late;
        let service = Service::builder(store.clone()).engine(engine).start().expect("what is in force fits");
        let (recorded, refused) = record(&service, calls(0, 2000..2001, late));
        assert!(recorded == 0 && is_full(refused.as_ref()), "{refused:?}");
        let again = calls(0, 1000..1800, late.plus_millis(restart));
        assert_eq!(record(&service, again), (800, None), "all of them are there");
    }
}

#[test]
fn full_history_is_searched_for_expired_pairs_once_a_minute() {
    let (engine, now) = clocked(800);
    let service = Service::builder(MemoryStore).engine(engine).start().expect("nothing is stored");
    furnish(&service, 1);
    assert_eq!(record(&service, calls(0, 0..800, START)), (800, None));
    let expired = START.plus_millis(31 * DAY);
    let at = |millis: u64| {
        *now.lock().expect("not poisoned") = Timestamp::from_millis(expired.millis() - 30_000 + millis);
        record(&service, calls(0, 1000 + millis..1001 + millis, expired))
    };
    assert!(is_full(at(0).1.as_ref()), "nothing has expired");
    assert!(is_full(at(40_000).1.as_ref()), "it was looked 40 seconds ago");
    assert_eq!(at(61_000), (1, None));
}

#[test]
fn erasing_always_succeeds_and_frees_room() {
    const MAX: u64 = 2000;
    let directory = tempfile::tempdir().expect("a directory");
    let start = || {
        let store = FjallStore::open(directory.path()).expect("it opens").with_durability(Durability::Buffered);
        Service::builder(store).engine(Engine::with_max_pairs(2000)).start().expect("what is stored fits")
    };
    let service = start();
    furnish(&service, 2);
    let held = |from: u64| calls(0, from..from + MAX, START);
    assert_eq!(record(&service, held(0)), (1750, Some(refusal(&service, 1750, 1000))));
    assert_eq!(record(&service, calls(1, 0..250, START)), (250, None));
    // Erase many times as many pairs as there are places beyond the ceiling.
    let mut next = MAX;
    for round in 0..30 {
        let first = round * 50;
        let events = (first..first + 50).map(|to| forget(0, to, START)).collect();
        let did = service.record(events).expect("it is durable");
        assert!(did.iter().all(|did| *did == Ok(Applied::Erased { pairs: 1 })), "{did:?}");
        let unknown = service.record(vec![forget(1, 1_000_000 + round, START)]).expect("it is durable");
        assert_eq!(unknown, [Ok(Applied::Erased { pairs: 0 })], "an erasure of nobody is remembered in the store");
        // The tenant below its share gets all of the room.
        let more = if round < 15 { 50 } else { 0 };
        let added = record(&service, calls(1, next..next + more, START));
        assert_eq!(added, (if round < 15 { 50 } else { 0 }, None), "round {round}");
        next += more;
    }
    // These are late reports of erased calls.
    let did = service.record(vec![call(0, 1, 7, START), call(1, 0, 1_000_003, START)]).expect("it is durable");
    assert_eq!(did, [Ok(Applied::Ignored), Ok(Applied::Ignored)]);
    assert!(service.history().len() <= 2000 + 2000 / 64 + 64);
    drop(service);
    let service = start();
    assert_eq!(service.history().len(), 250 + 1000, "what was erased is gone, and all else is there");
    let did = service.record(vec![call(0, 1, 7, START), call(0, 0, 1500, START)]).expect("it is durable");
    assert_eq!(did, [Ok(Applied::Ignored), Ok(Applied::Unchanged)]);
}

/// Returns the error of a tenant that holds `pairs` and may hold `may_hold`.
fn refusal(service: &Service, pairs: usize, may_hold: usize) -> ServiceError {
    let refused = record(service, vec![call(0, 0, 500_000, START)]).1.expect("it is refused");
    assert!(is_share_used(Some(&refused), pairs, may_hold, false), "{refused:?}");
    refused
}

#[derive(Clone, Debug)]
enum Op {
    Call { tenant: u32, line: u32, to: u64, from_stream: bool },
    Erase { tenant: u32, to: u64 },
    Restart,
}

const TENANTS: u32 = 5;
const MAX: usize = 60;

fn op() -> impl Strategy<Value = Op> {
    // The first tenant adds most pairs.
    let tenant = || prop_oneof![3 => Just(0), 2 => 1..TENANTS];
    prop_oneof![
        30 => (tenant(), 0..2_u32, 0..60_u64, proptest::bool::weighted(0.1))
            .prop_map(|(tenant, line, to, from_stream)| Op::Call { tenant, line, to, from_stream }),
        4 => (tenant(), 0..60_u64).prop_map(|(tenant, to)| Op::Erase { tenant, to }),
        1 => Just(Op::Restart),
    ]
}

/// The pairs and erasures of each tenant, counted by a simple model.
#[derive(Default)]
struct Held {
    /// Whether the pair exists and is not erased, by tenant, line and contact.
    pairs: BTreeMap<(u32, u32, u64), bool>,
    erasures: BTreeSet<(u32, u64)>,
    now: u64,
    seen: BTreeMap<&'static str, u64>,
}

impl Held {
    fn of(&self, tenant: u32) -> usize {
        let pairs = self.pairs.iter().filter(|((of, ..), is_there)| *of == tenant && **is_there).count();
        pairs + self.erasures.iter().filter(|(of, _)| *of == tenant).count()
    }

    fn all(&self) -> usize {
        (0..TENANTS).map(|tenant| self.of(tenant)).sum()
    }

    fn note(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn call(&mut self, service: &Service, op: (u32, u32, u64), from_stream: bool) {
        let (tenant, line, to) = op;
        let event = call(tenant, line, to, START.plus_millis(self.now));
        let did = if from_stream { consume(service, event) } else { service.record(vec![event]).expect("durable") };
        let is_new = !self.pairs.get(&op).copied().unwrap_or(false);
        let (held, all, share) = (self.of(tenant), self.all(), MAX.div_ceil(TENANTS as usize));
        match &did[0] {
            Ok(Applied::Recorded) => {
                let may = all < MAX - MAX / 8 || held < share || from_stream;
                assert!(!is_new || all < MAX && may, "{held} of {all} are held");
                self.pairs.insert(op, true);
                self.note(if is_new && all >= MAX - MAX / 8 { "above" } else { "recorded" });
            }
            Err(ServiceError::Full(_)) => {
                assert!(is_new && all == MAX, "{held} of {all} are held");
                self.note("full");
            }
            Err(ServiceError::ShareUsed(used)) => {
                assert!(is_new && held >= share && all >= MAX - MAX / 8 && !from_stream, "{held} of {all} are held");
                assert_eq!((used.pairs, used.may_hold), (held, share));
                self.note("share");
            }
            other => panic!("{other:?}"),
        }
    }

    fn erase(&mut self, service: &Service, tenant: u32, to: u64) {
        let did = service.record(vec![forget(tenant, to, START.plus_millis(self.now))]).expect("durable");
        let mut erased = 0;
        for line in 0..2 {
            if let Some(is_there) = self.pairs.get_mut(&(tenant, line, to)) {
                erased += u64::from(std::mem::take(is_there));
            }
        }
        let fits = self.all() < MAX || self.erasures.contains(&(tenant, to));
        match &did[0] {
            Ok(applied) => assert_eq!(*applied, Applied::Erased { pairs: erased }),
            Err(error) => assert!(matches!(error, ServiceError::Full(_)) && erased == 0 && !fits, "{error:?}"),
        }
        if fits {
            self.erasures.insert((tenant, to));
        }
        self.note(if fits { "erased" } else { "not remembered" });
    }
}

fn consume(service: &Service, event: Event) -> Vec<Result<Applied, ServiceError>> {
    let (done, answer) = mpsc::channel();
    let consumed = Consumed { events: vec![event], ..Consumed::default() };
    service.submit_consumed(consumed, move |did| done.send(did).expect("it is waited for"));
    answer.recv().expect("an answer").expect("it is durable")
}

/// A tenant below its share is refused only at the ceiling, and a tenant at its share adds none above seven eighths.
/// Nothing else is refused.
#[test]
fn refusals_equal_those_of_a_model_of_shares() {
    let cases = std::env::var("DIALBACK_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let seen = std::cell::RefCell::new(BTreeMap::<&str, u64>::new());
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let result = runner.run(&proptest::collection::vec(op(), 50..300), |ops| {
        let store = RecordingStore::new();
        let start = || {
            Service::builder(store.clone()).engine(Engine::with_max_pairs(MAX)).start().expect("what is stored fits")
        };
        let mut service = start();
        furnish(&service, TENANTS);
        let mut held = Held::default();
        for op in ops {
            held.now += 1;
            match op {
                Op::Call { tenant, line, to, from_stream } => held.call(&service, (tenant, line, to), from_stream),
                Op::Erase { tenant, to } => held.erase(&service, tenant, to),
                Op::Restart => {
                    drop(service);
                    service = start();
                    held.note("restart");
                }
            }
        }
        for (what, count) in held.seen {
            *seen.borrow_mut().entry(what).or_default() += count;
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let seen = seen.into_inner();
    for what in ["above", "recorded", "full", "share", "erased", "restart"] {
        assert!(seen.get(what).is_some_and(|count| *count > 20), "{what}: {seen:?}");
    }
}
