//! Starts the SIP listener if the operator configured it.

use super::budgets::Budgets;
use crate::clock::now;
use crate::failure::Failure;
use dialback::admission::Budget;
use dialback::metrics::SipCounts;
use dialback::sip::{DialedFrom, Door, Peers, Settings, SipLimits, SipListener, Unrouted};
use dialback::{AddressBook, AgentAddresses, CallReads, Service};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use tokio::sync::watch;
use tracing::info;

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "SIP redirect server")]
#[expect(clippy::struct_field_names, reason = "as the flags are named")]
pub(crate) struct SipOptions {
    /// Answer INVITEs with redirects on this address, over UDP and TCP. May be given several times. Port 0 selects a
    /// free port, which is logged
    #[arg(long, value_name = "ADDRESS:PORT", env = "DIALBACK_SIP_LISTEN", value_delimiter = ',')]
    sip_listen: Vec<SocketAddr>,
    /// Accept messages from these addresses only, and believe what they report about callers. May be given several
    /// times. By default only this machine is trusted. Messages from other addresses get no response
    #[arg(
        long,
        value_name = "ADDRESS[/PREFIX]",
        env = "DIALBACK_SIP_TRUST",
        value_delimiter = ',',
        requires = "sip_listen"
    )]
    sip_trust: Vec<Peers>,
    /// TCP connections at a time on each of these addresses. If all are in use, the connection that has been
    /// idle longest is closed for a new one
    #[arg(long, value_name = "CONNECTIONS", env = "DIALBACK_SIP_MAX_CONNECTIONS", default_value = "4096")]
    #[arg(requires = "sip_listen")]
    sip_max_connections: NonZeroU16,
    /// The response to a call that has no agent to route to
    #[arg(long, value_name = "404|480", env = "DIALBACK_SIP_UNROUTED", default_value = "404", value_parser = unrouted)]
    sip_unrouted: Unrouted,
    /// Where the dialed number is read: the Request-URI, To, or the oldest known number of History-Info and Diversion.
    /// The Request-URI is read if that field has no known number
    #[arg(
        long,
        value_name = "request-uri|to|diversion",
        env = "DIALBACK_SIP_DIALED_FROM",
        default_value = "request-uri",
        value_parser = dialed_from
    )]
    sip_dialed_from: DialedFrom,
    /// Fields of the context of the call behind a decision, separated by commas. A redirect carries each of them in a
    /// header `X-Dialback-Context-NAME`
    #[arg(
        long,
        value_name = "NAME,NAME",
        env = "DIALBACK_SIP_CONTEXT",
        value_delimiter = ',',
        requires = "sip_listen"
    )]
    sip_context: Vec<String>,
}

impl SipOptions {
    /// Returns the settings of the SIP listener, or `None` if no address is configured.
    pub(crate) fn settings(
        &self,
        serves_while_loading: bool,
        contacts: &AddressBook,
    ) -> Result<Option<Settings>, Failure> {
        if self.sip_listen.is_empty() {
            return Ok(None);
        }
        check(&contacts.current())?;
        let trust = if self.sip_trust.is_empty() { Peers::LOOPBACK.to_vec() } else { self.sip_trust.clone() };
        let (unrouted, dialed_from) = (self.sip_unrouted, self.sip_dialed_from);
        let fields = Settings::context_fields(&self.sip_context);
        let context_fields = fields.map_err(|error| Failure::new(format!("--sip-context {error}")))?;
        let contacts = contacts.clone();
        Ok(Some(Settings { trust, contacts, unrouted, dialed_from, serves_while_loading, context_fields }))
    }

    /// Adds the connections of these listeners.
    pub(crate) fn budget(&self, budgets: Budgets) -> Budgets {
        let sip_listeners = self.sip_listen.len();
        let sip = if sip_listeners == 0 { 0 } else { self.sip_max_connections.get().into() };
        Budgets { sip, sip_listeners, ..budgets }
    }

    /// Opens a listener on each configured address. Messages wait until they are [served](serve).
    pub(crate) async fn bind(&self) -> Result<Vec<SipListener>, Failure> {
        let mut bound = Vec::new();
        for &wanted in &self.sip_listen {
            let cannot = |error| Failure::new(format!("cannot listen on {wanted} for SIP: {error}"));
            bound.push(SipListener::bind(wanted).await.map_err(cannot)?);
        }
        Ok(bound)
    }
}

/// Checks that each agent's address is a SIP URI, and that there is one.
pub(crate) fn check(contacts: &AgentAddresses) -> Result<(), Failure> {
    if contacts.is_empty() {
        let wanted = "--sip-listen needs the addresses of agents: add --agent-address or --agent-addresses";
        return Err(Failure::new(wanted));
    }
    if !Settings::are_addresses(contacts) {
        return Err(Failure::new(
            "an agent's address is not a SIP URI: write addresses such as sip:{agent_id}@agents.example.com",
        ));
    }
    Ok(())
}

/// Answers at these listeners.
pub(crate) fn serve(
    bound: Vec<SipListener>,
    service: &Arc<Service>,
    settings: Settings,
    reads: &Arc<CallReads>,
    connections: Budget,
) -> Result<Open, Failure> {
    let mut limits = SipLimits::default();
    limits.connections = connections;
    let door = Door::new(Arc::clone(service), Arc::new(now), settings).with_call_reads(Arc::clone(reads));
    let door = Arc::new(door);
    let (stop, stopped) = watch::channel(());
    for listener in bound {
        let address = listener.address().map_err(|error| Failure::new(error.to_string()))?;
        info!(%address, "serving SIP");
        tokio::spawn(listener.serve(Arc::clone(&door), limits, stopped.clone()));
    }
    Ok(Open { door, _stop: stop })
}

/// The running SIP listeners. They stop when this is dropped.
pub(crate) struct Open {
    door: Arc<Door>,
    _stop: watch::Sender<()>,
}

impl Open {
    /// Returns the counters of the SIP listeners.
    pub(crate) fn counts(&self) -> Arc<SipCounts> {
        Arc::clone(self.door.counts())
    }
}

fn dialed_from(field: &str) -> Result<DialedFrom, String> {
    match field {
        "request-uri" => Ok(DialedFrom::RequestUri),
        "to" => Ok(DialedFrom::To),
        "diversion" => Ok(DialedFrom::Diversion),
        _ => Err("use request-uri, to or diversion".into()),
    }
}

fn unrouted(status: &str) -> Result<Unrouted, String> {
    match status {
        "404" => Ok(Unrouted::NotFound),
        "480" => Ok(Unrouted::Unavailable),
        _ => Err("use 404 or 480".into()),
    }
}
