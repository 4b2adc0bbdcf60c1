//! Imports that are killed, and imports onto a full disk. What is stored by then is whole, and importing the file again has
//! the result of one import.

use super::Site;
use crate::support::daemon::{Daemon, dialback};
use crate::support::ledger::Random;
use crate::support::setting::setting;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// More calls than an import holds back, so that some are stored while others are read.
const CALLS: usize = 70_000;
const NAMES: usize = 10;
/// The number of kills, if no setting names another.
const KILLS: u64 = 2;

fn file(site: &Site) -> std::path::PathBuf {
    let mut text = String::from("from,to,at,agent,status\n");
    for call in 0..CALLS {
        let (from, at, agent) = (15_550_100_000 + call % NAMES, 1_751_371_200 + call, call % NAMES);
        writeln!(text, "+{from},+4477{call:08},{at},agent-{agent},busy").expect("a string takes all");
    }
    site.file(text)
}

/// Returns the stored calls with the names of their agents.
fn stored(site: &Site) -> BTreeSet<String> {
    let (code, text, errors) = dialback(&["export", "--data"], &site.path("data"));
    assert_eq!(code, 0, "{errors}");
    let service = site.service();
    let plan = service.plan();
    let agents = plan.environments().flat_map(|environment| {
        environment.agents().map(|agent| (agent.id().to_string(), agent.name().to_owned())).collect::<Vec<_>>()
    });
    let names: BTreeMap<String, String> = agents.collect();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let call = |line: Value| {
        let call = line["call"].as_object()?.clone();
        let agent = names.get(call["agent"].as_str()?).expect("an agent of the plan");
        Some(format!("{} {} {} {} {agent}", call["number"], call["contact"], call["at"], call["outcome"]))
    };
    lines.filter_map(call).collect()
}

/// Checks that there is nothing, or an environment with all its numbers and agents. Returns the number of calls.
fn whole(site: &Site) -> usize {
    if !site.path("data").exists() {
        return 0;
    }
    let service = site.service();
    let plan = service.plan();
    let environments: Vec<_> = plan.environments().collect();
    assert!(environments.len() <= 1);
    for environment in environments {
        assert_eq!(
            (environment.numbers().count(), environment.agents().count()),
            (NAMES, NAMES),
            "half an environment"
        );
    }
    service.history().len()
}

/// Imports the file again, and checks that all is stored.
fn import_again(site: &Site, file: &Path, expected: &BTreeSet<String>) {
    let done = site.import(file, &["--create-missing"]);
    assert_eq!((done.code, done.count("accepted")), (Some(0), CALLS as u64), "{}", done.stderr);
    assert!(stored(site) == *expected, "another result than that of one import");
}

fn part(whole: Duration, thousandths: usize) -> Duration {
    whole * u32::try_from(thousandths).expect("a thousandth") / 1000
}

fn begin(site: &Site, file: &Path) -> Child {
    let mut command = site.command(file, &["--create-missing"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
}

/// Waits until the import has ended, or for this time. Then kills it.
fn kill(mut import: Child, after: Duration) {
    sleep(after);
    import.kill().expect("our child");
    import.wait().expect("our child");
}

/// Waits until a file exists, while the import is under way.
fn await_file(path: &Path, import: &mut Child) {
    while !path.exists() && import.try_wait().expect("our child").is_none() {
        sleep(Duration::from_millis(1));
    }
}

#[test]
fn killed_import_leaves_nothing_or_a_directory_into_which_the_file_can_be_imported_again() {
    let seed = setting("DIALBACK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let mut random = Random(seed);
    let once = Site::empty();
    let file = file(&once);
    let mut import = begin(&once, &file);
    await_file(&once.path("data"), &mut import);
    let begun = Instant::now();
    assert!(import.wait().expect("our child").success());
    let storing = begun.elapsed();
    let expected = stored(&once);
    assert_eq!((expected.len(), whole(&once)), (CALLS, CALLS));
    let (kills, mut midway, mut turn) = (setting("DIALBACK_KILLS").unwrap_or(KILLS), 0, 0);
    while turn < kills || midway == 0 {
        assert!(turn < 10 * kills, "no kill of seed {seed} came midway");
        turn += 1;
        let site = Site::empty();
        let mut import = begin(&site, &file);
        await_file(&site.path("data"), &mut import);
        kill(import, part(storing, random.below(1000)));
        let calls = whole(&site);
        midway += u64::from(calls > 0 && calls < CALLS);
        import_again(&site, &file, &expected);
    }
    println!("kills: {turn}, of which {midway} when some calls were stored");
}

/// Returns the number of contacts that a daemon holds.
fn held(daemon: &Daemon) -> usize {
    let mut page = ureq::get(format!("{}/metrics", daemon.url())).call().expect("an answer");
    let page = page.body_mut().read_to_string().expect("text");
    let line = page.lines().find_map(|line| line.strip_prefix("dialback_pairs ")).expect("the metric");
    line.parse().expect("a count")
}

#[test]
fn killed_import_into_a_daemon_can_be_repeated() {
    let once = Site::empty();
    let file = file(&once);
    assert_eq!(once.import(&file, &["--create-missing"]).code, Some(0));
    let expected = stored(&once);
    let seed = setting("DIALBACK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let mut random = Random(seed);
    let (kills, mut midway, mut turn) = (setting("DIALBACK_KILLS").unwrap_or(KILLS), 0, 0);
    while turn < kills || midway == 0 {
        assert!(turn < 10 * kills, "no kill of seed {seed} came midway");
        turn += 1;
        let site = Site::empty();
        let daemon = Daemon::start(&site.path("data"));
        let mut import = begin(&site, &file);
        while held(&daemon) == 0 && import.try_wait().expect("our child").is_none() {}
        kill(import, part(Duration::from_millis(40), random.below(1000)));
        midway += u64::from((1..CALLS).contains(&held(&daemon)));
        let done = site.import(&file, &["--create-missing"]);
        assert_eq!((done.code, done.count("accepted")), (Some(0), CALLS as u64), "{}", done.stderr);
        assert_eq!(daemon.stop(), 0);
        assert_eq!(whole(&site), CALLS);
        assert!(stored(&site) == expected, "another result than that of one import");
    }
    println!("kills: {turn}, of which {midway} when some calls were stored");
}

/// No file may grow beyond a limit, as on a full disk.
#[test]
fn full_disk_ends_the_import_with_a_message_and_no_half_environment() {
    let once = Site::empty();
    let file = file(&once);
    assert_eq!(once.import(&file, &["--create-missing"]).code, Some(0));
    let expected = stored(&once);
    let (mut nothing, mut midway) = (0, 0);
    // A new store reserves more than these limits. One that exists grows up to them. The last one leaves room for the calls
    // that an import holds back at first, which may be committed at once, and not for all.
    let journal = once.path("data/store/0.jnl").metadata().expect("a journal").len() / 1024;
    for (exists, kib) in [(false, 0), (false, 64), (true, 2), (true, 256), (true, journal * 97 / 100)] {
        let site = Site::empty();
        if exists {
            drop(site.service());
        }
        let program = site.command(&file, &["--create-missing", "--json"]);
        let mut limited = Command::new("bash");
        limited.args(["-c", &format!("trap '' XFSZ; ulimit -f {kib}; exec \"$@\""), "bash"]);
        limited.arg(program.get_program()).args(program.get_args());
        let output = limited.output().expect("bash runs");
        let (_, stderr) = super::texts(&output);
        assert!(matches!(output.status.code(), Some(1 | 4)), "{kib} KiB: {} {stderr}", output.status);
        assert!(stderr.contains("\"success\":false") && !stderr.contains("panicked"), "{kib} KiB: {stderr}");
        let calls = whole(&site);
        assert!(calls < CALLS, "{kib} KiB");
        if calls > 0 {
            assert!(stderr.contains("importing the file again is safe"), "{kib} KiB: {stderr}");
        }
        (nothing, midway) = (nothing + u32::from(calls == 0), midway + u32::from(calls > 0));
        import_again(&site, &file, &expected);
    }
    println!("limits: {nothing} without a call, {midway} with some");
    assert!(nothing > 0 && midway > 0, "{nothing} {midway}");
}
