//! A week of upkeep in simulated time: calls, erasures, expiry, purges, exports, statistics, and a kill each hour. At
//! its end the store uses about as much disk and memory as a new store with the same live data.
//!
//! The recorded run is `DIALBACK_WEEK_CALLS=10000000 cargo test --release --all-features --test store upkeep_week --
//! --nocapture`.

use dialback::history::Register;
use dialback::store::{FjallStore, restore};
use dialback::testing::universe::{Agent, Dialed, Number, START, Tenant};
use dialback::{
    Call, Caller, Change, DialPlan, Direction, E164, Engine, Erasure, Event, Lookback, Outcome, Reason, Service,
    Timestamp,
};
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;

const HOURS: u64 = 168;
const HOUR_MILLIS: u64 = 3_600_000;
/// The default number of calls in a run.
const CALLS: u64 = 10_000;
/// The look-back, and one more day for which a call is kept.
const KEPT_HOURS: u64 = 48;
/// How many more bytes a store may use than a new one with the same data, because their tables have different sizes.
const SLACK: u64 = 1 << 20;
const TASK: &str = "DIALBACK_WEEK_TASK";

fn calls() -> u64 {
    std::env::var("DIALBACK_WEEK_CALLS").map_or(CALLS, |text| text.parse().expect("a number"))
}

fn at(hour: u64) -> Timestamp {
    Timestamp::from_millis(START.millis() + hour * HOUR_MILLIS)
}

/// Returns the contact of a call. Half of the contacts are new, the others were called before.
fn contact(call: u64) -> E164 {
    let number = if call.is_multiple_of(2) { call } else { call / 3 * 2 };
    E164::from_code(493_000_000_000 + number * 7).expect("a code")
}

fn is_erased(call: u64) -> bool {
    call.is_multiple_of(100)
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
    let a_hour = calls() / HOURS;
    let range = hour * a_hour..(hour + 1) * a_hour;
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
    if hour % 24 == 5 {
        let export = service.export().expect("it can");
        export(&mut std::io::sink()).expect("exported");
        let days = START.day()..=now.day();
        let statistics = service.statistics(Tenant(0).id(), &days);
        assert!(hour < 24 || statistics.callbacks.iter().any(|one| one.count.received > 0), "decisions are counted");
    }
    if hour % 24 == 6 {
        purge(&service, &upkeep, now);
    }
    // Abort like a killed process: no destructor runs.
    std::process::abort();
}

fn purge(service: &Service, upkeep: &dialback::store::Upkeep, now: Timestamp) -> u64 {
    let floor = Register::floor(Timestamp::from_millis(now.millis() - KEPT_HOURS * HOUR_MILLIS));
    service.history().expire_before(floor);
    let purged = upkeep.purge(Some(floor), now).expect("purged");
    assert_eq!(purged.journals, 1, "{purged:?}");
    purged.bytes_after
}

/// Purges a directory and prints what it uses then: disk, memory and pairs.
fn measure(data: &Path) {
    let (service, upkeep) = open(data);
    let disk = purge(&service, &upkeep, at(HOURS));
    drop(service);
    // Load the directory again, so that memory used by the compaction is not counted.
    let (service, _upkeep) = open(data);
    println!("measured {disk} {} {}", resident(), service.history().len());
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
        "measure" => measure(Path::new(data)),
        number => hour(Path::new(data), number.parse().expect("an hour")),
    }
}

fn run(what: &str, data: &Path) -> std::process::Output {
    let mut process = Command::new(std::env::current_exe().expect("this program"));
    process.args(["--exact", "upkeep_week::run_in_this_process", "--ignored", "--nocapture", "--test-threads=1"]);
    process.env(TASK, format!("{what} {}", data.display())).output().expect("it runs")
}

fn measured(data: &Path) -> [u64; 3] {
    let output = run("measure", data);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find_map(|line| line.split_once("measured ")).expect("it says so").1.to_owned();
    let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().expect("a number")).collect();
    numbers.try_into().expect("three")
}

fn allocated(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries: Vec<PathBuf> = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.blocks() * 512);
    entries.iter().map(|path| if path.is_dir() { allocated(path) } else { size(path) }).sum()
}

#[test]
fn store_after_a_week_of_upkeep_and_kills_is_as_small_as_a_new_one() {
    use std::os::unix::process::ExitStatusExt;
    let place = tempfile::tempdir().expect("a directory");
    let (data, fresh) = (place.path().join("data"), place.path().join("fresh"));
    let mut most = 0;
    for hour in 0..HOURS {
        let output = run(&hour.to_string(), &data);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(6), "hour {hour}: {said}");
        most = most.max(allocated(&data));
        if hour % 24 == 23 {
            println!("hour {hour}: {} MiB on the disk", allocated(&data) >> 20);
        }
    }
    let [disk, memory, pairs] = measured(&data);
    let export = place.path().join("export");
    let store = FjallStore::open(&data).expect("it opens");
    store.exporter().export(&mut fs::File::create(&export).expect("made"), false).expect("exported");
    drop(store);
    restore(&fresh, BufReader::new(fs::File::open(&export).expect("there"))).expect("restored");
    let [needed_disk, needed_memory, needed_pairs] = measured(&fresh);
    println!(
        "{} calls, {HOURS} kills, {pairs} pairs left: disk {disk} of {needed_disk} bytes, memory {memory} of {needed_memory}; \
         at most {most} on the disk meanwhile",
        calls()
    );
    assert_eq!(pairs, needed_pairs);
    assert!(pairs > calls() / HOURS, "some calls are live: {pairs}");
    assert!(pairs < calls() / 2, "most have expired: {pairs}");
    let is_near = |is: u64, needed: u64| is <= needed + needed / 5 + SLACK && needed <= is + is / 5 + SLACK;
    assert!(is_near(disk, needed_disk), "disk: {disk}, and {needed_disk} are needed");
    assert!(is_near(memory, needed_memory), "memory: {memory}, and {needed_memory} are needed");
}
