//! The real program as an operator and monitoring tools see it.

use crate::support;
use dialback::metrics::FleetState;
use dialback::store::Durability;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use support::daemon::{Daemon, Tenant, program};
use support::metrics_text::Page;

fn check(arguments: &[&str], data: &Path) -> (i32, String, String) {
    let data = data.to_str().expect("a plain path");
    program(&[&["serve", "--check-config", "--data", data], arguments].concat(), Path::new("."))
}

#[test]
fn check_config_reports_and_changes_nothing() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    let (code, said, _) = check(&[], &data);
    assert_eq!(code, 0);
    assert!(said.contains("would be created"), "{said}");
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
    let file = place.path().join("file");
    fs::write(&file, "a file").expect("written");
    let (code, _, wrong) = check(&[], &file.join("data"));
    assert!(code == 4 && wrong.contains("file"), "a directory that cannot be created: {wrong}");
    fs::write(data.join("dialback.json"), r#"{"format":1000}"#).expect("written");
    assert_eq!(check(&[], &data).0, 4, "of a newer version");
    let foreign = tempfile::tempdir().expect("a directory");
    fs::write(foreign.path().join("thesis.tex"), "years of work").expect("written");
    assert_eq!(check(&[], foreign.path()).0, 4);
}

#[test]
fn metrics_are_served_on_their_own_address_only() {
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
fn systemd_gets_ready_watchdog_and_stopping() {
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
    // On a busy machine the watchdog is told before the daemon is ready.
    let first = std::iter::repeat_with(hear).find(|told| told.trim() != "WATCHDOG=1").expect("more");
    assert!(first.lines().any(|line| line == "READY=1"), "{first}");
    let turns = [hear(), hear(), hear()];
    assert!(turns.iter().all(|turn| turn.trim() == "WATCHDOG=1"), "{turns:?}");
    assert_eq!(daemon.stop(), 0);
    let last = std::iter::repeat_with(hear).find(|told| !told.starts_with("WATCHDOG")).expect("more");
    assert!(last.lines().any(|line| line == "STOPPING=1"), "{last}");
}

/// Returns the section "Symptoms" of `docs/operations.md`.
fn symptoms() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let page = fs::read_to_string(page).expect("a page");
    page.split_once("\n## Symptoms\n").expect("the section").1.to_owned()
}

/// Returns all source files below a folder, with their paths.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let read = |path: PathBuf| match path.extension() {
        _ if path.is_dir() => sources(&path),
        Some(extension) if extension == "rs" => {
            vec![(path.display().to_string(), fs::read_to_string(&path).expect("UTF-8"))]
        }
        _ => Vec::new(),
    };
    entries.flat_map(read).collect()
}

/// Returns the string literals in a piece of Rust. Literals that contain quotes are cut there.
fn literals(source: &str) -> impl Iterator<Item = &str> {
    source.split('"').skip(1).step_by(2)
}

/// Returns the text before the parenthesis that closes the arguments.
fn arguments(after: &str) -> &str {
    let (mut depth, mut in_text) = (1, false);
    let end = after.find(|c| {
        in_text ^= c == '"';
        depth += match c {
            '(' if !in_text => 1,
            ')' if !in_text => -1,
            _ => 0,
        };
        depth == 0
    });
    &after[..end.unwrap_or(after.len())]
}

/// Returns the words that `words` finds after each `mark` in the sources and that the section does not contain, and the
/// number of words.
fn unexplained(mark: &str, words: impl Fn(&str) -> Vec<String>) -> (usize, Vec<String>) {
    unexplained_by(|section, word| section.contains(word), mark, words)
}

/// Returns what [`unexplained`] does. `has` says whether the section has a word.
fn unexplained_by(
    has: impl Fn(&str, &str) -> bool,
    mark: &str,
    words: impl Fn(&str) -> Vec<String>,
) -> (usize, Vec<String>) {
    let symptoms = symptoms();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut found, mut missing) = (0, Vec::new());
    for (path, source) in sources(&root) {
        for after in source.split(mark).skip(1) {
            for word in words(after) {
                found += 1;
                if !has(&symptoms, &word) {
                    missing.push(format!("{path}: {word}"));
                }
            }
        }
    }
    (found, missing)
}

#[test]
fn page_of_symptoms_has_each_log_line_that_needs_an_operator() {
    for (mark, least) in [("warn!(", 8), ("error!(", 4)] {
        let (found, missing) = unexplained(mark, |after| {
            let text = literals(arguments(after)).last().unwrap_or_default();
            // Compare the fixed start of the text. Texts that are one placeholder are warnings of the fleet.
            let beginning = text.split([':', '.', ';', '{']).next().unwrap_or_default().trim();
            if beginning.is_empty() { Vec::new() } else { vec![format!("| {beginning} |")] }
        });
        assert!(found >= least, "{mark} {found}");
        assert_eq!(missing, Vec::<String>::new(), "docs/operations.md does not say what to do");
    }
}

#[test]
fn page_of_symptoms_has_each_health_state() {
    let (found, missing) = unexplained("Unwell::new(\"", |after| {
        let mut words = after.split('"');
        let (status, code) = (words.next().unwrap_or_default(), words.nth(1).unwrap_or_default());
        vec![format!("| `{status}` | `{code}` |")]
    });
    assert!(found >= 4, "{found}");
    assert_eq!(missing, Vec::<String>::new());
    let symptoms = symptoms();
    let words = FleetState::NAMES.into_iter().chain([Durability::Buffered, Durability::Memory].map(Durability::name));
    for word in words.chain(["ok"]) {
        assert!(symptoms.contains(&format!("`{word}`")), "{word}");
    }
}

#[test]
fn page_of_symptoms_has_each_metric() {
    for (mark, least) in [("self.family(\"", 8), ("self.gauge(\"", 12), ("self.counter(\"", 8), ("self.seconds(\"", 4)]
    {
        let (found, missing) = unexplained_by(is_named, mark, |after| {
            let name = after.split('"').next().unwrap_or_default();
            vec![format!("dialback_{name}")]
        });
        assert!(found >= least, "{mark} {found}");
        assert_eq!(missing, Vec::<String>::new(), "docs/operations.md does not say what to do");
    }
    assert!(
        is_named("| `dialback_pairs` |", "dialback_pairs") && is_named("dialback_pairs_total, x", "dialback_pairs")
    );
    assert!(!is_named("dialback_pairs_rejected_total", "dialback_pairs"));
}

/// Returns whether a text has the name of a metric as a whole, with the ending of its kind or its unit.
fn is_named(text: &str, metric: &str) -> bool {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let endings = ["", "_total", "_seconds", "_bytes"];
    words.filter_map(|word| word.strip_prefix(metric)).any(|ending| endings.contains(&ending))
}
