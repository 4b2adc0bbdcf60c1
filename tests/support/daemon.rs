//! Starts a daemon for a test on a free port, and sends requests to it over a real socket.
//!
//! Several test programs include this file, and none of them uses all of it.
#![allow(dead_code)]

use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The time limit for starting or stopping a daemon on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Daemon {
    process: Child,
    url: String,
    data: PathBuf,
    log: PathBuf,
}

impl Daemon {
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_logging(data, "info")
    }

    pub(crate) fn start_logging(data: &Path, filter: &str) -> Self {
        Self::start_with(data, &["--log", filter])
    }

    /// Starts a daemon with additional arguments.
    pub(crate) fn start_with(data: &Path, arguments: &[&str]) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_dialback"));
        program.args(["serve"]).args(arguments);
        Self::start_by(data, program).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    /// Starts a daemon with a command that ends in `serve` and options. Returns its log if it exits instead.
    pub(crate) fn start_by(data: &Path, mut program: Command) -> Result<Self, String> {
        // A killed daemon leaves its address file behind.
        let contact = data.join("daemon.json");
        let _ = fs::remove_file(&contact);
        let log = tempfile::NamedTempFile::new().expect("a file").into_temp_path().keep().expect("kept");
        let process = program
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            // Tests send more requests a second than the default rate allows.
            .env("DIALBACK_RATE_LIMIT", "0")
            .stderr(File::create(&log).expect("a log"))
            .spawn()
            .expect("the program starts");
        let mut daemon = Self { process, url: String::new(), data: data.to_owned(), log };
        let started = Instant::now();
        daemon.url = loop {
            let contact = fs::read(&contact).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
            if let Some(url) = contact.and_then(|contact| contact["url"].as_str().map(str::to_owned)) {
                break url;
            }
            if let Some(status) = daemon.process.try_wait().expect("our child") {
                return Err(format!("the daemon ended with {status}: {}", daemon.read_log()));
            }
            assert!(started.elapsed() < PATIENCE, "the daemon does not start: {}", daemon.read_log());
            sleep(Duration::from_millis(20));
        };
        Ok(daemon)
    }

    /// Kills the daemon while it starts, or soon after.
    pub(crate) fn start_and_kill(data: &Path, after: Duration) {
        let mut process = Command::new(env!("CARGO_BIN_EXE_dialback"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        sleep(after);
        process.kill().expect("our child");
        process.wait().expect("our child");
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the address that the daemon listens on.
    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("http://").expect("an HTTP URL")
    }

    /// Returns the address for clients, which use TLS if the daemon has a certificate.
    pub(crate) fn public_address(&self) -> String {
        let contact = fs::read(self.data.join("daemon.json")).expect("the daemon serves");
        let contact: Value = serde_json::from_slice(&contact).expect("JSON");
        let url = contact["public_url"].as_str().expect("a URL");
        url.rsplit('/').next().expect("an address").to_owned()
    }

    /// Kills the daemon with SIGKILL.
    pub(crate) fn kill(mut self) {
        self.process.kill().expect("our child");
        self.process.wait().expect("our child");
    }

    /// Sends SIGSTOP or SIGCONT, by name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.process.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Sends SIGTERM and returns the exit code.
    pub(crate) fn stop(mut self) -> i32 {
        self.terminate()
    }

    pub(crate) fn stop_and_read_log(mut self) -> String {
        self.terminate();
        self.read_log()
    }

    /// Sends SIGTERM and does not wait.
    pub(crate) fn ask_to_stop(&self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
    }

    fn terminate(&mut self) -> i32 {
        self.ask_to_stop();
        let asked = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("our child") {
                return status.code().expect("it exits by itself");
            }
            assert!(asked.elapsed() < PATIENCE, "the daemon does not stop");
            sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn read_log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.log);
    }
}

/// Runs the program with the data directory after its arguments. Returns exit code, standard output and standard
/// error.
pub(crate) fn dialback(arguments: &[&str], data: &Path) -> (i32, String, String) {
    let data = data.to_str().expect("a plain path").to_owned();
    let arguments: Vec<&str> = arguments.iter().copied().chain([data.as_str()]).collect();
    program(&arguments, Path::new("."))
}

/// Runs the program in a folder. Returns exit code, standard output and standard error.
pub(crate) fn program(arguments: &[&str], folder: &Path) -> (i32, String, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_dialback"))
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let read = |stream: Option<&mut dyn Read>| {
        let mut text = String::new();
        stream.expect("piped").read_to_string(&mut text).expect("UTF-8");
        text
    };
    let output = read(process.stdout.as_mut().map(|stream| stream as &mut dyn Read));
    let errors = read(process.stderr.as_mut().map(|stream| stream as &mut dyn Read));
    (process.wait().expect("our child").code().expect("it exits by itself"), output, errors)
}

/// An environment with a number, an outbound agent, a callback agent and a default agent.
#[derive(Clone)]
pub(crate) struct Tenant {
    url: String,
    token: String,
    pub(crate) source_agent: String,
    pub(crate) callback_agent: String,
}

impl Tenant {
    pub(crate) fn with_callback_sample(daemon: &Daemon) -> Self {
        let began = Instant::now();
        let token = loop {
            let (code, token, errors) = dialback(&["token", "create", "--data"], &daemon.data);
            if code == 0 {
                break token;
            }
            // In a fleet, changes are rejected until the node has read the stream, and if another node came first.
            let passes = ["accepts no configuration change now", "changed the configuration first"];
            let is_early = passes.iter().any(|error| errors.contains(error));
            assert!(is_early && began.elapsed() < PATIENCE, "{errors}");
            sleep(Duration::from_millis(200));
        };
        let mut tenant = Self {
            url: daemon.url.clone(),
            token: token.trim().to_owned(),
            source_agent: String::new(),
            callback_agent: String::new(),
        };
        let number = tenant.create("/phone-numbers", &json!({ "number": "+12125550100" }));
        let agent = |name: &str, direction: &str| {
            let id = tenant.create("/agents", &json!({ "name": name, "direction": direction }));
            let calling = json!({ "direction": direction, "phone_number_ids": [number] });
            assert_eq!(tenant.ask("PUT", &format!("/agents/{id}/calling"), Some(&calling)).0, 200);
            assert_eq!(tenant.ask("POST", &format!("/agents/{id}/publish"), None).0, 200);
            id
        };
        let source_agent = agent("Sales Outreach", "outbound");
        agent("Front Desk", "inbound");
        let callback_agent = agent("Callback Handler", "inbound");
        tenant.source_agent = source_agent;
        tenant.callback_agent = callback_agent;
        tenant
    }

    /// Returns this tenant with a restarted daemon.
    pub(crate) fn at(self, daemon: &Daemon) -> Self {
        Self { url: daemon.url.clone(), ..self }
    }

    /// Returns the HTTP request that records a call.
    pub(crate) fn call_on_the_wire(&self, to: &str) -> String {
        let body = json!({
            "agent_id": self.source_agent, "from": "+12125550100", "to": to, "started_at": "2026-11-20T10:00:00Z",
            "status": "busy",
        })
        .to_string();
        let (token, length) = (&self.token, body.len());
        format!(
            "POST /api/v1/calls HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
    }

    pub(crate) fn configure_callback(&self) {
        let path = format!("/agents/{}/callback", self.callback_agent);
        assert_eq!(self.post(&path, &json!({ "source_agent_ids": [self.source_agent] })).0, 200);
    }

    pub(crate) fn record_call(&self, to: &str, status: &str) -> (u16, Value) {
        self.try_record_call(to, status).expect("the daemon answers")
    }

    /// Returns `None` if the daemon does not answer.
    pub(crate) fn try_record_call(&self, to: &str, status: &str) -> Option<(u16, Value)> {
        self.try_record_call_with(to, status, &json!({}))
    }

    /// Records a call with more fields. Returns `None` if the daemon does not answer.
    pub(crate) fn try_record_call_with(&self, to: &str, status: &str, more: &Value) -> Option<(u16, Value)> {
        let mut call = json!({
            "agent_id": self.source_agent,
            "from": "+12125550100",
            "to": to,
            "started_at": "2026-11-20T10:00:00Z",
            "status": status,
        });
        call.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        self.try_ask("POST", "/calls", Some(&call))
    }

    /// Routes a call from this contact, which leaves a record. Returns `None` if the daemon does not answer.
    pub(crate) fn try_route(&self, caller: &str) -> Option<(u16, Value)> {
        self.try_ask("GET", &format!("/route?dialed=%2B12125550100&caller={}", caller.replace('+', "%2B")), None)
    }

    /// Erases a contact; `None` if the daemon does not answer.
    pub(crate) fn try_erase(&self, contact: &str) -> Option<(u16, Value)> {
        self.try_ask("DELETE", &format!("/contacts/{}", contact.replace('+', "%2B")), None)
    }

    /// Returns the decision for a call from this contact, without the fields that differ for each decision.
    pub(crate) fn decision(&self, caller: &str) -> Value {
        let at = "2026-11-21T10:00:00Z";
        let (dialed, caller) = ("%2B12125550100", caller.replace('+', "%2B"));
        let (status, answer) = self.get(&format!("/route?dialed={dialed}&caller={caller}&at={at}"));
        assert_eq!(status, 200, "{answer}");
        let mut decision = answer["data"].clone();
        decision.as_object_mut().expect("an object").remove("decision_id").expect("every decision has one");
        decision
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask("POST", path, Some(body))
    }

    /// Sends the request once, also if another node's change comes first.
    pub(crate) fn try_post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.try_ask("POST", path, Some(body)).expect("the daemon answers")
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask("PUT", path, Some(body))
    }

    pub(crate) fn delete(&self, path: &str) -> (u16, Value) {
        self.ask("DELETE", path, None)
    }

    /// Creates an entity and returns its id.
    fn create(&self, path: &str, body: &Value) -> String {
        let (status, answer) = self.post(path, body);
        assert_eq!(status, 201, "{answer}");
        answer["data"]["id"].as_str().expect("an id").to_owned()
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let began = Instant::now();
        loop {
            let (status, answer) = self.try_ask(method, path, body).expect("the daemon answers");
            // In a fleet: nothing was done, so the request can be repeated.
            let is_early = answer["code"] == "STREAM_AWAY" && began.elapsed() < PATIENCE;
            if answer["code"] != "CONFIGURATION_SUPERSEDED" && !is_early {
                return (status, answer);
            }
            sleep(Duration::from_millis(20));
        }
    }

    fn try_ask(&self, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/api/v1{path}", self.url))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(body.map(Value::to_string).unwrap_or_default())
            .expect("a request");
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.run(request).ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), serde_json::from_str(&text).expect("JSON")))
    }
}
