//! A node's place in its stream.

use super::stream::Position;
use crate::event::wire::take;
use crate::time::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

/// A node's place in its stream. It is stored in the same commit as the messages that the node consumed up to there.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Place {
    /// The incarnation of the stream.
    pub(super) incarnation: u64,
    /// The position of the last message that was consumed.
    pub(super) position: Position,
    /// The position and the fingerprint of the last message of a node up to there; 0 if there is none. A stream that was
    /// rolled back has another message there. A message that is not a node's proves nothing, because it can occur twice.
    pub(super) witness_at: Position,
    pub(super) witness: u64,
    /// The position of the last message in the subject of configurations up to there.
    pub(super) configuration: Position,
    /// The position and the sequence of the last configuration that the node accepted.
    pub(super) accepted: Position,
    pub(super) sequence: u64,
    /// Whether the node still has to publish all its data again.
    pub(super) republish: bool,
    /// Whether the stream has another configuration than the node. The node then neither accepts nor publishes
    /// configurations.
    pub(super) is_in_conflict: bool,
    /// Whether the node has halted before the message after `position`.
    pub(super) is_halted: bool,
    /// The mark of the [share](super::Share) that was consumed.
    pub(super) share: u32,
    /// The node may lack messages up to here, which the stream and its snapshots no longer held. 0 if it lacks none.
    pub(super) gap: Position,
    /// The position of the newest snapshot that the node has seen, and the time of that by the node's own clock.
    pub(super) snapshot: Position,
    pub(super) snapshot_seen_at: Option<Timestamp>,
    /// The [signer](super::Keys::signer) of this node's last messages, if it is known.
    pub(super) signer: Option<u64>,
}

/// The bytes of a place of an earlier version, without the checksum.
const EARLIER: usize = 6 * 8;

impl Place {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let flags = u64::from(self.republish)
            | u64::from(self.is_in_conflict) << 1
            | u64::from(self.is_halted) << 2
            | u64::from(self.share) << 32;
        let words = [
            self.incarnation,
            self.position.0,
            self.witness,
            self.configuration.0,
            self.sequence,
            flags,
            self.witness_at.0,
            self.gap.0,
            self.snapshot.0,
            self.snapshot_seen_at.map_or(0, Timestamp::millis),
            self.accepted.0,
        ];
        let words = words.into_iter().chain(self.signer);
        let mut bytes: Vec<u8> = words.flat_map(u64::to_be_bytes).collect();
        bytes.extend(xxh3_64(&bytes).to_be_bytes());
        bytes
    }

    /// Reads a place. Returns `None` if the bytes are corrupt. Earlier versions wrote the first six words only, or no
    /// signer.
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
        (place.republish, place.is_in_conflict, place.is_halted) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
        place.share = u32::try_from(flags >> 32).ok()?;
        (place.witness_at, place.accepted) = (place.position, place.configuration);
        if words.len() > EARLIER {
            (place.witness_at, place.gap) = (Position(word()?), Position(word()?));
            (place.snapshot, place.snapshot_seen_at) = (Position(word()?), seen_at(word()?));
            place.accepted = Position(word()?);
            place.signer = word();
        }
        (rest.is_empty() && xxh3_64(words).to_be_bytes() == *sum).then_some(place)
    }
}

fn seen_at(millis: u64) -> Option<Timestamp> {
    (millis > 0).then(|| Timestamp::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_round_trips_and_corrupt_bytes_are_rejected() {
        let (position, configuration) = (Position(8), Position(5));
        let start = Place { incarnation: 1, position, witness: 3, witness_at: Position(7), ..Place::default() };
        let (gap, snapshot, snapshot_seen_at) = (Position(6), Position(9), Some(Timestamp::from_millis(10)));
        let known = Place { configuration, accepted: Position(2), sequence: 4, ..start };
        let place = Place { share: u32::MAX, gap, snapshot, snapshot_seen_at, ..known };
        for flags in [[true, false, false], [false, true, false], [false, false, true]] {
            let [republish, is_in_conflict, is_halted] = flags;
            let flagged = Place { republish, is_in_conflict, is_halted, ..place };
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
        for signer in [0, 7] {
            let signed = Place { signer: Some(signer), ..place };
            assert_eq!(Place::from_bytes(&signed.to_bytes()), Some(signed));
        }
    }

    #[test]
    fn a_place_of_an_earlier_version_is_read() {
        let mut bytes: Vec<u8> =
            [1, 8, 3, 5, 4, 1 | 7 << 32].iter().flat_map(|word: &u64| word.to_be_bytes()).collect();
        bytes.extend(xxh3_64(&bytes).to_be_bytes());
        let (position, configuration) = (Position(8), Position(5));
        let place = Place { incarnation: 1, position, witness: 3, witness_at: position, ..Place::default() };
        let expected =
            Place { configuration, accepted: configuration, sequence: 4, republish: true, share: 7, ..place };
        assert_eq!(Place::from_bytes(&bytes), Some(expected));
    }
}
