//! Tests of `dialback verify`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn dialback(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dialback"));
    command.args(arguments).arg("--data").arg(data);
    command.env_remove("DIALBACK_LOG").output().expect("it runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ends by itself")
}

fn answer(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn journal(data: &Path) -> PathBuf {
    let files = fs::read_dir(data.join("store")).expect("a store").map(|entry| entry.expect("readable").path());
    files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "jnl")).expect("a journal")
}

#[test]
fn verify_accepts_a_good_directory_and_names_damage() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    assert_eq!(code(&dialback(&data, &["verify"])), 4, "there is none");
    assert!(!data.exists(), "and none is made");
    assert_eq!(code(&dialback(&data, &["token", "create", "--create-directory"])), 0);

    let good = dialback(&data, &["verify", "--json"]);
    assert_eq!(code(&good), 0, "{}", String::from_utf8_lossy(&good.stderr));
    let text = answer(&good);
    assert_eq!((&text["good"], &text["damages"]), (&serde_json::json!(true), &serde_json::json!([])));
    assert!(text["configurations"].as_u64().expect("a number") > 0);
    assert!(text["batches"].as_u64().expect("a number") > 0);

    let journal = journal(&data);
    let mut bytes = fs::read(&journal).expect("readable");
    bytes[40] ^= 4;
    fs::write(&journal, &bytes).expect("written");
    let damaged = dialback(&data, &["verify", "--json"]);
    assert_eq!(code(&damaged), 4);
    let named = answer(&damaged)["damages"].clone();
    assert_eq!(named[0]["path"], journal.display().to_string());
    let damaged = dialback(&data, &["verify"]);
    assert_eq!(code(&damaged), 4);
    assert!(String::from_utf8_lossy(&damaged.stdout).contains(&format!("{}: damaged: ", journal.display())));
    assert_eq!(fs::read(&journal).expect("readable"), bytes, "what is damaged stays as it is");
}

#[cfg(unix)]
#[test]
fn verify_tightens_permissions_and_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    assert_eq!(code(&dialback(&data, &["token", "create", "--create-directory"])), 0);
    let said = dialback(&data, &["verify", "--json"]);
    assert_eq!(answer(&said)["tightened"], 0);
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).expect("permitted");
    let said = String::from_utf8(dialback(&data, &["verify"]).stdout).expect("text");
    assert!(said.contains("warning: other users could read ") && said.contains(" permissions are tightened"), "{said}");
    assert_eq!(fs::metadata(&data).expect("there").permissions().mode() & 0o777, 0o700);
}

#[test]
fn verify_leaves_a_foreign_directory_unchanged() {
    let place = tempfile::tempdir().expect("a directory");
    fs::write(place.path().join("notes"), "keep me").expect("written");
    let output = dialback(place.path(), &["verify"]);
    assert_eq!(code(&output), 4);
    assert!(String::from_utf8_lossy(&output.stderr).contains("not a data directory of dialback"));
    assert_eq!(fs::read_dir(place.path()).expect("there").count(), 1);
}

#[test]
fn old_journals_are_reported_as_json() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    assert_eq!(code(&dialback(&data, &["token", "create", "--create-directory"])), 0);
    let verified = answer(&dialback(&data, &["verify", "--json"]));
    assert_eq!((&verified["journals"], &verified["old_journals"]), (&1.into(), &false.into()));
    // Interrupted purges leave such journals: sealed, and without live data.
    let number: u64 = journal(&data).file_stem().and_then(|stem| stem.to_str()?.parse().ok()).expect("a number");
    let leave_more = || {
        for more in 1..=4 {
            fs::write(data.join(format!("store/{}.jnl", number + more)), []).expect("written");
        }
    };
    leave_more();
    let output = dialback(&data, &["verify"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(code(&output), 0, "nothing is damaged: {said}");
    assert!(said.contains("warning: ") && said.contains(" journals of "), "{said}");
    leave_more();
    let verified = answer(&dialback(&data, &["verify", "--json"]));
    assert_eq!((&verified["good"], &verified["old_journals"]), (&true.into(), &true.into()), "{verified}");
}

/// No command panics or aborts: each says how much it needs.
#[cfg(target_os = "linux")]
#[test]
fn too_little_address_space_for_a_command_is_an_error_that_says_what_is_needed() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    let run = |kilobytes: u32, arguments: &str| {
        let line = format!("ulimit -v {kilobytes}; exec {} {arguments}", env!("CARGO_BIN_EXE_dialback"));
        Command::new("sh").args(["-c", &line]).env("DIALBACK_DATA", &data).output().expect("it runs")
    };
    let create = "token create --role gateway --create-directory";
    for (kilobytes, command) in [
        (2_000_000, "token create --create-directory --max-pairs 100000000"),
        (1_000_000, create),
        (500_000, "demo --no-serve"),
        (1_000_000, "demo --no-serve"),
    ] {
        let output = run(kilobytes, command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(code(&output), 1, "{command}: {said}");
        let limit = format!("the limit of address space is {} MiB, and ", kilobytes / 1024);
        assert!(said.contains(&limit) && said.contains("raise the limit (ulimit -v, "), "{command}: {said}");
        assert_eq!(said.contains("--max-pairs"), !command.starts_with("demo"), "{said}");
        let needed = said.split_once(&limit).and_then(|(_, rest)| rest.split(' ').next()?.parse::<u32>().ok());
        let output = run(needed.expect("a number") * 1024, command);
        assert_eq!(code(&output), 0, "{command}: {output:?}");
    }
}
