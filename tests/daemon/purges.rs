//! Kills the real daemon repeatedly while it purges every two seconds. No acknowledged change is lost, no erased number
//! stays in any file, and the disk use is bounded.
//!
//! The recorded runs are in `docs/internals/durability.md`.

use crate::support;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::daemon::{Daemon, Tenant};
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

/// Which of these numbers are in a file now, as text or as the bytes of an integer: the number, the file, the place and the bytes
/// around it. Reads each file once, however many numbers there are.
fn found(path: &Path, numbers: &[String]) -> Vec<String> {
    let digits = |number: &String| number.trim_start_matches('+').to_owned();
    let texts: HashMap<Vec<u8>, &String> = numbers.iter().map(|number| (digits(number).into_bytes(), number)).collect();
    let integers = numbers.iter().map(|number| {
        let code: u64 = digits(number).parse().expect("digits");
        (code.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect::<Vec<u8>>(), number)
    });
    let integers: HashMap<Vec<u8>, &String> = integers.collect();
    let mut found = Vec::new();
    for file in files(path) {
        // A file that is deleted meanwhile holds nothing.
        let bytes = fs::read(&file).unwrap_or_default();
        for forms in [&texts, &integers] {
            // All have one length, and begin with the same byte.
            let Some(first) = forms.keys().next() else { continue };
            assert!(forms.keys().all(|form| form.len() == first.len() && form[0] == first[0]), "numbers of one kind");
            for at in places(&bytes, first[0]) {
                if let Some(number) = bytes.get(at..at + first.len()).and_then(|form| forms.get(form)) {
                    let around = &bytes[at.saturating_sub(12)..(at + 16).min(bytes.len())];
                    found.push(format!("{number} in {} at {at}: {around:02x?}", file.display()));
                }
            }
        }
    }
    found
}

/// Where this byte is. The padding of journals is passed over quickly.
fn places(bytes: &[u8], byte: u8) -> impl Iterator<Item = usize> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let parts = bytes.chunks(ZEROS.len()).enumerate().filter(|(_, part)| **part != ZEROS[..part.len()]);
    parts.flat_map(move |(index, part)| {
        let here = part.iter().enumerate().filter(move |(_, one)| **one == byte);
        here.map(move |(at, _)| index * ZEROS.len() + at)
    })
}

#[test]
fn number_in_a_file_is_found_wherever_it_lies() {
    let place = tempfile::tempdir().expect("a directory");
    let numbers = ["+493010000000".to_owned(), "+493010000001".to_owned()];
    let binary = &493_010_000_001_u64.to_be_bytes()[3..];
    for (bytes, at) in [(&b"493010000000"[..], 4090), (binary, 4094), (binary, 0), (b"493010000001", 100_000)] {
        let mut file = vec![0; at];
        file.extend_from_slice(bytes);
        fs::write(place.path().join("file"), &file).expect("written");
        assert_eq!(found(place.path(), &numbers).len(), 1, "at {at}");
    }
    fs::write(place.path().join("file"), "493010000002").expect("written");
    assert_eq!(found(place.path(), &numbers), Vec::<String>::new());
}

/// The contacts of a run, in their order. Every third one is erased soon after its call.
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

    /// Fails if an acknowledged call is lost, or an erased call decides again.
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

/// Waits until a purge of this daemon has ended. It began after the last erasure was acknowledged, which was before the daemon
/// started. Right then the erased numbers are gone, and the disk is bounded: files are read after that purge only, and once.
fn expect_clean(data: &Path, contacts: &Contacts, daemon: &Daemon) -> u64 {
    let began = Instant::now();
    while !daemon.read_log().contains(PURGED) {
        assert!(began.elapsed() < PATIENCE, "no purge ends\n{}", daemon.read_log());
        sleep(Duration::from_millis(50));
    }
    let left = found(data, &contacts.erased);
    let (journals, bytes) = (journals(data), allocated(data));
    let some = left.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(left.is_empty(), "{} places with erased numbers\n{some}\n{}", left.len(), daemon.read_log());
    // The search finds what is there to be found.
    assert!(found(data, &contacts.kept).len() >= contacts.kept.len().min(1), "kept numbers are in the files");
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
    let (mut compared, mut most_bytes, mut with_two_journals) = (0, 0, 0);
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
            daemon.kill();
            work.join().expect("no panic");
        });
        while random.below(8) == 0 {
            Daemon::start_and_kill(data.path(), Duration::from_micros(random.below(400_000)));
        }
        daemon = Daemon::start_with(data.path(), &PURGE);
        tenant = tenant.at(&daemon);
        compared += contacts.compare(&tenant, &mut random);
        if kill.is_multiple_of(KILLS_A_CHECK) || kill >= kills {
            most_bytes = most_bytes.max(expect_clean(data.path(), &contacts, &daemon));
            println!("after {kill} kills: {} contacts, at most {most_bytes} bytes", contacts.next);
        }
    }
    println!(
        "kills: {kill} ({with_two_journals} with two journals), contacts: {}, kept: {}, erased: {}, answers compared: {compared}, \
         lost: 0, invented: 0, erased left: 0, most bytes after a purge: {most_bytes}",
        contacts.next,
        contacts.kept.len(),
        contacts.erased.len(),
    );
    assert!(contacts.erased.len() as u64 > kills && contacts.kept.len() as u64 > kills, "the client did work");
    assert!(with_two_journals > 0, "no kill came in the middle of a purge");
    assert_eq!(daemon.stop(), 0);
}
