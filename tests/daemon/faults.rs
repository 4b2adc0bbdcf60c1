//! The real daemon on a failing disk. System calls return errors at a random point (strace), a limit on file sizes
//! cuts writes short, and a file system is full.
//!
//! `scripts/faults` installs strace and runs this test. The recorded run is `DIALBACK_FAULTS=300 scripts/faults`.

use crate::support;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use support::daemon::{Daemon, Tenant};
use support::ledger::{Ledger, Random, clients_of, compare, tally, work_for};
use support::setting::setting;

const CLIENTS: usize = 4;

/// The number of changes that each client may make before the run gives up on its fault.
const STEPS: usize = 25;

/// The default number of faults in a run.
const FAULTS: usize = 24;

/// A kind of failure: the system calls, the files and the error.
struct Kind {
    name: &'static str,
    calls: &'static str,
    files: Files,
    how: &'static [&'static str],
    /// The failing call is among this many first calls of its thread.
    within: usize,
    /// Whether the store can no longer be written afterwards.
    is_fatal: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Files {
    Any,
    Journals,
    Watermark,
    All,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "fsync",
        calls: "fsync",
        files: Files::Any,
        how: &["error=EIO", "error=ENOSPC", "error=EDQUOT"],
        within: 40,
        is_fatal: true,
    },
    Kind {
        name: "write of the journal",
        calls: "write",
        files: Files::Journals,
        how: &["error=EIO", "error=ENOSPC", "error=EDQUOT", "retval=0"],
        within: 40,
        is_fatal: true,
    },
    Kind {
        name: "write of the watermark",
        calls: "pwrite64",
        files: Files::Watermark,
        how: &["error=EIO", "error=ENOSPC", "retval=5"],
        within: 40,
        is_fatal: false,
    },
    Kind {
        name: "open",
        calls: "openat",
        files: Files::All,
        how: &["error=EIO", "error=EMFILE", "error=ENOSPC", "error=EACCES"],
        within: 60,
        is_fatal: false,
    },
    Kind {
        name: "sync while starting or ending",
        calls: "fsync,fdatasync",
        files: Files::All,
        how: &["error=EIO"],
        within: 2,
        is_fatal: false,
    },
];

/// A fault that is injected into one run of the daemon.
struct Fault {
    command: Command,
    /// The file in which strace reports what it did.
    trace: Option<PathBuf>,
    is_fatal: bool,
    name: String,
}

impl Fault {
    /// A system call fails.
    fn call(kind: &Kind, data: &Path, random: &mut Random) -> Self {
        let trace = tempfile::NamedTempFile::new().expect("a file").into_temp_path().keep().expect("kept");
        let (how, when) = (kind.how[random.below(kind.how.len())], 1 + random.below(kind.within));
        let mut command = Command::new("strace");
        // The daemon is a child of the tracer, and it is the daemon that must be killed.
        command.args(["-D", "-f", "-qq", "-o"]).arg(&trace);
        command.args([
            "-e",
            &format!("trace={}", kind.calls),
            "-e",
            &format!("inject={}:{how}:when={when}", kind.calls),
        ]);
        for file in files(data, kind.files) {
            command.arg("-P").arg(file);
        }
        command.args([env!("CARGO_BIN_EXE_dialback"), "serve"]);
        Self {
            command,
            trace: Some(trace),
            is_fatal: kind.is_fatal,
            name: format!("{}: {how}, number {when}", kind.name),
        }
    }

    /// Files may not exceed this size. The write that reaches it is cut short, and the next one fails.
    fn limit(data: &Path, random: &mut Random) -> Self {
        let journals =
            files(data, Files::Journals).into_iter().map(|path| fs::metadata(path).map_or(0, |about| about.len()));
        let kib = journals.max().unwrap_or(0) / 1024 + 1 + random.below(12) as u64;
        let mut command = Command::new("bash");
        let exe = env!("CARGO_BIN_EXE_dialback");
        command.args(["-c", &format!("trap '' XFSZ; ulimit -f {kib}; exec {exe} \"$@\""), "bash", "serve"]);
        Self { command, trace: None, is_fatal: true, name: format!("files of up to {kib} KiB") }
    }

    fn injected(&self) -> usize {
        self.trace
            .as_ref()
            .map_or(0, |trace| fs::read_to_string(trace).unwrap_or_default().matches("(INJECTED)").count())
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        if let Some(trace) = &self.trace {
            let _ = fs::remove_file(trace);
        }
    }
}

fn files(data: &Path, which: Files) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![data.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_journal = path.extension().is_some_and(|extension| extension == "jnl");
            if path.is_dir() {
                waiting.push(path.clone());
            }
            let wanted = match which {
                Files::Any => false,
                Files::Journals => is_journal,
                Files::Watermark => path.file_name().is_some_and(|name| name == "watermark"),
                Files::All => true,
            };
            if wanted {
                found.push(path);
            }
        }
    }
    found
}

fn start(data: &Path) -> Daemon {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dialback"));
    command.arg("serve");
    Daemon::start_by(data, command).unwrap_or_else(|wrong| panic!("after the fault it does not start: {wrong}"))
}

/// The result of a fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Outcome {
    /// The daemon did not reach the call that was to fail.
    Missed,
    NotStarted,
    /// The daemon rejected changes from then on, and still answered routes.
    Refused,
    WentOn,
}

/// Runs the daemon with a fault. Its answers must be consistent while it runs.
fn suffer(fault: &mut Fault, data: &Path, clients: &mut [Ledger], random: &mut Random) -> Outcome {
    let command = std::mem::replace(&mut fault.command, Command::new("false"));
    let refused_before = tally(clients).refused;
    let Ok(daemon) = Daemon::start_by(data, command) else { return Outcome::NotStarted };
    for client in clients.iter_mut() {
        client.moved_to(daemon.url());
    }
    work_for(clients, STEPS);
    let refused = tally(clients).refused > refused_before;
    if refused {
        let (status, health) = clients[0].look("/health");
        assert!(status == 503 && health.contains("NOT_DURABLE"), "{}: {status} {health}", fault.name);
        assert!(clients[0].look("/metrics").1.contains("\ndialback_store_failed 1\n"), "{}", fault.name);
        assert_eq!(clients[0].look("/health/ready").0, 200, "{}", fault.name);
        // A failed store does not recover by itself.
        work_for(clients, 1);
        let url = daemon.url().to_owned();
        let wrong = compare(clients, &url);
        assert!(wrong.is_empty(), "{}: from memory:\n{}", fault.name, wrong.join("\n"));
        let log = daemon.read_log();
        let told = log.matches("the store cannot be written").count();
        assert!((1..10).contains(&told), "{}: told {told} times:\n{log}", fault.name);
    }
    if random.below(2) == 0 {
        daemon.kill();
    } else {
        daemon.stop();
    }
    clients.iter_mut().for_each(Ledger::doubt_refused);
    let injected = fault.injected() > 0 || (fault.trace.is_none() && refused);
    match (injected, refused) {
        (false, false) => Outcome::Missed,
        (true, false) => Outcome::WentOn,
        (_, true) => Outcome::Refused,
    }
}

#[test]
#[ignore = "needs strace: scripts/faults"]
fn failing_disk_loses_no_acknowledged_change() {
    let faults = setting("DIALBACK_FAULTS").map_or(FAULTS, |faults| usize::try_from(faults).expect("a count"));
    let seed = setting("DIALBACK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed}");
    let mut random = Random(seed);
    let data = tempfile::tempdir().expect("a directory");
    let mut daemon = Daemon::start(data.path());
    let mut clients = clients_of(&daemon, data.path(), CLIENTS, seed);
    let mut outcomes: BTreeMap<(&str, Outcome), usize> = BTreeMap::new();
    let mut met = 0;
    let mut turn = 0;
    while met < faults {
        assert!(turn < 3 * faults + 20, "faults are missed: {outcomes:?}");
        assert_eq!(daemon.stop(), 0);
        let which = turn % (KINDS.len() + 1);
        turn += 1;
        let (name, mut fault) = match KINDS.get(which) {
            Some(kind) => (kind.name, Fault::call(kind, data.path(), &mut random)),
            None => ("size of files", Fault::limit(data.path(), &mut random)),
        };
        let outcome = suffer(&mut fault, data.path(), &mut clients, &mut random);
        *outcomes.entry((name, outcome)).or_default() += 1;
        met += usize::from(outcome != Outcome::Missed);
        assert!(!fault.is_fatal || outcome != Outcome::WentOn, "{}: nobody was told", fault.name);
        daemon = start(data.path());
        let wrong = compare(&mut clients, daemon.url());
        assert!(wrong.is_empty(), "{} of seed {seed}:\n{}", fault.name, wrong.join("\n"));
    }
    let tally = tally(&clients);
    for ((name, outcome), count) in &outcomes {
        println!("{name}: {outcome:?} {count}");
    }
    println!(
        "faults: {met}, acknowledged: {}, refused: {}, answers compared: {}, lost: 0, invented: 0",
        tally.acknowledged, tally.refused, tally.compared
    );
    for name in ["fsync", "write of the journal", "size of files"] {
        assert!(outcomes.contains_key(&(name, Outcome::Refused)), "{name} never failed: {outcomes:?}");
    }
    assert_eq!(daemon.stop(), 0);
}

/// Creating a data directory may fail at any step; the next start completes it.
#[test]
#[ignore = "needs strace: scripts/faults"]
fn failed_first_start_does_not_prevent_the_next() {
    let faults = setting("DIALBACK_FAULTS").unwrap_or(12);
    let mut random = Random(setting("DIALBACK_SEED").unwrap_or(11));
    let (mut met, mut not_started) = (0, 0);
    for turn in 0.. {
        assert!(turn < 4 * faults, "faults are missed");
        let place = tempfile::tempdir().expect("a directory");
        let data = place.path().join("data");
        let calls = ["mkdir,mkdirat", "rename,renameat,renameat2", "fsync,fdatasync", "ftruncate"][random.below(4)];
        let kind = Kind {
            name: "first start",
            calls,
            files: Files::Any,
            how: &["error=EIO", "error=ENOSPC"],
            within: 12,
            is_fatal: false,
        };
        let mut fault = Fault::call(&kind, &data, &mut random);
        let command = std::mem::replace(&mut fault.command, Command::new("false"));
        match Daemon::start_by(&data, command) {
            Err(log) => {
                assert!(!log.contains("panicked"), "{}: {log}", fault.name);
                not_started += 1;
            }
            Ok(daemon) => daemon.kill(),
        }
        met += u64::from(fault.injected() > 0);
        let daemon = start(&data);
        let mut clients = clients_of(&daemon, &data, CLIENTS, turn);
        work_for(&mut clients, 1);
        assert_eq!(compare(&mut clients, daemon.url()), Vec::<String>::new(), "{}", fault.name);
        daemon.kill();
        if met == faults {
            break;
        }
    }
    println!("faults in a first start: {met}, of which it did not start: {not_started}, and always at the next");
}

/// With `synced`, each acknowledgement follows a sync of its journal. With `buffered` it does not, so a power failure
/// may lose acknowledged changes.
#[test]
#[ignore = "needs strace: scripts/faults"]
fn synced_durability_syncs_before_each_acknowledgement() {
    for (durability, syncs_each) in [("synced", true), ("buffered", false)] {
        let data = tempfile::tempdir().expect("a directory");
        let daemon = Daemon::start(data.path());
        let mut clients = clients_of(&daemon, data.path(), CLIENTS, 5);
        assert_eq!(daemon.stop(), 0);
        let trace = tempfile::NamedTempFile::new().expect("a file");
        let mut traced = Command::new("strace");
        traced.args(["-D", "-f", "-qq", "-e", "trace=fsync,fdatasync,write,writev,sendto", "-o"]).arg(trace.path());
        traced.args([env!("CARGO_BIN_EXE_dialback"), "serve", "--durability", durability]);
        let daemon = Daemon::start_by(data.path(), traced).expect("it starts");
        clients.truncate(1);
        clients[0].moved_to(daemon.url());
        work_for(&mut clients, STEPS);
        daemon.kill();
        // There is one client, which sends one request at a time. So any sync since the last answer was a sync for
        // this request.
        let mut synced_since = false;
        let (mut with, mut without) = (0, 0);
        let trace = fs::read_to_string(trace.path()).expect("a trace");
        for line in trace.lines() {
            if line.contains("sync") && line.contains(" = 0") {
                synced_since = true;
            } else if line.contains("HTTP/1.1 20") {
                *(if synced_since { &mut with } else { &mut without }) += 1;
                synced_since = false;
            }
        }
        println!("{durability}: answers with a sync before them {with}, without {without}");
        // Some changes have no effect: a report that is already known is acknowledged at once.
        let (most, few) = if syncs_each { (with, without) } else { (without, with) };
        assert!(most > 3 * few, "{durability}: {with} with, {without} without");
        assert!(with + without >= STEPS, "{trace}");
    }
}

/// A stalled disk: each sync of a journal takes five seconds, and a request may take two.
#[test]
#[ignore = "needs strace: scripts/faults"]
fn stalled_disk_is_reported_and_timed_out_changes_take_effect_later() {
    const CONTACT: &str = "+12125550143";
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    tenant.configure_callback();
    assert_eq!(daemon.stop(), 0);
    let mut slow = Command::new("strace");
    slow.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"]);
    slow.args(["-e", "inject=fsync,fdatasync:delay_enter=5000000"]);
    for journal in files(data.path(), Files::Journals) {
        slow.arg("-P").arg(journal);
    }
    slow.args([env!("CARGO_BIN_EXE_dialback"), "serve", "--request-timeout", "2"]);
    let daemon = Daemon::start_by(data.path(), slow).expect("it starts");
    let tenant = tenant.at(&daemon);
    let health = || look(daemon.url(), "/health");
    let (answer, seen_after) = std::thread::scope(|scope| {
        let asked = Instant::now();
        let call = scope.spawn(|| tenant.record_call(CONTACT, "busy"));
        let seen_after = loop {
            let (status, text) = health();
            if status == 503 {
                assert!(text.contains("STORE_HANGS"), "{text}");
                break asked.elapsed();
            }
            assert!(!call.is_finished() || asked.elapsed() < Duration::from_secs(4), "nothing was seen: {text}");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(look(daemon.url(), "/health/ready").0, 200);
        assert_eq!(tenant.decision(CONTACT)["reason"], "NO_HISTORY", "routes are answered");
        (call.join().expect("it ends"), seen_after)
    });
    println!("a sync of five seconds: /health says so after {seen_after:?}");
    assert!(seen_after < Duration::from_secs(4), "{seen_after:?}");
    assert_eq!((answer.0, &answer.1["code"]), (503, &"OUTCOME_UNKNOWN".into()), "{}", answer.1);
    let asked = Instant::now();
    while tenant.decision(CONTACT)["reason"] != "MATCHED" {
        assert!(asked.elapsed() < Duration::from_secs(60), "it never comes into force");
        std::thread::sleep(Duration::from_millis(50));
    }
    while health().0 != 200 {
        assert!(asked.elapsed() < Duration::from_secs(60), "{:?}", health());
        std::thread::sleep(Duration::from_millis(50));
    }
    let log = daemon.read_log();
    let (began, ended) =
        (log.matches("the store does not answer").count(), log.matches("the store answers again").count());
    // Statistics are stored later, and may stall separately.
    assert!((1..4).contains(&began) && ended <= began, "{log}");
    // A webhook is stored as late as a call.
    let (status, answer) = tenant.post("/webhooks", &serde_json::json!({"url": "https://example.com/"}));
    assert_eq!((status, &answer["code"]), (503, &"OUTCOME_UNKNOWN".into()), "{answer}");
    let asked = Instant::now();
    while tenant.get("/webhooks").1["data"][0]["url"] != "https://example.com/" {
        assert!(asked.elapsed() < Duration::from_secs(60), "it never comes into force");
        std::thread::sleep(Duration::from_millis(50));
    }
    daemon.kill();
}

/// A file system in a file, which can be frozen. All writes to it then wait.
struct FreezableDisk(tempfile::TempDir);

impl FreezableDisk {
    /// Returns `None` if this user may not mount.
    fn new() -> Option<Self> {
        let disk = Self(tempfile::tempdir().expect("a directory"));
        let image = disk.0.path().join("image");
        fs::File::create(&image).and_then(|file| file.set_len(1 << 29)).expect("a file");
        fs::create_dir(disk.place()).expect("a directory");
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image).output();
        let mount = |_| Command::new("mount").args(["-o", "loop"]).arg(&image).arg(disk.place()).output().ok();
        made.ok()
            .filter(|made| made.status.success())
            .and_then(mount)
            .is_some_and(|done| done.status.success())
            .then_some(disk)
    }

    fn place(&self) -> PathBuf {
        self.0.path().join("mounted")
    }

    fn freeze(&self) {
        assert!(Command::new("fsfreeze").arg("-f").arg(self.place()).status().expect("it runs").success());
    }

    fn thaw(&self) {
        let _ = Command::new("fsfreeze").arg("-u").arg(self.place()).output();
    }
}

impl Drop for FreezableDisk {
    fn drop(&mut self) {
        self.thaw();
        let _ = Command::new("umount").arg("-l").arg(self.place()).status();
    }
}

/// A file system that is frozen for some seconds, while clients continue. The recorded run uses `DIALBACK_FROZEN=45`.
#[test]
#[ignore = "needs to mount: scripts/faults"]
fn frozen_file_system_is_reported_within_two_seconds_and_loses_nothing() {
    let frozen_for = Duration::from_secs(setting("DIALBACK_FROZEN").unwrap_or(8));
    let Some(disk) = FreezableDisk::new() else {
        println!("frozen file systems: none, since this user may not mount one");
        return;
    };
    let data = disk.place().join("data");
    let daemon = Daemon::start_with(&data, &["--request-timeout", "3"]);
    let tenant = Tenant::with_callback_sample(&daemon);
    tenant.configure_callback();
    disk.freeze();
    let frozen = Instant::now();
    let contacts: Vec<String> = (0..8).map(|contact| format!("+1212555020{contact}")).collect();
    let (answers, seen_after) = std::thread::scope(|scope| {
        let calls: Vec<_> =
            contacts.iter().map(|contact| scope.spawn(|| tenant.record_call(contact, "busy"))).collect();
        let seen_after = loop {
            let (status, text) = look(daemon.url(), "/health");
            if status == 503 {
                assert!(text.contains("STORE_HANGS"), "{text}");
                break frozen.elapsed();
            }
            assert!(frozen.elapsed() < Duration::from_secs(30), "nothing was seen");
            std::thread::sleep(Duration::from_millis(20));
        };
        (calls.into_iter().map(|call| call.join().expect("it ends")).collect::<Vec<_>>(), seen_after)
    });
    println!("/health says so {seen_after:?} after the file system was frozen");
    for (status, answer) in answers {
        assert_eq!((status, &answer["code"]), (503, &"OUTCOME_UNKNOWN".into()), "{answer}");
    }
    assert_eq!(look(daemon.url(), "/health/ready").0, 200);
    assert_eq!(tenant.decision(&contacts[0])["reason"], "NO_HISTORY", "routes are answered");
    std::thread::sleep(frozen_for.saturating_sub(frozen.elapsed()));
    let waiting = look(daemon.url(), "/metrics").1;
    assert!(!waiting.contains("\ndialback_store_waiting_seconds 0.0\n"), "{waiting}");
    disk.thaw();
    let thawed = Instant::now();
    while look(daemon.url(), "/health").0 != 200 {
        assert!(thawed.elapsed() < Duration::from_secs(60), "{:?}", look(daemon.url(), "/health"));
        std::thread::sleep(Duration::from_millis(20));
    }
    for contact in &contacts {
        assert_eq!(tenant.record_call(contact, "busy").0, 202, "repeating is safe");
        assert_eq!(tenant.decision(contact)["reason"], "MATCHED");
    }
    // The daemon checks the store four times a second.
    while !daemon.read_log().contains("the store answers again") {
        assert!(thawed.elapsed() < Duration::from_secs(60), "{}", daemon.read_log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let log = daemon.read_log();
    let lines = ["the store does not answer", "the store answers again"].map(|line| log.matches(line).count());
    assert_eq!(lines, [1, 1], "{log}");
    assert_eq!(daemon.stop(), 0);
}

fn look(url: &str, path: &str) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.get(format!("{url}{path}")).call().expect("an answer");
    (answer.status().as_u16(), answer.body_mut().read_to_string().expect("UTF-8"))
}

/// A file system with an adjustable size.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` if this user may not mount one.
    fn new(kib: usize) -> Option<Self> {
        let place = tempfile::tempdir().expect("a directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"]).arg(place.path());
        mount.output().is_ok_and(|done| done.status.success()).then(|| Self(place))
    }

    fn grow(&self, kib: usize) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,size={kib}k")]).arg(self.0.path());
        assert!(mount.status().expect("mount runs").success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
#[ignore = "needs to mount: scripts/faults"]
fn full_disk_loses_no_acknowledged_change() {
    let disks = setting("DIALBACK_FAULTS").map_or(2, |faults| faults / 20 + 1);
    let mut random = Random(setting("DIALBACK_SEED").unwrap_or(7));
    for disk in 0..disks {
        let Some(disk_of) = SmallDisk::new(400 + random.below(400)) else {
            println!("full disks: none, since this user may not mount a file system");
            return;
        };
        let data = disk_of.0.path().join("data");
        let daemon = Daemon::start(&data);
        let mut clients = clients_of(&daemon, &data, CLIENTS, disk);
        work_for(&mut clients, 5_000);
        assert!(tally(&clients).refused > 0, "the disk became full: {:?}", tally(&clients));
        let (status, health) = clients[0].look("/health");
        assert!(status == 503 && health.contains("NOT_DURABLE"), "{status} {health}");
        let url = daemon.url().to_owned();
        assert_eq!(compare(&mut clients, &url), Vec::<String>::new(), "from memory");
        daemon.kill();
        clients.iter_mut().for_each(Ledger::doubt_refused);
        disk_of.grow(200_000);
        let daemon = start(&data);
        assert_eq!(compare(&mut clients, daemon.url()), Vec::<String>::new(), "with space");
        work_for(&mut clients, 20);
        let tally = tally(&clients);
        println!(
            "full disk {disk}: acknowledged {}, refused {}, lost: 0, invented: 0",
            tally.acknowledged, tally.refused
        );
        assert_eq!(daemon.stop(), 0);
    }
}

/// Canary: a disk that reports writes without writing must be detected.
#[test]
#[ignore = "needs strace: scripts/faults"]
fn disk_that_drops_writes_is_detected() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let mut clients = clients_of(&daemon, data.path(), CLIENTS, 3);
    assert_eq!(daemon.stop(), 0);
    let mut lie = Command::new("strace");
    lie.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=write", "-e", "inject=write:retval=1:when=10+"]);
    for journal in files(data.path(), Files::Journals) {
        lie.arg("-P").arg(journal);
    }
    lie.args([env!("CARGO_BIN_EXE_dialback"), "serve"]);
    let daemon = Daemon::start_by(data.path(), lie).expect("it starts");
    for client in &mut clients {
        client.moved_to(daemon.url());
    }
    work_for(&mut clients, STEPS);
    daemon.kill();
    let mut again = Command::new(env!("CARGO_BIN_EXE_dialback"));
    again.arg("serve");
    match Daemon::start_by(data.path(), again) {
        Err(refused) => assert!(refused.contains("damaged"), "{refused}"),
        Ok(daemon) => assert!(!compare(&mut clients, daemon.url()).is_empty()),
    }
}
