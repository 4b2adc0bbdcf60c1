//! The options of `dialback serve`.

use super::addresses::AddressOptions;
use super::agi::AgiOptions;
use super::budgets::Budgets;
use super::certificate::Certificate;
use super::cors::CorsOptions;
use super::descriptors;
use super::fleet::FleetOptions;
use super::limits::LimitOptions;
use super::sip::SipOptions;
use super::tls::TlsOptions;
use super::webhooks::WebhookOptions;
use crate::address_space;
use crate::data::DataOptions;
use crate::failure::Failure;
use crate::out;
use crate::settings::Settings;
use crate::span::span;
use dialback::service::{FeedSettings, MAX_KEEP_DAYS, RecordSettings};
use dialback::store::{Durability, FjallStore};
use dialback::{AddressBook, AgentAddresses, sip};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, clap::Args)]
#[command(mut_arg("data", |data| data.help("The data directory. It is created if it does not exist")))]
pub(crate) struct ServeOptions {
    /// A TOML file with options: a key for each flag, such as `metrics-listen = "127.0.0.1:9090"`. An option on the
    /// command line comes before one of an environment variable, and both come before the file
    #[arg(long, value_name = "FILE", env = "DIALBACK_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// The address to listen on. Port 0 selects a free port, which is logged
    #[arg(long, value_name = "ADDRESS:PORT", env = "DIALBACK_LISTEN", default_value = "127.0.0.1:8080")]
    pub(super) listen: SocketAddr,
    /// How durable an acknowledged change is. synced: on the disk; nothing is lost. buffered: with the operating
    /// system; a killed daemon loses nothing, a power failure up to about the last second. memory: in the daemon only;
    /// all changes since the start are lost when the daemon ends
    #[arg(long, value_name = "DURABILITY", env = "DIALBACK_DURABILITY", default_value_t = Durability::Synced)]
    #[arg(value_parser = durability)]
    pub(super) durability: Durability,
    /// Serve /metrics, and also /health, on a separate address without TLS, and /metrics on no other address. /metrics
    /// needs no token, and shows the sums of all tenants
    #[arg(long, value_name = "ADDRESS:PORT", env = "DIALBACK_METRICS_LISTEN")]
    pub(super) metrics_listen: Option<SocketAddr>,
    /// Check the options, the certificate and the data directory, print the options with their sources, and exit.
    /// Changes nothing, and works while a daemon runs
    #[arg(long)]
    pub(super) check_config: bool,
    /// Answer routes while the stored data is still being loaded, from the part that is loaded. A call by a contact
    /// that is not loaded yet goes to the default agent. Without this option, routes are rejected with 503 until
    /// loading is complete
    #[arg(long, env = "DIALBACK_SERVE_WHILE_LOADING")]
    pub(super) serve_while_loading: bool,
    /// How often erased data, and data older than the longest look-back, is removed from the files of the data
    /// directory. An erased number disappears from all files within this time plus the time to rewrite them
    #[arg(long, value_name = "SPAN", env = "DIALBACK_PURGE_EVERY", default_value = "24h", value_parser = span)]
    pub(super) purge_every: Duration,
    /// The number of days for which records of routed calls are kept, 0 to 30. With 0, none are written, and those that
    /// exist are removed
    #[arg(long, value_name = "DAYS", env = "DIALBACK_KEEP_RECORDS_DAYS")]
    #[arg(default_value_t = RecordSettings::default().keep_days)]
    #[arg(value_parser = clap::value_parser!(u32).range(..=i64::from(MAX_KEEP_DAYS)))]
    pub(super) keep_records_days: u32,
    /// The most records of routed calls of one environment. The oldest are removed first
    #[arg(long, value_name = "RECORDS", env = "DIALBACK_MAX_RECORDS_PER_ENVIRONMENT")]
    #[arg(default_value_t = RecordSettings::default().max_per_environment)]
    pub(super) max_records_per_environment: u64,
    /// The number of days for which events are kept for the readers of `GET /events`, 0 to 30. With 0, none are written, and
    /// those that exist are removed
    #[arg(long, value_name = "DAYS", env = "DIALBACK_KEEP_EVENTS_DAYS")]
    #[arg(default_value_t = FeedSettings::default().keep_days)]
    #[arg(value_parser = clap::value_parser!(u32).range(..=i64::from(MAX_KEEP_DAYS)))]
    pub(super) keep_events_days: u32,
    /// The most events of one environment. The oldest are removed first
    #[arg(long, value_name = "EVENTS", env = "DIALBACK_MAX_EVENTS_PER_ENVIRONMENT")]
    #[arg(default_value_t = FeedSettings::default().max_per_environment)]
    pub(super) max_events_per_environment: u64,
    #[command(flatten)]
    pub(super) addresses: AddressOptions,
    #[command(flatten)]
    pub(super) tls: TlsOptions,
    #[command(flatten)]
    pub(super) cors: CorsOptions,
    #[command(flatten)]
    pub(super) sip: SipOptions,
    #[command(flatten)]
    pub(super) agi: AgiOptions,
    #[command(flatten)]
    pub(super) fleet: FleetOptions,
    #[command(flatten)]
    pub(super) webhooks: WebhookOptions,
    #[command(flatten)]
    pub(super) limits: LimitOptions,
    #[command(flatten)]
    pub(super) data: DataOptions,
}

/// The files that the options name, read and checked.
pub(crate) struct Checked {
    pub(crate) certificate: Option<Certificate>,
    pub(crate) addresses: AddressBook,
    pub(crate) sip: Option<sip::Settings>,
    pub(crate) budgets: Budgets,
}

impl ServeOptions {
    /// Reads all files that the options name, and checks the limits of this system. Opens and creates nothing.
    pub(super) fn check(&self) -> Result<Checked, Failure> {
        let certificate = self.certificate()?;
        let addresses = AddressBook::from(self.agent_addresses()?);
        let sip = self.sip.settings(self.serve_while_loading, &addresses)?;
        self.agi.context_fields()?;
        self.fleet.check()?;
        let budgets = self.limits.budgets().with_metrics(self.metrics_listen.is_some());
        let budgets = self.agi.budget(self.sip.budget(budgets.with_side(certificate.is_some())));
        let budgets = descriptors::share_out(budgets)?;
        address_space::check(self.data.max_pairs)?;
        Ok(Checked { certificate, addresses, sip, budgets })
    }

    pub(super) fn records(&self) -> RecordSettings {
        RecordSettings { keep_days: self.keep_records_days, max_per_environment: self.max_records_per_environment }
    }

    pub(super) fn feed(&self) -> FeedSettings {
        FeedSettings { keep_days: self.keep_events_days, max_per_environment: self.max_events_per_environment }
    }

    pub(super) fn certificate(&self) -> Result<Option<Certificate>, Failure> {
        self.tls.certificate()
    }

    pub(super) fn agent_addresses(&self) -> Result<AgentAddresses, Failure> {
        self.addresses.read()
    }

    /// Prints the options and whether the data directory can be used.
    pub(super) fn report(&self, settings: &Settings, json: bool) -> Result<ExitCode, Failure> {
        let exists = FjallStore::look(&self.data.data)?;
        if !exists {
            self.data.check_creatable()?;
        }
        if json {
            out::exact(format_args!("{}", json!({ "options": settings.shown(), "data_exists": exists })))?;
            return Ok(ExitCode::SUCCESS);
        }
        let (path, state) = (self.data.data.display(), if exists { "is" } else { "would be created as" });
        out::exact(format_args!("{settings}"))?;
        out::line(format_args!("the configuration is valid; {path} {state} a data directory"))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn durability(name: &str) -> Result<Durability, String> {
    name.parse().map_err(|_| "use synced, buffered or memory".into())
}
