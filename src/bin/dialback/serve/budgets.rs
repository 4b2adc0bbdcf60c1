//! The number of connections that each listener may hold.

use dialback::admission::Budget;

/// The connections of the listener for metrics, and of the one for the commands of this program. Their clients send one
/// request and disconnect.
const OPERATORS: usize = 64;

/// The number of connections for each kind of listener; 0 for a listener that does not exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Budgets {
    pub(crate) front: usize,
    pub(crate) metrics: usize,
    /// The listener on loopback that serves commands if the main listener uses TLS.
    pub(crate) side: usize,
    /// For each of the SIP listeners.
    pub(crate) sip: usize,
    pub(crate) sip_listeners: usize,
    pub(crate) agi: usize,
    /// The connections from one source address. `None` means a quarter of each listener's, 0 no limit.
    pub(crate) per_source: Option<usize>,
}

impl Budgets {
    /// Returns the budgets of a daemon with a single listener.
    pub(crate) fn of_front(front: usize, per_source: Option<usize>) -> Self {
        Self { front, metrics: 0, side: 0, sip: 0, sip_listeners: 0, agi: 0, per_source }
    }

    pub(crate) fn with_metrics(self, wanted: bool) -> Self {
        Self { metrics: if wanted { OPERATORS } else { 0 }, ..self }
    }

    pub(crate) fn with_side(self, wanted: bool) -> Self {
        Self { side: if wanted { OPERATORS } else { 0 }, ..self }
    }

    /// Returns the largest number of simultaneous connections.
    pub(crate) fn total(&self) -> u64 {
        (self.front + self.metrics + self.side + self.sip * self.sip_listeners + self.agi) as u64
    }

    pub(crate) fn listeners(&self) -> u64 {
        let single = [self.front, self.metrics, self.side, self.agi].iter().filter(|held| **held > 0).count();
        (single + self.sip_listeners) as u64
    }

    /// Returns the budgets with changed numbers of connections.
    pub(crate) fn map(self, change: impl Fn(usize) -> usize) -> Self {
        let change = |held: usize| if held == 0 { 0 } else { change(held) };
        let (front, metrics, side) = (change(self.front), change(self.metrics), change(self.side));
        Self { front, metrics, side, sip: change(self.sip), agi: change(self.agi), ..self }
    }

    /// Returns the budget of a listener with this many connections.
    pub(crate) fn of(&self, connections: usize) -> Budget {
        match self.per_source {
            None => Budget::of(connections),
            Some(0) => Budget { connections, per_source: None },
            Some(per_source) => Budget { connections, per_source: Some(per_source) },
        }
    }
}
