//! Kills the real daemon at random moments under load, and compares its data with its clients' own logs.
//!
//! The recorded run is `DIALBACK_KILLS=200 cargo test --release --all-features --test daemon kills -- --nocapture`.

use crate::support;
use std::time::Duration;
use support::copy::copy;
use support::daemon::Daemon;
use support::ledger::{Ledger, Random, clients_of, compare, tally, work};
use support::setting::setting;

const CLIENTS: usize = 6;

/// The default number of kills in a run.
const KILLS: usize = 15;

/// Lets the clients work, and kills the daemon meanwhile.
fn work_and_kill(daemon: Daemon, clients: &mut [Ledger], after: Duration) {
    std::thread::scope(|scope| {
        let work = scope.spawn(|| work(clients));
        std::thread::sleep(after);
        daemon.kill();
        work.join().expect("no panic");
    });
}

#[test]
fn killed_daemon_loses_no_acknowledged_change() {
    let kills = setting("DIALBACK_KILLS").map_or(KILLS, |kills| usize::try_from(kills).expect("a count"));
    let seed = setting("DIALBACK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed}");
    let mut random = Random(seed);
    let data = tempfile::tempdir().expect("a directory");
    let mut daemon = Daemon::start(data.path());
    let mut clients = clients_of(&daemon, data.path(), CLIENTS, seed);
    let mut while_starting = 0;
    for kill in 1..=kills {
        let after = Duration::from_micros(random.below(400_000) as u64);
        work_and_kill(daemon, &mut clients, after);
        // Sometimes kill the daemon while it starts.
        while random.below(8) == 0 {
            Daemon::start_and_kill(data.path(), Duration::from_micros(random.below(100_000) as u64));
            while_starting += 1;
        }
        daemon = Daemon::start(data.path());
        let wrong = compare(&mut clients, daemon.url());
        assert!(wrong.is_empty(), "kill {kill} of seed {seed}:\n{}", wrong.join("\n"));
    }
    let tally = tally(&clients);
    println!(
        "kills: {} ({while_starting} while starting), acknowledged: {}, unanswered: {}, answers compared: {}, lost: 0, invented: 0",
        kills + while_starting,
        tally.acknowledged,
        tally.unanswered,
        tally.compared,
    );
    assert!(tally.acknowledged > 20 * kills as u64, "the clients did work: {tally:?}");
    assert!(tally.unanswered > kills as u64, "kills came while something was under way: {tally:?}");
    assert_eq!(daemon.stop(), 0);
}

/// Canary: a daemon that keeps nothing must be detected.
#[test]
fn daemon_that_keeps_nothing_is_detected() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    // A daemon without a store keeps no ids and contexts, and says so.
    let clients = clients_of(&daemon, data.path(), CLIENTS, 1);
    let mut clients: Vec<_> = clients.into_iter().map(Ledger::without_details).collect();
    assert_eq!(daemon.stop(), 0);
    let daemon = Daemon::start_with(data.path(), &["--durability", "memory"]);
    assert_eq!(compare(&mut clients, daemon.url()), Vec::<String>::new(), "what was there before is there");
    work_and_kill(daemon, &mut clients, Duration::from_millis(500));
    let daemon = Daemon::start(data.path());
    let wrong = compare(&mut clients, daemon.url());
    println!("planted: memory only, found: {}", wrong.len());
    assert!(wrong.len() > CLIENTS, "{wrong:?}");
    daemon.kill();
}

/// Canary: a directory that was replaced by a slightly older copy must be detected. Its checksums are all valid.
#[test]
fn older_copy_of_the_directory_is_detected() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let mut clients = clients_of(&daemon, data.path(), CLIENTS, 2);
    work_and_kill(daemon, &mut clients, Duration::from_millis(300));
    let before = tempfile::tempdir().expect("a directory");
    copy(data.path(), before.path());
    let daemon = Daemon::start(data.path());
    assert_eq!(compare(&mut clients, daemon.url()), Vec::<String>::new());
    work_and_kill(daemon, &mut clients, Duration::from_millis(300));
    let daemon = Daemon::start(before.path());
    let wrong = compare(&mut clients, daemon.url());
    println!("planted: 300 ms lost, found: {}", wrong.len());
    assert!(!wrong.is_empty());
    daemon.kill();
}

/// With `buffered`, the operating system holds the changes, and it survives a killed process.
#[test]
fn buffered_changes_survive_a_kill() {
    let data = tempfile::tempdir().expect("a directory");
    let mut daemon = Daemon::start_with(data.path(), &["--durability", "buffered"]);
    let mut clients = clients_of(&daemon, data.path(), CLIENTS, 3);
    for _ in 0..3 {
        work_and_kill(daemon, &mut clients, Duration::from_millis(300));
        daemon = Daemon::start_with(data.path(), &["--durability", "buffered"]);
        let wrong = compare(&mut clients, daemon.url());
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
    assert!(tally(&clients).acknowledged > 100);
    daemon.kill();
}
