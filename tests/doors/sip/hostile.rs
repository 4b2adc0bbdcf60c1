//! Malformed and hostile input: the door must not panic or grow, and must count each message.

use crate::support::listening::{PATIENCE, listen, next, over_udp};
use crate::support::shop::{START, Shop, invite, peer, request, status};
use dialback::admission::Budget;
use dialback::metrics::SipEvent;
use dialback::sip::SipLimits;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Returns the next pseudo-random number (splitmix64). The sequence is the same in each run.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn below(state: &mut u64, bound: usize) -> usize {
    usize::try_from(random(state) % u64::try_from(bound).expect("small")).expect("small")
}

/// Checks that an answer is a well-formed response with one header field a line.
fn check(answer: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(answer);
    let head = text.strip_suffix("\r\n\r\n").ok_or("no end")?;
    let mut lines = head.split("\r\n");
    let first = lines.next().ok_or("no status")?;
    if !first.starts_with("SIP/2.0 ") {
        return Err(format!("not a response: {first}"));
    }
    let known = ["Via", "From", "To", "Call-ID", "CSeq", "Content-Length", "Contact", "Allow", "Accept", "Supported"];
    let more = ["Unsupported", "Retry-After", "Diversion", "History-Info"];
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or_else(|| format!("no field: {line:?}"))?;
        let is_known = known.contains(&name) || more.contains(&name) || name.starts_with("X-Dialback-");
        if !is_known || value.contains(['\r', '\n']) {
            return Err(format!("a field that is not ours: {line:?}"));
        }
    }
    Ok(())
}

#[test]
fn answer_check_finds_planted_errors() {
    for bad in [
        "SIP/2.0 200 OK\r\nX-Evil: 1\r\n\r\n",
        "SIP/2.0 200 OK\r\nVia: a\nb: c\r\n\r\n",
        "INVITE x\r\n\r\n",
        "SIP/2.0 200 OK\r\n",
    ] {
        assert!(check(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn random_and_damaged_messages_get_a_valid_response_or_none() {
    let shop = Shop::open();
    let mut state = 1;
    let signs = b"\r\n \t:;,<>\"\\@%?=&+*\0\xFF\xC3SIP/2.0sips:tel:tagVia";
    let full = invite(
        "Supported: histinfo\r\nDiversion: <sip:a@b>;reason=x\r\nHistory-Info: <sip:a@b>;index=1\r\nRequire: foo\r\n\
         P-Asserted-Identity: \"A\" <sip:+12125550143@x>, <tel:+12125550143>\r\nPrivacy: none\r\n",
    );
    let (mut answered, mut silent) = (0, 0);
    for round in 0..40_000_u32 {
        let mut message = if round % 8 == 0 { Vec::new() } else { full.clone().into_bytes() };
        for _ in 0..=below(&mut state, 6) {
            let place = below(&mut state, message.len() + 1);
            let sign = signs[below(&mut state, signs.len())];
            match below(&mut state, 4) {
                0 => message.insert(place, sign),
                1 if place < message.len() => message[place] = sign,
                2 if place < message.len() => drop(message.remove(place)),
                _ => {
                    let end = (place + below(&mut state, 40)).min(message.len());
                    let piece = message[place..end].to_vec();
                    let to = below(&mut state, message.len() + 1);
                    message.splice(to..to, piece);
                }
            }
        }
        match shop.door.answer(&message, peer()) {
            None => silent += 1,
            Some(answer) => {
                answered += 1;
                assert_eq!(answer.to.ip(), peer().ip());
                check(&answer.bytes).unwrap_or_else(|wrong| panic!("{wrong}: {}", String::from_utf8_lossy(&message)));
            }
        }
    }
    assert!(answered > 20_000 && silent > 1_000, "{answered} {silent}");
    assert_eq!(shop.door.counts().happened(SipEvent::Panic), 0);
}

/// Simulates a panic in the parser by a panic in the clock.
#[test]
fn panic_on_one_message_does_not_stop_the_door() {
    let shop = Shop::open();
    shop.break_clock();
    assert_eq!(shop.ask(&invite("")), None);
    assert_eq!(shop.door.counts().happened(SipEvent::Panic), 1);
    shop.set_now(START);
    assert_eq!(shop.ask(&invite("")).as_deref().map(status), Some(302));
}

#[tokio::test]
async fn too_large_message_closes_its_connection() {
    let shop = Shop::open();
    let open = listen(&shop, "127.0.0.1:0", SipLimits::default()).await;
    // The largest possible datagram.
    let filler = format!("Subject: {}\r\n", "x".repeat(65_507 - invite("").len() - 11));
    assert_eq!(status(&over_udp(open.address, &invite(&filler)).await), 302);
    assert_eq!(status(&over_udp(open.address, &invite(&filler).replace("Length: 0", "Length: 9")).await), 400);
    let endless = invite("").replace("\r\n\r\n", "\r\n");
    let announced = invite("").replace("Length: 0", "Length: 65536");
    let absurd = invite("").replace("Length: 0", "Length: 18446744073709551615");
    for (message, more) in [(&endless, 80_000), (&announced, 0), (&absurd, 0)] {
        let mut stream = TcpStream::connect(open.address).await.expect("connected");
        // The connection is closed while this is written, or after it.
        let _ = stream.write_all(message.as_bytes()).await;
        let _ = stream.write_all(&vec![b'x'; more]).await;
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is closed");
        assert!(ended.is_err() || rest.is_empty(), "{rest:?}");
    }
    assert_eq!(shop.door.counts().happened(SipEvent::TooLarge), 3);
    // A message without a usable length is answered, and ends the connection.
    for (message, expected) in [("Content-Length: 0\r\n", 302), ("Content-Length: 0", 400)] {
        let replacement = if expected == 302 { "" } else { "Content-Length: -1" };
        let mut stream = TcpStream::connect(open.address).await.expect("connected");
        let two = invite("").replace(message, replacement) + &invite("");
        stream.write_all(two.as_bytes()).await.expect("written");
        assert_eq!(status(&next(&mut stream).await), expected);
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is closed");
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }
}

#[tokio::test]
async fn idle_or_slow_connection_is_closed() {
    let shop = Shop::open();
    // Only one of the two limits is short at a time, so that a busy machine does not trigger the other.
    let (soon, late) = (Duration::from_millis(200), PATIENCE * 2);
    let limits = |idle, message_timeout| {
        let mut limits = SipLimits::default();
        (limits.idle, limits.message_timeout) = (idle, message_timeout);
        limits
    };
    let silent = listen(&shop, "127.0.0.1:0", limits(soon, late)).await;
    let open = listen(&shop, "127.0.0.1:0", limits(late, soon)).await;
    for (address, begun, event) in [(silent.address, "", SipEvent::Idle), (open.address, "INVITE sip:", SipEvent::Slow)]
    {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(begun.as_bytes()).await.expect("written");
        let mut rest = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is closed").expect("in order");
        assert_eq!(shop.door.counts().happened(event), 1, "{event:?}");
    }
    // A slow stream of bytes that never completes a message does not keep the connection open.
    let mut stream = TcpStream::connect(open.address).await.expect("connected");
    let trickle = async {
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, trickle).await.expect("it is closed");
    assert_eq!(shop.door.counts().happened(SipEvent::Slow), 2);
    assert_eq!(shop.door.counts().connections(), 0);
}

#[tokio::test]
async fn connection_beyond_the_limit_replaces_the_one_that_is_silent_longest() {
    let shop = Shop::open();
    let mut limits = SipLimits::default();
    limits.connections = Budget::of(2);
    let open = listen(&shop, "127.0.0.1:0", limits).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(open.address).await.expect("connected");
        stream.write_all(request("OPTIONS", "sip:gw", "").as_bytes()).await.expect("written");
        assert_eq!(status(&next(&mut stream).await), 200);
        streams.push(stream);
    }
    assert_eq!(shop.door.counts().connections(), 2);
    let mut first = streams.remove(0);
    assert_eq!(first.read(&mut [0; 1]).await.expect("closed in order"), 0);
    for stream in &mut streams {
        stream.write_all(request("OPTIONS", "sip:gw", "").as_bytes()).await.expect("written");
        assert_eq!(status(&next(stream).await), 200, "it stayed");
    }
}
