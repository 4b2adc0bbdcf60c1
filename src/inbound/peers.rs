//! Ranges of IP addresses that requests are accepted from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An IP address, or all addresses with the same first bits: `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peers {
    address: IpAddr,
    prefix: u8,
}

impl Peers {
    /// The loopback addresses, which are trusted if no peers are configured.
    pub const LOOPBACK: [Peers; 2] = [
        Peers { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix: 8 },
        Peers { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 },
    ];

    /// Returns whether the address is in the range. An IPv4-mapped IPv6 address counts as its IPv4 address.
    pub fn include(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differ = ours.to_bits() ^ theirs.to_bits();
                differ.checked_shr(32 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differ = ours.to_bits() ^ theirs.to_bits();
                differ.checked_shr(128 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Peers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address
            .parse()
            .map_err(|_| "not an IP address: write an address, or an address and a prefix such as 192.0.2.0/24")?;
        let address = address.to_canonical();
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), str::parse).ok().filter(|prefix| *prefix <= longest);
        Ok(Self {
            address,
            prefix: prefix.ok_or_else(|| format!("the prefix length is wrong: use 0 to {longest} bits"))?,
        })
    }
}

impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_includes_addresses_with_equal_first_bits() {
        for (peers, address, included) in [
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("192.0.2.7", "::ffff:192.0.2.7", true),
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("::/0", "2001:db8::1", true),
        ] {
            let peers: Peers = peers.parse().unwrap();
            assert_eq!(peers.include(address.parse().unwrap()), included, "{peers} {address}");
        }
    }

    #[test]
    fn malformed_address_or_prefix_is_rejected() {
        for text in ["", "localhost", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/x", "::/129", "192.0.2.0:5060"] {
            assert!(text.parse::<Peers>().is_err(), "{text}");
        }
    }
}
