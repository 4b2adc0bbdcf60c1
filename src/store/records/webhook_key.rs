//! The keys of stored webhooks: environment, 3 bytes; id, 16 bytes; the part, 1 byte.

use super::keys::{pack_scope, unpack_scope};
use crate::slot::Scope;
use crate::store::WebhookPart;

const LEN: usize = 20;

/// Returns the key of a part of a webhook.
pub(in crate::store) fn of_part(environment: Scope, id: u128, part: WebhookPart) -> [u8; LEN] {
    let mut key = [0; LEN];
    key[..3].copy_from_slice(&pack_scope(environment));
    key[3..19].copy_from_slice(&id.to_be_bytes());
    key[19] = match part {
        WebhookPart::Settings => b's',
        WebhookPart::Progress => b'p',
    };
    key
}

/// Returns what a key names.
pub(in crate::store) fn read(key: &[u8]) -> Option<(Scope, u128, WebhookPart)> {
    let (scope, rest) = key.split_first_chunk()?;
    let (id, part) = rest.split_first_chunk()?;
    let part = match part {
        b"s" => WebhookPart::Settings,
        b"p" => WebhookPart::Progress,
        _ => return None,
    };
    Some((unpack_scope(*scope)?, u128::from_be_bytes(*id), part))
}

/// Returns the environment of a key.
pub(in crate::store) fn environment(key: &[u8]) -> Option<Scope> {
    read(key).map(|(environment, _, _)| environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_reads_back_and_others_are_not_read() {
        let scope = Scope::from_bits(0xFF_FFF7).expect("24 bits");
        for part in [WebhookPart::Settings, WebhookPart::Progress] {
            let key = of_part(scope, u128::MAX - 1, part);
            assert_eq!(read(&key), Some((scope, u128::MAX - 1, part)));
            assert_eq!(environment(&key), Some(scope));
            assert!((0..LEN).all(|len| read(&key[..len]).is_none()));
        }
        assert_eq!(read(&[b'x'; LEN]), None);
        assert_eq!(read(&[b's'; LEN + 1]), None);
    }
}
