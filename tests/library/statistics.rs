//! Compares the statistics with a naive model: random calls, answers, changes of configuration, midnights and restarts.
//!
//! The model keeps all calls in a list and counts them. `DIALBACK_CASES` sets the number of runs.

use dialback::service::{ANSWERABLE_DAYS, AnswerReport, Callbacks};
use dialback::slot::TallySlot;
use dialback::store::EventStore;
use dialback::tally::{Answered, Count};
use dialback::testing::recording::RecordingStore;
use dialback::{
    AgentId, Call, Caller, Change, Day, DialPlan, Direction, E164, EnvironmentId, Event, Lookback, NumberId, Outcome,
    Plan, Reason, Route, Service, Statistics, Timestamp,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::mpsc;

/// Noon of a day.
const START: Timestamp = Timestamp::from_secs(1_780_315_200);
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

const NUMBERS: u8 = 2;
const SOURCES: u8 = 3;
const CALLBACK_AGENTS: u8 = 3;
const CONTACTS: u8 = 4;

#[derive(Clone, Debug)]
enum Op {
    /// A call from a source agent, from a number, to a contact.
    Call(u8, u8, u8),
    /// An inbound call to a number from a contact. The last contact withholds its number.
    Route(u8, u8),
    /// A report that a decision was answered. The decision is this many before the last one.
    Answer(u8),
    /// The sources of an agent as bits; none removes the role.
    Role(u8, u8),
    /// The numbers of a callback agent as bits.
    Numbers(u8, u8),
    Publish(u8, bool),
    /// A source (or a callback agent, above those) is deleted and created again.
    Renew(u8),
    /// Time passes.
    Pass(u8),
    Restart,
    /// A check of the statistics: the number of days, and how many days ago they end.
    Check(u8, u8),
}

fn op() -> impl Strategy<Value = (u8, Op)> {
    let any = || any::<u8>();
    let op = prop_oneof![
        6 => (any(), any(), any()).prop_map(|(source, number, contact)| Op::Call(source, number, contact)),
        14 => (any(), any()).prop_map(|(number, contact)| Op::Route(number, contact)),
        6 => any().prop_map(Op::Answer),
        5 => (any(), any()).prop_map(|(agent, sources)| Op::Role(agent, sources)),
        2 => (any(), any()).prop_map(|(agent, numbers)| Op::Numbers(agent, numbers)),
        1 => (any(), proptest::bool::ANY).prop_map(|(agent, published)| Op::Publish(agent, published)),
        1 => any().prop_map(Op::Renew),
        4 => any().prop_map(Op::Pass),
        1 => Just(Op::Restart),
        2 => (any(), any()).prop_map(|(days, ago)| Op::Check(days, ago)),
    ];
    (0..2_u8, op)
}

fn environment(tenant: u8) -> EnvironmentId {
    EnvironmentId::from_u128(1 + u128::from(tenant))
}

fn source(tenant: u8, n: u8) -> AgentId {
    AgentId::from_u128(0x100 * (1 + u128::from(tenant)) + u128::from(n % SOURCES))
}

fn callback_agent(tenant: u8, n: u8) -> AgentId {
    AgentId::from_u128(0x1000 * (1 + u128::from(tenant)) + u128::from(n % CALLBACK_AGENTS))
}

fn number_id(tenant: u8, n: u8) -> NumberId {
    NumberId::from_u128(0x10 * (1 + u128::from(tenant)) + u128::from(n % NUMBERS))
}

fn number(tenant: u8, n: u8) -> E164 {
    E164::from_code(15_550_000_000 + u64::from(tenant) * 100 + u64::from(n % NUMBERS)).expect("a number")
}

fn contact(n: u8) -> E164 {
    E164::from_code(447_700_900_000 + u64::from(n % CONTACTS)).expect("a number")
}

/// A routed call, as the model remembers it.
#[derive(Clone, Copy)]
struct Routed {
    tenant: u8,
    day: Day,
    /// The source agent and the callback agent; `None` for an unmatched call.
    taken: Option<(AgentId, AgentId)>,
    is_answered: bool,
    tally: TallySlot,
    number: u64,
}

struct World {
    store: RecordingStore,
    service: Option<Service>,
    now: Timestamp,
    routed: Vec<Routed>,
    seen: Seen,
}

/// Counts of what happened in a run, because a run in which nothing happens proves nothing.
#[derive(Default)]
struct Seen {
    checks: usize,
    received: u64,
    answered: u64,
    unmatched: u64,
    days: BTreeSet<Day>,
    restarts: usize,
    /// The pairs that each tally counted.
    pairs: BTreeMap<TallySlot, BTreeSet<(AgentId, AgentId)>>,
    /// The number of tallies that counted several pairs.
    reused: usize,
}

impl World {
    fn new() -> Self {
        let store = RecordingStore::new();
        let service = Some(start(store.clone()));
        let mut world = Self { store, service, now: START, routed: Vec::new(), seen: Seen::default() };
        for tenant in [0, 1] {
            world.furnish(tenant);
        }
        world
    }

    fn furnish(&mut self, tenant: u8) {
        let settings =
            Change::EnvironmentSet { name: "t".into(), dial_plan: DialPlan::NONE, lookback: Lookback::from_days(3) };
        let numbers = (0..NUMBERS).map(|n| Change::NumberAdded { id: number_id(tenant, n), number: number(tenant, n) });
        let mut changes: Vec<_> = [settings].into_iter().chain(numbers).collect();
        changes.extend((0..SOURCES).map(|n| create(source(tenant, n), Direction::Outbound)));
        for n in 0..CALLBACK_AGENTS {
            let id = callback_agent(tenant, n);
            let numbers = Some((0..NUMBERS).map(|n| number_id(tenant, n)).collect());
            changes.push(create(id, Direction::Inbound));
            changes.push(Change::CallingSet { id, direction: Direction::Inbound, numbers });
            changes.push(Change::AgentPublished { id });
        }
        let role =
            |sources| Change::CallbackSet { id: callback_agent(tenant, 0), sources, outcomes: None, lookback: None };
        changes.push(role(vec![source(tenant, 0), source(tenant, 1)]));
        self.configure(tenant, changes);
    }

    fn service(&self) -> &Service {
        self.service.as_ref().expect("it runs")
    }

    /// Changes the configuration. A rejected change is ignored.
    fn configure(&self, tenant: u8, changes: Vec<Change>) {
        let _ = self.service().configure(environment(tenant), self.now, |_| Ok(changes));
    }

    fn run(&mut self, tenant: u8, op: &Op) {
        match *op {
            Op::Call(agent, from, to) => {
                let call = Call {
                    environment: environment(tenant),
                    agent: source(tenant, agent),
                    from: number(tenant, from),
                    to: contact(to),
                    at: self.now,
                    outcome: Outcome::Busy,
                };
                self.service().record(vec![Event::Call(call)]).expect("it is durable");
            }
            Op::Route(dialed, caller) => self.route(tenant, number(tenant, dialed), caller),
            Op::Answer(back) => self.answer(usize::from(back)),
            Op::Role(agent, sources) => {
                let id = callback_agent(tenant, agent);
                let sources: Vec<_> = bits(sources, SOURCES).map(|n| source(tenant, n)).collect();
                self.configure(
                    tenant,
                    if sources.is_empty() {
                        vec![Change::CallbackRemoved { id }]
                    } else {
                        vec![Change::CallbackSet { id, sources, outcomes: None, lookback: None }]
                    },
                );
            }
            Op::Numbers(agent, numbers) => {
                let numbers = Some(bits(numbers, NUMBERS).map(|n| number_id(tenant, n)).collect());
                let (id, direction) = (callback_agent(tenant, agent), Direction::Inbound);
                self.configure(tenant, vec![Change::CallingSet { id, direction, numbers }]);
            }
            Op::Publish(agent, true) => {
                self.configure(tenant, vec![Change::AgentPublished { id: callback_agent(tenant, agent) }]);
            }
            Op::Publish(agent, false) => {
                self.configure(tenant, vec![Change::AgentUnpublished { id: callback_agent(tenant, agent) }]);
            }
            Op::Renew(n) => self.renew(tenant, n),
            Op::Pass(how) => self.pass(how),
            Op::Restart => {
                drop(self.service.take());
                self.service = Some(start(self.store.clone()));
                self.seen.restarts += 1;
            }
            Op::Check(days, ago) => {
                let last = self.now.day().minus(u32::from(ago % 4));
                self.check(tenant, &(last.minus(u32::from(days % 8))..=last));
            }
        }
    }

    fn renew(&self, tenant: u8, n: u8) {
        let (id, direction) = match n % (SOURCES + CALLBACK_AGENTS) {
            n if n < SOURCES => (source(tenant, n), Direction::Outbound),
            n => (callback_agent(tenant, n - SOURCES), Direction::Inbound),
        };
        self.configure(
            tenant,
            vec![Change::AgentUnpublished { id }, Change::AgentDeleted { id }, create(id, direction)],
        );
    }

    fn route(&mut self, tenant: u8, dialed: E164, caller: u8) {
        let caller = match caller % (CONTACTS + 1) {
            CONTACTS => Caller::Withheld,
            n => Caller::Number(contact(n)),
        };
        let plan = self.service().plan();
        let routed = self.service().route(dialed, caller, self.now);
        let decision = routed.decision;
        assert_eq!(decision, self.service().resolve(dialed, caller, self.now), "a question gets the same answer");
        assert_ne!(decision.reason, Reason::UnknownNumber);
        let taken = match decision.route {
            Route::Callback(agent) => Some((decision.call.expect("a call is behind it").agent, agent)),
            _ => None,
        };
        let is_counted = taken.is_some() || is_callback_agents(&plan, dialed);
        assert_eq!(routed.tally.is_some(), is_counted, "{decision:?}");
        let (day, number) = (self.now.day(), self.routed.len() as u64);
        if let Some((pair, tally)) = taken.zip(routed.tally) {
            self.seen.pairs.entry(tally).or_default().insert(pair);
        }
        let known = |tally| Routed { tenant, day, taken, is_answered: false, tally, number };
        self.routed.extend(routed.tally.map(known));
    }

    fn answer(&mut self, back: usize) {
        let today = self.now.day();
        let Some(at) = self.routed.len().checked_sub(1 + back % 32) else { return };
        let routed = &mut self.routed[at];
        routed.is_answered |= today <= routed.day.plus(ANSWERABLE_DAYS);
        let answered = Answered { day: routed.day, number: routed.number };
        let report = AnswerReport { answered, tally: routed.tally, today };
        wait(|done| self.service().submit_answer(report, done));
    }

    /// Advances the time to just before midnight, to midnight, by some hours, or by more days than are counted at once.
    fn pass(&mut self, how: u8) {
        let midnight = (self.now.millis() / DAY + 1) * DAY;
        self.now = match how % 6 {
            0 => Timestamp::from_millis(midnight - 1),
            1 => Timestamp::from_millis(midnight),
            2 => self.now.plus_millis(7 * HOUR),
            3 => self.now.plus_millis(DAY),
            4 => self.now.plus_millis(4 * DAY),
            _ => self.now.plus_millis(1),
        };
    }

    fn check(&mut self, tenant: u8, days: &RangeInclusive<Day>) {
        wait(|done| self.service().submit_counts(done));
        let expected = self.expected(tenant, days);
        assert_eq!(self.service().statistics(environment(tenant), days), expected, "{days:?}");
        self.seen.checks += 1;
        self.seen.unmatched += expected.unmatched;
        for Callbacks { count, .. } in &expected.callbacks {
            self.seen.received += count.received;
            self.seen.answered += count.answered;
        }
        self.seen.days.extend(self.routed.iter().map(|routed| routed.day));
    }

    /// Returns the statistics of the model.
    fn expected(&self, tenant: u8, days: &RangeInclusive<Day>) -> Statistics {
        let mut statistics = Statistics::default();
        let mut callbacks = BTreeMap::<_, Count>::new();
        for routed in self.routed.iter().filter(|routed| routed.tenant == tenant && days.contains(&routed.day)) {
            match routed.taken {
                None => statistics.unmatched += 1,
                Some(pair) => {
                    let count = callbacks.entry(pair).or_default();
                    count.received += 1;
                    count.answered += u64::from(routed.is_answered);
                }
            }
        }
        let callbacks = callbacks.into_iter().map(|((source, agent), count)| Callbacks { source, agent, count });
        statistics.callbacks = callbacks.collect();
        statistics
    }
}

/// Returns whether an agent with the callback role owns the number, from the public view of the configuration.
fn is_callback_agents(plan: &Plan, dialed: E164) -> bool {
    let number = plan.dialed(dialed).expect("it is there");
    let agents = number.owners().into_iter().filter_map(|id| plan.agent(number.environment(), id));
    agents.into_iter().any(|agent| agent.callback().is_some())
}

fn create(id: AgentId, direction: Direction) -> Change {
    Change::AgentCreated { id, name: "agent".into(), label: None, direction }
}

fn bits(bits: u8, of: u8) -> impl Iterator<Item = u8> {
    (0..of).filter(move |n| bits >> n & 1 == 1)
}

fn start(store: impl EventStore) -> Service {
    Service::builder(store).start().expect("what is stored fits")
}

type Done = Box<dyn FnOnce(Result<(), dialback::ServiceError>) + Send>;

fn wait(submit: impl FnOnce(Done)) {
    let (done, answer) = mpsc::channel();
    submit(Box::new(move |result| done.send(result).expect("somebody waits")));
    answer.recv().expect("an answer").expect("it is durable");
}

fn run(ops: &[(u8, Op)]) -> World {
    let mut world = World::new();
    for (tenant, op) in ops {
        world.run(*tenant, op);
    }
    for tenant in [0, 1] {
        world.check(tenant, &(Day::FIRST..=Day::LAST));
    }
    world.seen.reused = world.seen.pairs.values().filter(|pairs| pairs.len() > 1).count();
    world
}

#[test]
fn statistics_equal_the_model() {
    let cases = std::env::var("DIALBACK_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(60);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let total = std::cell::RefCell::new(Seen::default());
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let ops = proptest::collection::vec(op(), 100..400);
    let result = runner.run(&ops, |ops| {
        // Random operations alone rarely give a tally to a second pair, so each case begins with one.
        let ops: Vec<_> = reuse().into_iter().map(|op| (0, op)).chain(ops).collect();
        let Seen { checks, received, answered, unmatched, days, restarts, reused, .. } = run(&ops).seen;
        assert!(reused > 0, "no tally was given again");
        let mut total = total.borrow_mut();
        total.checks += checks;
        total.received += received;
        total.answered += answered;
        total.unmatched += unmatched;
        total.restarts += restarts;
        total.reused += reused;
        total.days.extend(days);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let Seen { checks, received, answered, unmatched, days, restarts, reused, .. } = total.into_inner();
    let all = format!("{checks} checks, {received} received, {answered} answered, {unmatched} unmatched");
    println!("{all}, {} days, {restarts} restarts, {reused} tallies of several pairs", days.len());
    assert!(checks > 100 && received > 500 && answered > 50 && unmatched > 500, "{all}");
    assert!(days.len() > 20 && restarts > 50, "{} days, {restarts} restarts", days.len());
}

/// Returns operations after which a tally has counted for two pairs.
fn reuse() -> Vec<Op> {
    let first = [Op::Call(0, 0, 0), Op::Route(0, 0), Op::Answer(0)];
    // The role moves to another source. Days later, another agent takes the callbacks of a third source.
    let then = [Op::Role(0, 0b100), Op::Pass(4), Op::Role(1, 0b010), Op::Call(1, 0, 0), Op::Route(0, 0), Op::Restart];
    first.into_iter().chain(then).collect()
}

#[test]
fn reused_tally_does_not_count_for_its_former_pair() {
    // The first pair returns and gets another tally, after a restart in between.
    let last = [Op::Role(0, 0b001), Op::Pass(5), Op::Call(0, 0, 0), Op::Route(0, 0), Op::Answer(0), Op::Restart];
    let ops: Vec<_> = reuse().into_iter().chain(last).map(|op| (0, op)).collect();
    let world = run(&ops);
    assert_eq!(world.seen.reused, 1, "{:?}", world.seen.pairs);
    let counts: Vec<_> = world
        .service()
        .statistics(environment(0), &(Day::FIRST..=Day::LAST))
        .callbacks
        .iter()
        .map(|one| (one.source, one.agent, one.count.received, one.count.answered))
        .collect();
    let expected = [(source(0, 0), callback_agent(0, 0), 2, 2), (source(0, 1), callback_agent(0, 1), 1, 0)];
    assert_eq!(counts, expected);
}

/// Canary: the model must differ after a call on another day, an answer, another source, or another tenant.
#[test]
fn miscounted_call_is_detected() {
    let ops = [(0, Op::Call(0, 0, 0)), (0, Op::Route(0, 0)), (0, Op::Route(0, 1)), (0, Op::Answer(1))];
    let world = run(&ops);
    let all = || Day::FIRST..=Day::LAST;
    let found = world.service().statistics(environment(0), &all());
    assert_eq!((found.callbacks.len(), found.unmatched), (1, 1));
    assert_eq!(found.callbacks[0].count, Count { received: 1, answered: 1 });
    let today = || START.day()..=START.day();
    assert_eq!(world.expected(0, &today()), found);
    let change = |change: fn(&mut Routed)| {
        let mut world = run(&ops);
        change(&mut world.routed[0]);
        world.expected(0, &today())
    };
    assert_ne!(change(|routed| routed.day = routed.day.plus(1)), found);
    assert_ne!(change(|routed| routed.is_answered = false), found);
    assert_ne!(change(|routed| routed.taken = None), found);
    assert_ne!(change(|routed| routed.taken = Some((source(0, 2), callback_agent(0, 0)))), found);
    assert_ne!(change(|routed| routed.tenant = 1), found);
}
