//! Canaries: bugs that the tests must detect, planted into a record as if the store had them.

use super::crash::Found;
use super::record::{Record, Step};
use super::verdict::Problem;
use std::collections::HashMap;

#[derive(Clone, Copy, Debug)]
pub(super) enum Bug {
    /// A batch is acknowledged when it is submitted.
    AcknowledgedUnsynced,
    /// Journals are never synced.
    JournalUnsynced,
    /// No directory is ever synced.
    DirectoriesUnsynced,
    /// The watermark is raised before its batch is synced.
    MarkTooEarly,
}

impl Bug {
    pub(super) const ALL: [Self; 4] =
        [Self::AcknowledgedUnsynced, Self::JournalUnsynced, Self::DirectoriesUnsynced, Self::MarkTooEarly];

    pub(super) fn shows_as(self, found: &Found) -> bool {
        match self {
            Self::AcknowledgedUnsynced => matches!(found.problem, Problem::Lost { .. }),
            Self::JournalUnsynced | Self::DirectoriesUnsynced => true,
            Self::MarkTooEarly => matches!(found.problem, Problem::Refused(_)),
        }
    }

    pub(super) fn plant(self, record: &mut Record) {
        let names = names(record);
        let is = |file: &usize, end: &str| names.get(file).is_some_and(|name| name.ends_with(end));
        let steps = &mut record.steps;
        match self {
            Self::AcknowledgedUnsynced => {
                steps.retain(|step| !matches!(step, Step::Acknowledged(_)));
                let begun = std::mem::take(steps);
                for step in begun {
                    let acknowledged =
                        if let Step::Begun(number) = step { Some(Step::Acknowledged(number)) } else { None };
                    steps.push(step);
                    steps.extend(acknowledged);
                }
            }
            Self::JournalUnsynced => steps.retain(|step| !matches!(step, Step::Sync { file } if is(file, ".jnl"))),
            Self::DirectoriesUnsynced => {
                steps.retain(|step| !matches!(step, Step::Sync { file } if !names.contains_key(file)));
            }
            Self::MarkTooEarly => {
                let mut at = 0;
                for i in 0..steps.len() {
                    match &steps[i] {
                        Step::Begun(_) => at = i + 1,
                        Step::Write { file, .. } if is(file, "watermark") => steps[at..=i].rotate_right(1),
                        _ => {}
                    }
                }
            }
        }
    }
}

/// Returns the names of the written files.
fn names(record: &Record) -> HashMap<usize, String> {
    let mut names = HashMap::new();
    let written: Vec<usize> = record
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Write { file, .. } | Step::Truncate { file, .. } => Some(*file),
            _ => None,
        })
        .collect();
    for step in &record.steps {
        match step {
            Step::Create { file, name } => drop(names.insert(*file, name.clone())),
            Step::Open { file, name } if written.contains(file) || name.ends_with(".jnl") => {
                names.insert(*file, name.clone());
            }
            _ => {}
        }
    }
    names
}
