//! A node's place in its stream.

use super::stream::Position;
use crate::event::wire::take;
use xxhash_rust::xxh3::xxh3_64;

/// A node's place in its stream. It is stored in the same commit as the messages that the node consumed up to there.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Place {
    /// The incarnation of the stream.
    pub(super) incarnation: u64,
    /// The position of the last message that was consumed.
    pub(super) position: Position,
    /// The fingerprint of the message at `position`, or 0 if there is none. A stream that was rolled back has another
    /// message there.
    pub(super) witness: u64,
    /// The position of the last configuration message up to there.
    pub(super) configuration: Position,
    /// The sequence of the last configuration that the node accepted.
    pub(super) sequence: u64,
    /// Whether the node still has to publish all its data again.
    pub(super) republish: bool,
    /// Whether the stream has another configuration than the node. The node then neither accepts nor publishes
    /// configurations.
    pub(super) is_in_conflict: bool,
    /// The mark of the [share](super::Share) that was consumed.
    pub(super) share: u32,
}

impl Place {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let Self { incarnation, position, witness, configuration, sequence, republish, is_in_conflict, share } = self;
        let flags = u64::from(republish) | u64::from(is_in_conflict) << 1 | u64::from(share) << 32;
        let words = [incarnation, position.0, witness, configuration.0, sequence, flags];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes.extend(xxh3_64(&bytes).to_be_bytes());
        bytes
    }

    /// Reads a place. Returns `None` if the bytes are corrupt.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, sum) = bytes.split_last_chunk::<8>()?;
        let mut rest = words;
        let mut word = || take(&mut rest).map(u64::from_be_bytes);
        let mut place = Self {
            incarnation: word()?,
            position: Position(word()?),
            witness: word()?,
            configuration: Position(word()?),
            sequence: word()?,
            ..Self::default()
        };
        let flags = word()?;
        (place.republish, place.is_in_conflict) = (flags & 1 != 0, flags & 2 != 0);
        place.share = u32::try_from(flags >> 32).ok()?;
        (rest.is_empty() && xxh3_64(words).to_be_bytes() == *sum).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_round_trips_and_corrupt_bytes_are_rejected() {
        let (position, configuration) = (Position(8), Position(5));
        let start = Place { incarnation: 1, position, witness: 3, ..Place::default() };
        let place = Place { configuration, sequence: 4, share: u32::MAX, ..start };
        for (republish, is_in_conflict) in [(true, false), (false, true)] {
            let flagged = Place { republish, is_in_conflict, ..place };
            assert_eq!(Place::from_bytes(&flagged.to_bytes()), Some(flagged));
        }
        let bytes = place.to_bytes();
        assert_eq!(Place::from_bytes(&bytes), Some(place));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Place::from_bytes(&flipped), None, "bit {bit}");
        }
        assert_eq!(Place::from_bytes(&bytes[..bytes.len() - 1]), None);
    }
}
