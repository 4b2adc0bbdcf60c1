//! Takes over changed settings while the daemon runs: at SIGHUP, and for `dialback reload`.

use super::certificate::Certificate;
use super::options::Checked;
use super::sip;
use super::started::{Reread, Started};
use crate::failure::Failure;
use crate::hangup::Hangups;
use crate::log;
use crate::settings::Settings;
use dialback::AddressBook;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{info, warn};

/// The options that a running daemon takes over. Files that they name are read again.
const RELOADED: [&str; 5] = ["agent-address", "agent-addresses", "log", "tls-cert", "tls-key"];

/// The log level of a daemon without a filter.
pub(crate) const USUAL_LOG: &str = "info";

/// The parts of a running daemon that a reload replaces, and the options to compare with.
pub(crate) struct Reload {
    /// The command line of this daemon, and how it is read again.
    arguments: Vec<OsString>,
    reread: fn(&[OsString]) -> Result<Reread, Failure>,
    /// The options that the daemon was started with.
    settings: Settings,
    certificate: Option<Certificate>,
    addresses: AddressBook,
    has_sip: bool,
    /// Held by a reload, so that two do not mix.
    turn: Mutex<()>,
}

impl Reload {
    /// Returns what a reload replaces in the daemon with this command line, and the signals that ask for a reload.
    pub(crate) fn new(started: Started, checked: &Checked) -> (Arc<Self>, Hangups) {
        let Started { arguments, settings, reread, hangups, .. } = started;
        let (certificate, addresses) = (checked.certificate.clone(), checked.addresses.clone());
        let has_sip = checked.sip.is_some();
        let reload = Self { arguments, reread, settings, certificate, addresses, has_sip, turn: Mutex::new(()) };
        (Arc::new(reload), hangups)
    }

    /// Reads everything anew, and then takes it over. Returns the changed options that need a restart.
    ///
    /// # Errors
    /// An option or a file is wrong. Nothing has changed then.
    pub(crate) fn run(&self) -> Result<Vec<String>, Failure> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let Reread { options, settings, log } = (self.reread)(&self.arguments)?;
        let certificate = options.certificate()?;
        let addresses = options.agent_addresses()?;
        if self.has_sip {
            sip::check(&addresses)?;
        }
        let mut needs_restart: Vec<_> = self.settings.changed(&settings).into_iter().map(str::to_owned).collect();
        needs_restart.retain(|flag| !RELOADED.contains(&flag.as_str()));
        log::change(log.as_deref(), USUAL_LOG)?;
        self.addresses.replace(addresses);
        match (&self.certificate, &certificate) {
            (Some(current), Some(new)) => current.replace(new),
            (None, None) => {}
            // Both options have come or gone: the one needs the other.
            _ => needs_restart.extend(["tls-cert".to_owned(), "tls-key".to_owned()]),
        }
        Ok(needs_restart)
    }

    /// Reloads, and writes the result into the log.
    pub(crate) fn run_and_log(&self) -> Result<Vec<String>, String> {
        let reloaded = self.run();
        match &reloaded {
            Ok(needs_restart) => {
                info!("reloaded");
                if !needs_restart.is_empty() {
                    warn!(options = needs_restart.join(", "), "options have changed that need a restart");
                }
            }
            Err(why) => warn!(%why, "the reload failed"),
        }
        reloaded.map_err(|why| why.to_string())
    }
}

/// Reloads at each SIGHUP, and once for those that have come already.
pub(crate) fn at_hangup(reload: Arc<Reload>, hangups: Hangups) -> Result<(), Failure> {
    let mut hangup = hangups.signals()?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let reload = Arc::clone(&reload);
            // The result is in the log. A panic has been reported already.
            let _ = tokio::task::spawn_blocking(move || reload.run_and_log()).await;
        }
    });
    Ok(())
}
