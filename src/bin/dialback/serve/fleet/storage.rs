//! The options that say which NATS servers keep the stream.

use dialback::fleet::nats::Storage;

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Fleet")]
#[allow(clippy::struct_field_names, reason = "they are the options' names")]
pub(super) struct StorageOptions {
    /// The JetStream domain of the servers that keep the stream, if the nodes reach them through leaf servers. Set it to
    /// the same value on all nodes
    #[arg(long, value_name = "NAME", env = "DIALBACK_FLEET_DOMAIN", requires = "fleet_nats")]
    fleet_domain: Option<String>,
    /// How many servers of a NATS cluster keep the stream. Only the node that creates the stream uses this
    #[arg(long, value_name = "SERVERS", env = "DIALBACK_FLEET_REPLICAS", default_value_t = 1, requires = "fleet_nats")]
    fleet_replicas: usize,
    /// The NATS cluster that keeps the stream, if the servers form several. Only the node that creates the stream uses
    /// this
    #[arg(long, value_name = "NAME", env = "DIALBACK_FLEET_CLUSTER", requires = "fleet_nats")]
    fleet_cluster: Option<String>,
    /// The tags of the servers that keep the stream, separated by commas. Only the node that creates the stream uses
    /// this
    #[arg(long, value_name = "TAGS", env = "DIALBACK_FLEET_TAGS", requires = "fleet_nats", value_delimiter = ',')]
    fleet_tags: Vec<String>,
    /// The maximum size of the stream, such as 20GiB, and of the stored snapshots. A full stream rejects messages, and
    /// the nodes keep them. Only the node that creates the stream uses this
    #[arg(long, value_name = "SIZE", env = "DIALBACK_FLEET_MAX_BYTES", requires = "fleet_nats", value_parser = size)]
    fleet_max_bytes: Option<u64>,
}

impl StorageOptions {
    pub(super) fn storage(&self) -> Storage {
        Storage {
            domain: self.fleet_domain.clone(),
            replicas: self.fleet_replicas,
            cluster: self.fleet_cluster.clone(),
            tags: self.fleet_tags.clone(),
            max_bytes: self.fleet_max_bytes,
        }
    }
}

/// Parses a number of bytes with an optional binary unit.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => 64,
    };
    let count = digits.parse::<u64>().ok();
    let bytes = count.and_then(|count| count.checked_mul(1u64.checked_shl(shift)?)).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "not a size: use a number of bytes, or a unit such as 512MiB or 20GiB".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_with_an_optional_binary_unit() {
        assert_eq!(size("1"), Ok(1));
        assert_eq!(size("3KiB"), Ok(3 << 10));
        assert_eq!(size("20GiB"), Ok(20 << 30));
        for wrong in ["", "0", "GiB", "1GB", "-1", "1.5GiB", "99999999TiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
