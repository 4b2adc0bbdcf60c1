//! Measures the time from recording a call at one daemon to the first route that uses it at another, over HTTP. The
//! comparison is a round trip of the bare client: a message and its acknowledgement.

use crate::bare::Bare;
use crate::support::daemon::{Daemon, Tenant, dialback};
use crate::support::nats::NatsServer;
use crate::verdict;
use dialback::fleet::nats::{NatsOptions, NatsStream};
use dialback::fleet::{Position, Stream, Subject};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) fn run(calls: u64) {
    adapter(calls);
    println!("| NATS syncs | daemons | | round trip, ms | call to route, ms | asked, ms | |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (sync, said) in [("", "every 2 min"), (", sync_interval: always", "always")] {
        for durability in ["buffered", "synced"] {
            let server = NatsServer::start_with(&format!("jetstream {{ store_dir: \"STORE\"{sync} }}"));
            of_a_kind(&server, calls, said, durability);
        }
    }
}

/// The part of it between client and nodes: from a message's publication on one connection to its arrival on another.
fn adapter(messages: u64) {
    let server = NatsServer::start_with("jetstream { store_dir: \"STORE\" }");
    let [here, there] = [(); 2].map(|()| NatsStream::new(NatsOptions::new(server.url())).expect("they can be"));
    here.server().expect("there");
    let bare = Bare::connect(&server.url());
    bare.make("BARE", "bare.0");
    let mut trips = bare.round_trips("bare.0", messages);
    let (arrived, arrivals) = std::sync::mpsc::sync_channel(0);
    let mut waits = std::thread::scope(|scope| {
        scope.spawn(move || {
            for message in 0..messages {
                let there = there.consume(Position(message), 1, Duration::from_secs(20)).expect("read");
                assert_eq!(there.len(), 1);
                arrived.send(Instant::now()).expect("somebody waits");
            }
        });
        let one = |n: u64| {
            let began = Instant::now();
            here.publish(&[(Subject::Calls(0), n.to_be_bytes().repeat(8))]).expect("published");
            arrivals.recv().expect("it arrives") - began
        };
        (0..messages).map(one).collect::<Vec<_>>()
    });
    waits.sort_unstable();
    trips.sort_unstable();
    for (name, of_a_hundred) in [("p50", 50), ("p99", 99)] {
        let at = |times: &[Duration]| times[(times.len() - 1) * of_a_hundred / 100].as_secs_f64() * 1e3;
        println!("| every 2 min | none, the adapter alone | {name} | {:.2} | {:.2} | | |", at(&trips), at(&waits));
    }
}

fn of_a_kind(server: &NatsServer, calls: u64, said: &str, durability: &str) {
    let data = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let [here, there] = [0, 1].map(|node| start(server, data[node].path(), durability));
    // Waits until configuration changes are possible.
    let began = Instant::now();
    while dialback(&["token", "create", "--data"], data[0].path()).0 != 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "the fleet does not settle");
        sleep(Duration::from_millis(100));
    }
    let tenant = Tenant::with_callback_sample(&here);
    tenant.configure_callback();
    let other = tenant.clone().at(&there);
    let bare = Bare::connect(&server.url());
    bare.make("BARE", "bare.0");
    let mut waits = Vec::new();
    let mut trips = Vec::new();
    for call in 0..calls + 20 {
        let contact = format!("+1415{call:07}");
        let trip = bare.round_trips("bare.0", 1)[0];
        let began = Instant::now();
        assert_eq!(tenant.record_call(&contact, "busy").0, 202);
        while other.decision(&contact)["decision"] != "callback" {
            assert!(began.elapsed() < Duration::from_secs(60), "the call does not arrive");
        }
        // For the first calls, the other daemon may still be loading the configuration.
        if call >= 20 {
            waits.push(began.elapsed());
            trips.push(trip);
        }
    }
    waits.sort_unstable();
    trips.sort_unstable();
    for (name, of_a_hundred) in [("p50", 50), ("p99", 99)] {
        let at = |times: &[Duration]| times[(times.len() - 1) * of_a_hundred / 100].as_secs_f64() * 1e3;
        let (trip, wait) = (at(&trips), at(&waits));
        let asked = trip * 1.5 + 1.0;
        println!(
            "| {said} | {durability} | {name} | {trip:.2} | {wait:.2} | {asked:.2} | {} |",
            verdict(wait <= asked)
        );
    }
}

fn start(server: &NatsServer, data: &Path, durability: &str) -> Daemon {
    let mut program = Command::new(env!("CARGO_BIN_EXE_dialback"));
    program.args(["serve", "--log", "warn", "--durability", durability, "--fleet-nats", &server.url()]);
    Daemon::start_by(data, program).unwrap_or_else(|wrong| panic!("{wrong}"))
}
