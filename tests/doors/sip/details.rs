//! The id, the status and the context of the call behind a decision, as headers of a redirect.

use crate::support::listening::{listen, next, over_udp};
use crate::support::shop::{CONTACT, DIALED, SALES, SHOP, START, Shop, changes, field, invite, status};
use dialback::sip::{Settings, SipLimits};
use dialback::store::EventStore;
use dialback::testing::failing::{Hang, HangingStore};
use dialback::testing::lasting::LastingStore;
use dialback::{Call, CallId, CallReads, Context, Details, E164, Event, Outcome, Service};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};

fn shop() -> Shop {
    shop_on(LastingStore::new([7; 32]))
}

/// Opens a door that passes on some fields of contexts.
fn shop_on(store: impl EventStore) -> Shop {
    shop_reading(store, CallReads::default().with_patience(Duration::from_secs(60)))
}

fn shop_reading(store: impl EventStore, reads: CallReads) -> Shop {
    let service = Service::builder(store).start().expect("starts");
    service.configure(SHOP, START, |_| Ok(changes())).expect("valid");
    let fields = Settings::context_fields(&["order", "note", "more"]).expect("names");
    Shop::reading(service, reads, |settings| Settings { context_fields: fields, ..settings })
}

fn report(shop: &Shop, id: Option<&str>, context: Option<&str>) {
    let number = |text| E164::parse_international(text).expect("a number");
    let (from, to) = (number(DIALED), number(CONTACT));
    let call = Call { environment: SHOP, agent: SALES, from, to, at: START, outcome: Outcome::NoAnswer };
    let id = id.map(|id| CallId::new(id).expect("an id"));
    let details = Details { id, context: context.map(|context| Context::new(context).expect("a context")) };
    let results = shop.service.record(vec![Event::reported(call, details)]).expect("recorded");
    assert!(results.iter().all(Result::is_ok));
}

#[test]
fn redirect_has_the_id_the_status_and_the_named_fields_of_the_call() {
    let shop = shop();
    report(&shop, None, None);
    let answer = shop.ask(&invite("")).expect("an answer");
    assert_eq!((status(&answer), field(&answer, "X-Dialback-Call-Status")), (302, Some("no-answer")));
    assert!(!answer.contains("X-Dialback-Call-ID") && !answer.contains("X-Dialback-Context"), "{answer}");
    let context = r#"{"order": {"n": 1.10}, "note": "50% \r\nX-Evil: ä\u0000", "secret": "no"}"#;
    report(&shop, Some("order/7;\"<>"), Some(context));
    let answer = shop.ask(&invite("").replace("z9hG4bK1", "z9hG4bK2")).expect("an answer");
    assert_eq!(field(&answer, "X-Dialback-Call-ID"), Some("order/7;\"<>"));
    assert_eq!(field(&answer, "X-Dialback-Call-Status"), Some("no-answer"));
    assert_eq!(field(&answer, "X-Dialback-Context-order"), Some("{\"n\":%201.10}"));
    assert_eq!(field(&answer, "X-Dialback-Context-note"), Some("50%25%20%0D%0AX-Evil:%20%C3%A4%00"));
    assert!(!answer.contains("more") && !answer.contains("secret"), "{answer}");
    assert!(answer.ends_with("\r\nContent-Length: 0\r\n\r\n"), "{answer}");
    assert_eq!((shop.reads.missed(), shop.reads.left_out()), (0, 0));
}

#[test]
fn response_without_a_call_behind_it_has_no_details() {
    let shop = shop();
    report(&shop, Some("a"), Some(r#"{"order": 7}"#));
    let answer = shop.ask(&invite("").replace(CONTACT, "+12125550199")).expect("an answer");
    assert_eq!((status(&answer), field(&answer, "X-Dialback-Reason")), (302, Some("NO_HISTORY")));
    assert!(!answer.contains("X-Dialback-Call") && !answer.contains("X-Dialback-Context"), "{answer}");
}

#[test]
fn retransmission_gets_the_same_headers_after_the_context_has_changed() {
    let shop = shop();
    report(&shop, Some("a"), Some(r#"{"order": 7}"#));
    let first = shop.ask(&invite("")).expect("an answer");
    assert_eq!(field(&first, "X-Dialback-Context-order"), Some("7"));
    report(&shop, Some("a"), Some(r#"{"order": 8}"#));
    assert_eq!(shop.ask(&invite("")).as_deref(), Some(&*first));
    let next = shop.ask(&invite("").replace("z9hG4bK1", "z9hG4bK2")).expect("an answer");
    assert_eq!(field(&next, "X-Dialback-Context-order"), Some("8"));
}

#[test]
fn fields_that_do_not_fit_into_a_datagram_are_left_out_and_counted() {
    let shop = shop();
    let long = "x".repeat(256);
    report(&shop, Some("a"), Some(&format!(r#"{{"order": "{long}", "note": "{long}x", "more": 7}}"#)));
    let answer = shop.ask(&invite("")).expect("an answer");
    assert_eq!(field(&answer, "X-Dialback-Context-order"), Some(&*long));
    assert_eq!(
        (field(&answer, "X-Dialback-Context-note"), field(&answer, "X-Dialback-Context-more")),
        (None, Some("7"))
    );
    assert_eq!(shop.reads.left_out(), 1, "a value is too large");
    // The same call with a longer Via: the response is as large, and the long field has no room in it.
    let padding = format!(";pad={}", "p".repeat(1300 - answer.len() + 200));
    let padded = invite("").replace("z9hG4bK1", &format!("z9hG4bK2{padding}"));
    let answer = shop.ask(&padded).expect("an answer");
    assert!(answer.len() <= 1300, "{}", answer.len());
    assert_eq!(
        (field(&answer, "X-Dialback-Context-order"), field(&answer, "X-Dialback-Context-more")),
        (None, Some("7"))
    );
    assert_eq!(shop.reads.left_out(), 3);
    // Without room for the id and any field, the status is there still.
    let padded = invite("").replace("z9hG4bK1", &format!("z9hG4bK3;pad={}", "p".repeat(1300)));
    let answer = shop.ask(&padded).expect("an answer");
    assert_eq!((status(&answer), field(&answer, "X-Dialback-Call-Status")), (302, Some("no-answer")));
    assert!(!answer.contains("X-Dialback-Call-ID") && !answer.contains("X-Dialback-Context"), "{answer}");
    assert_eq!(shop.reads.left_out(), 7);
    assert_eq!(shop.ask(&padded).as_deref(), Some(&*answer), "a retransmission");
    assert_eq!(shop.reads.left_out(), 7, "is counted once");
}

/// The call is routed at once, without its id and its context, and a retransmission gets the same response.
#[tokio::test]
async fn hanging_disk_delays_no_call() {
    let hang = Hang::default();
    // So long that waiting for each read shows.
    let reads = CallReads::default().with_patience(Duration::from_secs(2));
    let shop = shop_reading(HangingStore::new(&hang, LastingStore::new([7; 32])), reads);
    report(&shop, Some("a"), Some(r#"{"order": 7}"#));
    let open = listen(&shop, "127.0.0.1:0", SipLimits::default()).await;
    let hangs = hang.begin();
    let began = Instant::now();
    let mut first = String::new();
    for call in 0..50 {
        let answer = over_udp(open.address, &invite("").replace("z9hG4bK1", &format!("z9hG4bKx{call}"))).await;
        assert_eq!((status(&answer), field(&answer, "X-Dialback-Call-Status")), (302, Some("no-answer")));
        assert!(!answer.contains("X-Dialback-Call-ID") && !answer.contains("X-Dialback-Context"), "{answer}");
        first = if call == 0 { answer } else { first };
    }
    assert!(began.elapsed() < Duration::from_secs(20), "only the first ones wait: {:?}", began.elapsed());
    assert_eq!(shop.reads.missed(), 50);
    drop(hangs);
    let again = over_udp(open.address, &invite("").replace("z9hG4bK1", "z9hG4bKx0")).await;
    let but_port = |answer: &str| answer.lines().filter(|line| !line.starts_with("Via")).collect::<Vec<_>>().join("\n");
    assert_eq!(but_port(&again), but_port(&first), "a retransmission");
}

/// A retransmission that arrives while the call is being read gets no response of its own, and other calls do not wait.
#[tokio::test]
async fn call_that_is_being_read_delays_no_other_and_is_answered_once() {
    let hang = Hang::default();
    let shop = shop_on(HangingStore::new(&hang, LastingStore::new([7; 32])));
    report(&shop, Some("a"), Some(r#"{"order": 7}"#));
    let open = listen(&shop, "127.0.0.1:0", SipLimits::default()).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let send = async |message: &str| {
        socket.send_to(message.as_bytes(), open.address).await.expect("sent");
    };
    let receive = async || {
        let mut packet = vec![0; 4096];
        let received = tokio::time::timeout(Duration::from_secs(60), socket.recv(&mut packet)).await;
        let length = received.expect("in time").expect("received");
        String::from_utf8(packet[..length].to_vec()).expect("text")
    };
    let unknown = |branch: &str| invite("").replace(CONTACT, "+12125550199").replace("z9hG4bK1", branch);
    {
        let _hangs = hang.begin();
        send(&invite("")).await;
        send(&invite("")).await;
        send(&unknown("z9hG4bK2")).await;
        assert_eq!(field(&receive().await, "X-Dialback-Reason"), Some("NO_HISTORY"), "the other call does not wait");
    }
    let answer = receive().await;
    assert_eq!(
        (field(&answer, "X-Dialback-Call-ID"), field(&answer, "X-Dialback-Context-order")),
        (Some("a"), Some("7"))
    );
    // The next datagram answers the next request, so the retransmission had none.
    send(&unknown("z9hG4bK3")).await;
    assert_eq!(field(&receive().await, "X-Dialback-Reason"), Some("NO_HISTORY"));
    send(&invite("")).await;
    assert_eq!(receive().await, answer);
}

/// One after the other, the reads would take more than two seconds.
#[tokio::test]
async fn calls_of_one_connection_are_read_together() {
    let hang = Hang::default();
    let shop = shop_on(HangingStore::new(&hang, LastingStore::new([7; 32])));
    report(&shop, Some("a"), Some(r#"{"order": 7}"#));
    let open = listen(&shop, "127.0.0.1:0", SipLimits::default()).await;
    let mut stream = TcpStream::connect(open.address).await.expect("connected");
    hang.slow_down(Duration::from_millis(15));
    let calls = (0..150).map(|call| invite("").replace("z9hG4bK1", &format!("z9hG4bKx{call}")));
    let began = Instant::now();
    stream.write_all(calls.collect::<String>().as_bytes()).await.expect("sent");
    for _ in 0..150 {
        assert_eq!(status(&next(&mut stream).await), 302);
    }
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
}

/// The other call is answered first. The client has closed its half by then, and gets the first answer all the same.
#[tokio::test]
async fn call_that_is_being_read_delays_no_other_of_its_connection() {
    let hang = Hang::default();
    let shop = shop_on(HangingStore::new(&hang, LastingStore::new([7; 32])));
    report(&shop, Some("a"), Some(r#"{"order": 7}"#));
    let open = listen(&shop, "127.0.0.1:0", SipLimits::default()).await;
    let mut stream = TcpStream::connect(open.address).await.expect("connected");
    let unknown = invite("").replace(CONTACT, "+12125550199").replace("z9hG4bK1", "z9hG4bK2");
    {
        let _hangs = hang.begin();
        stream.write_all(format!("{}{unknown}", invite("")).as_bytes()).await.expect("sent");
        stream.shutdown().await.expect("closed");
        assert_eq!(field(&next(&mut stream).await, "X-Dialback-Reason"), Some("NO_HISTORY"));
    }
    assert_eq!(field(&next(&mut stream).await, "X-Dialback-Context-order"), Some("7"));
}
