//! The FastAGI door, where the operator wants one.

use crate::budgets::Budgets;
use crate::failure::Failure;
use crate::now;
use dialback::admission::Budget;
use dialback::agi::{Door, Ears, Limits, Settings};
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
    /// Answer `AGI(agi://ADDRESS:PORT/route)` on this address; 4573 is the usual port
    #[arg(long, value_name = "ADDRESS:PORT", env = "DIALBACK_AGI_LISTEN")]
    agi_listen: Option<SocketAddr>,
    /// Who is listened to, and believed about callers; may be given several times. Without it this machine alone
    #[arg(
        long,
        value_name = "ADDRESS[/PREFIX]",
        env = "DIALBACK_AGI_TRUST",
        value_delimiter = ',',
        requires = "agi_listen"
    )]
    agi_trust: Vec<Peers>,
    /// Connections at a time: as many calls are asked about at once. When they are all in use, the one that has asked nothing for
    /// longest is closed for a new one
    #[arg(long, value_name = "CONNECTIONS", default_value = "1024", requires = "agi_listen")]
    agi_max_connections: NonZeroU16,
}

impl AgiOptions {
    /// Adds the connections of this listener.
    pub(crate) fn budget(&self, budgets: Budgets) -> Budgets {
        Budgets { agi: self.agi_listen.map_or(0, |_| self.agi_max_connections.get().into()), ..budgets }
    }

    /// Opens the door, where there is to be one. It is open until what comes back is dropped.
    pub(crate) async fn open(
        &self,
        service: &Arc<Service>,
        addresses: &AgentAddresses,
        serves_while_loading: bool,
        connections: Budget,
    ) -> Result<Option<watch::Sender<()>>, Failure> {
        let Some(wanted) = self.agi_listen else { return Ok(None) };
        let cannot = |error| Failure::new(format!("cannot listen on {wanted} for AGI: {error}"));
        let ears = Ears::bind(wanted).await.map_err(cannot)?;
        let address = ears.address().map_err(cannot)?;
        info!(%address, "serving AGI");
        let trust = if self.agi_trust.is_empty() { Peers::LOOPBACK.to_vec() } else { self.agi_trust.clone() };
        let settings = Settings { trust, addresses: addresses.clone(), serves_while_loading };
        let door = Arc::new(Door::new(Arc::clone(service), Arc::new(now), settings));
        let (stop, stopped) = watch::channel(());
        let mut limits = Limits::default();
        limits.connections = connections;
        tokio::spawn(ears.serve(door, limits, stopped));
        Ok(Some(stop))
    }
}
