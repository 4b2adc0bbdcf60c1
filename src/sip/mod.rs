//! The SIP door: a redirect server. A gateway sends its INVITE here and receives `302 Moved Temporarily` with the
//! address of the agent. The gateway then calls that address.
//!
//! | request | answer |
//! | --- | --- |
//! | `INVITE` | 302 with `Contact`; 404 (or 480, see [`Unrouted`]) if there is no agent to route to; 480 if the agent has no address; 481 inside a dialog |
//! | `OPTIONS` | 200 |
//! | `CANCEL` | 200 if its INVITE was answered recently, else 481 |
//! | `ACK` | none |
//! | any other method | 405 |
//! | malformed message | 400 |
//! | another SIP version | 505 |
//! | another URI scheme than `sip`, `sips` or `tel` | 416 |
//! | a required extension that is not supported | 420 |
//!
//! While the stored history is loading, INVITE and OPTIONS get 503, so that gateways use another server.
//!
//! The server is *stateless* (RFC 3261, section 8.2.7): it keeps no transaction and sends each response once. A
//! retransmitted request gets the same response, because everything variable in a response is a keyed hash of the
//! request. [`Door::answer`] implements this on bytes; [`SipListener`] does the network I/O.
//!
//! Messages are accepted from trusted [`Peers`] only. Others are neither read nor answered. A trusted peer's
//! information about the caller is believed (RFC 3325).
//!
//! # Cost
//! A response takes at most tens of microseconds and a few kilobytes, which are freed afterwards. The decisions of
//! the last 32 seconds take at most 8 MiB, and the headers with the ids and contexts of their calls at most 14 MiB. A connection takes about as many bytes as its longest message.

mod caller;
mod connection;
mod details;
mod dialed;
mod listen;
mod message;
mod party;
mod recent;
mod reply;
mod settings;
mod stream;
mod trail;
mod via;

pub use crate::inbound::Peers;
pub use listen::{SipLimits, SipListener};
pub use reply::Outgoing;
pub use settings::{DialedFrom, Settings, Unrouted};

use crate::decision::Decision;
use crate::inbound::{Arrival, CallReads, CallToRead, Inbound};
use crate::metrics::{SipCounts, SipEvent};
use crate::plan::Plan;
use crate::record::RecordedDoor;
use crate::service::Service;
use crate::time::Clock;
use details::{Details, SentDetails, Unfinished};
use ezk_sip_types::Name;
use message::{Fault, Packet, Request};
use party::Party;
use recent::Recent;
use reply::Reply;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use uuid::Uuid;

/// A SIP redirect server on top of a service. Share it in an [`Arc`].
pub struct Door {
    inbound: Inbound,
    settings: Settings,
    counts: Arc<SipCounts>,
    recent: Recent,
    details: Arc<SentDetails>,
    key: RandomState,
}

/// What carries a response.
#[derive(Clone, Copy)]
enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    /// The most bytes of a response that has the context of a call. A larger datagram may be cut into fragments, which many
    /// networks lose (RFC 3261, section 18.1.1). Over TCP, the bound is one of memory: retransmissions are answered from a table.
    const fn most_bytes(self) -> usize {
        match self {
            Self::Udp => 1300,
            Self::Tcp => 4096,
        }
    }
}

/// A message that has been handled, as far as that reads memory only.
enum Handled {
    /// The response, if there is one.
    Done(Option<Outgoing>),
    /// The response needs a call that must be read.
    Reading(Unfinished, CallToRead),
}

/// Extensions that a request may require. They need no action here, because the server sends final responses only
/// (RFC 3262, RFC 4028, RFC 7044).
const UNDERSTOOD: [&str; 3] = ["100rel", "histinfo", "timer"];

const ALLOWED: &str = "INVITE, ACK, CANCEL, OPTIONS";

/// The methods of RFC 3261 and its extensions that are refused with 405. A method that is not here gets 501 (RFC 3261,
/// section 21.5.2).
const KNOWN: [&str; 10] =
    ["BYE", "INFO", "MESSAGE", "NOTIFY", "PRACK", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE"];

impl Door {
    /// Creates a door that answers from `service`.
    ///
    /// # Panics
    /// If the operating system provides no random bytes.
    pub fn new(service: Arc<Service>, clock: Clock, settings: Settings) -> Self {
        let inbound = Inbound::new(service, clock)
            .with_addresses(settings.contacts.clone())
            .serving_while_loading(settings.serves_while_loading);
        let (counts, recent, key) = (Arc::default(), Recent::new(), RandomState::new());
        Self { inbound, settings, counts, recent, details: Arc::default(), key }
    }

    /// Reads the ids and contexts of calls together with other doors of the same service.
    #[must_use]
    pub fn with_call_reads(self, reads: Arc<CallReads>) -> Self {
        Self { inbound: self.inbound.with_call_reads(reads), ..self }
    }

    /// Returns the counters of received messages and sent responses.
    pub fn counts(&self) -> &Arc<SipCounts> {
        &self.counts
    }

    /// Returns whether messages from this address are accepted.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.settings.trust.iter().any(|peers| peers.include(address))
    }

    /// Returns the response to one packet from a trusted address, or `None` if it gets no response. The packet starts
    /// at the first byte of a message; bytes after the message are ignored. Never panics.
    ///
    /// The response is one for UDP. If it has the id or the context of a call, the thread waits for them, though not for
    /// longer than [`CallReads::patience`].
    pub fn answer(&self, packet: &[u8], from: SocketAddr) -> Option<Outgoing> {
        match self.handle(packet, from, Transport::Udp) {
            Handled::Done(answer) => answer,
            Handled::Reading(unfinished, call) => {
                let reads = self.inbound.call_reads();
                let known = reads.wait(self.inbound.reading(call)).flatten();
                Some(unfinished.finish(known, &self.settings.context_fields, reads))
            }
        }
    }

    /// Handles one packet from a trusted address. Does not wait, and never panics.
    fn handle(&self, packet: &[u8], from: SocketAddr, transport: Transport) -> Handled {
        // The parser is a dependency. A panic in it must not stop the server.
        let handled = catch_unwind(AssertUnwindSafe(|| self.handle_packet(packet, from, transport)));
        handled.unwrap_or_else(|_| {
            self.counts.count(SipEvent::Panic);
            Handled::Done(None)
        })
    }

    /// Reads the call of a response and returns the response. A call that cannot be read in time is left out.
    async fn finish(&self, unfinished: Unfinished, call: CallToRead) -> Outgoing {
        let reads = self.inbound.call_reads();
        let known = self.inbound.known_call(call, reads.patience()).await;
        unfinished.finish(known, &self.settings.context_fields, reads)
    }

    fn handle_packet(&self, packet: &[u8], from: SocketAddr, transport: Transport) -> Handled {
        let (request, fault) = match Packet::read(packet) {
            Packet::Request(request, fault) => (request, fault),
            Packet::Response => {
                self.counts.count(SipEvent::Response);
                return Handled::Done(None);
            }
            Packet::Unreadable => {
                self.counts.count(SipEvent::Unreadable);
                return Handled::Done(None);
            }
        };
        // An ACK never gets a response, even if it is malformed (RFC 3261, sections 17.1.1.3 and 17.2.1).
        if request.method == "ACK" {
            self.counts.count(SipEvent::Ack);
            return Handled::Done(None);
        }
        let transaction = self.transaction(&request, from.ip());
        let reply = match fault {
            Err(Fault::Version) => Reply::new(505),
            Err(Fault::Malformed) => Reply::new(400),
            Ok(()) => self.reply(&request, transaction),
        };
        let Some(answer) = reply.to(&request, from, self.key.hash_one(("tag", transaction))) else {
            self.counts.count(SipEvent::Unreadable);
            return Handled::Done(None);
        };
        if matches!(reply.details, Details::Awaited) {
            return Handled::Done(None);
        }
        self.counts.answer(request.method, reply.status);
        match reply.details {
            Details::Unread(call) => {
                let (now, most) = (self.inbound.now(), transport.most_bytes());
                let unfinished = Unfinished::begin(answer, transaction, now, most, &self.details);
                Handled::Reading(unfinished, call)
            }
            Details::Known(lines) => Handled::Done(Some(details::with(answer, &lines))),
            Details::None | Details::Awaited => Handled::Done(Some(answer)),
        }
    }

    /// Returns a hash that identifies the transaction. It is equal for an INVITE, its retransmissions and its CANCEL.
    fn transaction(&self, request: &Request<'_>, from: IpAddr) -> u64 {
        let via = request.top_via().map(|hop| (hop.sent_by, hop.branch));
        let tag = request.first(&Name::FROM).and_then(|from| Party::of(from)?.param("tag"));
        let sequence = request.sequence().map(|(number, _)| number);
        self.key.hash_one((via, tag, sequence, request.first(&Name::CALL_ID), request.uri, from))
    }

    fn reply(&self, request: &Request<'_>, transaction: u64) -> Reply {
        match request.method {
            "INVITE" | "OPTIONS" => {}
            "CANCEL" => {
                let is_known = self.recent.is_answered(transaction, self.inbound.now());
                return Reply::new(if is_known { 200 } else { 481 });
            }
            method => return Reply::new(if KNOWN.contains(&method) { 405 } else { 501 }).with("Allow", ALLOWED),
        }
        let reply = self.reply_to_known(request, transaction);
        if request.method == "INVITE" {
            self.recent.answered(transaction, self.inbound.now());
        }
        reply
    }

    fn reply_to_known(&self, request: &Request<'_>, transaction: u64) -> Reply {
        let is_in_dialog = request.first(&Name::TO).and_then(|to| Party::of(to)?.param("tag")).is_some();
        if request.method == "INVITE" && is_in_dialog {
            return Reply::new(481);
        }
        if !request.is_dialable() {
            return Reply::new(416);
        }
        if let Some(missing) = missing_extensions(request) {
            return Reply::new(420).with("Unsupported", missing);
        }
        if !self.inbound.is_ready() {
            return Reply::new(503).with("Retry-After", "1");
        }
        match request.method {
            "OPTIONS" => capabilities(),
            _ => self.redirect(request, transaction),
        }
    }

    /// Decides where the call goes and builds the response.
    fn redirect(&self, request: &Request<'_>, transaction: u64) -> Reply {
        let unrouted = Reply::new(self.settings.unrouted.status());
        let plan = self.inbound.service().plan();
        let Some(arrival) = dialed::arrival(&plan, request, self.settings.dialed_from) else { return unrouted };
        let (decision, id, details) = self.route(&plan, &arrival, request, transaction);
        let contact = arrival.destination(&decision).map(|target| self.inbound.addresses().of(&target));
        let mut reply = match contact {
            Some(Some(contact)) => trail::with_trail(Reply::new(302), request, &contact),
            Some(None) => {
                self.counts.count(SipEvent::NoContact);
                Reply::new(480)
            }
            None => unrouted,
        };
        reply = reply.with("X-Dialback-Reason", decision.reason.name());
        if let Some(call) = decision.call {
            reply = reply.with("X-Dialback-Source-Agent", call.agent.to_string());
            if reply.status == 302 {
                reply = reply.with("X-Dialback-Call-Status", call.outcome.public_name());
                reply.details = details;
            }
        }
        reply.with("X-Dialback-Decision", id.to_string())
    }

    /// Returns the number in the id of a transaction's decision, which all its responses have.
    fn decision_number(&self, transaction: u64) -> u64 {
        self.key.hash_one(("decision", transaction))
    }

    /// Decides and counts a call, once for each transaction. Returns the decision, its id, and the details of its call.
    fn route(
        &self,
        plan: &Arc<Plan>,
        arrival: &Arrival<'_>,
        request: &Request<'_>,
        transaction: u64,
    ) -> (Decision, Uuid, Details) {
        let now = self.inbound.now();
        if let Some((decision, id)) = self.recent.get(transaction, now) {
            self.counts.count(SipEvent::Retransmission);
            return (decision, id, self.details.of(transaction, now));
        }
        let dial_plan = arrival.dial_plan();
        let caller = caller::caller(request, &dial_plan);
        let caller = arrival.attested(caller, || caller::attestation(request, caller, &dial_plan));
        let number = Some(self.decision_number(transaction));
        let decided = self.inbound.decide(arrival, caller, now);
        let id = self.inbound.record(arrival, &decided, RecordedDoor::Sip, number);
        let decision = decided.routed.decision;
        self.recent.put(transaction, now, (decision, id));
        let environment = arrival.environment().filter(|_| decision.route.agent().is_some());
        let call = environment.and_then(|environment| {
            self.inbound.call_to_read(plan, environment, (arrival.dialed(), caller), &decision)
        });
        (decision, id, call.map_or(Details::None, Details::Unread))
    }
}

fn capabilities() -> Reply {
    let reply = Reply::new(200).with("Allow", ALLOWED);
    reply.with("Accept", "application/sdp").with("Supported", UNDERSTOOD.join(", "))
}

/// Returns the required extensions that are not supported, or `None` if there are none. Words that are not valid
/// tokens are left out of the response.
fn missing_extensions(request: &Request<'_>) -> Option<String> {
    let tags = request.all(&Name::REQUIRE).flat_map(|value| value.split(',')).map(str::trim);
    let missing: Vec<&str> =
        tags.filter(|tag| !tag.is_empty() && !UNDERSTOOD.iter().any(|known| known.eq_ignore_ascii_case(tag))).collect();
    (!missing.is_empty())
        .then(|| missing.into_iter().filter(|tag| message::is_token(tag)).collect::<Vec<_>>().join(", "))
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("settings", &self.settings).finish_non_exhaustive()
    }
}
