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

/// Returns the body of a message with one call.
fn one_call() -> Vec<u8> {
    let mut events = Vec::new();
    wire::write(&call(), &mut events);
    events
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

/// Returns whether a message has a tag of AES-256-GCM.
fn is_tagged(bytes: &[u8]) -> bool {
    bytes[5] & 4 != 0
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
        for (bytes, subject, body) in messages(&keys) {
            // A node with the key does not read the checksum of such a message, but one without it does.
            let (unread, sum) = (is_tagged(&bytes), bytes.len() - envelope::SUM);
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                if unread && bit / 8 >= sum {
                    assert!(read(&flipped, subject, &keys).is_ok_and(|message| message.body == body), "bit {bit}");
                    assert_eq!(read(&flipped, subject, &Keys::NONE), Err(Unreadable::Skip(Skipped::Damaged)));
                    continue;
                }
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
        let of_versions = [2, 3, 4].map(|version| (envelope(version, b'E', 0).seal(CALLS, &one_call(), &keys), CALLS));
        for (bytes, subject) in
            messages(&keys).map(|(bytes, subject, _)| (bytes, subject)).into_iter().chain(of_versions)
        {
            let signed = &bytes[..bytes.len() - envelope::SUM];
            let rejects = |mut changed: Vec<u8>, what: String| {
                changed.extend(xxh3_64(&changed).to_be_bytes());
                let why = read(&changed, subject, &keys).expect_err("it is not authentic");
                assert!(matches!(why, Unreadable::Skip(_)), "{what}: {why:?}");
            };
            for at in 3..signed.len() {
                for bit in [1, 2, 4, 0x80] {
                    let mut changed = signed.to_vec();
                    changed[at] ^= bit;
                    rejects(changed, format!("byte {at}"));
                }
            }
            for len in 12..signed.len() {
                rejects(signed[..len].to_vec(), format!("{len} bytes"));
            }
            rejects([signed, &[0]].concat(), "one byte more".into());
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
    for (bytes, _, _) in messages(&ours).into_iter().chain(messages(&ours.clone().encrypting(true))) {
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
        assert_eq!(read(envelope(5, b'E', 0), CALLS), newer(5, b'E'));
        assert_eq!(read(envelope(4, b'Z', 0), CALLS), newer(4, b'Z'));
        assert_eq!(read(envelope(4, b'E', 8), CALLS), newer(4, b'E'), "an unknown flag");
        assert_eq!(read(envelope(3, b'E', 4), CALLS), newer(3, b'E'), "version 3 does not have the flag");
        for skippable in [envelope(5, b'E', 1), envelope(4, b'Z', 1), envelope(4, b'E', 9)] {
            assert_eq!(read(skippable, CALLS), Err(Unreadable::Skip(Skipped::Newer)));
        }
        assert_eq!(read(envelope(4, b'E', 0), CALLS), Err(Unreadable::Skip(Skipped::Damaged)), "no events");
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

/// Earlier nodes halt before messages of version 4, and nodes of version 2 before those of version 3.
#[test]
fn messages_of_versions_2_and_3_stay_readable_and_nodes_write_version_4() {
    for keys in all_keys() {
        for version in [2, 3] {
            let earlier = envelope(version, b'E', 0).seal(CALLS, &one_call(), &keys);
            assert!(read(&earlier, CALLS, &keys).expect("a message").body == Body::Events(vec![call()]));
        }
        for (bytes, ..) in messages(&keys) {
            assert_eq!(bytes[..4], *b"DBF\x04");
        }
    }
}

/// The bytes are of another implementation of the four ciphers (OpenSSL's).
#[test]
fn bytes_of_versions_3_and_4_are_those_of_another_implementation() {
    let encrypts = keys(&[1]).encrypting(true);
    let body = |version, keys: &Keys, encoded: &str| {
        let sealed = Envelope { written: 7, ..envelope(version, b'E', 0) }.seal(CALLS, b"calls", keys);
        let (bytes, sum) = sealed.split_last_chunk().expect("a checksum");
        assert_eq!(xxh3_64(bytes).to_be_bytes(), *sum);
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        assert_eq!(hex(&bytes[50..]), encoded, "version {version}");
        hex(&bytes[..50])
    };
    let head = |version_to_key: &str, len: &str| {
        format!("444246{version_to_key}{}0000000000000007000001a3185c5000000000{len}", "05".repeat(16))
    };
    let signed = "63616c6c73450f589d3b642616901c98cb0254107b2dad48db75785427a927f4d053e57d21";
    assert_eq!(body(3, &keys(&[1]), signed), head("034500fbc194688fd50ee4", "05"));
    let sealed =
        "5c6960a763d148c7b57144ab580640c274e8fcb6a8e2c142e9a1ad8ca53c695e39f871bfdd7ebfe96441fc6080bd61de948f14447b";
    assert_eq!(body(3, &encrypts, sealed), head("034502fbc194688fd50ee4", "15"));
    let tagged = "63616c6c7310b97d9ccb4b82f59619533f24bf23d6";
    assert_eq!(body(4, &keys(&[1]), tagged), head("044504fbc194688fd50ee4", "05"));
    let encrypted = "d6247729709548f63d681705ad10498cd6565dac28";
    assert_eq!(body(4, &encrypts, encrypted), head("044506fbc194688fd50ee4", "05"));
}

/// Checks a tag of HMAC-SHA256 of some bytes.
type Check<'a> = dyn Fn(&[u8], &[u8; 32]) -> bool + 'a;

/// Returns what a node of version 3 does with a message: its checks, in their order. `is_authentic` is its check of the
/// tag, and `None` if it has no key.
fn view_of_version_3(payload: &[u8], is_authentic: Option<&Check<'_>>) -> Result<(), Unreadable> {
    let damaged = Err(Unreadable::Skip(Skipped::Damaged));
    let (bytes, sum) = payload.split_last_chunk().expect("a checksum");
    if xxh3_64(bytes).to_be_bytes() != *sum {
        return damaged;
    }
    let ([.., version, kind, flags], rest) = bytes.split_first_chunk::<6>().expect("a head");
    let (key, rest) = rest.split_first_chunk().expect("a key's id");
    let (len, rest) = rest[32..].split_first_chunk().expect("a length");
    let (body, tag) = rest.split_at(u32::from_be_bytes(*len) as usize);
    match (u64::from_be_bytes(*key), tag.try_into(), is_authentic) {
        (0, _, _) if !tag.is_empty() => return damaged,
        (1.., Err(_), _) => return damaged,
        (0, _, Some(_)) => return Err(Unreadable::Skip(Skipped::Unsigned)),
        (1.., Ok(tag), Some(is_authentic)) if !is_authentic(&bytes[..50 + body.len()], tag) => {
            return Err(Unreadable::Skip(Skipped::Forged));
        }
        _ => {}
    }
    if (2..=3).contains(version) && flags & !3 == 0 {
        return Ok(());
    }
    let newer = Unreadable::Newer { version: *version, kind: *kind };
    Err(if flags & 1 != 0 { Unreadable::Skip(Skipped::Newer) } else { newer })
}

/// An earlier node would skip calls as damaged, and lose them. So it must halt before something else first: a heartbeat,
/// or a configuration.
#[test]
fn a_node_of_version_3_halts_before_each_message_but_calls_details_and_fences() {
    for keys in all_keys() {
        let signing = keys.signing();
        let verifies = |bytes: &[u8], tag: &[u8; 32], mark: &[u8]| signing.expect("a key").verifies(bytes, mark, tag);
        let view = |bytes: &[u8], subject| {
            let mark: &[u8] = if subject == CALLS { b"E\0\x03" } else { b"C\0\0" };
            let check = |bytes: &[u8], tag: &[u8; 32]| verifies(bytes, tag, mark);
            view_of_version_3(bytes, signing.map(|_| &check as _))
        };
        for (bytes, subject, body) in messages(&keys) {
            let kind = bytes[4];
            let expected = match body {
                Body::Fence => Unreadable::Skip(Skipped::Newer),
                // The call comes as a message of its own.
                Body::Events(_) if kind == b'D' => Unreadable::Skip(Skipped::Newer),
                Body::Events(events) if !events.is_empty() && signing.is_some() => Unreadable::Skip(Skipped::Damaged),
                _ => Unreadable::Newer { version: 4, kind },
            };
            assert_eq!(view(&bytes, subject), Err(expected), "{}", kind.escape_ascii());
            // A node without a key sees the same.
            assert_eq!(view_of_version_3(&bytes, None), Err(expected), "{}", kind.escape_ascii());
        }
        let earlier = envelope(3, b'E', 0).seal(CALLS, &one_call(), &keys);
        assert_eq!(view(&earlier, CALLS), Ok(()), "the check knows its own version");
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
