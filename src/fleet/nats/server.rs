//! The facts that a NATS server reports about itself, and their meaning for its acknowledgements.

use serde_json::Value;
use std::time::Duration;

/// When a server syncs acknowledged messages. The server reports it on its monitoring port (`/varz`), but not to
/// clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Syncing {
    /// It is not known.
    Unknown,
    /// Before it acknowledges.
    Always,
    /// Up to this long after it acknowledges.
    Within(Duration),
}

impl Syncing {
    /// Reads the setting from a server's `/varz` page. Returns [`Unknown`](Self::Unknown) if the page does not have it.
    pub fn from_varz(text: &str) -> Self {
        let Ok(page) = serde_json::from_str::<Value>(text) else { return Self::Unknown };
        let config = &page["jetstream"]["config"];
        match (&config["sync_always"], config["sync_interval"].as_u64()) {
            (Value::Bool(true), _) => Self::Always,
            (_, Some(interval)) => Self::Within(Duration::from_nanos(interval)),
            _ => Self::Unknown,
        }
    }
}

/// The facts that a server reports about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerFacts {
    /// The server's version.
    pub version: String,
    /// The number of servers that keep the stream.
    pub replicas: usize,
    /// When the server syncs, as the node's options say.
    pub syncing: Syncing,
}

impl ServerFacts {
    /// Returns warnings for the server's operator.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let loses = "a power failure of the server loses acknowledged messages, \
                     which the nodes publish again from their own stores";
        if self.syncing != Syncing::Always && self.is_before(2, 10) {
            warnings.push(format!(
                "NATS {} cannot sync before it acknowledges: {loses}. \
                 Update it to 2.10 or later, and set `sync_interval: always`",
                self.version
            ));
        } else {
            match self.syncing {
                Syncing::Always => {}
                Syncing::Within(interval) => warnings.push(format!(
                    "NATS syncs up to {} s after it acknowledged: {loses}. \
                     Set `sync_interval: always` in the server's block `jetstream`",
                    interval.as_secs_f64()
                )),
                Syncing::Unknown => warnings.push(format!(
                    "NATS acknowledges before it syncs unless `sync_interval: always` is set, \
                     and reports the setting on its monitoring port only. Without the setting, {loses}"
                )),
            }
        }
        if self.replicas < 2 {
            warnings.push(
                "only one server keeps the stream: while it is unreachable, changes of the configuration are rejected"
                    .into(),
            );
        }
        warnings
    }

    fn is_before(&self, major: u32, minor: u32) -> bool {
        let mut parts = self.version.split('.').map_while(|part| part.parse::<u32>().ok());
        match (parts.next(), parts.next()) {
            (Some(of_major), Some(of_minor)) => (of_major, of_minor) < (major, minor),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(version: &str, replicas: usize, syncing: Syncing) -> String {
        ServerFacts { version: version.into(), replicas, syncing }.warnings().join("\n")
    }

    #[test]
    fn a_server_that_can_lose_acknowledged_messages_gets_a_warning() {
        assert_eq!(warnings("2.14.6", 3, Syncing::Always), "");
        assert!(warnings("2.14.6", 1, Syncing::Always).contains("one server"));
        assert!(warnings("2.14.6", 3, Syncing::Within(Duration::from_secs(120))).contains("up to 120 s"));
        assert!(warnings("2.14.6", 3, Syncing::Unknown).contains("monitoring"));
        assert!(warnings("2.9.10", 3, Syncing::Unknown).contains("cannot sync"));
        assert!(warnings("2.10.0-beta", 3, Syncing::Unknown).contains("monitoring"));
    }

    #[test]
    fn the_sync_setting_is_read_from_the_monitoring_page() {
        let page =
            |config: &str| Syncing::from_varz(&format!(r#"{{"version":"2.14.6","jetstream":{{"config":{config}}}}}"#));
        assert_eq!(page(r#"{"sync_interval":120000000000,"sync_always":true}"#), Syncing::Always);
        assert_eq!(page(r#"{"sync_interval":120000000000}"#), Syncing::Within(Duration::from_secs(120)));
        assert_eq!(page(r#"{"store_dir":"/x"}"#), Syncing::Unknown);
        assert_eq!(Syncing::from_varz("<html>"), Syncing::Unknown);
    }
}
