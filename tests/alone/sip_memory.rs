//! Messages to the SIP door do not make the process grow. This test is alone in its binary, because it measures the
//! whole process.

use crate::support::own_process::in_own_process;
use crate::support::{listening, shop};
use dialback::metrics::SipEvent;
use dialback::sip::{Settings, SipLimits};
use listening::{PATIENCE, listen, next, over_udp};
use shop::{Shop, invite, request, status};
use std::net::UdpSocket;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::test]
async fn idle_connections_strangers_and_calls_do_not_grow_memory() {
    if !in_own_process(|| ()) {
        return;
    }
    thousand_idle_connections_do_not_delay_calls().await;
    untrusted_sender_gets_no_response_and_no_memory().await;
    flood_of_calls_stays_within_the_table();
}

async fn thousand_idle_connections_do_not_delay_calls() {
    let shop = Shop::open();
    let open = listen(&shop, "127.0.0.1:0", SipLimits::default()).await;
    let before = resident();
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        let mut stream = TcpStream::connect(open.address).await.expect("connected");
        // Each connection has been used once.
        stream.write_all(request("OPTIONS", "sip:gw", "").as_bytes()).await.expect("written");
        assert_eq!(status(&next(&mut stream).await), 200);
        idle.push(stream);
    }
    assert_eq!(shop.door.counts().connections(), 1_000);
    let each = resident().saturating_sub(before) / 1_000;
    println!("{each} bytes a connection, both ends");
    assert!(each < 64 * 1024, "{each} bytes a connection");
    assert_eq!(status(&over_udp(open.address, &invite("")).await), 302);
    for stream in &mut idle {
        stream.write_all(b"\r\n\r\n").await.expect("written");
    }
    for stream in &mut idle {
        assert_eq!(timeout(PATIENCE, stream.read_u16()).await.expect("an answer").expect("a pong"), 0x0D0A);
    }
    drop(idle);
    let gone = async {
        while shop.door.counts().connections() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("each is let go");
}

/// Returns the resident memory of this process in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("pages");
    pages * 4096
}

/// Returns a door that trusts another address.
fn stranger(mut settings: Settings) -> Settings {
    settings.trust = vec!["192.0.2.0/24".parse().expect("an address")];
    settings
}

async fn untrusted_sender_gets_no_response_and_no_memory() {
    let shop = Shop::with(stranger);
    let open = listen(&shop, "127.0.0.1:0", SipLimits::default()).await;
    let mut stream = TcpStream::connect(open.address).await.expect("connected");
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is closed");
    assert!(rest.is_empty());
    assert_eq!(shop.door.counts().happened(SipEvent::Stranger), 1);

    let to = open.address;
    let before = resident();
    let answers = tokio::task::spawn_blocking(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_nonblocking(true).expect("set");
        for call in 0..50_000_u32 {
            let message = invite("").replace("z9hG4bK1", &format!("z9hG4bK{call}"));
            // The system's send buffer may be full, which does not matter here.
            let _ = socket.send_to(message.as_bytes(), to);
        }
        let mut packet = [0; 2048];
        socket.recv(&mut packet).is_ok()
    });
    assert!(!answers.await.expect("sent"), "nothing is answered");
    let counted = async {
        while shop.door.counts().happened(SipEvent::Stranger) < 1_000 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, counted).await.expect("each that arrives is counted");
    assert_eq!(shop.door.counts().answered("INVITE", 302), 0);
    let grown = resident().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes");
}

fn flood_of_calls_stays_within_the_table() {
    let shop = Shop::open();
    let flood = |from: u32, to: u32| {
        for call in from..to {
            shop.ask(&invite("").replace("z9hG4bK1", &format!("z9hG4bK{call}"))).expect("an answer");
        }
    };
    // Each shard of the table has allocated its memory by then.
    flood(0, 2_000);
    let before = resident();
    flood(2_000, 20_000);
    let grown = resident().saturating_sub(before);
    assert!(grown < 2 << 20, "{grown} bytes");
}
