//! The limits for clients, as the operator sets them.

use super::budgets::Budgets;
use dialback::http::{Api, Limits, Rates, SteadyClock};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitOptions {
    /// Refuse unknown fields and query parameters. By default they are ignored, and the answer names them
    #[arg(long, env = "DIALBACK_STRICT")]
    strict: bool,
    /// The most requests a second with one token of an environment or an operator, and the most at once. 0 means no
    /// limit
    #[arg(long, value_name = "REQUESTS", env = "DIALBACK_RATE_LIMIT", default_value_t = 1000)]
    rate_limit: u32,
    /// The most requests a second with one token of a gateway, which sends a request for each call. 0 means no limit
    #[arg(long, value_name = "REQUESTS", env = "DIALBACK_GATEWAY_RATE_LIMIT", default_value_t = 0)]
    gateway_rate_limit: u32,
    /// The most agents that one environment may ever create. Deleted agents count, because their places are not reused
    #[arg(long, value_name = "AGENTS", env = "DIALBACK_MAX_AGENTS", default_value_t = Limits::default().agents)]
    max_agents: usize,
    /// The most phone numbers that one environment may ever have. Released numbers count
    #[arg(long, value_name = "NUMBERS", env = "DIALBACK_MAX_NUMBERS", default_value_t = Limits::default().numbers)]
    max_numbers: usize,
    /// The most pairs of a callback agent and a source agent in one environment. Pairs removed within the last four
    /// days count
    #[arg(long, value_name = "PAIRS", env = "DIALBACK_MAX_CALLBACK_PAIRS")]
    #[arg(default_value_t = Limits::default().callback_pairs)]
    max_callback_pairs: usize,
    /// The most bytes in a request body, and in one line of a bulk upload
    #[arg(long, value_name = "BYTES", env = "DIALBACK_BODY_LIMIT", default_value = "1048576")]
    body_limit: NonZeroUsize,
    /// The most seconds for a request, or for one step of a bulk upload
    #[arg(long, value_name = "SECONDS", env = "DIALBACK_REQUEST_TIMEOUT", default_value = "30")]
    request_timeout: NonZeroU32,
    /// The most seconds for the head of a request, for a TLS handshake, and between two requests on one connection
    #[arg(long, value_name = "SECONDS", env = "DIALBACK_HEADER_TIMEOUT", default_value = "10")]
    header_timeout: NonZeroU32,
    /// The most simultaneous connections to the control API. If all are in use, the connection that has been idle
    /// longest is closed for a new one, and one without a valid token first. Each connection uses a file descriptor
    #[arg(long, value_name = "CONNECTIONS", env = "DIALBACK_MAX_CONNECTIONS", default_value = "512")]
    max_connections: NonZeroU32,
    /// The most simultaneous connections to one listener from one source address (of IPv6, from one 64-bit prefix). The
    /// default is a quarter of the listener's connections; 0 means no limit. Raise it for a proxy on another machine.
    /// This machine has no limit
    #[arg(long, value_name = "CONNECTIONS", env = "DIALBACK_MAX_CONNECTIONS_PER_ADDRESS")]
    max_connections_per_address: Option<usize>,
}

/// How long the client of a connection may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// How long a client may take for the head of a request.
    pub(crate) header_timeout: Duration,
    /// How long a client may leave an answer unread.
    pub(crate) write_timeout: Duration,
}

impl LimitOptions {
    /// Returns the API with these limits.
    pub(crate) fn bound(&self, api: Api) -> Api {
        let mut limits = Limits::default();
        limits.body_bytes = self.body_limit.get();
        limits.agents = self.max_agents;
        limits.numbers = self.max_numbers;
        limits.callback_pairs = self.max_callback_pairs;
        limits.patience = seconds(self.request_timeout);
        let rates =
            Rates { environment: NonZeroU32::new(self.rate_limit), gateway: NonZeroU32::new(self.gateway_rate_limit) };
        let begun = Instant::now();
        let clock: SteadyClock = Arc::new(move || begun.elapsed());
        api.with_limits(limits).with_rates(rates, &clock).refusing_unknown_fields(self.strict)
    }

    pub(crate) fn of_connections(&self) -> ConnectionLimits {
        ConnectionLimits { header_timeout: seconds(self.header_timeout), write_timeout: seconds(self.request_timeout) }
    }

    /// Returns the budget of the control API's listener, without other listeners.
    pub(crate) fn budgets(&self) -> Budgets {
        let front = usize::try_from(self.max_connections.get()).unwrap_or(usize::MAX);
        Budgets::of_front(front, self.max_connections_per_address)
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        let (header_timeout, write_timeout) = (Duration::from_secs(10), Duration::from_secs(30));
        Self { header_timeout, write_timeout }
    }
}

fn seconds(seconds: NonZeroU32) -> Duration {
    Duration::from_secs(seconds.get().into())
}
