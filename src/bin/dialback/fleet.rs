//! This daemon as a node of a fleet.

use crate::failure::Failure;
use crate::{now, retention};
use dialback::Service;
use dialback::fleet::nats::{NatsOptions, NatsStream, Syncing};
use dialback::fleet::{Link, Node, Settings, Share};
use dialback::service::{Alone, Sequencer};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

/// How long a server's monitoring page may take.
const MONITOR_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Fleet")]
#[allow(clippy::struct_field_names, reason = "they are the options' names")]
pub(crate) struct FleetOptions {
    /// Share calls and configurations with the other nodes of a fleet through NATS JetStream: the URLs of its servers, with
    /// commas between them, such as `nats://host:4222` or `tls://user:password@host:4222`
    #[arg(long, value_name = "URLS", env = "DIALBACK_FLEET_NATS", hide_env_values = true)]
    fleet_nats: Option<String>,
    /// What this node calls itself to the server
    #[arg(long, value_name = "NAME", env = "DIALBACK_FLEET_NODE", default_value = "dialback", requires = "fleet_nats")]
    fleet_node: String,
    /// Which fleet: the name of its stream
    #[arg(
        long,
        value_name = "NAME",
        env = "DIALBACK_FLEET_STREAM",
        default_value = "DIALBACK",
        requires = "fleet_nats"
    )]
    fleet_stream: String,
    /// Keep only the calls of some of the 16 partitions that numbers are in: `0-3,8`. At least one node of a fleet has to keep all,
    /// which is what a node does unless it is told otherwise
    #[arg(long, value_name = "PARTITIONS", env = "DIALBACK_FLEET_SHARE", requires = "fleet_nats", value_parser = share)]
    fleet_share: Option<Share>,
    /// What an acknowledgement of a call or an erasure means besides --durability. local: nothing, the others are told soon.
    /// stream: NATS has acknowledged it, too
    #[arg(long, value_name = "WHEN", env = "DIALBACK_FLEET_ACK", default_value = "local", requires = "fleet_nats")]
    fleet_ack: Acknowledged,
    /// How many servers of a NATS cluster keep the stream, where this node is the first and makes it
    #[arg(long, value_name = "SERVERS", default_value_t = 1, requires = "fleet_nats")]
    fleet_replicas: usize,
    /// How often one of the nodes stores a snapshot and has NATS forget what is in it. An erased number is in no file of NATS this
    /// long after it was erased, and about a tenth more. The same on every node
    #[arg(long, value_name = "SPAN", env = "DIALBACK_FLEET_SNAPSHOT_EVERY", default_value = "24h")]
    #[arg(value_parser = retention::span, requires = "fleet_nats")]
    fleet_snapshot_every: Duration,
    /// Where the servers say when they sync, which they tell no client: the URLs of their monitoring ports, with commas between
    /// them, such as `http://host:8222`
    #[arg(long, value_name = "URLS", env = "DIALBACK_FLEET_MONITOR", requires = "fleet_nats")]
    fleet_monitor: Option<String>,
    /// A PEM file of the authorities that sign the servers' certificates, besides those of the system
    #[arg(long, value_name = "FILE", env = "DIALBACK_FLEET_CA", requires = "fleet_nats")]
    fleet_ca: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Acknowledged {
    Local,
    Stream,
}

impl FleetOptions {
    /// Whether they can be.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.stream(Syncing::Unknown).map_or(Ok(()), |options| options.check().map_err(failed))
    }

    /// Begins to look for the others. A server that is away is waited for while everything else goes on.
    pub(crate) fn join(&self) -> Result<Fleet, Failure> {
        let Some(options) = self.stream(self.syncing()) else { return Ok(Fleet(None)) };
        let mut settings = Settings::new(now);
        settings.replicated = self.fleet_ack == Acknowledged::Stream;
        settings.snapshot_every = self.fleet_snapshot_every;
        settings.share = self.fleet_share.clone().unwrap_or(Share::ALL);
        let options = NatsOptions { partitions: settings.partitions, ..options };
        let stream = NatsStream::new(options).map_err(failed)?;
        Ok(Fleet(Some(Link::new(settings, Arc::new(stream)))))
    }

    fn stream(&self, syncing: Syncing) -> Option<NatsOptions> {
        Some(NatsOptions {
            name: self.fleet_node.clone(),
            stream: self.fleet_stream.clone(),
            // Two fleets on one server have subjects of their own.
            prefix: self.fleet_stream.to_lowercase(),
            replicas: self.fleet_replicas,
            authorities: self.fleet_ca.clone(),
            syncing,
            ..NatsOptions::new(self.fleet_nats.clone()?)
        })
    }

    /// When the servers sync: as the most careless of them does.
    fn syncing(&self) -> Syncing {
        let Some(urls) = &self.fleet_monitor else { return Syncing::Unknown };
        let ask = |url: &str| {
            let config = ureq::Agent::config_builder().timeout_global(Some(MONITOR_PATIENCE)).proxy(None);
            let agent: ureq::Agent = config.build().into();
            let page = agent.get(format!("{}/varz", url.trim().trim_end_matches('/'))).call();
            match page.and_then(|mut page| page.body_mut().read_to_string()) {
                Ok(page) => Syncing::from_varz(&page),
                Err(error) => {
                    warn!(%error, url, "a NATS server does not say when it syncs");
                    Syncing::Unknown
                }
            }
        };
        let mut servers = urls.split(',').map(ask);
        servers.find(|syncing| *syncing != Syncing::Always).unwrap_or(Syncing::Always)
    }
}

/// The fleet that this daemon is of, if any.
pub(crate) struct Fleet(Option<Arc<Link>>);

impl Fleet {
    /// Who has to do with what is committed here.
    pub(crate) fn sequencer(&self) -> Arc<dyn Sequencer> {
        match &self.0 {
            Some(link) => Arc::clone(link) as Arc<dyn Sequencer>,
            None => Arc::new(Alone),
        }
    }

    /// Takes part, until what this returns is dropped.
    pub(crate) fn start(self, service: &Arc<Service>) -> Result<Option<Node>, Failure> {
        let log = Arc::new(|what: &str| warn!("{what}"));
        let start = |link| Node::start(link, Arc::clone(service), log);
        self.0.map(start).transpose().map_err(|error| Failure::new(format!("the fleet: {error}")))
    }
}

/// Partitions and ranges of them, with commas in between.
fn share(text: &str) -> Result<Share, String> {
    let partitions = Settings::PARTITIONS;
    let number = |text: &str| {
        let number = text.trim().parse().ok().filter(|number| *number < partitions);
        number.ok_or_else(|| format!("partitions are 0 to {}, such as 0-3,8", partitions - 1))
    };
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first <= last { Ok(first..=last) } else { Err(format!("{first}-{last} has nothing in it")) }
    };
    let ranges: Vec<_> = text.split(',').map(range).collect::<Result<_, String>>()?;
    Ok(Share::of(ranges.into_iter().flatten()))
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}
