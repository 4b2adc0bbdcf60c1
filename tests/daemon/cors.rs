//! Requests by pages of other origins.

use crate::support;
use axum::http::HeaderName;
use dialback::http::EXPOSED;
use std::io::{Read, Write};
use std::net::TcpStream;
use support::daemon::{Daemon, program};

const PAGE: &str = "https://console.example";

/// Sends a request of a page, and returns the answer in lower case.
fn ask(daemon: &Daemon, method: &str, origin: &str, more: &str) -> String {
    let mut stream = TcpStream::connect(daemon.address()).expect("it listens");
    let request =
        format!("{method} /api/v1/agents HTTP/1.1\r\nhost: x\r\norigin: {origin}\r\n{more}connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.to_lowercase()
}

const QUESTION: &str =
    "access-control-request-method: PUT\r\naccess-control-request-headers: authorization,if-match\r\n";

#[test]
fn pages_of_the_named_origins_use_the_api_and_others_do_not() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start_with(data.path(), &["--cors-origin", "https://other.example", "--cors-origin", PAGE]);
    let allowed = format!("\r\naccess-control-allow-origin: {PAGE}\r\n");
    let answer = ask(&daemon, "OPTIONS", PAGE, QUESTION);
    assert!(answer.starts_with("http/1.1 200 ") && answer.contains(&allowed), "{answer}");
    let line = |name: &str| answer.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(line("access-control-allow-methods").contains("put"), "{answer}");
    let headers = line("access-control-allow-headers");
    assert!(headers.contains("authorization") && headers.contains("if-match"), "{answer}");
    assert!(!answer.contains("credentials") && !answer.contains('*'), "{answer}");
    // A page reads errors, too.
    let answer = ask(&daemon, "GET", PAGE, "");
    assert!(answer.starts_with("http/1.1 401 ") && answer.contains(&allowed), "{answer}");
    let shown = answer.lines().find_map(|line| line.strip_prefix("access-control-expose-headers: "));
    let shown: Vec<_> = shown.expect("the exposed fields").split(',').map(str::trim).collect();
    assert_eq!(shown, EXPOSED.each_ref().map(HeaderName::as_str));
    assert!(shown.contains(&"x-ratelimit-reset") && shown.contains(&"idempotency-replayed"), "{shown:?}");
    assert!(answer.lines().any(|line| line.starts_with("vary:") && line.contains("origin")), "{answer}");
    for method in ["GET", "OPTIONS"] {
        let answer = ask(&daemon, method, "https://console.example.evil.example", QUESTION);
        assert!(!answer.contains("access-control-allow-origin"), "{answer}");
    }
    assert_eq!(daemon.stop(), 0);
}

/// A page learns why its request was rejected before an endpoint read it.
#[test]
fn early_rejections_name_the_origin_too() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start_with(data.path(), &["--cors-origin", PAGE]);
    let allowed = format!("\r\naccess-control-allow-origin: {PAGE}\r\n");
    for (method, more, status) in [
        ("PATCH", "", "405"),
        ("GET", "host: y\r\n", "400"),
        ("GET", "no field\r\n", "400"),
        ("GET", &format!("x: {}\r\n", "y".repeat(100 << 10)), "431"),
        (&format!("GET /{} HTTP/1.1\r\nx:", "y".repeat(66 << 10)), "", "414"),
    ] {
        let answer = ask(&daemon, method, PAGE, more);
        assert!(answer.starts_with(&format!("http/1.1 {status} ")) && answer.contains(&allowed), "{answer}");
    }
    // The origin of the request before does not count.
    for wrong in ["host: z\r\n", "no field\r\n"] {
        let answers = ask(&daemon, "GET", PAGE, &format!("\r\nGET / HTTP/1.1\r\nhost: y\r\n{wrong}"));
        let (first, last) = answers.split_once("http/1.1 400 ").expect("both are answered");
        assert!(first.contains(&allowed) && !last.contains("access-control"), "{answers}");
    }
    // Of two origins, neither is sure to be the page's.
    let answer = ask(&daemon, "GET", PAGE, &format!("host: y\r\norigin: {PAGE}\r\n"));
    assert!(answer.starts_with("http/1.1 400 ") && !answer.contains("access-control"), "{answer}");
    let answer = ask(&daemon, "GET", "https://other.example", "host: y\r\n");
    assert!(answer.starts_with("http/1.1 400 ") && !answer.contains("access-control"), "{answer}");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn without_the_option_no_answer_names_an_origin() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let answer = ask(&daemon, "OPTIONS", PAGE, QUESTION);
    assert!(answer.starts_with("http/1.1 405 ") && !answer.contains("access-control"), "{answer}");
    assert!(!ask(&daemon, "GET", PAGE, "").contains("access-control"));
    for wrong in ["*", "null", "https://console.example/app"] {
        let (code, _, said) = program(&["serve", "--check-config", "--cors-origin", wrong], data.path());
        assert!(code == 2 && said.contains("https://console.example"), "{wrong}: {said}");
    }
}
