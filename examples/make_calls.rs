//! Writes invented call records as CSV to standard output, for `dialback import`.
//!
//! ```text
//! cargo run --release --example make_calls -- 1000000 1000 > calls.csv
//! dialback import calls.csv --create-missing
//! ```
//!
//! The first argument is the number of calls, the second the number of numbers they come from. Equal arguments give
//! equal files.

use std::io::{self, BufWriter, Write};

/// 2025-01-01T00:00:00Z. The calls are spread over the ninety days after it.
const BEGIN: u64 = 1_735_689_600;
const DAYS: u64 = 90;
const AGENTS: u64 = 20;
/// The frequency of each outcome.
const STATUSES: [&str; 8] =
    ["completed", "completed", "no_answer", "completed", "busy", "no_answer", "voicemail", "failed"];

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let mut next = |default| arguments.next().map_or(Ok(default), |argument| argument.map_err(io::Error::other));
    let (calls, numbers) = (next(1_000_000)?, next(1_000)?.clamp(1, 1_000_000));
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut out = BufWriter::new(io::stdout().lock());
    writeln!(out, "from,to,at,agent,status")?;
    for _ in 0..calls {
        // Numbers that are never assigned: area code 555 for ours, and an unassigned country code for contacts.
        let from = 15_550_000_000 + random.below(numbers);
        let contact = 999_000_000_000 + random.below(1_000_000_000);
        let at = BEGIN + random.below(DAYS * 86_400);
        let agent = random.below(AGENTS);
        let status = STATUSES[usize::try_from(random.below(8)).unwrap_or(0)];
        writeln!(out, "+{from},+{contact},{},agent-{agent:02},{status}", Written(at))?;
    }
    out.flush()
}

/// Formats seconds since 1970 as RFC 3339.
struct Written(u64);

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (days, time) = (self.0 / 86_400, self.0 % 86_400);
        // This calendar is sufficient for the ninety days from 1 January 2025.
        let day = days - BEGIN / 86_400;
        let (month, day) = match day {
            0..31 => (1, day + 1),
            31..59 => (2, day - 30),
            _ => (3, day - 58),
        };
        write!(f, "2025-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", time / 3600, time / 60 % 60, time % 60)
    }
}

/// A xorshift generator: it gives the same file on all machines and needs no dependency.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % end
    }
}
