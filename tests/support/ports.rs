//! Ports for servers that are restarted with the same ones.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::{TcpListener, UdpSocket};
use std::sync::Mutex;

/// Ports are reserved as UDP ports until this process ends, and no server of the tests uses the UDP port.
static RESERVED: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

/// The ports that any user may use and that the system does not give away begin here.
const FIRST: u16 = 10_000;

/// Returns different ports that no other test gets, also not one in another process.
///
/// The system gives ports of its own range to each connection and to each listener at port 0. A server that is
/// restarted with such a port may find it taken, so these ports are below that range.
pub fn free_ports<const N: usize>() -> [u16; N] {
    [(); N].map(|()| reserve())
}

fn reserve() -> u16 {
    let random = RandomState::new();
    let ports = u64::from(end() - FIRST);
    let mut candidates = (0..1000_u64)
        .map(|attempt| FIRST + u16::try_from(random.hash_one(attempt) % ports).expect("smaller than a port"));
    candidates.find(|port| is_reserved_now(*port)).expect("a free port")
}

/// Returns where the system's own range begins.
fn end() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let begin = range.split_whitespace().next().and_then(|begin| begin.parse().ok()).unwrap_or(32_768);
    assert!(begin > FIRST + 1000, "the system's own ports begin at {begin}: too few are left for servers of the tests");
    begin
}

fn is_reserved_now(port: u16) -> bool {
    let Ok(reserved) = UdpSocket::bind(("127.0.0.1", port)) else { return false };
    if TcpListener::bind(("127.0.0.1", port)).is_err() {
        return false;
    }
    RESERVED.lock().expect("no panic").push(reserved);
    true
}

#[test]
fn reserved_ports_differ_and_are_below_the_systems_own() {
    let mut ports = free_ports::<200>();
    ports.sort_unstable();
    assert!(ports.windows(2).all(|pair| pair[0] < pair[1]), "{ports:?}");
    assert!(ports.iter().all(|port| (FIRST..end()).contains(port)), "{ports:?}");
    assert!(!is_reserved_now(ports[0]), "a reserved port is given once");
}
