//! What is told to systemd, where it has started the daemon and wants to know (`Type=notify`). Elsewhere nothing is.

use sd_notify::NotifyState;
use std::time::Duration;

/// How much longer than usual a start may take, said again with each step of it.
const ONE_MORE_STEP: u32 = 60_000_000;

/// The daemon answers requests.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// The data directory is being read, and so far it has gone well.
pub(crate) fn loading(pairs: u64) {
    let status = format!("loading: {pairs} pairs");
    tell(&[NotifyState::Status(&status), NotifyState::ExtendTimeoutUsec(ONE_MORE_STEP)]);
}

/// The daemon takes no new requests.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Says that the daemon is alive, as often as is asked of it (`WatchdogSec`), for as long as tasks get their turn.
pub(crate) async fn stay_alive() {
    let Some(patience) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut turns = tokio::time::interval((patience / 2).max(Duration::from_millis(1)));
    loop {
        turns.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

/// Whoever started the daemon may be gone; it goes on all the same.
fn tell(what: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(what);
}
