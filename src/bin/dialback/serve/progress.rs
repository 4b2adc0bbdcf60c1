//! How long a connection's open exchanges have made no progress.

use std::time::Duration;

/// The progress of one connection's exchanges. Each exchange has its own, so one that makes progress hides no other one
/// that makes none.
#[derive(Default)]
pub(super) struct Progress {
    /// One entry for each open exchange. Free entries are `None`, and are used again.
    open: Vec<Option<Quiet>>,
    /// The time since an exchange began or ended.
    rest: Quiet,
}

/// A connection's time without progress.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standstill {
    /// No exchange is open, and none has begun or ended for this long.
    Unused(Duration),
    /// One of the open exchanges has made no progress for this long, and no other one for longer.
    Open(Duration),
}

/// A time without signs of life. Only whole intervals between two looks count: `None` means a sign since the last look.
#[derive(Clone, Copy, Default)]
struct Quiet(Option<Duration>);

impl Progress {
    /// Begins an exchange, and returns its number.
    pub(super) fn begin(&mut self) -> usize {
        self.rest = Quiet::default();
        let free = self.open.iter().position(Option::is_none);
        let number = free.unwrap_or_else(|| {
            self.open.push(None);
            self.open.len() - 1
        });
        self.open[number] = Some(Quiet::default());
        number
    }

    /// Notes a sign of life of this exchange.
    pub(super) fn sign(&mut self, number: usize) {
        self.open[number] = Some(Quiet::default());
    }

    pub(super) fn end(&mut self, number: usize) {
        self.rest = Quiet::default();
        self.open[number] = None;
    }

    /// Returns whether an exchange is open.
    #[cfg(test)]
    pub(super) fn is_open(&self) -> bool {
        self.open.iter().any(Option::is_some)
    }

    /// Looks after this time since the last look. Returns the connection's time without progress.
    pub(super) fn look(&mut self, passed: Duration) -> Standstill {
        let rest = self.rest.look(passed);
        let open = self.open.iter_mut().flatten().map(|quiet| quiet.look(passed)).max();
        open.map_or(Standstill::Unused(rest), Standstill::Open)
    }
}

impl Quiet {
    fn look(&mut self, passed: Duration) -> Duration {
        *self.0.insert(self.0.map_or(Duration::ZERO, |quiet| quiet + passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn exchange_without_progress_counts_whatever_others_do() {
        let mut progress = Progress::default();
        let (stuck, steady) = (progress.begin(), progress.begin());
        for seconds in 0..5 {
            progress.sign(steady);
            let other = progress.begin();
            progress.end(other);
            assert_eq!(progress.look(SECOND), Standstill::Open(seconds * SECOND));
        }
        progress.end(stuck);
        assert_eq!(progress.look(SECOND), Standstill::Open(SECOND), "the steady one has made none since the last look");
        progress.sign(steady);
        assert_eq!(progress.look(SECOND), Standstill::Open(Duration::ZERO));
        progress.end(steady);
        assert_eq!(progress.look(SECOND), Standstill::Unused(Duration::ZERO));
        assert_eq!(progress.look(SECOND), Standstill::Unused(SECOND));
    }

    #[test]
    fn memory_is_bounded_by_the_exchanges_open_at_a_time() {
        let mut progress = Progress::default();
        for _ in 0..1000 {
            let numbers = [progress.begin(), progress.begin(), progress.begin()];
            for number in numbers {
                progress.end(number);
            }
        }
        assert_eq!(progress.open.len(), 3);
        assert!(!progress.is_open());
    }
}
