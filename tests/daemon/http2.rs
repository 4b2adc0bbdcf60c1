//! HTTP/2 over TLS: the same answers as over HTTP/1.1, and bounds for what a client can hold.

use crate::support::certificates::Certificates;
use crate::support::daemon::{Daemon, dialback};
use crate::support::tls;
use axum::body::Bytes;
use axum::http::{Method, Request};
use h2::Reason;
use h2::client::{Builder, SendRequest};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

/// How long a test waits for what comes after a few seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon over TLS, with a token of an environment.
struct Place {
    daemon: Daemon,
    address: String,
    token: String,
    trusted: Vec<u8>,
    data: tempfile::TempDir,
}

impl Place {
    fn with(more: &[&str]) -> Self {
        let (data, certificates) = (tempfile::tempdir().expect("a directory"), Certificates::new());
        certificates.issue("daemon");
        let file = |name: &str| certificates.path(name).display().to_string();
        let (cert, key) = (file("daemon.pem"), file("daemon.key"));
        let store = data.path().join("data");
        let daemon = Daemon::start_with(&store, &[&["--tls-cert", &cert, "--tls-key", &key][..], more].concat());
        let (code, token, errors) = dialback(&["token", "create", "--data"], &store);
        assert_eq!(code, 0, "{errors}");
        let trusted = fs::read(certificates.authority()).expect("there");
        let (address, token) = (address(&store), token.trim().to_owned());
        Self { daemon, address, token, trusted, data }
    }

    /// Creates another environment, and returns a token of it.
    fn environment(&self, name: &str) -> String {
        let store = self.data.path().join("data");
        let (code, _, errors) = dialback(&["environment", "create", name, "--data"], &store);
        assert_eq!(code, 0, "{errors}");
        let (code, token, errors) = dialback(&["token", "create", "--environment", name, "--data"], &store);
        assert_eq!(code, 0, "{errors}");
        token.trim().to_owned()
    }

    async fn dial(&self) -> TlsStream<TcpStream> {
        let mut config = tls::config(&self.trusted);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from("localhost").expect("a name");
        let tcp = TcpStream::connect(&self.address).await.expect("it listens");
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("a handshake")
    }

    /// Opens a connection. The task ends with it.
    async fn open(&self, set_up: impl FnOnce(&mut Builder)) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
        let mut builder = Builder::new();
        set_up(&mut builder);
        let (requests, connection) = builder.handshake(self.dial().await).await.expect("HTTP/2");
        (requests, tokio::spawn(connection))
    }

    fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        let request = Request::builder().method(method).uri(format!("https://localhost{path}"));
        request.header("authorization", format!("Bearer {}", self.token)).header("content-type", "application/json")
    }
}

/// Returns the public address of the daemon with this data directory.
fn address(store: &Path) -> String {
    let file: Value = serde_json::from_slice(&fs::read(store.join("daemon.json")).expect("there")).expect("JSON");
    file["public_url"].as_str().and_then(|url| url.strip_prefix("https://")).expect("over TLS").to_owned()
}

/// Sends a request, and returns its status and its body.
async fn ask(requests: &SendRequest<Bytes>, request: Request<()>, body: &str) -> Result<(u16, Value), h2::Error> {
    let mut requests = requests.clone().ready().await?;
    let (response, mut sending) = requests.send_request(request, body.is_empty())?;
    if !body.is_empty() {
        sending.send_data(Bytes::copy_from_slice(body.as_bytes()), true)?;
    }
    let response = response.await?;
    let status = response.status().as_u16();
    let (mut received, mut bytes) = (response.into_body(), Vec::new());
    while let Some(part) = received.data().await {
        let part = part?;
        received.flow_control().release_capacity(part.len())?;
        bytes.extend_from_slice(&part);
    }
    Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
}

fn runtime() -> Runtime {
    Runtime::new().expect("threads")
}

#[test]
fn one_connection_answers_many_requests_as_http_1_1_does() {
    let place = Place::with(&["--rate-limit", "0"]);
    let old = |method: &str, path: &str, body: &str| {
        let head = format!("host: x\r\nauthorization: Bearer {}\r\nconnection: close", place.token);
        let (kind, length) = ("content-type: application/json", body.len());
        let request = format!("{method} {path} HTTP/1.1\r\n{head}\r\n{kind}\r\ncontent-length: {length}\r\n\r\n{body}");
        let mut stream = tls::connect(&place.address, &place.trusted).expect("trusted");
        let mut answer = String::new();
        std::io::Write::write_all(&mut stream, request.as_bytes()).expect("it reads");
        let _ = std::io::Read::read_to_string(&mut stream, &mut answer);
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head[9..12].parse::<u16>().expect("a status"), serde_json::from_str(body).unwrap_or(Value::Null))
    };
    runtime().block_on(async {
        let (requests, _connection) = place.open(|_| {}).await;
        let agent = json!({ "name": "Outreach", "direction": "outbound" }).to_string();
        let request = place.request(Method::POST, "/api/v1/agents").body(()).expect("valid");
        let (status, made) = ask(&requests, request, &agent).await.expect("an answer");
        assert_eq!((status, &made["data"]["name"]), (201, &json!("Outreach")), "{made}");

        for (method, path, body) in [
            (Method::GET, "/health", ""),
            (Method::GET, "/api/v1/agents", ""),
            (Method::GET, "/api/v1/nothing", ""),
            (Method::PATCH, "/api/v1/agents", "{}"),
            (Method::POST, "/api/v1/agents", "{"),
            (Method::POST, "/api/v1/agents", "{}"),
        ] {
            let request = place.request(method.clone(), path).body(()).expect("valid");
            let new = ask(&requests, request, body).await.expect("an answer");
            assert_eq!(new, old(method.as_str(), path, body), "{method} {path} {body}");
        }
        let stranger = Request::get("https://localhost/api/v1/agents").body(()).expect("valid");
        assert_eq!(ask(&requests, stranger, "").await.expect("an answer").0, 401);

        let asked: Vec<_> = (0..200)
            .map(|_| {
                let request = place.request(Method::GET, "/api/v1/agents").body(()).expect("valid");
                let requests = requests.clone();
                tokio::spawn(async move { ask(&requests, request, "").await })
            })
            .collect();
        for answer in asked {
            assert_eq!(answer.await.expect("no panic").expect("an answer").0, 200);
        }
    });
}

#[test]
fn heads_bodies_hosts_and_cancelled_requests_have_bounds() {
    let place = Place::with(&["--body-limit", "1000", "--header-timeout", "600"]);
    runtime().block_on(async {
        let (requests, _connection) = place.open(|_| {}).await;
        let get = |host: &str| Request::get(format!("https://{host}/health"));
        let long = get("localhost").header("x-long", "y".repeat(40 << 10)).body(()).expect("valid");
        assert_eq!(ask(&requests, long, "").await.expect("an answer").0, 431);
        let request = place.request(Method::POST, "/api/v1/agents").body(()).expect("valid");
        let (status, answer) = ask(&requests, request, &"x".repeat(1001)).await.expect("an answer");
        assert_eq!((status, &answer["code"]), (413, &json!("BODY_TOO_LARGE")));
        for (request, expected) in [
            (get("localhost"), 200),
            (get("localhost").header("host", "localhost"), 200),
            (get("localhost").header("host", "LocalHost:443"), 200),
            (get("localhost").header("host", "localhost:80"), 400),
            (get("localhost").header("host", "another"), 400),
            (get("user@localhost"), 400),
        ] {
            let (status, answer) = ask(&requests, request.body(()).expect("valid"), "").await.expect("an answer");
            assert_eq!(status, expected, "{answer}");
        }

        // Requests that are cancelled at once do no work.
        let (cancelling, connection) = place.open(|_| {}).await;
        for _ in 0..2000 {
            let Ok(mut ready) = cancelling.clone().ready().await else { break };
            let request = get("localhost").body(()).expect("valid");
            let Ok((_, mut sending)) = ready.send_request(request, false) else { break };
            sending.send_reset(Reason::CANCEL);
        }
        // The client may lose the frame that says why, because it still writes.
        let ended = tokio::time::timeout(PATIENCE, connection).await.expect("it is closed").expect("no panic");
        assert!(ended.is_err(), "the daemon has enough");
        let request = get("localhost").body(()).expect("valid");
        assert_eq!(ask(&requests, request, "").await.expect("others are served").0, 200);
    });
}

/// Writes these bytes, and waits until the daemon closes the connection. Returns whether it sent GOAWAY without an error.
async fn say(mut stream: TlsStream<TcpStream>, bytes: &[u8]) -> bool {
    stream.write_all(bytes).await.expect("it reads");
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is closed");
    let (mut frames, mut has_goaway) = (&rest[..], false);
    while let [a, b, c, kind, ..] = *frames {
        has_goaway |= kind == 7 && frames.get(13..17) == Some(&[0; 4]);
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        frames = frames.get(9 + length..).unwrap_or_default();
    }
    has_goaway
}

/// Returns the frames in these bytes: the kind, the stream and the payload of each whole one.
fn frames(mut bytes: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [a, b, c, kind, _, s, t, u, v, rest @ ..] = bytes {
        let Some((payload, rest)) = rest.split_at_checked(u32::from_be_bytes([0, *a, *b, *c]) as usize) else { break };
        frames.push((*kind, u32::from_be_bytes([*s, *t, *u, *v]), payload.to_vec()));
        bytes = rest;
    }
    frames
}

/// Requests whose bodies never come stay open.
#[test]
fn connection_has_the_documented_windows_and_32_requests_at_a_time() {
    let place = Place::with(&["--header-timeout", "600", "--request-timeout", "300"]);
    let (path, bearer) = ("/api/v1/agents", format!("Bearer {}", place.token));
    let byte = |text: &str| vec![u8::try_from(text.len()).expect("short")];
    // POST, https, and literal fields with names of the static table.
    let host = [&[1, 9], &b"localhost"[..]].concat();
    let head =
        [vec![0x83, 0x87, 4], byte(path), path.into(), host, vec![0x0f, 8], byte(&bearer), bearer.into()].concat();
    let request = |stream: u32| {
        let length = u32::try_from(head.len()).expect("short").to_be_bytes();
        [&length[1..], &[1, 4], &stream.to_be_bytes(), &head].concat()
    };
    runtime().block_on(async {
        let mut stream = place.dial().await;
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        let requests = (0..33).map(|number| request(2 * number + 1));
        let bytes: Vec<_> = [preface].into_iter().chain(requests).collect();
        stream.write_all(&bytes.concat()).await.expect("it reads");
        let (mut received, mut part) = (Vec::new(), [0; 4096]);
        let refused = |received: &[u8]| frames(received).iter().any(|(kind, ..)| *kind == 3);
        while !refused(&received) {
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut part)).await.expect("an answer");
            received.extend_from_slice(&part[..read.expect("open")]);
        }
        // The others stay open.
        let more = tokio::time::timeout(Duration::from_millis(500), stream.read(&mut part)).await;
        received.extend_from_slice(&part[..more.map_or(0, |read| read.expect("open"))]);
        let frames = frames(&received);
        let of = |kind: u8| frames.iter().filter(move |frame| frame.0 == kind).cloned().collect::<Vec<_>>();
        assert_eq!(of(3), [(3, 65, 7_u32.to_be_bytes().to_vec())], "the 33rd request is refused: REFUSED_STREAM");
        let settings: Vec<_> = of(4)[0].2.chunks(6).map(<[u8]>::to_vec).collect();
        for (setting, value) in [(3_u16, 32_u32), (4, 64 << 10), (6, 32 << 10)] {
            let expected = [&setting.to_be_bytes()[..], &value.to_be_bytes()].concat();
            assert!(settings.contains(&expected), "{setting}: {settings:?}");
        }
        // A connection begins with a window of 65,535 bytes (RFC 9113, section 6.9.2).
        let wider = u32::to_be_bytes((256 << 10) - 65_535);
        assert_eq!(of(8), [(8, 0, wider.to_vec())]);
    });
}

#[test]
fn connections_without_progress_are_closed() {
    let place = Place::with(&["--header-timeout", "1", "--request-timeout", "1"]);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = b"\0\0\0\x04\0\0\0\0\0";
    // The end of the head is missing.
    let half_head = b"\0\0\x01\x01\x01\0\0\0\x01\x82";
    runtime().block_on(async {
        say(place.dial().await, b"").await;
        assert!(say(place.dial().await, preface).await);
        assert!(say(place.dial().await, &[&preface[..], settings, half_head].concat()).await);
        // A response that cannot be sent, because the window is empty.
        let no_window = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";
        let head = b"\0\0\x0e\x01\x05\0\0\0\x01\x82\x87\x84\x41\x09localhost";
        assert!(say(place.dial().await, &[&preface[..], no_window, head].concat()).await);

        // Pings are no progress.
        let (mut requests, connection) = handshake_with_pings(&place).await;
        let request = place.request(Method::GET, "/health").body(()).expect("valid");
        let (answer, _) = requests.send_request(request, true).expect("sent");
        assert_eq!(answer.await.expect("an answer").status(), 200);
        let _ = tokio::time::timeout(PATIENCE, connection).await.expect("it is closed");

        // A response that the client leaves unread.
        let (mut requests, connection) = place.open(window(0)).await;
        let request = place.request(Method::GET, "/health").body(()).expect("valid");
        let (answer, _) = requests.send_request(request, true).expect("sent");
        let _unread = answer.await.expect("an answer");
        let _ = tokio::time::timeout(PATIENCE, connection).await.expect("it is closed");

        // A body that never comes: the request ends after its time, and the connection later.
        let (mut requests, connection) = place.open(|_| {}).await;
        let request = place.request(Method::POST, "/api/v1/agents").body(()).expect("valid");
        let (answer, _never_sent) = requests.send_request(request, false).expect("sent");
        let answer = tokio::time::timeout(PATIENCE, answer).await.expect("in time").expect("an answer");
        assert_eq!(answer.status(), 503);
        drop(answer);
        let _ = tokio::time::timeout(PATIENCE, connection).await.expect("it is closed");
    });
    assert_eq!(place.daemon.stop(), 0);
}

/// Returns a set-up of clients that take this many unread bytes of a response.
fn window(bytes: u32) -> impl Fn(&mut Builder) {
    move |builder| {
        builder.initial_window_size(bytes);
    }
}

/// Sends requests without a token every 100 ms, until the connection ends. Their responses are not read but cancelled.
async fn send_others(requests: SendRequest<Bytes>) {
    loop {
        let Ok(mut ready) = requests.clone().ready().await else { return };
        let stranger = Request::get("https://localhost/api/v1/agents").body(()).expect("valid");
        let Ok((answer, _)) = ready.send_request(stranger, true) else { return };
        let Ok(answer) = answer.await else { return };
        assert_eq!(answer.status(), 401);
        drop(answer);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn unread_response_closes_the_connection_and_a_slowly_read_one_does_not_whatever_other_requests_do() {
    let place = Place::with(&["--header-timeout", "1", "--request-timeout", "1"]);
    runtime().block_on(async {
        let (requests, _connection) = place.open(|_| {}).await;
        let agent = json!({ "name": "x".repeat(80), "direction": "outbound" }).to_string();
        let mut made = 0;
        for _ in 0..3 {
            let request = place.request(Method::POST, "/api/v1/agents").body(()).expect("valid");
            made += usize::from(ask(&requests, request, &agent).await.expect("an answer").0 == 201);
        }
        assert_eq!(made, 3);
        let get = || place.request(Method::GET, "/api/v1/agents").body(()).expect("valid");

        let unread = async {
            let (mut requests, connection) = place.open(window(0)).await;
            let (answer, _) = requests.send_request(get(), true).expect("sent");
            let _unread = answer.await.expect("an answer");
            let began = Instant::now();
            let others = tokio::spawn(send_others(requests));
            let _ = tokio::time::timeout(PATIENCE, connection).await.expect("it is closed");
            // Twice the request timeout, and up to two looks. The rest is for a busy machine.
            let took = began.elapsed();
            assert!(took > Duration::from_millis(1500) && took < Duration::from_secs(12), "{took:?}");
            others.await.expect("no panic");
        };
        let slow = async {
            let (mut requests, _connection) = place.open(window(16)).await;
            let (answer, _) = requests.send_request(get(), true).expect("sent");
            let others = tokio::spawn(send_others(requests));
            let (mut received, mut bytes) = (answer.await.expect("an answer").into_body(), Vec::new());
            let began = Instant::now();
            while let Some(part) = received.data().await {
                let part = part.expect("a response that makes progress is not cut");
                bytes.extend_from_slice(&part);
                tokio::time::sleep(Duration::from_millis(100)).await;
                received.flow_control().release_capacity(part.len()).expect("received");
            }
            let answer: Value = serde_json::from_slice(&bytes).expect("the whole response");
            assert_eq!(answer["data"].as_array().map(Vec::len), Some(3), "{answer}");
            assert!(began.elapsed() > Duration::from_secs(5), "it took longer than a client may make no progress");
            others.abort();
        };
        tokio::join!(unread, slow);
    });
    assert_eq!(place.daemon.stop(), 0);
}

/// The memory for responses of one environment, in KiB, and what a request of usual length needs of it to begin.
const OF_ONE: usize = 2560;
const USUAL: usize = 128;

/// Declares sources with long names, and roles whose sources they all are: a document of 8 MiB, which repeats the names.
async fn declare_long_document(place: &Place, requests: &SendRequest<Bytes>) {
    let id = |agent: u32| format!("00000000-0000-0000-0000-{agent:012}");
    let name = |agent: u32| format!("{agent:03}{}", "\u{1F692}".repeat(252));
    let source = |agent| json!({"name": name(agent), "id": id(agent), "direction": "outbound"});
    let ids: Vec<_> = (0..400).map(id).collect();
    let role = |role| json!({"name": format!("Role {role}"), "direction": "inbound", "callback": {"sources": ids}});
    let agents: Vec<_> = (0..400).map(source).chain((0..20).map(role)).collect();
    let request = place.request(Method::PUT, "/api/v1/configuration").body(()).expect("valid");
    let (status, made) = ask(requests, request, &json!({ "agents": agents }).to_string()).await.expect("an answer");
    assert_eq!((status, &made["data"]["applied"]), (200, &json!(true)), "{made}");
}

/// Returns the memory of the daemon in KiB.
#[cfg(target_os = "linux")]
fn resident(daemon: &Daemon) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("resident");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[cfg(target_os = "linux")]
#[test]
fn long_documents_that_clients_leave_unread_have_a_bound_for_each_environment() {
    const READERS: usize = 12;
    let place = Place::with(&["--rate-limit", "0", "--header-timeout", "600", "--request-timeout", "300"]);
    let other = place.environment("Other");
    runtime().block_on(async {
        let (requests, _connection) = place.open(|_| {}).await;
        declare_long_document(&place, &requests).await;
        let get = || place.request(Method::GET, "/api/v1/configuration").body(()).expect("valid");
        let (_, whole) = ask(&requests, get(), "").await.expect("an answer");
        let before = resident(&place.daemon);

        let head = format!("host: x\r\nauthorization: Bearer {}", place.token);
        let mut old = Vec::new();
        for _ in 0..READERS {
            let mut stream = tls::connect(&place.address, &place.trusted).expect("trusted");
            let request = format!("GET /api/v1/configuration HTTP/1.1\r\n{head}\r\n\r\n");
            std::io::Write::write_all(&mut stream, request.as_bytes()).expect("it reads");
            old.push(stream);
        }
        let mut ends = Vec::new();
        for _ in 0..READERS {
            let (mut requests, connection) = place.open(window(1)).await;
            let (answer, _) = requests.send_request(get(), true).expect("sent");
            ends.push((requests, answer, connection));
        }
        tokio::time::sleep(Duration::from_secs(4)).await;
        let growth = resident(&place.daemon).saturating_sub(before);
        assert!(growth < 16 << 10, "{growth} KiB");

        // Others are served, and so is a contact who is on the line.
        let theirs =
            Request::get("https://localhost/api/v1/configuration").header("authorization", format!("Bearer {other}"));
        assert_eq!(ask(&requests, theirs.body(()).expect("valid"), "").await.expect("an answer").0, 200);
        let route = "/api/v1/route?dialed=%2B12125550100&caller=%2B12125550143";
        let route = place.request(Method::GET, route).body(()).expect("valid");
        assert_eq!(ask(&requests, route, "").await.expect("an answer").0, 200);

        // Clients that go away make room, and a document that is read is the same one.
        drop(old);
        for (.., connection) in ends {
            connection.abort();
        }
        let again = tokio::time::timeout(PATIENCE, ask(&requests, get(), "")).await.expect("there is room again");
        assert!(again.expect("an answer") == (200, whole), "the document is whole");
    });
}

/// Reads a response in parts. `pause` gives the time to wait after a part, from the time since the beginning and the bytes
/// received. Returns the bytes, and the error that ended the response.
async fn read_slowly(
    mut received: h2::RecvStream,
    pause: impl Fn(Duration, usize) -> Duration,
) -> (Vec<u8>, Option<h2::Error>) {
    let (began, mut bytes) = (Instant::now(), Vec::new());
    loop {
        match received.data().await {
            Some(Ok(part)) => {
                bytes.extend_from_slice(&part);
                tokio::time::sleep(pause(began.elapsed(), bytes.len())).await;
                received.flow_control().release_capacity(part.len()).expect("received");
            }
            Some(Err(error)) => return (bytes, Some(error)),
            None => return (bytes, None),
        }
    }
}

/// The daemon keeps the configuration of a document until the document is read, but not for ever. A client that takes a
/// piece now and then is not cut.
#[test]
fn long_document_is_cut_only_if_its_client_stops_to_read() {
    let place = Place::with(&["--rate-limit", "0", "--request-timeout", "2"]);
    runtime().block_on(async {
        let (requests, _connection) = place.open(|_| {}).await;
        declare_long_document(&place, &requests).await;
        let get = || place.request(Method::GET, "/api/v1/configuration").body(()).expect("valid");
        let open = async |bytes| {
            let (mut requests, connection) = place.open(window(bytes)).await;
            let (answer, _) = requests.send_request(get(), true).expect("sent");
            let answer = answer.await.expect("an answer");
            assert_eq!(answer.status(), 200);
            (answer.into_body(), connection, requests)
        };
        let stops = async {
            let (body, _connection, _requests) = open(64).await;
            // At some place so slowly that the connection is not closed, then as fast as possible.
            let stopped = std::cell::Cell::new(None);
            let pause = |_, bytes: usize| {
                if bytes > 192 << 10 && stopped.get().is_none() {
                    stopped.set(Some(Instant::now()));
                }
                let is_slow = stopped.get().is_some_and(|at: Instant| at.elapsed() < Duration::from_secs(5));
                Duration::from_millis(if is_slow { 100 } else { 0 })
            };
            let (bytes, failed) = read_slowly(body, pause).await;
            assert!(failed.is_some() && bytes.len() < 1 << 20, "{failed:?} after {} bytes", bytes.len());
        };
        let goes_on = async {
            let (body, _connection, _requests) = open(16 << 10).await;
            let is_slow = |since: Duration| since < Duration::from_secs(9);
            let pause = |since, _| Duration::from_millis(if is_slow(since) { 300 } else { 0 });
            let (bytes, failed) = read_slowly(body, pause).await;
            assert!(failed.is_none(), "{failed:?} after {} bytes", bytes.len());
            let whole: Value = serde_json::from_slice(&bytes).expect("the whole document");
            assert_eq!(whole["data"]["agents"].as_array().map(Vec::len), Some(420));
        };
        tokio::join!(stops, goes_on);
    });
}

#[test]
fn short_responses_that_clients_leave_unread_have_a_bound_for_each_environment() {
    let place = Place::with(&["--rate-limit", "0", "--header-timeout", "600", "--request-timeout", "300"]);
    let other = place.environment("Other");
    runtime().block_on(async {
        let (requests, _connection) = place.open(|_| {}).await;
        for number in 0..15 {
            let (name, label) = (format!("{number:0255}"), "y".repeat(255));
            let agent = json!({ "name": name, "label": label, "direction": "outbound" }).to_string();
            let request = place.request(Method::POST, "/api/v1/agents").body(()).expect("valid");
            assert_eq!(ask(&requests, request, &agent).await.expect("an answer").0, 201);
        }
        let get = || place.request(Method::GET, "/api/v1/agents?per_page=10").body(()).expect("valid");
        let length = ask(&requests, get(), "").await.expect("an answer").1.to_string().len();
        let kib = length.div_ceil(1 << 10);
        assert!((8..=16).contains(&kib), "a response is one piece: {length}");

        // The connection of a client that reads one byte of each response takes the whole responses.
        let (sender, mut answered) = tokio::sync::mpsc::unbounded_channel();
        let (mut open, connections) = (Vec::new(), OF_ONE / kib / 32 + 2);
        for _ in 0..connections {
            let (requests, connection) = place.open(window(1)).await;
            for _ in 0..32 {
                let mut ready = requests.clone().ready().await.expect("open");
                let (answer, _) = ready.send_request(get(), true).expect("sent");
                let sender = sender.clone();
                open.push(tokio::spawn(async move {
                    let _ = sender.send(answer.await.expect("an answer").into_body());
                    std::future::pending::<()>().await;
                }));
            }
            open.push(tokio::spawn(async move { connection.await.expect("no panic").expect("open") }));
        }
        let mut unread = Vec::new();
        while let Ok(Some(body)) = tokio::time::timeout(Duration::from_secs(3), answered.recv()).await {
            unread.push(body);
        }
        let held = unread.len() * kib;
        assert!(held <= OF_ONE && held > OF_ONE - USUAL - 16, "{held} KiB of {} requests", connections * 32);

        // Others are served, and so is a contact who is on the line.
        let theirs = Request::get("https://localhost/api/v1/agents").header("authorization", format!("Bearer {other}"));
        assert_eq!(ask(&requests, theirs.body(()).expect("valid"), "").await.expect("an answer").0, 200);
        let route = "/api/v1/route?dialed=%2B12125550100&caller=%2B12125550143";
        let route = place.request(Method::GET, route).body(()).expect("valid");
        assert_eq!(ask(&requests, route, "").await.expect("an answer").0, 200);

        // Responses that are cancelled make room for the others.
        let before = unread.len();
        unread.drain(..16).for_each(drop);
        let next = tokio::time::timeout(PATIENCE, answered.recv()).await.expect("there is room again");
        assert!(next.is_some() && before > 16);
        open.iter().for_each(JoinHandle::abort);
    });
}

/// Opens a connection that sends a ping every 100 ms.
async fn handshake_with_pings(place: &Place) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let (requests, mut connection) = Builder::new().handshake(place.dial().await).await.expect("HTTP/2");
    let mut pings = connection.ping_pong().expect("once");
    tokio::spawn(async move {
        while pings.ping(h2::Ping::opaque()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    (requests, tokio::spawn(connection))
}

#[test]
fn a_request_in_progress_is_answered_before_the_daemon_stops() {
    let place = Place::with(&[]);
    runtime().block_on(async {
        let (mut requests, connection) = place.open(|_| {}).await;
        let request = place.request(Method::POST, "/api/v1/agents").body(()).expect("valid");
        let (answer, mut sending) = requests.send_request(request, false).expect("sent");
        sending.send_data(Bytes::from_static(b"{\"name\":\"Late\","), false).expect("sent");
        // The daemon has read the head when it has answered a later request.
        let health = place.request(Method::GET, "/health").body(()).expect("valid");
        assert_eq!(ask(&requests, health, "").await.expect("an answer").0, 200);
        place.daemon.ask_to_stop();
        // Longer than a connection without open requests would stay.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        sending.send_data(Bytes::from_static(b"\"direction\":\"outbound\"}"), true).expect("sent");
        assert_eq!(answer.await.expect("an answer").status(), 201);
        drop(requests);
        let _ = tokio::time::timeout(PATIENCE, connection).await.expect("it is closed");
    });
    assert_eq!(place.daemon.stop(), 0);
}

#[test]
fn idle_clients_that_do_not_read_do_not_delay_the_stop() {
    let place = Place::with(&[]);
    let (began, log) = runtime().block_on(async {
        // None of these connections is polled later. The first has been used.
        let (requests, mut connection) = Builder::new().handshake(place.dial().await).await.expect("HTTP/2");
        let request = place.request(Method::GET, "/health").body(()).expect("valid");
        tokio::select! {
            answer = ask(&requests, request, "") => assert_eq!(answer.expect("an answer").0, 200),
            ended = &mut connection => panic!("it is open: {ended:?}"),
        }
        let _without_request = Builder::new().handshake::<_, Bytes>(place.dial().await).await.expect("HTTP/2");
        let _without_preface = place.dial().await;
        let _without_handshake = TcpStream::connect(&place.address).await.expect("it listens");
        tokio::time::sleep(Duration::from_millis(100)).await;
        let began = Instant::now();
        (began, place.daemon.stop_and_read_log())
    });
    // The daemon waits 5 s for requests in progress.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(!log.contains("before all requests in progress were finished"), "{log}");
}

#[test]
fn request_that_waits_for_events_is_not_cut() {
    let place = Place::with(&["--request-timeout", "1", "--header-timeout", "1"]);
    runtime().block_on(async {
        let (requests, _connection) = place.open(|_| {}).await;
        let request = place.request(Method::GET, "/api/v1/events?after=end&wait=7").body(()).expect("a request");
        let began = Instant::now();
        let (status, page) = ask(&requests, request, "").await.expect("it is answered");
        assert_eq!((status, &page["data"]), (200, &json!([])), "{page}");
        assert!(began.elapsed() >= Duration::from_secs(6), "it waits longer than clients that make no progress may");
    });
}
