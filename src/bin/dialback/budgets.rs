//! How many connections each listener holds.

use dialback::admission::Budget;

/// Connections of the listener for metrics, and of the one for the commands of this program: each client asks one thing and leaves.
const OPERATORS: usize = 64;

/// Connections by kind of listener; 0 where there is no such listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Budgets {
    pub(crate) front: usize,
    pub(crate) metrics: usize,
    /// The listener on loopback beside one that speaks TLS.
    pub(crate) side: usize,
    /// Of each of the SIP listeners.
    pub(crate) sip: usize,
    pub(crate) sip_listeners: usize,
    pub(crate) agi: usize,
    /// Connections from one source address; `None`: a quarter of each listener's; 0: not bounded.
    pub(crate) per_source: Option<usize>,
}

impl Budgets {
    /// Those of a daemon with one listener.
    pub(crate) fn of_front(front: usize, per_source: Option<usize>) -> Self {
        Self { front, metrics: 0, side: 0, sip: 0, sip_listeners: 0, agi: 0, per_source }
    }

    pub(crate) fn with_metrics(self, wanted: bool) -> Self {
        Self { metrics: if wanted { OPERATORS } else { 0 }, ..self }
    }

    pub(crate) fn with_side(self, wanted: bool) -> Self {
        Self { side: if wanted { OPERATORS } else { 0 }, ..self }
    }

    /// All connections that there may be at a time.
    pub(crate) fn total(&self) -> u64 {
        (self.front + self.metrics + self.side + self.sip * self.sip_listeners + self.agi) as u64
    }

    pub(crate) fn listeners(&self) -> u64 {
        let single = [self.front, self.metrics, self.side, self.agi].iter().filter(|held| **held > 0).count();
        (single + self.sip_listeners) as u64
    }

    /// The same with other numbers of connections.
    pub(crate) fn map(self, change: impl Fn(usize) -> usize) -> Self {
        let change = |held: usize| if held == 0 { 0 } else { change(held) };
        let (front, metrics, side) = (change(self.front), change(self.metrics), change(self.side));
        Self { front, metrics, side, sip: change(self.sip), agi: change(self.agi), ..self }
    }

    /// What a listener with so many connections holds.
    pub(crate) fn of(&self, connections: usize) -> Budget {
        match self.per_source {
            None => Budget::of(connections),
            Some(0) => Budget { connections, per_source: None },
            Some(per_source) => Budget { connections, per_source: Some(per_source) },
        }
    }
}
