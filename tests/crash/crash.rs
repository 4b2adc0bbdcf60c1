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
use std::sync::{Mutex, mpsc};
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

impl Crashes<'_> {
    pub(super) fn check(&self) -> Result<Checked, Found> {
        let mut bounds: HashMap<u128, Bounds> = HashMap::new();
        let (states, waiting) = mpsc::sync_channel::<(u128, State)>(64);
        let waiting = Mutex::new(waiting);
        let held = Mutex::new(HashMap::new());
        let mut tried = 0;
        let mut sample = Vec::new();
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    let place = super::memory();
                    loop {
                        let next = waiting.lock().expect("no panic").recv();
                        let Ok((hash, state)) = next else { return };
                        let found = self.judge(&state, &place.path().join("root"), hash);
                        held.lock().expect("no panic").insert(hash, found);
                    }
                });
            }
            self.each_crash(|point, how, acknowledged, begun, state| {
                tried += 1;
                let hash = state.hash();
                let (acknowledged, begun) = ((acknowledged, point, how), (begun, point, how));
                if let Some(known) = bounds.get_mut(&hash) {
                    if acknowledged.0 > known.acknowledged.0 {
                        known.acknowledged = acknowledged;
                    }
                    if begun.0 < known.begun.0 {
                        known.begun = begun;
                    }
                } else {
                    bounds.insert(hash, Bounds { acknowledged, begun });
                    if bounds.len() % 2500 == 450 {
                        sample.push((hash, state.clone()));
                    }
                    states.send((hash, state)).expect("somebody waits");
                }
            });
            drop(states);
        });
        let held = held.into_inner().expect("no panic");
        let mut all: Vec<_> = bounds.into_iter().collect();
        all.sort_by_key(|(_, bounds)| bounds.acknowledged.1);
        let distinct = all.len() as u64;
        for (hash, bounds) in all {
            let (lowest, highest) = (bounds.acknowledged, bounds.begun);
            let (problem, (_, point, how)) = match &held[&hash] {
                Ok(held) if *held < lowest.0 => (Problem::Lost { held: *held, acknowledged: lowest.0 }, lowest),
                Ok(held) if *held > highest.0 => (Problem::Invented { held: *held, begun: highest.0 }, highest),
                Ok(_) => continue,
                Err(problem) => (problem.clone(), lowest),
            };
            let step = self.record.steps.get(point).map_or_else(String::new, describe);
            return Err(Found { problem, point, step, how });
        }
        let sample =
            sample.into_iter().filter_map(|(hash, state)| Some((*held[&hash].as_ref().ok()?, state))).collect();
        let mut reached = BTreeMap::new();
        held.into_values().flatten().for_each(|number| *reached.entry(number).or_insert(0) += 1);
        Ok(Checked { tried, distinct, sample, reached })
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
    /// by then.
    fn each_crash(&self, mut see: impl FnMut(usize, How, u64, u64, State)) {
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
                see(point, how, acknowledged, begun, disk.crash(&mut dice));
            }
        }
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
