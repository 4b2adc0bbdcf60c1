use super::*;
use crate::event::{Actor, Call, CallId, Change, Context, Counted, Joined, Names, Role};
use crate::id::{AgentId, TokenId};
use crate::number::E164;
use crate::outcome::Outcome;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const CALLS: Subject = Subject::Calls(3);

fn call() -> Event {
    let number = |digits| E164::from_digits(digits).expect("digits");
    Event::Call(Call {
        environment: EnvironmentId::from_u128(1),
        agent: AgentId::from_u128(2),
        from: number("15551234567"),
        to: number("15557654321"),
        at: NOW,
        outcome: Outcome::Busy,
    })
}

fn report() -> Event {
    let Event::Call(call) = call() else { unreachable!("it is one") };
    let context = Some((NOW, Context::from_stored("{}").expect("an object")));
    Event::Joined(Box::new(Joined { call, id: CallId::new("a"), context, counted: Counted::As(Outcome::Busy) }))
}

fn keys(bytes: &[u8]) -> Keys {
    let file: String = bytes.iter().map(|byte| format!("{byte:02x}").repeat(32) + "\n").collect();
    Keys::read(&file, "fleet").expect("keys")
}

/// Returns the keys that a node may write with: none, one, and one that encrypts.
fn all_keys() -> [Keys; 3] {
    [Keys::NONE, keys(&[1]), keys(&[1]).encrypting(true)]
}

fn messages(keys: &Keys) -> [(Vec<u8>, Subject, Body); 6] {
    let mut writer = Writer::new([5; 16], keys.clone());
    let mut events = Vec::new();
    wire::write(&call(), &mut events);
    let mut reports = Vec::new();
    wire::write(&report(), &mut reports);
    let environment = EnvironmentId::from_u128(1);
    let changes = vec![Change::AgentDeleted { id: AgentId::from_u128(9) }];
    let actor = Actor::Token { id: TokenId::from_u128(8), role: Role::Operator, label: "laptop".into() };
    let mut names = Names::default();
    names.set_agent(AgentId::from_u128(9), "Desk");
    let configuration = Configuration::new(3, environment, NOW, changes).by(actor).with_names(names);
    let (keys, erasures) = (
        vec![[7; 32]],
        vec![(environment, [8; 16], Register::erasure(NOW)), (environment, [9; 16], Register::erasure_ahead(NOW))],
    );
    [
        (writer.events(CALLS, NOW, &[]), CALLS, Body::Events(Vec::new())),
        (writer.events(CALLS, NOW, &events), CALLS, Body::Events(vec![call()])),
        (writer.details(CALLS, NOW, &reports), CALLS, Body::Events(vec![report()])),
        (
            writer.configuration(NOW, 4, &configuration),
            Subject::Configuration,
            Body::Configuration { parent: 4, configuration },
        ),
        (writer.fence(NOW), Subject::Configuration, Body::Fence),
        (writer.pseudonyms(CALLS, NOW, &keys, &erasures), CALLS, Body::Pseudonyms { keys, erasures }),
    ]
}

#[test]
fn messages_round_trip_and_no_two_are_equal() {
    for keys in all_keys() {
        let mut prints = Vec::new();
        for (bytes, subject, body) in messages(&keys) {
            let message = read(&bytes, subject, &keys).expect("a message");
            assert_eq!((message.node, message.sent_at), ([5; 16], NOW));
            assert!(message.body == body);
            prints.push(fingerprint(&bytes));
        }
        let mut writer = Writer::new([5; 16], keys);
        assert_ne!(writer.events(CALLS, NOW, &[]), writer.events(CALLS, NOW, &[]));
        prints.sort_unstable();
        prints.dedup();
        assert_eq!(prints.len(), 6);
    }
}

#[test]
fn a_flipped_bit_or_a_truncation_is_skipped() {
    for keys in all_keys() {
        for (bytes, subject, _) in messages(&keys) {
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let expected = if bit < 24 { Skipped::Foreign } else { Skipped::Damaged };
                assert_eq!(read(&flipped, subject, &keys), Err(Unreadable::Skip(expected)), "bit {bit}");
            }
            for len in 0..bytes.len() {
                let expected = if len < 3 { Skipped::Foreign } else { Skipped::Damaged };
                assert_eq!(read(&bytes[..len], subject, &keys), Err(Unreadable::Skip(expected)), "{len} bytes");
            }
        }
    }
    assert_eq!(read(b"hello", CALLS, &Keys::NONE), Err(Unreadable::Skip(Skipped::Foreign)));
}

/// The checksum protects against accidents, and the signature against everything else.
#[test]
fn a_changed_byte_under_a_new_checksum_is_not_authentic() {
    for keys in [keys(&[1]), keys(&[1]).encrypting(true)] {
        for (bytes, subject, _) in messages(&keys) {
            for at in 3..bytes.len() - envelope::SUM {
                let mut changed = bytes[..bytes.len() - envelope::SUM].to_vec();
                changed[at] ^= 1;
                changed.extend(xxh3_64(&changed).to_be_bytes());
                let why = read(&changed, subject, &keys).expect_err("it is not authentic");
                assert!(matches!(why, Unreadable::Skip(_)), "byte {at}: {why:?}");
            }
        }
    }
}

#[test]
fn a_message_without_the_right_signature_is_skipped_once_there_is_a_key() {
    let ours = keys(&[1]);
    let skipped = |bytes: &[u8], subject| match read(bytes, subject, &ours) {
        Err(Unreadable::Skip(why)) => why,
        other => panic!("{other:?}"),
    };
    for (bytes, subject, _) in messages(&Keys::NONE) {
        assert_eq!(skipped(&bytes, subject), Skipped::Unsigned);
        assert!(read(&bytes, subject, &ours.clone().accepting_unsigned(true)).is_ok());
    }
    for (bytes, subject, _) in messages(&keys(&[2])) {
        assert_eq!(skipped(&bytes, subject), Skipped::UnknownKey);
        assert!(read(&bytes, subject, &keys(&[1, 2])).is_ok(), "each key of the file verifies");
        assert!(read(&bytes, subject, &Keys::NONE).is_ok(), "a node without a key checks nothing");
    }
    let other_fleet = Keys::read(&"01".repeat(32), "other").expect("a key");
    for (bytes, subject, _) in messages(&other_fleet) {
        assert_eq!(skipped(&bytes, subject), Skipped::UnknownKey);
    }
    for (bytes, _, _) in messages(&ours) {
        assert_eq!(skipped(&bytes, Subject::Calls(4)), Skipped::Forged, "of another subject");
    }
    let first = envelope(1, b'E', 0).seal_first(&[]);
    assert_eq!(skipped(&first, CALLS), Skipped::Unsigned);
}

#[test]
fn encrypted_contents_show_no_number_and_halt_a_node_without_a_key() {
    let ours = keys(&[1]).encrypting(true);
    let mut event = Vec::new();
    wire::write(&call(), &mut event);
    let number = &event[33..40];
    let contains = |bytes: &[u8]| bytes.windows(number.len()).any(|window| window == number);
    let [_, (clear, ..), ..] = messages(&keys(&[1]));
    assert!(contains(&clear));
    for (bytes, subject, _) in messages(&ours) {
        assert!(!contains(&bytes));
        assert_eq!(read(&bytes, subject, &Keys::NONE), Err(Unreadable::Locked));
        assert!(read(&bytes, subject, &keys(&[1])).is_ok(), "a node with the key reads it, whatever its own setting");
    }
}

fn envelope(version: u8, kind: u8, flags: u8) -> Envelope {
    Envelope { version, kind, flags, node: [5; 16], written: 0, sent_at: NOW }
}

#[test]
fn content_of_a_newer_version_halts_unless_it_may_be_skipped() {
    for keys in all_keys() {
        let read = |envelope: Envelope, subject| read(&envelope.seal(subject, b"[", &keys), subject, &keys);
        let newer = |version, kind| Err(Unreadable::Newer { version, kind });
        assert_eq!(read(envelope(4, b'E', 0), CALLS), newer(4, b'E'));
        assert_eq!(read(envelope(3, b'Z', 0), CALLS), newer(3, b'Z'));
        assert_eq!(read(envelope(3, b'E', 4), CALLS), newer(3, b'E'), "an unknown flag");
        for skippable in [envelope(4, b'E', 1), envelope(3, b'Z', 1), envelope(3, b'E', 5)] {
            assert_eq!(read(skippable, CALLS), Err(Unreadable::Skip(Skipped::Newer)));
        }
        assert_eq!(read(envelope(3, b'E', 0), CALLS), Err(Unreadable::Skip(Skipped::Damaged)), "no events");
    }
    let newer_change = [&[0; 8], &b"{}"[..]].concat();
    let bytes = envelope(3, b'C', 0).seal(Subject::Configuration, &newer_change, &Keys::NONE);
    let newer = Err(Unreadable::Newer { version: 3, kind: b'C' });
    assert_eq!(super::read(&bytes, Subject::Configuration, &Keys::NONE), newer);
}

#[test]
fn reports_with_details_and_other_events_are_in_messages_of_their_own() {
    let mut writer = Writer::new([5; 16], Keys::NONE);
    let (mut calls, mut reports) = (Vec::new(), Vec::new());
    wire::write(&call(), &mut calls);
    wire::write(&report(), &mut reports);
    let wrong = [
        writer.events(CALLS, NOW, &reports),
        writer.events(CALLS, NOW, &[&calls[..], &reports].concat()),
        writer.details(CALLS, NOW, &[]),
        writer.details(CALLS, NOW, &calls),
        writer.details(CALLS, NOW, &[&reports[..], &calls].concat()),
    ];
    for bytes in wrong {
        assert_eq!(read(&bytes, CALLS, &Keys::NONE), Err(Unreadable::Skip(Skipped::Damaged)));
    }
}

#[test]
fn a_message_in_a_subject_of_another_kind_is_misplaced() {
    for (bytes, subject, _) in messages(&Keys::NONE) {
        let other = if subject == CALLS { Subject::Configuration } else { CALLS };
        assert_eq!(read(&bytes, other, &Keys::NONE), Err(Unreadable::Skip(Skipped::Misplaced)));
        assert_eq!(read(&bytes, Subject::Other, &Keys::NONE), Err(Unreadable::Skip(Skipped::Foreign)));
    }
}

/// Version 2 has the same bytes. Its nodes halt before messages of version 3, because they rank outcomes otherwise.
#[test]
fn a_message_of_version_2_stays_readable_and_nodes_write_version_3() {
    let mut events = Vec::new();
    wire::write(&call(), &mut events);
    for keys in all_keys() {
        let second = envelope(2, b'E', 0).seal(CALLS, &events, &keys);
        assert!(read(&second, CALLS, &keys).expect("a message").body == Body::Events(vec![call()]));
        for (bytes, _, _) in messages(&keys) {
            assert_eq!(bytes[..4], *b"DBF\x03");
        }
    }
}

#[test]
fn a_message_of_version_1_stays_readable() {
    let mut events = Vec::new();
    wire::write(&call(), &mut events);
    let first = envelope(1, b'E', 0).seal_first(&events);
    let message = read(&first, CALLS, &Keys::NONE).expect("a message");
    assert!(message.body == Body::Events(vec![call()]));
    assert_eq!((message.node, message.sent_at), ([5; 16], NOW));
    // The bytes that version 1 wrote for a heartbeat of this node.
    let mut written = b"DBF\x01E".to_vec();
    written.extend([5; 16]);
    written.extend([0; 8]);
    written.extend(NOW.millis().to_be_bytes());
    written.extend(xxh3_64(&written).to_be_bytes());
    assert_eq!(envelope(1, b'E', 0).seal_first(&[]), written);
    let unknown = envelope(1, b'X', 0).seal_first(&[]);
    assert_eq!(read(&unknown, CALLS, &Keys::NONE), Err(Unreadable::Skip(Skipped::Damaged)));
}
