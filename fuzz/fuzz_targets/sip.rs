//! Any bytes sent to the SIP door: it does not panic, and each answer is a response to the sender's address.
#![no_main]

use dialback::metrics::SipEvent;
use dialback::sip::{DialedFrom, Door, Peers, Settings, Unrouted};
use dialback::store::MemoryStore;
use dialback::{AgentAddresses, AgentId, Attestation, Change, ContextFields, DialPlan, Direction, E164, Engine};
use dialback::{EnvironmentId, Lookback, NumberId, Service, Timestamp};
use libfuzzer_sys::fuzz_target;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

const NOW: Timestamp = Timestamp::from_secs(1_780_315_200);

/// One door for all inputs; it keeps no state of them.
fn door() -> &'static Door {
    static DOOR: OnceLock<Door> = OnceLock::new();
    DOOR.get_or_init(|| {
        let service = Service::builder(MemoryStore).engine(Engine::with_max_pairs(10_000)).start().expect("nothing to read");
        let (front, line) = (AgentId::from_u128(1), NumberId::from_u128(1));
        let number = E164::parse_international("+12125550100").expect("a number");
        let changes = vec![
            Change::EnvironmentSet { name: "Shop".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() },
            // A caller's attestation is read only where one is required.
            Change::AttestationRequired { level: Some(Attestation::B) },
            Change::NumberAdded { id: line, number },
            Change::AgentCreated { id: front, name: "Front".into(), label: None, direction: Direction::Inbound },
            Change::CallingSet { id: front, direction: Direction::Inbound, numbers: Some(vec![line]) },
            Change::AgentPublished { id: front },
        ];
        service.configure(EnvironmentId::from_u128(1), NOW, |_| Ok(changes)).expect("valid");
        let settings = Settings {
            trust: Peers::LOOPBACK.to_vec(),
            contacts: AgentAddresses::by_template("sip:{agent_id}@agents.example.com".parse().expect("a contact")).into(),
            unrouted: Unrouted::NotFound,
            dialed_from: DialedFrom::Diversion,
            serves_while_loading: false,
            context_fields: ContextFields::default(),
        };
        Door::new(Arc::new(service), Arc::new(|| NOW), settings)
    })
}

fuzz_target!(|input: &[u8]| {
    let peer = SocketAddr::from(([127, 0, 0, 1], 5070));
    // The first byte determines how much of a valid message precedes or follows the input.
    let Some((&shape, rest)) = input.split_first() else { return };
    let good = b"INVITE sip:+12125550100@gw.example.com SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1;rport\r\n\
        From: \"Ann\" <sip:+12125550143@trunk.example.com>;tag=1\r\nTo: <sip:+12125550100@gw.example.com>\r\nCall-ID: 1\r\n\
        CSeq: 1 INVITE\r\nSupported: histinfo\r\nContent-Length: 0\r\n\r\n";
    let message = match shape {
        0..128 => rest.to_vec(),
        _ => {
            // The input replaces up to its own length of the valid message at some position.
            let place = usize::from(shape - 128) * good.len() / 128;
            let end = (place + rest.len()).min(good.len());
            let behind = if shape % 2 == 0 { place } else { end };
            [&good[..place], rest, &good[behind..]].concat()
        }
    };
    let door = door();
    let before = door.counts().happened(SipEvent::Panic);
    let answer = door.answer(&message, peer);
    assert_eq!(door.counts().happened(SipEvent::Panic), before, "the parser broke");
    let Some(answer) = answer else { return };
    assert_eq!(answer.to.ip(), peer.ip());
    let text = String::from_utf8_lossy(&answer.bytes);
    let head = text.strip_suffix("\r\n\r\n").expect("an end");
    assert!(head.starts_with("SIP/2.0 ") && !head.contains("\r\n\r\n"), "{head}");
    for line in head.split("\r\n").skip(1) {
        let (name, value) = line.split_once(": ").expect("a field");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{line}");
        assert!(!value.contains(['\r', '\n']), "{line}");
    }
});
