//! A NATS server for a test. It can be killed and restarted with its data.
#![allow(dead_code, unreachable_pub)]

use super::ports::free_ports;
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

pub struct NatsServer {
    process: Option<Child>,
    port: u16,
    monitor: u16,
    /// The directory with the configuration, the log and the store.
    directory: tempfile::TempDir,
}

impl NatsServer {
    /// Starts a server that syncs before it acknowledges, if this version can.
    pub fn start() -> Self {
        let sync = if is_old() { "" } else { ", sync_interval: always" };
        Self::start_with(&format!("jetstream {{ store_dir: \"STORE\"{sync} }}"))
    }

    /// Starts a server with additional configuration. `STORE` stands for the path of its files.
    pub fn start_with(configuration: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let [port, monitor] = free_ports();
        let mut server = Self { process: None, port, monitor, directory };
        let configuration = configuration.replace("STORE", &server.store().display().to_string());
        let listening = format!("listen: 127.0.0.1:{port}\nhttp: 127.0.0.1:{monitor}\n");
        fs::write(server.path("server.conf"), listening + &configuration).expect("written");
        server.restart();
        server
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Returns the URL of its `/varz` page.
    pub fn monitor(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor)
    }

    /// Returns the path of its files.
    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Kills the server with SIGKILL. Data that it has not passed to the system is lost.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("our child");
            process.wait().expect("our child");
        }
    }

    /// Sends SIGSTOP or SIGCONT, by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Restarts the server with its data and port, and waits until it listens.
    pub fn restart(&mut self) {
        self.kill();
        let log = File::options().create(true).append(true).open(self.path("server.log")).expect("a log");
        let mut command = Command::new(program());
        command.arg("-c").arg(self.path("server.conf")).stdin(Stdio::null()).stderr(log);
        self.process = Some(command.spawn().expect("the server starts"));
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let process = self.process.as_mut().expect("just started");
            let ended = process.try_wait().expect("our child");
            assert!(ended.is_none() && started.elapsed() < PATIENCE, "the server does not start: {}", self.log());
            sleep(Duration::from_millis(10));
        }
    }

    /// Returns the id of its process.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("server.log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns whether this version supports neither `sync_interval` nor consumers with several subjects.
pub fn is_old() -> bool {
    let version = Command::new(program()).arg("--version").output().expect("the program runs").stdout;
    String::from_utf8_lossy(&version).contains(": v2.9.")
}

/// Returns the path of the program, which the script installs.
pub fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/nats-server");
        let output = Command::new(script).stderr(Stdio::inherit()).output().expect("the script runs");
        assert!(output.status.success(), "no server: see scripts/nats-server");
        String::from_utf8(output.stdout).expect("a path").trim().to_owned()
    })
}
