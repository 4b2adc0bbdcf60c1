//! Logs a stalled disk: one line when the store stops answering, and one when it answers again.

use crate::failure::Failure;
use dialback::Service;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tracing::{error, info};

/// How often the thread checks the store. A stall is logged within about two seconds.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Starts the thread that watches the store. It ends with the service.
///
/// # Errors
/// The system cannot start a thread.
pub(crate) fn watch(service: &Arc<Service>) -> Result<(), Failure> {
    let service = Arc::downgrade(service);
    let work = move || {
        let mut longest = None;
        while let Some(waits) = service.upgrade().map(|service| {
            let commits = service.commits();
            commits.is_stalled().then(|| commits.store_waits())
        }) {
            match change(&mut longest, waits) {
                Some(Change::Stalled) => error!(
                    "the store does not answer: the disk hangs, or is very slow. Changes wait, and are answered 503 OUTCOME_UNKNOWN \
                     after --request-timeout; routes are answered from memory. Check the disk and the kernel's log"
                ),
                Some(Change::Resumed(waited)) => info!(seconds = waited.as_secs_f32(), "the store answers again"),
                None => {}
            }
            thread::sleep(LOOK_EVERY);
        }
    };
    let thread = thread::Builder::new().name("dialback-stall".into()).spawn(work);
    thread.map(|_| ()).map_err(|error| Failure::new(format!("cannot start the thread that watches the store: {error}")))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    Stalled,
    /// The store answers again. It had not answered for at least this long.
    Resumed(Duration),
}

/// Returns the change since the last check. `longest` holds for how long the store has not answered, or `None` while it
/// answers.
fn change(longest: &mut Option<Duration>, waits: Option<Duration>) -> Option<Change> {
    let before = *longest;
    *longest = waits.map(|waits| before.unwrap_or_default().max(waits));
    match (before, waits) {
        (None, Some(_)) => Some(Change::Stalled),
        (Some(waited), None) => Some(Change::Resumed(waited)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hang_is_logged_once_at_its_beginning_and_its_end() {
        let mut longest = None;
        let seconds = |secs| Some(Duration::from_secs(secs));
        let looks = [None, seconds(2), seconds(3), seconds(44), None, None, seconds(2), None];
        let changes: Vec<_> = looks.into_iter().filter_map(|waits| change(&mut longest, waits)).collect();
        let resumed = |secs| Change::Resumed(Duration::from_secs(secs));
        assert_eq!(changes, [Change::Stalled, resumed(44), Change::Stalled, resumed(2)]);
    }
}
