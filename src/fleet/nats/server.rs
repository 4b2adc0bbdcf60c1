//! What a server says of itself, and what that means for an acknowledgement.

use serde_json::Value;
use std::time::Duration;

/// When a server syncs what it acknowledged. It tells that on its monitoring port (`/varz`), and to no client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Syncing {
    /// Nobody asked.
    Unknown,
    /// Before it acknowledges.
    Always,
    /// Up to this long afterwards.
    Within(Duration),
}

impl Syncing {
    /// Reads what a server's `/varz` says. [`Unknown`](Self::Unknown) where it says nothing.
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

/// What a server says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerFacts {
    /// Its version.
    pub version: String,
    /// How many servers keep the stream.
    pub replicas: usize,
    /// What the operator asked it besides.
    pub syncing: Syncing,
}

impl ServerFacts {
    /// What its operator should know, in sentences.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let loses =
            "a power failure there loses acknowledged messages; nodes publish theirs again from their own stores";
        if self.syncing != Syncing::Always && self.is_before(2, 10) {
            warnings.push(format!(
                "NATS {} cannot sync before it acknowledges (`sync_interval`, from 2.10 on): {loses}",
                self.version
            ));
        } else {
            match self.syncing {
                Syncing::Always => {}
                Syncing::Within(interval) => warnings.push(format!(
                    "NATS syncs up to {} s after it acknowledged: {loses}. Set `sync_interval: always` in its block `jetstream`",
                    interval.as_secs_f64()
                )),
                Syncing::Unknown => warnings.push(format!(
                    "NATS acknowledges before it syncs unless `sync_interval: always` is set, and tells that on its monitoring \
                     port only: without it {loses}"
                )),
            }
        }
        if self.replicas < 2 {
            warnings.push("one server keeps the stream: while it is away, configurations are refused".into());
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
    fn a_server_that_may_lose_what_it_acknowledged_is_warned_of() {
        assert_eq!(warnings("2.14.6", 3, Syncing::Always), "");
        assert!(warnings("2.14.6", 1, Syncing::Always).contains("one server"));
        assert!(warnings("2.14.6", 3, Syncing::Within(Duration::from_secs(120))).contains("up to 120 s"));
        assert!(warnings("2.14.6", 3, Syncing::Unknown).contains("monitoring"));
        assert!(warnings("2.9.10", 3, Syncing::Unknown).contains("cannot sync"));
        assert!(warnings("2.10.0-beta", 3, Syncing::Unknown).contains("monitoring"));
    }

    #[test]
    fn the_monitoring_page_is_read() {
        let page =
            |config: &str| Syncing::from_varz(&format!(r#"{{"version":"2.14.6","jetstream":{{"config":{config}}}}}"#));
        assert_eq!(page(r#"{"sync_interval":120000000000,"sync_always":true}"#), Syncing::Always);
        assert_eq!(page(r#"{"sync_interval":120000000000}"#), Syncing::Within(Duration::from_secs(120)));
        assert_eq!(page(r#"{"store_dir":"/x"}"#), Syncing::Unknown);
        assert_eq!(Syncing::from_varz("<html>"), Syncing::Unknown);
    }
}
