//! What comes in at the SIP door, by what became of it. Nobody is named: labels are words of this program only.

use crate::sync::{AtomicU64, Ordering};
use std::fmt;

/// Methods that are told apart; whatever else there is counts as the last.
pub const SIP_METHODS: [&str; 4] = ["INVITE", "CANCEL", "OPTIONS", "other"];

/// Every status that the door answers with.
pub const SIP_STATUSES: [u16; 11] = [200, 302, 400, 404, 405, 416, 420, 480, 481, 503, 505];

macro_rules! events {
    ($($(#[$doc:meta])* $event:ident = $name:literal,)+) => {
        /// What else happens at the door.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum SipEvent {
            $($(#[$doc])* $event,)+
        }

        impl SipEvent {
            /// Each of them.
            pub const ALL: [SipEvent; [$($name),+].len()] = [$(SipEvent::$event),+];

            /// Its word.
            pub const fn name(self) -> &'static str {
                match self { $(SipEvent::$event => $name,)+ }
            }
        }
    };
}

events! {
    /// A datagram, or a connection, from an address that is not trusted: nothing was read of it and nothing answered.
    Stranger = "stranger",
    /// What is no request of SIP, or says of no way back: nothing was answered.
    Unreadable = "unreadable",
    /// An ACK, which nothing is ever answered to.
    Ack = "ack",
    /// A response: the door asks nobody, so that it belongs to nobody here.
    Response = "response",
    /// More bytes than a message may have: the connection was closed.
    TooLarge = "too_large",
    /// A request that was answered before, as it was answered before.
    Retransmission = "retransmission",
    /// A decision for an agent for whom no contact is configured.
    NoContact = "no_contact",
    /// The parser broke on a message: nothing was answered.
    Panic = "panic",
    /// Two line ends that ask whether the connection is alive (RFC 5626).
    KeepAlive = "keep_alive",
    /// A connection that was taken.
    Connected = "connected",
    /// A connection on which nothing was said for too long.
    Idle = "idle",
    /// A connection that began a message and did not finish it in time, or did not read its answers.
    Slow = "slow",
    /// A response that the network did not take.
    NotSent = "not_sent",
}

/// Counters of the SIP door.
///
/// # Orderings
/// All relaxed: a count orders nothing else.
pub struct SipCounts {
    answers: [[AtomicU64; SIP_STATUSES.len()]; SIP_METHODS.len()],
    events: [AtomicU64; SipEvent::ALL.len()],
    connections: AtomicU64,
}

impl SipCounts {
    /// Nothing has come in yet.
    pub fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            answers: std::array::from_fn(|_| std::array::from_fn(|_| zero())),
            events: std::array::from_fn(|_| zero()),
            connections: zero(),
        }
    }

    /// How many requests with this method (a word of [`SIP_METHODS`]) were answered with this status.
    pub fn answered(&self, method: &str, status: u16) -> u64 {
        let (Some(method), Some(status)) = (place(&SIP_METHODS, &method), place(&SIP_STATUSES, &status)) else {
            return 0;
        };
        self.answers[method][status].load(Ordering::Relaxed)
    }

    /// How often this happened.
    pub fn happened(&self, event: SipEvent) -> u64 {
        self.events[event as usize].load(Ordering::Relaxed)
    }

    /// Connections that are open now.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    #[cfg(feature = "sip")]
    pub(crate) fn answer(&self, method: &str, status: u16) {
        let method = place(&SIP_METHODS, &method).unwrap_or(SIP_METHODS.len() - 1);
        if let Some(status) = place(&SIP_STATUSES, &status) {
            self.answers[method][status].fetch_add(1, Ordering::Relaxed);
        }
    }

    #[cfg(feature = "sip")]
    pub(crate) fn count(&self, event: SipEvent) {
        self.events[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(feature = "sip")]
    pub(crate) fn open(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(feature = "sip")]
    pub(crate) fn close(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

fn place<T: PartialEq>(among: &[T], what: &T) -> Option<usize> {
    among.iter().position(|one| one == what)
}

impl Default for SipCounts {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SipCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SipCounts").field("connections", &self.connections()).finish_non_exhaustive()
    }
}
