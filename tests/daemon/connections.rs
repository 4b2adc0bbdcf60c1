//! The daemon's connections: slow clients, many clients, TLS, too many requests, and a stop under load.

use crate::support;
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use support::daemon::{Daemon, Tenant, dialback};
use support::tls;

/// Sends one request on its own connection. Returns all bytes until the peer closes.
fn say(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    // A peer may close without TLS's own closing message. Its response is complete.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).expect("UTF-8")
}

const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[test]
fn unfinished_request_heads_do_not_block_other_clients() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start_with(data.path(), &["--max-connections", "4", "--header-timeout", "1"]);
    let done = Arc::new(AtomicBool::new(false));
    let thrown_out = Arc::new(AtomicUsize::new(0));
    let (holds, held) = mpsc::channel();
    // Clients take all places, send a byte now and then, and reconnect when they are disconnected.
    let slow: Vec<_> = (0..4)
        .map(|_| {
            let (address, done, holds) = (daemon.address().to_owned(), Arc::clone(&done), holds.clone());
            let thrown_out = Arc::clone(&thrown_out);
            thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let Ok(mut stream) = TcpStream::connect(&address) else { continue };
                    let _ = stream.write_all(b"GET /health HTTP/1.1\r\nx-slow: ");
                    let _ = holds.send(());
                    while !done.load(Ordering::Relaxed) && stream.write_all(b"z").is_ok() {
                        thread::sleep(Duration::from_millis(20));
                    }
                    thrown_out.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for _ in 0..4 {
        held.recv().expect("they begin");
    }
    let mut answered = 0;
    while answered < 3 || thrown_out.load(Ordering::Relaxed) < 4 {
        let stream = TcpStream::connect(daemon.address()).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        let answer = say(stream, HEALTH);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?} after {answered}");
        answered += 1;
    }
    done.store(true, Ordering::Relaxed);
    for slow in slow {
        slow.join().expect("no panic");
    }
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn client_that_never_reads_its_responses_loses_its_place() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start_with(data.path(), &["--max-connections", "1", "--request-timeout", "1"]);
    let mut deaf = TcpStream::connect(daemon.address()).expect("it listens");
    let asks = thread::spawn(move || {
        let many = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
        // Send until the responses fill all buffers, and then until the daemon closes the connection.
        let mut asked = 0;
        while deaf.write_all(many.as_bytes()).is_ok() {
            asked += 1000;
        }
        asked
    });
    let stream = TcpStream::connect(daemon.address()).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    let answer = say(stream, HEALTH);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
    assert!(asks.join().expect("no panic") > 0);
}

#[test]
fn daemon_that_stops_under_load_keeps_all_acknowledged_changes() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let tenant = Arc::new(Tenant::with_callback_sample(&daemon));
    tenant.configure_callback();
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (tenant, acknowledged) = (Arc::clone(&tenant), Arc::clone(&acknowledged));
            thread::spawn(move || {
                let mut taken = Vec::new();
                for call in 0..100_000 {
                    let contact = format!("+1212{client}{call:06}");
                    // Send until the daemon no longer listens. An accepted connection gets a response.
                    let Some((status, answer)) = tenant.try_record_call(&contact, "busy") else { break };
                    assert_eq!(status, 202, "{answer}");
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                    taken.push(contact);
                }
                taken
            })
        })
        .collect();
    while acknowledged.load(Ordering::Relaxed) < 200 {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(daemon.stop(), 0);
    let taken: Vec<String> = clients.into_iter().flat_map(|client| client.join().expect("no panic")).collect();
    assert!(taken.len() >= 200);

    let daemon = Daemon::start(data.path());
    let tenant = Arc::into_inner(tenant).expect("the clients are gone").at(&daemon);
    for contact in taken.iter().step_by(taken.len() / 200).chain(taken.last()) {
        assert_eq!(tenant.decision(contact)["reason"], "MATCHED");
    }
}

#[test]
fn request_in_progress_is_answered_after_the_daemon_was_asked_to_stop() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    tenant.configure_callback();
    let contact = "+12125550143";
    let request = tenant.call_on_the_wire(contact);
    let (first, rest) = request.split_at(request.len() - 20);
    let mut begun = TcpStream::connect(daemon.address()).expect("it listens");
    begun.write_all(first.as_bytes()).expect("it reads");
    // A later connection was answered, so this one has been accepted, too.
    assert_eq!(tenant.get("/agents").0, 200);
    daemon.ask_to_stop();
    while TcpStream::connect(daemon.address()).is_ok() {
        thread::sleep(Duration::from_millis(5));
    }
    let answer = say(begun, rest);
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert_eq!(daemon.stop(), 0);
    let daemon = Daemon::start(data.path());
    assert_eq!(tenant.at(&daemon).decision(contact)["reason"], "MATCHED");
}

#[test]
fn token_over_its_rate_limit_gets_retry_after_and_other_tokens_do_not() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start_with(data.path(), &["--rate-limit", "1"]);
    let token = |role: &str| {
        let (code, token, errors) = dialback(&["token", "create", "--role", role, "--data"], data.path());
        assert_eq!(code, 0, "{errors}");
        token.trim().to_owned()
    };
    let (hasty, other, gateway) = (token("environment"), token("environment"), token("gateway"));
    let ask = |token: &str, path: &str| {
        let request = format!(
            "GET /api/v1{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        say(TcpStream::connect(daemon.address()).expect("it listens"), &request)
    };
    let refused = (0..100).map(|_| ask(&hasty, "/agents")).find(|answer| answer.starts_with("HTTP/1.1 429 "));
    let refused = refused.expect("a hundred in a second are too many");
    assert!(refused.contains("\r\nretry-after: 1\r\n") && refused.contains("\"RATE_LIMIT_EXCEEDED\""), "{refused}");
    assert!(ask(&other, "/agents").starts_with("HTTP/1.1 200 "));
    for _ in 0..100 {
        let answer = ask(&gateway, "/route?dialed=%2B12125550100");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[test]
fn daemon_answers_over_tls_after_the_client_accepted_its_certificate() {
    let data = tempfile::tempdir().expect("a directory");
    let (cert, key, trusted) = certificate(data.path());
    let store = data.path().join("data");
    let daemon = Daemon::start_with(&store, &["--tls-cert", &text(&cert), "--tls-key", &text(&key)]);
    let file: Value = serde_json::from_slice(&fs::read(store.join("daemon.json")).expect("there")).expect("JSON");
    let address =
        file["public_url"].as_str().and_then(|url| url.strip_prefix("https://")).expect("over TLS").to_owned();

    let answer = say(tls::connect(&address, &trusted).expect("a certificate that we trust"), HEALTH);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("{\"status\":\"ok\"}"), "{answer}");
    // A client that trusts another certificate refuses the daemon, and a client without TLS gets no HTTP response.
    let (_, _, another) = certificate(&store);
    assert!(tls::connect(&address, &another).is_err());
    assert!(!say(TcpStream::connect(&address).expect("it listens"), HEALTH).contains("HTTP/1.1 200"));

    // Commands work with TLS, too. Their operator token is not valid on the public listener.
    let (code, token, errors) = dialback(&["token", "create", "--data"], &store);
    assert_eq!(code, 0, "{errors}");
    let operator = file["token"].as_str().expect("a token");
    for (token, path, status) in [(token.trim(), "/agents", 200), (operator, "/tokens", 401)] {
        let request = format!(
            "GET /api/v1{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        let answer = say(tls::connect(&address, &trusted).expect("trusted"), &request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    // A client that never completes its handshake does not prevent the stop.
    let mut idle = TcpStream::connect(&address).expect("it listens");
    idle.write_all(&[22, 3, 1]).expect("it reads");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn unusable_certificate_is_named_before_the_directory_is_opened() {
    let folder = tempfile::tempdir().expect("a directory");
    let (cert, key, _) = certificate(folder.path());
    let other = folder.path().join("other");
    fs::create_dir(&other).expect("made");
    let (_, other_key, _) = certificate(&other);
    let nowhere = folder.path().join("nowhere.pem");
    let store = folder.path().join("data");
    for (cert, key, named) in [
        (&nowhere, &key, &nowhere),
        (&cert, &nowhere, &nowhere),
        (&key, &key, &key),
        (&cert, &cert, &cert),
        (&cert, &other_key, &other_key),
    ] {
        let arguments =
            ["serve", "--listen", "127.0.0.1:0", "--tls-cert", &text(cert), "--tls-key", &text(key), "--data"];
        let (code, _, message) = dialback(&arguments, &store);
        assert_eq!(code, 1, "{message}");
        assert!(message.contains(&text(named)), "{message}");
        assert!(!message.contains("PRIVATE"), "{message}");
        assert!(!store.exists());
    }
    assert_eq!(dialback(&["serve", "--tls-cert", &text(&cert), "--data"], &store).0, 2, "the one needs the other");
}

/// Creates a self-signed certificate and its key in a folder. Also returns the certificate itself.
fn certificate(folder: &Path) -> (PathBuf, PathBuf, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&cert, made.cert.pem()).expect("written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let pem = fs::read(&cert).expect("written");
    (cert, key, pem)
}

fn text(path: &Path) -> String {
    path.to_str().expect("a plain path").to_owned()
}

/// Opens connections and sends nothing.
fn idle(address: &str, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(address).expect("it listens")).collect()
}

/// Sends a request. The response must come within the time that a health check waits.
fn say_quickly(address: &str, request: &str) -> String {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    say(stream, request)
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").to_string()
}

/// Far more connections than any listener holds, open for longer than the test runs.
const FLOOD: usize = 600;
const PATIENT: [&str; 2] = ["--header-timeout", "600"];

#[test]
fn idle_connections_at_one_listener_leave_the_others_and_itself_answering() {
    let data = tempfile::tempdir().expect("a directory");
    let (cert, key, trusted) = certificate(data.path());
    let store = data.path().join("data");
    let metrics = free_address();
    let (cert, key) = (text(&cert), text(&key));
    let arguments = [&["--tls-cert", &cert, "--tls-key", &key, "--metrics-listen", &metrics], &PATIENT[..]].concat();
    let daemon = Daemon::start_with(&store, &arguments);
    let file: Value = serde_json::from_slice(&fs::read(store.join("daemon.json")).expect("there")).expect("JSON");
    let front = file["public_url"].as_str().and_then(|url| url.strip_prefix("https://")).expect("over TLS").to_owned();

    let mut open = idle(&front, FLOOD);
    let is_well = |answer: &str| assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
    is_well(&say_quickly(&metrics, HEALTH));
    assert_eq!(dialback(&["token", "create", "--data"], &store).0, 0, "by the side door");
    open.extend(idle(&metrics, FLOOD));
    open.extend(idle(daemon.address(), FLOOD));
    is_well(&say(tls::connect(&front, &trusted).expect("trusted"), HEALTH));
    is_well(&say_quickly(&metrics, HEALTH));
    is_well(&say_quickly(&metrics, &HEALTH.replace("/health", "/metrics")));
    assert_eq!(dialback(&["token", "create", "--data"], &store).0, 0, "by the side door");
    drop(open);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn connection_with_a_valid_token_survives_a_flood_of_connections_without_one() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start_with(data.path(), &[&["--max-connections", "8"], &PATIENT[..]].concat());
    let (code, token, errors) = dialback(&["token", "create", "--data"], data.path());
    assert_eq!(code, 0, "{errors}");
    let request = format!("GET /api/v1/agents HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", token.trim());
    let mut known = TcpStream::connect(daemon.address()).expect("it listens");
    known.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    let mut ask = || {
        known.write_all(request.as_bytes()).expect("it reads");
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            known.read_exact(&mut byte).expect("an answer");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("UTF-8");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        known.read_exact(&mut vec![0; length.parse().expect("a number")]).expect("a body");
    };
    ask();
    let strangers = idle(daemon.address(), 100);
    assert!(say_quickly(daemon.address(), HEALTH).starts_with("HTTP/1.1 200 OK\r\n"));
    ask();
    drop(strangers);
}

/// Requests whose bodies never end hold no place for long, with a valid token or without one.
#[test]
fn unfinished_requests_leave_the_listeners_answering() {
    let data = tempfile::tempdir().expect("a directory");
    let metrics = free_address();
    let arguments = [&["--max-connections", "8", "--metrics-listen", &metrics], &PATIENT[..]].concat();
    let daemon = Daemon::start_with(data.path(), &arguments);
    let tenant = Tenant::with_callback_sample(&daemon);
    let call = tenant.call_on_the_wire("+12125550143");
    let (head, _) = call.split_once("\r\n\r\n").expect("a head");
    let valid = format!("{head}\r\n\r\n{{");
    let health = "GET /health HTTP/1.1\r\nhost: x\r\nauthorization: Bearer talq_x\r\ncontent-length: 9\r\n\r\n{";
    let other = valid.replace("authorization: Bearer ", "authorization: Bearer x");
    assert_ne!(other, valid);
    for unfinished in [&valid, &other, health] {
        for address in [daemon.address(), &metrics] {
            let mut streams = Vec::new();
            for _ in 0..100 {
                let mut stream = TcpStream::connect(address).expect("it listens");
                let _ = stream.write_all(unfinished.as_bytes());
                streams.push(stream);
            }
            for _ in 0..3 {
                let answer = say_quickly(address, HEALTH);
                assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
            }
            if address == daemon.address() {
                assert_eq!(tenant.try_record_call("+12125550143", "busy").map(|answer| answer.0), Some(202));
            }
            drop(streams);
        }
    }
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn idle_connections_at_gateway_listeners_leave_room_for_calls() {
    let place = tempfile::tempdir().expect("a directory");
    let (sip, agi) = (free_address(), free_address());
    let arguments = [
        ["--sip-listen", &sip, "--sip-max-connections", "8", "--agi-listen", &agi, "--agi-max-connections", "8"],
        [
            "--agent-address",
            "sip:{agent_id}@agents.example.com",
            "--header-timeout",
            "600",
            "--log",
            "info",
            "--max-connections",
            "8",
        ],
    ];
    let daemon = Daemon::start_with(&place.path().join("data"), &arguments.concat());
    let silent = [idle(&sip, 30), idle(&agi, 30), idle(daemon.address(), 30)];
    let options = "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:5;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
                   To: <sip:x>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
    let ask = |address: &str, request: &str, expected: &str| {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(4))).expect("set");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(String::from_utf8_lossy(&answer), expected);
    };
    ask(&sip, options, "SIP/2.0 200 ");
    ask(
        &agi,
        "agi_request: agi://x/route\nagi_extension: +12125550100\nagi_callerid: +12125550143\n\n",
        "SET VARIABLE ",
    );
    ask(daemon.address(), HEALTH, "HTTP/1.1 200 ");
    drop(silent);
}

/// Returns a daemon command with a limit on file descriptors.
fn with_descriptors(limit: u32) -> Command {
    let mut shell = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_dialback");
    shell.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\""), program, "serve"]);
    shell
}

#[test]
fn connections_leave_the_store_its_descriptors() {
    let data = tempfile::tempdir().expect("a directory");
    let mut program = with_descriptors(256);
    program.args(PATIENT);
    let daemon = Daemon::start_by(data.path(), program).expect("it starts");
    let tenant = Tenant::with_callback_sample(&daemon);
    tenant.configure_callback();
    let mut open = Vec::new();
    let contacts: Vec<String> = (100..400).map(|last| format!("+12125550{last}")).collect();
    for contact in &contacts {
        open.extend(idle(daemon.address(), 2));
        assert_eq!(tenant.record_call(contact, "busy").0, 202, "{}", daemon.read_log());
    }
    let held = fs::read_dir(format!("/proc/{}/fd", daemon.id())).expect("Linux").count();
    assert!(say_quickly(daemon.address(), HEALTH).starts_with("HTTP/1.1 200 OK\r\n"));
    // The daemon says how many connections it holds at most. The clients take all of these places.
    let log = daemon.read_log();
    let warning = log.lines().find(|line| line.contains("too few file descriptors")).expect(&log);
    let connections = warning.split(" connections=").nth(1).and_then(|rest| rest.split(' ').next());
    let connections: usize = connections.and_then(|count| count.parse().ok()).expect(&log);
    assert!(
        connections >= 8 && (connections..=256).contains(&held),
        "{held} descriptors for {connections} connections"
    );
    daemon.kill();
    let daemon = Daemon::start(data.path());
    let tenant = tenant.at(&daemon);
    for contact in &contacts {
        assert_eq!(tenant.decision(contact)["reason"], "MATCHED");
    }
}

#[test]
fn too_low_descriptor_limit_fails_the_start_and_says_what_to_raise() {
    let data = tempfile::tempdir().expect("a directory");
    let wrong = Daemon::start_by(&data.path().join("data"), with_descriptors(64)).err().expect("it ends");
    assert!(wrong.contains("exit status: 1") && wrong.contains("64 file descriptors"), "{wrong}");
    assert!(wrong.contains("ulimit -n") && !wrong.contains("panicked"), "{wrong}");
    assert!(!data.path().join("data").exists(), "nothing is made");
}

#[test]
fn malformed_requests_get_an_error_body() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let long = "a".repeat(66_000);
    let many = "x: y\r\n".repeat(200);
    let cases = [
        ("GET /health HTTP/1.1\r\n\r\n".to_owned(), 400, "MALFORMED_REQUEST"),
        ("GET /health HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n".into(), 400, "MALFORMED_REQUEST"),
        ("GET /health HTTP/1.1\nhost: x\n\n".into(), 400, "MALFORMED_REQUEST"),
        ("GET /health HTTP/1.1\r\nhost: x\nx: y\r\n\r\n".into(), 400, "MALFORMED_REQUEST"),
        ("GET /health HTTP/1.1\r\nhost: x\r\n\n".into(), 400, "MALFORMED_REQUEST"),
        ("\nGET /health HTTP/1.1\r\nhost: x\r\n\r\n".into(), 400, "MALFORMED_REQUEST"),
        ("GET /he\0alth HTTP/1.1\r\nhost: x\r\n\r\n".into(), 400, "MALFORMED_REQUEST"),
        ("hello\r\n\r\n".into(), 400, "MALFORMED_REQUEST"),
        ("GET /health HTTP/7.7\r\nhost: x\r\n\r\n".into(), 400, "MALFORMED_REQUEST"),
        ("POST /api/v1/calls HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".into(), 400, "MALFORMED_REQUEST"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 400, "MALFORMED_REQUEST"),
        (format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"), 414, "URI_TOO_LONG"),
        (format!("GET /health HTTP/1.1\r\nhost: x\r\n{many}\r\n"), 431, "HEADERS_TOO_LARGE"),
        (format!("GET /health HTTP/1.1\r\nhost: x\r\nx: {long}{long}\r\n\r\n"), 431, "HEADERS_TOO_LARGE"),
    ];
    for (request, status, code) in cases {
        for before in ["", "HEAD /health HTTP/1.1\r\nhost: x\r\n\r\n"] {
            let answers = say_quickly(daemon.address(), &format!("{before}{request}"));
            let shown = &request[..request.len().min(60)];
            let at = answers.rfind("HTTP/1.1 ").unwrap_or_else(|| panic!("{shown:?}"));
            let answer = &answers[at..];
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {answer}");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
            assert!(head.contains("content-type: application/json") && head.contains("connection: close"), "{head}");
            let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{shown:?}: {answer}"));
            assert_eq!((&body["success"], &body["code"]), (&Value::from(false), &Value::from(code)));
            assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()));
        }
    }
    let old = "GET /health HTTP/1.0\r\n\r\n";
    assert!(say_quickly(daemon.address(), old).starts_with("HTTP/1.0 200 OK\r\n"), "HTTP/1.0 names no host");
    // Line feeds in bodies are allowed, also if requests are pipelined.
    let tenant = Tenant::with_callback_sample(&daemon);
    let call = tenant.call_on_the_wire("+12125550143").replace("\"from\"", "\n\n\"from\"");
    let length = call.split_once("\r\n\r\n").expect("a body").1.len();
    let call = call.replace(&format!("content-length: {}", length - 2), &format!("content-length: {length}"));
    let answers = say_quickly(daemon.address(), &format!("{call}{call}{HEALTH}"));
    assert_eq!(answers.matches("HTTP/1.1 202 ").count(), 2, "{answers}");
    assert!(answers.ends_with("{\"status\":\"ok\"}"), "{answers}");
}

#[test]
fn invalid_host_is_rejected_and_a_valid_one_is_not() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let ask = |host: &str| {
        let request = format!("GET /health HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        say_quickly(daemon.address(), &request)
    };
    let wrong =
        ["a b/c@", "a b", "user@x", "x/y", "x?y", "x#y", "x:80a", "x:80:80", "[::1", "[x]", "[::1]80", "é", "@"];
    for host in wrong {
        let answer = ask(host);
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("\"MALFORMED_REQUEST\""), "{host}: {answer}");
        assert!(answer.contains("connection: close"), "{host}: {answer}");
    }
    for host in
        ["x", "", "x:", "x:80", "dialback.example.com:8080", "a_b", "127.0.0.1:8080", "[::1]", "[2001:db8::1]:80"]
    {
        let answer = ask(host);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
}

#[test]
fn invalid_chunks_are_answered_and_the_connection_closes() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    let call = tenant.call_on_the_wire("+12125550143");
    let (head, body) = call.split_once("\r\n\r\n").expect("a head");
    let head = head.rsplit_once("\r\n").expect("the length is last").0;
    let chunked = format!("{head}\r\ntransfer-encoding: chunked\r\n\r\n");
    let sound = format!("{chunked}{:x};a=b\r\n{body}\r\n0\r\nx: y\r\n\r\n", body.len());
    let answers = say_quickly(daemon.address(), &format!("{sound}{sound}{HEALTH}"));
    assert_eq!(answers.matches("HTTP/1.1 202 ").count(), 2, "{answers}");
    let long = format!("0\r\nx: {}\r\n", "y".repeat(20_000));
    for wrong in [
        "z\r\n",
        "\r\n",
        "\n",
        "-1\r\n",
        "0x5\r\n",
        "fffffffffffffffff\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5;a\n",
        "5 \n",
        "5\r\nhelloX",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\rX",
        "0\r\n\n",
        "0\r\nx: y\n\r\n",
        "0\r\nx: y\r\n\n",
        &long,
    ] {
        for before in [String::new(), format!("{:x}\r\n{body}\r\n", body.len())] {
            let answer = say_quickly(daemon.address(), &format!("{chunked}{before}{wrong}"));
            let shown = &wrong[..wrong.len().min(60)];
            assert!(answer.starts_with("HTTP/1.1 400 "), "{shown:?}: {answer}");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
            assert!(head.contains("\r\nconnection: close"), "{shown:?}: {answer}");
            let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{shown:?}: {answer}"));
            assert_eq!((&body["success"], &body["code"]), (&Value::from(false), &Value::from("MALFORMED_REQUEST")));
        }
    }
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn head_of_exactly_the_limits_is_accepted_and_one_more_is_not() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let start = "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    let head = |bytes: usize| {
        let filler = "y".repeat(bytes - start.len() - "x: \r\n\r\n".len());
        format!("{start}x: {filler}\r\n\r\n")
    };
    let fields = |count: usize| format!("{start}{}\r\n", "x: y\r\n".repeat(count - 2));
    let target = |bytes: usize| {
        let filler = "y".repeat(bytes - "/health?".len());
        format!("GET /health?{filler} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    };
    for (request, status) in [
        (head(96 << 10), 200),
        (head((96 << 10) + 1), 431),
        (head(110 << 10), 431),
        (fields(100), 200),
        (fields(101), 431),
        (target(65_534), 200),
        (target(65_535), 414),
    ] {
        let length = request.len();
        // In one piece, and in pieces that the daemon reads one by one.
        for piece in [length, 8_000] {
            let stream = TcpStream::connect(daemon.address()).expect("it listens");
            stream.set_nodelay(true).expect("set");
            stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
            for part in request.as_bytes().chunks(piece) {
                // The daemon may have answered already.
                let _ = (&stream).write_all(part);
                thread::sleep(Duration::from_millis(if piece < length { 2 } else { 0 }));
            }
            let answer = say(&stream, "");
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{length} bytes: {answer}");
        }
    }
}

#[test]
fn body_above_the_limit_is_rejected_before_the_client_is_told_to_send_it() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    let call = tenant.call_on_the_wire("+12125550143");
    let (head, body) = call.split_once("\r\n\r\n").expect("a head");
    let (start, length) = head.rsplit_once("content-length: ").expect("a length");
    let expecting = |length: &str| format!("{start}expect: 100-continue\r\ncontent-length: {length}\r\n\r\n");
    for length in [(1 << 20) + 1, 9 << 20] {
        let answer = say_quickly(daemon.address(), &expecting(&length.to_string()));
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("\"BODY_TOO_LARGE\""), "{answer}");
        assert!(answer.contains("\r\nconnection: close"), "{answer}");
    }
    let answers = say_quickly(daemon.address(), &format!("{}{body}{HEALTH}", expecting(length)));
    assert!(answers.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 "), "{answers}");
    assert!(answers.ends_with("{\"status\":\"ok\"}"), "{answers}");
}

/// A client that sends a whole request before it reads must find the answer, and not a reset.
#[test]
fn client_that_goes_on_sending_after_its_request_was_rejected_reads_the_answer() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    let call = tenant.call_on_the_wire("+12125550143");
    let (head, _) = call.split_once("\r\n\r\n").expect("a head");
    let head = head.rsplit_once("\r\n").expect("the length is last").0;
    let more = "y".repeat(500_000);
    for (request, status) in [
        (format!("{head}\r\ntransfer-encoding: chunked\r\n\r\nz\r\n{more}"), 400),
        (format!("{head}\r\nexpect: 100-continue\r\ncontent-length: 2000000\r\n\r\n{more}"), 413),
        (format!("GET /health HTTP/1.1\r\nhost: @\r\ncontent-length: 500000\r\n\r\n{more}"), 400),
        (format!("GET /health HTTP/1.1\r\nhost: x\r\nx: {more}"), 431),
    ] {
        for _ in 0..5 {
            let stream = TcpStream::connect(daemon.address()).expect("it listens");
            stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
            for part in request.as_bytes().chunks(50_000) {
                (&stream).write_all(part).expect("it reads");
                thread::sleep(Duration::from_millis(1));
            }
            let mut answer = String::new();
            (&stream).read_to_string(&mut answer).expect("no reset");
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        }
    }
    assert_eq!(daemon.stop(), 0);
}

/// The message names what is needed. With so much the daemon answers, and with 64 MiB less it does not start.
#[cfg(target_os = "linux")]
#[test]
fn too_little_address_space_ends_the_start_with_a_message_that_says_how_much_is_enough() {
    let place = tempfile::tempdir().expect("a directory");
    let start = |mebibytes: u64, max_pairs: &str| {
        let mut shell = Command::new("sh");
        let line = format!("ulimit -v {} && exec \"$0\" \"$@\"", mebibytes * 1024);
        shell.args(["-c", &line, env!("CARGO_BIN_EXE_dialback"), "serve", "--max-pairs", max_pairs]);
        Daemon::start_by(&place.path().join(format!("{max_pairs}-{mebibytes}")), shell)
    };
    let mut needed = Vec::new();
    for max_pairs in ["1000", "50000000"] {
        let wrong = start(200, max_pairs).err().expect("it is too little");
        assert!(wrong.contains("exit status: 1"), "{wrong}");
        let said = wrong.split_once("the limit of address space is 200 MiB, and ").expect(&wrong).1;
        let enough = said.split(' ').next().and_then(|said| said.parse().ok()).expect(said);
        assert!(said.contains(&format!("`--max-pairs` is (now {max_pairs}): raise the limit (ulimit -v, ")), "{said}");
        let wrong = start(enough - 64, max_pairs).err().expect("it is too little");
        assert!(wrong.contains(&format!("is {} MiB, and {enough} MiB are needed", enough - 64)), "{wrong}");
        let daemon = start(enough, max_pairs).expect("it is enough");
        let tenant = Tenant::with_callback_sample(&daemon);
        let answers = say_quickly(daemon.address(), &tenant.call_on_the_wire("+12125550143"));
        assert!(answers.starts_with("HTTP/1.1 202 "), "{answers}");
        assert_eq!(daemon.stop(), 0);
        needed.push(enough);
    }
    assert!((1400..1700).contains(&(needed[1] - needed[0])), "32 bytes a pair: {needed:?}");
}
