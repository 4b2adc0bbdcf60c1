//! A week of upkeep in simulated time: calls, erasures, expiry, purges, exports, statistics, and a kill each hour. Some
//! of the kills fall inside a purge or an export. After a purge the disk holds no number that was erased or has expired,
//! and at the end the store uses about as much disk and memory as a new store with the same live data.
//!
//! The recorded run is `DIALBACK_WEEK_CALLS=10000000 cargo test --release --all-features --test store upkeep_week --
//! --nocapture`.

mod contacts;
mod stop;

use crate::support::disk_search::DiskSearch;
use contacts::{Recorded, contact, is_erased};
use dialback::history::Register;
use dialback::store::{FjallStore, restore};
use dialback::testing::universe::{Agent, Dialed, Number, START, Tenant};
use dialback::{
    Call, Caller, Change, DialPlan, Direction, Engine, Erasure, Event, Lookback, Outcome, Reason, Service, Timestamp,
};
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const HOURS: u64 = 168;
const HOUR_MILLIS: u64 = 3_600_000;
/// The default number of calls in a run.
const CALLS: u64 = 10_000;
/// The look-back, and one more day for which a call is kept.
const KEPT_HOURS: u64 = 48;
/// How many more bytes of the disk a store may use than a new one. The engine keeps up to three flushed tables of a keyspace
/// before it compacts them, a purge rewrites three of the eight keyspaces only, and the smallest table takes a block.
const SMALL_TABLES: u64 = 8 * 3 * 4096;
/// How much the memory differs between two starts on one directory. 2 MB were measured: a thread that loads none of a small
/// store touches less of its memory.
const BETWEEN_STARTS: u64 = 4 << 20;
/// The hours of each day with a complete export, a complete purge, and a kill inside a purge or an export.
const EXPORT: u64 = 5;
const PURGE: u64 = 6;
const KILLED_PURGES: [u64; 3] = [9, 14, 20];
const KILLED_EXPORT: u64 = 17;
/// The most disk space that killed purges use in addition: two journals that are padded to 64 MB each.
const PADDING: u64 = 2 * 64_000_000 + (16 << 20);
const TASK: &str = "DIALBACK_WEEK_TASK";

fn calls() -> u64 {
    std::env::var("DIALBACK_WEEK_CALLS").map_or(CALLS, |text| text.parse().expect("a number"))
}

fn calls_an_hour() -> u64 {
    calls() / HOURS
}

fn at(hour: u64) -> Timestamp {
    Timestamp::from_millis(START.millis() + hour * HOUR_MILLIS)
}

fn configure(service: &Service) {
    let settings =
        Change::EnvironmentSet { name: "acme".into(), dial_plan: DialPlan::NONE, lookback: Lookback::from_days(1) };
    let mut changes = vec![settings, Change::NumberAdded { id: Number(0).id(), number: Dialed(0).number() }];
    for (agent, direction) in [(Agent(0), Direction::Outbound), (Agent(3), Direction::Inbound)] {
        changes.push(Change::AgentCreated { id: agent.id(), name: "agent".into(), label: None, direction });
        let numbers = Some(vec![Number(0).id()]);
        changes.push(Change::CallingSet { id: agent.id(), direction, numbers });
        changes.push(Change::AgentPublished { id: agent.id() });
    }
    let sources = vec![Agent(0).id()];
    changes.push(Change::CallbackSet { id: Agent(3).id(), sources, outcomes: None, lookback: None });
    service.configure(Tenant(0).id(), START, |_| Ok(changes)).expect("valid");
}

fn open(data: &Path) -> (Service, dialback::store::Upkeep) {
    let store = FjallStore::open(data).expect("it opens");
    let upkeep = store.upkeep();
    (Service::builder(store).engine(Engine::with_max_pairs(20_000_000)).start().expect("it fits"), upkeep)
}

/// Runs one hour of the week, and ends with a kill.
fn hour(data: &Path, hour: u64) {
    let (service, upkeep) = open(data);
    if hour == 0 {
        configure(&service);
    }
    let range = hour * calls_an_hour()..(hour + 1) * calls_an_hour();
    let now = at(hour);
    let event = |call: u64| {
        let (environment, agent, from) = (Tenant(0).id(), Agent(0).id(), Dialed(0).number());
        let placed = Call { environment, agent, from, to: contact(call), at: now, outcome: Outcome::Busy };
        let erasure = Erasure { environment, contact: contact(call), until: now, is_ahead: false };
        [Some(Event::Call(placed)), is_erased(call).then_some(Event::Erasure(erasure))].into_iter().flatten()
    };
    let all: Vec<u64> = range.collect();
    for some in all.chunks(2000) {
        let events = some.iter().flat_map(|call| event(*call)).collect();
        service.record(events).expect("durable").into_iter().for_each(|did| assert!(did.is_ok(), "taken"));
    }
    for call in all.iter().filter(|call| *call % 10 == 4) {
        let routed = service.route(Dialed(0).number(), Caller::Number(contact(*call)), now);
        assert_eq!(routed.decision.reason, Reason::Matched, "call {call} of hour {hour}");
    }
    let (done, counted) = std::sync::mpsc::channel();
    service.submit_counts(move |did| drop(done.send(did)));
    counted.recv().expect("an answer").expect("durable");
    upkeep_of(hour, &service, &upkeep, data);
    // Abort like a killed process: no destructor runs.
    std::process::abort();
}

/// Does the upkeep of an hour, which may end in a kill.
fn upkeep_of(hour: u64, service: &Service, upkeep: &dialback::store::Upkeep, data: &Path) {
    let (day, now) = (hour / 24, at(hour));
    let export = service.export().expect("it can");
    match hour % 24 {
        EXPORT => {
            export(&mut std::io::sink()).expect("exported");
            let days = START.day()..=now.day();
            let statistics = service.statistics(Tenant(0).id(), &days);
            assert!(
                hour < 24 || statistics.callbacks.iter().any(|one| one.count.received > 0),
                "decisions are counted"
            );
        }
        PURGE => {
            purge(service, upkeep, now);
            wait_for_tables(data);
        }
        KILLED_EXPORT => {
            let bytes = usize::try_from(day * day * 1000).expect("few");
            export(&mut stop::UntilKilled(bytes)).expect("it is killed");
        }
        here if KILLED_PURGES.contains(&here) => std::thread::scope(|scope| {
            let purge = scope.spawn(|| purge(service, upkeep, now));
            stop::in_purge(&purge, data, day * 3 + here)
        }),
        _ => {}
    }
}

/// Waits until the engine is writing no table. The part of an unfinished one that the kill cuts off could not be searched.
fn wait_for_tables(data: &Path) {
    let unfinished = DiskSearch::new([]);
    let looks = (0..3000).find(|_| {
        std::thread::sleep(Duration::from_millis(10));
        unfinished.traces(data).is_empty()
    });
    looks.expect("the engine finishes its tables");
}

fn purge(service: &Service, upkeep: &dialback::store::Upkeep, now: Timestamp) -> u64 {
    let floor = Register::floor(Timestamp::from_millis(now.millis() - KEPT_HOURS * HOUR_MILLIS));
    service.history().expire_before(floor);
    let purged = upkeep.purge(Some(floor), now).expect("purged");
    assert_eq!(purged.journals, 1, "{purged:?}");
    purged.bytes_after
}

/// Purges a directory and prints the disk space that it uses then.
fn measure_disk(data: &Path) {
    let (service, upkeep) = open(data);
    println!("measured {}", purge(&service, &upkeep, at(HOURS)));
}

/// Opens a directory and prints the memory and the pairs. Nothing else has used memory in this process.
fn measure_memory(data: &Path) {
    let (service, _upkeep) = open(data);
    println!("measured {} {}", resident(), service.history().len());
}

/// Returns the process's own memory in bytes, without mapped files.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("there");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("there");
    line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("a number") * 1024
}

/// Not a test by itself: the child process that is killed or measured.
#[test]
#[ignore = "another test runs it in a child process"]
fn run_in_this_process() {
    let Ok(task) = std::env::var(TASK) else { return };
    let (what, data) = task.split_once(' ').expect("two words");
    match what {
        "disk" => measure_disk(Path::new(data)),
        "memory" => measure_memory(Path::new(data)),
        number => hour(Path::new(data), number.parse().expect("an hour")),
    }
}

fn run(what: &str, data: &Path) -> std::process::Output {
    let mut process = Command::new(std::env::current_exe().expect("this program"));
    process.args(["--exact", "upkeep_week::run_in_this_process", "--ignored", "--nocapture", "--test-threads=1"]);
    process.env(TASK, format!("{what} {}", data.display())).output().expect("it runs")
}

/// Returns the disk space, the memory and the pairs of a directory after a purge.
fn measured(data: &Path) -> [u64; 3] {
    let [disk] = numbers(&run("disk", data));
    let [memory, pairs] = numbers(&run("memory", data));
    [disk, memory, pairs]
}

/// Returns the numbers that a process measured.
fn numbers<const N: usize>(output: &std::process::Output) -> [u64; N] {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find_map(|line| line.split_once("measured ")).expect("it says so").1.to_owned();
    let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().expect("a number")).collect();
    numbers.try_into().expect("as many as are measured")
}

fn allocated(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries: Vec<PathBuf> = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.blocks() * 512);
    entries.iter().map(|path| if path.is_dir() { allocated(path) } else { size(path) }).sum()
}

/// Returns what was recorded up to this hour when the purge at that time began.
fn recorded(hours: u64, hour: u64) -> Recorded {
    Recorded { calls: hours * calls_an_hour(), calls_an_hour: calls_an_hour(), hour }
}

#[test]
fn store_after_a_week_of_upkeep_and_kills_is_as_small_as_a_new_one() {
    use std::os::unix::process::ExitStatusExt;
    let place = tempfile::tempdir().expect("a directory");
    let (data, fresh) = (place.path().join("data"), place.path().join("fresh"));
    let (mut most, mut inside) = (0, [0, 0]);
    for hour in 0..HOURS {
        let output = run(&hour.to_string(), &data);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(6), "hour {hour}: {said}");
        let is_inside = String::from_utf8_lossy(&output.stdout).contains(stop::INSIDE);
        inside[usize::from(hour % 24 == KILLED_EXPORT)] += u64::from(is_inside);
        most = most.max(allocated(&data));
        if hour % 24 == PURGE {
            let (gone, live) = recorded(hour + 1, hour).expect_on_disk(&data);
            println!("hour {hour}: {gone} numbers searched are gone, {live} are there");
        }
        if hour % 24 == 23 {
            println!("hour {hour}: {} MiB on the disk", allocated(&data) >> 20);
        }
    }
    let [disk, memory, pairs] = measured(&data);
    let (gone, live) = recorded(HOURS, HOURS).expect_on_disk(&data);
    let export = place.path().join("export");
    let store = FjallStore::open(&data).expect("it opens");
    store.exporter().export(&mut fs::File::create(&export).expect("made"), false).expect("exported");
    drop(store);
    restore(&fresh, BufReader::new(fs::File::open(&export).expect("there"))).expect("restored");
    let [needed_disk, needed_memory, needed_pairs] = measured(&fresh);
    println!(
        "{} calls, {HOURS} kills ({} inside a purge, {} inside an export), {pairs} pairs left: disk {disk} of {needed_disk} \
         bytes, memory {memory} of {needed_memory}; at most {most} on the disk meanwhile; {gone} numbers searched are gone, \
         {live} are there",
        calls(),
        inside[0],
        inside[1],
    );
    assert!(inside[0] >= 14 && inside[1] == 7, "kills inside a purge and an export: {inside:?}");
    assert!(gone > 10 && live > 10, "something is searched: {gone}, {live}");
    assert!(most <= 3 * needed_disk + PADDING, "{most} bytes on the disk meanwhile");
    assert_eq!(pairs, needed_pairs);
    assert!(pairs > calls() / HOURS, "some calls are live: {pairs}");
    assert!(pairs < calls() / 2, "most have expired: {pairs}");
    let is_near = |is: u64, needed: u64, more: u64| is <= needed + needed / 5 + more && needed <= is + is / 5 + more;
    assert!(is_near(disk, needed_disk, SMALL_TABLES), "disk: {disk}, and {needed_disk} are needed");
    assert!(is_near(memory, needed_memory, BETWEEN_STARTS), "memory: {memory}, and {needed_memory} are needed");
}
