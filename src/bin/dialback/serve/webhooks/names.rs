//! The addresses of names, from the system's resolver.
//!
//! A lookup occupies a thread for as long as a name server takes. The threads are few and serve nothing else, and an environment
//! uses two of them at a time, so that names which do not resolve delay nobody else.

use dialback::EnvironmentId;
use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The threads for lookups, and those that one environment may use at a time.
const THREADS: usize = 16;
const OF_ONE: usize = 2;
/// How long an answer counts, also that there is none.
const KNOWN: Duration = Duration::from_secs(10);
/// The number of answers from which on old ones are removed.
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
    known: Mutex<HashMap<(String, u16), (Instant, Found)>>,
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
            known: Mutex::default(),
        })
    }

    /// Returns the addresses of a name. The caller limits the time.
    pub(super) async fn find(&self, owner: EnvironmentId, name: &str, port: u16) -> Answer {
        if let Some(found) = self.known(name, port) {
            return found.into();
        }
        let held = async {
            let own = self.own(owner).acquire_owned().await.expect("never closed");
            (own, Arc::clone(&self.permits).acquire_owned().await.expect("never closed"))
        };
        let Ok(held) = timeout(WAIT, held).await else { return Answer::Busy };
        // Another message may have looked it up meanwhile.
        if let Some(found) = self.known(name, port) {
            return found.into();
        }
        let wanted = (name.to_owned(), port);
        let looked = wanted.clone();
        let lookup = move || {
            // Until the lookup has ended, also if nothing waits for it any more.
            let _held = held;
            (looked.0.as_str(), looked.1).to_socket_addrs().ok().map(Iterator::collect::<Vec<_>>)
        };
        let Some(threads) = &self.threads else { return Answer::Busy };
        let Ok(found) = threads.spawn_blocking(lookup).await else { return Answer::Busy };
        let found: Found = found.filter(|found| !found.is_empty()).map(Arc::from);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MANY {
            known.retain(|_, (since, _)| since.elapsed() < KNOWN);
        }
        if known.len() < MANY {
            known.insert(wanted, (Instant::now(), found.clone()));
        }
        found.into()
    }

    fn known(&self, name: &str, port: u16) -> Option<Found> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, found) = known.get(&(name.to_owned(), port))?;
        (since.elapsed() < KNOWN).then(|| found.clone())
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
        assert!(names.known("", 80).is_some() && names.known("127.0.0.1", 80).is_some());
        assert!(names.known("127.0.0.1", 81).is_none());
    }
}
