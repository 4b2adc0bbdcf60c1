//! Three daemons and a NATS server run as processes under load. They are killed, stopped and rolled back at random. At
//! the end all nodes must give the same answers, which must agree with the clients' own logs of acknowledgements.
//!
//! The recorded run is `DIALBACK_FLEET_SECONDS=600 cargo test --all-features --test fleet kills --
//! --nocapture`. With `DIALBACK_TEST_CLUSTER=1`, the server is the cluster of `examples/fleet/cluster.conf`.

use crate::servers::Servers;
use crate::support;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};
use support::copy::replace;
use support::daemon::{Daemon, dialback};
use support::ledger::{Done, Ledger, Random, compare, tally};
use support::setting::setting;
use support::until::until;
use tempfile::TempDir;

const NODES: usize = 3;
const CLIENTS: usize = 6;
/// The default length of the run.
const SECONDS: u64 = 15;
/// The time in which nodes wait for each other after the stream is reachable again, plus a margin for a busy machine.
const SETTLE: Duration = Duration::from_secs(8);
/// How long the nodes may take to agree after the last disturbance.
const PATIENCE: Duration = Duration::from_secs(90);

/// The processes of the fleet. A node that is down has no daemon.
struct Fleet {
    server: Servers,
    /// The directory of the fleet's key file.
    keys: TempDir,
    data: Vec<TempDir>,
    nodes: Vec<Option<Daemon>>,
    /// The URLs at which clients find their nodes.
    urls: Arc<Mutex<Vec<Option<String>>>>,
}

impl Fleet {
    fn start() -> Self {
        let keys = tempfile::tempdir().expect("a directory");
        fs::write(keys.path().join("key"), "5a".repeat(32)).expect("written");
        let mut fleet = Self {
            keys,
            server: Servers::start(setting("DIALBACK_TEST_CLUSTER").is_some()),
            data: (0..NODES).map(|_| tempfile::tempdir().expect("a directory")).collect(),
            nodes: (0..NODES).map(|_| None).collect(),
            urls: Arc::new(Mutex::new(vec![None; NODES])),
        };
        (0..NODES).for_each(|node| fleet.start_node(node));
        fleet
    }

    fn start_node(&mut self, node: usize) {
        self.start_node_with(node, &[]);
    }

    fn start_node_with(&mut self, node: usize, more: &[&str]) {
        // One node acknowledges only what the stream has acknowledged.
        let ack = if node == NODES - 1 { "stream" } else { "local" };
        let name = format!("node{node}");
        // All nodes sign their messages, and one encrypts them.
        let encrypt = (node == 0).then_some("--fleet-encrypt");
        let mut program = Command::new(env!("CARGO_BIN_EXE_dialback"));
        program
            .args(["serve", "--log", "info", "--fleet-node", &name, "--fleet-ack", ack, "--fleet-key-file"])
            .arg(self.keys.path().join("key"))
            .args(encrypt)
            .args(self.server.arguments())
            .args(more);
        let daemon =
            Daemon::start_by(self.data[node].path(), program).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        self.urls.lock().expect("no panic")[node] = Some(daemon.url().to_owned());
        self.nodes[node] = Some(daemon);
    }

    fn kill_node(&mut self, node: usize) {
        self.urls.lock().expect("no panic")[node] = None;
        if let Some(daemon) = self.nodes[node].take() {
            daemon.kill();
        }
    }

    fn data(&self, node: usize) -> &Path {
        self.data[node].path()
    }

    fn url(&self, node: usize) -> String {
        self.nodes[node].as_ref().expect("it runs").url().to_owned()
    }

    /// Starts everything that is down.
    fn heal(&mut self) {
        self.server.restart();
        for node in 0..NODES {
            if self.nodes[node].is_none() {
                self.start_node(node);
            }
        }
    }

    /// Creates the clients through the first node, then assigns one node to each client.
    fn clients(&self, seed: u64) -> Vec<Ledger> {
        let token = until(PATIENCE, "a token", || {
            let (code, token, _) = dialback(&["token", "create", "--data"], self.data(0));
            (code == 0).then(|| token.trim().to_owned())
        });
        let mut clients: Vec<Ledger> =
            (0..CLIENTS).map(|name| Ledger::new(&self.url(0), &token, name, seed).without_details()).collect();
        self.agree(&clients);
        clients.iter_mut().enumerate().for_each(|(name, client)| client.moved_to(&self.url(name % NODES)));
        clients
    }

    /// Waits until all nodes give the same answers to all questions.
    fn agree(&self, clients: &[Ledger]) {
        let urls: Vec<String> = (0..NODES).map(|node| self.url(node)).collect();
        let (mut steady, began) = (0, Instant::now());
        // A change that is not published yet makes the nodes differ. A change that is published and not consumed soon
        // does.
        while steady < 3 {
            let differing = clients.iter().find_map(|client| {
                let views: Vec<_> = urls.iter().map(|url| client.view(url).unwrap_or_default()).collect();
                let first = views[0].iter().zip(&views[1]).zip(&views[2]).find(|((a, b), c)| a != b || b != c);
                let is_whole = views.iter().all(|view| !view.is_empty() && view.len() == views[0].len());
                if is_whole { first.map(|found| format!("{found:#?}")) } else { Some("no answer".into()) }
            });
            steady = if differing.is_none() { steady + 1 } else { 0 };
            // On a busy machine, the questions take long: nodes that agree are asked until they have agreed often enough.
            if differing.is_some() && began.elapsed() > PATIENCE {
                let logs: Vec<_> = self.nodes.iter().flatten().map(Daemon::read_log).collect();
                panic!("the nodes do not agree: {}\n{}", differing.unwrap_or_default(), logs.join("\n\n"));
            }
            sleep(Duration::from_millis(200));
        }
    }

    /// Waits until all nodes agree. Returns the differences from what the clients know.
    fn compare(&self, clients: &mut [Ledger]) -> Vec<String> {
        self.agree(clients);
        compare(clients, &self.url(0))
    }
}

/// Runs each client against its node until the end, and waits for a node that is down.
fn work(clients: &mut [Ledger], urls: &Mutex<Vec<Option<String>>>, is_over: &(impl Fn() -> bool + Sync)) {
    scope(|scope| {
        for (name, client) in clients.iter_mut().enumerate() {
            scope.spawn(move || {
                let mut at = String::new();
                while !is_over() {
                    let url = urls.lock().expect("no panic")[name % NODES].clone();
                    let Some(url) = url else {
                        sleep(Duration::from_millis(20));
                        continue;
                    };
                    if url != at {
                        client.moved_to(&url);
                        at = url;
                    }
                    match client.step() {
                        Done::Acknowledged => {}
                        Done::Rejected => sleep(Duration::from_millis(20)),
                        // Each unanswered request doubles the number of possible states.
                        Done::Unanswered | Done::Refused => sleep(Duration::from_millis(200)),
                    }
                }
            });
        }
    });
}

/// Runs the clients for this time, without disturbances.
fn work_for(clients: &mut [Ledger], fleet: &Fleet, span: Duration) {
    let began = Instant::now();
    work(clients, &fleet.urls, &|| began.elapsed() > span);
}

/// How often each disturbance happened.
#[derive(Clone, Copy, Default, Debug)]
struct Befallen {
    nodes_killed: u32,
    server_killed: u32,
    set_back: u32,
    stopped: u32,
}

/// Disturbs the fleet once, at random.
fn disturb(fleet: &mut Fleet, random: &mut Random, old: &Path, befallen: &mut Befallen) {
    let pause = Duration::from_millis(random.below(800) as u64);
    let node = random.below(NODES);
    match random.below(10) {
        0..4 => {
            fleet.kill_node(node);
            befallen.nodes_killed += 1;
            sleep(pause);
            fleet.start_node(node);
        }
        4..6 => {
            fleet.server.kill_one(random);
            befallen.server_killed += 1;
            sleep(pause);
            fleet.server.restart();
        }
        6 => {
            // Kill both, and start the node first: it must work without the stream.
            fleet.server.kill();
            fleet.kill_node(node);
            (befallen.server_killed, befallen.nodes_killed) = (befallen.server_killed + 1, befallen.nodes_killed + 1);
            fleet.start_node(node);
            sleep(pause);
            fleet.server.restart();
        }
        7 => {
            // As after a power failure or a restored backup, the stream has an earlier state.
            fleet.server.kill();
            fleet.server.set_back(old);
            befallen.set_back += 1;
            fleet.server.restart();
            // Nodes with newer configurations publish them again now, and changes are rejected meanwhile. A node that
            // is down during that time, and alone knew of a change, stops: see `docs/fleet.md`.
            sleep(SETTLE + fleet.server.election());
        }
        8 => {
            let which = fleet.server.stop_one(random);
            befallen.stopped += 1;
            sleep(pause);
            fleet.server.go_on(which);
        }
        _ => {
            let daemon = fleet.nodes[node].as_ref().expect("it runs");
            daemon.signal("-STOP");
            befallen.stopped += 1;
            sleep(pause);
            daemon.signal("-CONT");
        }
    }
    // Sometimes, take a backup of the stream.
    if random.below(4) == 0 {
        fleet.server.kill();
        fleet.server.back_up(old);
        fleet.server.restart();
    }
    sleep(Duration::from_millis(random.below(1500) as u64));
}

#[test]
fn nothing_acknowledged_is_lost_and_all_nodes_agree() {
    let seconds = setting("DIALBACK_FLEET_SECONDS").unwrap_or(SECONDS);
    let seed = setting("DIALBACK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut fleet = Fleet::start();
    let mut clients = fleet.clients(seed);
    let old = tempfile::tempdir().expect("a directory");
    fleet.server.kill();
    fleet.server.back_up(old.path());
    fleet.server.restart();
    let mut befallen = Befallen::default();
    let mut rounds = 0;
    let began = Instant::now();
    let is_short_of = |long: u64| began.elapsed().as_secs() < long;
    // In a few seconds, perhaps no kill meets a request. The run then continues until one does, up to a limit.
    while is_short_of(seconds) || (tally(&clients).unanswered == 0 && is_short_of(8 * seconds)) {
        // Short rounds keep the number of possible states small.
        let until = Instant::now() + Duration::from_secs(20.min(seconds));
        let urls = Arc::clone(&fleet.urls);
        let is_over = move || Instant::now() > until;
        scope(|scope| {
            let working = scope.spawn(|| work(&mut clients, &urls, &is_over));
            while !is_over() {
                disturb(&mut fleet, &mut random, old.path(), &mut befallen);
            }
            working.join().expect("no panic");
        });
        fleet.heal();
        let wrong = fleet.compare(&mut clients);
        assert!(wrong.is_empty(), "round {rounds} of seed {seed}, {befallen:?}:\n{}", wrong.join("\n"));
        rounds += 1;
    }
    let tally = tally(&clients);
    println!("{befallen:?}, {tally:?}, rounds compared: {rounds}, lost: 0, invented: 0");
    assert!(tally.acknowledged > 20 * seconds && tally.unanswered > 0, "{tally:?}");
}

/// The check must be able to fail. Here a node and the stream are both rolled back, so the node's last acknowledged
/// changes are lost.
#[test]
fn rolling_back_a_node_and_the_stream_is_detected() {
    let mut fleet = Fleet::start();
    let mut clients = fleet.clients(1);
    work_for(&mut clients, &fleet, Duration::from_secs(1));
    assert_eq!(fleet.compare(&mut clients), Vec::<String>::new());
    let (stream, data) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    fleet.server.kill();
    fleet.kill_node(0);
    fleet.server.back_up(stream.path());
    replace(fleet.data(0), data.path());
    fleet.start_node(0);
    work_for(&mut clients, &fleet, Duration::from_secs(1));
    fleet.kill_node(0);
    replace(data.path(), fleet.data(0));
    fleet.server.set_back(stream.path());
    fleet.heal();
    let wrong = fleet.compare(&mut clients);
    println!("planted: a node's last second, found: {}", wrong.len());
    assert!(!wrong.is_empty());
}

/// The check must be able to fail. Here the node never stored its changes on its disk.
#[test]
fn a_node_without_durability_is_detected() {
    let mut fleet = Fleet::start();
    let mut clients = fleet.clients(2);
    fleet.server.kill();
    fleet.kill_node(1);
    fleet.start_node_with(1, &["--durability", "memory"]);
    work_for(&mut clients, &fleet, Duration::from_secs(1));
    fleet.kill_node(1);
    fleet.heal();
    let wrong = fleet.compare(&mut clients);
    println!("planted: memory only while the stream was away, found: {}", wrong.len());
    assert!(!wrong.is_empty());
}
