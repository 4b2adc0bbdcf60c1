//! New random identities.

use uuid::{Builder, Uuid};

/// Returns a new random UUID (RFC 9562, version 4).
///
/// # Panics
/// If the operating system provides no random bytes.
pub(super) fn uuid() -> Uuid {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).expect("the operating system provides random bytes");
    Builder::from_random_bytes(bits).into_uuid()
}
