//! New random identities.

use uuid::{Builder, Uuid};

/// Returns a new random UUID (RFC 9562, version 4).
///
/// # Errors
/// The operating system provides no random bytes.
pub(crate) fn uuid() -> Result<Uuid, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(Builder::from_random_bytes(bytes).into_uuid())
}
