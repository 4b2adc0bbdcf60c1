//! The memory that unfinished request bodies take: clients of many tenants each send most of a body and stop. Other
//! tenants' requests are answered meanwhile.
//!
//! `DIALBACK_CLIENTS` sets the number of clients. The defect that this test guards against was found with 500, which took
//! 594 MiB.

use crate::support::daemon::{Daemon, Tenant, dialback};
use crate::support::own_process::in_own_process;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// The most memory that the bodies and the buffers of their connections may take.
const BOUND: u64 = 64 << 20;

/// The bytes that each client sends of its body. The limit of a body is 1 MiB.
const SENT: usize = 1_000_000;

/// Far more tenants than the budget has shares.
const TENANTS: usize = 12;

#[test]
fn unfinished_bodies_take_bounded_memory_and_other_tenants_are_answered() {
    if !in_own_process(|| ()) {
        return;
    }
    // First one tenant with all clients, then many tenants, then clients without a valid token. Each time with another
    // daemon: it still reads what earlier clients had sent before they went.
    for tenants in [1, TENANTS, 0] {
        stop_midway_and_ask(tenants);
    }
}

/// Has the clients of these tenants stop midway, or clients without a valid token, and asks as another tenant.
fn stop_midway_and_ask(tenants: usize) {
    let clients = std::env::var("DIALBACK_CLIENTS").map_or(500, |text| text.parse().expect("a number"));
    let data = tempfile::tempdir().expect("a directory");
    let arguments = ["--request-timeout", "600", "--durability", "buffered"];
    let daemon = Daemon::start_with(data.path(), &arguments);
    let other = Tenant::with_callback_sample(&daemon);
    other.configure_callback();
    let greedy: Vec<_> = (0..TENANTS).map(|tenant| token(data.path(), &format!("Greedy {tenant}"))).collect();
    // Before the measurement, the daemon uses what its threads need.
    assert!(refused(&daemon) == 0 && finish(&daemon, &greedy[0], 700_000).starts_with("HTTP/1.1 422 "));

    let before = resident(&daemon);
    let strangers = ["talq_x".to_owned()];
    let tokens = if tenants == 0 { &strangers[..] } else { &greedy[..tenants] };
    let open: Vec<_> =
        (0..clients).map(|client| stop_midway(&daemon, &tokens[client % tokens.len()], client)).collect();
    // Waits until the daemon has read all that it reads.
    std::thread::sleep(Duration::from_secs(2));
    let held = resident(&daemon).saturating_sub(before);
    println!("{clients} clients of {tenants} tenants: {} KiB, {} refused", held >> 10, refused(&daemon));
    assert!(held <= BOUND, "unfinished bodies hold {held} bytes");
    assert_eq!(refused(&daemon) > 0, tenants > 0, "tenants used up the budget, and strangers get none of it");
    for contact in 100..110 {
        let (status, answer) = other.record_call(&format!("+12125550{contact}"), "busy");
        assert_eq!(status, 202, "{answer}");
        assert_eq!(other.decision(&format!("+12125550{contact}"))["reason"], "MATCHED");
    }
    if tenants <= 1 {
        let answer = other.post("/agents", &serde_json::json!({ "name": "x".repeat(700_000) }));
        assert_eq!(answer.0, 422, "a long body of another tenant is read: {}", answer.1);
    }
    drop(open);
    assert!(finish(&daemon, &greedy[0], 15_000).starts_with("HTTP/1.1 422 "), "a short body is always read");
}

/// The values of a body take more memory than its text: these took 97 MiB for one request.
#[test]
fn values_of_bodies_take_bounded_memory() {
    if !in_own_process(|| ()) {
        return;
    }
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start_with(data.path(), &["--durability", "buffered"]);
    let tokens: Vec<_> = (0..TENANTS).map(|tenant| token(data.path(), &format!("Greedy {tenant}"))).collect();
    assert!(finish(&daemon, &tokens[0], 700_000).starts_with("HTTP/1.1 422 "));
    let before = peak(&daemon);
    let objects = |count| format!("{{\"x\":[{}{{}}]}}", "{\"\":0},".repeat(count));
    // The first is refused whatever else is held. The second is the largest that may be read: 3 MiB of values.
    for (body, status) in [(objects(140_000), "413"), (objects(3_200), "422")] {
        let answers: Vec<_> = std::thread::scope(|threads| {
            let (daemon, body) = (&daemon, &body);
            let ask = |token: &'_ String| {
                let token = token.clone();
                threads.spawn(move || send(daemon, &token, body))
            };
            let asked: Vec<_> = tokens.iter().cycle().take(4 * TENANTS).map(ask).collect();
            asked.into_iter().map(|asked| asked.join().expect("an answer")).collect()
        });
        let read = answers.iter().filter(|answer| answer.starts_with(&format!("HTTP/1.1 {status} "))).count();
        let wrong = answers.iter().find(|answer| ![status, "503"].contains(&&answer[9..12]));
        assert_eq!(wrong, None);
        assert!(read > TENANTS / 2, "{read} were not refused for lack of memory");
        let taken = peak(&daemon) - before;
        println!("values of {} bytes of text: {} KiB, {read} answered {status}", body.len(), taken >> 10);
        assert!(taken <= BOUND, "values took {taken} bytes");
    }
}

/// Creates an environment and returns a token for it.
fn token(data: &Path, environment: &str) -> String {
    assert_eq!(dialback(&["environment", "create", environment, "--data"], data).0, 0);
    let (code, token, errors) = dialback(&["token", "create", "--environment", environment, "--data"], data);
    assert_eq!(code, 0, "{errors}");
    token.trim().to_owned()
}

fn head(token: &str, path: &str, kind: &str, framing: &str) -> String {
    format!(
        "POST /api/v1{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: {kind}\r\n{framing}\r\n\r\n"
    )
}

fn connect(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(daemon.address()).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    stream.set_write_timeout(Some(Duration::from_secs(60))).expect("set");
    stream
}

/// Sends a request without the end of its body: a body with a length, a chunked one, a long line of a bulk upload, or
/// many short ones, one after the other.
fn stop_midway(daemon: &Daemon, token: &str, client: usize) -> TcpStream {
    let (json, lines) = ("application/json", "application/x-ndjson");
    let call = format!(
        "{{\"agent_id\":\"00000000-0000-4000-8000-000000000000\",\"from\":\"+1212555{client:04}\",\"to\":\"+12125550100\"}}\n"
    );
    let (head, body) = match client % 4 {
        0 => (head(token, "/agents", json, "content-length: 1048576"), " ".repeat(SENT)),
        1 => {
            let head = head(token, "/agents", json, "transfer-encoding: chunked");
            (head + "ffffff\r\n", " ".repeat(SENT))
        }
        2 => (head(token, "/calls/bulk", lines, "content-length: 9999999"), " ".repeat(SENT)),
        _ => (head(token, "/calls/bulk", lines, "content-length: 9999999"), call.repeat(SENT / call.len())),
    };
    let mut stream = connect(daemon);
    // The daemon may have refused the body already.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    stream
}

/// Sends a request with a whole body of this length. Returns the answer.
fn finish(daemon: &Daemon, token: &str, length: usize) -> String {
    send(daemon, token, &format!("{{\"name\":\"{}\"}}", "x".repeat(length - 11)))
}

/// Sends a request with this body. Returns the answer.
fn send(daemon: &Daemon, token: &str, body: &str) -> String {
    let framing = format!("connection: close\r\ncontent-length: {}", body.len());
    let mut stream = connect(daemon);
    stream.write_all((head(token, "/agents", "application/json", &framing) + body).as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Returns the number of bodies that the daemon has refused for lack of memory.
fn refused(daemon: &Daemon) -> u64 {
    let mut stream = connect(daemon);
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("it reads");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("an answer");
    let count = page.lines().find_map(|line| line.strip_prefix("dialback_request_bodies_refused_total "));
    count.map_or(0, |count| count.parse().expect("a number"))
}

fn resident(daemon: &Daemon) -> u64 {
    memory(daemon, "VmRSS:")
}

/// Returns the most memory that the daemon has had.
fn peak(daemon: &Daemon) -> u64 {
    memory(daemon, "VmHWM:")
}

fn memory(daemon: &Daemon, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}
