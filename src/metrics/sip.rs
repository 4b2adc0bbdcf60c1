//! Counters of the SIP listener. Labels are constants of this program, never data of a caller.

use crate::sync::{AtomicU64, Ordering};
use std::fmt;

/// The methods that are counted separately. The last entry stands for all others.
pub const SIP_METHODS: [&str; 4] = ["INVITE", "CANCEL", "OPTIONS", "other"];

/// All statuses that the SIP listener sends.
pub const SIP_STATUSES: [u16; 11] = [200, 302, 400, 404, 405, 416, 420, 480, 481, 503, 505];

macro_rules! events {
    ($($(#[$doc:meta])* $event:ident = $name:literal,)+) => {
        /// An event at the SIP listener other than an answered request.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum SipEvent {
            $($(#[$doc])* $event,)+
        }

        impl SipEvent {
            /// All events.
            pub const ALL: [SipEvent; [$($name),+].len()] = [$(SipEvent::$event),+];

            /// Returns the event's name.
            pub const fn name(self) -> &'static str {
                match self { $(SipEvent::$event => $name,)+ }
            }
        }
    };
}

events! {
    /// A datagram or a connection from an untrusted address. Nothing was read and no response sent.
    Stranger = "stranger",
    /// A message that is not a valid SIP request, or does not say where to send a response. No response was sent.
    Unreadable = "unreadable",
    /// An ACK, which never gets a response.
    Ack = "ack",
    /// A response. The listener sends no requests, so it ignores responses.
    Response = "response",
    /// A message longer than allowed. The connection was closed.
    TooLarge = "too_large",
    /// A repeated request, which got the same response again.
    Retransmission = "retransmission",
    /// A decision for an agent without a configured SIP contact.
    NoContact = "no_contact",
    /// A panic while handling a message. No response was sent.
    Panic = "panic",
    /// Two line ends, by which a peer checks the connection (RFC 5626).
    KeepAlive = "keep_alive",
    /// An accepted connection.
    Connected = "connected",
    /// A connection that was closed because it was idle for too long.
    Idle = "idle",
    /// A connection that was closed because it did not finish a message in time, or did not read its responses.
    Slow = "slow",
    /// A response that could not be sent to the network.
    NotSent = "not_sent",
}

/// The counters of the SIP listener.
///
/// # Orderings
/// All relaxed: a count orders nothing else.
pub struct SipCounts {
    answers: [[AtomicU64; SIP_STATUSES.len()]; SIP_METHODS.len()],
    events: [AtomicU64; SipEvent::ALL.len()],
    connections: AtomicU64,
}

impl SipCounts {
    /// Returns counters that are all zero.
    pub fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            answers: std::array::from_fn(|_| std::array::from_fn(|_| zero())),
            events: std::array::from_fn(|_| zero()),
            connections: zero(),
        }
    }

    /// Returns the number of requests with this method (one of [`SIP_METHODS`]) that got this status.
    pub fn answered(&self, method: &str, status: u16) -> u64 {
        let (Some(method), Some(status)) = (place(&SIP_METHODS, &method), place(&SIP_STATUSES, &status)) else {
            return 0;
        };
        self.answers[method][status].load(Ordering::Relaxed)
    }

    /// Returns how often this event happened.
    pub fn happened(&self, event: SipEvent) -> u64 {
        self.events[event as usize].load(Ordering::Relaxed)
    }

    /// Returns the number of open connections.
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
