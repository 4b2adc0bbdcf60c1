//! Runs the scenarios of `tests/data` through the control API.

use super::door::HttpDoor;
use crate::support::scenarios::run_each;

/// Scenarios in which the API intentionally differs from the library.
const OTHERWISE_OVER_HTTP: [&str; 2] = [
    // The library erases up to a given time. The API erases a contact completely, including a call that a fast clock
    // dated ahead; `tests/doors/http/contacts.rs` tests that.
    "a call dated after the erasure survives it",
    // The library accepts a late report. The API rejects each call from a number that the tenant does not hold.
    "a call reported while the number was released counts after it is added again",
];

#[test]
fn each_scenario_holds_over_http() {
    let scenarios = run_each(|one| !OTHERWISE_OVER_HTTP.contains(&one.name.as_str()), HttpDoor::new);
    assert!(scenarios >= 60, "{scenarios}");
}
