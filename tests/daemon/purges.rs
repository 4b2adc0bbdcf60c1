//! Ends the real daemon repeatedly, by SIGKILL or SIGTERM, while it purges every two seconds. No acknowledged change is
//! lost, no erased number stays in any file, and the disk use is bounded.
//!
//! The recorded runs are in `docs/internals/durability.md`.

use crate::support;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::daemon::{Daemon, Tenant};
use support::disk_search::{DiskSearch, describe, files};
use support::setting::setting;

const PATIENCE: Duration = Duration::from_secs(120);
/// The default number of kills in a run.
const KILLS: u64 = 4;
/// The number of kills between two full checks of the disk, each of which waits for a purge.
const KILLS_A_CHECK: u64 = 4;
/// The most disk space of a store with a few thousand contacts after a purge.
const MOST_BYTES: u64 = 16 << 20;
/// The line of the log at the end of a purge.
const PURGED: &str = "removed erased and expired data from the disk";
const PURGE: [&str; 2] = ["--purge-every", "2s"];

/// The `SplitMix64` generator.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 7) % end
    }
}

fn allocated(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    files(path).iter().filter_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.blocks() * 512).sum()
}

fn journals(path: &Path) -> usize {
    files(path).iter().filter(|path| path.extension().is_some_and(|extension| extension == "jnl")).count()
}

/// Returns the id and the context of the call to a contact. Both have its number.
fn details(number: &str) -> Value {
    json!({ "call_id": format!("call-{number}"), "context": { "of": number } })
}

/// The contacts of a run, in their order. Every third one is erased soon after its call and its return call.
struct Contacts {
    next: u64,
    /// Contacts with an acknowledged call and no erasure.
    kept: Vec<String>,
    /// Contacts with an acknowledged erasure.
    erased: Vec<String>,
}

impl Contacts {
    /// Records calls and erasures until the daemon is gone.
    fn work(&mut self, tenant: &Tenant) {
        loop {
            let number = format!("+4930{:08}", 10_000_000 + self.next * 7919 % 80_000_000);
            self.next += 1;
            match tenant.try_record_call_with(&number, "busy", &details(&number)) {
                Some((202, _)) => {}
                _ => return,
            }
            if !self.next.is_multiple_of(3) {
                self.kept.push(number);
                continue;
            }
            // It leaves a record and an event.
            if !matches!(tenant.try_route(&number), Some((200, _))) {
                return;
            }
            if matches!(tenant.try_erase(&number), Some((200, _))) {
                self.erased.push(number);
            } else {
                return;
            }
        }
    }

    /// Fails if an acknowledged call is lost, or an erased call decides again.
    fn compare(&self, tenant: &Tenant, random: &mut Random) -> usize {
        let mut compared = 0;
        for (numbers, expected) in [(&self.kept, "MATCHED"), (&self.erased, "NO_HISTORY")] {
            let last = numbers.iter().rev().take(20).collect::<Vec<_>>();
            let any =
                (0..20).filter_map(|_| numbers.get(usize::try_from(random.below(numbers.len().max(1) as u64)).ok()?));
            for number in last.into_iter().chain(any) {
                let decision = tenant.decision(number);
                assert_eq!(decision["reason"], expected, "after {} contacts", self.next);
                let known =
                    tenant.get(&format!("/contacts/{}", number.replace('+', "%2B"))).1["data"]["known_calls"].clone();
                let wanted = if expected == "MATCHED" { details(number) } else { json!({}) };
                assert_eq!((&known[0]["call_id"], &known[0]["context"]), (&wanted["call_id"], &wanted["context"]));
                compared += 1;
            }
        }
        compared
    }
}

/// Waits until a purge of this daemon has ended. It began after the last erasure was acknowledged, which was before the daemon
/// started. Right then the erased numbers are gone, and the disk is bounded: files are read after that purge only, and once.
fn expect_clean(data: &Path, contacts: &Contacts, daemon: &Daemon) -> u64 {
    let began = Instant::now();
    while !daemon.read_log().contains(PURGED) {
        assert!(began.elapsed() < PATIENCE, "no purge ends\n{}", daemon.read_log());
        sleep(Duration::from_millis(50));
    }
    let left = DiskSearch::of_texts(&contacts.erased).traces(data);
    let (journals, bytes) = (journals(data), allocated(data));
    assert!(left.is_empty(), "erased numbers are on the disk: {}\n{}", describe(&left), daemon.read_log());
    // The search finds every number that is there to be found.
    assert_eq!(DiskSearch::of_texts(&contacts.kept).numbers(data).len(), contacts.kept.len(), "kept numbers found");
    assert!(journals == 1 && bytes < MOST_BYTES, "{journals} journals, {bytes} bytes\n{}", daemon.read_log());
    bytes
}

#[test]
fn daemon_killed_during_purges_loses_no_call_and_keeps_no_erased_number() {
    let kills = setting("DIALBACK_KILLS").unwrap_or(KILLS);
    let seed = setting("DIALBACK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed}");
    let mut random = Random(seed);
    let data = tempfile::tempdir().expect("a directory");
    let mut daemon = Daemon::start_with(data.path(), &PURGE);
    let mut tenant = Tenant::with_callback_sample(&daemon);
    tenant.configure_callback();
    let mut contacts = Contacts { next: 0, kept: Vec::new(), erased: Vec::new() };
    let (mut compared, mut most_bytes, mut with_two_journals, mut by_sigterm) = (0, 0, 0, 0);
    let mut before_a_purge = 0;
    // On a busy machine the kills may all miss the moment at which a purge has two journals. Then there are more kills.
    let mut kill = 0;
    while kill < kills || (with_two_journals == 0 && kill < 8 * kills) {
        kill += 1;
        std::thread::scope(|scope| {
            let work = scope.spawn(|| contacts.work(&tenant));
            sleep(Duration::from_micros(random.below(2_500_000)));
            // Often kill just after a purge has begun a new journal, while the old one still exists.
            let until = Instant::now() + Duration::from_secs(4);
            while kill % 2 == 0 && journals(data.path()) < 2 && Instant::now() < until {
                sleep(Duration::from_millis(1));
            }
            with_two_journals += u64::from(journals(data.path()) > 1);
            if random.below(2) == 0 {
                daemon.kill();
            } else {
                by_sigterm += 1;
                assert_eq!(daemon.stop(), 0, "it ends by itself");
            }
            work.join().expect("no panic");
        });
        let checks = kill.is_multiple_of(KILLS_A_CHECK) || kill >= kills;
        if checks {
            before_a_purge += DiskSearch::of_texts(&contacts.erased).numbers(data.path()).len();
        }
        while random.below(8) == 0 {
            Daemon::start_and_kill(data.path(), Duration::from_micros(random.below(400_000)));
        }
        daemon = Daemon::start_with(data.path(), &PURGE);
        tenant = tenant.at(&daemon);
        compared += contacts.compare(&tenant, &mut random);
        if checks {
            most_bytes = most_bytes.max(expect_clean(data.path(), &contacts, &daemon));
            println!("after {kill} kills: {} contacts, at most {most_bytes} bytes", contacts.next);
        }
    }
    println!(
        "kills: {kill} ({by_sigterm} by SIGTERM, {with_two_journals} with two journals), contacts: {}, kept: {}, \
         erased: {}, answers compared: {compared}, \
         lost: 0, invented: 0, erased and found before a purge: {before_a_purge}, after one: 0, \
         most bytes after a purge: {most_bytes}",
        contacts.next,
        contacts.kept.len(),
        contacts.erased.len(),
    );
    assert!(contacts.erased.len() as u64 > kills && contacts.kept.len() as u64 > kills, "the client did work");
    assert!(before_a_purge > 0, "erased numbers are found where no purge was");
    assert!(kill < 20 || (1..kill).contains(&by_sigterm), "both signals");
    assert!(with_two_journals > 0, "no kill came in the middle of a purge");
    assert_eq!(daemon.stop(), 0);
}
