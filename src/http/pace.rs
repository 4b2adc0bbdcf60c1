//! How often the holder of a token may ask.

use super::error::Refusal;
use crate::event::Role;
use crate::id::TokenId;
use crate::plan;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Says how much time has passed since some moment: evenly, never backwards, whatever the time of day is set to.
pub type SteadyClock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// How many requests a second the holder of one token may send; `None`: as many as it likes. As many may come at once.
///
/// A request counts when its token has been found good, whatever becomes of it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Rates {
    /// For the tokens of environments, and those of operators.
    pub environment: Option<NonZeroU32>,
    /// For the tokens of gateways, each of which asks for every call that comes in.
    pub gateway: Option<NonZeroU32>,
}

/// Both rates at work. A few words of memory for each token that has asked.
#[derive(Default)]
pub(super) struct Pace {
    environment: Option<Limiter>,
    gateway: Option<Limiter>,
}

type Limiter = RateLimiter<TokenId, DashMapStateStore<TokenId>, Steady, NoOpMiddleware<Duration>>;

impl Pace {
    pub(super) fn new(rates: Rates, clock: &SteadyClock) -> Self {
        let clock = || Steady(Arc::clone(clock));
        let limiter = |rate| RateLimiter::new(Quota::per_second(rate), DashMapStateStore::default(), clock());
        Self { environment: rates.environment.map(limiter), gateway: rates.gateway.map(limiter) }
    }

    /// Counts a request of the token's holder; refuses one that comes too soon, and says when the next may come.
    pub(super) fn admit(&self, token: &plan::Token) -> Result<(), Refusal> {
        let limiter = match token.role {
            Role::Environment | Role::Operator => &self.environment,
            Role::Gateway => &self.gateway,
        };
        let Some(limiter) = limiter else { return Ok(()) };
        limiter.check_key(&token.id).map_err(|not_until| {
            Refusal::rate_limited(not_until.wait_time_from(governor::clock::Clock::now(limiter.clock())))
        })
    }

    /// Lets go of tokens that have not asked for a while: those that were revoked are never asked with again.
    pub(super) fn tidy(&self) {
        for limiter in [&self.environment, &self.gateway].into_iter().flatten() {
            limiter.retain_recent();
        }
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace").finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Steady(SteadyClock);

impl governor::clock::Clock for Steady {
    // The name of the trait for what a clock says.
    type Instant = Duration;

    fn now(&self) -> Duration {
        (self.0)()
    }
}
