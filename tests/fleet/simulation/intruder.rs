//! Publishers that are no nodes of the simulation: strays, forgers, and a node of a newer version.

#![allow(unreachable_pub)]

use super::world::{PARTITIONS, World};
use crate::support::random::Random;
use dialback::fleet::{Body, Delivery, Envelope, Keys, Subject, Unreadable, digest, read};
use dialback::{AgentId, Change, Configuration, EnvironmentId, Timestamp};
use std::sync::atomic::Ordering;

/// Flag of an envelope: a node that does not know the version or the kind may skip the message.
const MAY_SKIP: u8 = 1;

/// A publisher that is no node.
pub struct Intruder {
    /// Whether it publishes messages that are well-formed and not authentic. Only nodes with a key recognize them.
    forges: bool,
    /// Whether it publishes messages of a newer version, as an updated node of the fleet.
    is_newer: bool,
    written: u64,
}

impl Intruder {
    /// Returns the intruder of a run, if it has one.
    pub fn of(random: &mut Random, keys: &Keys) -> Option<Self> {
        let has_key = format!("{keys:?}") != format!("{:?}", Keys::NONE);
        let (is_there, is_newer) = (random.is_one_in(2), random.is_one_in(4));
        is_there.then_some(Self { forges: has_key, is_newer, written: 0 })
    }

    /// Does something, or nothing.
    pub fn act(mut self, world: &mut World) -> Self {
        match world.random.below(40) {
            0 => Self::stray(world),
            1 if self.forges => self.forge(world),
            2 if self.is_newer => self.newer(world),
            3 => Self::delete(world),
            _ => {}
        }
        self
    }

    /// Returns the messages of the stream that halt the nodes. Copies of them do, too.
    fn halting(world: &World) -> Vec<Delivery> {
        let halts = |message: &Delivery| {
            let read = read(&message.payload, message.subject, &world.keys);
            matches!(read, Err(Unreadable::Newer { .. }))
        };
        world.server.messages().into_iter().filter(halts).collect()
    }

    /// Returns whether the stream holds a message that halts the nodes.
    pub fn is_halting(world: &World) -> bool {
        !Self::halting(world).is_empty()
    }

    /// Stops. The operator of the fleet removes the message that halts its nodes.
    pub fn end(world: &mut World) {
        Self::delete(world);
    }

    fn subject(world: &mut World) -> Subject {
        match world.random.below(3) {
            0 => Subject::Configuration,
            1 => Subject::Calls(u16::try_from(world.random.below(usize::from(PARTITIONS))).expect("few")),
            _ => Subject::Other,
        }
    }

    /// Publishes something that is no message, or a copy of a message that is not intact or not in its place.
    fn stray(world: &mut World) {
        let subject = Self::subject(world);
        let messages = world.server.messages();
        let copy = |random: &mut Random| messages.get(random.below(messages.len().max(1))).cloned();
        let (what, subject, payload) = match world.random.below(5) {
            0 => ("nothing", subject, Vec::new()),
            1 => ("a greeting", subject, b"hello".to_vec()),
            2 => match copy(&mut world.random) {
                Some(Delivery { subject, payload, .. }) if !payload.is_empty() => {
                    let mut payload = payload.to_vec();
                    let bit = world.random.below(payload.len() * 8);
                    payload[bit / 8] ^= 1 << (bit % 8);
                    ("a damaged copy", subject, payload)
                }
                _ => return,
            },
            3 => match copy(&mut world.random) {
                Some(Delivery { subject, payload, .. }) => ("a copy", subject, payload.to_vec()),
                None => return,
            },
            _ => match copy(&mut world.random) {
                Some(Delivery { subject: Subject::Configuration, payload, .. }) => {
                    ("a misplaced copy", Subject::Calls(0), payload.to_vec())
                }
                Some(Delivery { payload, .. }) => ("a misplaced copy", Subject::Configuration, payload.to_vec()),
                None => return,
            },
        };
        world.counts.strays += 1;
        let position = world.server.inject(subject, &payload);
        world.say(format!("a stray publishes {what} in {subject:?} at {position}"));
    }

    fn envelope(&mut self, world: &World, version: u8, kind: u8, flags: u8) -> Envelope {
        self.written += 1;
        let sent_at = Timestamp::from_millis(world.now.load(Ordering::SeqCst));
        Envelope { version, kind, flags, node: [0xFF; 16], written: self.written, sent_at }
    }

    /// Publishes what a node would, without the fleet's key: an event under the identity of a node, or a configuration
    /// that follows the last one and fits no plan.
    fn forge(&mut self, world: &mut World) {
        let no_keys = Keys::NONE;
        let other = Keys::read(&"77".repeat(32), "simulated").expect("a key");
        let keys = if world.random.is_one_in(2) { &no_keys } else { &other };
        let node = world.random.below(world.nodes.len());
        let identity = world.nodes[node].identity(node);
        let (subject, kind, body) = if world.random.is_one_in(2) {
            (Subject::Configuration, b'C', self.configuration(world))
        } else {
            let Some(event) = world.call_of_a_stranger() else { return };
            (Subject::Calls(0), b'E', event)
        };
        // Both kinds of tags.
        let version = if self.written.is_multiple_of(2) { 2 } else { 4 };
        let envelope = Envelope { node: identity, ..self.envelope(world, version, kind, 0) };
        let is_first = world.random.is_one_in(4);
        let payload = if is_first { envelope.seal_first(&body) } else { envelope.seal(subject, &body, keys) };
        world.counts.forgeries += 1;
        let position = world.server.inject(subject, &payload);
        world.say(format!("a forger publishes {} as {node} at {position}", kind.escape_ascii()));
    }

    /// Returns the body of a configuration that follows the last one in the stream.
    fn configuration(&self, world: &World) -> Vec<u8> {
        let held = |message: &Delivery| match read(&message.payload, message.subject, &world.keys).ok()?.body {
            Body::Configuration { parent, configuration } => Some((parent, configuration)),
            _ => None,
        };
        let last = world.server.messages().iter().rev().find_map(held);
        let (parent, sequence) = last.map_or((0, 1), |(_, last)| (digest(&last), last.sequence + 1));
        let (environment, at) = (EnvironmentId::from_u128(0xBAD), Timestamp::from_millis(0));
        let changes = vec![Change::AgentDeleted { id: AgentId::from_u128(self.written.into()) }];
        let configuration = Configuration::new(sequence, environment, at, changes);
        [&parent.to_be_bytes()[..], &serde_json::to_vec(&configuration).expect("text")].concat()
    }

    /// Publishes a message of a newer version with the fleet's key: one that may be skipped, or one that may not.
    fn newer(&mut self, world: &mut World) {
        let flags = if world.random.is_one_in(2) { MAY_SKIP } else { 0 };
        let (version, kind) = if world.random.is_one_in(2) { (5, b'E') } else { (4, b'X') };
        let subject = match Self::subject(world) {
            Subject::Other => Subject::Calls(0),
            subject => subject,
        };
        let payload = self.envelope(world, version, kind, flags).seal(subject, b"news", &world.keys);
        let position = world.server.inject(subject, &payload);
        world.counts.newer += 1;
        world.say(format!("a newer node publishes version {version}, flags {flags} at {position}"));
    }

    /// Removes the messages that halt the nodes.
    fn delete(world: &mut World) {
        for Delivery { position, payload, .. } in Self::halting(world) {
            world.server.delete(position.0, &payload);
            world.counts.deletions += 1;
            world.say(format!("an operator removes the message at {position}"));
        }
    }
}
