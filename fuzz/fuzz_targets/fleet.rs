//! Any bytes from a stream: a message is read, skipped or halts the node, without a panic. A message that is read is the
//! canonical encoding: a changed byte is rejected. Without the key, nothing is read.
#![no_main]

use dialback::Timestamp;
use dialback::fleet::{Envelope, Keys, Subject, Unreadable, read, seal};
use libfuzzer_sys::fuzz_target;

const SUBJECTS: [Subject; 3] = [Subject::Configuration, Subject::Calls(0), Subject::Other];

fuzz_target!(|input: &[u8]| {
    let keys = Keys::read(&"5c".repeat(32), "fuzzed").expect("a key");
    for subject in SUBJECTS {
        check(input, subject, &keys);
        // The checksum rejects most inputs early, so the input is tried once more with a correct one.
        check(&seal(input), subject, &keys);
    }
    sealed(input, &keys);
});

/// Reads the bytes as a message of a fleet without a key, and of one with it.
fn check(bytes: &[u8], subject: Subject, keys: &Keys) {
    if let Ok(message) = read(bytes, subject, &Keys::NONE) {
        // `Debug` shows none of its contacts.
        let shown = format!("{:?}", message.body);
        assert!(shown.len() < 40, "{shown}");
        for at in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[at] ^= 0x10;
            assert!(matches!(read(&changed, subject, &Keys::NONE), Err(Unreadable::Skip(_))), "byte {at}");
        }
    }
    // A signature cannot be guessed.
    assert!(read(bytes, subject, keys).is_err());
}

/// Reads the input as the body of a message that a node with the key wrote: nothing but the sealed bytes is accepted.
fn sealed(input: &[u8], keys: &Keys) {
    let Some(([version, kind, flags, encrypts], body)) = input.split_first_chunk() else { return };
    let keys = keys.clone().encrypting(encrypts % 2 == 1);
    let (version, sent_at) = (2 + version % 3, Timestamp::from_millis(0));
    let envelope = Envelope { version, kind: *kind, flags: flags & !2, node: [7; 16], written: 1, sent_at };
    for subject in SUBJECTS {
        let bytes = envelope.seal(subject, body, &keys);
        let message = read(&bytes, subject, &keys);
        // The checksum is made anew, so only the signature can tell.
        for at in 3..bytes.len() - 8 {
            let mut changed = bytes[..bytes.len() - 8].to_vec();
            changed[at] ^= 0x10;
            assert!(matches!(read(&seal(&changed), subject, &keys), Err(Unreadable::Skip(_))), "byte {at}");
        }
        if message.is_ok() && encrypts % 2 == 1 {
            assert!(matches!(read(&bytes, subject, &Keys::NONE), Err(Unreadable::Locked)));
        }
    }
}
