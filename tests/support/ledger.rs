//! Clients that change a daemon's state at random, remember what was acknowledged, and check later that it is there.
//!
//! Each client has its own number, agents and contacts, and sends one request at a time. An acknowledged change is
//! certain. A change without acknowledgement (the daemon was killed, or could not write) may or may not be in force
//! after a restart. From then on the client tracks several possible states, until an answer decides between them.

#![allow(dead_code, unreachable_pub)]

use super::daemon::{Daemon, dialback};
use dialback::Outcome;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;
use ureq::http::Request;

const CONTACTS: usize = 40;
/// A number that is never called and must never appear in the history.
const STRANGERS: usize = 5;
const MORE_AGENTS: usize = 40;

/// A client and its knowledge.
pub struct Ledger {
    url: String,
    token: String,
    agent: ureq::Agent,
    name: usize,
    random: Random,
    number: String,
    sources: [String; 2],
    callback: String,
    desk: String,
    contacts: Vec<Vec<Contact>>,
    roles: Vec<Role>,
    /// For each agent that was ever requested, the possible answers to whether it exists.
    more_agents: BTreeMap<String, BTreeSet<bool>>,
    sent: Vec<(usize, Placed)>,
    /// Whether calls have ids and contexts.
    has_details: bool,
    clock: i64,
    /// Changes that were rejected: not in force now, but possibly after a restart.
    refused: Vec<Change>,
    pub tally: Tally,
    wrong: Vec<String>,
}

/// Counts the results of requests.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Acknowledged changes: calls (each line of a bulk counts), erasures and configurations.
    pub acknowledged: u64,
    /// Changes without an answer.
    pub unanswered: u64,
    /// Changes with the answer 503.
    pub refused: u64,
    /// Changes whose answer guarantees that they are not in force and will not be.
    pub rejected: u64,
    /// Answers that were compared with the expected state.
    pub compared: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.unanswered += other.unanswered;
        self.refused += other.refused;
        self.rejected += other.rejected;
        self.compared += other.compared;
    }
}

/// A call: its time, its outcome, and which of the two sources placed it. The order is that in which the latest wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Placed {
    at: i64,
    outcome: Outcome,
    source: usize,
}

/// The knowledge about a contact.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Contact {
    last: Option<Placed>,
    /// Calls up to this time are erased.
    erased: i64,
}

/// The configuration of the callback agent.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Role {
    sources: BTreeSet<usize>,
    voicemail_only: bool,
    lookback_days: u64,
    published: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Calls(Vec<(usize, Placed)>),
    Erasure(usize, i64),
    Role(Role),
    Published(bool),
    Agent(String, bool),
}

/// The daemon's reaction to a request.
#[derive(PartialEq, Eq, Debug)]
pub enum Done {
    Acknowledged,
    /// No answer.
    Unanswered,
    /// The answer 503.
    Refused,
    /// The change is not in force and will not be: another node's change came first, or the fleet cannot order
    /// changes now.
    Rejected,
}

impl Ledger {
    /// Creates a client and its entities on a running daemon.
    pub fn new(url: &str, token: &str, name: usize, seed: u64) -> Self {
        let mut ledger = Self {
            url: url.to_owned(),
            token: token.to_owned(),
            agent: patient_agent(),
            name,
            random: Random(seed ^ (name as u64) << 32),
            number: format!("+1212555{name:04}"),
            sources: [String::new(), String::new()],
            callback: String::new(),
            desk: String::new(),
            contacts: vec![vec![Contact::default()]; CONTACTS + STRANGERS],
            roles: Vec::new(),
            more_agents: BTreeMap::new(),
            sent: Vec::new(),
            has_details: true,
            clock: now() - 3_600_000,
            refused: Vec::new(),
            tally: Tally::default(),
            wrong: Vec::new(),
        };
        let number = json!({ "number": ledger.number });
        let number = ledger.must("POST", "/phone-numbers", Some(&number))["data"]["id"].clone();
        let agent = |name: String, direction: &str| {
            let body = json!({ "name": name, "direction": direction });
            let id = ledger.must("POST", "/agents", Some(&body))["data"]["id"].as_str().expect("an id").to_owned();
            let calling = json!({ "direction": direction, "phone_number_ids": [number] });
            ledger.must("PUT", &format!("/agents/{id}/calling"), Some(&calling));
            ledger.must("POST", &format!("/agents/{id}/publish"), None);
            id
        };
        let desk = agent(format!("desk {name}"), "inbound");
        let callback = agent(format!("callback {name}"), "inbound");
        let sources = [0, 1].map(|which| agent(format!("source {which} of {name}"), "outbound"));
        (ledger.desk, ledger.callback, ledger.sources) = (desk, callback, sources);
        let role = Role { sources: [0].into(), voicemail_only: false, lookback_days: 30, published: true };
        ledger.must("POST", &ledger.role_path(), Some(&ledger.role_body(&role)));
        ledger.roles = vec![role];
        ledger
    }

    /// Returns this client without ids and contexts of calls.
    pub fn without_details(self) -> Self {
        Self { has_details: false, ..self }
    }

    /// Returns this client with a restarted daemon.
    pub fn moved_to(&mut self, url: &str) {
        url.clone_into(&mut self.url);
        self.agent = patient_agent();
    }

    /// Makes a random change.
    pub fn step(&mut self) -> Done {
        let change = self.think();
        let done = self.ask_for(&change);
        let count = if let Change::Calls(calls) = &change { calls.len() as u64 } else { 1 };
        match done {
            Done::Acknowledged => self.tally.acknowledged += count,
            Done::Unanswered => self.tally.unanswered += count,
            Done::Refused => self.tally.refused += count,
            Done::Rejected => self.tally.rejected += count,
        }
        match done {
            Done::Refused => self.refused.push(change),
            Done::Rejected => {}
            _ => self.note(&change, done == Done::Acknowledged),
        }
        done
    }

    /// Notes that the daemon has stopped: rejected changes may be in force after its restart.
    pub fn doubt_refused(&mut self) {
        for change in std::mem::take(&mut self.refused) {
            self.note(&change, false);
        }
    }

    /// Returns status and text of a path outside the API.
    pub fn look(&self, path: &str) -> (u16, String) {
        let mut answer = self.agent.get(format!("{}{path}", self.url)).call().expect("the daemon answers");
        (answer.status().as_u16(), answer.body_mut().read_to_string().expect("UTF-8"))
    }

    /// Returns the visible state of this client's contacts and agents, for comparison with another daemon. `None` if
    /// the daemon does not answer.
    pub fn view(&self, url: &str) -> Option<Vec<String>> {
        let mut other = self.reading_at(url);
        let mut view = Vec::new();
        // All daemons are asked about the same time, because an answer contains it.
        let at = Timestamp::from_millisecond(self.clock + 60_000).expect("a time");
        for contact in 0..self.contacts.len() {
            let path = format!(
                "/route?dialed={}&caller={}&explain=true&at={at}",
                escape(&self.number),
                escape(&self.contact(contact))
            );
            let (_, mut answer) = other("GET", &path)?;
            // These fields differ for each decision, or are counted by each daemon alone.
            let data = answer["data"].as_object_mut();
            data.map(|data| data.remove("decision_id"));
            view.push(answer.to_string());
        }
        for path in [format!("/agents/{}", self.callback), "/agents?per_page=100&direction=inbound".into()] {
            view.push(other("GET", &path)?.1.to_string());
        }
        Some(view)
    }

    fn reading_at(&self, url: &str) -> impl FnMut(&str, &str) -> Option<(u16, Value)> {
        let (agent, token, url) = (patient_agent(), self.token.clone(), url.to_owned());
        move |method, path| {
            let request = Request::builder().method(method).uri(format!("{url}/api/v1{path}"));
            let request = request.header("authorization", format!("Bearer {token}")).body(String::new());
            let mut answer = agent.run(request.expect("a request")).ok()?;
            let text = answer.body_mut().read_to_string().ok()?;
            Some((answer.status().as_u16(), serde_json::from_str(&text).expect("JSON")))
        }
    }

    fn think(&mut self) -> Change {
        match self.random.below(100) {
            0..64 => Change::Calls(vec![self.call()]),
            64..72 => Change::Calls((0..=self.random.below(30)).map(|_| self.call()).collect()),
            72..80 => {
                // No call may be dated between the request and its answer, because only these two times are known.
                while now() <= self.clock {
                    sleep(Duration::from_millis(1));
                }
                let until = now();
                self.clock = until;
                Change::Erasure(self.random.below(CONTACTS), until)
            }
            80..92 => {
                let mut role = self.roles[self.random.below(self.roles.len())].clone();
                if self.random.below(3) == 0 {
                    return Change::Published(!role.published);
                }
                let sources: [&[usize]; 3] = [&[0], &[1], &[0, 1]];
                role.sources = sources[self.random.below(3)].iter().copied().collect();
                role.voicemail_only = self.random.below(2) == 0;
                role.lookback_days = 1 + self.random.below(3000) as u64;
                Change::Role(role)
            }
            _ => {
                let is_there = |(_, states): &(&String, &BTreeSet<bool>)| **states == [true].into();
                let there: Vec<String> = self.more_agents.iter().filter(is_there).map(|(id, _)| id.clone()).collect();
                if there.len() >= MORE_AGENTS || (!there.is_empty() && self.random.below(4) == 0) {
                    return Change::Agent(there[self.random.below(there.len())].clone(), false);
                }
                let id = uuid::Uuid::from_u64_pair(self.random.next(), self.random.next());
                Change::Agent(id.to_string(), true)
            }
        }
    }

    /// A new call, a later status of an old call, or an old report again.
    fn call(&mut self) -> (usize, Placed) {
        if !self.sent.is_empty() && self.random.below(4) == 0 {
            let (contact, mut placed) = self.sent[self.random.below(self.sent.len())];
            if self.random.below(2) == 0 {
                placed.outcome = Outcome::from_rank(self.random.next());
            }
            return (contact, placed);
        }
        self.clock += 1;
        let outcome = Outcome::from_rank(self.random.next());
        let placed = Placed { at: self.clock, outcome, source: self.random.below(2) };
        let call = (self.random.below(CONTACTS), placed);
        self.sent.push(call);
        call
    }

    fn ask_for(&mut self, change: &Change) -> Done {
        let answer = match change {
            Change::Calls(calls) if calls.len() == 1 => {
                self.ask("POST", "/calls", Some(self.call_body(&calls[0]).to_string()))
            }
            Change::Calls(calls) => {
                let lines: Vec<String> = calls.iter().map(|call| self.call_body(call).to_string()).collect();
                let answer = self.ask("POST", "/calls/bulk", Some(lines.join("\n")));
                if let Some((200, body)) = &answer {
                    assert_eq!(body["accepted"], json!(calls.len()), "{body}");
                }
                answer
            }
            Change::Erasure(contact, _) => {
                let path = format!("/contacts/{}", self.contact(*contact));
                let answer = self.ask("DELETE", &path, None);
                self.clock = self.clock.max(now());
                answer
            }
            Change::Published(published) => {
                let what = if *published { "publish" } else { "unpublish" };
                self.ask("POST", &format!("/agents/{}/{what}", self.callback), None)
            }
            Change::Role(role) => {
                let body = self.role_body(role).to_string();
                let method = if self.random.below(2) == 0 { "POST" } else { "PUT" };
                self.ask(method, &self.role_path(), Some(body))
            }
            Change::Agent(id, true) => {
                let body = json!({ "id": id, "name": format!("of {}", self.name), "direction": "inbound" });
                self.ask("POST", "/agents", Some(body.to_string()))
            }
            Change::Agent(id, false) => self.ask("DELETE", &format!("/agents/{id}"), None),
        };
        match answer {
            None => Done::Unanswered,
            Some((200..=202, _)) => Done::Acknowledged,
            Some((409, body)) if body["code"] == "CONFIGURATION_SUPERSEDED" => Done::Rejected,
            Some((503, body)) => match body["code"].as_str() {
                Some("NOT_DURABLE") => Done::Refused,
                Some("STREAM_AWAY") => Done::Rejected,
                // In a fleet: the change is in force, or may be soon.
                Some("OUTCOME_UNKNOWN" | "NOT_REPLICATED") => Done::Unanswered,
                _ => panic!("{change:?}: 503 {body}"),
            },
            Some((status, body)) => panic!("{change:?}: {status} {body}"),
        }
    }

    /// Returns the possible states after the change.
    fn note(&mut self, change: &Change, is_certain: bool) {
        match change {
            Change::Calls(calls) => {
                for (contact, placed) in calls {
                    advance(&mut self.contacts[*contact], is_certain, |state| state.call(*placed));
                }
            }
            Change::Erasure(contact, until) => {
                advance(&mut self.contacts[*contact], is_certain, |state| state.erase(*until));
            }
            // Setting a role leaves the published state unchanged, and vice versa.
            Change::Role(role) => {
                advance(&mut self.roles, is_certain, |before| Role { published: before.published, ..role.clone() });
            }
            Change::Published(published) => {
                advance(&mut self.roles, is_certain, |before| Role { published: *published, ..before.clone() });
            }
            Change::Agent(id, there) => {
                let states = self.more_agents.entry(id.clone()).or_insert_with(|| [!there].into());
                if is_certain {
                    states.clear();
                }
                states.insert(*there);
            }
        }
    }

    /// Compares all answers of the daemon with the possible states, and drops the states that they exclude. Returns
    /// the differences.
    pub fn compare(&mut self) -> Vec<String> {
        self.compare_role();
        self.compare_agents();
        for contact in 0..self.contacts.len() {
            self.compare_contact(contact);
            if self.has_details {
                self.compare_details(contact);
            }
        }
        std::mem::take(&mut self.wrong)
    }

    fn compare_role(&mut self) {
        let shown = self.must("GET", &format!("/agents/{}", self.callback), None);
        let published = shown["data"]["current_status"] == "published";
        // The role itself appears in the answers to its changes and in the routes; the explanation contains its line.
        let before = self.roles.clone();
        self.roles.retain(|role| role.published == published);
        self.tally.compared += 1;
        if self.roles.is_empty() {
            self.wrong.push(format!("client {}: published is {published}, of {before:?}", self.name));
            self.roles = before;
        }
    }

    fn compare_agents(&mut self) {
        let shown = self.must("GET", "/agents?per_page=100&direction=inbound", None);
        let pages = shown["meta"]["last_page"].as_u64().expect("pages");
        let mut there = BTreeSet::new();
        for page in 1..=pages {
            let shown = self.must("GET", &format!("/agents?per_page=100&direction=inbound&page={page}"), None);
            let mine = |agent: &&Value| agent["name"] == format!("of {}", self.name);
            let agents = shown["data"].as_array().expect("agents").iter().filter(mine);
            there.extend(agents.map(|agent| agent["id"].as_str().expect("an id").to_owned()));
        }
        for (id, states) in &mut self.more_agents {
            let is_there = there.remove(id);
            self.tally.compared += 1;
            if !states.contains(&is_there) {
                let what = if is_there { "invented" } else { "lost" };
                self.wrong.push(format!("client {}: agent {id} is {what}", self.name));
            }
            *states = [is_there].into();
        }
        for id in there {
            self.wrong.push(format!("client {}: agent {id} is invented", self.name));
        }
    }

    fn compare_contact(&mut self, contact: usize) {
        let path =
            format!("/route?dialed={}&caller={}&explain=true", escape(&self.number), escape(&self.contact(contact)));
        let data = self.must("GET", &path, None)["data"].clone();
        let shown = (&data["decision"], &data["agent_id"], &data["reason"], &data["source_agent_id"]);
        let at = data["called_at"].as_str().map(|text| text.parse::<Timestamp>().expect("a time").as_millisecond());
        // The explanation comes from the code of the decision. It also shows the outcome and the look-back.
        let saw = |what: &str| {
            let steps = data["steps"].as_array().expect("steps");
            steps.iter().map(|step| &step["saw"][what]).find(|saw| !saw.is_null()).cloned().unwrap_or_default()
        };
        let (seen, candidates) = (saw("call"), saw("candidates"));
        self.tally.compared += 1;
        let (desk, callback, sources) = (json!(self.desk), json!(self.callback), json!(self.sources));
        let fits = |role: &Role, state: &Contact| {
            let (decision, agent, reason) = match state.last {
                None => ("default", &desk, "NO_HISTORY"),
                Some(placed) if !role.sources.contains(&placed.source) => ("default", &desk, "NO_CALLBACK_AGENT"),
                Some(_) if !role.published => ("default", &desk, "CALLBACK_AGENT_UNPUBLISHED"),
                Some(placed) if role.voicemail_only && placed.outcome != Outcome::Voicemail => {
                    ("default", &desk, "OUTCOME_NOT_ELIGIBLE")
                }
                Some(_) => ("callback", &callback, "MATCHED"),
            };
            let source = state.last.map_or(Value::Null, |placed| sources[placed.source].clone());
            let outcome = state.last.map_or(Value::Null, |placed| json!(placed.outcome.public_name()));
            shown == (&json!(decision), agent, &json!(reason), &source)
                && at == state.last.map(|placed| placed.at)
                && seen["status"] == outcome
                && (candidates.is_null() || candidates[0]["lookback_days"] == json!(role.lookback_days))
        };
        let roles: Vec<Role> = self
            .roles
            .iter()
            .filter(|role| self.contacts[contact].iter().any(|state| fits(role, state)))
            .cloned()
            .collect();
        if roles.is_empty() {
            let states = &self.contacts[contact];
            self.wrong
                .push(format!("client {}, contact {contact}: {data}, of {states:?} under {:?}", self.name, self.roles));
            return;
        }
        self.contacts[contact].retain(|state| roles.iter().any(|role| fits(role, state)));
        self.roles = roles;
    }

    /// Compares the known calls with the possible states, after these were compared with the decision: the last call is known,
    /// and none that is erased.
    fn compare_details(&mut self, contact: usize) {
        let shown = self.must("GET", &format!("/contacts/{}", escape(&self.contact(contact))), None);
        let calls = shown["data"]["known_calls"].as_array().expect("a list");
        let called_at =
            |call: &Value| call["called_at"].as_str().expect("a time").parse::<Timestamp>().expect("a time");
        let fits = |state: &Contact| {
            let is_known = state.last.is_none_or(|last| {
                let (id, context) = self.details(contact, last);
                calls.iter().any(|call| (&call["call_id"], &call["context"]) == (&json!(id), &context))
            });
            is_known && calls.iter().all(|call| called_at(call).as_millisecond() > state.erased)
        };
        let is_right = self.contacts[contact].iter().any(fits);
        self.tally.compared += 1;
        if !is_right {
            let states = &self.contacts[contact];
            self.wrong.push(format!("client {}, contact {contact}: {calls:?}, of {states:?}", self.name));
        }
    }

    /// Returns the id and the context of a call.
    fn details(&self, contact: usize, placed: Placed) -> (String, Value) {
        (format!("{}-{}", self.name, placed.at), json!({ "contact": self.contact(contact), "at": placed.at }))
    }

    fn call_body(&self, (contact, placed): &(usize, Placed)) -> Value {
        let mut body = json!({
            "agent_id": self.sources[placed.source],
            "from": self.number,
            "to": self.contact(*contact),
            "started_at": Timestamp::from_millisecond(placed.at).expect("a time").to_string(),
            "status": placed.outcome.name(),
        });
        if self.has_details {
            let (id, context) = self.details(*contact, *placed);
            (body["call_id"], body["context"]) = (json!(id), context);
        }
        body
    }

    fn role_path(&self) -> String {
        format!("/agents/{}/callback", self.callback)
    }

    fn role_body(&self, role: &Role) -> Value {
        let sources: Vec<&String> = role.sources.iter().map(|source| &self.sources[*source]).collect();
        let mut body = json!({ "source_agent_ids": sources, "lookback_days": role.lookback_days });
        if role.voicemail_only {
            body["callback_trigger_statuses"] = json!(["voicemail"]);
        }
        body
    }

    fn contact(&self, contact: usize) -> String {
        format!("+1415{:03}{contact:04}", 200 + self.name)
    }

    /// Returns the answer to a request that must succeed.
    fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let mut tries = 0;
        loop {
            let (status, answer) = self.ask(method, path, body.map(Value::to_string)).expect("the daemon answers");
            tries += 1;
            // In a fleet: nothing was done, so the request can be repeated.
            let is_undone = answer["code"] == "CONFIGURATION_SUPERSEDED" || answer["code"] == "STREAM_AWAY";
            if is_undone && tries < 3000 {
                sleep(Duration::from_millis(20));
                continue;
            }
            assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
            return answer;
        }
    }

    /// Returns status and body, or `None` without an answer.
    fn ask(&self, method: &str, path: &str, body: Option<String>) -> Option<(u16, Value)> {
        let kind = if path.ends_with("/bulk") { "application/x-ndjson" } else { "application/json" };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/api/v1{path}", self.url))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", kind)
            .body(body.unwrap_or_default())
            .expect("a request");
        let mut answer = self.agent.run(request).ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), serde_json::from_str(&text).expect("JSON")))
    }
}

/// Returns the possible states after a change: the changed states only if the change is certain, else both.
fn advance<T: Clone + PartialEq>(states: &mut Vec<T>, is_certain: bool, change: impl Fn(&T) -> T) {
    let changed: Vec<T> = states.iter().map(change).collect();
    if is_certain {
        states.clear();
    }
    for state in changed {
        if !states.contains(&state) {
            states.push(state);
        }
    }
}

impl Contact {
    fn call(self, placed: Placed) -> Self {
        let last = if placed.at > self.erased { self.last.max(Some(placed)) } else { self.last };
        Self { last, ..self }
    }

    fn erase(self, until: i64) -> Self {
        Self { last: self.last.filter(|last| last.at > until), erased: self.erased.max(until) }
    }
}

/// Returns this many clients of a daemon, with a new token for its data directory.
pub fn clients_of(daemon: &Daemon, data: &Path, count: usize, seed: u64) -> Vec<Ledger> {
    let (code, token, errors) = dialback(&["token", "create", "--data"], data);
    assert_eq!(code, 0, "{errors}");
    (0..count).map(|name| Ledger::new(daemon.url(), token.trim(), name, seed)).collect()
}

/// Lets all clients work in parallel until each has received something other than an acknowledgement.
pub fn work(clients: &mut [Ledger]) {
    std::thread::scope(|scope| {
        for client in clients {
            scope.spawn(|| while client.step() == Done::Acknowledged {});
        }
    });
}

/// Lets all clients work in parallel for at most this many steps each.
pub fn work_for(clients: &mut [Ledger], steps: usize) {
    std::thread::scope(|scope| {
        for client in clients {
            scope.spawn(move || (0..steps).all(|_| client.step() == Done::Acknowledged));
        }
    });
}

/// Returns the differences of all clients.
pub fn compare(clients: &mut [Ledger], url: &str) -> Vec<String> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter_mut()
            .map(|client| {
                scope.spawn(|| {
                    client.moved_to(url);
                    client.compare()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// Returns the sums over all clients.
pub fn tally(clients: &[Ledger]) -> Tally {
    let mut sum = Tally::default();
    for client in clients {
        sum += client.tally;
    }
    sum
}

fn patient_agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
    config.timeout_global(Some(Duration::from_secs(60))).build().into()
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

fn escape(number: &str) -> String {
    number.replace('+', "%2B")
}

/// Splitmix64. A run with the same seed repeats as far as the machine's timing allows.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    #[allow(clippy::cast_possible_truncation, reason = "below a small bound")]
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
