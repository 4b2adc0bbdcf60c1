//! Any bytes from a stream: a message is read or rejected, without a panic. A message that is read is the canonical
//! encoding: a changed byte is rejected.
#![no_main]

use dialback::fleet::{Unreadable, read, seal};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    check(input);
    // The checksum rejects most inputs early, so the input is tried once more with a correct one.
    let sealed = seal(input);
    check(&sealed);
    if read(&sealed).is_ok() {
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 0x10;
            assert_eq!(read(&changed), Err(Unreadable::Damaged), "byte {at}");
        }
    }
});

fn check(bytes: &[u8]) {
    if let Ok(message) = read(bytes) {
        // `Debug` shows none of its contacts.
        let shown = format!("{:?}", message.body);
        assert!(shown.len() < 40, "{shown}");
    }
}
