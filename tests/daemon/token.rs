//! `dialback token`: tokens that expire and tokens that are replaced.

use crate::support;
use serde_json::Value;
use std::path::Path;
use support::daemon::{Daemon, dialback};

fn listed(data: &Path) -> Vec<Value> {
    let (code, text, wrong) = dialback(&["--json", "token", "list", "--data"], data);
    assert_eq!(code, 0, "{wrong}");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn token_expires_and_is_rotated_with_and_without_a_daemon() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    let create = ["token", "create", "--role", "gateway", "--expires-in", "90d", "--create-directory", "--data"];
    let (code, first, wrong) = dialback(&create, &data);
    assert!(code == 0 && first.starts_with("gate_"), "{wrong}");
    let token = listed(&data).remove(0);
    assert!(token["expires_at"].is_string() && token["last_used_at"].is_null(), "{token}");
    let id = token["id"].as_str().expect("an id");

    // The old token expires, so the command has to say how long the new one is valid.
    let (code, _, wrong) = dialback(&["token", "rotate", id, "--data"], &data);
    assert!(code == 1 && wrong.contains("add --expires-in for the new one, or --never-expires"), "{code} {wrong}");
    let endless = ["token", "create", "--role", "gateway", "--expires-in", "99999999d", "--data"];
    let (code, _, wrong) = dialback(&endless, &data);
    assert!(code == 2 && wrong.contains("--expires-in is too long"), "{code} {wrong}");
    let (code, second, wrong) =
        dialback(&["token", "rotate", id, "--never-expires", "--overlap", "1h", "--data"], &data);
    assert!(code == 0 && second.starts_with("gate_") && second != first && wrong.contains("valid until"), "{wrong}");
    let expiries: Vec<_> = listed(&data).into_iter().map(|token| token["expires_at"].is_null()).collect();
    assert_eq!(expiries.iter().filter(|never| **never).count(), 1, "{expiries:?}");

    // The changes are stored, and a running daemon follows them.
    let daemon = Daemon::start(&data);
    assert_eq!(listed(&data).len(), 2);
    let new = listed(&data).into_iter().find(|token| token["expires_at"].is_null()).expect("the new one");
    let id = new["id"].as_str().expect("an id");
    let rotate = ["--json", "token", "rotate", id, "--overlap", "0s", "--expires-in", "12h", "--data"];
    let (code, text, wrong) = dialback(&rotate, &data);
    assert_eq!(code, 0, "{wrong}");
    let rotated: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(rotated["replaces"]["id"], new["id"]);
    let (code, table, _) = dialback(&["token", "list", "--data"], &data);
    assert!(code == 0 && table.starts_with("ID ") && table.contains("LAST USED"), "{table}");
    drop(daemon);
    assert!(listed(&data).iter().all(|token| token["expires_at"].is_string()), "a restart keeps the expiries");
}

#[test]
fn token_for_a_new_environment_is_created_only_where_there_is_none() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    let create =
        |name: &str| dialback(&["token", "create", "--create-directory", "--environment", name, "--data"], &data);
    let (code, token, wrong) = create("Clinic");
    assert!(code == 0 && !token.trim().is_empty(), "{wrong}");
    assert!(wrong.contains("Created an environment named `Clinic`."), "{wrong}");
    assert_eq!(create("Clinic").0, 0, "it exists");
    let (code, _, wrong) = create("Klinic");
    assert!(code == 1 && wrong.contains("no environment with the name or id Klinic"), "{wrong}");

    // The first file for this token needs no `--rename`.
    let file = folder.path().join("clinic.toml");
    std::fs::write(&file, "[environment]\nname = \"Clinic\"\nlookback_days = 7\n").expect("written");
    let daemon = Daemon::start(&data);
    let apply = std::process::Command::new(env!("CARGO_BIN_EXE_dialback"))
        .args(["apply", file.to_str().expect("plain"), "--url", daemon.url()])
        .env("DIALBACK_TOKEN", token.trim())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&apply.stdout);
    assert!(said.ends_with("1 change made\n"), "{said}{}", String::from_utf8_lossy(&apply.stderr));
    assert_eq!(daemon.stop(), 0);
}

/// Nobody could use a token that was created and not shown.
#[cfg(target_os = "linux")]
#[test]
fn token_is_shown_if_standard_error_cannot_be_written() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    let shown = |arguments: &[&str]| {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full device");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_dialback"));
        let output = command.args(arguments).arg("--data").arg(&data).stderr(full).output().expect("it runs");
        (output.status.code(), String::from_utf8(output.stdout).expect("a token"))
    };
    let (code, token) = shown(&["token", "create", "--create-directory"]);
    assert!(code == Some(0) && token.starts_with("talq_"), "{code:?} {token}");
    let id = listed(&data)[0]["id"].as_str().expect("an id").to_owned();
    let (code, token) = shown(&["token", "rotate", &id, "--overlap", "0s"]);
    assert!(code == Some(0) && token.starts_with("talq_"), "{code:?} {token}");
}

#[test]
fn refused_token_leaves_no_environment_behind() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    assert_eq!(dialback(&["token", "create", "--role", "operator", "--create-directory", "--data"], &data).0, 0);
    let id = dialback::EnvironmentId::from_u128(7).to_string();
    let long = "x".repeat(256);
    for (arguments, code) in [
        (["--environment", "Clinic", "--expires-in", "99999999d"], 2),
        (["--environment", "Clinic", "--label", &long], 2),
        (["--environment", &id, "--label", "a"], 1),
    ] {
        assert_eq!(dialback(&[&["token", "create"], &arguments[..], &["--data"]].concat(), &data).0, code);
        let (code, environments, _) = dialback(&["--json", "environment", "list", "--data"], &data);
        assert_eq!((code, environments.trim()), (0, "[]"), "{arguments:?}");
    }
}
