//! The result of a dry run: what an import of the file would do.

use super::rejection::Quoted;
use super::seen::SeenStatus;
use super::span;
use super::summary::{Summary, write_count, write_reasons, write_span};
use crate::import::destination::Additions;
use crate::import::destination::roster::Roster;
use crate::out::printable;
use dialback::{AgentId, Call};
use indicatif::HumanCount;
use serde_json::{Value, json};
use std::fmt;
use std::path::PathBuf;

/// The number of calls that are shown.
const MAX_SAMPLES: usize = 5;
/// The number of new numbers and agents that are shown.
const MAX_SHOWN: usize = 20;

/// The calls that a dry run shows.
#[derive(Default)]
pub(in crate::import) struct Preview {
    samples: Vec<Sample>,
}

/// A call as a dry run shows it. Phone numbers are masked.
struct Sample {
    /// The number of the record in the file.
    record: u64,
    line: u64,
    from: String,
    to: String,
    at: String,
    agent_id: AgentId,
    agent: String,
    status: String,
    outcome: &'static str,
}

/// The result of a dry run.
pub(in crate::import) struct DryRun {
    pub(in crate::import) environment: String,
    pub(in crate::import) creates_environment: bool,
    /// Whether the quotas are those of a daemon, which a dry run does not know.
    pub(in crate::import) has_quotas: bool,
    /// Whether a number of another environment is known as such. Only then, all new numbers can be created.
    pub(in crate::import) knows_foreign: bool,
    /// The number of numbers that the environment has, if no call is from one of them.
    pub(in crate::import) unused_numbers: Option<usize>,
    /// The file with the rejected lines.
    pub(in crate::import) reject_file: Option<PathBuf>,
    pub(in crate::import) zone: String,
    /// The number of failed attempts that count as the answer of the same call.
    pub(in crate::import) attempts: u64,
    pub(in crate::import) summary: Summary,
    /// How each status word was read.
    pub(in crate::import) statuses: Vec<SeenStatus>,
    pub(in crate::import) preview: Preview,
    pub(in crate::import) numbers: Vec<String>,
    pub(in crate::import) agents: Vec<String>,
}

impl Preview {
    /// Adds a call that would be accepted, by the numbers of its record and its line. `agent` and `status` are its texts in the file. Other records of the call may
    /// still change its outcome.
    pub(in crate::import) fn add(&mut self, (record, line): (u64, u64), call: &Call, agent: &str, status: &str) {
        if self.samples.len() < MAX_SAMPLES {
            self.samples.push(Sample {
                record,
                line,
                from: call.from.to_string(),
                to: call.to.to_string(),
                at: span::text(call.at),
                agent_id: call.agent,
                agent: Quoted::new(agent).to_string(),
                status: Quoted::new(status).to_string(),
                outcome: call.outcome.name(),
            });
        }
    }

    /// Sets the outcome and the agent with which the call of this record would be imported.
    pub(in crate::import) fn settle(&mut self, record: u64, call: &Call, roster: &Roster) {
        let Some(sample) = self.samples.iter_mut().find(|sample| sample.record == record) else { return };
        sample.outcome = call.outcome.name();
        if sample.agent_id != call.agent {
            (sample.agent_id, sample.agent) = (call.agent, Quoted::new(&roster.name_of(call.agent)).to_string());
        }
    }
}

impl DryRun {
    /// Returns the first entities that would be created, numbers masked.
    pub(in crate::import) fn shown(additions: &Additions) -> (Vec<String>, Vec<String>) {
        let numbers = additions.numbers.iter().map(|(_, number)| number.to_string());
        let agents = additions.agents.iter().map(|(_, name)| Quoted::new(name).to_string());
        (numbers.take(MAX_SHOWN).collect(), agents.take(MAX_SHOWN).collect())
    }

    /// Returns the dry run as JSON.
    pub(in crate::import) fn to_json(&self) -> Value {
        let Self { environment, creates_environment, zone, summary, statuses, preview, numbers, agents, .. } = self;
        let mut object = summary.to_json();
        for (name, value) in [
            ("dry_run", json!(true)),
            ("environment", json!(environment)),
            ("creates_environment", json!(creates_environment)),
            ("quotas_checked", json!(!self.has_quotas)),
            ("foreign_numbers_checked", json!(self.knows_foreign)),
            ("from_known_numbers", json!(self.unused_numbers.is_none())),
            ("time_zone", json!(zone)),
            ("answered_attempts", json!(self.attempts)),
            ("new_numbers", json!(numbers)),
            ("new_agents", json!(agents)),
            ("statuses", statuses.iter().map(SeenStatus::to_json).collect()),
            ("samples", json!(preview.samples.iter().map(Sample::to_json).collect::<Vec<_>>())),
        ] {
            object[name] = value;
        }
        object
    }
}

impl Sample {
    fn to_json(&self) -> Value {
        let Self { line, from, to, at, agent, status, outcome, .. } = self;
        json!({ "line": line, "from": from, "to": to, "at": at, "agent": agent, "status": status, "outcome": outcome })
    }
}

/// Formats the dry run as text of several lines.
impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { environment, creates_environment, zone, summary, statuses, preview, .. } = self;
        match &self.reject_file {
            None => f.write_str("dry run: nothing was changed")?,
            Some(path) => {
                write!(f, "dry run: nothing was imported, and the rejected lines are in {}", path.display())?;
            }
        }
        let made = if *creates_environment { " (would be created)" } else { "" };
        write!(f, "\n  environment {}{made}", printable(environment))?;
        if self.has_quotas {
            f.write_str("\n  quotas      those of the daemon, which a dry run does not know")?;
        }
        if !self.knows_foreign && summary.created_numbers > 0 {
            f.write_str(
                "\n  numbers     the daemon may refuse new ones, which a dry run with this token does not know",
            )?;
        }
        if let Some(count) = self.unused_numbers {
            write!(f, "\n  no call is from a number of this environment, which has {count}: check that it is yours")?;
        }
        write_count(f, "accepted", summary.accepted, "")?;
        if self.attempts > 0 {
            write_count(
                f,
                "attempts",
                self.attempts,
                "  of these: failed attempts of answered calls, counted as the answer",
            )?;
        }
        write_count(f, "rejected", summary.rejected, "")?;
        if summary.skipped > 0 {
            write_count(f, "skipped", summary.skipped, "  lines that --only or the format skips")?;
        }
        write_span(f, summary.span)?;
        if summary.span.in_the_future == 0 {
            write_count(f, "in future", 0, "")?;
        }
        write!(f, "\n  time zone   {zone}, for times without an offset: change it with --time-zone")?;
        self.write_additions(f)?;
        if !statuses.is_empty() {
            f.write_str("\nstatuses, and the outcomes that they are read as")?;
        }
        for SeenStatus { word, read_as, count } in statuses {
            let word = word.as_ref().map_or_else(|| "other words".to_owned(), Quoted::to_string);
            write!(f, "\n{:>11}  {word} is {read_as}", HumanCount(*count).to_string())?;
        }
        if !preview.samples.is_empty() {
            f.write_str("\nfirst calls")?;
        }
        for Sample { line, from, to, at, agent, status, outcome, .. } in &preview.samples {
            write!(f, "\n  line {line}: {from} to {to} at {at}, agent {agent}, status {status} is {outcome}")?;
        }
        write_reasons(f, &summary.reasons)
    }
}

impl DryRun {
    fn write_additions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (numbers, agents) = (self.summary.created_numbers, self.summary.created_agents);
        if numbers + agents > 0 {
            f.write_str("\nwould be created")?;
            write_list(f, "numbers", numbers, &self.numbers)?;
            write_list(f, "agents", agents, &self.agents)?;
        }
        Ok(())
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, kind: &str, count: u64, shown: &[String]) -> fmt::Result {
    write!(f, "\n{:>11}  {kind}", HumanCount(count).to_string())?;
    if !shown.is_empty() {
        write!(f, ": {}", shown.join(", "))?;
    }
    if count > shown.len() as u64 { f.write_str(", …") } else { Ok(()) }
}
