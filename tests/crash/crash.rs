//! Crashes at all points of a record, several at each.

use super::disk::{Change, Content, Disk, Fate, State, Written, with_all};
use super::judge::Judge;
use super::problem::Problem;
use super::record::{Record, Step};
use crate::support::random::Random;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::thread;

pub(super) struct Crashes<'a> {
    pub(super) record: &'a Record,
    pub(super) before: &'a Disk,
    /// The number of batches acknowledged before the record begins.
    pub(super) base: u64,
    pub(super) judge: &'a dyn Judge,
    /// The number of random crashes at each point, in addition to the two that lose nothing and everything unsynced.
    pub(super) choices: u64,
    pub(super) seed: u64,
}

/// The result of a run.
pub(super) struct Checked {
    pub(super) tried: u64,
    pub(super) distinct: u64,
    /// Some of the states, each with its number of batches.
    pub(super) sample: Vec<(u64, State)>,
    /// How many distinct states are as far as each entry of the diary.
    pub(super) reached: BTreeMap<u64, u64>,
}

/// A crash after which the store was wrong.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) problem: Problem,
    point: usize,
    step: String,
    how: How,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (crash after step {}, {}, {:?})", self.problem, self.point, self.step, self.how)
    }
}

/// Threads that open the states that crashes left. There are more threads than processors, because a purge mostly waits.
const WORKERS: usize = 4;

/// The bounds for the batches of a state: at least the acknowledged ones, at most the submitted ones.
#[derive(Clone, Copy)]
struct Bounds {
    acknowledged: (u64, usize, How),
    begun: (u64, usize, How),
}

/// How many states are opened before the next ones are made. A canary ends after the round in which it is found.
const ROUND: usize = 256;

/// What is known of the distinct states, each by its hash.
#[derive(Default)]
struct Known {
    bounds: HashMap<u128, Bounds>,
    held: HashMap<u128, Result<u64, Problem>>,
}

impl Known {
    /// Takes the bounds of one more crash that leaves this state. Returns whether the state is new.
    fn add(&mut self, hash: u128, crash: Bounds) -> bool {
        let Some(known) = self.bounds.get_mut(&hash) else {
            self.bounds.insert(hash, crash);
            return true;
        };
        if crash.acknowledged.0 > known.acknowledged.0 {
            known.acknowledged = crash.acknowledged;
        }
        if crash.begun.0 < known.begun.0 {
            known.begun = crash.begun;
        }
        false
    }

    /// Returns the first crash after which the store was wrong. Further crashes can only narrow the bounds.
    fn wrong(&self) -> Option<(Problem, usize, How)> {
        let of_state = |(hash, held): (&u128, &Result<u64, Problem>)| {
            let Bounds { acknowledged, begun } = self.bounds[hash];
            let (problem, (_, point, how)) = match held {
                Ok(held) if *held < acknowledged.0 => {
                    (Problem::Lost { held: *held, acknowledged: acknowledged.0 }, acknowledged)
                }
                Ok(held) if *held > begun.0 => (Problem::Invented { held: *held, begun: begun.0 }, begun),
                Ok(_) => return None,
                Err(problem) => (problem.clone(), acknowledged),
            };
            Some((acknowledged.1, *hash, problem, point, how))
        };
        let first = self.held.iter().filter_map(of_state).min_by_key(|(order, hash, ..)| (*order, *hash));
        first.map(|(_, _, problem, point, how)| (problem, point, how))
    }
}

impl Crashes<'_> {
    pub(super) fn check(&self) -> Result<Checked, Found> {
        let mut known = Known::default();
        let mut round = Vec::new();
        let mut tried = 0;
        let mut sample = Vec::new();
        let end_round = |known: &mut Known, round: &mut Vec<(u128, State)>| {
            self.judge_all(std::mem::take(round), &mut known.held);
            known.wrong().map_or(Ok(()), |wrong| Err(self.found(wrong)))
        };
        self.each_crash(|point, how, acknowledged, begun, state| {
            tried += 1;
            let hash = state.hash();
            let bounds = Bounds { acknowledged: (acknowledged, point, how), begun: (begun, point, how) };
            if !known.add(hash, bounds) {
                return Ok(());
            }
            if known.bounds.len() % 2500 == 450 {
                sample.push((hash, state.clone()));
            }
            round.push((hash, state));
            if round.len() == ROUND { end_round(&mut known, &mut round) } else { Ok(()) }
        })?;
        end_round(&mut known, &mut round)?;
        let distinct = known.bounds.len() as u64;
        let held = known.held;
        let sample =
            sample.into_iter().filter_map(|(hash, state)| Some((*held[&hash].as_ref().ok()?, state))).collect();
        let mut reached = BTreeMap::new();
        held.into_values().flatten().for_each(|number| *reached.entry(number).or_insert(0) += 1);
        Ok(Checked { tried, distinct, sample, reached })
    }

    fn found(&self, (problem, point, how): (Problem, usize, How)) -> Found {
        let step = self.record.steps.get(point).map_or_else(String::new, describe);
        Found { problem, point, step, how }
    }

    /// Has all states of a round judged.
    fn judge_all(&self, round: Vec<(u128, State)>, held: &mut HashMap<u128, Result<u64, Problem>>) {
        let (waiting, held) = (Mutex::new(round.into_iter()), Mutex::new(held));
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    let place = super::memory();
                    loop {
                        let next = waiting.lock().expect("no panic").next();
                        let Some((hash, state)) = next else { return };
                        let found = self.judge(&state, &place.path().join("root"), hash);
                        held.lock().expect("no panic").insert(hash, found);
                    }
                });
            }
        });
    }

    /// Writes the state into `root`, which does not exist, and has it judged.
    fn judge(&self, state: &State, root: &Path, hash: u128) -> Result<u64, Problem> {
        state.write(root);
        let judge = AssertUnwindSafe(|| self.judge.judge(root, hash));
        let found = catch_unwind(judge).unwrap_or_else(|_| Err(Problem::Refused("the judge panicked".into())));
        fs::remove_dir_all(root).expect("removed");
        found
    }

    /// Replays the record. Passes each crash's state to `see`, with the numbers of batches acknowledged and submitted
    /// by then. Ends at the first error of `see`.
    fn each_crash(&self, mut see: impl FnMut(usize, How, u64, u64, State) -> Result<(), Found>) -> Result<(), Found> {
        let mut disk = self.before.clone();
        let (mut acknowledged, mut begun) = (self.base, self.base);
        for (point, step) in self.record.steps.iter().enumerate() {
            disk.apply(step);
            match step {
                Step::Begun(number) => begun = *number,
                Step::Acknowledged(number) => acknowledged = *number,
                Step::Open { .. } => continue,
                _ => {}
            }
            let ways = if disk.is_synced() { 0 } else { self.choices };
            for way in 0..ways + 2 {
                let mut random = Random::new(self.seed, (point as u64) << 16 | way);
                let how = How::of(way, &mut random);
                let mut dice = Dice { how, random, order: disk.order() };
                see(point, how, acknowledged, begun, disk.crash(&mut dice))?;
            }
        }
        Ok(())
    }
}

fn describe(step: &Step) -> String {
    match step {
        Step::Write { file, at, bytes } => format!("{} bytes of file {file} at {at}", bytes.len()),
        other => format!("{other:?}"),
    }
}

/// How unsynced data is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum How {
    Nothing,
    Everything,
    /// The last changes of all files together are lost; the first of them is torn.
    Last {
        keep: u8,
        names: Names,
    },
    /// The last changes of each file are lost, and torn.
    LastOfEach {
        names: Names,
    },
    /// Any sectors are lost.
    Sectors {
        one_in: u8,
        names: Names,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Names {
    All,
    None,
    Some,
}

impl How {
    fn of(way: u64, random: &mut Random) -> Self {
        let names = [Names::All, Names::None, Names::Some][random.below(3)];
        match way {
            0 => Self::Everything,
            1 => Self::Nothing,
            _ => match way % 3 {
                0 => Self::Last { keep: u8::try_from(random.below(12)).expect("small"), names },
                1 => Self::LastOfEach { names },
                _ => Self::Sectors { one_in: [2, 3, 8][random.below(3)], names },
            },
        }
    }
}

const SECTOR: usize = 512;

struct Dice {
    how: How,
    random: Random,
    order: u64,
}

impl Fate for Dice {
    fn content(&mut self, synced: &Content, changes: &[Change]) -> Content {
        match self.how {
            How::Everything => synced.clone(),
            How::Nothing => with_all(synced, changes),
            How::Last { keep, .. } => {
                // Lose the changes of the last few steps.
                let end = self.order.saturating_sub(u64::from(keep));
                let first = changes.partition_point(|change| change.order < end);
                self.torn(synced, changes, first)
            }
            How::LastOfEach { .. } => {
                let first = self.random.below(changes.len() + 1);
                self.torn(synced, changes, first)
            }
            How::Sectors { one_in, .. } => self.sectors(synced, changes, one_in),
        }
    }

    fn names(&mut self, changes: usize) -> usize {
        match self.how {
            How::Everything => 0,
            How::Nothing => changes,
            How::Last { names, .. } | How::LastOfEach { names } | How::Sectors { names, .. } => match names {
                Names::All => changes,
                Names::None => 0,
                Names::Some => self.random.below(changes + 1),
            },
        }
    }
}

impl Dice {
    /// Returns the content with all changes before `first`, and a part of that change.
    fn torn(&mut self, synced: &Content, changes: &[Change], first: usize) -> Content {
        let mut content = with_all(synced, &changes[..first]);
        if let Some(Written::Bytes(at, bytes)) = changes.get(first).map(|change| &change.what) {
            let whole = self.random.below(bytes.len() + 1);
            // Cut at the end of a sector, or anywhere.
            let len = if self.random.is_one_in(2) {
                whole
            } else {
                (at + whole) / SECTOR * SECTOR - (*at).min((at + whole) / SECTOR * SECTOR)
            };
            content.write(*at, &bytes[..len.min(bytes.len())]);
        }
        content
    }

    /// Each written sector may keep its old content. The length is the new one, or the one that the last kept sector
    /// needs.
    fn sectors(&mut self, synced: &Content, changes: &[Change], one_in: u8) -> Content {
        let mut content = synced.clone();
        for change in changes {
            match &change.what {
                Written::Len(len) => {
                    if !self.random.is_one_in(usize::from(one_in)) {
                        content.truncate(*len);
                    }
                }
                Written::Bytes(at, bytes) => {
                    let mut from = 0;
                    while from < bytes.len() {
                        let end = ((at + from) / SECTOR + 1) * SECTOR - at;
                        let end = end.min(bytes.len());
                        if !self.random.is_one_in(usize::from(one_in)) {
                            content.write(at + from, &bytes[from..end]);
                        }
                        from = end;
                    }
                }
            }
        }
        if self.random.is_one_in(2) {
            content.len = content.len.max(with_all(synced, changes).len);
        }
        content
    }
}
