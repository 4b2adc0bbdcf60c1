//! The forms of `Via` that RFC 3261 allows: each is accepted, and repeated in the response as it was sent.

use crate::support::shop::{Shop, fields, invite, status};

/// Each form of the top Via, and the port that the answer goes to.
const FORMS: [(&str, u16); 10] = [
    // The examples of RFC 3261, section 20.42.
    ("SIP/2.0/UDP erlang.bell-telephone.com:5060;branch=z9hG4bK87asdks7", 5060),
    ("SIP/2.0/UDP 192.0.2.1:5060 ;branch=z9hG4bK77asjd", 5060),
    ("SIP / 2.0 / UDP first.example.com: 4000;ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1", 4000),
    ("SIP/2.0/UDP gw.example.com :\t7000 ; branch = z9hG4bK1", 7000),
    ("SIP/2.0/UDP [2001:db8::9:1] : 7000;branch=z9hG4bK1", 7000),
    ("sip/2.0/udp gw.example.com;branch=z9hG4bK1", 5060),
    ("SIP/2.0/UDP gw.example.com;x=\"a\\\"b\";branch=z9hG4bK1", 5060),
    ("SIP/2.0/UDP gw.example.com;x=\"rport;; a, \\\\\";y=\"\";branch=z9hG4bK1", 5060),
    ("SIP/2.0/UDP gw.example.com;x=\"\u{e9}\";branch=z9hG4bK1", 5060),
    ("SIP/2.0/UDP gw.example.com;branch=z9hG4bK%ff", 5060),
];

const TOP: &str = "SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1;rport";

#[test]
fn via_of_each_form_is_accepted_and_repeated_unchanged() {
    for (via, port) in FORMS {
        let shop = Shop::open();
        // As the first of three elements, one in the same field and one in the next.
        let far = format!("Via: {via}\r\n");
        let message = invite("").replace(TOP, &format!("{via} , {via}")).replace("Max-F", &format!("{far}Max-F"));
        let answer = shop.ask_bytes(message.as_bytes()).expect("an answer");
        let text = String::from_utf8(answer.bytes).expect("text");
        assert_eq!(status(&text), 302, "{via}");
        assert_eq!(fields(&text, "Via"), [&*format!("{via};received=127.0.0.1, {via}"), via], "{via}");
        assert_eq!(answer.to, ([127, 0, 0, 1], port).into(), "{via}");
    }
}

/// A proxy may write its Via otherwise in the CANCEL than in the INVITE: white space carries no meaning.
#[test]
fn cancel_finds_its_invite_whatever_the_white_space_in_via() {
    let shop = Shop::open();
    let spaced = invite("").replace(TOP, "SIP / 2.0 / UDP first.example.com: 4000 ;branch= z9hG4bK1");
    let dense =
        invite("").replace(TOP, "SIP/2.0/UDP first.example.com:4000;branch=z9hG4bK1").replace("INVITE", "CANCEL");
    assert_eq!(shop.ask(&dense).as_deref().map(status), Some(481));
    assert_eq!(shop.ask(&spaced).as_deref().map(status), Some(302));
    assert_eq!(shop.ask(&dense).as_deref().map(status), Some(200));
    let other = dense.replace("z9hG4bK1", "z9hG4bK2");
    assert_eq!(shop.ask(&other).as_deref().map(status), Some(481));
}

#[test]
fn malformed_via_gets_400_with_the_same_bytes() {
    let shop = Shop::open();
    for via in [
        "SIP/2.0/UDP gw.example.com:",
        "SIP/2.0/UDP gw.example.com: 70 00",
        "SIP/2.0/UDP gw.example.com;;branch=z9hG4bK1",
        "SIP/2.0/UDP gw.example.com;branch=z9hG4bK1;",
        "SIP/2.0/UDP gw.example.com;=1",
        "SIP/2.0/UDP gw.example.com;x=\"a\\\"",
        "SIP/2.0/UDP [2001: db8::1]",
        "SIP/2.0/UDP gw example.com",
    ] {
        let answer = shop.ask(&invite("").replace(TOP, via)).expect("an answer");
        assert_eq!((status(&answer), fields(&answer, "Via")), (400, vec![via]), "{via}");
        // The same as the last of two.
        let answer = shop.ask(&invite("").replace("Max-F", &format!("Via: {via}\r\nMax-F"))).expect("an answer");
        assert_eq!((status(&answer), fields(&answer, "Via")[1]), (400, via), "{via}");
    }
    // A Via that is not UTF-8 must not come back as other bytes.
    let mut message = invite("").replace("z9hG4bK1", "z9hG4bK1;x=\"@\"").into_bytes();
    let place = message.windows(3).position(|three| three == b"\"@\"").expect("the value") + 1;
    message[place] = 0xE9;
    let answer = shop.ask_bytes(&message).expect("an answer").bytes;
    assert!(answer.starts_with(b"SIP/2.0 400 "));
    assert!(answer.windows(3).any(|three| three == b"\"\xE9\""));
}
