//! A tenant creates all that its limits allow and sends as many requests as it can. Another tenant's routes must stay fast, and
//! memory and disk usage must stay bounded.
//!
//! The default size is small. `DIALBACK_NEIGHBOURS=20000` gives the tenant that many agents, and requires routes within 5 ms.

use crate::support;
use crate::support::own_process::in_own_process;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::daemon::{Daemon, Tenant, dialback};

const NUMBERS: usize = 200;
const CLIENTS: usize = 16;
const ROUTES: usize = 2_000;
const MEGABYTE: u64 = 1 << 20;
/// How many requests of each kind must be served while the other tenant's routes are measured.
const LEAST_SERVED: u64 = 3;
/// The calls of a bulk request.
const BULK: u64 = 1_000;

/// A client with one persistent connection.
struct Client {
    stream: BufReader<TcpStream>,
    token: String,
}

impl Client {
    fn new(daemon: &Daemon, token: &str) -> Self {
        let stream = TcpStream::connect(daemon.address()).expect("it listens");
        stream.set_nodelay(true).expect("set");
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("set");
        Self { stream: BufReader::new(stream), token: token.to_owned() }
    }

    fn ask(&mut self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let (token, length) = (&self.token, body.len());
        let request = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{headers}content-length: {length}\r\n\r\n\
             {body}"
        );
        self.stream.get_mut().write_all(request.as_bytes()).expect("it reads");
        let head = self.line();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let (mut length, mut is_chunked) = (0, false);
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            length = line.strip_prefix("content-length: ").map_or(length, |length| length.parse().expect("a length"));
            is_chunked |= line == "transfer-encoding: chunked";
        }
        let body = if is_chunked { self.chunks() } else { self.exactly(length) };
        (status, String::from_utf8(body).expect("UTF-8"))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("an answer");
        line.trim_end().to_owned()
    }

    fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("a body");
        body
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line(), 16).expect("a size");
            body.extend(self.exactly(size));
            assert_eq!(self.line(), "");
            if size == 0 {
                return body;
            }
        }
    }

    fn create(&mut self, path: &str, body: &Value) -> String {
        let (status, answer) = self.ask("POST", path, JSON, &body.to_string());
        assert_eq!(status, 201, "{answer}");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        answer["data"]["id"].as_str().expect("an id").to_owned()
    }
}

const JSON: &str = "content-type: application/json\r\n";

/// Creates as many agents and numbers as the tenant may have. Returns the ids of the agents.
fn use_up_quotas(daemon: &Daemon, token: &str, agents: usize) -> Vec<String> {
    let mut client = Client::new(daemon, token);
    let number = |place: usize| json!({ "number": format!("+1313555{place:04}") });
    let numbers: Vec<_> = (0..NUMBERS).map(|place| client.create("/phone-numbers", &number(place))).collect();
    let made: Vec<_> = (0..agents)
        .map(|place| {
            let direction = if place % 2 == 0 { "outbound" } else { "inbound" };
            client.create(
                "/agents",
                &json!({ "name": format!("Agent {place} of a large company"), "direction": direction }),
            )
        })
        .collect();
    for (place, agent) in made.iter().enumerate().step_by(agents / 20) {
        let direction = if place % 2 == 0 { "outbound" } else { "inbound" };
        let calling = json!({ "direction": direction, "phone_number_ids": numbers }).to_string();
        assert_eq!(client.ask("PUT", &format!("/agents/{agent}/calling"), JSON, &calling).0, 200);
        assert_eq!(client.ask("POST", &format!("/agents/{agent}/publish"), "", "").0, 200);
    }
    for (path, body) in [("/agents", json!({"name": "x", "direction": "inbound"})), ("/phone-numbers", number(9_999))] {
        let (status, answer) = client.ask("POST", path, JSON, &body.to_string());
        assert!(status == 409 && answer.contains("QUOTA_EXCEEDED"), "the limit is reached: {answer}");
    }
    made
}

/// The kinds of requests that the tenant presses with.
const KINDS: [&str; 4] = ["bulk calls", "changes", "pages", "searches"];

/// The requests of each kind, and how many of them were served: refused load is no load.
#[derive(Clone, Copy, Default, Debug)]
struct Load {
    asked: [u64; KINDS.len()],
    served: [u64; KINDS.len()],
}

impl Load {
    fn add(&mut self, other: Load) {
        for kind in 0..KINDS.len() {
            self.asked[kind] += other.asked[kind];
            self.served[kind] += other.served[kind];
        }
    }

    fn expect_served(&self) {
        for (kind, name) in KINDS.iter().enumerate() {
            let (asked, served) = (self.asked[kind], self.served[kind]);
            assert!(served >= LEAST_SERVED && served >= asked / 2, "{name}: {served} of {asked} were served");
        }
    }
}

/// Sends requests until `done`. One client sends bulk calls, one small changes with idempotency keys, the others searches and
/// pages. Returns how many there were.
fn press(daemon: &Daemon, token: &str, agents: &[String], client: usize, done: &AtomicBool) -> Load {
    let mut connection = Client::new(daemon, token);
    let mut load = Load::default();
    let mut asked = 0;
    while !done.load(Ordering::Relaxed) {
        let kind = match client {
            0 => 0,
            1 => 1,
            _ if asked % 4 == 0 => 2,
            _ => 3,
        };
        let (status, answer) = match kind {
            0 => {
                let lines = bulk_of(&agents[0], asked);
                connection.ask("POST", "/calls/bulk", "content-type: application/x-ndjson\r\n", &lines)
            }
            1 => {
                let key = format!("idempotency-key: {asked}\r\n");
                connection.ask("POST", &format!("/agents/{}/publish", agents[0]), &key, "")
            }
            2 => connection.ask("GET", "/agents?per_page=100", "", ""),
            _ => connection.ask("GET", "/agents?search=zzz", "", ""),
        };
        assert!([200, 202, 429, 503].contains(&status), "{status} {answer}");
        load.asked[kind] += 1;
        load.served[kind] += u64::from(is_served(kind, status, &answer));
        asked += 1;
    }
    load
}

/// Returns the lines of the next calls.
fn bulk_of(agent: &str, asked: u64) -> String {
    let line = |contact: u64| {
        let call = json!({
            "agent_id": agent, "from": "+13135550000", "to": format!("+1414{:07}", contact % 100_000),
            "started_at": "2026-11-20T10:00:00Z", "status": "busy",
        });
        format!("{call}\n")
    };
    (0..BULK).map(|place| line(asked * BULK + place)).collect()
}

/// Returns whether a request of this kind was done and not only answered.
fn is_served(kind: usize, status: u16, answer: &str) -> bool {
    if !(200..300).contains(&status) {
        return false;
    }
    let answer: Value = serde_json::from_str(answer).expect("JSON");
    match kind {
        0 => answer["accepted"] == BULK && answer["rejected"] == 0,
        2 => answer["data"].as_array().is_some_and(|page| page.len() == 100),
        3 => answer["data"].as_array().is_some_and(Vec::is_empty),
        _ => true,
    }
}

/// Measures the routes of the other tenant and returns the 99th percentile of their durations.
fn p99(daemon: &Daemon, token: &str) -> Duration {
    let mut client = Client::new(daemon, token);
    let mut took: Vec<_> = (0..ROUTES)
        .map(|_| {
            let begun = Instant::now();
            let (status, answer) = client.ask("GET", "/route?dialed=%2B12125550100&caller=%2B12125550143", "", "");
            assert_eq!(status, 200, "{answer}");
            begun.elapsed()
        })
        .collect();
    took.sort();
    took[ROUTES * 99 / 100]
}

fn resident(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("resident");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

fn size(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).expect("a directory").filter_map(Result::ok);
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) => found.len(),
        // The file was removed meanwhile.
        Err(_) => 0,
    };
    entries.map(of).sum()
}

#[test]
fn tenant_at_all_its_limits_leaves_routes_fast_and_memory_and_disk_bounded() {
    if !in_own_process(|| ()) {
        return;
    }
    let full = std::env::var("DIALBACK_NEIGHBOURS").ok().map(|agents| agents.parse::<usize>().expect("a number"));
    let agents = full.unwrap_or(2_000);
    let data = tempfile::tempdir().expect("a directory");
    let (agents_limit, numbers_limit) = (agents.to_string(), NUMBERS.to_string());
    let arguments = ["--max-agents", &agents_limit, "--max-numbers", &numbers_limit, "--durability", "buffered"];
    let daemon = Daemon::start_with(data.path(), &arguments);
    let tenant = Tenant::with_callback_sample(&daemon);
    tenant.configure_callback();
    assert_eq!(tenant.record_call("+12125550143", "busy").0, 202);
    let (code, token, errors) = dialback(&["token", "create", "--role", "gateway", "--data"], data.path());
    assert_eq!(code, 0, "{errors}");
    let gateway = token.trim().to_owned();
    let name = ["environment", "create", "Greedy", "--data"];
    assert_eq!(dialback(&name, data.path()).0, 0);
    let issue = ["token", "create", "--environment", "Greedy", "--data"];
    let (code, token, errors) = dialback(&issue, data.path());
    assert_eq!(code, 0, "{errors}");
    let greedy = token.trim().to_owned();
    let made = use_up_quotas(&daemon, &greedy, agents);
    let alone = p99(&daemon, &gateway);

    let (done, most) = (AtomicBool::new(false), Arc::new(AtomicU64::new(0)));
    let (beside, load) = thread::scope(|scope| {
        let pressing: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn({
                    let (daemon, greedy, made, done) = (&daemon, &greedy, &made, &done);
                    move || press(daemon, greedy, made, client, done)
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                most.fetch_max(resident(&daemon), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(20));
            }
        });
        thread::sleep(Duration::from_millis(500));
        let beside = p99(&daemon, &gateway);
        done.store(true, Ordering::Relaxed);
        let mut load = Load::default();
        for client in pressing {
            load.add(client.join().expect("no panic"));
        }
        (beside, load)
    });
    let (most, disk) = (most.load(Ordering::Relaxed) / MEGABYTE, size(data.path()) / MEGABYTE);
    println!("{agents} agents: p99 {alone:?} alone, {beside:?} beside {load:?}; {most} MB, {disk} MB on disk");
    load.expect_served();
    // The strict bound applies only to the large run, which has the machine for itself.
    let bound = if full.is_some() { Duration::from_millis(5) } else { Duration::from_millis(100) + 4 * alone };
    assert!(beside <= bound, "p99 {beside:?}, alone {alone:?}");
    assert!(most <= 384, "{most} MB resident");
    assert!(disk <= 512, "{disk} MB on disk");
}
