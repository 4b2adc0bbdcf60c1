//! Lets an answer outrank the failed attempts of the same call.

use super::destination::Origin;
use ahash::{HashMap, HashMapExt};
use dialback::{AgentId, Call, Details, E164, Outcome, Timestamp};
use std::collections::VecDeque;

/// Corrects final records of one call. A switch that tries several trunks or devices writes one record for each
/// attempt, with the same parties and the same time: `FAILED`, then `ANSWERED`. Each is final, so the history keeps the
/// outcome of the highest rank, which is `busy` or `no_answer` rather than an answer. So a failed attempt waits here, and
/// becomes a repetition of the answer if a record of an answer is near.
pub(super) struct Attempts {
    /// Whether records are final. If not, a later status is a later event, and nothing is corrected.
    are_final: bool,
    /// Failed attempts with their records, in the order of the file.
    waiting: VecDeque<(Origin, Call)>,
    /// The bytes of these records that are kept.
    bytes: usize,
    answers: HashMap<Key, (AgentId, Outcome)>,
    /// The keys of the answers, the oldest first.
    order: VecDeque<Key>,
    /// The number of failed attempts that became repetitions of answers.
    pub(super) replaced: u64,
}

/// The parties and the time of a call.
type Key = (E164, E164, Timestamp);

impl Attempts {
    /// The number of failed attempts that wait, and of answers that are remembered. Switches write the records of one
    /// call at its end, one after another. They take about 7 MB.
    const WINDOW: usize = 1 << 15;
    /// The bytes of records that may wait, if their text is kept for the reject file.
    const MOST_BYTES: usize = 16 << 20;

    pub(super) fn new(are_final: bool) -> Self {
        let (waiting, order) = (VecDeque::new(), VecDeque::new());
        Self { are_final, waiting, bytes: 0, answers: HashMap::new(), order, replaced: 0 }
    }

    /// Takes a call. Returns it if it does not have to wait.
    pub(super) fn add(&mut self, origin: Origin, call: Call) -> Option<(Origin, Call)> {
        if !self.are_final {
            return Some((origin, call));
        }
        match call.outcome {
            Outcome::Answered | Outcome::Completed => self.remember(&call),
            Outcome::Failed | Outcome::NoAnswer | Outcome::Busy => {
                self.bytes += origin.bytes();
                self.waiting.push_back((origin, call));
                return None;
            }
            Outcome::Initiated | Outcome::Ringing | Outcome::Voicemail => {}
        }
        Some((origin, call))
    }

    /// Returns the oldest call that waits, if too many do.
    pub(super) fn next_overdue(&mut self) -> Option<(Origin, Call)> {
        let is_overdue = self.waiting.len() > Self::WINDOW || self.bytes > Self::MOST_BYTES;
        if is_overdue { self.next() } else { None }
    }

    /// Returns the oldest call that waits.
    pub(super) fn next(&mut self) -> Option<(Origin, Call)> {
        let (mut origin, call) = self.waiting.pop_front()?;
        self.bytes -= origin.bytes();
        let call = match self.answers.get(&key(&call)) {
            Some((agent, outcome)) => {
                self.replaced += 1;
                // The call has the id and the context of its answer.
                origin.details = Details::default();
                Call { agent: *agent, outcome: *outcome, ..call }
            }
            None => call,
        };
        Some((origin, call))
    }

    fn remember(&mut self, call: &Call) {
        let key = key(call);
        let known = self.answers.insert(key, (call.agent, call.outcome));
        if known.is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > Self::WINDOW
            && let Some(oldest) = self.order.pop_front()
        {
            self.answers.remove(&oldest);
        }
    }
}

fn key(call: &Call) -> Key {
    (call.from, call.to, call.at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dialback::EnvironmentId;
    use proptest::prelude::*;

    fn call(to: u64, at: u64, agent: u128, outcome: Outcome) -> Call {
        let number = |digits: u64| E164::from_digits(&digits.to_string()).expect("a number");
        Call {
            environment: EnvironmentId::from_u128(1),
            agent: AgentId::from_u128(agent),
            from: number(15_550_100_100),
            to: number(447_700_900_000 + to),
            at: Timestamp::from_secs(1_760_000_000 + at),
            outcome,
        }
    }

    fn origin(line: u64, bytes: usize) -> Origin {
        Origin {
            record: line,
            line,
            at: Timestamp::from_secs(0),
            text: vec![b'x'; bytes].into(),
            details: Details::default(),
        }
    }

    fn settle(are_final: bool, calls: &[Call]) -> Vec<(u64, Call)> {
        let mut attempts = Attempts::new(are_final);
        let mut settled: Vec<_> =
            (1..).zip(calls).filter_map(|(line, call)| attempts.add(origin(line, 0), *call)).collect();
        settled.extend(std::iter::from_fn(|| attempts.next()));
        let mut settled: Vec<_> = settled.into_iter().map(|(origin, call)| (origin.line, call)).collect();
        settled.sort_unstable_by_key(|(line, _)| *line);
        settled
    }

    #[test]
    fn answer_outranks_failed_attempts_in_any_order() {
        let (failed, busy) = (call(1, 0, 1, Outcome::Failed), call(1, 0, 1, Outcome::Busy));
        let answered = call(1, 0, 1, Outcome::Completed);
        for calls in [[failed, answered, busy], [answered, failed, busy], [busy, failed, answered]] {
            let outcomes = settle(true, &calls).into_iter().map(|(_, call)| call.outcome);
            assert!(outcomes.eq([Outcome::Completed; 3]));
            assert!(settle(false, &calls).into_iter().map(|(_, call)| call).eq(calls), "events are not corrected");
        }
    }

    #[test]
    fn other_calls_are_not_corrected() {
        let calls = [
            call(1, 0, 1, Outcome::Failed),
            call(1, 1, 1, Outcome::Completed),
            call(2, 0, 1, Outcome::Completed),
            call(2, 0, 1, Outcome::Voicemail),
            call(2, 0, 1, Outcome::Initiated),
        ];
        assert!(settle(true, &calls).into_iter().map(|(_, call)| call).eq(calls));
    }

    #[test]
    fn number_of_waiting_calls_and_answers_is_bounded() {
        let mut attempts = Attempts::new(true);
        let many = Attempts::WINDOW as u64 + 10;
        for line in 0..many {
            assert_eq!(attempts.add(origin(line, 0), call(line, 0, 1, Outcome::Failed)), None);
        }
        assert_eq!((0..many).map_while(|_| attempts.next_overdue()).count(), 10);
        for line in 0..many {
            assert!(attempts.add(origin(line, 0), call(line, 1, 1, Outcome::Completed)).is_some());
        }
        assert_eq!((attempts.answers.len(), attempts.order.len()), (Attempts::WINDOW, Attempts::WINDOW));
    }

    #[test]
    fn kept_text_of_waiting_calls_is_bounded() {
        let mut attempts = Attempts::new(true);
        for line in 0..8 {
            attempts.add(origin(line, 4 << 20), call(line, 0, 1, Outcome::Failed));
        }
        assert_eq!((0..8).map_while(|_| attempts.next_overdue()).count(), 4);
        assert_eq!(attempts.bytes, Attempts::MOST_BYTES);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        /// Each line comes out once, with its parties and its time. It keeps its outcome, unless it is a failed attempt
        /// of a call that was answered.
        #[test]
        fn each_line_comes_out_once(rows in prop::collection::vec((0_u64..3, 0_u64..2, 1_u128..3, 0_u64..8), 0..40)) {
            let calls: Vec<_> =
                rows.into_iter().map(|(to, at, agent, rank)| call(to, at, agent, Outcome::from_rank(rank))).collect();
            let settled = settle(true, &calls);
            prop_assert_eq!(settled.len(), calls.len());
            for ((line, after), (number, before)) in settled.into_iter().zip((1..).zip(&calls)) {
                prop_assert_eq!((line, after.from, after.to, after.at), (number, before.from, before.to, before.at));
                let answered = calls.iter().any(|other| {
                    (other.to, other.at) == (before.to, before.at)
                        && matches!(other.outcome, Outcome::Answered | Outcome::Completed)
                });
                let is_attempt = matches!(before.outcome, Outcome::Failed | Outcome::NoAnswer | Outcome::Busy);
                if is_attempt && answered {
                    prop_assert!(matches!(after.outcome, Outcome::Answered | Outcome::Completed));
                } else {
                    prop_assert_eq!(after, *before);
                }
            }
        }
    }
}
