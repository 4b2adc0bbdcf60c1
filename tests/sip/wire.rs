//! Real sockets: UDP and TCP, both versions of IP, and who is not listened to.

use crate::shop::{DESK, Shop, field, invite, request, status};
use dialback::metrics::SipEvent;
use dialback::sip::{Ears, Limits};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::time::timeout;

/// Longer than anything here takes on a machine that does nothing else for a while.
const PATIENCE: Duration = Duration::from_secs(60);

/// A door that listens until it is dropped.
struct Listening {
    address: SocketAddr,
    _stop: watch::Sender<()>,
}

async fn listen(shop: &Shop, address: &str, limits: Limits) -> Listening {
    let ears = Ears::bind(address.parse().expect("an address")).await.expect("a free port");
    let address = ears.address().expect("an address");
    let (stop, told) = watch::channel(());
    tokio::spawn(ears.serve(Arc::clone(&shop.door), limits, told));
    Listening { address, _stop: stop }
}

async fn over_udp(to: SocketAddr, message: &str) -> String {
    let any: SocketAddr =
        if to.is_ipv4() { ([127, 0, 0, 1], 0).into() } else { "[::1]:0".parse().expect("an address") };
    let socket = UdpSocket::bind(any).await.expect("a socket");
    socket.send_to(message.as_bytes(), to).await.expect("sent");
    let mut packet = vec![0; 65_536];
    let (length, _) = timeout(PATIENCE, socket.recv_from(&mut packet)).await.expect("an answer").expect("received");
    String::from_utf8(packet[..length].to_vec()).expect("text")
}

/// One message of a stream: up to the blank line, since no answer has a body.
async fn next(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(timeout(PATIENCE, stream.read_u8()).await.expect("an answer").expect("more"));
    }
    String::from_utf8(text).expect("text")
}

#[tokio::test]
async fn an_invite_is_redirected_over_udp_and_tcp_and_both_versions_of_ip() {
    let shop = Shop::open();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let open = listen(&shop, address, Limits::default()).await;
        let answer = over_udp(open.address, &invite("")).await;
        assert_eq!(status(&answer), 302, "{answer}");
        assert_eq!(field(&answer, "Contact"), Some(&*format!("<sip:{DESK}@agents.example.com;transport=tls>")));
        assert_eq!(field(&answer, "X-Dialback-Reason"), Some("MATCHED"));
        let mut stream = TcpStream::connect(open.address).await.expect("connected");
        stream.write_all(invite("").replace("/UDP", "/TCP").as_bytes()).await.expect("written");
        assert_eq!(status(&next(&mut stream).await), 302);
    }
}

#[tokio::test]
async fn a_stream_is_cut_into_its_messages_however_it_comes() {
    let shop = Shop::open();
    let open = listen(&shop, "127.0.0.1:0", Limits::default()).await;
    let mut stream = TcpStream::connect(open.address).await.expect("connected");
    let with_body =
        request("OPTIONS", "sip:gw.example.com", "").replace("Length: 0\r\n\r\n", "Length: 6\r\n\r\nv=0\r\nx");
    let all = format!("\r\n{}{with_body}\r\n\r\n{}", invite(""), request("BYE", "sip:gw.example.com", ""));
    for pace in [1, 7, all.len()] {
        for part in all.as_bytes().chunks(pace) {
            stream.write_all(part).await.expect("written");
            stream.flush().await.expect("written");
        }
        for expected in [302, 200] {
            assert_eq!(status(&next(&mut stream).await), expected);
        }
        // The answer to the keep-alive stands between the two.
        let last = next(&mut stream).await;
        assert_eq!(last.strip_prefix("\r\n").map(status), Some(405), "{last}");
    }
    assert_eq!(shop.door.counts().happened(SipEvent::KeepAlive), 3);
}
