use super::*;

fn key(at: u64, agent: usize, id: &str) -> CallKey {
    CallKey {
        environment: EnvironmentSlot::new(3).expect("a slot"),
        contact: E164::from_digits("15551234567").expect("digits"),
        number: Scope::from_bits(7).expect("24 bits"),
        at: Timestamp::from_secs(1_800_000_000 + at),
        agent: AgentSlot::new(agent).expect("a slot"),
        id: CallId::new(id),
        is_counted: false,
    }
}

fn counted(key: CallKey) -> CallKey {
    CallKey { is_counted: true, ..key }
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
        let place = Place::write_all(vec![Place::of(&key)]).expect("a place");
        assert_eq!((Place::read_all(&place), time_of_id(&place)), (Some(vec![Place::of(&key)]), Some(key.at)));
        assert_eq!(Place::read_all(&place[1..]), None);
        let counted = counted(key.clone());
        assert_eq!(CallKey::from_bytes(&counted.to_bytes()), Some(counted.clone()));
        assert!(key < counted && key.to_bytes() < counted.to_bytes());
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

/// Numbers that look random, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }

    fn record(&mut self) -> (CallKey, CallValue) {
        let id = ["", "u", "v", "w", "x", "y", "z"][self.below(7)];
        let key = key(self.below(7) as u64, self.below(2), id);
        let key = if self.below(3) == 0 { counted(key) } else { key };
        let context = (self.below(2) == 0).then(|| (self.below(3) as u64, ["{}", "{\"a\":1}"][self.below(2)]));
        (key, value(Outcome::ALL[self.below(8)], context))
    }
}

/// Lets a node of a fleet receive the records in this order, and the erasure up to a time before the record `erased_at`.
fn shared(order: &[(CallKey, CallValue)], erased_at: usize, until: Timestamp) -> Records {
    let (mut records, mut erased) = (Records::default(), None);
    for (at, (key, value)) in order.iter().enumerate() {
        if at == erased_at {
            erased = Some(until);
            records.0.retain(|(key, _)| key.at > until);
        }
        if erased.is_none_or(|until| key.at > until) {
            records.share(key.clone(), value.clone());
        }
        assert!(records.0.len() <= 2 * MOST_OF_CALL * MOST_OF_PAIR + 1);
        assert!(records.0.is_sorted_by(|(one, _), (other, _)| one < other));
    }
    records
}

#[test]
fn shared_records_are_the_same_in_any_order_of_records_and_erasures() {
    let mut numbers = Numbers(1);
    for round in 0..3_000 {
        let mut order: Vec<_> = (0..4 + numbers.below(12)).map(|_| numbers.record()).collect();
        let until = key(numbers.below(3) as u64, 0, "").at;
        let mut expected = None;
        for _ in 0..6 {
            for last in (1..order.len()).rev() {
                order.swap(last, numbers.below(last + 1));
            }
            // Records may come more than once.
            let again = order[numbers.below(order.len())].clone();
            order.push(again);
            let held = shared(&order, numbers.below(order.len()), until);
            order.pop();
            assert_eq!(expected.get_or_insert_with(|| held.clone()), &held, "round {round}: {order:?}");
        }
    }
}

#[test]
fn shared_pair_keeps_its_newest_calls_and_the_last_one_that_counts() {
    let mut records = Records::default();
    let add = |records: &mut Records, key: CallKey| records.share(key, value(Outcome::Busy, None));
    add(&mut records, counted(key(1, 1, "old")));
    add(&mut records, counted(key(2, 1, "counts")));
    for (at, id) in [(3, "a"), (4, "b"), (5, "c"), (6, "d"), (7, "e")] {
        add(&mut records, key(at, 1, id));
    }
    // More dates of one call push out no other call, and its own earlier dates.
    for at in 8..12 {
        add(&mut records, key(at, 1, "e"));
    }
    let held: Vec<_> = records.0.iter().map(|(key, _)| (key.at, key.is_counted)).collect();
    let expected = [(2, true), (4, false), (5, false), (6, false), (10, false), (11, false)];
    assert_eq!(held, expected.map(|(at, is_counted)| (key(at, 1, "").at, is_counted)));
}

#[test]
fn records_from_before_and_after_a_call_counts_are_one_call() {
    let mut records = Records::default();
    for id in ["", "x"] {
        records.share(key(1, 1, id), value(Outcome::Ringing, Some((3, "{\"a\":1}"))));
        records.share(counted(key(1, 1, id)), value(Outcome::Answered, Some((2, "{}"))));
        let (_, joined) = records.at(key(1, 1, "").at, key(1, 1, "").agent).expect("there");
        assert_eq!(joined, value(Outcome::Answered, Some((3, "{\"a\":1}"))));
        assert_eq!(records.all().len(), 1, "{id}");
    }
}

/// Each node has accepted its report before it knew that of the other.
#[test]
fn id_that_two_agents_have_in_one_pair_is_the_later_call_and_joins_nothing_of_the_other() {
    let mut records = Records::default();
    records.share(key(1, 1, "x"), value(Outcome::Voicemail, Some((9, "{\"a\":1}"))));
    records.share(key(2, 2, "x"), value(Outcome::Busy, None));
    let id = CallId::new("x").expect("an id");
    assert_eq!(records.of_id(&id), Some((key(2, 2, "x"), value(Outcome::Busy, None))));
    let [one, other] = [1, 2].map(|agent| AgentSlot::new(agent).expect("a slot"));
    let (_, of_first) = records.at(key(1, 1, "").at, one).expect("there");
    assert_eq!(of_first, value(Outcome::Voicemail, Some((9, "{\"a\":1}"))));
    assert_eq!(records.all().len(), 2);
    assert!(!records.is_of_another(&id, one) && !records.is_of_another(&id, other));
    assert!(records.is_of_another(&id, AgentSlot::new(3).expect("a slot")));
}

#[test]
fn places_of_an_id_begin_with_the_latest_call() {
    let place = |at| Place { at: key(at, 1, "").at, ..Place::of(&key(at, 1, "")) };
    let value = Place::write_all(vec![place(1), place(3), place(2)]).expect("places");
    assert_eq!(Place::read_all(&value), Some(vec![place(3), place(2), place(1)]));
    assert_eq!(time_of_id(&value), Some(place(3).at));
    assert_eq!(Place::write_all((0..20).map(place).collect()).map(|value| value.len()), Some(16 * MOST_OF_ID));
    assert_eq!((Place::write_all(Vec::new()), Place::read_all(&[])), (None, None));
}
