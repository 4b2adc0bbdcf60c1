//! A listening SIP door and clients for it.

use super::shop::Shop;
use dialback::sip::{SipLimits, SipListener};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::time::timeout;

/// Longer than any step takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A door that listens until it is dropped.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    _closing: watch::Sender<()>,
}

pub(crate) async fn listen(shop: &Shop, address: &str, limits: SipLimits) -> Listening {
    let listener = SipListener::bind(address.parse().expect("an address")).await.expect("a free port");
    let address = listener.address().expect("an address");
    let (closing, told) = watch::channel(());
    tokio::spawn(listener.serve(Arc::clone(&shop.door), limits, told));
    Listening { address, _closing: closing }
}

pub(crate) async fn over_udp(to: SocketAddr, message: &str) -> String {
    let any: SocketAddr =
        if to.is_ipv4() { ([127, 0, 0, 1], 0).into() } else { "[::1]:0".parse().expect("an address") };
    let socket = UdpSocket::bind(any).await.expect("a socket");
    socket.send_to(message.as_bytes(), to).await.expect("sent");
    let mut packet = vec![0; 65_536];
    let (length, _) = timeout(PATIENCE, socket.recv_from(&mut packet)).await.expect("an answer").expect("received");
    String::from_utf8(packet[..length].to_vec()).expect("text")
}

/// Reads one message of a stream, up to the blank line. Responses have no body.
pub(crate) async fn next(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(timeout(PATIENCE, stream.read_u8()).await.expect("an answer").expect("more"));
    }
    String::from_utf8(text).expect("text")
}
