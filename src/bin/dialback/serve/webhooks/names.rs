//! The addresses of names, from the system's resolver.
//!
//! A lookup occupies a thread for as long as a name server takes. The threads are few and serve nothing else, and an environment
//! uses two of them at a time, so that its names which do not resolve delay nobody else. If many environments have such names,
//! new names wait. Known ones count for an hour meanwhile.

use dialback::EnvironmentId;
use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The threads for lookups, and those that one environment may use at a time.
const THREADS: usize = 16;
const OF_ONE: usize = 2;
/// How long an answer counts, also that there is none.
const KNOWN: Duration = Duration::from_secs(10);
/// How long known addresses count if no thread is free for a lookup. Each is checked when it is connected to.
const FALLBACK: Duration = Duration::from_secs(3600);
/// The number of answers that are remembered.
const MANY: usize = 1024;

/// How long a message waits for a thread.
const WAIT: Duration = Duration::from_secs(5);

/// The answer for a name and a port; `None` if there is no address.
type Found = Option<Arc<[SocketAddr]>>;

/// The answer to a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Found(Arc<[SocketAddr]>),
    None,
    /// No thread was free in time, which says nothing of the name.
    Busy,
}

impl From<Found> for Answer {
    fn from(found: Found) -> Self {
        found.map_or(Self::None, Self::Found)
    }
}

/// Looks up names.
pub(super) struct Names {
    threads: Option<Runtime>,
    permits: Arc<Semaphore>,
    of_one: Mutex<HashMap<EnvironmentId, Arc<Semaphore>>>,
    known: Arc<Known>,
    /// How long a message waits for a thread.
    wait: Duration,
}

/// The last answers, by name and port.
#[derive(Default)]
struct Known(Mutex<HashMap<(String, u16), (Instant, Found)>>);

impl Known {
    /// Returns an answer that is not older than this.
    fn get(&self, wanted: &(String, u16), at_most: Duration) -> Option<Found> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, found) = known.get(wanted)?;
        (since.elapsed() < at_most).then(|| found.clone())
    }

    /// Remembers an answer, in place of the oldest one if there are many.
    fn insert(&self, wanted: (String, u16), found: Found) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MANY
            && !known.contains_key(&wanted)
            && let Some(oldest) = known.iter().min_by_key(|(_, (since, _))| *since).map(|(oldest, _)| oldest.clone())
        {
            known.remove(&oldest);
        }
        known.insert(wanted, (Instant::now(), found));
    }
}

impl Names {
    /// # Errors
    /// The system has too few threads.
    pub(super) fn new() -> std::io::Result<Self> {
        let mut threads = Builder::new_multi_thread();
        threads.worker_threads(1).max_blocking_threads(THREADS).thread_name("dialback-names");
        Ok(Self {
            threads: Some(threads.build()?),
            permits: Arc::new(Semaphore::new(THREADS)),
            of_one: Mutex::default(),
            known: Arc::default(),
            wait: WAIT,
        })
    }

    /// Returns the addresses of a name. The caller limits the time.
    pub(super) async fn find(&self, owner: EnvironmentId, name: &str, port: u16) -> Answer {
        let wanted = (name.to_owned(), port);
        if let Some(found) = self.known.get(&wanted, KNOWN) {
            return found.into();
        }
        let Some((threads, held)) = self.threads.as_ref().zip(self.place(owner).await) else {
            return self.known.get(&wanted, FALLBACK).flatten().map_or(Answer::Busy, Answer::Found);
        };
        // Another message may have looked it up meanwhile.
        if let Some(found) = self.known.get(&wanted, KNOWN) {
            return found.into();
        }
        let known = Arc::clone(&self.known);
        let lookup = move || {
            // Until the lookup has ended, also if nothing waits for it any more.
            let _held = held;
            let found = (wanted.0.as_str(), wanted.1).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
            let found: Found = found.ok().filter(|found| !found.is_empty()).map(Arc::from);
            known.insert(wanted, found.clone());
            found
        };
        threads.spawn_blocking(lookup).await.map_or(Answer::Busy, Answer::from)
    }

    /// Waits for the right to use a thread. `None` if it takes too long.
    async fn place(&self, owner: EnvironmentId) -> Option<[OwnedSemaphorePermit; 2]> {
        let own = self.own(owner);
        let held =
            async { Some([own.acquire_owned().await.ok()?, Arc::clone(&self.permits).acquire_owned().await.ok()?]) };
        timeout(self.wait, held).await.ok().flatten()
    }

    fn own(&self, owner: EnvironmentId) -> Arc<Semaphore> {
        let mut of_one = self.of_one.lock().unwrap_or_else(PoisonError::into_inner);
        if of_one.len() >= MANY {
            of_one.retain(|_, own| Arc::strong_count(own) > 1);
        }
        Arc::clone(of_one.entry(owner).or_insert_with(|| Arc::new(Semaphore::new(OF_ONE))))
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        // A lookup that hangs must not delay the stop.
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_are_found_and_remembered_also_those_without_an_address() {
        let names = Names::new().expect("threads");
        let owner = EnvironmentId::from_u128(1);
        let found = names.find(owner, "127.0.0.1", 80).await;
        assert_eq!(found, Answer::Found(Arc::from([SocketAddr::from(([127, 0, 0, 1], 80))])));
        assert_eq!(names.find(owner, "", 80).await, Answer::None);
        let known = |name: &str, port| names.known.get(&(name.to_owned(), port), KNOWN);
        assert!(known("", 80).is_some() && known("127.0.0.1", 80).is_some() && known("127.0.0.1", 81).is_none());
    }

    #[tokio::test]
    async fn known_addresses_count_longer_while_no_thread_is_free() {
        let mut names = Names::new().expect("threads");
        names.wait = Duration::ZERO;
        let owner = EnvironmentId::from_u128(1);
        let found: Arc<[SocketAddr]> = Arc::from([SocketAddr::from(([127, 0, 0, 1], 80))]);
        let past = Instant::now().checked_sub(2 * KNOWN).expect("the machine runs for longer");
        let wanted = ("example.invalid".to_owned(), 80);
        names.known.0.lock().expect("sound").insert(wanted, (past, Some(Arc::clone(&found))));
        let _all = Arc::clone(&names.permits).acquire_many_owned(16).await.expect("not closed");
        assert_eq!(names.find(owner, "example.invalid", 80).await, Answer::Found(found));
        assert_eq!(names.find(owner, "other.invalid", 80).await, Answer::Busy);
    }

    #[test]
    fn oldest_answer_makes_room() {
        let known = Known::default();
        let wanted = |index: usize| (index.to_string(), 80);
        (0..=MANY).for_each(|index| known.insert(wanted(index), None));
        assert_eq!(known.0.lock().expect("sound").len(), MANY);
        assert_eq!([0, 1, MANY].map(|index| known.get(&wanted(index), KNOWN).is_some()), [false, true, true]);
    }
}
