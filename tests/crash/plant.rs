//! Canaries: bugs that the tests must detect, planted into a record as if the store had them.

use super::crash::Found;
use super::problem::Problem;
use super::record::{Record, Step};
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
    /// The directory is marked as complete and current before the last of its data is synced.
    MarkerTooEarly,
    /// A file is renamed to its final name without a sync of its content.
    FileUnsynced,
    /// A journal is removed.
    JournalRemoved,
}

impl Bug {
    /// The bugs that a workload shows.
    pub(super) const ALL: [Self; 4] =
        [Self::AcknowledgedUnsynced, Self::JournalUnsynced, Self::DirectoriesUnsynced, Self::MarkTooEarly];

    pub(super) fn shows_as(self, found: &Found) -> bool {
        match self {
            Self::AcknowledgedUnsynced => matches!(found.problem, Problem::Lost { .. }),
            Self::JournalUnsynced | Self::DirectoriesUnsynced => true,
            Self::MarkTooEarly => matches!(found.problem, Problem::Refused(_)),
            // The tests of the upkeep that has the bug say how it shows.
            Self::MarkerTooEarly | Self::FileUnsynced | Self::JournalRemoved => false,
        }
    }

    pub(super) fn plant(self, record: &mut Record) {
        let names = names(record);
        let is = |file: &usize, end: &str| names.get(file).is_some_and(|name| name.ends_with(end));
        let is_sync = |step: &Step, is: &dyn Fn(&usize) -> bool| matches!(step, Step::Sync { file } if is(file));
        let steps = &mut record.steps;
        match self {
            Self::AcknowledgedUnsynced => acknowledge_early(steps),
            Self::JournalUnsynced => steps.retain(|step| !is_sync(step, &|file| is(file, ".jnl"))),
            Self::DirectoriesUnsynced => steps.retain(|step| !is_sync(step, &|file| !names.contains_key(file))),
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
            Self::MarkerTooEarly => mark_early(steps, |step| is_sync(step, &|file| is(file, ".jnl"))),
            Self::FileUnsynced => steps.retain(|step| !is_sync(step, &|file| is(file, ".new"))),
            Self::JournalRemoved => {
                let name = names.into_values().find(|name| name.ends_with(".jnl")).expect("a journal is open");
                steps.insert(steps.len() - 1, Step::Remove { name });
            }
        }
    }
}

fn acknowledge_early(steps: &mut Vec<Step>) {
    steps.retain(|step| !matches!(step, Step::Acknowledged(_)));
    for step in std::mem::take(steps) {
        let acknowledged = if let Step::Begun(number) = step { Some(Step::Acknowledged(number)) } else { None };
        steps.push(step);
        steps.extend(acknowledged);
    }
}

/// Moves the steps that mark the directory before the last sync of a journal that comes before them.
fn mark_early(steps: &mut Vec<Step>, is_journal_sync: impl Fn(&Step) -> bool) {
    const NEW: &str = "dialback.json.new";
    let is_mark = |step: &Step| matches!(step, Step::Rename { from, .. } if from.ends_with(NEW));
    let end = steps.iter().position(is_mark).expect("it is marked");
    let begin = steps[..end].iter().rposition(is_journal_sync).expect("a journal is synced");
    let folder = |step: &Step| matches!(step, Step::Open { name, .. } if name == "data");
    let sync = end + steps[end..].iter().position(folder).expect("its folder is opened") + 1;
    let mut files = Vec::new();
    let (mut moved, mut rest) = (Vec::new(), Vec::new());
    for (at, step) in steps.drain(begin..=sync).enumerate().map(|(at, step)| (at + begin, step)) {
        if let Step::Create { file, name } | Step::Open { file, name } = &step
            && (name.ends_with(NEW) || at == sync - 1)
        {
            files.push(*file);
        }
        let of_file = match &step {
            Step::Create { file, .. }
            | Step::Open { file, .. }
            | Step::Write { file, .. }
            | Step::Truncate { file, .. }
            | Step::Sync { file } => files.contains(file),
            _ => false,
        };
        if of_file || is_mark(&step) { moved.push(step) } else { rest.push(step) }
    }
    steps.splice(begin..begin, moved.into_iter().chain(rest));
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
