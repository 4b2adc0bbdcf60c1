//! Limits the request rate of each token.

use crate::event::Role;
use crate::http::response::error::{ReachedRate, Refusal};
use crate::id::TokenId;
use crate::plan;
use crate::time::Timestamp;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// A function that returns the time since a fixed moment. It is monotonic: changes of the wall clock do not affect it.
pub type SteadyClock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The maximum requests per second of one token. `None` means no limit. A burst may have as many requests as one second.
///
/// A request counts once its token is found valid, whatever its response is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Rates {
    /// The limit of each environment token and each operator token.
    pub environment: Option<NonZeroU32>,
    /// The limit of each gateway token. A gateway sends a request for each inbound call.
    pub gateway: Option<NonZeroU32>,
}

/// The limiters of both rates. They hold a few words of memory for each token in use.
#[derive(Default)]
pub(in crate::http) struct RateLimits {
    environment: Option<Limiter>,
    gateway: Option<Limiter>,
}

/// A rate, and how much of it each token has used.
struct Limiter {
    rate: NonZeroU32,
    tokens: ByToken,
}

type ByToken = RateLimiter<TokenId, DashMapStateStore<TokenId>, Steady, NoOpMiddleware<Duration>>;

impl RateLimits {
    pub(in crate::http) fn new(rates: Rates, clock: &SteadyClock) -> Self {
        let clock = || Steady(Arc::clone(clock));
        let limiter = |rate| Limiter {
            rate,
            tokens: RateLimiter::new(Quota::per_second(rate), DashMapStateStore::default(), clock()),
        };
        Self { environment: rates.environment.map(limiter), gateway: rates.gateway.map(limiter) }
    }

    /// Counts a request with this token, at the time `now` of the wall clock.
    ///
    /// # Errors
    /// `RATE_LIMIT_EXCEEDED` if the token has reached its rate. The error says when the next request is allowed.
    pub(in crate::http) fn admit(&self, token: &plan::Token, now: impl FnOnce() -> Timestamp) -> Result<(), Refusal> {
        let limiter = match token.role {
            Role::Environment | Role::Operator => &self.environment,
            Role::Gateway => &self.gateway,
        };
        let Some(limiter) = limiter else { return Ok(()) };
        limiter.tokens.check_key(&token.id).map_err(|not_until| {
            let wait = not_until.wait_time_from(governor::clock::Clock::now(limiter.tokens.clock()));
            let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let reset = now().plus_millis(millis).millis().div_ceil(1000);
            Refusal::rate_limited(wait, ReachedRate { limit: limiter.rate.get(), reset })
        })
    }

    /// Forgets tokens that have not been used for a while. Revoked tokens are among them.
    pub(in crate::http) fn tidy(&self) {
        for limiter in [&self.environment, &self.gateway].into_iter().flatten() {
            limiter.tokens.retain_recent();
        }
    }
}

impl fmt::Debug for RateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimits").finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Steady(SteadyClock);

impl governor::clock::Clock for Steady {
    // The trait's name for a reading of the clock.
    type Instant = Duration;

    fn now(&self) -> Duration {
        (self.0)()
    }
}
