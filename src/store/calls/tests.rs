use super::*;

fn key(at: u64, agent: usize, id: &str) -> CallKey {
    CallKey {
        environment: EnvironmentSlot::new(3).expect("a slot"),
        contact: E164::from_digits("15551234567").expect("digits"),
        number: Scope::from_bits(7).expect("24 bits"),
        at: Timestamp::from_secs(1_800_000_000 + at),
        agent: AgentSlot::new(agent).expect("a slot"),
        id: CallId::new(id),
    }
}

fn pair(key: &CallKey) -> Vec<u8> {
    pair_prefix(key.environment, key.contact, key.number)
}

fn value(outcome: Outcome, context: Option<(u64, &str)>) -> CallValue {
    let context = context.map(|(at, text)| (Timestamp::from_secs(1_800_000_000 + at), text));
    let context = context.map(|(at, text)| (at, Context::from_stored(text).expect("an object")));
    CallValue { outcome, context }
}

#[test]
fn written_records_read_back_and_shortened_or_invalid_ones_do_not() {
    let longest = "~".repeat(CallId::MAX);
    for id in ["", "a", &longest] {
        let key = key(5, 9, id);
        let bytes = key.to_bytes();
        assert_eq!(CallKey::from_bytes(&bytes), Some(key.clone()));
        assert_eq!(bytes.len(), UNNAMED + id.len());
        assert!(
            bytes.starts_with(&pair(&key)) && pair(&key).starts_with(&contact_prefix(key.environment, key.contact))
        );
        assert_eq!(contact_of(&bytes), Some((key.environment, key.contact)));
        assert_eq!(time_of_call(&bytes), Some(key.at));
        for len in 0..UNNAMED {
            assert_eq!(CallKey::from_bytes(&bytes[..len]), None);
        }
        assert_eq!(CallKey::from_bytes(&[&bytes[..], b" "].concat()), None, "no id has a space");
        let place = id_value(&key);
        assert_eq!((read_id(&place), time_of_id(&place)), (Some((key.contact, key.number)), Some(key.at)));
        assert_eq!(read_id(&place[1..]), None);
    }
    assert_eq!(CallKey::from_bytes(&key(5, 9, &longest).to_bytes().repeat(2)), None);
    for value in [value(Outcome::Busy, None), value(Outcome::Voicemail, Some((4, "{\"a\":1}")))] {
        assert_eq!(CallValue::from_bytes(&value.to_bytes()), Some(value));
    }
    let bytes = value(Outcome::Busy, Some((4, "{}"))).to_bytes();
    for wrong in
        [&bytes[..0], &bytes[..3], &bytes[..8], &[&[9], &bytes[1..]].concat()[..], &[&bytes[..], b"\xFF"].concat()]
    {
        assert_eq!(CallValue::from_bytes(wrong), None, "{wrong:?}");
    }
    let too_long = [&bytes[..7], b"{", &[b' '; Context::MAX], b"}"].concat();
    assert_eq!(CallValue::from_bytes(&too_long), None);
}

#[test]
fn keys_sort_as_their_bytes() {
    let keys = [key(1, 1, ""), key(1, 1, "a"), key(1, 1, "b"), key(1, 2, ""), key(2, 0, "z"), key(3, 0, "")];
    for (lower, higher) in keys.iter().zip(&keys[1..]) {
        assert!(lower < higher && lower.to_bytes() < higher.to_bytes());
    }
}

/// Calls `see` with each order of the items.
fn each_order<T: Clone>(items: &[T], so_far: &mut Vec<T>, see: &mut dyn FnMut(&[T])) {
    if items.is_empty() {
        return see(so_far);
    }
    for place in 0..items.len() {
        let mut rest = items.to_vec();
        so_far.push(rest.remove(place));
        each_order(&rest, so_far, see);
        so_far.pop();
    }
}

/// Ids that come later than their call, contexts, statuses, a call that two nodes date differently, and more calls than
/// a pair keeps.
#[test]
fn records_are_the_same_in_any_order_of_their_arrival() {
    let reports = [
        (key(1, 1, "x"), value(Outcome::Initiated, Some((1, "{\"a\":1}")))),
        (key(2, 1, ""), value(Outcome::Ringing, Some((7, "{\"a\":2}")))),
        (key(2, 1, "x"), value(Outcome::Busy, None)),
        (key(2, 1, "x"), value(Outcome::Answered, Some((2, "{\"a\":3}")))),
        (key(2, 1, "x"), value(Outcome::Initiated, Some((2, "{\"a\":4}")))),
        (key(4, 1, "y"), value(Outcome::Failed, None)),
        (key(4, 2, "z"), value(Outcome::Voicemail, Some((9, "{}")))),
    ];
    let (mut orders, mut expected) = (0, None);
    each_order(&reports, &mut Vec::new(), &mut |order| {
        let mut records = Records::default();
        for (key, value) in order {
            records.add(key.clone(), value.clone(), None);
        }
        orders += 1;
        assert_eq!(expected.get_or_insert_with(|| records.clone()), &records);
    });
    assert_eq!(orders, 5040);
    let records = expected.expect("an order");
    assert_eq!(records.0.len(), MOST_OF_PAIR);
    let (found, joined) = records.of_id(&CallId::new("x").expect("an id")).expect("known");
    assert_eq!((found, joined), (key(2, 1, "x"), value(Outcome::Busy, Some((7, "{\"a\":2}")))));
}

#[test]
fn one_id_with_two_times_is_one_call_with_the_later_time() {
    let mut records = Records::default();
    records.add(key(1, 1, "x"), value(Outcome::Voicemail, Some((8, "{\"a\":1}"))), None);
    records.add(key(3, 1, "x"), value(Outcome::Answered, None), None);
    records.add(key(2, 1, ""), value(Outcome::Busy, None), None);
    let call = (key(3, 1, "x"), value(Outcome::Voicemail, Some((8, "{\"a\":1}"))));
    assert_eq!(records.of_id(&CallId::new("x").expect("an id")), Some(call.clone()));
    assert_eq!(records.at(key(3, 1, "").at, key(3, 1, "").agent), Some(call.clone()));
    assert_eq!(records.all(), [call, (key(2, 1, ""), value(Outcome::Busy, None))]);
    assert_eq!(records.at(key(2, 2, "").at, key(2, 2, "").agent), None);
}
