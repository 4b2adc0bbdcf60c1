//! Makes this daemon a node of a fleet.

use super::retention;
use crate::clock::now;
use crate::failure::Failure;
use dialback::Service;
use dialback::fleet::nats::{NatsOptions, NatsStream, Syncing};
use dialback::fleet::{Link, Node, Settings, Share};
use dialback::service::{Alone, Sequencer};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

/// How long a request to a server's monitoring page may take.
const MONITOR_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Fleet")]
#[allow(clippy::struct_field_names, reason = "they are the options' names")]
pub(crate) struct FleetOptions {
    /// Share calls and configurations with the other nodes of a fleet through NATS JetStream. The value lists the
    /// URLs of its servers, separated by commas, such as `nats://host:4222` or `tls://user:password@host:4222`
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
    /// How many servers of a NATS cluster keep the stream. Only the node that creates the stream uses this
    #[arg(long, value_name = "SERVERS", default_value_t = 1, requires = "fleet_nats")]
    fleet_replicas: usize,
    /// How often one of the nodes stores a snapshot and removes older messages from NATS. An erased number disappears
    /// from all files of NATS within this time plus about a tenth. Set it to the same value on all nodes
    #[arg(long, value_name = "SPAN", env = "DIALBACK_FLEET_SNAPSHOT_EVERY", default_value = "24h")]
    #[arg(value_parser = retention::span, requires = "fleet_nats")]
    fleet_snapshot_every: Duration,
    /// The URLs of the servers' monitoring ports, separated by commas, such as `http://host:8222`. Only there do
    /// servers report when they sync
    #[arg(long, value_name = "URLS", env = "DIALBACK_FLEET_MONITOR", requires = "fleet_nats")]
    fleet_monitor: Option<String>,
    /// A PEM file with authorities that sign the servers' certificates, in addition to the system's
    #[arg(long, value_name = "FILE", env = "DIALBACK_FLEET_CA", requires = "fleet_nats")]
    fleet_ca: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Acknowledged {
    Local,
    Stream,
}

impl FleetOptions {
    /// Checks the options.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.stream(Syncing::Unknown).map_or(Ok(()), |options| options.check().map_err(failed))
    }

    /// Starts connecting to the fleet. If a server is unreachable, the daemon keeps retrying and runs meanwhile.
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
            // Two fleets on one server have separate subjects.
            prefix: self.fleet_stream.to_lowercase(),
            replicas: self.fleet_replicas,
            authorities: self.fleet_ca.clone(),
            syncing,
            ..NatsOptions::new(self.fleet_nats.clone()?)
        })
    }

    /// Returns when the servers sync. If they differ, the weakest guarantee counts.
    fn syncing(&self) -> Syncing {
        let Some(urls) = &self.fleet_monitor else { return Syncing::Unknown };
        let ask = |url: &str| {
            let config = ureq::Agent::config_builder().timeout_global(Some(MONITOR_TIMEOUT)).proxy(None);
            let agent: ureq::Agent = config.build().into();
            let page = agent.get(format!("{}/varz", url.trim().trim_end_matches('/'))).call();
            match page.and_then(|mut page| page.body_mut().read_to_string()) {
                Ok(page) => Syncing::from_varz(&page),
                Err(error) => {
                    warn!(%error, url, "cannot read from a NATS server when it syncs");
                    Syncing::Unknown
                }
            }
        };
        let mut servers = urls.split(',').map(ask);
        servers.find(|syncing| *syncing != Syncing::Always).unwrap_or(Syncing::Always)
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

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}
