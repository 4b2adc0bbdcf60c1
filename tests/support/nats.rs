//! A NATS server of one's own, that can be killed and comes back where it was.
#![allow(dead_code, unreachable_pub)]

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
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
    /// With the configuration, the log, and the store below it.
    directory: tempfile::TempDir,
}

impl NatsServer {
    /// One that syncs before it acknowledges, if it can.
    pub fn start() -> Self {
        let sync = if is_old() { "" } else { ", sync_interval: always" };
        Self::start_with(&format!("jetstream {{ store_dir: \"STORE\"{sync} }}"))
    }

    /// With more in its configuration; `STORE` stands for where its files are.
    pub fn start_with(configuration: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (port, monitor) = (free_port(), free_port());
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

    /// Where it says `/varz`.
    pub fn monitor(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor)
    }

    /// Its files.
    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// SIGKILL: what it has not handed to the system is gone.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("our child");
            process.wait().expect("our child");
        }
    }

    /// SIGSTOP or SIGCONT, by their names.
    pub fn signal(&self, name: &str) {
        let process = self.process.as_ref().expect("it runs");
        let sent = Command::new("kill").args([name, &process.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Starts it again where it was, and waits until it listens.
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

/// Free a moment ago: a server that is to come back needs a port that it can have again.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).expect("a free port").local_addr().expect("bound").port()
}

/// Whether it knows neither `sync_interval` nor several subjects of a consumer.
pub fn is_old() -> bool {
    let version = Command::new(program()).arg("--version").output().expect("the program runs").stdout;
    String::from_utf8_lossy(&version).contains(": v2.9.")
}

/// Where the program is; the script installs it.
fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/nats-server");
        let output = Command::new(script).stderr(Stdio::inherit()).output().expect("the script runs");
        assert!(output.status.success(), "no server: see scripts/nats-server");
        String::from_utf8(output.stdout).expect("a path").trim().to_owned()
    })
}
