//! The SIP door over real sockets: UDP and TCP, IPv4 and IPv6.

use crate::support::listening::{listen, next, over_udp};
use crate::support::shop::{DESK, Shop, field, invite, request, status};
use dialback::metrics::SipEvent;
use dialback::sip::SipLimits;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

#[tokio::test]
async fn invite_is_redirected_over_udp_and_tcp_ipv4_and_ipv6() {
    let shop = Shop::open();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let open = listen(&shop, address, SipLimits::default()).await;
        let answer = over_udp(open.address, &invite("")).await;
        assert_eq!(status(&answer), 302, "{answer}");
        assert_eq!(field(&answer, "Contact"), Some(&*format!("<sip:{DESK}@agents.example.com;transport=tls>")));
        assert_eq!(field(&answer, "X-Dialback-Reason"), Some("MATCHED"));
        let mut stream = TcpStream::connect(open.address).await.expect("connected");
        stream.write_all(invite("").replace("/UDP", "/TCP").as_bytes()).await.expect("written");
        assert_eq!(status(&next(&mut stream).await), 302);
    }
}

/// A line end alone begins no message. Two of them at different times are no keep-alive.
#[tokio::test]
async fn line_end_between_messages_is_ignored() {
    let shop = Shop::open();
    let mut limits = SipLimits::default();
    limits.message_timeout = Duration::from_millis(800);
    let open = listen(&shop, "127.0.0.1:0", limits).await;
    let mut stream = TcpStream::connect(open.address).await.expect("connected");
    for _ in 0..2 {
        stream.write_all(b"\r\n").await.expect("written");
        sleep(Duration::from_millis(1_200)).await;
    }
    // The Content-Length leaves out the last line end of the body.
    let message = request("OPTIONS", "sip:gw.example.com", "").replace("Length: 0\r\n\r\n", "Length: 3\r\n\r\nv=0\r\n");
    stream.write_all(message.as_bytes()).await.expect("written");
    assert_eq!(status(&next(&mut stream).await), 200);
    sleep(Duration::from_millis(1_200)).await;
    stream.write_all(request("BYE", "sip:gw.example.com", "").as_bytes()).await.expect("it is open still");
    assert_eq!(status(&next(&mut stream).await), 405);
    assert_eq!(shop.door.counts().happened(SipEvent::KeepAlive), 0);
    assert_eq!(shop.door.counts().happened(SipEvent::Slow), 0);
}

#[tokio::test]
async fn stream_is_split_into_messages_for_any_chunking() {
    let shop = Shop::open();
    let open = listen(&shop, "127.0.0.1:0", SipLimits::default()).await;
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
        // The answer to the keep-alive comes between the two responses.
        let last = next(&mut stream).await;
        assert_eq!(last.strip_prefix("\r\n").map(status), Some(405), "{last}");
    }
    assert_eq!(shop.door.counts().happened(SipEvent::KeepAlive), 3);
}
