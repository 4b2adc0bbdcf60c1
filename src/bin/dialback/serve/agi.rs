//! Starts the FastAGI listener if the operator configured it.

use super::budgets::Budgets;
use crate::clock::now;
use crate::failure::Failure;
use dialback::admission::Budget;
use dialback::agi::{AgiLimits, AgiListener, Door, Settings};
use dialback::{AgentAddresses, Peers, Service};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use tokio::sync::watch;
use tracing::info;

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "FastAGI, for Asterisk")]
#[expect(clippy::struct_field_names, reason = "as the flags are named")]
pub(crate) struct AgiOptions {
    /// Answer `AGI(agi://ADDRESS:PORT/route)` on this address. The usual port is 4573
    #[arg(long, value_name = "ADDRESS:PORT", env = "DIALBACK_AGI_LISTEN")]
    agi_listen: Option<SocketAddr>,
    /// Accept connections from these addresses only, and believe what they report about callers. May be given several
    /// times. By default only this machine is trusted
    #[arg(
        long,
        value_name = "ADDRESS[/PREFIX]",
        env = "DIALBACK_AGI_TRUST",
        value_delimiter = ',',
        requires = "agi_listen"
    )]
    agi_trust: Vec<Peers>,
    /// The largest number of connections, and so of calls that are routed at once. If all are in use, the connection
    /// that has been idle longest is closed for a new one
    #[arg(long, value_name = "CONNECTIONS", default_value = "1024", requires = "agi_listen")]
    agi_max_connections: NonZeroU16,
}

impl AgiOptions {
    /// Adds the connections of this listener.
    pub(crate) fn budget(&self, budgets: Budgets) -> Budgets {
        Budgets { agi: self.agi_listen.map_or(0, |_| self.agi_max_connections.get().into()), ..budgets }
    }

    /// Starts the listener if an address is configured. It runs until the returned sender is dropped.
    pub(crate) async fn open(
        &self,
        service: &Arc<Service>,
        addresses: &AgentAddresses,
        serves_while_loading: bool,
        connections: Budget,
    ) -> Result<Option<watch::Sender<()>>, Failure> {
        let Some(wanted) = self.agi_listen else { return Ok(None) };
        let cannot = |error| Failure::new(format!("cannot listen on {wanted} for AGI: {error}"));
        let listener = AgiListener::bind(wanted).await.map_err(cannot)?;
        let address = listener.address().map_err(cannot)?;
        info!(%address, "serving AGI");
        let trust = if self.agi_trust.is_empty() { Peers::LOOPBACK.to_vec() } else { self.agi_trust.clone() };
        let settings = Settings { trust, addresses: addresses.clone(), serves_while_loading };
        let door = Arc::new(Door::new(Arc::clone(service), Arc::new(now), settings));
        let (stop, stopped) = watch::channel(());
        let mut limits = AgiLimits::default();
        limits.connections = connections;
        tokio::spawn(listener.serve(door, limits, stopped));
        Ok(Some(stop))
    }
}
