//! Numbers that the environment sets for a run of a test.

/// Returns the number in an environment variable, or `None` if it is not set.
pub fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}
