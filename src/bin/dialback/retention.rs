//! What was erased and what has expired leaves memory and disk: on a thread of its own, now and then.

use crate::failure::Failure;
use crate::now;
use dialback::Service;
use dialback::store::Upkeep;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// How often it is looked whether a purge is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Purges as often as this says, by the time of the last purge, which the store remembers: a daemon that is restarted every day purges
/// as often as one that is not. Ends with the service.
pub(crate) fn start(upkeep: Upkeep, service: &Arc<Service>, every: Duration) -> Result<(), Failure> {
    let service = Arc::downgrade(service);
    let work = move || {
        while let Some(wait) = purge_if_due(&upkeep, &service, every) {
            thread::sleep(wait.clamp(Duration::from_millis(100), LOOK_EVERY));
        }
    };
    let thread = thread::Builder::new().name("dialback-purge".into()).spawn(work);
    thread.map(|_| ()).map_err(|error| Failure::new(format!("no thread: {error}")))
}

/// In how long the next purge is due; `None` where nobody needs one any more.
fn purge_if_due(upkeep: &Upkeep, service: &Weak<Service>, every: Duration) -> Option<Duration> {
    let wait = match upkeep.purged_at(now()) {
        Ok(last) => every.saturating_sub(Duration::from_millis(now().millis_since(last))),
        Err(error) => {
            warn!(%error, "it cannot be read when what was erased was last removed from the disk");
            Duration::ZERO
        }
    };
    if !wait.is_zero() {
        return Some(wait);
    }
    let floor = {
        let service = service.upgrade()?;
        // A store that has failed is written no more.
        if service.failure().is_some() {
            return Some(LOOK_EVERY);
        }
        let floor = service.retention_floor(now());
        service.history().expire_before(floor);
        floor
    };
    let began = Instant::now();
    if let Err(error) = upkeep.purge(Some(floor), now()) {
        warn!(%error, "what was erased or has expired is not removed from the disk; it is tried again");
        return Some(LOOK_EVERY);
    }
    info!(seconds = began.elapsed().as_secs_f32(), "what was erased or has expired is removed from the disk");
    Some(every)
}

/// A span of time: a whole number of seconds, minutes, hours or days, such as 90s, 5m, 24h or 7d.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let wrong = || "a number of seconds, minutes, hours or days, such as 90s, 5m, 24h or 7d".to_owned();
    let unit = text.chars().last().and_then(|unit| match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3600),
        'd' => Some(86_400),
        _ => None,
    });
    let unit = unit.ok_or_else(wrong)?;
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let secs = count.checked_mul(unit).filter(|secs| *secs > 0).ok_or_else(wrong)?;
    Ok(Duration::from_secs(secs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dialback::history::Register;
    use dialback::store::MemoryStore;
    use dialback::{Change, DialPlan, Engine, EnvironmentId, Lookback, Timestamp};

    #[test]
    fn the_floor_lies_behind_the_longest_look_back() {
        let service = Service::start(MemoryStore, Engine::with_max_pairs(10), |_| {}).expect("nothing to read");
        let now = Timestamp::from_secs(1_800_000_000);
        let ago = |days: u64| Register::floor(Timestamp::from_millis(now.millis() - days * 86_400_000));
        assert_eq!(service.retention_floor(now), ago(31), "thirty days, and one");
        for (id, days) in [(1, 10), (2, 90), (3, 60)] {
            let set = Change::EnvironmentSet {
                name: "tenant".into(),
                dial_plan: DialPlan::NONE,
                lookback: Lookback::from_days(days),
            };
            service.configure(EnvironmentId::from_u128(id), now, move |_| Ok(vec![set])).expect("valid");
        }
        assert_eq!(service.retention_floor(now), ago(91));
    }

    #[test]
    fn spans_are_read() {
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(span("24h"), span("1d"));
        for wrong in ["", "s", "0s", "5", "-1m", "1.5h", "9999999999999999999d", "5ü"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
