//! Lets an answer outrank the failed attempts of the same call.

use ahash::{HashMap, HashMapExt};
use dialback::{AgentId, Call, E164, Outcome, Timestamp};
use std::collections::VecDeque;

/// Corrects final records of one call. A switch that tries several trunks or devices writes one record for each
/// attempt, with the same parties and the same time: `FAILED`, then `ANSWERED`. Each is final, so the history keeps the
/// outcome of the highest rank, which is that of a failed attempt. So a failed attempt waits here, and becomes a
/// repetition of the answer if a record of an answer is near.
pub(super) struct Attempts {
    /// Whether records are final. If not, a later status is a later event, and nothing is corrected.
    are_final: bool,
    /// Failed attempts with their line numbers, in the order of the file.
    waiting: VecDeque<(u64, Call)>,
    answers: HashMap<Key, (AgentId, Outcome)>,
    /// The keys of the answers, the oldest first.
    order: VecDeque<Key>,
}

/// The parties and the time of a call.
type Key = (E164, E164, Timestamp);

impl Attempts {
    /// The number of failed attempts that wait, and of answers that are remembered. Switches write the records of one
    /// call at its end, one after another. They take about 7 MB.
    const WINDOW: usize = 1 << 15;

    pub(super) fn new(are_final: bool) -> Self {
        Self { are_final, waiting: VecDeque::new(), answers: HashMap::new(), order: VecDeque::new() }
    }

    /// Takes a call from the given line. Returns a call that is ready to be stored, which may be an earlier one.
    pub(super) fn add(&mut self, line: u64, call: Call) -> Option<(u64, Call)> {
        if !self.are_final {
            return Some((line, call));
        }
        match call.outcome {
            Outcome::Answered | Outcome::Completed => self.remember(&call),
            Outcome::Failed | Outcome::NoAnswer | Outcome::Busy => {
                self.waiting.push_back((line, call));
                return if self.waiting.len() > Self::WINDOW { self.next() } else { None };
            }
            Outcome::Initiated | Outcome::Ringing | Outcome::Voicemail => {}
        }
        Some((line, call))
    }

    /// Returns the oldest call that waits.
    pub(super) fn next(&mut self) -> Option<(u64, Call)> {
        let (line, call) = self.waiting.pop_front()?;
        let call = match self.answers.get(&key(&call)) {
            Some((agent, outcome)) => Call { agent: *agent, outcome: *outcome, ..call },
            None => call,
        };
        Some((line, call))
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

    fn settle(are_final: bool, calls: &[Call]) -> Vec<(u64, Call)> {
        let mut attempts = Attempts::new(are_final);
        let mut settled: Vec<_> = (1..).zip(calls).filter_map(|(line, call)| attempts.add(line, *call)).collect();
        settled.extend(std::iter::from_fn(|| attempts.next()));
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
        let ready = (0..many).filter_map(|line| attempts.add(line, call(line, 0, 1, Outcome::Failed))).count();
        assert_eq!((ready, attempts.waiting.len()), (10, Attempts::WINDOW));
        for line in 0..many {
            assert!(attempts.add(line, call(line, 1, 1, Outcome::Completed)).is_some());
        }
        assert_eq!((attempts.answers.len(), attempts.order.len()), (Attempts::WINDOW, Attempts::WINDOW));
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
