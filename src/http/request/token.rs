//! Access tokens.

use crate::event::Role;
use sha2::{Digest, Sha256};
use std::fmt;

/// A new token: the secret for its holder, and the digest for the server.
///
/// The secret has 256 random bits. The digest therefore needs no salt and no stretching: the secret cannot be found from it.
pub struct Token {
    /// `talq_`, `gate_` or `oper_`, then 43 characters of base64url. It is shown once and not stored.
    pub secret: String,
    /// The SHA-256 digest of the whole secret, for [`Change::TokenIssued`](crate::Change::TokenIssued).
    pub digest: [u8; 32],
}

impl Token {
    /// Creates a token for a role. The caller has to register the digest.
    ///
    /// # Panics
    /// If the operating system provides no random bytes.
    pub fn issue(role: Role) -> Self {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits).expect("the operating system provides random bytes");
        let secret = format!("{}{}", prefix(role), base64url(&bits));
        let digest = digest(&secret);
        Self { secret, digest }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

/// Returns whether the text has the form of a token of this role.
pub(in crate::http) fn is_of(role: Role, secret: &str) -> bool {
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    secret.strip_prefix(prefix(role)).is_some_and(|bits| bits.len() == 43 && bits.bytes().all(is_base64url))
}

pub(in crate::http) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

fn prefix(role: Role) -> &'static str {
    match role {
        Role::Environment => "talq_",
        Role::Gateway => "gate_",
        Role::Operator => "oper_",
    }
}

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Encodes bytes as base64url without padding (RFC 4648, section 5).
fn base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = (0..3).fold(0, |word, place| word << 8 | usize::from(three.get(place).copied().unwrap_or(0)));
        for place in 0..=three.len() {
            text.push(char::from(BASE64URL[word >> (18 - 6 * place) & 63]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_matches_the_vectors_of_the_rfc() {
        let vectors = [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE")];
        for (plain, coded) in vectors {
            assert_eq!(base64url(plain.as_bytes()), coded);
        }
        assert_eq!(base64url(&[0xFB, 0xFF, 0xFE]), "-__-");
    }

    #[test]
    fn token_has_the_form_of_its_own_role_only() {
        for role in [Role::Environment, Role::Gateway, Role::Operator] {
            let token = Token::issue(role);
            assert_eq!(token.digest, digest(&token.secret));
            for other in [Role::Environment, Role::Gateway, Role::Operator] {
                assert_eq!(is_of(other, &token.secret), other == role);
            }
            assert!(!format!("{token:?}").contains(&token.secret[5..]));
        }
    }
}
