//! Leaf servers: nodes that reach the stream through a server of their own site.

use super::nats::NatsServer;
use super::{open, options};
use crate::cluster::use_all;
use crate::simulation::threads::{Place, call, configure, reason, start_over, until};
use crate::support::ports::free_ports;
use dialback::Reason;
use dialback::fleet::nats::{Login, NatsOptions, NatsStream, Storage};
use dialback::fleet::{Settings, Share, Stream};
use dialback::metrics::FleetState;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Returns a server that keeps streams in the domain `hub`, and the port for leaf servers.
fn start_hub() -> (NatsServer, u16) {
    let [port] = free_ports();
    let configuration = format!(
        "server_name: hub\njetstream {{ store_dir: \"STORE\", domain: hub }}\nleafnodes {{ listen: 127.0.0.1:{port} }}"
    );
    (NatsServer::start_with(&configuration), port)
}

/// Returns a hub with a login and the permissions of the example, with these names of the API in place of `$JS.API`.
fn start_hub_with_permissions(api: &str) -> (NatsServer, u16) {
    let [port] = free_ports();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/fleet/cluster.conf");
    let example = fs::read_to_string(example).expect("it is there");
    let (_, rest) = example.split_once("permissions {").expect("it has permissions");
    let (permissions, _) = rest.split_once('}').expect("they have an end");
    let permissions = permissions.replace("$JS.API", api);
    let user = format!("{{ user: gateway, password: s3cret, permissions {{ {permissions} }} }}");
    let configuration = format!(
        "server_name: hub\njetstream {{ store_dir: \"STORE\", domain: hub }}\n\
         leafnodes {{ listen: 127.0.0.1:{port} }}\n\
         accounts {{ FLEET {{ jetstream: enabled, users: [ {user} ] }} }}"
    );
    (NatsServer::start_with(&configuration), port)
}

fn start_leaf(hub: u16, more: &str) -> NatsServer {
    start_leaf_of(&format!("127.0.0.1:{hub}"), more)
}

/// Returns a leaf server that connects to this address, which may begin with a login.
fn start_leaf_of(hub: &str, more: &str) -> NatsServer {
    let remote = format!("leafnodes {{ remotes: [{{ url: \"nats-leaf://{hub}\" }}] }}");
    NatsServer::start_with(&format!("server_name: leaf\n{remote}\n{more}"))
}

fn start(server: &NatsServer, path: &Path, domain: Option<&str>) -> Place {
    start_set_up(server, path, domain, |_| {})
}

fn start_set_up(server: &NatsServer, path: &Path, domain: Option<&str>, set_up: impl FnOnce(&mut Settings)) -> Place {
    let options = options(server);
    let storage = Storage { domain: domain.map(str::to_owned), ..options.storage.clone() };
    let stream = open(NatsOptions { partitions: Settings::PARTITIONS, storage, ..options });
    start_over(Arc::new(stream), path, set_up)
}

fn state(place: &Place) -> FleetState {
    place.node.link().metrics().state()
}

fn page(server: &NatsServer, name: &str) -> Value {
    let answer = ureq::get(format!("{}/{name}", server.monitor())).call().expect("there").body_mut().read_to_string();
    serde_json::from_str(&answer.expect("text")).expect("JSON")
}

/// Returns how many bytes the hub has sent to the leaf server.
fn sent_to_leaf(hub: &NatsServer) -> u64 {
    page(hub, "leafz")["leafs"][0]["out_bytes"].as_u64().unwrap_or_default()
}

/// Returns the bytes of the fleet's messages that the hub keeps.
fn bytes_in_stream(hub: &NatsServer) -> u64 {
    page(hub, "jsz?streams=1")["account_details"][0]["stream_detail"]
        .as_array()
        .and_then(|streams| streams.iter().find(|stream| stream["name"] == "DIALBACK"))
        .and_then(|stream| stream["state"]["bytes"].as_u64())
        .expect("the stream is there")
}

/// Returns how many streams the server itself keeps.
fn streams(server: &NatsServer) -> u64 {
    page(server, "jsz")["streams"].as_u64().unwrap_or_default()
}

#[test]
fn nodes_at_a_leaf_with_and_without_jetstream_share_the_stream_of_the_hub() {
    for jetstream in ["", "jetstream { store_dir: \"STORE\", domain: leaf }"] {
        let (mut hub, port) = start_hub();
        let leaf = start_leaf(port, jetstream);
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let central = start(&hub, &path("central"), Some("hub"));
        let remote = start(&leaf, &path("remote"), Some("hub"));
        configure(&remote);
        until("the configuration arrives", || central.service.plan().generation() == 1);
        remote.service.record(vec![call(1)]).expect("it is durable");
        until("the call arrives at the hub's node", || reason(&central, 1) == Reason::Matched);
        central.service.record(vec![call(2)]).expect("it is durable");
        until("the call arrives at the leaf's node", || reason(&remote, 2) == Reason::Matched);

        // The hub is away: a call is acknowledged, and arrives when the hub is back.
        hub.kill();
        remote.service.record(vec![call(3)]).expect("it is durable here");
        until("the leaf's node notices", || matches!(state(&remote), FleetState::Away(_)));
        hub.restart();
        until("the call arrives", || reason(&central, 3) == Reason::Matched);
        until("both follow", || [&central, &remote].map(state) == [FleetState::Following, FleetState::Following]);
        assert_eq!(streams(&leaf), 0);
    }
}

/// Each node reads the stream for itself. The nodes have shares, so that none writes a snapshot: those would be sent as
/// well. A slow node may get a message twice, so only the least number of bytes is certain.
#[test]
fn a_hub_sends_each_message_for_each_node_behind_a_leaf() {
    let (hub, port) = start_hub();
    let leaf = start_leaf(port, "");
    let directory = tempfile::tempdir().expect("a directory");
    let start = |server: &NatsServer, name: &str| {
        start_set_up(server, &directory.path().join(name), Some("hub"), |settings| {
            settings.share = Share::of(0..Settings::PARTITIONS);
        })
    };
    let central = start(&hub, "central");
    configure(&central);
    let (mut nodes, mut recorded) = (Vec::new(), 0);
    for name in ["first", "second"] {
        nodes.push(start(&leaf, name));
        let count = nodes.len() as u64;
        let arrived = |calls: u64| {
            until("all calls arrive", || nodes.iter().all(|place| place.service.history().len() as u64 == calls));
        };
        arrived(recorded);
        let before = (sent_to_leaf(&hub), bytes_in_stream(&hub));
        central.service.record((recorded..recorded + 5000).map(call).collect()).expect("it is durable");
        recorded += 5000;
        arrived(recorded);
        let (sent, messages) = (sent_to_leaf(&hub) - before.0, bytes_in_stream(&hub) - before.1);
        println!("{count} at the leaf server: {messages} bytes of messages, {sent} bytes sent");
        assert!(sent * 10 > messages * count * 9, "{messages} bytes of messages, {sent} bytes sent to {count} nodes");
    }
}

/// Nodes need the domain of the hub. A leaf server with JetStream would else make a stream of its own, with an order of
/// its own.
#[test]
fn without_the_domain_of_the_hub_a_leaf_has_no_stream_or_one_of_its_own() {
    let (_hub, port) = start_hub();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let leaf = start_leaf(port, "");
    let remote = start(&leaf, &path("without"), None);
    until("the node finds no stream", || matches!(state(&remote), FleetState::Away(_)));
    drop(remote);
    let leaf = start_leaf(port, "jetstream { store_dir: \"STORE\", domain: leaf }");
    let remote = start(&leaf, &path("with"), None);
    until("the node follows a stream", || state(&remote) == FleetState::Following);
    assert!(streams(&leaf) > 0);
}

fn open_in_hub(options: NatsOptions) -> NatsStream {
    let storage = Storage { domain: Some("hub".into()), ..options.storage.clone() };
    open(NatsOptions { storage, ..options })
}

/// Does all that a node does in the hub's domain, which must violate no permission.
fn check_permissions(hub: &NatsServer, stream: &NatsStream) {
    let violations = || hub.log().lines().filter(|line| line.contains("Violation")).map(str::to_owned).collect();
    until("the stream is created", || {
        assert_eq!(violations(), Vec::<String>::new());
        stream.bounds().is_ok()
    });
    use_all(stream, violations);
}

/// A server checks the permissions of its own clients after it has mapped the API's name in the domain to `$JS.API`.
/// Those of a leaf server's connection are checked before.
#[test]
fn the_permissions_of_the_example_are_enough_in_a_domain() {
    let login = Login::Password { user: "gateway".into(), password: "s3cret".into() };
    let (hub, _) = start_hub_with_permissions("$JS.API");
    check_permissions(&hub, &open_in_hub(NatsOptions { login: login.clone(), ..options(&hub) }));
    let (hub, _) = start_hub_with_permissions("$JS.hub.API");
    assert!(open_in_hub(NatsOptions { login, ..options(&hub) }).bounds().is_err());
    assert!(hub.log().contains("Publish Violation"));
}

#[test]
fn the_permissions_of_the_example_with_the_domain_in_their_names_are_enough_for_a_leaf() {
    for jetstream in ["", "jetstream { store_dir: \"STORE\", domain: leaf }"] {
        let (hub, port) = start_hub_with_permissions("$JS.hub.API");
        let leaf = start_leaf_of(&format!("gateway:s3cret@127.0.0.1:{port}"), jetstream);
        check_permissions(&hub, &open_in_hub(options(&leaf)));
    }
    let (_hub, port) = start_hub_with_permissions("$JS.API");
    let leaf = start_leaf_of(&format!("gateway:s3cret@127.0.0.1:{port}"), "");
    assert!(open_in_hub(options(&leaf)).bounds().is_err());
}
