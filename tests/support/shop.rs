//! A tenant with a number, an outbound agent, a callback agent, a default agent and a recorded call.

use dialback::sip::{DialedFrom, Door, Outgoing, Peers, Settings, Unrouted};
use dialback::store::MemoryStore;
use dialback::{
    AgentAddresses, AgentId, Call, CallReads, Change, ContextFields, DialPlan, Direction, E164, EnvironmentId, Event,
    Lookback, NumberId,
};
use dialback::{Outcome, Service, Timestamp};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) const SHOP: EnvironmentId = EnvironmentId::from_u128(0xA);
pub(crate) const LINE: NumberId = NumberId::from_u128(1);
pub(crate) const SALES: AgentId = AgentId::from_u128(1);
pub(crate) const DESK: AgentId = AgentId::from_u128(2);
pub(crate) const FRONT: AgentId = AgentId::from_u128(3);
/// 2026-06-01T12:00:00Z.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_780_315_200);
pub(crate) const DIALED: &str = "+12125550100";
pub(crate) const CONTACT: &str = "+12125550143";

/// A value that is not a time.
const BROKEN: u64 = u64::MAX;

/// A door to that tenant. Its clock stands still until it is set.
pub(crate) struct Shop {
    pub(crate) door: Arc<Door>,
    pub(crate) service: Arc<Service>,
    #[allow(dead_code, reason = "only some tests look at the reads of calls")]
    pub(crate) reads: Arc<CallReads>,
    now: Arc<AtomicU64>,
}

impl Shop {
    pub(crate) fn open() -> Self {
        Self::with(|settings| settings)
    }

    pub(crate) fn with(set: impl FnOnce(Settings) -> Settings) -> Self {
        let service = Service::builder(MemoryStore).start().expect("nothing to read");
        fill(&service);
        Self::of(service, set)
    }

    /// Creates a door to that service. It waits longer for the reads of calls than a busy machine needs.
    pub(crate) fn of(service: Service, set: impl FnOnce(Settings) -> Settings) -> Self {
        Self::reading(service, CallReads::default().with_patience(std::time::Duration::from_secs(60)), set)
    }

    /// Creates a door to that service, which reads calls so.
    pub(crate) fn reading(service: Service, reads: CallReads, set: impl FnOnce(Settings) -> Settings) -> Self {
        let service = Arc::new(service);
        let now = Arc::new(AtomicU64::new(START.millis()));
        let contacts =
            AgentAddresses::by_template("sip:{agent_id}@agents.example.com;transport=tls".parse().expect("a template"));
        let settings = Settings {
            trust: Peers::LOOPBACK.to_vec(),
            contacts: contacts.into(),
            unrouted: Unrouted::NotFound,
            dialed_from: DialedFrom::RequestUri,
            serves_while_loading: false,
            context_fields: ContextFields::default(),
        };
        let clock = Arc::clone(&now);
        let clock = Arc::new(move || match clock.load(Ordering::Relaxed) {
            BROKEN => panic!("the clock breaks"),
            now => Timestamp::from_millis(now),
        });
        let reads = Arc::new(reads);
        let door = Door::new(Arc::clone(&service), clock, set(settings)).with_call_reads(Arc::clone(&reads));
        Self { door: Arc::new(door), service, reads, now }
    }

    pub(crate) fn set_now(&self, now: Timestamp) {
        self.now.store(now.millis(), Ordering::Relaxed);
    }

    /// Makes the clock panic until it is set again.
    pub(crate) fn break_clock(&self) {
        self.now.store(BROKEN, Ordering::Relaxed);
    }

    /// Returns the door's answer as text. `None` if it does not answer.
    pub(crate) fn ask(&self, message: &str) -> Option<String> {
        self.ask_bytes(message.as_bytes()).map(|answer| String::from_utf8(answer.bytes).expect("text"))
    }

    pub(crate) fn ask_bytes(&self, message: &[u8]) -> Option<Outgoing> {
        self.door.answer(message, peer())
    }
}

/// The address that messages come from.
pub(crate) fn peer() -> SocketAddr {
    "127.0.0.1:5070".parse().expect("an address")
}

pub(crate) fn fill(service: &Service) {
    let changes = changes();
    service.configure(SHOP, START, |_| Ok(changes)).expect("valid");
    let number = |text| E164::parse_international(text).expect("a number");
    let (from, to) = (number(DIALED), number(CONTACT));
    let call = Call { environment: SHOP, agent: SALES, from, to, at: START, outcome: Outcome::NoAnswer };
    service.record(vec![Event::Call(call)]).expect("a store in memory does not fail");
}

/// Returns the configuration of the tenant.
pub(crate) fn changes() -> Vec<Change> {
    let number = E164::parse_international(DIALED).expect("a number");
    let mut changes = vec![
        Change::EnvironmentSet {
            name: "Shop".into(),
            dial_plan: DialPlan::new("1", "1", "011").expect("a dial plan"),
            lookback: Lookback::default(),
        },
        Change::NumberAdded { id: LINE, number },
    ];
    for (id, direction) in [(SALES, Direction::Outbound), (DESK, Direction::Inbound), (FRONT, Direction::Inbound)] {
        changes.push(Change::AgentCreated { id, name: "Agent".into(), label: None, direction });
        changes.push(Change::CallingSet { id, direction, numbers: Some(vec![LINE]) });
        changes.push(Change::AgentPublished { id });
    }
    changes.push(Change::CallbackSet { id: DESK, sources: vec![SALES], outcomes: None, lookback: None });
    changes.push(Change::DefaultAgentSet { number: LINE, agent: Some(FRONT) });
    changes
}

/// Returns an INVITE from the contact to the tenant's number, with additional header fields.
pub(crate) fn invite(more: &str) -> String {
    request("INVITE", &format!("sip:{DIALED}@gw.example.com;user=phone"), more)
}

/// Returns a request from the contact with additional header fields, each with its line end.
pub(crate) fn request(method: &str, uri: &str, more: &str) -> String {
    let caller = format!("\"Ann\" <sip:{CONTACT}@trunk.example.com>;tag=a1");
    request_from(method, uri, &caller, more)
}

pub(crate) fn request_from(method: &str, uri: &str, from: &str, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1;rport\r\nMax-Forwards: 70\r\n\
         From: {from}\r\nTo: <{uri}>\r\nCall-ID: 1@trunk.example.com\r\nCSeq: 1 {method}\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

/// Returns the status of an answer.
pub(crate) fn status(answer: &str) -> u16 {
    let line = answer.strip_prefix("SIP/2.0 ").expect("a status line");
    line[..3].parse().expect("a status")
}

/// Returns the first value of a header field in an answer.
pub(crate) fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    fields(answer, name).into_iter().next()
}

pub(crate) fn fields<'a>(answer: &'a str, name: &str) -> Vec<&'a str> {
    let lines = answer.split("\r\n").filter_map(|line| line.split_once(": "));
    lines.filter(|(there, _)| *there == name).map(|(_, value)| value).collect()
}
