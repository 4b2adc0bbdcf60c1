//! Three daemons over a cluster of three NATS servers, with TLS, a login and the permissions of
//! `examples/fleet/cluster.conf`.

use crate::support;
use crate::support::stream::messages;
use dialback::fleet::nats::{Certificates, Login, NatsOptions, NatsStream};
use dialback::fleet::{Position, Stream, StreamError, Subject};
use serde_json::json;
use std::io::Read;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use support::cluster::{Cluster, PASSWORD, SERVERS, USER};
use support::daemon::{Daemon, Tenant, dialback};
use support::until::until;
use tempfile::TempDir;

const NODES: usize = 3;

/// No call that is acknowledged locally may wait longer, whatever the servers do.
const LOCAL: Duration = Duration::from_millis(2500);

/// How long changes of the configuration may be rejected after a leader's death.
const ELECTED: Duration = Duration::from_secs(15);

/// How long the nodes may take to agree on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Node {
    daemon: Daemon,
    data: TempDir,
}

fn start_node(cluster: &Cluster, which: usize) -> Node {
    let data = tempfile::tempdir().expect("a directory");
    let mut program = Command::new(env!("CARGO_BIN_EXE_dialback"));
    program
        .args(["serve", "--log", "info", "--fleet-node", &format!("node{which}")])
        .args(["--fleet-monitor", &cluster.monitors()])
        .args(cluster.arguments());
    let daemon = Daemon::start_by(data.path(), program).unwrap_or_else(|wrong| panic!("{wrong}"));
    Node { daemon, data }
}

/// Starts the nodes, and a tenant at each of them.
fn start(cluster: &Cluster) -> (Vec<Node>, Vec<Tenant>) {
    let nodes: Vec<Node> = (0..NODES).map(|which| start_node(cluster, which)).collect();
    until(PATIENCE, "the first node orders changes", || {
        let (code, ..) = dialback(&["token", "create", "--data"], nodes[0].data.path());
        (code == 0).then_some(())
    });
    let tenant = Tenant::with_callback_sample(&nodes[0].daemon);
    tenant.configure_callback();
    let tenants: Vec<Tenant> = nodes.iter().map(|node| tenant.clone().at(&node.daemon)).collect();
    for tenant in &tenants {
        until(PATIENCE, "each node has the configuration", || {
            (tenant.get("/callback-agents").1["data"][0]["name"] == "Callback Handler").then_some(())
        });
    }
    (nodes, tenants)
}

/// The calls that a node acknowledged, and the longest time that one took.
struct Posted {
    contacts: Vec<String>,
    longest: Duration,
}

/// Records calls at one node until the end.
fn post_calls(tenant: &Tenant, node: usize, is_over: &AtomicBool) -> Posted {
    let mut posted = Posted { contacts: Vec::new(), longest: Duration::ZERO };
    for call in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let contact = format!("+1415{node}{call:06}");
        let began = Instant::now();
        let (status, answer) = tenant.record_call(&contact, "busy");
        posted.longest = posted.longest.max(began.elapsed());
        assert_eq!(status, 202, "{answer}");
        posted.contacts.push(contact);
        sleep(Duration::from_millis(50));
    }
    posted
}

/// Creates agents through one node until the end. Counts the acknowledged ones, and returns their ids.
fn create_agents(tenant: &Tenant, count: &AtomicUsize, is_over: &AtomicBool) -> Vec<String> {
    let mut created = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let (status, answer) = tenant.try_post("/agents", &json!({ "name": "Late", "direction": "inbound" }));
        match status {
            201 => created.push(answer["data"]["id"].as_str().expect("an id").to_owned()),
            409 | 503 => {}
            _ => panic!("{status}: {answer}"),
        }
        count.store(created.len(), Ordering::Relaxed);
        sleep(Duration::from_millis(100));
    }
    created
}

/// Kills the leader of the stream. Returns the time until each node ordered a change again.
fn kill_leader(cluster: &mut Cluster, counts: &[AtomicUsize]) -> Vec<Duration> {
    let leader = cluster.leader();
    let killed_at = Instant::now();
    cluster.kill(leader);
    // Until then, a change may be answered that was ordered before.
    sleep(Duration::from_millis(500));
    let before: Vec<usize> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    let mut again = vec![None; NODES];
    until(PATIENCE, "each node orders changes again", || {
        for (node, again) in again.iter_mut().enumerate() {
            if again.is_none() && counts[node].load(Ordering::Relaxed) > before[node] {
                *again = Some(killed_at.elapsed());
            }
        }
        again.iter().all(Option::is_some).then_some(())
    });
    cluster.restart(leader);
    again.into_iter().flatten().collect()
}

#[test]
fn calls_are_acknowledged_while_the_leader_dies_and_changes_soon_after() {
    let mut cluster = Cluster::start();
    let (nodes, tenants) = start(&cluster);
    let (is_over, counts) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; NODES]);
    let (posted, created, again) = thread::scope(|scope| {
        let (is_over, counts) = (&is_over, &counts);
        let each = || tenants.iter().enumerate();
        let posting = each().map(|(node, tenant)| scope.spawn(move || post_calls(tenant, node, is_over)));
        let posting: Vec<_> = posting.collect();
        let creating = each().map(|(node, tenant)| scope.spawn(move || create_agents(tenant, &counts[node], is_over)));
        let creating: Vec<_> = creating.collect();
        sleep(Duration::from_secs(1));
        let again = kill_leader(&mut cluster, counts);
        sleep(Duration::from_secs(1));
        is_over.store(true, Ordering::Relaxed);
        let posted: Vec<_> = posting.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        let created: Vec<_> = creating.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        (posted, created, again)
    });
    for (node, (posted, created)) in posted.iter().zip(&created).enumerate() {
        let (calls, longest, again) = (posted.contacts.len(), posted.longest, again[node]);
        println!(
            "node {node}: {calls} calls, the longest {longest:?}; {} changes, again after {again:?}",
            created.len()
        );
        assert!(longest < LOCAL, "node {node}: a local acknowledgement took {longest:?}");
        assert!(calls > 50, "node {node} was under load");
    }
    assert!(again.iter().max() < Some(&ELECTED), "changes are possible again after {again:?}");
    thread::scope(|scope| {
        for tenant in &tenants {
            scope.spawn(|| compare(tenant, &posted, &created));
        }
    });
    assert!(!cluster.log_lines("JetStream cluster new stream leader").is_empty(), "the logs are read");
    assert_eq!(cluster.log_lines("Violation"), Vec::<String>::new(), "the permissions are enough");
    for node in nodes {
        let log = node.daemon.stop_and_read_log();
        assert!(!log.contains(PASSWORD));
        assert!(!log.contains("sync_interval"), "each server says that it syncs: {log}");
    }
}

/// Checks that the tenant's node has each acknowledged call and each acknowledged agent.
fn compare(tenant: &Tenant, posted: &[Posted], created: &[Vec<String>]) {
    for contact in posted.iter().flat_map(|posted| &posted.contacts) {
        until(PATIENCE, "each node has each call", || {
            (tenant.decision(contact)["agent_id"] == json!(tenant.callback_agent)).then_some(())
        });
    }
    for agent in created.iter().flatten() {
        until(PATIENCE, "each node has each agent", || {
            (tenant.get(&format!("/agents/{agent}")).0 == 200).then_some(())
        });
    }
}

fn open(cluster: &Cluster, change: impl FnOnce(&mut NatsOptions)) -> NatsStream {
    let mut options = NatsOptions::new(cluster.urls());
    options.login = Login::Password { user: USER.into(), password: PASSWORD.into() };
    options.certificates = Certificates { authorities: Some(cluster.certificates.authority()), client: None };
    options.storage.replicas = SERVERS;
    change(&mut options);
    NatsStream::new(options).expect("valid options")
}

/// Does all that a node does at its server, on an empty stream.
pub(crate) fn use_all(stream: &NatsStream, violations: impl Fn() -> Vec<String>) {
    stream.publish(&messages(3, 0..100)).expect("published");
    let last = stream.publish_after(Subject::Configuration, b"one", Position::START).expect("ordered");
    for content in [vec![1; 3 << 20], vec![2; 1 << 20]] {
        stream.write_snapshot(last, &mut &content[..]).expect("written");
        let mut read = Vec::new();
        let snapshot = stream.read_snapshot().expect("there").expect("one");
        let whole = { snapshot }.content.read_to_end(&mut read);
        whole.unwrap_or_else(|error| panic!("{error}: {:?}", violations()));
        assert_eq!(read, content);
    }
    assert_eq!(stream.consume(Position(99), 1, PATIENCE).expect("read")[0].position, Position(100));
    stream.truncate(last).expect("truncated");
    assert!(matches!(stream.consume(Position(5), 1, PATIENCE), Err(StreamError::Gone)));
    assert_eq!(violations(), Vec::<String>::new());
}

/// All that a node does at its server, and things that it must not do.
#[test]
fn the_permissions_of_the_example_are_enough_and_no_more() {
    let cluster = Cluster::start();
    let elsewhere = open(&cluster, |options| options.storage.cluster = Some("elsewhere".into())).bounds();
    assert!(matches!(&elsewhere, Err(StreamError::Engine(why)) if why.contains("no suitable peers")), "{elsewhere:?}");
    let stream = open(&cluster, |options| options.storage.cluster = Some("fleet".into()));
    until(PATIENCE, "the stream is created", || stream.bounds().ok());
    assert_eq!(stream.server().expect("there").replicas, SERVERS);
    use_all(&stream, || cluster.log_lines("Violation"));
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        let options = async_nats::ConnectOptions::new()
            .user_and_password(USER.into(), PASSWORD.into())
            .request_timeout(Some(Duration::from_millis(500)))
            .add_root_certificates(cluster.certificates.authority());
        let urls: Vec<async_nats::ServerAddr> =
            cluster.urls().split(',').map(|url| url.parse().expect("a URL")).collect();
        let context = async_nats::jetstream::new(options.connect(urls).await.expect("it logs in"));
        assert!(context.delete_stream("DIALBACK").await.is_err());
        assert!(context.get_stream("OTHER").await.is_err());
    });
    assert!(!cluster.log_lines("Publish Violation").is_empty(), "they are refused by the permissions");
}
