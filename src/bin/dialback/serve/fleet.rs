//! Makes this daemon a node of a fleet.

mod keys;
mod login;
mod monitor;
mod storage;

use self::keys::KeyOptions;
use self::login::LoginOptions;
use self::storage::StorageOptions;
use crate::clock::now;
use crate::failure::Failure;
use crate::span::span;
use dialback::Service;
use dialback::fleet::nats::{NatsOptions, NatsStream, Syncing};
use dialback::fleet::{Link, Node, Settings, Share, StreamError};
use dialback::service::{Alone, Sequencer};
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Fleet")]
#[allow(clippy::struct_field_names, reason = "they are the options' names")]
pub(crate) struct FleetOptions {
    /// Share calls and configurations with the other nodes of a fleet through NATS JetStream. The value lists the
    /// URLs of its servers, separated by commas, such as `nats://host:4222`. A login in them, as in
    /// `tls://user:password@host:4222`, is percent-encoded. Put a URL with a login into the environment variable,
    /// because the command line is visible to other users of the machine
    #[arg(long, value_name = "URLS", env = "DIALBACK_FLEET_NATS", hide_env_values = true)]
    fleet_nats: Option<String>,
    /// The name of this node, as the NATS server shows it
    #[arg(long, value_name = "NAME", env = "DIALBACK_FLEET_NODE", default_value = "dialback", requires = "fleet_nats")]
    fleet_node: String,
    /// The name of the fleet's stream
    #[arg(
        long,
        value_name = "NAME",
        env = "DIALBACK_FLEET_STREAM",
        default_value = "DIALBACK",
        requires = "fleet_nats"
    )]
    fleet_stream: String,
    /// Keep the calls of these partitions only, such as `0-3,8`. Numbers are spread over 16 partitions. By default a
    /// node keeps all, and at least one node of a fleet must
    #[arg(long, value_name = "PARTITIONS", env = "DIALBACK_FLEET_SHARE", requires = "fleet_nats", value_parser = share)]
    fleet_share: Option<Share>,
    /// When a call or an erasure is acknowledged. local: once it is durable here by --durability; the other nodes get
    /// it soon after. stream: once NATS has acknowledged it too
    #[arg(long, value_name = "WHEN", env = "DIALBACK_FLEET_ACK", default_value = "local", requires = "fleet_nats")]
    fleet_ack: Acknowledged,
    /// How often one of the nodes stores a snapshot and removes older messages from NATS. An erased number disappears
    /// from all files of NATS within this time plus about a tenth. Set it to the same value on all nodes
    #[arg(long, value_name = "SPAN", env = "DIALBACK_FLEET_SNAPSHOT_EVERY", default_value = "24h")]
    #[arg(value_parser = span, requires = "fleet_nats")]
    fleet_snapshot_every: Duration,
    /// The URLs of the servers' monitoring ports, separated by commas, such as `http://host:8222`. Only there do
    /// servers report when they sync
    #[arg(long, value_name = "URLS", env = "DIALBACK_FLEET_MONITOR", requires = "fleet_nats")]
    fleet_monitor: Option<String>,
    #[command(flatten)]
    keys: KeyOptions,
    #[command(flatten)]
    login: LoginOptions,
    #[command(flatten)]
    storage: StorageOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Acknowledged {
    Local,
    Stream,
}

impl FleetOptions {
    /// Checks the options, and reads each file that they name.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.keys.read(&self.fleet_stream)?;
        self.stream(Syncing::Unknown)?.map_or(Ok(()), |options| options.check().map_err(failed))
    }

    /// Starts connecting to the fleet. If a server is unreachable, the daemon keeps retrying and runs meanwhile.
    pub(crate) fn join(&self, given: &crate::settings::Settings) -> Result<Fleet, Failure> {
        let syncing = self.fleet_monitor.as_deref().map_or(Syncing::Unknown, monitor::syncing);
        let Some(options) = self.stream(syncing)? else { return Ok(Fleet(None)) };
        if options.servers.contains('@') && given.is_visible("fleet-nats") {
            warn!("the login in `--fleet-nats` is visible to other users of this machine");
        }
        let mut settings = Settings::new(now);
        settings.replicated = self.fleet_ack == Acknowledged::Stream;
        settings.snapshot_every = self.fleet_snapshot_every;
        settings.keys = self.keys.read(&self.fleet_stream)?;
        settings.share = self.fleet_share.clone().unwrap_or(Share::ALL);
        let options = NatsOptions { partitions: settings.partitions, ..options };
        let stream = NatsStream::new(options).map_err(failed)?;
        Ok(Fleet(Some(Link::new(settings, Arc::new(stream)))))
    }

    /// Returns the options of the connection, if this daemon belongs to a fleet.
    fn stream(&self, syncing: Syncing) -> Result<Option<NatsOptions>, Failure> {
        let Some(servers) = &self.fleet_nats else { return Ok(None) };
        Ok(Some(NatsOptions {
            login: self.login.read()?,
            certificates: self.login.certificates(),
            name: self.fleet_node.clone(),
            stream: self.fleet_stream.clone(),
            // Two fleets on one server have separate subjects.
            prefix: self.fleet_stream.to_lowercase(),
            storage: self.storage.storage(),
            syncing,
            ..NatsOptions::new(servers.clone())
        }))
    }
}

/// The fleet that this daemon belongs to, if any.
pub(crate) struct Fleet(Option<Arc<Link>>);

impl Fleet {
    /// Returns the sequencer that orders this node's commits.
    pub(crate) fn sequencer(&self) -> Arc<dyn Sequencer> {
        match &self.0 {
            Some(link) => Arc::clone(link) as Arc<dyn Sequencer>,
            None => Arc::new(Alone),
        }
    }

    /// Joins the fleet until the returned node is dropped.
    pub(crate) fn start(self, service: &Arc<Service>) -> Result<Option<Node>, Failure> {
        let log = Arc::new(|what: &str| warn!("{what}"));
        let start = |link| Node::start(link, Arc::clone(service), log);
        self.0.map(start).transpose().map_err(|error| Failure::new(format!("cannot join the fleet: {error}")))
    }
}

/// Parses partitions and ranges of partitions, separated by commas.
fn share(text: &str) -> Result<Share, String> {
    let partitions = Settings::PARTITIONS;
    let number = |text: &str| {
        let number = text.trim().parse().ok().filter(|number| *number < partitions);
        number
            .ok_or_else(|| format!("not a list of partitions: use numbers from 0 to {}, such as 0-3,8", partitions - 1))
    };
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first <= last {
            Ok(first..=last)
        } else {
            Err(format!("the range {first}-{last} is empty: put the smaller number first"))
        }
    };
    let ranges: Vec<_> = text.split(',').map(range).collect::<Result<_, String>>()?;
    Ok(Share::of(ranges.into_iter().flatten()))
}

fn failed(error: StreamError) -> Failure {
    match error {
        StreamError::Engine(what) => Failure::new(what),
        error => Failure::new(error.to_string()),
    }
}
