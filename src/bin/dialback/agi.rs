//! The FastAGI door, where the operator wants one.

use crate::failure::Failure;
use crate::now;
use dialback::agi::{Door, Ears, Limits, Settings};
use dialback::{AgentAddresses, Peers, Service};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;
use tracing::info;

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "FastAGI, for Asterisk")]
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
}

impl AgiOptions {
    /// Opens the door, where there is to be one. It is open until what comes back is dropped.
    pub(crate) async fn open(
        &self,
        service: &Arc<Service>,
        addresses: &AgentAddresses,
        serves_while_loading: bool,
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
        tokio::spawn(ears.serve(door, Limits::default(), stopped));
        Ok(Some(stop))
    }
}
