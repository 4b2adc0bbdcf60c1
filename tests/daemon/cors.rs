//! Requests by pages of other origins.

use crate::support;
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
    assert!(answer.contains("\r\naccess-control-expose-headers: ") && answer.contains("etag"), "{answer}");
    assert!(answer.lines().any(|line| line.starts_with("vary:") && line.contains("origin")), "{answer}");
    for method in ["GET", "OPTIONS"] {
        let answer = ask(&daemon, method, "https://console.example.evil.example", QUESTION);
        assert!(!answer.contains("access-control-allow-origin"), "{answer}");
    }
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
