//! Measures when a new node is ready from a snapshot, compared with a restart of a node that has all data on its
//! disk. A node is ready when every pair and all messages after the snapshot are in memory. Its own disk follows
//! later.

use crate::filled::fill;
use crate::support::nats::NatsServer;
use crate::{median, verdict};
use dialback::fleet::nats::{NatsOptions, NatsStream};
use dialback::fleet::{Link, Node, Settings, Stream};
use dialback::store::{Durability, FjallStore};
use dialback::{Service, Timestamp};
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const LONG: Duration = Duration::from_secs(900);

pub(crate) fn run(rounds: usize, pairs: u64) {
    let server = NatsServer::start_with("jetstream { store_dir: \"STORE\" }");
    let old = tempfile::tempdir().expect("a directory");
    let first = Timestamp::from_millis((settings().now)().millis() - (1 << 24));
    fill(&old.path().join("data"), pairs, first).expect("filled");
    let mut restarts = Vec::new();
    for _ in 0..rounds.min(3) {
        let began = Instant::now();
        let service = Service::builder(open(&old.path().join("data"))).start().expect("started");
        restarts.push(began.elapsed());
        assert_eq!(service.history().len() as u64, pairs, "all of them");
    }
    // Publishes all its data, then a snapshot.
    let (service, node) = join(&server, &old.path().join("data"), Duration::from_secs(1));
    until("a snapshot", || stream(&server).read_snapshot().ok().flatten().is_some());
    drop((node, service));
    let mut joins = Vec::new();
    for round in 0..rounds.min(3) {
        let new = tempfile::tempdir().expect("a directory");
        let began = Instant::now();
        let (service, node) = join(&server, &new.path().join("data"), Duration::from_secs(86_400));
        let is_there = || service.history().len() as u64 == pairs && is_following(&service);
        until("the node is there", is_there);
        joins.push(began.elapsed());
        println!(
            "round {round}: restart {:.2} s, new node {:.2} s",
            restarts[round].as_secs_f64(),
            joins[round].as_secs_f64()
        );
        drop((node, service));
    }
    let (restart, joined) = (median(restarts), median(joins));
    let ratio = joined.as_secs_f64() / restart.as_secs_f64();
    println!("| pairs | restart, s | new node from a snapshot, s | ratio | asked | |");
    println!("| --- | --- | --- | --- | --- | --- |");
    println!(
        "| {pairs} | {:.2} | {:.2} | {ratio:.2} | <= 2 | {} |",
        restart.as_secs_f64(),
        joined.as_secs_f64(),
        verdict(ratio <= 2.0)
    );
}

fn stream(server: &NatsServer) -> NatsStream {
    NatsStream::new(NatsOptions { partitions: settings().partitions, ..NatsOptions::new(server.url()) })
        .expect("they can be")
}

fn settings() -> Settings {
    Settings::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since.as_millis()).expect("some years are left"))
    })
}

fn join(server: &NatsServer, data: &Path, snapshot_every: Duration) -> (Arc<Service>, Node) {
    let link = Link::new(Settings { snapshot_every, ..settings() }, Arc::new(stream(server)));
    let service = Service::builder(open(data)).sequencer(Arc::clone(&link) as _).start().expect("started");
    let service = Arc::new(service);
    let node = Node::start(link, Arc::clone(&service), Arc::new(|what| println!("{what}"))).expect("threads");
    (service, node)
}

/// Returns whether the node has also read the messages after the snapshot. Configuration changes take some seconds
/// longer.
fn is_following(service: &Service) -> bool {
    service.fleet().is_some_and(|fleet| fleet.position() > 0 && fleet.position() >= fleet.last())
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "{what}");
        sleep(Duration::from_millis(5));
    }
}

fn open(data: &Path) -> FjallStore {
    FjallStore::open(data).expect("opened").with_durability(Durability::Buffered)
}
