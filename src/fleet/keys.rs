//! The keys with which the nodes of a fleet authenticate their messages.

use super::message::NodeId;
use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac::{self, HMAC_SHA256};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use subtle::ConstantTimeEq;

/// The length of a key in a key file, in bytes.
const KEY: usize = 32;
/// The length of an authentication tag, in bytes.
pub(super) const TAG: usize = 32;
/// The length that encryption adds to a body, in bytes. A tag of a cipher alone has this length, too.
pub(super) const SEAL: usize = 16;
/// The largest number of ciphers that are kept for each key. One takes about 600 bytes.
const CIPHERS: usize = 256;

/// The keys of a fleet. The first one signs, and all of them verify, so that keys can be rotated.
///
/// Each fleet derives its own keys from a key file and its name. A message that was copied from another fleet with the
/// same key file is therefore not authentic.
#[derive(Clone, Default)]
pub struct Keys {
    ring: Vec<Key>,
    encrypts: bool,
    accepts_unsigned: bool,
}

/// The keys that were derived from one line of a key file.
#[derive(Clone)]
pub(super) struct Key {
    id: u64,
    signing: hmac::Key,
    sealing: hmac::Key,
    /// The keys that those of AES-256-GCM are derived from, for bodies that stay readable and for encrypted ones.
    tagging: hmac::Key,
    encrypting: hmac::Key,
    ciphers: Arc<Mutex<Ciphers>>,
}

/// Ciphers of nodes whose messages were authentic. Deriving one takes longer than checking a short message.
type Ciphers = HashMap<(Guard, NodeId), Arc<LessSafeKey>>;

/// What AES-256-GCM does with the body of a message. Each has its own keys, because a message of both kinds may have the
/// same number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Guard {
    /// Authenticates the body, which stays readable.
    Tag,
    /// Encrypts and authenticates the body.
    Encrypt,
}

/// The reason why a key file cannot be used. It shows no part of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeysError {
    /// The file has no key.
    Empty,
    /// The line with this number is not a key.
    Line(usize),
}

impl Keys {
    /// No keys: messages are neither signed nor checked.
    pub const NONE: Self = Self { ring: Vec::new(), encrypts: false, accepts_unsigned: false };

    /// Reads a key file: one key of 64 hexadecimal digits on each line. Empty lines and lines that begin with `#` are
    /// ignored. `fleet` is the fleet's name, and is the same on all nodes.
    ///
    /// # Errors
    /// Returns [`KeysError`] if a line is not a key, or if there is no key.
    ///
    /// # Examples
    /// ```
    /// use dialback::fleet::{Keys, KeysError};
    ///
    /// let file = format!("# since March\n{}\n", "5c".repeat(32));
    /// assert!(Keys::read(&file, "DIALBACK").is_ok());
    /// assert_eq!(Keys::read("secret", "DIALBACK").unwrap_err(), KeysError::Line(1));
    /// ```
    pub fn read(text: &str, fleet: &str) -> Result<Self, KeysError> {
        let lines = text.lines().map(str::trim).enumerate();
        let keys = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let read = |(index, line)| key_of(line).map(|key| Key::derive(&key, fleet)).ok_or(KeysError::Line(index + 1));
        let ring: Vec<Key> = keys.map(read).collect::<Result<_, _>>()?;
        if ring.is_empty() { Err(KeysError::Empty) } else { Ok(Self { ring, ..Self::NONE }) }
    }

    /// Also encrypts the contents of messages and snapshots. Nodes with the key read them whatever their own setting.
    #[must_use]
    pub fn encrypting(self, encrypts: bool) -> Self {
        Self { encrypts, ..self }
    }

    /// Also accepts messages and snapshots without a signature, while a fleet introduces its first key.
    #[must_use]
    pub fn accepting_unsigned(self, accepts_unsigned: bool) -> Self {
        Self { accepts_unsigned, ..self }
    }

    /// Returns the key that signs, if there are keys.
    pub(super) fn signing(&self) -> Option<&Key> {
        self.ring.first()
    }

    /// Returns the key that encrypts, if contents are encrypted.
    pub(super) fn encrypting_key(&self) -> Option<&Key> {
        self.ring.first().filter(|_| self.encrypts)
    }

    pub(super) fn find(&self, id: u64) -> Option<&Key> {
        self.ring.iter().find(|key| key.id == id)
    }

    /// Returns the id of the key that signs, or 0 if there is none.
    pub(super) fn signer(&self) -> u64 {
        self.signing().map_or(0, Key::id)
    }

    /// Returns whether messages of this [`signer`](Self::signer) count.
    pub(super) fn takes(&self, signer: u64) -> bool {
        self.is_empty() || self.find(signer).is_some() || signer == 0 && self.takes_unsigned()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Returns whether what has no signature counts.
    pub(super) fn takes_unsigned(&self) -> bool {
        self.ring.is_empty() || self.accepts_unsigned
    }
}

impl Key {
    fn derive(key: &[u8; KEY], fleet: &str) -> Self {
        let root = hmac::Key::new(HMAC_SHA256, key);
        let derive = |purpose: &str| hmac::sign(&root, format!("dialback fleet {purpose} {fleet}").as_bytes());
        let key = |purpose: &str| hmac::Key::new(HMAC_SHA256, derive(purpose).as_ref());
        let id = u64::from_be_bytes(*derive("id").as_ref().first_chunk().expect("a tag has 32 bytes"));
        // 0 says that there is no key.
        Self {
            id: id.max(1),
            signing: key("signing"),
            sealing: key("sealing"),
            // A purpose has no space. With one, it could stand for another purpose and a fleet whose name begins so.
            tagging: key("tagging"),
            encrypting: key("encrypting"),
            ciphers: Arc::default(),
        }
    }

    /// Returns the key's identity, which reveals nothing about the key and is never 0.
    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    /// Returns the authentication tag of some bytes for a use.
    pub(super) fn sign(&self, bytes: &[u8], of: &[u8]) -> [u8; TAG] {
        self.tag(bytes, of).as_ref().try_into().expect("a tag has 32 bytes")
    }

    /// Returns whether a tag belongs to these bytes and this use, in constant time.
    pub(super) fn verifies(&self, bytes: &[u8], of: &[u8], tag: &[u8; TAG]) -> bool {
        self.tag(bytes, of).as_ref().ct_eq(tag).into()
    }

    /// Authenticates both without copying them together, because a message can be long.
    fn tag(&self, bytes: &[u8], of: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.signing);
        context.update(bytes);
        context.update(of);
        context.sign()
    }

    /// Encrypts the bytes. Each pair of a source and a number is used once, because it determines the nonce.
    pub(super) fn encrypt(&self, source: &NodeId, number: u64, mut bytes: Vec<u8>) -> Vec<u8> {
        let seal = self.encrypt_in_place(source, number, &mut bytes);
        bytes.extend(seal);
        bytes
    }

    /// Encrypts the bytes as [`encrypt`](Self::encrypt) does, and returns what follows them.
    pub(super) fn encrypt_in_place(&self, source: &NodeId, number: u64, bytes: &mut [u8]) -> [u8; SEAL] {
        let seal = self.cipher(source).seal_in_place_separate_tag(nonce(number), Aad::empty(), bytes);
        let seal = seal.expect("a message is far shorter than the cipher's limit");
        seal.as_ref().try_into().expect("a seal has 16 bytes")
    }

    /// Decrypts the bytes. Returns `None` if they were encrypted with another key.
    pub(super) fn decrypt(&self, source: &NodeId, number: u64, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let len = self.cipher(source).open_in_place(nonce(number), Aad::empty(), &mut bytes).ok()?.len();
        bytes.truncate(len);
        Some(bytes)
    }

    /// Returns the tag of AES-256-GCM of a message whose body stays readable.
    ///
    /// A node must never use a number twice, also not with [`encrypt_tagged`](Self::encrypt_tagged): two messages with the
    /// same nonce reveal how to forge others of this node.
    pub(super) fn tag_of(&self, node: &NodeId, number: u64, head: &[u8], body: &[u8]) -> [u8; SEAL] {
        self.keep(Guard::Tag, node, |cipher| Some(tag_with(cipher, number, head, body))).expect("it is made")
    }

    /// Returns whether a message has its tag, in constant time.
    pub(super) fn has_tag(&self, node: &NodeId, number: u64, head: &[u8], body: &[u8], tag: &[u8; SEAL]) -> bool {
        let check = |cipher: &_| bool::from(tag_with(cipher, number, head, body).ct_eq(tag)).then_some(());
        self.keep(Guard::Tag, node, check).is_some()
    }

    /// Encrypts the body of a message with AES-256-GCM, and returns the tag. See [`tag_of`](Self::tag_of) for the number.
    pub(super) fn encrypt_tagged(&self, node: &NodeId, number: u64, head: &[u8], body: &mut [u8]) -> [u8; SEAL] {
        self.keep(Guard::Encrypt, node, |cipher| Some(seal_with(cipher, number, head, body))).expect("it is made")
    }

    /// Decrypts the body of a message. Returns `None` if the message does not have its tag.
    pub(super) fn decrypt_tagged(
        &self,
        node: &NodeId,
        number: u64,
        head: &[u8],
        body: &[u8],
        tag: &[u8; SEAL],
    ) -> Option<Vec<u8>> {
        self.keep(Guard::Encrypt, node, |cipher| {
            let mut sealed = Vec::with_capacity(body.len() + SEAL);
            sealed.extend(body);
            sealed.extend(tag);
            let len = cipher.open_in_place(nonce(number), Aad::from(head), &mut sealed).ok()?.len();
            sealed.truncate(len);
            Some(sealed)
        })
    }

    /// Calls `with` with the cipher of a node. Keeps the cipher if the result is not `None`: a message that is not authentic
    /// takes no place from those that are.
    fn keep<T>(&self, guard: Guard, node: &NodeId, with: impl FnOnce(&LessSafeKey) -> Option<T>) -> Option<T> {
        let held = self.ciphers().get(&(guard, *node)).cloned();
        if let Some(cipher) = held {
            return with(&cipher);
        }
        let root = match guard {
            Guard::Tag => &self.tagging,
            Guard::Encrypt => &self.encrypting,
        };
        let key = UnboundKey::new(&AES_256_GCM, hmac::sign(root, node).as_ref()).expect("the key has 32 bytes");
        let cipher = Arc::new(LessSafeKey::new(key));
        let done = with(&cipher)?;
        let mut ciphers = self.ciphers();
        if ciphers.len() >= CIPHERS {
            ciphers.clear();
        }
        ciphers.insert((guard, *node), cipher);
        Some(done)
    }

    fn ciphers(&self) -> MutexGuard<'_, Ciphers> {
        self.ciphers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the cipher of a source: a node from one start to the next, or a snapshot.
    fn cipher(&self, source: &NodeId) -> LessSafeKey {
        let key = hmac::sign(&self.sealing, source);
        LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key.as_ref()).expect("the key has 32 bytes"))
    }
}

/// Returns the tag that the message would have if its body were encrypted.
///
/// *ring* authenticates bytes that it encrypts several times as fast as bytes that it leaves as they are. So the body is
/// encrypted in a copy, of which only the tag is used.
fn tag_with(cipher: &LessSafeKey, number: u64, head: &[u8], body: &[u8]) -> [u8; SEAL] {
    seal_with(cipher, number, head, &mut body.to_vec())
}

fn seal_with(cipher: &LessSafeKey, number: u64, head: &[u8], body: &mut [u8]) -> [u8; SEAL] {
    let tag = cipher.seal_in_place_separate_tag(nonce(number), Aad::from(head), body);
    let tag = tag.expect("a message is far shorter than the cipher's limit");
    tag.as_ref().try_into().expect("a tag has 16 bytes")
}

fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - 8..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// Reads 64 hexadecimal digits.
fn key_of(line: &str) -> Option<[u8; KEY]> {
    let mut key = [0; KEY];
    let digits = line.as_bytes().as_chunks::<2>();
    if digits.0.len() != KEY || !digits.1.is_empty() {
        return None;
    }
    for (byte, [high, low]) in key.iter_mut().zip(digits.0) {
        let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(key)
}

/// Shows no key.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({}{})", self.ring.len(), if self.encrypts { ", encrypting" } else { "" })
    }
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it has no key: write one with `openssl rand -hex 32`"),
            Self::Line(line) => write!(f, "line {line} is not a key: a key has 64 hexadecimal digits"),
        }
    }
}

impl std::error::Error for KeysError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}").repeat(KEY) + "\n").collect()
    }

    #[test]
    fn each_key_and_fleet_signs_differently_and_only_the_own_tag_verifies() {
        let keys = Keys::read(&file(&[1, 2]), "a").expect("two keys");
        let other = Keys::read(&file(&[1]), "b").expect("one key");
        let (first, second) = (keys.signing().expect("a key"), &keys.ring[1]);
        let tag = first.sign(b"text", b"use");
        assert!(first.verifies(b"text", b"use", &tag));
        assert!(!first.verifies(b"texu", b"use", &tag));
        assert!(!first.verifies(b"text", b"usf", &tag));
        assert!(!second.verifies(b"text", b"use", &tag));
        assert!(!other.ring[0].verifies(b"text", b"use", &tag));
        assert_ne!(first.id(), second.id());
        assert_ne!(first.id(), other.ring[0].id());
        assert!(keys.find(second.id()).is_some() && keys.find(other.ring[0].id()).is_none());
    }

    #[test]
    fn encrypted_bytes_are_readable_only_with_their_key_source_and_number() {
        let keys = Keys::read(&file(&[1, 2]), "a").expect("two keys");
        let key = keys.signing().expect("a key");
        let sealed = key.encrypt(&[5; 16], 7, b"text".to_vec());
        assert_eq!(sealed.len(), 4 + SEAL);
        assert_eq!(key.decrypt(&[5; 16], 7, sealed.clone()), Some(b"text".to_vec()));
        assert_eq!(key.decrypt(&[6; 16], 7, sealed.clone()), None);
        assert_eq!(key.decrypt(&[5; 16], 8, sealed.clone()), None);
        assert_eq!(keys.ring[1].decrypt(&[5; 16], 7, sealed), None);
    }

    #[test]
    fn a_tag_of_a_cipher_is_of_one_key_fleet_node_number_head_body_and_use() {
        let keys = Keys::read(&file(&[1, 2]), "a").expect("two keys");
        let other = Keys::read(&file(&[1]), "b").expect("one key");
        let key = keys.signing().expect("a key");
        let (node, head, body) = ([5; 16], b"head", [6; 100]);
        let tag = key.tag_of(&node, 7, head, &body);
        assert!(key.has_tag(&node, 7, head, &body, &tag));
        assert!(!key.has_tag(&[6; 16], 7, head, &body, &tag));
        assert!(!key.has_tag(&node, 8, head, &body, &tag));
        assert!(!key.has_tag(&node, 7, b"heaf", &body, &tag));
        assert!(!key.has_tag(&node, 7, head, &body[1..], &tag));
        assert!(!key.has_tag(&node, 7, head, &[7; 100], &tag));
        assert!(!keys.ring[1].has_tag(&node, 7, head, &body, &tag));
        assert!(!other.ring[0].has_tag(&node, 7, head, &body, &tag));

        let mut sealed = body;
        let seal = key.encrypt_tagged(&node, 7, head, &mut sealed);
        assert!(sealed != body && seal != tag, "a number under both uses is no repeated nonce");
        assert_eq!(key.decrypt_tagged(&node, 7, head, &sealed, &seal), Some(body.to_vec()));
        assert_eq!(key.decrypt_tagged(&node, 8, head, &sealed, &seal), None);
        assert_eq!(key.decrypt_tagged(&[6; 16], 7, head, &sealed, &seal), None);
        assert_eq!(key.decrypt_tagged(&node, 7, b"heaf", &sealed, &seal), None);
        assert_eq!(key.decrypt_tagged(&node, 7, head, &sealed[1..], &seal), None);
        assert_eq!(keys.ring[1].decrypt_tagged(&node, 7, head, &sealed, &seal), None);
    }

    #[test]
    fn ciphers_are_kept_for_authentic_messages_only_and_not_without_bound() {
        let keys = Keys::read(&file(&[1]), "a").expect("a key");
        let key = keys.signing().expect("a key");
        let node = |index: usize| (index as u128).to_be_bytes();
        let tag = key.tag_of(&node(0), 0, b"", b"");
        for index in 1..2 * CIPHERS {
            assert!(!key.has_tag(&node(index), 0, b"", b"", &tag));
            assert_eq!(key.decrypt_tagged(&node(index), 0, b"", b"", &tag), None);
        }
        assert_eq!(key.ciphers().len(), 1);
        let reader = keys.clone();
        let tags: Vec<_> = (0..2 * CIPHERS).map(|index| key.tag_of(&node(index), 0, b"", b"")).collect();
        for (index, tag) in tags.iter().enumerate() {
            assert!(reader.signing().expect("a key").has_tag(&node(index), 0, b"", b"", tag));
            assert!(key.ciphers().len() <= CIPHERS);
        }
    }

    #[test]
    fn a_file_without_keys_or_with_a_wrong_line_is_rejected_without_showing_it() {
        let key = file(&[0xAB]);
        assert_eq!(Keys::read("\n# none\n", "a").unwrap_err(), KeysError::Empty);
        for wrong in ["zz", &key[2..], &format!("{}0", key.trim()), &key.trim().replace('a', "g")] {
            let error = Keys::read(&format!("{key}{wrong}"), "a").expect_err("a wrong line");
            assert_eq!(error, KeysError::Line(2), "{wrong}");
        }
        let keys = Keys::read(&key.to_uppercase(), "a").expect("digits of either case");
        assert_eq!(format!("{keys:?}"), "Keys(1)");
    }
}
