//! The responses to calls: the dialed number, the caller, the route, and the header fields.

use crate::support::shop::{CONTACT, DESK, DIALED, FRONT, SALES, SHOP, START, Shop};
use crate::support::shop::{field, fields, fill, invite, request, request_from, status};
use dialback::metrics::SipEvent;
use dialback::service::RecordSettings;
use dialback::sip::{Settings, Unrouted};
use dialback::{AgentAddresses, AgentId, Reason, RecordedDoor, Service};

#[test]
fn redirect_contains_contact_reason_and_source_agent() {
    let shop = Shop::open();
    let answer = shop.ask(&invite("")).expect("an answer");
    assert_eq!(status(&answer), 302);
    assert_eq!(field(&answer, "Contact"), Some(&*format!("<sip:{DESK}@agents.example.com;transport=tls>")));
    assert_eq!(field(&answer, "X-Dialback-Reason"), Some("MATCHED"));
    assert_eq!(field(&answer, "X-Dialback-Source-Agent"), Some(&*SALES.to_string()));
    assert_eq!(field(&answer, "X-Dialback-Decision").map(str::len), Some(36));
    let diversion = format!("<sip:{DIALED}@gw.example.com;user=phone>;reason=unconditional;counter=1");
    assert_eq!(fields(&answer, "Diversion"), [diversion]);
    assert_eq!(field(&answer, "From"), Some(&*format!("\"Ann\" <sip:{CONTACT}@trunk.example.com>;tag=a1")));
    assert_eq!((field(&answer, "Call-ID"), field(&answer, "CSeq")), (Some("1@trunk.example.com"), Some("1 INVITE")));
    let to = field(&answer, "To").expect("a To");
    assert!(to.starts_with(&format!("<sip:{DIALED}@gw.example.com;user=phone>;tag=")), "{to}");
    assert_eq!(field(&answer, "Content-Length"), Some("0"));
    assert_eq!(field(&answer, "History-Info"), None, "nobody asked for it");
}

#[test]
fn dialed_number_is_read_from_each_uri_form() {
    let shop = Shop::open();
    for uri in [
        "sip:+12125550100@gw.example.com",
        "sips:+12125550100@gw.example.com",
        "SIP:12125550100@192.0.2.1:5060;transport=udp",
        "sip:+1-212-555-0100@[2001:db8::1];user=phone",
        "sip:%2B12125550100@gw.example.com",
        "sip:+12125550100;npdi=yes;rn=+12125559999@gw.example.com;user=phone",
        "sip:0012125550100@gw.example.com",
        "tel:+1-212-555-0100",
        "tel:2125550100;phone-context=+1",
    ] {
        let answer = shop.ask(&request("INVITE", uri, "")).expect("an answer");
        assert_eq!((status(&answer), field(&answer, "X-Dialback-Reason")), (302, Some("MATCHED")), "{uri}");
    }
    for uri in ["sip:+12125550101@gw.example.com", "sip:alice@gw.example.com", "sip:gw.example.com"] {
        let answer = shop.ask(&request("INVITE", uri, "")).expect("an answer");
        assert_eq!((status(&answer), field(&answer, "Contact")), (404, None), "{uri}");
    }
}

const NOBODY: &str = "<sip:trunk.example.com>;tag=1";

#[test]
fn caller_is_asserted_identity_else_remote_party_else_from() {
    let ours = format!("<sip:{CONTACT}@trunk.example.com>");
    let other = "<sip:+12125559999@trunk.example.com>";
    let cases = [
        (format!("P-Asserted-Identity: {ours}\r\nRemote-Party-ID: {other}\r\n"), other, true),
        (format!("P-Asserted-Identity: {other}\r\nRemote-Party-ID: {ours}\r\n"), &*ours, false),
        (format!("P-Asserted-Identity: \"A, B\" <sip:alice@x.example>, <tel:{CONTACT}>\r\n"), other, true),
        (format!("P-Asserted-Identity: <sip:alice@x.example>\r\nP-Asserted-Identity: {ours}\r\n"), other, true),
        (format!("Remote-Party-ID: \"Ann\" {ours};party=calling;privacy=off\r\n"), other, true),
        (format!("Remote-Party-ID: {other};party=calling\r\n"), &*ours, false),
        (format!("Remote-Party-ID: {other};party=called\r\n"), &*ours, true),
        (format!("Remote-Party-ID: {other};party=called, {ours};party=calling\r\n"), other, true),
        // An account is no number.
        (format!("P-Asserted-Identity: <sip:acct@x.example>\r\nRemote-Party-ID: {other}\r\n"), &*ours, false),
        (String::from("P-Asserted-Identity: <sip:acct@x.example>\r\n"), &*ours, true),
        (format!("Remote-Party-ID: Ann \"B\" {other};party=called\r\n"), &*ours, true),
        // A name that looks like an address.
        (format!("P-Asserted-Identity: Ann \"{ours}\" {other}\r\n"), &*ours, false),
        (format!("P-Asserted-Identity: Ann \"{other}\" {ours}\r\n"), other, true),
        (format!("P-Asserted-Identity: sip:{CONTACT}@t;x=\"{other}\"\r\n"), other, true),
        (String::from("P-Asserted-Identity: tel:2125550143;phone-context=+1\r\n"), other, true),
        (String::new(), &*ours, true),
        (String::new(), "\"Jos\" <sip:2125550143@trunk.example.com;user=phone>", true),
        (String::new(), other, false),
    ];
    for (fields, from, is_ours) in cases {
        let message = request_from("INVITE", &format!("sip:{DIALED}@gw"), &format!("{from};tag=1"), &fields);
        let shop = Shop::open();
        let answer = shop.ask(&message).expect("an answer");
        let reason = if is_ours { "MATCHED" } else { "NO_HISTORY" };
        assert_eq!(field(&answer, "X-Dialback-Reason"), Some(reason), "{fields}{from}");
    }
}

#[test]
fn privacy_headers_withhold_the_caller() {
    let ours = format!("<sip:{CONTACT}@trunk.example.com>");
    let asserted = format!("P-Asserted-Identity: {ours}\r\n");
    for (fields, from) in [
        (format!("{asserted}Privacy: id\r\n"), &*ours),
        (format!("{asserted}Privacy: none;user\r\n"), &*ours),
        (format!("Privacy: critical;HEADER\r\n{asserted}"), &*ours),
        (asserted.clone(), "\"Anonymous\" <sip:anonymous@anonymous.invalid>"),
        (asserted.clone(), "<sip:anonymous@192.0.2.1>"),
        (format!("Remote-Party-ID: {ours};privacy=full\r\n"), &*ours),
        (format!("Remote-Party-ID: {ours};privacy=\"uri-network\"\r\n"), &*ours),
        (format!("{asserted}Remote-Party-ID: {ours};privacy=full\r\n"), &*ours),
        (format!("Remote-Party-ID: {ours};privacy=\"full,uri-network\"\r\n"), &*ours),
        (format!("Remote-Party-ID: {ours};privacy=\"name,uri\"\r\n"), &*ours),
        (format!("Remote-Party-ID: Ann \"B\" {ours};privacy=full\r\n"), &*ours),
        (String::from("Remote-Party-ID: <sip:+1 212 555 0143@t>;privacy=full\r\n"), &*ours),
        (format!("{asserted}Remote-Party-ID: {CONTACT}@t;privacy=full\r\n"), &*ours),
        (String::from("P-Asserted-Identity: <tel:anonymous>\r\n"), &*ours),
        // The wish counts in each spelling of it.
        (format!("PRIVACY: \"id\"\r\n{asserted}"), &*ours),
        (format!("Privacy : Id\r\n{asserted}"), &*ours),
        (format!("Privacy:\r\n header\r\n{asserted}"), &*ours),
        (format!("Privacy: id critical\r\n{asserted}"), &*ours),
        (format!("Privacy: full\r\n{asserted}"), &*ours),
        (format!("{asserted}remote-party-ID: {ours} ; PRIVACY = full\r\n"), &*ours),
        (format!("Remote-Party-ID: {ours};screen=\"yes;privacy=full\r\n"), &*ours),
        (format!("Remote-Party-ID: {ours};screen=\"yes, x;privacy=full\r\n"), &*ours),
        (format!("Remote-Party-ID: <sip:{CONTACT}@t;privacy=full>\r\n"), &*ours),
        (format!("Remote-Party-ID: sip:{CONTACT}@t?x=y;privacy=full\r\n"), &*ours),
        (format!("P-Asserted-Identity: {ours};privacy=full\r\n"), &*ours),
        (format!("{asserted}Remote-Party-ID: <sip:anonymous@t>;party=calling\r\n"), &*ours),
        (format!("P-Asserted-Identity: <sip:anonymous@anonymous.invalid>, {ours}\r\n"), &*ours),
        (format!("{asserted}P-Asserted-Identity: <tel:+266696687>\r\n"), &*ours),
        (asserted.clone(), "<sip:%61nonymous@192.0.2.1>"),
        (asserted.clone(), "<sip:+266696687@192.0.2.1>"),
        (asserted.clone(), "<sip:266696687@192.0.2.1>"),
        (String::new(), "\"anonymous\" <sip:0000000000@192.0.2.1>"),
        (String::new(), "<sip:+266696687@192.0.2.1>"),
        (String::new(), "\"Anonymous\" <sip:anonymous@anonymous.invalid>"),
        (String::new(), "sip:restricted@192.0.2.1"),
    ] {
        let message = request_from("INVITE", &format!("sip:{DIALED}@gw"), &format!("{from};tag=1"), &fields);
        let shop = Shop::open();
        let answer = shop.ask(&message).expect("an answer");
        assert_eq!(field(&answer, "X-Dialback-Reason"), Some("ANONYMOUS_CALLER"), "{fields}{from}");
        assert!(field(&answer, "Contact").is_some_and(|contact| contact.contains(&FRONT.to_string())), "{answer}");
    }
    for fields in [format!("{asserted}Privacy: none\r\n"), format!("{asserted}Privacy: session\r\n")] {
        let message = request_from("INVITE", &format!("sip:{DIALED}@gw"), NOBODY, &fields);
        let shop = Shop::open();
        let answer = shop.ask(&message).expect("an answer");
        assert_eq!(field(&answer, "X-Dialback-Reason"), Some("MATCHED"), "{fields}");
    }
}

#[test]
fn retransmission_gets_the_same_response_and_counts_once() {
    let shop = Shop::open();
    let first = shop.ask(&invite("")).expect("an answer");
    shop.set_now(START.plus_millis(4_000));
    assert_eq!(shop.ask(&invite("")), Some(first.clone()));
    assert_eq!(shop.door.counts().happened(SipEvent::Retransmission), 1);
    assert_eq!(shop.door.counts().answered("INVITE", 302), 2);
    let metrics = shop.service.metrics();
    let decisions = |shop: &Shop| {
        let matched = (dialback::Route::Callback(DESK), dialback::Reason::Matched);
        shop.service.metrics().decisions(matched.0, matched.1)
    };
    assert_eq!(metrics.decisions(dialback::Route::Callback(DESK), dialback::Reason::Matched), 1);
    // Another call, and the same call long after.
    let again = shop.ask(&invite("").replace("z9hG4bK1", "z9hG4bK2")).expect("an answer");
    assert_ne!(field(&again, "X-Dialback-Decision"), field(&first, "X-Dialback-Decision"));
    assert_ne!(field(&again, "To"), field(&first, "To"));
    shop.set_now(START.plus_millis(60_000));
    shop.ask(&invite("")).expect("an answer");
    assert_eq!(decisions(&shop), 3);
}

#[test]
fn cancel_gets_200_after_its_invite_else_481_and_ack_gets_nothing() {
    let shop = Shop::open();
    let cancel = invite("").replace("INVITE", "CANCEL");
    assert_eq!(shop.ask(&cancel).as_deref().map(status), Some(481));
    let redirected = shop.ask(&invite("")).expect("an answer");
    let cancelled = shop.ask(&cancel).expect("an answer");
    assert_eq!((status(&cancelled), field(&cancelled, "To")), (200, field(&redirected, "To")));
    assert_eq!(shop.ask(&invite("").replace("INVITE", "ACK")), None);
    assert_eq!(shop.ask("ACK sip:x SIP/2.0\r\nVia: nonsense\r\n\r\n"), None, "not even where it is malformed");
    assert_eq!(shop.door.counts().happened(SipEvent::Ack), 2);
}

/// The client may cancel an INVITE before the answer has reached it, whatever the answer is.
#[test]
fn cancel_of_an_invite_with_any_answer_gets_200() {
    let uri = format!("sip:{DIALED}@gw.example.com");
    let in_dialog = invite("").replace(";user=phone>\r\nCall", ";user=phone>;tag=x\r\nCall");
    for (message, expected) in [
        (request("INVITE", "sip:+12125550199@gw.example.com", ""), 404),
        (request("INVITE", "http://gw.example.com", ""), 416),
        (request("INVITE", &uri, "Require: no-such-extension\r\n"), 420),
        (in_dialog, 481),
    ] {
        let shop = Shop::open();
        let cancel = message.replace("INVITE", "CANCEL").replace("Require: no-such-extension\r\n", "");
        assert_eq!(shop.ask(&cancel).as_deref().map(status), Some(481), "{message}");
        assert_eq!(shop.ask(&message).as_deref().map(status), Some(expected), "{message}");
        assert_eq!(shop.ask(&cancel).as_deref().map(status), Some(200), "{message}");
        assert_eq!(shop.ask(&message).as_deref().map(status), Some(expected), "{message}");
    }
}

#[test]
fn other_requests_get_the_status_of_the_standard() {
    let shop = Shop::open();
    let uri = format!("sip:{DIALED}@gw.example.com");
    let in_dialog = invite("").replace(";user=phone>\r\nCall", ";user=phone>;tag=x\r\nCall");
    for (message, expected, name, value) in [
        (request("OPTIONS", "sip:gw.example.com", ""), 200, "Allow", Some("INVITE, ACK, CANCEL, OPTIONS")),
        (request("OPTIONS", "sip:gw.example.com", ""), 200, "Accept", Some("application/sdp")),
        (request("REGISTER", "sip:gw.example.com", ""), 405, "Allow", Some("INVITE, ACK, CANCEL, OPTIONS")),
        (request("BYE", &uri, ""), 405, "Allow", Some("INVITE, ACK, CANCEL, OPTIONS")),
        (request("INVITEX", &uri, ""), 501, "Contact", None),
        (request("invite", &uri, ""), 501, "Contact", None),
        (invite("Require: foo, 100rel\r\nRequire: bar\r\n"), 420, "Unsupported", Some("foo, bar")),
        (invite("Require: 100rel, timer\r\n"), 302, "Unsupported", None),
        (invite("Proxy-Require: foo\r\n"), 302, "Unsupported", None),
        (request("INVITE", "http://gw.example.com", ""), 416, "Contact", None),
        (invite("").replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"), 505, "Contact", None),
        (in_dialog, 481, "Contact", None),
        (invite("Max-Forwards: 0\r\n").replace("Max-Forwards: 70\r\n", ""), 302, "Reason", None),
        (invite("").replace("Max-Forwards: 70\r\n", ""), 302, "Reason", None),
        (invite("").replace("Forwards: 70", "Forwards: 256"), 400, "Contact", None),
        (invite("").replace("Forwards: 70", "Forwards: x"), 400, "Contact", None),
    ] {
        let answer = shop.ask(&message).expect("an answer");
        assert_eq!((status(&answer), field(&answer, name)), (expected, value), "{message}");
    }
}

#[test]
fn response_goes_to_the_source_address_of_the_request() {
    let shop = Shop::open();
    for (via, port, stamped) in [
        ("192.0.2.9:7000;branch=z9hG4bK1;rport", 5070, "192.0.2.9:7000;branch=z9hG4bK1;rport=5070;received=127.0.0.1"),
        ("192.0.2.9:7000;branch=z9hG4bK1", 7000, "192.0.2.9:7000;branch=z9hG4bK1;received=127.0.0.1"),
        ("victim.example.com;branch=z9hG4bK1", 5060, "victim.example.com;branch=z9hG4bK1;received=127.0.0.1"),
        (
            "victim.example.com;received=192.0.2.66;maddr=192.0.2.77;branch=z9hG4bK1",
            5060,
            "victim.example.com;maddr=192.0.2.77;branch=z9hG4bK1;received=127.0.0.1",
        ),
    ] {
        let message = invite("").replace("127.0.0.1:5070;branch=z9hG4bK1;rport", via);
        let message = message.replace("Max-F", "Via: SIP/2.0/TCP far.example.com;branch=z9hG4bKfar\r\nMax-F");
        let answer = shop.ask_bytes(message.as_bytes()).expect("an answer");
        assert_eq!(answer.to, ([127, 0, 0, 1], port).into(), "{via}");
        let text = String::from_utf8(answer.bytes).expect("text");
        let vias = [&*format!("SIP/2.0/UDP {stamped}"), "SIP/2.0/TCP far.example.com;branch=z9hG4bKfar"];
        assert_eq!(fields(&text, "Via"), vias);
    }
}

#[test]
fn non_utf8_display_name_is_copied_unchanged() {
    let shop = Shop::open();
    let mut message = invite("").into_bytes();
    let place = message.windows(3).position(|three| three == b"Ann").expect("the name");
    message.splice(place..place + 3, *b"Jos\xE9");
    let answer = shop.ask_bytes(&message).expect("an answer").bytes;
    assert!(answer.starts_with(b"SIP/2.0 302 "));
    assert!(answer.windows(6).any(|six| six == b"\"Jos\xE9\""));
}

fn set(set: impl FnOnce(&mut Settings)) -> Shop {
    Shop::with(|mut settings| {
        set(&mut settings);
        settings
    })
}

#[test]
fn agent_address_overrides_environment_address() {
    let template = |text: &str| text.parse().expect("a template");
    let of = |json: String| AgentAddresses::from_json(&json).expect("addresses");
    let agents = format!(r#""agents": {{"{DESK}": "sip:desk@127.0.0.1:6001"}}"#);
    let environments = format!(r#""environments": {{"{SHOP}": "sips:{{dialed}}@{{environment_id}}.example.com"}}"#);
    let wide = format!("<sips:{DIALED}@{SHOP}.example.com>");
    for (contacts, expected) in [
        (of(format!("{{{agents}, {environments}, \"default\": \"sip:x@y\"}}")), "<sip:desk@127.0.0.1:6001>"),
        (of(format!("{{{environments}, \"default\": \"sip:x@y\"}}")), &*wide),
        (of("{\"default\": \"sip:x@y\"}".into()), "<sip:x@y>"),
        (AgentAddresses::by_template(template("sip:z@[2001:db8::1]:5060;lr")), "<sip:z@[2001:db8::1]:5060;lr>"),
    ] {
        let shop = set(|settings| settings.contacts = contacts.into());
        assert_eq!(field(&shop.ask(&invite("")).expect("an answer"), "Contact"), Some(expected));
    }
    let shop = set(|settings| {
        settings.contacts = of(format!("{{{agents}}}").replace(&DESK.to_string(), &SALES.to_string())).into();
    });
    let answer = shop.ask(&invite("")).expect("an answer");
    assert_eq!((status(&answer), field(&answer, "X-Dialback-Reason")), (480, Some("MATCHED")));
    assert_eq!(shop.door.counts().happened(SipEvent::NoContact), 1);
}

#[test]
fn template_that_is_not_a_sip_uri_is_rejected() {
    for text in [
        "",
        "agents.example.com",
        "http://x.example.com",
        "sip:{agent}@x.example.com",
        "sip:{agent_id@x.example.com",
        "sip:a@x.example.com>\r\nX-Evil: 1",
        "sip:a@x.example.com\r\nX-Evil: 1",
        "sip:a@x.example.com>, <sip:b@y.example.com",
        "sip:a b@x.example.com",
        "sip:a@x.example.com;x=\"",
        "sip:a@",
    ] {
        let json = serde_json::json!({ "agents": { DESK.to_string(): text } }).to_string();
        let is_address = AgentAddresses::from_json(&json).is_ok_and(|contacts| Settings::are_addresses(&contacts));
        assert!(!is_address, "{text}");
    }
    for json in ["", "[]", "{\"agent\": {}}", "{\"agents\": {\"x\": \"sip:a@b\"}}", "{\"agents\": []}"] {
        assert!(AgentAddresses::from_json(json).is_err(), "{json}");
    }
}

#[test]
fn unrouted_call_gets_the_configured_status() {
    for (unrouted, expected) in [(Unrouted::NotFound, 404), (Unrouted::Unavailable, 480)] {
        let shop = set(|settings| settings.unrouted = unrouted);
        let answer = shop.ask(&request("INVITE", "sip:+12125550199@gw", "")).expect("an answer");
        assert_eq!((status(&answer), field(&answer, "X-Dialback-Reason")), (expected, Some("UNKNOWN_NUMBER")));
    }
}

#[test]
fn diversion_and_history_info_are_extended() {
    let shop = Shop::open();
    let before = "<sip:+12125550111@gw.example.com>;reason=no-answer;counter=1";
    let own = format!("<sip:{DIALED}@gw.example.com;user=phone>");
    let answer = shop.ask(&invite(&format!("Diversion: {before}\r\n"))).expect("an answer");
    assert_eq!(fields(&answer, "Diversion"), [&*format!("{own};reason=unconditional;counter=1"), before]);

    let supported = "Supported: timer, histinfo\r\n";
    let answer = shop.ask(&invite(supported)).expect("an answer");
    assert_eq!(fields(&answer, "History-Info"), [format!("{own};index=1")]);
    assert!(field(&answer, "Contact").is_some_and(|contact| contact.ends_with(">;mp=1")), "{answer}");

    let first = "<sip:+12125550111@gw.example.com>;index=1";
    let answer = shop.ask(&invite(&format!("{supported}History-Info: {first}\r\n"))).expect("an answer");
    assert_eq!(fields(&answer, "History-Info"), [first, &*format!("{own};index=1.1")]);
    let both = format!("{first}, {own};index=1.1");
    let answer = shop.ask(&invite(&format!("{supported}History-Info: {both}\r\n"))).expect("an answer");
    assert_eq!(fields(&answer, "History-Info"), [first, &*format!("{own};index=1.1")]);
    assert!(field(&answer, "Contact").is_some_and(|contact| contact.ends_with(">;mp=1.1")), "{answer}");
}

#[test]
fn call_leaves_one_record_however_often_it_is_retransmitted() {
    let store = dialback::testing::lasting::LastingStore::new([7; 32]);
    let service = Service::builder(store).records(RecordSettings::default()).start().expect("nothing to read");
    fill(&service);
    let shop = Shop::of(service, |settings| settings);
    let answers = [(); 3].map(|()| shop.ask(&invite("")).expect("an answer"));
    let id = field(&answers[0], "X-Dialback-Decision").expect("an id");
    assert!(answers.iter().all(|answer| field(answer, "X-Dialback-Decision") == Some(id)));
    let (done, flushed) = std::sync::mpsc::channel();
    shop.service.submit_records(move || done.send(()).expect("awaited"));
    flushed.recv().expect("flushed");
    assert_eq!(shop.service.record_counts().written(), 1);
    let id: AgentId = id.parse().expect("an id");
    let found = shop.service.record_of(SHOP, id.as_u128()).expect("readable").expect("there is one");
    let record = found.content.expect("whole");
    assert_eq!((record.door, record.reason), (RecordedDoor::Sip, Reason::Matched));
}
