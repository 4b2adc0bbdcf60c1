use super::*;
use crate::fleet::StepError;
use crate::fleet::keys::Keys;
use crate::fleet::stream::Position;
use crate::time::Timestamp;
use std::io::Cursor;

fn register() -> Register {
    Register::from_bits(u64::MAX >> 3).expect("no zero")
}

fn keys(byte: u8) -> Keys {
    Keys::read(&format!("{byte:02x}").repeat(32), "fleet").expect("a key")
}

fn head() -> Head {
    let taken_at = Timestamp::from_secs(1_800_000_000);
    Head { at: Position(7), witness: 8, is_configuration: false, sequence: 9, taken_at, gap: Position(3) }
}

fn pairs() -> Vec<Pair> {
    let contact = |digits| E164::from_digits(digits).expect("digits");
    let scope = Scope::from_bits(5).expect("a scope");
    vec![(scope, contact("000000000000000"), register()), (scope, contact("1"), register())]
}

/// Returns a snapshot of two sections with pairs.
fn snapshot(keys: &Keys) -> Vec<u8> {
    let mut content = Vec::new();
    for pair in pairs() {
        write_pair(pair, &mut content);
    }
    assert_eq!(content.len(), 36);
    let (mut writer, mut bytes) = Writer::begin(head(), keys);
    for _ in 0..2 {
        bytes.extend(writer.section(Section { kind: b'P', content: content.clone() }));
    }
    bytes
}

/// The kind of a section, and its pairs.
type Pairs = (u8, Option<Vec<Pair>>);

fn read(bytes: &[u8], keys: &Keys) -> Result<(Head, [Pairs; 2]), StepError> {
    let mut reader = Reader::open(Box::new(Cursor::new(bytes.to_vec())), keys)?;
    let mut section = || reader.section().map(|Section { kind, content }| (kind, read_pairs(&content)));
    let sections = [section()?, section()?];
    Ok((reader.head(), sections))
}

#[test]
fn a_snapshot_round_trips_and_a_flipped_bit_or_a_truncation_is_rejected() {
    for keys in [Keys::NONE, keys(1), keys(1).encrypting(true)] {
        let bytes = snapshot(&keys);
        let section = (b'P', Some(pairs()));
        assert_eq!(read(&bytes, &keys).expect("a snapshot"), (head(), [section.clone(), section]));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped, &keys).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len], &keys).is_err(), "{len} bytes");
        }
    }
}

#[test]
fn a_snapshot_that_is_not_authentic_is_rejected_once_there_is_a_key() {
    let ours = keys(1);
    let invalid = |bytes: &[u8]| match read(bytes, &ours) {
        Err(StepError::Snapshot(error)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(invalid(&snapshot(&Keys::NONE)).contains("not signed"));
    assert!(invalid(&snapshot(&keys(2))).contains("a key that this node lacks"));
    assert!(read(&snapshot(&Keys::NONE), &ours.clone().accepting_unsigned(true)).is_ok());
    assert!(read(&snapshot(&ours), &Keys::NONE).is_ok(), "a node without a key checks nothing");
    let locked = snapshot(&ours.clone().encrypting(true));
    assert!(matches!(read(&locked, &Keys::NONE), Err(StepError::LockedSnapshot)));
    // Sections of the same snapshot in another order, and of another snapshot with the same key.
    let (one, other) = (snapshot(&ours), snapshot(&ours));
    let section = 13 + 36 + 32;
    let first = one.len() - 2 * section;
    let swapped = [&one[..first], &one[first + section..], &one[first..first + section]].concat();
    assert!(invalid(&swapped).contains("signature of a section"));
    assert!(invalid(&[&one[..first], &other[first..]].concat()).contains("signature of a section"));
}

#[test]
fn a_snapshot_of_version_1_stays_readable_and_one_of_a_newer_version_is_named() {
    let mut bytes = b"DBSNAP\0\x01".to_vec();
    for word in [7, 8, 9, 1_800_000_000_000u64] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend(xxhash_rust::xxh3::xxh3_64(&bytes).to_be_bytes());
    let open =
        |bytes: &[u8], keys: &Keys| Reader::open(Box::new(Cursor::new(bytes.to_vec())), keys).map(|it| it.head());
    let expected = Head { gap: Position::START, is_configuration: true, ..head() };
    assert_eq!(open(&bytes, &Keys::NONE).expect("a header"), expected);
    assert!(open(&bytes, &keys(1)).is_err(), "it is not signed");
    bytes[7] = 4;
    assert!(matches!(open(&bytes, &Keys::NONE), Err(StepError::NewerSnapshot(4))));
}

/// A node of the version before would pass over messages that it cannot authenticate.
#[test]
fn a_snapshot_of_version_2_stays_readable_and_nodes_write_version_3() {
    let mut bytes = b"DBSNAP\0\x02".to_vec();
    for word in [7, 8, 9, 1_800_000_000_000u64, 3] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend([5; 16]);
    for word in [2u64, 0] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend(xxhash_rust::xxh3::xxh3_64(&bytes).to_be_bytes());
    let keys = Keys::NONE;
    let reader = Reader::open(Box::new(Cursor::new(bytes)), &keys).expect("a header");
    assert_eq!(reader.head(), head());
    assert_eq!(snapshot(&Keys::NONE)[..8], *b"DBSNAP\0\x03");
}

#[test]
fn an_erasure_outside_an_environments_scope_is_rejected() {
    let environment = Scope::from_bits(0xFF_FFFF).expect("a scope");
    let erasure = Register::erasure(Timestamp::from_secs(1_800_000_000));
    let mut content = Vec::new();
    write_erasure((environment, [3; 16], erasure), &mut content);
    assert_eq!(read_erasures(&content), Some(vec![(environment, [3; 16], erasure)]));
    content[0] = 0;
    assert_eq!(read_erasures(&content), None);
    assert_eq!(read_erasures(&content[1..]), None);
}

#[test]
fn a_call_with_an_id_or_a_context_round_trips_and_a_truncated_or_invalid_one_is_rejected() {
    let at = &Timestamp::from_secs(1_800_000_000).millis().to_be_bytes()[2..];
    let contact = &pairs()[1].1.code().to_be_bytes()[1..];
    // Environment, contact, number, time, agent and id; outcome, time and context.
    let key = [&[0xFF, 0xFF, 0xFF], contact, &[0, 0, 5], at, &[0, 0, 1], b"a"].concat();
    let value = [&[5][..], at, b"{}"].concat();
    let expected = CallKey::from_bytes(&key).zip(CallValue::from_bytes(&value)).expect("a call");
    let mut content = Vec::new();
    write_known((&key, &value), &mut content);
    assert_eq!(read_known(&content), Some(vec![expected.clone()]));
    assert_eq!(read_known(&content.repeat(2)), Some(vec![expected.clone(), expected]));
    for len in 1..content.len() {
        assert_eq!(read_known(&content[..len]), None, "{len} bytes");
    }
    content[1] = 0;
    assert_eq!(read_known(&content), None, "no environment");
}
