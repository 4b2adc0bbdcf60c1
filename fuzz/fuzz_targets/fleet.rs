//! Whatever bytes a stream brings, a message is read or refused, never a panic; what is read was written so: a changed byte is refused.
#![no_main]

use dialback::fleet::{Unreadable, read, seal};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    check(input);
    // The sum keeps what is behind it from being looked at: once more with a right one.
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
        // However many contacts are in it, it shows none of them.
        let shown = format!("{:?}", message.body);
        assert!(shown.len() < 40, "{shown}");
    }
}
