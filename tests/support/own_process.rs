//! Runs a test in a process of its own, because it measures the process or depends on a setting of the whole process.

use std::any::type_name;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

const VARIABLE: &str = "DIALBACK_IN_OWN_PROCESS";

/// Returns true in the process of the test. Otherwise starts that process, waits until it ends, and returns false.
/// Only one such process of a test program runs at a time.
///
/// `here` is a closure in the body of the test: the name of its type contains the name of the test.
///
/// # Panics
///
/// If the test fails in its process, or if no test has this name.
#[must_use]
pub fn in_own_process<T>(_here: T) -> bool {
    static TURN: Mutex<()> = Mutex::new(());
    if std::env::var_os(VARIABLE).is_some() {
        return true;
    }
    let (_, name) = type_name::<T>().split_once("::").expect("the name of this program comes first");
    let name = name.replace("::{{closure}}", "");
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut process = Command::new(std::env::current_exe().expect("this program"));
    process.args(["--exact", &name, "--nocapture", "--test-threads=1"]).env(VARIABLE, "1");
    let output = process.output().expect("it runs");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}{complained}");
    assert!(output.status.success() && said.contains("test result: ok. 1 passed"), "{name} failed in its process");
    false
}
