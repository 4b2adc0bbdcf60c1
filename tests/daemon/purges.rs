//! The real daemon, killed again and again while it purges every two seconds: nothing acknowledged is lost, nothing erased stays in
//! any file, and the disk is bounded.
//!
//! `DIALBACK_KILLS=1000 cargo test --release --all-features --test daemon purges -- --nocapture` is the recorded run.

use crate::support;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::daemon::{Daemon, Tenant};

const PATIENCE: Duration = Duration::from_secs(120);
/// Kills in a run that nobody asked more of.
const KILLS: u64 = 4;
/// Kills between two full checks of the disk, each of which waits for a purge.
const KILLS_A_CHECK: u64 = 4;
/// What a store of a few thousand contacts may take on the disk after a purge.
const MOST_BYTES: u64 = 16 << 20;
const PURGE: [&str; 2] = ["--purge-every", "2s"];

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 7) % end
    }
}

fn files(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn allocated(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    files(path).iter().filter_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.blocks() * 512).sum()
}

fn journals(path: &Path) -> usize {
    files(path).iter().filter(|path| path.extension().is_some_and(|extension| extension == "jnl")).count()
}

/// Which of these numbers are in a file, as text or as the bytes of an integer: the number, the file, the place and the bytes
/// around it.
fn found(path: &Path, numbers: &[String]) -> Vec<String> {
    let encodings = |number: &String| {
        let digits = number.trim_start_matches('+').to_owned();
        let code: u64 = digits.parse().expect("digits");
        let bytes: Vec<u8> = code.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        [digits.into_bytes(), bytes]
    };
    let mut found = Vec::new();
    for file in files(path) {
        let mut bytes = fs::read(&file).unwrap_or_default();
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        for number in numbers {
            for one in encodings(number) {
                if let Some(at) = place(&bytes, &one) {
                    let around = &bytes[at.saturating_sub(12)..(at + 16).min(bytes.len())];
                    found.push(format!("{number} in {} at {at}: {around:02x?}", file.display()));
                }
            }
        }
    }
    found
}

/// The first byte is looked for on its own: a plain search of all windows takes minutes.
fn place(bytes: &[u8], one: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == one[0]) {
        if bytes[from + at..].starts_with(one) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// The contacts of a run, by their order: every third is erased soon after it was called.
struct Contacts {
    next: u64,
    /// Called, acknowledged and not erased.
    kept: Vec<String>,
    /// Whose erasure was acknowledged.
    erased: Vec<String>,
}

impl Contacts {
    /// Calls and erases until the daemon is gone.
    fn work(&mut self, tenant: &Tenant) {
        loop {
            let number = format!("+4930{:08}", 10_000_000 + self.next * 7919 % 80_000_000);
            self.next += 1;
            match tenant.try_record_call(&number, "busy") {
                Some((202, _)) => {}
                _ => return,
            }
            if !self.next.is_multiple_of(3) {
                self.kept.push(number);
            } else if matches!(tenant.try_erase(&number), Some((200, _))) {
                self.erased.push(number);
            } else {
                return;
            }
        }
    }

    /// Fails where an acknowledged call is lost, or an erased one decides again.
    fn compare(&self, tenant: &Tenant, random: &mut Random) -> usize {
        let mut compared = 0;
        for (numbers, expected) in [(&self.kept, "MATCHED"), (&self.erased, "NO_HISTORY")] {
            let last = numbers.iter().rev().take(20).collect::<Vec<_>>();
            let any =
                (0..20).filter_map(|_| numbers.get(usize::try_from(random.below(numbers.len().max(1) as u64)).ok()?));
            for number in last.into_iter().chain(any) {
                assert_eq!(tenant.decision(number)["reason"], expected, "after {} contacts", self.next);
                compared += 1;
            }
        }
        compared
    }
}

/// After a purge the erased numbers have gone, and the disk is bounded. Waits for the purge.
fn expect_clean(data: &Path, contacts: &Contacts, daemon: &Daemon) -> u64 {
    let began = Instant::now();
    loop {
        let left = found(data, &contacts.erased);
        let (journals, bytes) = (journals(data), allocated(data));
        if left.is_empty() && journals == 1 && bytes < MOST_BYTES {
            return bytes;
        }
        let log = daemon.read_log();
        let last = log.lines().rev().take(5).collect::<Vec<_>>().join("\n");
        let patient = began.elapsed() < PATIENCE;
        let some = left.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
        assert!(patient, "{} erased numbers left, {journals} journals, {bytes} bytes\n{some}\n{last}", left.len());
        sleep(Duration::from_millis(300));
    }
}

#[test]
fn daemon_killed_while_it_purges_loses_nothing_and_leaves_nothing_erased() {
    let kills = setting("DIALBACK_KILLS").unwrap_or(KILLS);
    let seed = setting("DIALBACK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed}");
    let mut random = Random(seed);
    let data = tempfile::tempdir().expect("a directory");
    let mut daemon = Daemon::start_with(data.path(), &PURGE);
    let mut tenant = Tenant::with_callback_sample(&daemon);
    tenant.configure_callback();
    let mut contacts = Contacts { next: 0, kept: Vec::new(), erased: Vec::new() };
    let (mut compared, mut most_bytes, mut with_two_journals) = (0, 0, 0);
    for kill in 1..=kills {
        std::thread::scope(|scope| {
            let work = scope.spawn(|| contacts.work(&tenant));
            sleep(Duration::from_micros(random.below(2_500_000)));
            // Now and then just when a purge has begun a new journal and the old one is there still.
            let until = Instant::now() + Duration::from_secs(4);
            while kill % 2 == 0 && journals(data.path()) < 2 && Instant::now() < until {
                sleep(Duration::from_millis(1));
            }
            with_two_journals += u64::from(journals(data.path()) > 1);
            daemon.kill();
            work.join().expect("no panic");
        });
        while random.below(8) == 0 {
            Daemon::start_and_kill(data.path(), Duration::from_micros(random.below(400_000)));
        }
        daemon = Daemon::start_with(data.path(), &PURGE);
        tenant = tenant.at(&daemon);
        compared += contacts.compare(&tenant, &mut random);
        if kill.is_multiple_of(KILLS_A_CHECK) || kill == kills {
            most_bytes = most_bytes.max(expect_clean(data.path(), &contacts, &daemon));
            println!("after {kill} kills: {} contacts, at most {most_bytes} bytes", contacts.next);
        }
    }
    println!(
        "kills: {kills} ({with_two_journals} with two journals), contacts: {}, kept: {}, erased: {}, answers compared: {compared}, \
         lost: 0, invented: 0, erased left: 0, most bytes after a purge: {most_bytes}",
        contacts.next,
        contacts.kept.len(),
        contacts.erased.len(),
    );
    assert!(contacts.erased.len() as u64 > kills && contacts.kept.len() as u64 > kills, "the client did work");
    assert!(with_two_journals > 0, "no kill came in the middle of a purge");
    assert_eq!(daemon.stop(), 0);
}
