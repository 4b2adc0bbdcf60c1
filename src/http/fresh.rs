//! Identities that nobody had before.

use uuid::{Builder, Uuid};

/// A random UUID (RFC 9562, version 4).
pub(super) fn uuid() -> Uuid {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).expect("the operating system gives random bytes");
    Builder::from_random_bytes(bits).into_uuid()
}
