//! Runs the scenarios of `tests/data` through the control API.
#![cfg(all(feature = "http", feature = "__testing"))]

#[path = "support/http_door.rs"]
#[allow(unreachable_pub)]
mod http_door;

use dialback::testing::scenario::{File, run};
use http_door::HttpDoor;
use std::path::Path;

/// Scenarios in which the API intentionally differs from the library.
const OTHERWISE_OVER_HTTP: [&str; 2] = [
    // The library erases up to a given time. The API erases a contact completely, including a call that a fast clock
    // dated ahead; `tests/http/contacts.rs` tests that.
    "a call dated after the erasure survives it",
    // The library accepts a late report. The API rejects each call from a number that the tenant does not hold.
    "a call reported while the number was released counts after it is added again",
];

#[test]
fn each_scenario_holds_over_http() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut scenarios = 0;
    for entry in std::fs::read_dir(directory).expect("there are scenarios") {
        let path = entry.expect("a readable directory").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let file = File::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for scenario in file.scenario.iter().filter(|one| !OTHERWISE_OVER_HTTP.contains(&one.name.as_str())) {
            run(&file, scenario, &mut HttpDoor::new());
            scenarios += 1;
        }
    }
    assert!(scenarios >= 60, "{scenarios}");
}
