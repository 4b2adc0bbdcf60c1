//! Starts the FastAGI listener if the operator configured it.

use super::budgets::Budgets;
use crate::clock::now;
use crate::failure::Failure;
use dialback::admission::Budget;
use dialback::agi::{AgiLimits, AgiListener, Door, Settings};
use dialback::{AddressBook, CallReads, ContextFields, Peers, Service};
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
    #[arg(long, value_name = "CONNECTIONS", env = "DIALBACK_AGI_MAX_CONNECTIONS", default_value = "1024")]
    #[arg(requires = "agi_listen")]
    agi_max_connections: NonZeroU16,
    /// Fields of the context of the call behind a decision, separated by commas. Each of them becomes a variable
    /// `DIALBACK_CONTEXT_NAME`
    #[arg(
        long,
        value_name = "NAME,NAME",
        env = "DIALBACK_AGI_CONTEXT",
        value_delimiter = ',',
        requires = "agi_listen"
    )]
    agi_context: Vec<String>,
}

impl AgiOptions {
    /// Adds the connections of this listener.
    pub(crate) fn budget(&self, budgets: Budgets) -> Budgets {
        Budgets { agi: self.agi_listen.map_or(0, |_| self.agi_max_connections.get().into()), ..budgets }
    }

    /// Opens the listener if an address is configured. Connections wait until they are [served](Self::serve).
    pub(crate) async fn bind(&self) -> Result<Option<AgiListener>, Failure> {
        let Some(wanted) = self.agi_listen else { return Ok(None) };
        let cannot = |error| Failure::new(format!("cannot listen on {wanted} for AGI: {error}"));
        AgiListener::bind(wanted).await.map(Some).map_err(cannot)
    }

    /// Returns the fields of contexts that are set as variables.
    pub(crate) fn context_fields(&self) -> Result<ContextFields, Failure> {
        Settings::context_fields(&self.agi_context).map_err(|error| Failure::new(format!("--agi-context {error}")))
    }

    /// Answers at the listener until the returned sender is dropped.
    pub(crate) fn serve(
        &self,
        listener: AgiListener,
        service: &Arc<Service>,
        addresses: &AddressBook,
        serves_while_loading: bool,
        reads: &Arc<CallReads>,
        connections: Budget,
    ) -> Result<watch::Sender<()>, Failure> {
        let address = listener.address().map_err(|error| Failure::new(error.to_string()))?;
        info!(%address, "serving AGI");
        let trust = if self.agi_trust.is_empty() { Peers::LOOPBACK.to_vec() } else { self.agi_trust.clone() };
        let context_fields = self.context_fields()?;
        let settings = Settings { trust, addresses: addresses.clone(), serves_while_loading, context_fields };
        let door = Door::new(Arc::clone(service), Arc::new(now), settings).with_call_reads(Arc::clone(reads));
        let door = Arc::new(door);
        let (stop, stopped) = watch::channel(());
        let mut limits = AgiLimits::default();
        limits.connections = connections;
        tokio::spawn(listener.serve(door, limits, stopped));
        Ok(stop)
    }
}
