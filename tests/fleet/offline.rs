//! Commands on the data directory of a node whose daemon does not run.

use crate::support;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;
use support::daemon::{Daemon, Tenant, dialback, program};
use support::nats::NatsServer;
use support::until::until;

const PATIENCE: Duration = Duration::from_secs(60);

fn start(server: &NatsServer, data: &Path) -> Daemon {
    Daemon::start_with(data, &["--fleet-nats", &server.url()])
}

fn import(data: &Path, tenant: &Tenant, contact: &str) -> (i32, String) {
    let file = data.with_extension("csv");
    let lines =
        format!("agent,from,to,at,status\n{},+12125550100,{contact},2026-11-20T10:00:00Z,busy\n", tenant.source_agent);
    fs::write(&file, lines).expect("written");
    let (file, data) = (file.display().to_string(), data.display().to_string());
    let (code, output, errors) = program(&["import", &file, "--data", &data], Path::new("."));
    (code, output + &errors)
}

#[test]
fn calls_that_are_imported_into_a_stopped_nodes_directory_reach_the_other_nodes() {
    let server = NatsServer::start();
    let place = tempfile::tempdir().expect("a directory");
    let (here, there) = (place.path().join("here"), place.path().join("there"));
    let (daemon, other) = (start(&server, &here), start(&server, &there));
    until(PATIENCE, "the node orders changes", || {
        (dialback(&["token", "create", "--data"], &here).0 == 0).then_some(())
    });
    let tenant = Tenant::with_callback_sample(&daemon);
    tenant.configure_callback();
    assert_eq!(daemon.stop(), 0);

    let (code, said) = import(&here, &tenant, "+14155550001");
    assert_eq!(code, 0, "{said}");
    let (code, _, errors) = dialback(&["token", "create", "--data"], &here);
    assert_eq!(code, 1, "a change of the configuration would have no place in the fleet's order");
    assert!(errors.contains("start this node's daemon"), "{errors}");

    let other = tenant.clone().at(&other);
    let daemon = start(&server, &here);
    let called = |tenant: &Tenant| tenant.decision("+14155550001")["agent_id"] == json!(tenant.callback_agent);
    assert!(called(&tenant.at(&daemon)), "the node itself has the call");
    until(PATIENCE, "the other node gets the call", || called(&other).then_some(()));
}
