//! Tests of the SIP door in the real program.

use crate::support;
use serde_json::json;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;
use support::daemon::{Daemon, Tenant, program};
use support::metrics_text::Page;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(60));
const CONTACT: &str = "+12125550143";

/// Returns the SIP address that the daemon logs.
fn address(daemon: &Daemon) -> String {
    let log = daemon.read_log();
    let line = log.lines().find(|line| line.contains("serving SIP")).expect("it says where");
    line.rsplit("address=").next().expect("an address").trim().to_owned()
}

fn invite(caller: &str) -> String {
    format!(
        "INVITE sip:+12125550100@gw.example.com SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{};rport\r\n\
         From: <sip:{caller}@trunk.example.com>;tag=1\r\nTo: <sip:+12125550100@gw.example.com>\r\nCall-ID: 1\r\n\
         CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
        caller.trim_start_matches('+')
    )
}

fn ask(address: &str, message: &str) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(PATIENCE).expect("set");
    socket.send_to(message.as_bytes(), address).expect("sent");
    let mut packet = [0; 4096];
    let length = socket.recv(&mut packet).expect("an answer");
    String::from_utf8(packet[..length].to_vec()).expect("text")
}

fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn return_call_is_redirected_counted_and_not_logged() {
    let place = tempfile::tempdir().expect("a directory");
    let contacts = place.path().join("contacts.json");
    fs::write(&contacts, r#"{"default": "sip:{agent_id}@127.0.0.1:5090"}"#).expect("written");
    let contacts = contacts.to_str().expect("a plain path");
    let arguments =
        ["--sip-listen", "127.0.0.1:0", "--agent-addresses", contacts, "--log", "trace", "--sip-dialed-from", "to"];
    let daemon = Daemon::start_with(&place.path().join("data"), &arguments);
    let tenant = Tenant::with_callback_sample(&daemon);
    tenant.configure_callback();
    let now = jiff::Timestamp::now().to_string();
    let call = json!({
        "agent_id": tenant.source_agent, "from": "+12125550100", "to": CONTACT, "started_at": now, "status": "busy",
    });
    assert_eq!(tenant.post("/calls", &call).0, 202);

    let address = address(&daemon);
    let answer = ask(&address, &invite(CONTACT));
    assert!(answer.starts_with("SIP/2.0 302 "), "{answer}");
    let wanted = format!("<sip:{}@127.0.0.1:5090>", tenant.callback_agent);
    assert_eq!(field(&answer, "Contact"), Some(&*wanted));
    let mut stream = TcpStream::connect(&address).expect("connected");
    stream.set_read_timeout(PATIENCE).expect("set");
    stream.write_all(invite("+12125550144").as_bytes()).expect("written");
    let mut begins = [0; 12];
    stream.read_exact(&mut begins).expect("an answer");
    assert_eq!(&begins, b"SIP/2.0 302 ".as_slice(), "to the default agent");
    let to_account = invite("+12125550144").replacen("sip:+12125550100", "sip:1710163127241", 1);
    assert!(ask(&address, &to_account).starts_with("SIP/2.0 302 "), "by the number in To");

    // The control API accepts the id of a decision that the SIP door made.
    let decision = field(&answer, "X-Dialback-Decision").expect("an id");
    assert_eq!(tenant.post(&format!("/routes/{decision}/answered"), &json!({})).0, 200);
    let (_, shown) = tenant.get(&format!("/callback-agents/{}", tenant.callback_agent));
    let stats = &shown["data"]["stats"];
    assert_eq!((&stats["total_callbacks_received"], &stats["callbacks_answered"]), (&json!(1), &json!(1)), "{shown}");

    ask(&address, &invite(CONTACT).replace("Content-Length: 0", "Content-Length: 7"));
    let metrics = ureq::get(format!("{}/metrics", daemon.url())).call().expect("an answer");
    let text = metrics.into_body().read_to_string().expect("UTF-8");
    let page = Page::read(&text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
    let counted = |line: &str| assert!(text.lines().any(|there| there == line), "{line}: {text}");
    counted("dialback_sip_requests_total{method=\"INVITE\",status=\"302\"} 3");
    counted("dialback_sip_requests_total{method=\"INVITE\",status=\"400\"} 1");
    counted("dialback_sip_events_total{event=\"connected\"} 1");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sip.md");
    let docs = fs::read_to_string(docs).expect("a page");
    let silent: Vec<_> =
        page.types.keys().filter(|name| name.contains("_sip_") && !docs.contains(&format!("`{name}`"))).collect();
    assert!(silent.is_empty(), "docs/sip.md does not say what {silent:?} are");
    for event in dialback::metrics::SipEvent::ALL {
        assert!(docs.contains(&format!("`{}`", event.name())), "docs/sip.md does not say what {event:?} is");
    }

    let log = daemon.stop_and_read_log();
    assert!(log.lines().count() > 10, "trace is on: {log}");
    for digits in ["12125550100", "12125550143", "12125550144", "2125550143"] {
        assert!(!log.contains(digits), "a whole number in the log");
    }
}

#[test]
fn invalid_sip_options_fail_before_the_start() {
    let place = tempfile::tempdir().expect("a directory");
    let bad = place.path().join("bad.json");
    fs::write(&bad, r#"{"agents": {"nobody": "sip:a@b"}}"#).expect("written");
    let bad = bad.to_str().expect("a plain path");
    let (listen, contact) = (["--sip-listen", "127.0.0.1:0"], ["--agent-address", "sip:{agent_id}@agents.example.com"]);
    for (arguments, expected, said) in [
        (&[&listen[..], &contact].concat()[..], 0, "valid"),
        (&listen, 1, "--agent-address"),
        (&contact, 0, "valid"),
        (&[&listen[..], &["--agent-address", "sip:{agent}@x"]].concat(), 2, "{agent_id}"),
        (&[&listen[..], &["--agent-addresses", "/nowhere/contacts.json"]].concat(), 1, "/nowhere/contacts.json"),
        (&[&listen[..], &["--agent-addresses", bad]].concat(), 1, "nobody: not a UUID"),
        (&[&listen[..], &contact, &["--sip-trust", "gateway"]].concat(), 2, "192.0.2.0/24"),
        (&[&listen[..], &contact, &["--sip-unrouted", "603"]].concat(), 2, "use 404 or 480"),
        (&[&listen[..], &contact, &["--sip-dialed-from", "diversion"]].concat(), 0, "valid"),
        (&[&listen[..], &contact, &["--sip-context", "order,a-b"]].concat(), 0, "valid"),
        (&[&listen[..], &contact, &["--sip-context", "order,Order"]].concat(), 1, "names the field \"Order\" twice"),
        (&[&listen[..], &contact, &["--sip-context", "a b"]].concat(), 1, "--sip-context \"a b\" is not a name"),
        (&["--agi-listen", "127.0.0.1:0", "--agi-context", "order,note"], 0, "valid"),
        (&["--agi-listen", "127.0.0.1:0", "--agi-context", "order,order"], 1, "names the field \"order\" twice"),
        (&["--agi-listen", "127.0.0.1:0", "--agi-context", "a-b"], 1, "--agi-context \"a-b\" is not a name"),
        (&[&listen[..], &contact, &["--sip-dialed-from", "from"]].concat(), 2, "use request-uri, to or diversion"),
    ] {
        let data = place.path().join("data");
        let data = data.to_str().expect("a plain path");
        let (code, output, wrong) =
            program(&[&["serve", "--check-config", "--data", data], arguments].concat(), Path::new("."));
        assert!(
            code == expected && (output.contains(said) || wrong.contains(said)),
            "{arguments:?}: {code} {output}{wrong}"
        );
    }
}
