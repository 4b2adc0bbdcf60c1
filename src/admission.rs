//! Admission: limits how many connections a listener holds, in total and from one source address.
//!
//! Each listener has an [`Admission`] of its own, so that a flood at one leaves the others free. When the listener is full, the
//! connection that has been idle longest is closed for the new one. Connections whose client has not identified itself go first. A
//! connection that is answering a request is never closed.
//!
//! A listener that awaits [`Admission::arrive`] accepts the next connection without delay: the call waits for no client. A
//! connection that has to wait for a client of another one waits in a task of its own, and a few can wait at a time.

use crate::sync::{AtomicBool, AtomicU64, Ordering};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How long a new connection waits for a place while all others are answering requests.
const PATIENCE: Duration = Duration::from_secs(1);

/// The number of connections of one listener that may wait for a place. Each holds a file descriptor beside the budget.
pub const WAITING: usize = 16;

/// The limits of a listener's connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// The maximum number of connections in total.
    pub connections: usize,
    /// The maximum number of connections from one source address. `None` means no limit of its own. Loopback addresses are not
    /// limited, because proxies and the program's own commands connect from there. All IPv6 addresses with the same first 64
    /// bits are one source.
    pub per_source: Option<usize>,
}

impl Budget {
    /// Returns a budget with this total, and a quarter of it for each source.
    pub fn of(connections: usize) -> Self {
        Self { connections, per_source: Some((connections / 4).max(1)) }
    }
}

/// The connections of one listener. All clones share one count.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Listener>);

#[derive(Debug)]
struct Listener {
    budget: Budget,
    open: Mutex<Open>,
    /// Numbers the changes of connections in order, to find the connection that has been idle longest.
    turns: AtomicU64,
    /// Notified when a connection ends or finishes a request.
    changed: Notify,
    /// A permit for each connection that waits for a place.
    waiting: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Open {
    seats: BTreeMap<u64, Arc<Seat>>,
    next: u64,
}

#[derive(Debug)]
struct Seat {
    source: Option<IpAddr>,
    /// A [`State`] in one word.
    state: AtomicU64,
    is_identified: AtomicBool,
    closing: Notify,
}

/// The state of a connection in one word: its kind in the two low bits, and above them the turn at which it began.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State(u64);

impl State {
    const STRANGER: u64 = 0;
    const KNOWN: u64 = 1;
    const BUSY: u64 = 2;
    const CLOSING: u64 = 3;

    fn new(kind: u64, turn: u64) -> Self {
        Self(turn << 2 | kind)
    }

    fn kind(self) -> u64 {
        self.0 & 3
    }

    /// Returns the rank of an idle connection. The one with the lowest rank is closed first. Returns `None` if the connection
    /// must not be closed.
    fn rank(self) -> Option<(u64, u64)> {
        (self.kind() < Self::BUSY).then_some((self.kind(), self.0 >> 2))
    }
}

/// The result of an attempt to admit a connection.
enum Chance {
    Place(Place),
    /// A connection has been told to close, and its place becomes free at once.
    Closing,
    /// All connections are answering requests.
    Full,
    Refused,
}

/// What becomes of a new connection.
#[derive(Debug)]
pub enum Arrival {
    /// The connection has a place.
    Placed(Place),
    /// All connections are answering requests. The new one may wait in a task of its own.
    Waiting(Waiting),
    /// There is no place for the connection.
    Refused,
}

impl Arrival {
    /// Serves the connection in a task of its own, as soon as it has a place. Drops `serve` if there is none.
    pub fn serve<F>(self, serve: impl FnOnce(Place) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        match self {
            Self::Placed(place) => {
                tokio::spawn(serve(place));
            }
            Self::Waiting(waiting) => {
                tokio::spawn(async move {
                    if let Some(place) = waiting.place().await {
                        serve(place).await;
                    }
                });
            }
            Self::Refused => {}
        }
    }
}

/// A connection that waits for a place.
#[derive(Debug)]
pub struct Waiting {
    admission: Admission,
    source: Option<IpAddr>,
    _turn: OwnedSemaphorePermit,
}

impl Waiting {
    /// Waits for a place. Returns `None` if there is none within a second.
    pub async fn place(self) -> Option<Place> {
        let waits = |chance: &Chance| matches!(chance, Chance::Closing | Chance::Full);
        match self.admission.attempt(self.source, waits).await {
            Chance::Place(place) => Some(place),
            Chance::Closing | Chance::Full | Chance::Refused => None,
        }
    }
}

impl Admission {
    /// Creates a listener without connections.
    pub fn new(budget: Budget) -> Self {
        let (open, turns, changed) = (Mutex::default(), AtomicU64::new(0), Notify::new());
        let waiting = Arc::new(Semaphore::new(WAITING));
        Self(Arc::new(Listener { budget, open, turns, changed, waiting }))
    }

    /// Admits a connection from this address. If the limit is reached, closes an idle connection and takes its place. If all
    /// are answering requests, returns [`Arrival::Waiting`], or [`Arrival::Refused`] if too many connections wait already or
    /// the source has reached its limit.
    ///
    /// # Cost
    /// Below the limits: one lock, and a pass over the listener's connections if sources are limited.
    pub async fn arrive(&self, source: IpAddr) -> Arrival {
        let source = bounded_source(source);
        // The other connection waits for no client when it closes, so this takes microseconds.
        match self.attempt(source, |chance| matches!(chance, Chance::Closing)).await {
            Chance::Place(place) => Arrival::Placed(place),
            Chance::Full => match Arc::clone(&self.0.waiting).try_acquire_owned() {
                Ok(turn) => Arrival::Waiting(Waiting { admission: self.clone(), source, _turn: turn }),
                Err(_) => Arrival::Refused,
            },
            Chance::Refused | Chance::Closing => Arrival::Refused,
        }
    }

    /// Tries to admit a connection, again after each change of another connection while `waits` says so, for a second at
    /// most.
    async fn attempt(&self, source: Option<IpAddr>, waits: impl Fn(&Chance) -> bool) -> Chance {
        let attempts = async {
            loop {
                let mut changed = std::pin::pin!(self.0.changed.notified());
                changed.as_mut().enable();
                let chance = self.try_admit(source);
                if !waits(&chance) {
                    return chance;
                }
                changed.await;
            }
        };
        tokio::time::timeout(PATIENCE, attempts).await.unwrap_or(Chance::Refused)
    }

    fn try_admit(&self, source: Option<IpAddr>) -> Chance {
        let mut open = self.0.open();
        let budget = self.0.budget;
        let of_source = |seat: &Arc<Seat>| source.is_some() && seat.source == source;
        let share = budget.per_source.filter(|_| source.is_some());
        if share.is_some_and(|share| open.seats.values().filter(|seat| of_source(seat)).count() >= share) {
            // A source at its limit may close only its own connections.
            return if close_one(open.seats.values().filter(|seat| of_source(seat))) {
                Chance::Closing
            } else {
                Chance::Refused
            };
        }
        if open.seats.len() >= budget.connections {
            return if close_one(open.seats.values()) { Chance::Closing } else { Chance::Full };
        }
        let id = open.next;
        open.next += 1;
        let state = AtomicU64::new(State::new(State::STRANGER, self.0.turn()).0);
        let seat = Arc::new(Seat { source, state, is_identified: AtomicBool::new(false), closing: Notify::new() });
        open.seats.insert(id, Arc::clone(&seat));
        Chance::Place(Place { id, seat, listener: Arc::clone(&self.0) })
    }
}

/// Tells the connection that has been idle longest to close. Returns whether a connection is closing, this one or another.
fn close_one<'a>(seats: impl Iterator<Item = &'a Arc<Seat>> + Clone) -> bool {
    if seats.clone().any(|seat| seat.state().kind() == State::CLOSING) {
        return true;
    }
    // A connection that begins a request meanwhile stays open, and the next one is tried.
    let mut idle: Vec<_> = seats.filter_map(|seat| seat.state().rank().map(|rank| (rank, seat))).collect();
    idle.sort_unstable_by_key(|(rank, _)| *rank);
    idle.into_iter().any(|((kind, turn), seat)| {
        let is_closing = seat.change(State::new(kind, turn), State(State::CLOSING));
        if is_closing {
            seat.closing.notify_one();
        }
        is_closing
    })
}

impl Listener {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }
}

impl Seat {
    fn state(&self) -> State {
        State(self.state.load(Ordering::Relaxed))
    }

    /// Replaces the state if it is still `from`. Relaxed: the word publishes no other data.
    fn change(&self, from: State, to: State) -> bool {
        self.state.compare_exchange(from.0, to.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// The place of one connection. Dropping it frees the place.
#[derive(Debug)]
pub struct Place {
    id: u64,
    seat: Arc<Seat>,
    listener: Arc<Listener>,
}

impl Place {
    /// Begins a request: the connection is not closed for another until [`idle`](Self::idle). Returns `false` if the connection
    /// is already closing. The request must then not be served.
    #[must_use]
    pub fn begin(&self) -> bool {
        self.set(State::BUSY)
    }

    /// Notes that the client has identified itself. Such a connection is closed for another only if no other one is idle.
    pub fn identify(&self) {
        self.seat.is_identified.store(true, Ordering::Relaxed);
    }

    /// Notes that the connection waits for its client.
    pub fn idle(&self) {
        let is_identified = self.seat.is_identified.load(Ordering::Relaxed);
        self.set(if is_identified { State::KNOWN } else { State::STRANGER });
        self.listener.changed.notify_waiters();
    }

    /// Waits until the connection has to close for another.
    pub async fn closing(&self) {
        while self.seat.state().kind() != State::CLOSING {
            self.seat.closing.notified().await;
        }
    }

    fn set(&self, kind: u64) -> bool {
        let to = State::new(kind, self.listener.turn());
        loop {
            let from = self.seat.state();
            if from.kind() == State::CLOSING {
                return false;
            }
            if self.seat.change(from, to) {
                return true;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.listener.open().seats.remove(&self.id);
        self.listener.changed.notify_waiters();
    }
}

/// Returns the source to which an address belongs, or `None` for a loopback address, which is not limited.
fn bounded_source(address: IpAddr) -> Option<IpAddr> {
    let source = match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) if address.is_loopback() => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    };
    Some(source).filter(|source: &IpAddr| !source.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn admission(connections: usize, per_source: usize) -> Admission {
        Admission::new(Budget { connections, per_source: Some(per_source) })
    }

    fn admit(admission: &Admission, last: u8) -> Chance {
        admission.try_admit(Some(Ipv4Addr::new(192, 0, 2, last).into()))
    }

    fn place(admission: &Admission, last: u8) -> Place {
        match admit(admission, last) {
            Chance::Place(place) => place,
            Chance::Closing | Chance::Full => panic!("full"),
            Chance::Refused => panic!("refused"),
        }
    }

    fn is_closing(place: &Place) -> bool {
        place.seat.state().kind() == State::CLOSING
    }

    #[test]
    fn full_listener_closes_the_unidentified_connection_that_is_idle_longest() {
        let full = admission(4, 4);
        let places: Vec<_> = (0..4).map(|last| place(&full, last)).collect();
        places[0].identify();
        places[0].idle();
        assert!(places[1].begin());
        assert!(matches!(admit(&full, 9), Chance::Closing));
        let closing: Vec<_> = places.iter().map(is_closing).collect();
        assert_eq!(closing, [false, false, true, false]);
        // Only one connection closes at a time, until its place is free.
        assert!(matches!(admit(&full, 9), Chance::Closing));
        assert!(!is_closing(&places[3]));
        assert!(!places[2].begin(), "a request of a closing connection is not served");
    }

    #[test]
    fn identified_idle_connection_is_closed_only_when_no_other_is_idle() {
        let full = admission(2, 2);
        let (known, busy) = (place(&full, 1), place(&full, 2));
        known.identify();
        known.idle();
        assert!(busy.begin());
        assert!(matches!(admit(&full, 3), Chance::Closing));
        assert!(is_closing(&known) && !is_closing(&busy));
        drop(known);
        assert!(matches!(admit(&full, 3), Chance::Place(_)));
    }

    #[test]
    fn source_with_all_its_share_in_use_is_refused_and_closes_no_connection_of_others() {
        let shared = admission(8, 2);
        let other = place(&shared, 1);
        let (one, two) = (place(&shared, 2), place(&shared, 2));
        assert!(one.begin() && two.begin());
        assert!(matches!(admit(&shared, 2), Chance::Refused));
        two.idle();
        assert!(matches!(admit(&shared, 2), Chance::Closing));
        assert!(is_closing(&two) && !is_closing(&other));
        assert!(matches!(admit(&shared, 3), Chance::Place(_)), "other sources are not affected");
    }

    #[tokio::test]
    async fn full_listener_lets_a_few_connections_wait_and_refuses_the_others_at_once() {
        let full = admission(1, 1);
        let address = |last| Ipv4Addr::new(192, 0, 2, last).into();
        let busy = place(&full, 1);
        assert!(busy.begin());
        let mut waiting = Vec::new();
        for last in 0..WAITING {
            match full.arrive(address(10 + u8::try_from(last).expect("few"))).await {
                Arrival::Waiting(one) => waiting.push(one),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(full.arrive(address(99)).await, Arrival::Refused));
        let first = tokio::spawn(waiting.remove(0).place());
        tokio::task::yield_now().await;
        drop(busy);
        drop(first.await.expect("no panic").expect("the place is free"));
        assert!(matches!(full.arrive(address(98)).await, Arrival::Placed(_)), "those that do not ask hold no place");
    }

    #[test]
    fn loopback_is_not_limited_and_an_ipv6_network_is_one_source() {
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(bounded_source(address.parse().expect("an address")), None, "{address}");
        }
        let of = |address: &str| bounded_source(address.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
