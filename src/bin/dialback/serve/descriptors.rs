//! Divides the file descriptors at the start: the store has its own part, and connections get at most the rest.

use super::budgets::Budgets;
use crate::failure::Failure;
use dialback::admission::WAITING;
use dialback::store::descriptors;
use std::ops::RangeInclusive;
use tracing::{debug, warn};

/// Descriptors for standard streams, listeners, event queues, commands, and a fleet's stream.
const OTHER: u64 = 48;

/// The fewest and the most connections of webhooks at a time. As many more may be open without a message.
const WEBHOOKS: RangeInclusive<u64> = 4..=1024;

/// Descriptors for tests of webhooks, and for the lookups of their names. Where there are few, they are rarely all needed.
const TESTS_AND_LOOKUPS: u64 = 48;

/// The fewest connections for which a listener is useful.
const FEWEST: u64 = 8;

/// Raises the descriptor limit as far as the system allows, and lowers the listeners' budgets to fit below it.
///
/// # Errors
/// The limit leaves room for fewer than a few connections.
pub(crate) fn share_out(budgets: Budgets) -> Result<Budgets, Failure> {
    let Some(limit) = descriptors::raise_limit() else { return Ok(budgets) };
    let reserved = fixed(limit) + WAITING as u64 * budgets.listeners();
    let wanted = budgets.total();
    let shared = fit(budgets, limit.saturating_sub(reserved)).ok_or_else(|| too_few(limit, budgets))?;
    if shared == budgets {
        debug!(limit, reserved, connections = wanted, "file descriptors suffice");
    } else {
        let advice = "raise the limit (ulimit -n, LimitNOFILE), or lower --max-connections";
        let connections = shared.total();
        warn!(
            limit,
            reserved, wanted, connections, advice, "too few file descriptors: listeners hold fewer connections"
        );
    }
    Ok(shared)
}

/// Returns the budgets, reduced in proportion if they do not fit into `room`. Returns `None` if `room` is too small.
fn fit(budgets: Budgets, room: u64) -> Option<Budgets> {
    let wanted = budgets.total();
    if wanted <= room {
        return Some(budgets);
    }
    let spare = room.checked_sub(FEWEST * budgets.listeners())?;
    let lowered = |connections: usize| {
        let connections = connections as u64;
        let part = u128::from(spare) * u128::from(connections) / u128::from(wanted);
        let part = u64::try_from(part).unwrap_or(u64::MAX);
        usize::try_from(connections.min(FEWEST + part)).unwrap_or(usize::MAX)
    };
    Some(budgets.map(lowered))
}

/// Returns the number of connections that webhooks may use at a time.
pub(crate) fn of_webhooks() -> usize {
    usize::try_from(webhooks(descriptors::raise_limit().unwrap_or(u64::MAX))).unwrap_or(usize::MAX)
}

fn webhooks(limit: u64) -> u64 {
    (limit / 32).clamp(*WEBHOOKS.start(), *WEBHOOKS.end())
}

/// Returns the descriptors that are not for connections of clients.
fn fixed(limit: u64) -> u64 {
    descriptors::needed(Some(limit)) + OTHER + TESTS_AND_LOOKUPS.min(limit / 32) + 2 * webhooks(limit)
}

fn too_few(limit: u64, budgets: Budgets) -> Failure {
    let needed = least(budgets);
    Failure::new(format!(
        "cannot run with {limit} file descriptors: the store and {} listeners need at least {needed}; raise the limit \
         (ulimit -n, LimitNOFILE)",
        budgets.listeners()
    ))
}

/// Returns the lowest limit under which the daemon starts. What the store needs grows with the limit, by less.
fn least(budgets: Budgets) -> u64 {
    let mut limit = 0;
    loop {
        let needed = fixed(limit) + FEWEST * budgets.listeners();
        if needed <= limit {
            return limit;
        }
        limit = needed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowest_limit_suffices_and_one_less_does_not() {
        let few = Budgets::of_front(4, None);
        let many = Budgets { sip: 4096, sip_listeners: 2, agi: 1024, ..Budgets::of_front(512, Some(0)) };
        for budgets in [few, Budgets::of_front(512, None), many.with_metrics(true).with_side(true)] {
            let starts = |limit: u64| fit(budgets, limit.saturating_sub(fixed(limit))).is_some();
            let least = least(budgets);
            assert!(starts(least), "{least}: {budgets:?}");
            // A daemon with few connections needs less than a useful number for each listener.
            assert!(!starts(least - 1) || budgets.total() < FEWEST * budgets.listeners(), "{least}: {budgets:?}");
        }
    }

    #[test]
    fn budgets_never_exceed_the_room_and_each_listener_keeps_some_connections() {
        let few = Budgets::of_front(4, None);
        let many = Budgets { sip: 4096, sip_listeners: 2, agi: 1024, ..Budgets::of_front(512, Some(0)) };
        for budgets in [few, many.with_metrics(true).with_side(true)] {
            let fewest = FEWEST * budgets.listeners();
            for room in 0..20_000 {
                match fit(budgets, room) {
                    None => assert!(room < fewest && room < budgets.total()),
                    Some(shared) => {
                        assert!(shared.total() <= room, "{room}: {shared:?}");
                        shared.map(|connections| {
                            assert!(connections >= 4);
                            connections
                        });
                    }
                }
            }
            assert_eq!(fit(budgets, budgets.total()), Some(budgets));
        }
    }
}
