//! Waiting for what another process does.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Repeats a question until there is an answer. Fails if there is none in time.
pub fn until<T>(patience: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < patience, "in {} s: {what}", patience.as_secs());
        sleep(Duration::from_millis(50));
    }
}
