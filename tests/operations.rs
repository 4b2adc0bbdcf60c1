//! What an operator and the tools of one see of the real program.

mod support {
    pub(crate) mod daemon;
    pub(crate) mod exposition;
}

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::daemon::{Daemon, Tenant, program};
use support::exposition::Page;

fn check(arguments: &[&str], data: &Path) -> (i32, String, String) {
    let data = data.to_str().expect("a plain path");
    program(&[&["serve", "--check-config", "--data", data], arguments].concat(), Path::new("."))
}

#[test]
fn a_configuration_is_checked_without_a_trace() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    let (code, said, _) = check(&[], &data);
    assert_eq!(code, 0);
    assert!(said.contains("would be made"), "{said}");
    assert!(!data.exists(), "nothing is made");

    let daemon = Daemon::start(&data);
    let (code, said, _) = check(&["--durability", "buffered"], &data);
    assert_eq!((code, said.contains("is a data directory")), (0, true), "while a daemon runs too: {said}");
    drop(daemon);

    for (arguments, expected) in [
        (&["--durability", "hopeful"][..], 2),
        (&["--listen", "nowhere"], 2),
        (&["--metrics-listen", "127.0.0.1"], 2),
        (&["--tls-cert", "/nowhere/cert.pem", "--tls-key", "/nowhere/key.pem"], 1),
    ] {
        let (code, _, wrong) = check(arguments, &data);
        assert_eq!(code, expected, "{arguments:?}: {wrong}");
    }
    fs::write(data.join("dialback.json"), r#"{"format":1000}"#).expect("written");
    assert_eq!(check(&[], &data).0, 4, "of a newer version");
    let foreign = tempfile::tempdir().expect("a directory");
    fs::write(foreign.path().join("thesis.tex"), "years of work").expect("written");
    assert_eq!(check(&[], foreign.path()).0, 4);
}

#[test]
fn metrics_are_served_where_they_are_wanted() {
    let data = tempfile::tempdir().expect("a directory");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let daemon = Daemon::start_with(data.path(), &["--metrics-listen", &free.to_string()]);
    let tenant = Tenant::with_callback_sample(&daemon);
    assert_eq!(tenant.record_call("+12125550143", "busy").0, 202);
    tenant.decision("+12125550143");
    let get = |address: SocketAddr, path: &str| {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.get(format!("http://{address}{path}")).call().expect("an answer");
        (answer.status().as_u16(), answer.body_mut().read_to_string().expect("UTF-8"))
    };
    let (status, text) = get(free, "/metrics");
    assert_eq!(status, 200);
    let page = Page::read(&text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
    let decided: f64 =
        page.samples.iter().filter(|((name, _), _)| name == "dialback_decisions_total").map(|(_, n)| n).sum();
    assert!((decided - 1.0).abs() < f64::EPSILON, "what the other address decided: {decided}");
    assert_eq!(get(free, "/health/ready").0, 200);
    assert_eq!(get(free, "/api/v1/agents").0, 404);
    let control = daemon.address().parse().expect("an address");
    assert_eq!((get(control, "/metrics").0, get(control, "/health").0), (404, 200));
}

#[test]
fn systemd_is_told_what_it_waits_for() {
    let place = tempfile::tempdir().expect("a directory");
    let socket = place.path().join("notify");
    let systemd = UnixDatagram::bind(&socket).expect("a socket");
    systemd.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let hear = || {
        let mut text = [0; 1024];
        let length = systemd.recv(&mut text).expect("a message");
        String::from_utf8(text[..length].to_vec()).expect("UTF-8")
    };
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_dialback"));
    daemon.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "200000").env_remove("WATCHDOG_PID").arg("serve");
    let daemon = Daemon::start_by(&place.path().join("data"), daemon).expect("it starts");
    let first = hear();
    assert!(first.lines().any(|line| line == "READY=1"), "{first}");
    let turns = [hear(), hear(), hear()];
    assert!(turns.iter().all(|turn| turn.trim() == "WATCHDOG=1"), "{turns:?}");
    assert_eq!(daemon.stop(), 0);
    let last = std::iter::repeat_with(hear).find(|told| !told.starts_with("WATCHDOG")).expect("more");
    assert!(last.lines().any(|line| line == "STOPPING=1"), "{last}");
}
