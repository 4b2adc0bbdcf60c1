//! Takes over changed settings while the daemon runs: at SIGHUP, and for `dialback reload`.

use super::daemon::Started;
use super::options::Checked;
use super::sip;
use super::tls::Certificate;
use crate::args::Command;
use crate::failure::Failure;
use crate::log;
use crate::settings::{self, Settings};
use dialback::AddressBook;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

/// The options that a running daemon takes over. Files that they name are read again.
const RELOADED: [&str; 5] = ["agent-address", "agent-addresses", "log", "tls-cert", "tls-key"];

/// What a reload changes, and what it compares with.
pub(crate) struct Reload {
    /// The command line of this daemon. A reload reads it again, with the configuration file that it names.
    arguments: Vec<OsString>,
    /// The options that the daemon was started with.
    settings: Settings,
    certificate: Option<Certificate>,
    addresses: AddressBook,
    has_sip: bool,
    /// Held by a reload, so that two do not mix.
    turn: Mutex<()>,
}

impl Reload {
    pub(crate) fn new(started: Started, checked: &Checked) -> Self {
        let Started { arguments, settings, .. } = started;
        let (certificate, addresses) = (checked.certificate.clone(), checked.addresses.clone());
        Self { arguments, settings, certificate, addresses, has_sip: checked.sip.is_some(), turn: Mutex::new(()) }
    }

    /// Reads everything anew, and then takes it over. Returns the changed options that need a restart.
    ///
    /// # Errors
    /// An option or a file is wrong. Nothing has changed then.
    pub(crate) fn run(&self) -> Result<Vec<String>, Failure> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (args, settings) = settings::parse(&self.arguments).map_err(|error| Failure::new(error.to_string()))?;
        let Command::Serve(options) = &args.command else { return Err(Failure::new("this is no daemon")) };
        let certificate = options.certificate()?;
        let addresses = options.agent_addresses()?;
        if self.has_sip {
            sip::check(&addresses)?;
        }
        let mut needs_restart: Vec<_> = self.settings.changed(&settings).into_iter().map(str::to_owned).collect();
        needs_restart.retain(|flag| !RELOADED.contains(&flag.as_str()));
        log::change(&args)?;
        self.addresses.replace(addresses);
        match (&self.certificate, &certificate) {
            (Some(current), Some(new)) => current.replace(new),
            (None, None) => {}
            _ => needs_restart.push("tls-cert".into()),
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

/// Reloads at each SIGHUP.
pub(crate) fn at_hangup(reload: Arc<Reload>) -> Result<(), Failure> {
    let cannot = |error| Failure::new(format!("cannot listen for signals: {error}"));
    let mut hangup = signal(SignalKind::hangup()).map_err(cannot)?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let reload = Arc::clone(&reload);
            // The result is in the log. A panic has been reported already.
            let _ = tokio::task::spawn_blocking(move || reload.run_and_log()).await;
        }
    });
    Ok(())
}
