//! Status messages to systemd, if it started the daemon with `Type=notify`. Without systemd, nothing is sent.

use sd_notify::NotifyState;
use std::time::Duration;

/// How much more time each step of the loading gets, in microseconds.
const ONE_MORE_STEP: u32 = 60_000_000;

/// Reports that the daemon answers requests.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// Reports that the data directory is being loaded without an error so far.
pub(crate) fn loading(pairs: u64) {
    let status = format!("loading: {pairs} pairs");
    tell(&[NotifyState::Status(&status), NotifyState::ExtendTimeoutUsec(ONE_MORE_STEP)]);
}

/// Reports that the daemon accepts no new requests.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Reports regularly that the daemon is alive, if systemd requires it (`WatchdogSec`). The reports stop if tasks no
/// longer run.
pub(crate) async fn stay_alive() {
    let Some(patience) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut turns = tokio::time::interval((patience / 2).max(Duration::from_millis(1)));
    loop {
        turns.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

/// Sends a message to systemd. An error is ignored, because the daemon runs without systemd, too.
fn tell(what: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(what);
}
