//! Reading a keyspace in order, and beyond damage.
//!
//! Records lie in blocks with a checksum, and no record of a damaged block can be read. Salvaging reads forward up to
//! the first damage, and backward up to the last. It then reads from the middle of the rest, in case there are good
//! blocks, and repeats this until it finds no more records.

use crate::store::StoreError;
use crate::store::fjall::keyspaces::Keyspaces;
use fjall::{Keyspace, Readable, Snapshot};
use std::ops::Bound;

type See<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError>;

/// How often a range without a readable record is halved to look for one.
const DEPTH: u32 = 10;

/// The significant bytes of a key: the longest key of the salvaged keyspaces.
const KEY: usize = 151;
type Key = [u8; KEY];

/// Passes each record to `see`, in the order of the keys, and fails at the first damage. With `salvage`, it skips
/// damaged ranges instead and returns their number; records then come in no order.
pub(in crate::store) fn each(
    keyspaces: &Keyspaces,
    snapshot: &Snapshot,
    keyspace: &Keyspace,
    salvage: bool,
    see: See<'_>,
) -> Result<u64, StoreError> {
    if salvage {
        let mut salvaging = Salvaging { snapshot, keyspace, see, passed_over: 0 };
        salvaging.between([0; KEY], [0xFF; KEY], DEPTH)?;
        return Ok(salvaging.passed_over);
    }
    for item in snapshot.iter(keyspace) {
        let (key, value) = item.into_inner().map_err(|error| keyspaces.failed(error))?;
        see(&key, &value)?;
    }
    Ok(0)
}

struct Salvaging<'a> {
    snapshot: &'a Snapshot,
    keyspace: &'a Keyspace,
    see: See<'a>,
    passed_over: u64,
}

impl Salvaging<'_> {
    /// Passes the readable records from `low` to `high`, both included.
    fn between(&mut self, low: Key, high: Key, depth: u32) -> Result<(), StoreError> {
        let (mut front, mut back) = (None, None);
        let mut items = self.range(low, high);
        loop {
            match items.next().map(fjall::Guard::into_inner) {
                None => return Ok(()),
                Some(Err(_)) => break,
                Some(Ok((key, value))) => {
                    (self.see)(&key, &value)?;
                    front = Some(pad(&key));
                }
            }
        }
        let low_left = front.map_or(low, after);
        if low_left > high {
            return Ok(());
        }
        let mut items = self.range(low_left, high);
        while let Some(Ok((key, value))) = items.next_back().map(fjall::Guard::into_inner) {
            (self.see)(&key, &value)?;
            back = Some(pad(&key));
        }
        let high_left = back.map_or(high, before);
        // If records were found here, there may be more between them.
        let depth = if front.is_some() || back.is_some() { DEPTH } else { depth };
        let middle = middle(low_left, high_left);
        if depth == 0 || low_left >= high_left || middle <= low_left {
            self.passed_over += 1;
            return Ok(());
        }
        self.between(low_left, before(middle), depth - 1)?;
        self.between(middle, high_left, depth - 1)
    }

    fn range(&self, low: Key, high: Key) -> fjall::Iter {
        self.snapshot.range(self.keyspace, (Bound::Included(low), Bound::Included(high)))
    }
}

/// Returns the key padded with zeros. The padded key sorts directly after the key itself.
fn pad(key: &[u8]) -> Key {
    let mut padded = [0; KEY];
    let len = key.len().min(KEY);
    padded[..len].copy_from_slice(&key[..len]);
    padded
}

fn after(mut key: Key) -> Key {
    for byte in key.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return key;
        }
    }
    [0xFF; KEY]
}

fn before(mut key: Key) -> Key {
    for byte in key.iter_mut().rev() {
        *byte = byte.wrapping_sub(1);
        if *byte != 0xFF {
            return key;
        }
    }
    [0; KEY]
}

fn middle(low: Key, high: Key) -> Key {
    let mut sum = [0u16; KEY];
    let mut carry = 0;
    for at in (0..KEY).rev() {
        let total = u16::from(low[at]) + u16::from(high[at]) + carry;
        (sum[at], carry) = (total & 0xFF, total >> 8);
    }
    let mut rest = carry;
    sum.map(|digit| {
        let value = rest << 8 | digit;
        rest = value & 1;
        u8::try_from(value >> 1).expect("half of nine bits")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_on_keys_carries_and_saturates() {
        let (low, high) = ([0; KEY], [0xFF; KEY]);
        assert_eq!(before(after(low)), low);
        assert_eq!(after(before(high)), high);
        assert_eq!((before(low), after(high)), (low, high));
        let mut carried = low;
        carried[KEY - 2] = 1;
        assert_eq!(
            after({
                let mut key = low;
                key[KEY - 1] = 0xFF;
                key
            }),
            carried
        );
        assert_eq!(middle(low, high)[0], 0x7F);
        assert_eq!(middle(high, high), high);
        assert_eq!(middle(low, carried)[KEY - 1], 0x80);
        assert_eq!(pad(b"ab")[..3], *b"ab\0");
    }
}
