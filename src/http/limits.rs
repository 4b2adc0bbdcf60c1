//! The limits of an [`Api`](super::Api).

use std::time::Duration;

/// The limits of a request and of an environment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The maximum size of a request body in bytes. A bulk upload has no limit as a whole, but each of its lines has this
    /// one. Default: 1 MiB.
    pub body_bytes: usize,
    /// The time limit of a request, from its head to its response. In a bulk upload it limits each step: the wait for more
    /// of the body, or for the store. Default: 30 seconds.
    pub patience: Duration,
    /// How long `GET /route` waits for the id and the context of the call behind its decision, which are on the disk. Beyond
    /// it, the decision is answered without them. Default: 20 milliseconds.
    pub context_patience: Duration,
    /// The maximum number of agents that an environment may ever have, including deleted ones. An installation can create at
    /// most 2^20 - 2 agents in total. Default: 131,072.
    pub agents: usize,
    /// The maximum number of phone numbers that an environment may ever have, including deleted ones. An installation can
    /// hold about 2^24 in total. Default: 2,097,152.
    pub numbers: usize,
    /// The maximum number of pairs of a callback agent and a source agent in an environment. Pairs removed within the last
    /// [`REST_DAYS`](crate::plan::REST_DAYS) days count too. An installation can hold about 2^24. Default: 262,144.
    pub callback_pairs: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // An eighth of the agents and numbers that an installation can hold: eight environments can reach their limits before
        // the installation is full. A pair takes 64 bytes of memory, so the default limit of pairs takes 16 MiB.
        let (agents, numbers, callback_pairs) = (1 << 17, 1 << 21, 1 << 18);
        let (patience, context_patience) = (Duration::from_secs(30), Duration::from_millis(20));
        Self { body_bytes: 1 << 20, patience, context_patience, agents, numbers, callback_pairs }
    }
}
