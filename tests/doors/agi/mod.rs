//! Tests of the FastAGI door over a socket, with the lines that Asterisk sends.

#[cfg(feature = "__testing")]
mod details;
#[cfg(feature = "__testing")]
mod scenarios;

use dialback::agi::{AgiLimits, AgiListener, Door, Settings};
use dialback::service::RecordSettings;
use dialback::store::{EventStore, MemoryStore};
use dialback::{
    AgentAddresses, AgentId, Call, CallReads, Change, DialPlan, Direction, E164, EnvironmentId, Event, Lookback,
};
use dialback::{Attestation, NumberId, Outcome, Peers, Service, Timestamp};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const SHOP: EnvironmentId = EnvironmentId::from_u128(1);
const SALES: AgentId = AgentId::from_u128(2);
const FRONT: AgentId = AgentId::from_u128(3);
const DESK: AgentId = AgentId::from_u128(4);

/// The lines that Asterisk 22 sends for a call from this contact, in its order.
const CALL: &str = "\
agi_network: yes
agi_network_script: route
agi_request: agi://127.0.0.1:4573/route
agi_channel: PJSIP/trunk-00000007
agi_language: en
agi_type: PJSIP
agi_uniqueid: 1800000000.7
agi_version: 22.5.0
agi_callerid: 12125550143
agi_calleridname: Ann
agi_callingpres: 0
agi_callingani2: 0
agi_callington: 0
agi_callingtns: 0
agi_dnid: +12125550100
agi_rdnis: unknown
agi_context: from-trunk
agi_extension: +12125550100
agi_priority: 2
agi_enhanced: 0.0
agi_accountcode: 
agi_threadid: 139872345678912

";

/// The fields of contexts that the door sets.
const FIELDS: &[&str] = &["order", "note", "more"];

struct Agi {
    service: Arc<Service>,
    address: SocketAddr,
    reads: Arc<CallReads>,
    _stop: watch::Sender<()>,
}

impl Agi {
    async fn open(trust: &str, max_duration: Duration) -> Self {
        Self::open_on(MemoryStore, trust, max_duration).await
    }

    async fn open_on(store: impl EventStore, trust: &str, max_duration: Duration) -> Self {
        Self::reading(store, patient(), trust, max_duration).await
    }

    /// Opens a door that reads calls so.
    async fn reading(store: impl EventStore, reads: CallReads, trust: &str, max_duration: Duration) -> Self {
        let records = RecordSettings::default();
        let service = Arc::new(Service::builder(store).records(records).start().expect("starts"));
        let (line, ours) = (NumberId::from_u128(5), E164::parse_international("+12125550100").expect("a number"));
        let agent = |id, name: &str, direction| Change::AgentCreated { id, name: name.into(), label: None, direction };
        let calling = |id, direction| Change::CallingSet { id, direction, numbers: Some(vec![line]) };
        let dial_plan = DialPlan::new("1", "1", "011").expect("a dial plan");
        let changes = vec![
            Change::EnvironmentSet { name: "Shop".into(), dial_plan, lookback: Lookback::default() },
            Change::NumberAdded { id: line, number: ours },
            agent(SALES, "Sales", Direction::Outbound),
            agent(FRONT, "Front", Direction::Inbound),
            agent(DESK, "Desk", Direction::Inbound),
            calling(SALES, Direction::Outbound),
            calling(FRONT, Direction::Inbound),
            calling(DESK, Direction::Inbound),
            Change::AgentPublished { id: FRONT },
            Change::AgentPublished { id: DESK },
            Change::CallbackSet { id: DESK, sources: vec![SALES], outcomes: None, lookback: None },
        ];
        service.configure(SHOP, NOW, |_| Ok(changes)).expect("a configuration");
        let to = E164::parse_international("+12125550143").expect("a number");
        let call = Call { environment: SHOP, agent: SALES, from: ours, to, at: NOW, outcome: Outcome::Busy };
        service.record(vec![Event::Call(call)]).expect("recorded");
        let addresses = format!(r#"{{"agents": {{"{DESK}": "PJSIP/desk"}}}}"#);
        Self::serve(service, NOW, reads, &addresses, (trust, max_duration)).await
    }

    /// Opens a door to a service whose clock shows `now`.
    async fn serve(
        service: Arc<Service>,
        now: Timestamp,
        reads: CallReads,
        addresses: &str,
        (trust, max_duration): (&str, Duration),
    ) -> Self {
        let settings = Settings {
            trust: vec![trust.parse::<Peers>().expect("peers")],
            addresses: AgentAddresses::from_json(addresses).expect("addresses").into(),
            serves_while_loading: false,
            context_fields: Settings::context_fields(FIELDS).expect("names"),
        };
        let reads = Arc::new(reads);
        let door = Door::new(Arc::clone(&service), Arc::new(move || now), settings).with_call_reads(Arc::clone(&reads));
        let door = Arc::new(door);
        let listener = AgiListener::bind(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let address = listener.address().expect("an address");
        let (stop, stopped) = watch::channel(());
        let mut limits = AgiLimits::default();
        limits.max_duration = max_duration;
        tokio::spawn(listener.serve(door, limits, stopped));
        Self { service, address, reads, _stop: stop }
    }

    async fn usual() -> Self {
        Self::open("127.0.0.0/8", Duration::from_secs(5)).await
    }

    /// Returns the variables that the door sets. The simulated Asterisk answers each command with `answer`.
    async fn ask_and_answer(&self, head: &[u8], answer: &str) -> BTreeMap<String, String> {
        let mut stream = BufReader::new(TcpStream::connect(self.address).await.expect("connects"));
        // The write fails if the door has closed the connection.
        let _ = stream.write_all(head).await;
        let mut set = BTreeMap::new();
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line).await {
                Ok(0) | Err(_) => return set,
                Ok(_) => {}
            }
            let (name, value) = line
                .trim_end()
                .strip_prefix("SET VARIABLE ")
                .and_then(|rest| rest.split_once(' '))
                .unwrap_or_else(|| panic!("a command that is not expected: {line}"));
            set.insert(name.to_owned(), unquoted(value));
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    }

    async fn ask(&self, call: &str) -> BTreeMap<String, String> {
        self.ask_and_answer(call.as_bytes(), "200 result=1\n").await
    }
}

/// Returns reads that wait longer than a busy machine needs.
fn patient() -> CallReads {
    CallReads::default().with_patience(Duration::from_secs(60))
}

/// Returns a value as Asterisk reads it: without its quotes, and each backslash before a character.
fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).expect("a value in quotes");
    let (mut read, mut chars) = (String::new(), inner.chars());
    while let Some(char) = chars.next() {
        assert_ne!(char, '"', "a quote ends the value: {value}");
        read.push(if char == '\\' { chars.next().expect("a character after the backslash") } else { char });
    }
    read
}

fn route(set: &BTreeMap<String, String>) -> (&str, &str, &str) {
    (&set["DIALBACK_DECISION"], &set["DIALBACK_REASON"], &set["DIALBACK_AGENT"])
}

#[tokio::test]
async fn channel_variables_name_the_agent() {
    let agi = Agi::usual().await;
    let front = FRONT.to_string();
    let with = |from: &str, to: &str| CALL.replace(from, to);
    for (call, expected) in [
        (CALL.to_owned(), ("callback", "MATCHED", "PJSIP/desk")),
        (with("agi_callerid: 12125550143", "agi_callerid: 2125550143"), ("callback", "MATCHED", "PJSIP/desk")),
        (with("agi_callerid: 12125550143", "agi_callerid: 2125550144"), ("default", "NO_HISTORY", &front)),
        (with("agi_callerid: 12125550143", "agi_callerid: unknown"), ("default", "ANONYMOUS_CALLER", &front)),
        (with("callingpres: 0", "callingpres: 32"), ("default", "ANONYMOUS_CALLER", &front)),
        (with("agi_extension: +1", "agi_extension: 1"), ("callback", "MATCHED", "PJSIP/desk")),
        (with("agi_extension: +12125550100", "agi_extension: s"), ("unrouted", "UNKNOWN_NUMBER", "")),
        (with("agi_extension: +12125550100", "agi_extension: +4930"), ("unrouted", "UNKNOWN_NUMBER", "")),
        (
            with("agi_extension: +12125550100", "agi_extension: s\nagi_arg_1: +12125550100"),
            ("callback", "MATCHED", "PJSIP/desk"),
        ),
        (CALL.replace('\n', "\r\n"), ("callback", "MATCHED", "PJSIP/desk")),
    ] {
        let set = agi.ask(&call).await;
        assert_eq!(route(&set), expected, "{call}");
        assert_eq!(set.len(), 6 + FIELDS.len());
    }
    assert_eq!(agi.ask(CALL).await["DIALBACK_DECISION_ID"].len(), 36);
    let latin: Vec<u8> = CALL.bytes().map(|byte| if byte == b'A' { 0xE9 } else { byte }).collect();
    assert_eq!(route(&agi.ask_and_answer(&latin, "200 result=1\n").await).0, "callback");
}

#[cfg(feature = "__testing")]
#[tokio::test]
async fn call_leaves_a_record_under_its_decision_id() {
    let store = dialback::testing::lasting::LastingStore::new([7; 32]);
    let agi = Agi::open_on(store, "127.0.0.0/8", Duration::from_secs(5)).await;
    let id: AgentId = agi.ask(CALL).await["DIALBACK_DECISION_ID"].parse().expect("an id");
    let (done, flushed) = std::sync::mpsc::channel();
    agi.service.submit_records(move || done.send(()).expect("awaited"));
    flushed.recv().expect("flushed");
    let found = agi.service.record_of(SHOP, id.as_u128()).expect("readable").expect("there is one");
    let record = found.content.expect("whole");
    assert_eq!((record.door, record.reason.name()), (dialback::RecordedDoor::FastAgi, "MATCHED"));
    assert_eq!(record.agent.expect("it was routed").name.as_deref(), Some("Desk"));
}

#[tokio::test]
async fn caller_needs_the_required_attestation() {
    let agi = Agi::usual().await;
    let required = vec![Change::AttestationRequired { level: Some(Attestation::B) }];
    agi.service.configure(SHOP, NOW, |_| Ok(required)).expect("valid");
    assert_eq!(agi.ask(CALL).await["DIALBACK_REASON"], "ANONYMOUS_CALLER");
    for (verstat, reason) in [("TN-Validation-Passed", "MATCHED"), ("TN-Validation-Passed-C", "ANONYMOUS_CALLER")] {
        let caller = format!("<sip:+12125550143;verstat={verstat}@carrier.example.com>");
        let arguments = format!("agi_extension: s\nagi_arg_1: +12125550100\nagi_arg_2: {caller}");
        let set = agi.ask(&CALL.replace("agi_extension: +12125550100", &arguments)).await;
        assert_eq!(set["DIALBACK_REASON"], reason, "{verstat}");
    }
}

#[tokio::test]
async fn malformed_agi_request_gets_no_answer() {
    let agi = Agi::usual().await;
    for call in [
        "GET / HTTP/1.1\r\n\r\n".into(),
        CALL.replace("agi_network_script: route", "agi_network_script: other"),
        CALL.trim_end().to_owned() + "\n" + &"agi_arg_9: x\n".repeat(2000) + "\n",
        "x".repeat(100_000),
    ] {
        assert_eq!(agi.ask(&call).await, BTreeMap::new());
    }
    // After a hangup no further command is sent.
    let set = agi.ask_and_answer(CALL.as_bytes(), "511 Command Not Permitted on a dead channel\n").await;
    assert_eq!(set.len(), 1);
    let set = agi.ask_and_answer(CALL.as_bytes(), "HANGUP\n").await;
    assert_eq!(set.len(), 1);
}

#[tokio::test]
async fn connection_from_an_untrusted_address_is_closed() {
    let agi = Agi::open("192.0.2.0/24", Duration::from_secs(5)).await;
    assert_eq!(agi.ask(CALL).await, BTreeMap::new());
}

#[tokio::test]
async fn silent_connection_is_closed() {
    let agi = Agi::open("127.0.0.1", Duration::from_millis(100)).await;
    let mut idle = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(agi.address).await.expect("connects");
        stream.write_all(b"agi_network: yes\n").await.expect("sent");
        idle.push(stream);
    }
    assert_eq!(route(&agi.ask(CALL).await).0, "callback");
    for mut stream in idle {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
        assert!(read.expect("it is ended").is_err() || rest.is_empty());
    }
}
