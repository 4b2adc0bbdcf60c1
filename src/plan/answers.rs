//! The answers to requests with an idempotency key: the last ones of each environment, for a day.

use super::slots::Slots;
use super::{ConfigError, Plan};
use crate::event::StoredAnswer;
use crate::id::EnvironmentId;
use crate::time::Timestamp;
use std::sync::Arc;

/// How long an answer is kept: a day, in milliseconds.
pub const ANSWER_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// The maximum number of answers that are kept for one environment. Beyond it, the oldest answer is removed before its
/// day is over.
pub const MAX_ANSWERS: usize = 1 << 14;

/// The maximum number of answer bytes that are kept for one environment. Beyond it, the oldest answers are removed
/// before their day is over.
pub const MAX_ANSWER_BYTES: usize = 16 << 20;

/// A ring of answers, oldest first. Copies share unchanged parts.
#[derive(Clone, Default)]
pub(super) struct Answers {
    ring: Slots<Option<Arc<Given>>>,
    /// The number of answers that were ever removed.
    forgotten: usize,
    /// The number of answers that were ever added.
    given: usize,
    bytes: usize,
}

/// An answer, and the time at which it was given.
struct Given {
    at: Timestamp,
    answer: StoredAnswer,
}

impl Answers {
    fn oldest(&self) -> Option<&Arc<Given>> {
        self.ring.get(self.forgotten % MAX_ANSWERS)?.as_ref()
    }

    /// Returns whether the oldest answer must be removed, because it is too old or to make room for `bytes` more.
    fn is_full_for(&self, bytes: usize, at: Timestamp) -> bool {
        self.oldest().is_some_and(|oldest| {
            self.given - self.forgotten >= MAX_ANSWERS
                || self.bytes + bytes > MAX_ANSWER_BYTES
                || at.millis_since(oldest.at) >= ANSWER_MILLIS
        })
    }

    /// Removes the oldest answer. Returns its place in the ring, and the answer.
    fn forget(&mut self) -> Option<(usize, Arc<Given>)> {
        let place = self.forgotten % MAX_ANSWERS;
        let given = self.ring.get_mut(place)?.take()?;
        self.forgotten += 1;
        self.bytes -= len(&given.answer);
        Some((place, given))
    }

    /// Adds an answer. Returns its place in the ring.
    fn push(&mut self, given: Given) -> usize {
        let place = self.given % MAX_ANSWERS;
        self.given += 1;
        self.bytes += len(&given.answer);
        if place == self.ring.len() {
            self.ring.push(None);
        }
        *self.ring.get_mut(place).expect("the ring has it") = Some(Arc::new(given));
        place
    }
}

fn len(answer: &StoredAnswer) -> usize {
    answer.body.as_ref().map_or(0, |body| body.0.len())
}

impl Plan {
    /// Returns the answer to an earlier request with this key, if it is less than a day old. The scope is an
    /// environment, or [`EnvironmentId::SYSTEM`] for operators. Each scope has its own keys.
    pub fn answer(&self, scope: EnvironmentId, key: [u8; 16], now: Timestamp) -> Option<&StoredAnswer> {
        let place = self.answer_places.get((scope, key))?;
        let given = self.answers(scope)?.ring.get(place)?.as_ref()?;
        let is_fresh = now.millis_since(given.at) < ANSWER_MILLIS;
        (given.answer.key == key && is_fresh).then_some(&given.answer)
    }

    fn answers(&self, scope: EnvironmentId) -> Option<&Answers> {
        if scope == EnvironmentId::SYSTEM {
            return Some(&self.system_answers);
        }
        Some(&self.environment_details(self.environment_slot(scope)?).answers)
    }

    fn answers_mut(&mut self, scope: EnvironmentId) -> Result<&mut Answers, ConfigError> {
        if scope == EnvironmentId::SYSTEM {
            return Ok(&mut self.system_answers);
        }
        let slot = self.environment_slot(scope).ok_or(ConfigError::UnknownEnvironment(scope))?;
        Ok(&mut self.environment_details_mut(slot).answers)
    }

    /// Removes the places of all answers of an environment, which is about to be deleted.
    pub(super) fn forget_answers(&mut self, environment: EnvironmentId) {
        let Some(ring) = self.answers(environment).map(|answers| answers.ring.clone()) else { return };
        for given in ring.iter().flatten() {
            self.answer_places.remove((environment, given.answer.key));
        }
    }

    /// Stores the answer, and removes answers that are too old or too many.
    pub(super) fn remember(
        &mut self,
        scope: EnvironmentId,
        at: Timestamp,
        answer: &StoredAnswer,
    ) -> Result<(), ConfigError> {
        while self.answers_mut(scope)?.is_full_for(len(answer), at) {
            let Some((place, forgotten)) = self.answers_mut(scope)?.forget() else { break };
            let named = (scope, forgotten.answer.key);
            // If the key was used again after its day, it refers to a newer answer, which stays.
            if self.answer_places.get(named) == Some(place) {
                self.answer_places.remove(named);
            }
        }
        let place = self.answers_mut(scope)?.push(Given { at, answer: answer.clone() });
        self.answer_places.set((scope, answer.key), place);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Change, Configuration, StoredAnswerBody};
    use crate::number::DialPlan;
    use crate::time::Lookback;

    const OURS: EnvironmentId = EnvironmentId::from_u128(1);
    const THEIRS: EnvironmentId = EnvironmentId::from_u128(2);
    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn answer(key: u32, bytes: usize) -> StoredAnswer {
        let mut digest = [0; 16];
        digest[..4].copy_from_slice(&key.to_be_bytes());
        StoredAnswer {
            key: digest,
            request: digest,
            status: 201,
            revision: None,
            body: Some(StoredAnswerBody("x".repeat(bytes))),
            about: None,
        }
    }

    fn two_tenants() -> Plan {
        let mut plan = Plan::new();
        for environment in [OURS, THEIRS] {
            let changes = vec![Change::EnvironmentSet {
                name: "t".into(),
                dial_plan: DialPlan::NONE,
                lookback: Lookback::default(),
            }];
            let sequence = plan.generation() + 1;
            plan.advance(&Configuration::new(sequence, environment, START, changes)).expect("valid");
        }
        plan
    }

    fn held(plan: &Plan, scope: EnvironmentId, keys: u32, now: Timestamp) -> usize {
        (0..keys).filter(|key| plan.answer(scope, answer(*key, 0).key, now).is_some()).count()
    }

    #[test]
    fn each_scope_keeps_its_last_answers_up_to_the_limits() {
        let mut plan = two_tenants();
        let more = u32::try_from(MAX_ANSWERS).expect("small") + 100;
        plan.remember(THEIRS, START, &answer(7, 1)).expect("there");
        plan.remember(EnvironmentId::SYSTEM, START, &answer(7, 1)).expect("there");
        for key in 0..more {
            plan.remember(OURS, START, &answer(key, 3)).expect("there");
        }
        assert_eq!(held(&plan, OURS, more, START), MAX_ANSWERS);
        assert!(
            plan.answer(OURS, answer(99, 0).key, START).is_none()
                && plan.answer(OURS, answer(100, 0).key, START).is_some()
        );
        for other in [THEIRS, EnvironmentId::SYSTEM] {
            assert_eq!(held(&plan, other, more, START), 1, "one scope's answers do not displace another's");
        }
        let large = 1 << 20;
        for key in 0..40 {
            plan.remember(OURS, START, &answer(1_000_000 + key, large)).expect("there");
        }
        let fit = (0..40).filter(|key| plan.answer(OURS, answer(1_000_000 + key, 0).key, START).is_some()).count();
        assert_eq!((fit, held(&plan, OURS, more, START)), (MAX_ANSWER_BYTES / large, 0));
        assert_eq!(plan.answers(OURS).expect("there").bytes, MAX_ANSWER_BYTES);
    }

    #[test]
    fn an_answer_expires_after_a_day_and_its_key_can_be_used_again() {
        let mut plan = two_tenants();
        let later = |millis| START.plus_millis(millis);
        plan.remember(OURS, START, &answer(1, 1)).expect("there");
        assert_eq!(held(&plan, OURS, 9, later(ANSWER_MILLIS - 1)), 1);
        assert_eq!(held(&plan, OURS, 9, later(ANSWER_MILLIS)), 0);
        let before = plan.clone();
        plan.remember(OURS, later(ANSWER_MILLIS), &answer(1, 2)).expect("there");
        assert_eq!(plan.answer(OURS, answer(1, 0).key, later(ANSWER_MILLIS)), Some(&answer(1, 2)));
        assert_eq!(plan.answers(OURS).map(|answers| (answers.bytes, answers.given - answers.forgotten)), Some((2, 1)));
        assert_eq!(
            before.answer(OURS, answer(1, 0).key, START),
            Some(&answer(1, 1)),
            "an older plan keeps its answers"
        );
        let unknown = EnvironmentId::from_u128(9);
        assert_eq!(plan.remember(unknown, START, &answer(1, 1)), Err(ConfigError::UnknownEnvironment(unknown)));
    }
}
