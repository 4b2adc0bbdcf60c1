//! Asks the monitoring ports of NATS servers when they sync.

use dialback::fleet::nats::Syncing;
use std::time::Duration;
use tracing::warn;

/// How long a request to a server's monitoring page may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Returns when the servers at these URLs sync. If they differ, the weakest guarantee counts.
pub(super) fn syncing(urls: &str) -> Syncing {
    let ask = |url: &str| {
        let config = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).proxy(None);
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
