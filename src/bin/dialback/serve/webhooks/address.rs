//! The addresses that messages may go to.

use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::LazyLock;

/// The networks that are not public: those of the IANA special-purpose registries that are not globally reachable, and multicast.
/// <https://www.iana.org/assignments/iana-ipv4-special-registry>, <https://www.iana.org/assignments/iana-ipv6-special-registry>.
const SPECIAL: [&str; 32] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

static NETWORKS: LazyLock<Vec<IpNet>> =
    LazyLock::new(|| SPECIAL.iter().map(|network| network.parse().expect("a network")).collect());

/// Returns whether an address is public. An IPv6 address that stands for an IPv4 address is judged as that one, and all others must
/// be global unicast addresses.
fn is_public(address: IpAddr) -> bool {
    let address = plain(address);
    let is_unicast = match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => address.segments()[0] & 0xE000 == 0x2000,
    };
    is_unicast && !NETWORKS.iter().any(|network| network.contains(&address))
}

/// Returns the IPv4 address that an IPv6 address stands for, or the address itself.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4),
        address @ IpAddr::V4(_) => address,
    }
}

/// The networks that an operator allows.
#[derive(Clone, Debug)]
pub(super) struct Allowed(Vec<IpNet>);

impl Allowed {
    pub(super) fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether messages may go to an address: with TLS also to public ones.
    pub(super) fn accepts(&self, address: IpAddr, is_secured: bool) -> bool {
        self.contains(address) || is_secured && is_public(address)
    }

    fn contains(&self, address: IpAddr) -> bool {
        let address = plain(address);
        self.0.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn public(text: &str) -> bool {
        is_public(text.parse().expect(text))
    }

    #[test]
    fn special_addresses_are_not_public_in_any_notation() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.0.1",
            "198.19.0.1",
            "203.0.113.5",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:0:1::",
            "2001:db8::1",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(!public(text), "{text}");
        }
    }

    #[test]
    fn neighbours_of_special_networks_are_public() {
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "2001:200::1",
            "2003::1",
            "2606:4700::1111",
        ] {
            assert!(public(text), "{text}");
        }
    }

    #[test]
    fn allowed_networks_hold_their_addresses_in_any_notation() {
        let allowed = Allowed::new(vec!["10.0.0.0/8".parse().expect("a network")]);
        let contains = |text: &str| allowed.contains(text.parse().expect(text));
        assert!(contains("10.1.1.1") && contains("::ffff:10.1.1.1") && !contains("11.0.0.1") && !contains("::1"));
        assert_eq!(plain(Ipv6Addr::LOCALHOST.into()), IpAddr::V6(Ipv6Addr::LOCALHOST));
        assert_eq!(plain(Ipv4Addr::LOCALHOST.into()), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
}
