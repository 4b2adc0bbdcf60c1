//! Tests of the history with real threads: against a model, when it is full, while it grows, and with a thread stopped.

use super::index::Index;
use super::index::dropped::Unobserved;
use super::index::limits::HistoryLimits;
use super::index::shape::{SEGMENT_BITS, SPACE_MASK, Version};
use super::index::step::{Step, on_step};
use super::*;
use crate::sync::{AtomicBool, AtomicU64, Ordering};
use crate::time::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

fn scope(index: u32) -> Scope {
    Scope::from_bits(index).expect("in range")
}

fn contact(index: u64) -> E164 {
    E164::from_code(index).expect("in range")
}

fn register(bits: u64) -> Register {
    Register::from_bits(bits).expect("not zero")
}

/// Returns a number that looks random.
fn scatter(n: u64) -> u64 {
    let n = (n ^ n >> 31).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (n ^ n >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

#[test]
fn a_pair_has_the_greatest_merged_register() {
    let history = History::new(1000);
    assert_eq!(history.get(scope(1), contact(2)), None);
    assert_eq!(history.merge(scope(1), contact(2), register(5)), Ok(None));
    assert_eq!(history.merge(scope(1), contact(2), register(9)), Ok(Some(register(5))));
    assert_eq!(history.merge(scope(1), contact(2), register(7)), Ok(Some(register(9))));
    assert_eq!(history.get(scope(1), contact(2)), Some(register(9)));
    assert_eq!(history.get(scope(2), contact(2)), None);
    assert_eq!(history.get(scope(1), contact(3)), None);
    assert_eq!(history.len(), 1);
}

#[test]
fn the_latest_erasure_can_be_stored() {
    let history = History::new(10);
    let last = Register::erasure(Timestamp::LATEST);
    history.merge(scope(0), contact(1), last).expect("room");
    assert_eq!(history.get(scope(0), contact(1)), Some(last));
    assert!(matches!(last.read(), LastCall::Erased { .. }));
}

#[test]
fn an_assigned_scope_is_found_by_its_owner() {
    let history = History::new(1000);
    let dialed = contact(4_930_901_820);
    assert!(history.assign(scope(7), dialed));
    history.merge(scope(7), contact(99), register(3)).expect("room");
    let spot = history.spot(dialed, contact(99));
    history.prefetch(spot);
    assert_eq!(history.get_at(scope(7), spot), Some(register(3)));
    assert_eq!(spot, history.spot_in(scope(7), contact(99)));
    assert!(history.assign(scope(7), dialed), "the same again changes nothing");
    assert!(!history.assign(scope(7), contact(5)));
    history.merge(scope(8), contact(99), register(3)).expect("room");
    assert!(!history.assign(scope(8), dialed), "a scope that has pairs stays where it is");
}

#[test]
fn a_batch_reads_the_same_as_single_reads() {
    let history = History::new(10_000);
    for i in 1..=1000 {
        history.merge(scope(0), contact(i), register(i)).expect("room");
    }
    for len in [0, 1, 31, 32, 33, 64, 100] {
        let pairs: Vec<_> =
            (0..len).map(|i| (scope(0), history.spot_in(scope(0), contact(i * 37 % 1500 + 1)))).collect();
        let mut registers = vec![None; pairs.len()];
        history.get_batch(&pairs, &mut registers);
        for (&(scope, spot), got) in pairs.iter().zip(registers) {
            assert_eq!(got, history.get_at(scope, spot));
        }
    }
}

/// An operation on a history and on its model.
#[derive(Clone, Debug)]
enum Op {
    Merge(u32, u64, u64),
    Get(u32, u64),
    Floor(u64),
    Tend,
    Walk,
}

fn op() -> impl Strategy<Value = Op> {
    let pair = (0..9u32, 1..400u64);
    prop_oneof![
        400 => (pair.clone(), 1..1000u64).prop_map(|((s, c), r)| Op::Merge(s, c, r)),
        100 => pair.prop_map(|(s, c)| Op::Get(s, c)),
        1 => (1..300u64).prop_map(Op::Floor),
        10 => Just(Op::Tend),
        2 => Just(Op::Walk),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn it_behaves_like_a_map_of_maxima(ops in prop::collection::vec(op(), 1..6000)) {
        // All contacts are in one segment, with nine pairs at each place, so that lines overflow and the table grows.
        let index = Index::new(HistoryLimits::pairs(100_000), Arc::new(Unobserved)).expect("memory");
        let place = |contact: u64| (contact << 55 >> SEGMENT_BITS) & SPACE_MASK;
        let mut model = BTreeMap::new();
        let mut floor = 0;
        for op in ops {
            match op {
                Op::Merge(s, c, r) => {
                    let before = index.merge(s, place(c), r).expect("room");
                    let held = model.entry((s, c)).or_insert(0);
                    // A growth may have dropped a register below the floor.
                    prop_assert!(before == *held || before == 0 && *held < floor);
                    *held = r.max(before);
                }
                Op::Get(s, c) => {
                    let (got, held) = (index.get(s, place(c)), model.get(&(s, c)).copied().unwrap_or(0));
                    prop_assert!(got == held || got == 0 && held < floor);
                }
                Op::Floor(f) => {
                    floor = floor.max(f);
                    index.expire_before(f);
                }
                Op::Tend => {
                    index.tend();
                }
                Op::Walk => {
                    let mut seen = BTreeMap::new();
                    index.walk(|s, p, r| { seen.insert((s, p), r); });
                    for (&(s, c), &held) in &model {
                        let got = seen.remove(&(s, place(c))).unwrap_or(0);
                        prop_assert!(got == held || got == 0 && held < floor);
                    }
                    prop_assert!(seen.is_empty());
                }
            }
        }
        let live = model.iter().filter(|&(&(s, c), _)| index.get(s, place(c)) != 0).count();
        prop_assert_eq!(index.len(), live);
    }
}

#[test]
fn nothing_is_lost_while_it_grows() {
    let history = History::new(2_000_000);
    let pairs = 600_000;
    for i in 0..pairs {
        history.merge(scope((i % 1000) as u32), contact(1 + scatter(i) % (1 << 49)), register(i + 1)).expect("room");
    }
    assert!(history.stats().growths > 64, "it has grown");
    for i in 0..pairs {
        let got = history.get(scope((i % 1000) as u32), contact(1 + scatter(i) % (1 << 49)));
        assert_eq!(got, Some(register(i + 1)), "pair {i}");
    }
    assert_eq!(history.len(), pairs as usize);
    let mut seen = 0;
    history.for_each(|_, _, register| seen += register.bits());
    while history.tend() {}
    assert_eq!(history.stats().growing, 0);
    let mut again = 0;
    history.for_each(|_, _, register| again += register.bits());
    assert_eq!(again, pairs * (pairs + 1) / 2);
    assert!(seen >= again);
}

#[test]
fn four_writers_on_common_pairs_and_a_keeper_lose_nothing() {
    let history = Arc::new(History::new(1_000_000));
    let keeper = Keeper::start(&history).expect("a thread").expect("the first");
    assert!(Keeper::start(&history).expect("no thread needed").is_none(), "one keeper at a time");
    let per_thread = 100_000;
    thread::scope(|threads| {
        for t in 0..4u64 {
            let history = &history;
            threads.spawn(move || {
                for i in 0..per_thread {
                    // Two threads write each pair.
                    let pair = (i + t / 2 * per_thread) + 1;
                    history.merge(scope(3), contact(pair), register(pair * 4 + t % 2 + 1)).expect("room");
                }
            });
        }
        threads.spawn(|| {
            let mut newest = vec![0; 1000];
            for round in 0..200_000u64 {
                let pair = scatter(round) % 1000 + 1;
                let got = history.get(scope(3), contact(pair)).map_or(0, Register::bits);
                assert!(got >= newest[pair as usize - 1], "a register went back");
                newest[pair as usize - 1] = got;
            }
        });
    });
    drop(keeper);
    assert_eq!(history.len(), 2 * per_thread as usize);
    for pair in 1..=2 * per_thread {
        assert_eq!(history.get(scope(3), contact(pair)), Some(register(pair * 4 + 2)));
    }
}

use std::sync::Arc;

#[test]
fn a_full_small_history_holds_exactly_its_maximum_and_accepts_known_pairs() {
    let history = History::new(1000);
    for i in 1..=1000 {
        history.merge(scope(0), contact(i), register(100 + i)).expect("room");
    }
    let full = history.merge(scope(0), contact(5000), register(1)).expect_err("full");
    assert_eq!((full.pairs, full.max_pairs), (1000, 1000));
    assert_eq!(history.get(scope(0), contact(5000)), None, "a refused write changes nothing");
    assert_eq!(history.merge(scope(0), contact(7), register(9000)), Ok(Some(register(107))));
    assert_eq!((history.len(), history.stats().rejected), (1000, 1));
}

#[test]
fn in_a_full_history_expired_pairs_make_room() {
    let history = History::new(50_000);
    for i in 1..=50_000 {
        history.merge(scope(0), contact(i), register(i)).expect("room");
    }
    history.merge(scope(0), contact(60_000), register(60_000)).expect_err("nothing has expired");
    history.expire_before(register(25_001));
    for i in 60_000..84_000 {
        history.merge(scope(0), contact(i), register(i)).expect("half has expired");
    }
    let reclaimed = history.stats().reclaimed;
    assert!((24_000..=25_000).contains(&reclaimed), "{:?}", history.stats());
    // A segment that had room was not rewritten, and still holds its expired pairs.
    let left = (1..=25_000).filter(|i| history.get(scope(0), contact(*i)).is_some()).count() as u64;
    assert_eq!(left, 25_000 - reclaimed);
    for i in 25_001..=50_000 {
        assert_eq!(history.get(scope(0), contact(i)), Some(register(i)), "what has not expired stays");
    }
    assert!(history.len() <= 50_000);
}

#[test]
fn in_a_full_history_a_retired_scope_makes_room() {
    let history = History::new(10_000);
    for i in 1..=10_000 {
        history.merge(scope((i % 2) as u32), contact(i), register(i)).expect("room");
    }
    history.retire(scope(1));
    for i in 20_000..24_900 {
        history.merge(scope(2), contact(i), register(i)).expect("half was retired");
    }
    // Segments are rewritten one by one, as room is needed. The last ones may still have retired pairs.
    let retired = (1..=10_000).step_by(2).filter(|&i| history.get(scope(1), contact(i)).is_some()).count();
    assert_eq!(retired as u64 + history.stats().reclaimed, 5_000);
    assert!(retired <= 100, "{retired} are left of 5,000 in whose place 4,900 came");
    for i in (2..=10_000).step_by(2) {
        assert_eq!(history.get(scope(0), contact(i)), Some(register(i)), "what was not retired stays");
    }
}

#[test]
fn memory_stays_in_a_narrow_band_while_it_grows() {
    let history = History::new(1_600_000);
    let register = Register::from_bits(1 << 60 | 1).expect("a register");
    let (mut most, mut least) = (0.0f64, f64::MAX);
    for i in 0..1_500_000_u64 {
        let scope = Scope::from_bits((i % 10_000) as u32).expect("24 bits");
        let contact = E164::from_code(1 + (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 15)).expect("a code");
        history.merge(scope, contact, register).expect("room");
        if i >= 1_000_000 && i % 5_000 == 0 {
            let bytes = history.bytes() as f64 / i as f64;
            (most, least) = (most.max(bytes), least.min(bytes));
        }
    }
    // The bytes include the copy of a growth, which is of one segment in 64. At this size, one chunk more or less in
    // each segment is a sixth of the bytes, and random: in one of six runs, the least was 26.03.
    assert!(most <= 32.0 && least <= 26.5, "{least} to {most} bytes a pair");
}

#[test]
fn segments_grow_one_after_another_at_every_count_of_pairs() {
    let mut moments = Vec::new();
    for segment in Index::segments() {
        let mut chunks = 1;
        while chunks < 2000 {
            let version = Version::new(0, 0, chunks);
            let limit = Index::limit_of(segment, version);
            let of_full = limit as f64 / Index::slots_when_full(version) as f64;
            // A very small table doubles, so some tables grow early. None grows late.
            let least = if chunks < 5 { 0.49 } else { 0.9 };
            assert!((least..=1.11).contains(&of_full), "{chunks} chunks in segment {segment}: {of_full}");
            moments.push(limit);
            let after = Index::size_after(segment, chunks);
            assert!(
                after > chunks && (after - chunks <= 1 || after as f64 <= chunks as f64 * 1.5),
                "{chunks}, {after}"
            );
            chunks = after;
        }
    }
    moments.sort_unstable();
    // From one chunk in each segment on, at most one segment in eight is due between any number of pairs and a
    // hundredth more.
    for (at, &first) in moments.iter().enumerate() {
        let together = moments[at..].iter().take_while(|&&moment| moment as f64 <= first as f64 * 1.01).count();
        assert!(together <= 64 / 8, "{together} of 64 segments grow at {first} to a hundredth more pairs each");
    }
}

#[test]
fn a_history_at_its_byte_limit_rejects_new_pairs_and_loses_nothing() {
    let history = History::try_new(HistoryLimits { max_pairs: usize::MAX, max_bytes: 12 << 20 }).expect("memory");
    let mut taken = 0u64;
    while history.merge(scope(0), contact(taken + 1), register(taken + 1)).is_ok() {
        taken += 1;
    }
    assert!(history.bytes() < 14 << 20, "{}", history.bytes());
    // The first rejection comes when one of 64 tables of three chunks has no room within reach. The moment is random:
    // 342,000 pairs, give or take 18,000, in sixty runs.
    assert!(taken > 250_000, "{taken} pairs in 12 MiB");
    for i in 1..=taken {
        assert_eq!(history.get(scope(0), contact(i)), Some(register(i)));
    }
    history.expire_before(register(taken));
    for i in 1..1000 {
        history.merge(scope(1), contact(i), register(taken + i)).expect("nearly all has expired");
    }
}

#[test]
fn a_table_full_of_expired_pairs_is_rewritten_and_does_not_grow() {
    let history = History::new(10_000_000);
    let mut most = 0;
    for i in 1..=1_500_000u64 {
        // The last 100,000 pairs have not expired.
        history.merge(scope(0), contact(i), register(i)).expect("room");
        if i % 5_000 == 0 {
            history.expire_before(register(i.saturating_sub(100_000) + 1));
        }
        if i == 250_000 {
            most = history.bytes();
        }
    }
    assert!(history.bytes() <= most * 5 / 4, "{} after {most}", history.bytes());
    assert!(history.len() < 300_000, "{}", history.len());
    for i in 1_400_001..=1_500_000 {
        assert_eq!(history.get(scope(0), contact(i)), Some(register(i)));
    }
}

#[test]
fn iteration_during_writes_shows_every_earlier_pair() {
    let history = History::new(2_000_000);
    for i in 1..=100_000 {
        history.merge(scope(1), contact(i), register(i)).expect("room");
    }
    let done = AtomicBool::new(false);
    thread::scope(|threads| {
        threads.spawn(|| {
            let mut i = 100_000;
            while !done.load(Ordering::Relaxed) && i < 1_500_000 {
                i += 1;
                history.merge(scope(1), contact(i), register(i)).expect("room");
            }
        });
        for _ in 0..20 {
            let mut seen = vec![false; 100_001];
            history.for_each(|_, contact, register| {
                assert_eq!(contact.code(), register.bits());
                if let Some(seen) = seen.get_mut(contact.code() as usize) {
                    *seen = true;
                }
            });
            assert_eq!(seen.iter().filter(|&&seen| seen).count(), 100_000);
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Stops a thread at every kind of step of a growth. Other threads read and write meanwhile, through further growths,
/// and no acknowledged pair is lost. Then the late thread continues, and still nothing is lost.
#[test]
fn readers_and_writers_go_on_while_a_thread_is_stopped_anywhere_in_a_growth() {
    for stop in Step::ALL {
        for skip in [0, 3, 40] {
            let history = History::new(4_000_000);
            let (stopped, was_stopped) = mpsc::channel();
            let (go_on, may_go_on) = mpsc::channel::<()>();
            let all = &history;
            // A failed check drops `go_on` before the scope waits for the thread, so that it does not wait for ever.
            thread::scope(move |threads| {
                let history = all;
                let frozen = threads.spawn(move || {
                    let mut left = Some(skip);
                    on_step(move |step| {
                        if step == stop {
                            match left {
                                Some(0) => {
                                    left = None;
                                    stopped.send(()).expect("somebody waits");
                                    let _ = may_go_on.recv();
                                }
                                Some(n) => left = Some(n - 1),
                                None => {}
                            }
                        }
                    });
                    for i in 1..=200_000u64 {
                        history.merge(scope(1), contact(i), register(i)).expect("room");
                    }
                });
                was_stopped
                    .recv_timeout(Duration::from_secs(60))
                    .unwrap_or_else(|_| panic!("never came to {stop:?} for the {skip}th time"));
                let before = history.stats().growths;
                for i in 1..=200_000u64 {
                    history.merge(scope(2), contact(i), register(i)).expect("room");
                    if i % 16 == 0 {
                        let earlier = scatter(i) % i + 1;
                        assert_eq!(history.get(scope(2), contact(earlier)), Some(register(earlier)), "{stop:?}");
                    }
                }
                // 66 in the slowest of many runs: where a pair has its home is random.
                assert!(history.stats().growths > before + 40, "growth went on: {stop:?}");
                go_on.send(()).expect("it waits");
                frozen.join().expect("it ends");
            });
            for i in 1..=200_000u64 {
                assert_eq!(history.get(scope(1), contact(i)), Some(register(i)), "{stop:?} {skip}");
                assert_eq!(history.get(scope(2), contact(i)), Some(register(i)), "{stop:?} {skip}");
            }
            while history.tend() {}
            assert_eq!((history.len(), history.stats().growing), (400_000, 0), "{stop:?} {skip}");
        }
    }
}

/// Writers that hold a seat forever keep memory, but do not stop progress. A reader that is late by any number of
/// growths notices.
#[test]
fn a_held_seat_keeps_old_tables_until_it_is_dropped() {
    let history = History::new(2_000_000);
    let segment = super::index::shape::segment_of(history.spot_in(scope(1), contact(1)).place());
    let seat = history.index.seats.sit(segment, history.index.version(segment));
    for i in 1..=500_000u64 {
        history.merge(scope(1), contact(i), register(i)).expect("room");
    }
    while history.tend() {}
    assert!(history.index.tables.retired() > 0, "kept while it sits");
    drop(seat);
    while history.tend() {}
    assert_eq!(history.index.tables.retired(), 0, "given back when it left");
}

/// Without a keeper, only growths give tables back. Each looks at a few tables, so those that are held must not hide others.
#[test]
fn held_seats_keep_the_old_tables_of_their_segments_only() {
    use super::index::growth::LOOKS;
    let history = History::new(2_000_000);
    let seats =
        [0, 1, 2, 3, 4, 5, 6, 7].map(|segment| history.index.seats.sit(segment, history.index.version(segment)));
    for i in 1..=500_000u64 {
        history.merge(scope(1), contact(i), register(i)).expect("room");
    }
    let retired = std::iter::from_fn(|| history.index.tables.pop_retired());
    let (held, others): (Vec<_>, Vec<_>) = retired.partition(|(segment, _)| *segment < 8);
    assert!(held.len() > LOOKS, "{} tables are held, more than one look passes", held.len());
    assert!(others.len() <= LOOKS, "{} tables of other segments are kept", others.len());
    drop(seats);
}

#[test]
fn more_writers_than_seats_can_hold_a_segment_and_write() {
    let history = History::new(1000);
    let version = history.index.version(0);
    let seats: Vec<_> = (0..super::index::shape::SEATS + 10).map(|_| history.index.seats.sit(0, version)).collect();
    for i in 1..=1000 {
        history.merge(scope(0), contact(i), register(i)).expect("room");
    }
    drop(seats);
    assert_eq!(history.len(), 1000);
    history.merge(scope(0), contact(1001), register(1)).expect_err("full");
}

/// Records what real threads did with one pair, and checks the records against a linearizable register of maxima.
mod linearizable {
    use super::*;
    use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

    #[derive(Clone, Default, Debug, PartialEq, Hash)]
    struct Maximum(u64);

    #[derive(Clone, Debug, PartialEq, Hash)]
    enum Asked {
        Merge(u64),
        Get,
    }

    impl SequentialSpec for Maximum {
        type Op = Asked;
        type Ret = u64;
        fn invoke(&mut self, op: &Asked) -> u64 {
            let before = self.0;
            if let Asked::Merge(value) = op {
                self.0 = before.max(*value);
            }
            before
        }
    }

    type Event = (u64, usize, Result<Asked, u64>);

    fn verdict(mut events: Vec<Event>) -> bool {
        events.sort_by_key(|event| event.0);
        let mut tester = LinearizabilityTester::new(Maximum::default());
        for (_, thread, what) in events {
            match what {
                Ok(asked) => tester.on_invoke(thread, asked).expect("one at a time"),
                Err(got) => tester.on_return(thread, got).expect("after its invocation"),
            };
        }
        tester.is_consistent()
    }

    /// Three threads merge and read one pair, while a fourth thread makes its segment grow.
    fn record(round: u64) -> Vec<Event> {
        let index = Index::new(HistoryLimits::pairs(100_000), Arc::new(Unobserved)).expect("memory");
        let place = |contact: u64| (contact << 40 >> SEGMENT_BITS) & SPACE_MASK;
        // Begin close to a growth, so that it happens during the threads' work.
        for i in 0..2900 {
            index.merge(1, place(scatter(i) >> 40), 1).expect("room");
        }
        let before = index.version(0);
        let clock = AtomicU64::new(0);
        let (index, clock) = (&index, &clock);
        let events = thread::scope(|threads| {
            threads.spawn(move || {
                for i in 2900..4200 {
                    index.merge(1, place(scatter(i) >> 40), 1).expect("room");
                }
            });
            let recorders: Vec<_> = (0..3)
                .map(|thread| {
                    threads.spawn(move || {
                        let mut events = Vec::new();
                        for step in 0..6u64 {
                            let asked = if scatter(round * 64 + step * 3 + thread as u64) >> 63 == 0 {
                                Asked::Get
                            } else {
                                Asked::Merge(2 + scatter(round ^ step << 8 ^ (thread as u64) << 16) % 9)
                            };
                            events.push((clock.fetch_add(1, Ordering::SeqCst), thread, Ok(asked.clone())));
                            let got = match asked {
                                Asked::Get => index.get(7, place(12_345)),
                                Asked::Merge(value) => index.merge(7, place(12_345), value).expect("room"),
                            };
                            events.push((clock.fetch_add(1, Ordering::SeqCst), thread, Err(got)));
                        }
                        events
                    })
                })
                .collect();
            recorders.into_iter().flat_map(|recorder| recorder.join().expect("no panic")).collect()
        });
        assert!(index.version(0) != before, "it has grown meanwhile");
        events
    }

    #[test]
    fn recorded_histories_are_linearizable() {
        for round in 0..300 {
            let events = record(round);
            assert!(verdict(events.clone()), "round {round}: {events:?}");
        }
    }

    #[test]
    fn a_lost_write_and_a_read_of_an_older_value_are_not_linearizable() {
        let merged = |at, value, before| vec![(at, 0, Ok(Asked::Merge(value))), (at + 1, 0, Err(before))];
        let read = |at, got| vec![(at, 1, Ok(Asked::Get)), (at + 1, 1, Err(got))];
        assert!(verdict([merged(0, 5, 0), read(2, 5)].concat()));
        assert!(!verdict([merged(0, 5, 0), read(2, 0)].concat()), "lost");
        assert!(!verdict([merged(0, 5, 0), merged(2, 7, 5), read(4, 7), read(6, 5)].concat()), "back");
    }
}

/// One thread writes, erases and removes erased pairs. Meanwhile the keeper moves pairs, and readers read.
#[test]
fn erased_pairs_and_no_others_are_removed_during_reads_and_growth() {
    const PAIRS: u64 = 20_000;
    let history = std::sync::Arc::new(History::new(60_000));
    history.share_out();
    let (environment, ours) = (EnvironmentSlot::new(0).expect("a slot"), scope(3));
    history.belongs(ours, environment);
    let keeper = Keeper::start(&history).expect("a thread");
    let at = |millis: u64| Timestamp::from_millis(1_800_000_000_000 + millis);
    let call =
        |millis| Register::call(at(millis), crate::Outcome::Busy, crate::slot::AgentSlot::new(1).expect("a slot"));
    let stop = AtomicBool::new(false);
    // Readers never see an erased pair again, and always see the other pairs.
    let erased = AtomicU64::new(0);
    thread::scope(|threads| {
        for reader in 0..2 {
            let (history, stop, erased) = (&history, &stop, &erased);
            threads.spawn(move || {
                let mut n = reader;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    let gone = erased.load(Ordering::Acquire);
                    if gone > 0 {
                        let pair = scatter(n) % gone * 2;
                        let found = history.get(ours, contact(1 + pair));
                        assert!(found.is_none_or(Register::is_erasure), "{pair} is back: {found:?}");
                        let pair = scatter(n) % gone * 2 + 1;
                        assert_eq!(history.get(ours, contact(1 + pair)), Some(call(1)), "{pair} has to stay");
                    }
                }
            });
        }
        for pair in 0..PAIRS {
            history.merge_counted(ours, contact(1 + pair), call(1)).expect("room");
            if pair % 2 == 1 {
                history.merge_counted(ours, contact(pair), Register::erasure(at(2))).expect("it is there");
                erased.store(pair / 2 + 1, Ordering::Release);
            }
            if pair % 500 == 0 {
                history.forget_erased((pair / 500) as usize);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    drop(keeper);
    assert_eq!(history.held(), PAIRS as usize / 2);
    for _ in 0..2 {
        (0..History::PARTS).for_each(|part| _ = history.forget_erased(part));
    }
    assert_eq!((history.held(), history.held_by(environment)), (PAIRS as usize / 2, PAIRS as usize / 2));
    // A part is not rewritten for fewer than one erased pair in 256.
    assert!(history.len() < PAIRS as usize / 2 + PAIRS as usize / 256, "{} are left", history.len());
    let mut seen = 0;
    history.for_each(|_, _, register| seen += usize::from(!register.is_erasure()));
    assert_eq!(seen, PAIRS as usize / 2);
}

/// A thread that stopped while it held a copy holds a seat on the segment.
#[test]
fn segment_with_another_seat_keeps_its_erasures() {
    let history = History::new(1000);
    history.share_out();
    let at = Timestamp::from_secs(1_800_000_000);
    (1..=500).for_each(|n| _ = history.merge(scope(0), contact(n), Register::erasure(at)).expect("room"));
    let index = &history.index;
    let part = 7;
    let seat = index.seats.sit(part, index.version(part));
    assert!(!history.forget_erased(part));
    drop(seat);
    assert!(history.forget_erased(part));
    assert!(!history.forget_erased(part), "there is nothing left");
}
