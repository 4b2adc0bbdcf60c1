//! The bars of the history: each required figure, and whether a run meets it.

use super::args::grouped;
use super::records::Records;
use std::fmt;

/// A bar.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Bar {
    AtMost(f64),
    Below(f64),
    AtLeast(f64),
}

impl Bar {
    pub(crate) fn is_reached(self, value: f64) -> bool {
        match self {
            Bar::AtMost(bar) => value <= bar,
            Bar::Below(bar) => value < bar,
            Bar::AtLeast(bar) => value >= bar,
        }
    }

    /// Returns whether less is better.
    pub(crate) fn is_ceiling(self) -> bool {
        !matches!(self, Bar::AtLeast(_))
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bar::AtMost(bar) => write!(f, "≤ {}", short(*bar)),
            Bar::Below(bar) => write!(f, "< {}", short(*bar)),
            Bar::AtLeast(bar) => write!(f, "≥ {}", short(*bar)),
        }
    }
}

/// One required figure: a ratio within one run, or an amount.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) bar: Bar,
    /// The sizes for which the bar is required. At other sizes the figure is shown and not judged.
    pub(crate) at: fn(u64) -> bool,
    pub(crate) value: fn(&Records, u64) -> Option<f64>,
}

/// The result of a check.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Verdict {
    Reached(f64),
    NotReached(f64),
    /// The bar is not required at this size.
    Shown(f64),
    NotMeasured,
}

impl Check {
    pub(crate) fn verdict(&self, records: &Records, pairs: u64) -> Verdict {
        match (self.value)(records, pairs) {
            None => Verdict::NotMeasured,
            Some(value) if !(self.at)(pairs) => Verdict::Shown(value),
            Some(value) if self.bar.is_reached(value) => Verdict::Reached(value),
            Some(value) => Verdict::NotReached(value),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Reached(value) => write!(f, "{} reached", short(*value)),
            Verdict::NotReached(value) => write!(f, "**{} not reached**", short(*value)),
            Verdict::Shown(value) => write!(f, "({})", short(*value)),
            Verdict::NotMeasured => f.write_str("not measured"),
        }
    }
}

/// Rounds to three significant digits.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

const fn large(pairs: u64) -> bool {
    pairs >= 10_000_000
}

const fn a_million(pairs: u64) -> bool {
    pairs >= 1_000_000
}

const fn ten_thousand(pairs: u64) -> bool {
    pairs == 10_000
}

macro_rules! ratio {
    ($over:literal $over_figure:literal, $under:literal $under_figure:literal) => {
        |records, pairs| records.ratio(pairs, ($over, $over_figure), ($under, $under_figure))
    };
}

macro_rules! amount {
    ($contender:literal $figure:literal, $unit:expr) => {
        |records, pairs| records.first(pairs, $contender, $figure).map(|value| value / $unit)
    };
}

const MILLI: f64 = 1e6;

/// Returns all required figures in the order of the requirements.
pub(crate) const CHECKS: &[Check] = &[
    Check {
        name: "dependent lookup, of random lines",
        bar: Bar::AtMost(1.15),
        at: large,
        value: ratio!("ours" "dependent", "lines" "dependent"),
    },
    Check {
        name: "decision, dependent, of random lines",
        bar: Bar::AtMost(1.4),
        at: large,
        value: ratio!("decisions" "dependent", "lines" "dependent"),
    },
    Check {
        name: "decision, dependent, of a bare dashmap get",
        bar: Bar::Below(1.0),
        at: large,
        value: ratio!("decisions" "dependent", "dashmap" "dependent"),
    },
    Check {
        name: "independent, of horde",
        bar: Bar::AtMost(0.75),
        at: large,
        value: ratio!("ours" "independent", "horde" "independent"),
    },
    Check {
        name: "independent, of dashmap",
        bar: Bar::AtMost(0.45),
        at: large,
        value: ratio!("ours" "independent", "dashmap" "independent"),
    },
    Check {
        name: "miss, of our own hit",
        bar: Bar::AtMost(1.1),
        at: large,
        value: ratio!("ours" "miss", "ours" "independent"),
    },
    Check {
        name: "miss, of horde's miss",
        bar: Bar::AtMost(1.2),
        at: large,
        value: ratio!("ours" "miss", "horde" "miss"),
    },
    Check {
        name: "independent at ten thousand pairs, of dashmap",
        bar: Bar::AtMost(0.7),
        at: ten_thousand,
        value: ratio!("ours" "independent", "dashmap" "independent"),
    },
    Check {
        name: "history's batch of 32, of horde's plain loop",
        bar: Bar::AtMost(1.0 / 3.0),
        at: large,
        value: ratio!("ours" "batch32", "horde" "independent"),
    },
    Check {
        name: "decisions in batches of 32, of horde's plain loop",
        bar: Bar::AtMost(1.0 / 3.0),
        at: large,
        value: ratio!("decisions" "batch32", "horde" "independent"),
    },
    Check { name: "two threads, of one", bar: Bar::AtLeast(1.9), at: large, value: amount!("ours" "two threads", 1.0) },
    Check {
        name: "upsert, of dashmap",
        bar: Bar::AtMost(0.65),
        at: large,
        value: ratio!("ours" "upsert", "dashmap" "upsert"),
    },
    Check {
        name: "a reader's p99.9 beside a writer, of its own without",
        bar: Bar::AtMost(1.5),
        at: large,
        value: ratio!("ours" "read beside a writer p99.9", "ours" "read p99.9"),
    },
    Check {
        name: "bytes a pair where fullest, no keeper",
        bar: Bar::AtMost(24.0),
        at: a_million,
        value: amount!("ours" "bytes least", 1.0),
    },
    Check {
        name: "bytes a pair where fullest, kept",
        bar: Bar::AtMost(24.0),
        at: a_million,
        value: amount!("kept" "bytes least", 1.0),
    },
    Check {
        name: "bytes a pair at any size from a million on, growth included, no keeper",
        bar: Bar::AtMost(32.0),
        at: a_million,
        value: amount!("ours" "bytes most", 1.0),
    },
    Check {
        name: "bytes a pair at any size from a million on, growth included, kept",
        bar: Bar::AtMost(32.0),
        at: a_million,
        value: amount!("kept" "bytes most", 1.0),
    },
    Check {
        name: "longest insert while growing, no keeper, ms",
        bar: Bar::AtMost(1.0),
        at: large,
        value: amount!("ours" "insert max", MILLI),
    },
    Check {
        name: "longest insert while growing, kept, ms",
        bar: Bar::AtMost(1.0),
        at: large,
        value: amount!("kept" "insert max", MILLI),
    },
    Check {
        name: "longest insert that was not preempted, no keeper, ms",
        bar: Bar::AtMost(1.0),
        at: large,
        value: amount!("ours" "insert max not preempted", MILLI),
    },
    Check {
        name: "longest insert that was not preempted, kept, ms",
        bar: Bar::AtMost(1.0),
        at: large,
        value: amount!("kept" "insert max not preempted", MILLI),
    },
    Check {
        name: "page faults of the writer while growing, kept",
        bar: Bar::AtMost(0.0),
        at: large,
        value: amount!("kept" "insert page faults", 1.0),
    },
    Check {
        name: "crafted pairs, the worst set, of random ones",
        bar: Bar::AtMost(2.0),
        at: |pairs| pairs == 10_000_000,
        value: amount!("ours" "crafted", 1.0),
    },
];

/// Returns the table of required and measured figures, with a column for each size.
pub(crate) fn tell(records: &Records) -> String {
    let sizes = records.sizes();
    let mut text = String::from("| figure | asked |");
    for &pairs in &sizes {
        text += &format!(" {} |", grouped(pairs));
    }
    text += &format!("\n| --- | --- |{}\n", " --- |".repeat(sizes.len()));
    let (mut reached, mut missed) = (0, 0);
    for check in CHECKS {
        text += &format!("| {} | {} |", check.name, check.bar);
        for &pairs in &sizes {
            let verdict = check.verdict(records, pairs);
            match verdict {
                Verdict::Reached(_) => reached += 1,
                Verdict::NotReached(_) => missed += 1,
                Verdict::Shown(_) | Verdict::NotMeasured => {}
            }
            text += &format!(" {verdict} |");
        }
        text.push('\n');
    }
    text + &format!("\n{reached} reached, {missed} not reached; in brackets: asked for at other sizes.\n")
}
