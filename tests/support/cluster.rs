//! A cluster of three NATS servers on this machine, with the configuration of `examples/fleet/cluster.conf`. Each server
//! can be killed and restarted with its data.

use super::certificates::Certificates;
use super::nats::program;
use super::ports::free_ports;
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub const SERVERS: usize = 3;

/// How long the servers may take to elect a leader on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub const USER: &str = "gateway";
pub const PASSWORD: &str = "the-gateways-secret";

pub struct Cluster {
    servers: Vec<Server>,
    pub certificates: Certificates,
    directory: tempfile::TempDir,
}

struct Server {
    process: Option<Child>,
    clients: u16,
    routes: u16,
    monitor: u16,
}

impl Cluster {
    /// Starts the servers and waits until they have a leader.
    pub fn start() -> Self {
        let (certificates, directory) = (Certificates::new(), tempfile::tempdir().expect("a directory"));
        certificates.issue("server");
        let ports: [u16; 3 * SERVERS] = free_ports();
        let server = |ports: &[u16]| Server { process: None, clients: ports[0], routes: ports[1], monitor: ports[2] };
        let servers = ports.chunks(3).map(server).collect();
        let mut cluster = Self { servers, certificates, directory };
        fs::write(cluster.path("login"), format!("{USER}\n{PASSWORD}\n")).expect("written");
        (0..SERVERS).for_each(|which| cluster.restart(which));
        cluster.wait_for("a leader of the cluster", |cluster| {
            let leader = |which| Some(cluster.page(which, "jsz")?["meta_cluster"]["leader"].as_str()?.to_owned());
            (0..SERVERS).filter_map(leader).find(|leader| !leader.is_empty())
        });
        cluster
    }

    /// Returns the URLs of all servers, without a login.
    pub fn urls(&self) -> String {
        let urls = self.servers.iter().map(|server| format!("tls://127.0.0.1:{}", server.clients));
        urls.collect::<Vec<_>>().join(",")
    }

    /// Returns the options of a node.
    pub fn arguments(&self) -> Vec<String> {
        let (login, authority) = (self.path("login"), self.certificates.authority());
        let options = [
            ("--fleet-nats", self.urls()),
            ("--fleet-replicas", SERVERS.to_string()),
            ("--fleet-login-file", login.display().to_string()),
            ("--fleet-ca", authority.display().to_string()),
        ];
        options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }

    /// Returns the monitoring URLs of all servers.
    pub fn monitors(&self) -> String {
        let urls = self.servers.iter().map(|server| format!("http://127.0.0.1:{}", server.monitor));
        urls.collect::<Vec<_>>().join(",")
    }

    pub fn kill(&mut self, which: usize) {
        if let Some(mut process) = self.servers[which].process.take() {
            process.kill().expect("our child");
            process.wait().expect("our child");
        }
    }

    /// Sends SIGSTOP or SIGCONT, by name.
    pub fn signal(&self, which: usize, name: &str) {
        let process = self.servers[which].process.as_ref().expect("it runs");
        let sent = Command::new("kill").args([name, &process.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Restarts a server with its data and ports.
    pub fn restart(&mut self, which: usize) {
        self.kill(which);
        let log = File::options().create(true).append(true).open(self.path(&format!("{which}.log"))).expect("a log");
        let local = |port: u16| format!("127.0.0.1:{port}");
        let server = &self.servers[which];
        let mut command = Command::new(program());
        command
            .arg("-c")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/fleet/cluster.conf"))
            .env("SERVER", name(which))
            .env("CLIENTS", local(server.clients))
            .env("ROUTES", local(server.routes))
            .env("MONITOR", local(server.monitor))
            .env("CERT", self.certificates.path("server.pem"))
            .env("KEY", self.certificates.path("server.key"))
            .env("CA", self.certificates.authority())
            .env("STORE", self.store(which))
            .env("GATEWAY", PASSWORD)
            .env("ADMIN", "the-operators-secret");
        for (peer, server) in self.servers.iter().enumerate() {
            command.env(format!("PEER_{}", peer + 1), format!("nats-route://{}", local(server.routes)));
        }
        let process = command.stdin(Stdio::null()).stderr(log).spawn().expect("the server starts");
        self.servers[which].process = Some(process);
    }

    /// Restarts the servers that were killed.
    pub fn restart_killed(&mut self) {
        for which in 0..SERVERS {
            if self.servers[which].process.is_none() {
                self.restart(which);
            }
        }
    }

    /// Returns the server that leads the fleet's stream. Waits until there is one.
    pub fn leader(&mut self) -> usize {
        self.wait_for("a leader of the stream", |cluster| {
            (0..SERVERS).find_map(|which| {
                let page = cluster.page(which, "jsz?accounts=true&streams=true")?;
                let accounts = page["account_details"].as_array()?.clone();
                let streams = accounts.iter().filter_map(|account| account["stream_detail"].as_array()).flatten();
                let stream = streams.into_iter().find(|stream| stream["name"] == "DIALBACK")?;
                let leader = stream["cluster"]["leader"].as_str()?.to_owned();
                (0..SERVERS).find(|server| name(*server) == leader && cluster.servers[*server].process.is_some())
            })
        })
    }

    /// Returns the directory of a server's streams.
    pub fn store(&self, which: usize) -> PathBuf {
        self.path(&format!("store{which}"))
    }

    /// Returns the lines of all servers' logs that contain this text.
    pub fn log_lines(&self, text: &str) -> Vec<String> {
        let logs = (0..SERVERS).map(|which| fs::read_to_string(self.path(&format!("{which}.log"))).unwrap_or_default());
        logs.flat_map(|log| log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    fn page(&self, which: usize, name: &str) -> Option<Value> {
        let page = ureq::get(format!("http://127.0.0.1:{}/{name}", self.servers[which].monitor)).call().ok()?;
        serde_json::from_str(&page.into_body().read_to_string().ok()?).ok()
    }

    fn wait_for<T>(&mut self, what: &str, ask: impl Fn(&Self) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(answer) = ask(self) {
                return answer;
            }
            for process in self.servers.iter_mut().filter_map(|server| server.process.as_mut()) {
                let ended = process.try_wait().expect("our child");
                assert!(ended.is_none(), "a server has ended by itself: {:?}", self.log_lines("[FTL]"));
            }
            assert!(began.elapsed() < PATIENCE, "no {what}: {:?}", self.log_lines(""));
            sleep(Duration::from_millis(50));
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn name(which: usize) -> String {
    format!("nats-{}", which + 1)
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..SERVERS).for_each(|which| self.kill(which));
    }
}
