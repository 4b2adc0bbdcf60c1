//! The nodes, the events that happen to them, and what was acknowledged.

#![allow(unreachable_pub)]

use super::details::{Acknowledged as Detailed, Reports};
use super::intruder::Intruder;
use super::stream::SimServer;
use super::wishes::{Answer, Wishes};
use crate::support::random::Random;
use dialback::fleet::{Keys, Link, NodeId, Planted, Settings, Share, StepError, Stepper, StreamError, encode};
use dialback::metrics::FleetState;
use dialback::plan::EnvironmentView;
use dialback::testing::lasting::LastingStore;
use dialback::testing::universe::START;
use dialback::{
    AgentId, Applied, Call, Change, Configuration, CountsFrom, DialPlan, Direction, E164, Engine, EnvironmentId,
    Erasure, Event, Lookback, NumberId, Outcome, Service, ServiceError, Timestamp,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const CONTACTS: usize = 8;
/// Few partitions, so that each contains something.
pub const PARTITIONS: u16 = 3;
/// A small limit on the length of messages: a configuration fits, and a batch of calls does not.
const SMALL: usize = 720;
/// A small limit on the size of the stream: more than a node has to publish again, and less than what all publish between
/// two snapshots.
const FEW: usize = 6_000;
/// The same if the nodes publish ids and contexts, too.
const MANY: usize = 3 * FEW;
const MINUTE: u64 = 60_000;
const YEAR: u64 = 365 * 24 * 60 * MINUTE;

/// A planted bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// Acknowledged events are not in the outbox.
    NoOutbox,
    /// Acknowledged events are not synced.
    NoSync,
    /// A bug in the node.
    Node(Planted),
    /// The stream accepts configurations in any order.
    AnyOrder,
}

/// The whole simulation.
#[allow(clippy::struct_excessive_bools, reason = "the flags are independent")]
pub struct World {
    pub server: SimServer,
    pub nodes: Vec<Node>,
    pub random: Random,
    pub now: Arc<AtomicU64>,
    bug: Option<Bug>,
    pub acknowledged: Acknowledged,
    /// The configurations of the nodes that had stopped, before their disks were replaced.
    pub given_up: Vec<Configuration>,
    pub agents: Vec<(EnvironmentId, AgentId)>,
    pub numbers: Vec<(EnvironmentId, E164)>,
    made: u128,
    pub story: Vec<String>,
    rolls_back: bool,
    recreates: bool,
    /// Whether an operator purges the stream now and then.
    purges: bool,
    /// Whether clocks are wrong by up to a year, and change.
    has_wrong_clocks: bool,
    /// A publisher that is no node, if there is one.
    intruder: Option<Intruder>,
    /// Requests that may change nothing, if there are some.
    wishes: Option<Wishes>,
    /// Reports with ids and contexts, if there are some.
    reports: Option<Reports>,
    /// The keys of the nodes.
    pub keys: Keys,
    pub counts: Counts,
}

/// The events and configurations that were acknowledged.
#[derive(Default)]
pub struct Acknowledged {
    pub events: Vec<Event>,
    /// The calls among the events, each with the number that it was placed from, as the recording node knew it.
    pub calls: Vec<(Call, NumberId)>,
    pub configurations: Vec<(u64, EnvironmentId, Vec<Change>)>,
    /// The answers to changes of the configuration.
    pub answers: Vec<Answer>,
    /// The reports with an id or a context.
    pub details: Vec<Detailed>,
}

/// How often each kind of thing happened, so that a run shows that it did.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Counts {
    pub calls: u64,
    pub erasures: u64,
    pub configurations: u64,
    /// Requests that changed nothing.
    pub confirmed: u64,
    pub superseded: u64,
    pub refused_away: u64,
    pub unknown_outcomes: u64,
    pub restarts: u64,
    pub power_failures: u64,
    pub partitions: u64,
    pub rollbacks: u64,
    pub recreations: u64,
    pub truncations: u64,
    pub joins: u64,
    pub conflicts: u64,
    pub strays: u64,
    pub forgeries: u64,
    pub newer: u64,
    pub deletions: u64,
    pub purges: u64,
    /// Calls that were reported and did not count.
    pub uncounted: u64,
    /// Publications that a full stream rejected.
    pub full: u64,
    pub clock_jumps: u64,
    /// Reports with an id or a context, by all fields of the call.
    pub details: u64,
    /// Reports by an id alone.
    pub updates: u64,
    /// Reports that were rejected because their id belongs to another call.
    pub reused: u64,
    /// Ids that two nodes accepted for different calls.
    pub shared_ids: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.erasures += other.erasures;
        self.configurations += other.configurations;
        self.confirmed += other.confirmed;
        self.superseded += other.superseded;
        self.refused_away += other.refused_away;
        self.unknown_outcomes += other.unknown_outcomes;
        self.restarts += other.restarts;
        self.power_failures += other.power_failures;
        self.partitions += other.partitions;
        self.rollbacks += other.rollbacks;
        self.recreations += other.recreations;
        self.truncations += other.truncations;
        self.joins += other.joins;
        self.conflicts += other.conflicts;
        self.strays += other.strays;
        self.forgeries += other.forgeries;
        self.newer += other.newer;
        self.deletions += other.deletions;
        self.purges += other.purges;
        self.uncounted += other.uncounted;
        self.full += other.full;
        self.clock_jumps += other.clock_jumps;
        self.details += other.details;
        self.updates += other.updates;
        self.reused += other.reused;
        self.shared_ids += other.shared_ids;
    }
}

pub struct Node {
    pub store: LastingStore,
    /// The partitions whose calls the node keeps.
    pub share: Share,
    life: u8,
    /// How far the node's clock is ahead, in milliseconds; wraps if it is behind.
    skew: Arc<AtomicU64>,
    pub running: Option<Running>,
}

pub struct Running {
    pub service: Arc<Service>,
    pub link: Arc<Link>,
    stepper: Stepper,
}

/// Returns the keys of the nodes in this run.
fn keys(random: &mut Random) -> Keys {
    match random.below(3) {
        0 => Keys::NONE,
        kind => Keys::read(&"5a".repeat(32), "simulated").expect("a key").encrypting(kind == 2),
    }
}

impl Node {
    /// Returns the identity of the node's present or last run.
    pub fn identity(&self, index: usize) -> NodeId {
        let mut identity = [u8::try_from(index).expect("few"); 16];
        identity[1] = self.life;
        identity
    }
}

impl World {
    pub fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut random = Random::new(seed, 1);
        let count = 3 + random.below(5);
        let keys = keys(&mut random);
        let server = SimServer::new(Random::new(seed, 2), count);
        server.step();
        if bug == Some(Bug::AnyOrder) {
            server.take_any_order();
        }
        if random.is_one_in(3) {
            server.limit(SMALL);
        }
        let now = Arc::new(AtomicU64::new(START.millis()));
        // The seeds that find other planted bugs stay the same without ids and contexts.
        let is_of_details = matches!(bug, Some(Bug::Node(Planted::NoDetailsAgain | Planted::DatesAnew)));
        let has_details = bug.is_none() && seed % 3 != 1 || is_of_details;
        let mut world = Self {
            server,
            nodes: Vec::new(),
            rolls_back: random.is_one_in(2),
            recreates: random.is_one_in(8),
            purges: random.is_one_in(4),
            has_wrong_clocks: random.is_one_in(3),
            intruder: Intruder::of(&mut random, &keys),
            wishes: Wishes::of(seed),
            reports: has_details.then(|| Reports::new(seed)),
            keys,
            random,
            now,
            bug,
            acknowledged: Acknowledged::default(),
            given_up: Vec::new(),
            agents: Vec::new(),
            numbers: Vec::new(),
            made: 0,
            story: Vec::new(),
            counts: Counts::default(),
        };
        // A stream that an intruder fills needs an operator, who purges it.
        if seed % 5 == 3 && world.intruder.is_none() {
            world.server.hold_at_most(if has_details { MANY } else { FEW });
        }
        for node in 0..count {
            let key = [u8::try_from(node).expect("few"); 32];
            let mut store = LastingStore::new(key);
            match bug {
                Some(Bug::NoOutbox) => store = store.that_loses_its_outbox(),
                Some(Bug::NoSync) => store = store.that_syncs_nothing(),
                _ => {}
            }
            let skew = Arc::new(AtomicU64::new(world.skew()));
            // In every second run, the last node keeps a part of the partitions.
            let has_less = seed % 2 == 1 && node == count - 1;
            let share = if has_less { Share::of([0, 2]) } else { Share::ALL };
            world.nodes.push(Node { store, share, life: 0, skew, running: None });
        }
        // The last node joins later.
        (0..count - 1).for_each(|node| world.start(node));
        world
    }

    pub fn say(&mut self, what: impl Into<String>) {
        self.story.push(what.into());
    }

    pub fn start(&mut self, node: usize) {
        let place = &mut self.nodes[node];
        place.life += 1;
        let (now, skew) = (Arc::clone(&self.now), Arc::clone(&place.skew));
        let clock = move || now.load(Ordering::SeqCst).wrapping_add(skew.load(Ordering::SeqCst));
        let mut settings = Settings::new(move || Timestamp::from_millis(clock()));
        settings.node = place.identity(node);
        settings.partitions = PARTITIONS;
        settings.share = place.share.clone();
        settings.keys = self.keys.clone();
        settings.batch = 50;
        settings.settle = Duration::from_secs(2);
        settings.beat_every = Duration::from_secs(20);
        settings.snapshot_every = Duration::from_secs(90);
        // Longer than the faults last: only nodes that are all connected continue without a snapshot.
        settings.snapshot_wait = Duration::from_secs(600);
        settings.planted = match self.bug {
            Some(Bug::Node(planted)) => Some(planted),
            _ => None,
        };
        let link = Link::new(settings, self.server.port(node));
        let engine = Engine::with_max_pairs(10_000);
        let service = Service::builder(place.store.clone()).engine(engine).sequencer(Arc::clone(&link) as _).start();
        let service = Arc::new(service.expect("what is stored fits"));
        let stepper = Stepper::new(&link, &service).expect("the store has an outbox");
        place.running = Some(Running { service, link, stepper });
    }

    pub fn stop(&mut self, node: usize) {
        self.nodes[node].running = None;
    }

    /// Ends the node's process or its power. A power failure loses what was not synced.
    fn end(&mut self, node: usize) {
        let store = self.nodes[node].store.clone();
        let left = store.after_a_power_failure();
        store.kill(|| self.stop(node));
        if self.random.is_one_in(2) {
            self.say(format!("{node} loses power"));
            self.counts.power_failures += 1;
            self.nodes[node].store = left;
        } else {
            self.say(format!("{node} ends"));
            self.counts.restarts += 1;
        }
    }

    /// Replaces the node's disk with an empty one, and starts the node again.
    pub fn wipe(&mut self, node: usize) {
        self.stop(node);
        self.nodes[node].store = LastingStore::new([0x80 | u8::try_from(node).expect("few"); 32]);
        self.start(node);
    }

    pub fn pass(&mut self, millis: u64) {
        self.now.fetch_add(millis, Ordering::SeqCst);
    }

    pub fn now_at(&self, node: usize) -> Timestamp {
        let skew = self.nodes[node].skew.load(Ordering::SeqCst);
        Timestamp::from_millis(self.now.load(Ordering::SeqCst).wrapping_add(skew))
    }

    pub fn state(&self, node: usize) -> Option<FleetState> {
        self.nodes[node].running.as_ref().map(|running| running.link.metrics().state())
    }

    /// Returns how far a clock is ahead: up to 20 minutes, or up to a year in either direction.
    fn skew(&mut self) -> u64 {
        let little = self.random.below(20) as u64 * MINUTE;
        match self.random.below(8) {
            0 if self.has_wrong_clocks => YEAR + little,
            1 if self.has_wrong_clocks => little.wrapping_sub(YEAR),
            _ => little,
        }
    }

    /// Lets an operator purge the stream, or set a clock, in runs in which that happens.
    fn operate(&mut self) {
        if self.purges && self.random.is_one_in(150) {
            self.server.purge();
            self.counts.purges += 1;
            self.say("an operator purges the stream");
        }
        if self.has_wrong_clocks && self.random.is_one_in(60) {
            let (node, skew) = (self.random.below(self.nodes.len()), self.skew());
            self.nodes[node].skew.store(skew, Ordering::SeqCst);
            self.counts.clock_jumps += 1;
            self.say(format!("the clock of {node} is now ahead by {} s", skew.cast_signed() / 1000));
        }
    }

    /// Lets one random thing happen.
    pub fn act(&mut self) {
        let millis = self.random.below(3000) as u64;
        self.pass(millis);
        self.intrude();
        self.operate();
        if let Some(wishes) = self.wishes.take() {
            self.wishes = Some(wishes.act(self));
        }
        if let Some(reports) = self.reports.take() {
            self.reports = Some(reports.act(self));
        }
        let node = self.random.below(self.nodes.len());
        if self.nodes[node].running.is_none() {
            if self.random.is_one_in(8) {
                self.counts.joins += u64::from(self.nodes[node].life == 0);
                self.say(format!("{node} starts"));
                self.start(node);
            }
            return;
        }
        match self.random.below(100) {
            0..25 => self.publish(node),
            25..55 => {
                self.consume(node);
            }
            55..61 => self.keep(node),
            61..82 => self.call(node),
            82..85 => self.erase(node),
            // Mostly on a node that can change the configuration.
            85..91 => {
                let follows = |node: &usize| self.state(*node) == Some(FleetState::Following);
                let can = (0..self.nodes.len()).filter(follows).collect::<Vec<_>>();
                let is_any = can.is_empty() || self.random.is_one_in(4);
                let node = if is_any { node } else { can[self.random.below(can.len())] };
                self.configure(node);
            }
            91..92 => {
                self.end(node);
                if self.random.is_one_in(2) {
                    self.start(node);
                }
            }
            92..95 => {
                let is_cut = !self.server.is_cut(node);
                self.say(format!("{node} is {}", if is_cut { "cut off" } else { "reconnected" }));
                self.counts.partitions += u64::from(is_cut);
                self.server.cut(node, is_cut);
            }
            95..97 => self.server.sync(),
            _ if !self.rolls_back => {}
            _ if self.recreates && self.random.is_one_in(3) => {
                self.say("the stream is deleted and created again");
                self.counts.recreations += 1;
                self.server.recreate();
            }
            _ => {
                let lost = self.server.crash();
                self.say(format!("the server crashes and loses {lost}"));
                self.counts.rollbacks += u64::from(lost > 0);
                // Sometimes the power of a whole site fails.
                if self.random.is_one_in(2) {
                    for node in 0..self.nodes.len() {
                        if self.random.is_one_in(2) && self.nodes[node].running.is_some() {
                            self.end(node);
                            self.start(node);
                        }
                    }
                }
            }
        }
    }

    /// Lets the intruder act, if there is one.
    fn intrude(&mut self) {
        if let Some(intruder) = self.intruder.take() {
            self.intruder = Some(intruder.act(self));
        }
    }

    /// Sets all clocks right.
    pub fn repair_clocks(&mut self) {
        self.has_wrong_clocks = false;
        for node in 0..self.nodes.len() {
            let skew = self.skew();
            self.nodes[node].skew.store(skew, Ordering::SeqCst);
        }
    }

    /// Returns whether the stream holds a message that halts the nodes.
    pub fn is_halting(&self) -> bool {
        Intruder::is_halting(self)
    }

    /// Ends what an intruder does.
    pub fn end_intrusion(&mut self) {
        self.intruder = None;
        Intruder::end(self);
    }

    /// Returns the body of a message with a call that no node recorded, if there is an agent that could have placed it.
    pub fn call_of_a_stranger(&mut self) -> Option<Vec<u8>> {
        let (environment, agent) = *self.agents.get(self.random.below(self.agents.len().max(1)))?;
        let (_, from) = *self.numbers.get(self.random.below(self.numbers.len().max(1)))?;
        let (to, outcome) = (self.contact(), Outcome::Answered);
        let at = Timestamp::from_millis(self.now.load(Ordering::SeqCst) + 30 * MINUTE);
        Some(encode(&Event::Call(Call { environment, agent, from, to, at, outcome })))
    }

    fn step(&mut self, node: usize, what: &str, step: impl FnOnce(&mut Stepper) -> Result<bool, StepError>) -> bool {
        let Some(running) = &mut self.nodes[node].running else { return false };
        match step(&mut running.stepper) {
            Ok(did) => did,
            Err(error) => {
                self.counts.full += u64::from(matches!(error, StepError::Stream(StreamError::Full(_))));
                let text = format!("{node} {what}: {error}");
                if self.story.last() != Some(&text) {
                    self.say(text);
                }
                false
            }
        }
    }

    pub fn publish(&mut self, node: usize) {
        let last = self.server.last();
        self.step(node, "publishes", Stepper::publish);
        let now = self.server.last();
        if now > last {
            self.say(format!("{node} publishes up to {now}"));
        }
    }

    pub fn consume(&mut self, node: usize) -> bool {
        let last = self.server.last();
        let did = self.step(node, "consumes", Stepper::consume);
        let now = self.server.last();
        if now > last {
            let state = self.state(node);
            self.say(format!("{node} publishes configurations up to {now}, {state:?}"));
        }
        did
    }

    pub fn keep(&mut self, node: usize) {
        let first = self.server.first();
        self.step(node, "keeps", Stepper::keep);
        let now = self.server.first();
        if now > first {
            self.counts.truncations += 1;
            self.say(format!("{node} truncates up to {now}"));
        }
    }

    pub fn service(&self, node: usize) -> Arc<Service> {
        Arc::clone(&self.nodes[node].running.as_ref().expect("it runs").service)
    }

    pub fn record(&mut self, node: usize, event: Event) {
        let (done, answer) = mpsc::channel();
        self.service(node)
            .submit(vec![event.clone()], move |recording| done.send(recording).expect("the receiver waits"));
        let did = answer.recv().expect("an answer").expect("the store works");
        match &did[0] {
            Ok(Applied::Ignored) => {}
            Ok(Applied::Uncounted) => self.counts.uncounted += 1,
            Ok(did) => {
                self.say(format!("{node} records {event:?}: {did:?}"));
                if let Event::Call(call) = event {
                    let plan = self.service(node).plan();
                    let number = plan.dialed(call.from).expect("a call that counts is from a number that is there");
                    self.acknowledged.calls.push((call, number.id()));
                }
                self.acknowledged.events.push(event);
            }
            Err(error) => panic!("there is room: {error}"),
        }
    }

    fn contact(&mut self) -> E164 {
        E164::from_code(49_000 + self.random.below(CONTACTS) as u64).expect("a code")
    }

    fn call(&mut self, node: usize) {
        if self.agents.is_empty() || self.numbers.is_empty() {
            return;
        }
        let (environment, agent) = self.agents[self.random.below(self.agents.len())];
        let (_, from) = self.numbers[self.random.below(self.numbers.len())];
        let to = self.contact();
        let at = Timestamp::from_millis(self.now_at(node).millis() - self.random.below(600_000) as u64);
        let outcome = Outcome::ALL[self.random.below(8)];
        self.counts.calls += 1;
        self.record(node, Event::Call(Call { environment, agent, from, to, at, outcome }));
    }

    fn erase(&mut self, node: usize) {
        let Some((environment, _)) = self.agents.last().copied() else { return };
        let contact = self.contact();
        let until = self.now_at(node);
        self.counts.erasures += 1;
        self.record(node, Event::Erasure(Erasure { environment, contact, until, is_ahead: false }));
    }

    /// Returns the one of two environments that the node's plan has. Two nodes that create it independently create two
    /// environments, as clients of the control API do, because no identity is used twice.
    pub fn environment_of(&self, node: usize, which: u128) -> Option<EnvironmentId> {
        let plan = self.service(node).plan();
        let mut ids = plan.environments().map(EnvironmentView::id);
        ids.find(|id| id.as_u128() % 2 == which)
    }

    /// Returns a look-back that no change of the configuration had before.
    pub fn next_days(&mut self) -> u32 {
        self.made += 1;
        100 + u32::try_from(self.made).expect("few")
    }

    fn configure(&mut self, node: usize) {
        let which = self.random.below(2) as u128;
        self.made += 1;
        let made = self.made;
        let environment = self.environment_of(node, which).unwrap_or(EnvironmentId::from_u128(0xE0 + made * 2 + which));
        let (agent, number) = (AgentId::from_u128(0xA00 + made), NumberId::from_u128(0xD00 + made));
        let digits = E164::from_code(15_550_000 + u64::try_from(made % 4).expect("few")).expect("a code");
        let kind = self.random.below(4);
        // The seeds that find planted bugs stay the same without thresholds.
        let has_threshold = self.bug.is_none() && made.is_multiple_of(2);
        let from = CountsFrom::ALL[usize::try_from(made % 3).expect("few")];
        let decide = move |plan: &dialback::Plan| {
            let mut changes = Vec::new();
            let add_number = Change::NumberAdded { id: number, number: digits };
            if plan.environment(environment).is_none() {
                let lookback = Lookback::default();
                changes.push(Change::EnvironmentSet { name: "acme".into(), dial_plan: DialPlan::NONE, lookback });
                changes.extend(Some(add_number.clone()).filter(|_| kind > 1));
            }
            changes.push(match kind {
                0 => add_number,
                1 if has_threshold => Change::CountsFromSet { from },
                1 => Change::EnvironmentSet {
                    name: format!("acme {made}"),
                    dial_plan: DialPlan::NONE,
                    lookback: Lookback::from_days(30),
                },
                _ => {
                    let name = format!("agent {made}");
                    Change::AgentCreated { id: agent, name, label: None, direction: Direction::Outbound }
                }
            });
            Ok(changes)
        };
        let at = self.now_at(node);
        let done = self.service(node).configure(environment, at, decide);
        self.say(format!("{node} configures {made}: {:?}", done.as_ref().map(|plan| plan.generation())));
        match done {
            Ok(plan) => {
                self.counts.configurations += 1;
                let made = self.nodes[node].store.configurations();
                let made: &Configuration = made.last().expect("the last one");
                assert_eq!(made.sequence, plan.generation());
                self.acknowledged.configurations.push((made.sequence, made.environment, made.changes.clone()));
                self.acknowledged.answers.push(Answer::Acknowledged(made.sequence));
            }
            Err(ServiceError::Superseded) => self.counts.superseded += 1,
            Err(ServiceError::StreamAway(_)) => self.counts.refused_away += 1,
            Err(ServiceError::OutcomeUnknown(_)) => self.counts.unknown_outcomes += 1,
            Err(ServiceError::Config(_)) => {}
            Err(error) => panic!("{error}"),
        }
        // The configuration may still come into force, whatever the result was.
        if kind != 1 {
            self.numbers.push((environment, digits));
        }
        if kind > 1 {
            self.agents.push((environment, agent));
        }
    }
}
