//! Loads a snapshot into a node.

use super::StepError;
use super::commit::commit;
use super::erasures::{Sweep, sweep};
use super::link::digest;
use super::settings::Settings;
use super::share::partition_of;
use super::snapshot::{Head, Reader, Section, VERSION, read_erasures, read_known, read_pairs, wrong};
use crate::event::{Configuration, Event};
use crate::plan::Plan;
use crate::service::{Consumed, Pair, Service, ServiceError, joined};
use crate::slot::Scope;
use crate::store::{Pseudonyms, StoredFleetState};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

/// The number of configurations that are committed together.
const AT_ONCE: usize = 256;

/// A snapshot that was read, except for the calls with an id or a context.
pub(super) struct Restored<'a> {
    head: Head,
    /// The configurations that the node lacks.
    configurations: Vec<Configuration>,
    pseudonyms: Pseudonyms,
    sections: Vec<Vec<Pair>>,
    /// Reads the calls with an id or a context, if the snapshot has some. All of them may be more than fits into memory.
    known: Option<Reader<'a>>,
}

impl<'a> Restored<'a> {
    /// Reads a snapshot up to its calls with an id or a context, and compares its configurations with the node's, before
    /// anything is changed. The inner error says which configuration differs.
    pub(super) fn read(
        mut reader: Reader<'a>,
        service: &Service,
        fleet_state: &Arc<dyn StoredFleetState>,
        settings: &Settings,
    ) -> Result<Result<Self, String>, StepError> {
        let head = reader.head();
        let (configurations, pseudonyms, sections) = (Vec::new(), Pseudonyms::default(), Vec::new());
        let mut restored = Self { head, configurations, pseudonyms, sections, known: None };
        let mut has_known = false;
        let generation = service.plan().generation();
        let mut plan = Plan::clone(&service.plan());
        let mut counts = [0u64; 3];
        loop {
            let Section { kind, content } = reader.section()?;
            match kind {
                b'C' => {
                    for configuration in read_configurations(&content)? {
                        counts[0] += 1;
                        if configuration.sequence != counts[0] {
                            return Err(wrong("its configurations are not consecutive"));
                        }
                        if counts[0] > generation {
                            plan.advance(&configuration).map_err(|_| wrong("one of its configurations is invalid"))?;
                            restored.configurations.push(configuration);
                        } else if fleet_state
                            .configuration(counts[0])?
                            .is_none_or(|held| digest(&held) != digest(&configuration))
                        {
                            let sequence = counts[0];
                            return Ok(Err(format!(
                                "configuration {sequence} of the snapshot differs from this node's"
                            )));
                        }
                    }
                }
                b'K' => restored.pseudonyms.keys.extend(content.as_chunks().0),
                b'E' if content.is_empty() && !restored.sections.is_empty() => has_known = true,
                b'E' => {
                    let erasures = read_erasures(&content).ok_or_else(|| wrong("one of its erasures is invalid"))?;
                    counts[1] += erasures.len() as u64;
                    restored.pseudonyms.erasures.extend(erasures);
                }
                b'P' => {
                    let mut pairs = read_pairs(&content).ok_or_else(|| wrong("one of its pairs is invalid"))?;
                    counts[2] += pairs.len() as u64;
                    if !settings.share.is_all() {
                        pairs.retain(|(scope, ..)| keeps(settings, &plan, *scope));
                    }
                    restored.sections.push(pairs);
                }
                b'Z' if content == counts.map(u64::to_be_bytes).concat() && counts[0] == head.sequence => break,
                _ => return Err(wrong("its counts are wrong, or a section is of an unknown kind")),
            }
        }
        restored.known = has_known.then_some(reader);
        Ok(Ok(restored))
    }

    /// Merges the snapshot into a service, which may hold other data. The data is in memory when this function returns.
    /// Calls `stored` when the store has it.
    pub(super) fn merge(
        self,
        service: &Service,
        fleet_state: &Arc<dyn StoredFleetState>,
        settings: &Settings,
        stored: impl FnOnce(Result<(), ServiceError>) + Send + 'static,
    ) -> Result<Head, StepError> {
        for some in self.configurations.chunks(AT_ONCE) {
            let events = some.iter().cloned().map(Event::Configuration).collect();
            for did in commit(service, Consumed { events, ..Consumed::default() })? {
                did.map(|_applied| ())?;
            }
        }
        let held = fleet_state.erasures()?;
        let had_something = !service.history().is_empty() || !held.erasures.is_empty();
        Sweep(self.pseudonyms).apply(service, fleet_state)?;
        // The node has the erasures, so it leaves out the calls of erased contacts.
        if let Some(reader) = self.known {
            merge_known(reader, service, settings)?;
        }
        let sections = self.sections;
        let (loaded, answer) = mpsc::sync_channel(1);
        service.submit_merge(
            Box::new(move |merge| {
                in_parallel(&sections, |pairs| merge.pairs(pairs).map_err(|full| full.to_string())).map(|()| sections)
            }),
            move |result| {
                // The receiver below waits for this result, so sending cannot fail.
                let _ = loaded.send(result);
            },
            stored,
        );
        answer
            .recv()
            .map_err(|_| StepError::from(ServiceError::NotDurable("the commit thread has stopped".into())))?
            .map_err(StepError::NotLoaded)?;
        if had_something {
            // Apply the node's erasures that the snapshot does not have.
            sweep(service, &fleet_state.erasures()?)?;
        }
        Ok(self.head)
    }
}

/// Reads calls with an id or a context, and merges each section into the service. If that fails on the way, the node has
/// some of them, and reads the snapshot again.
fn merge_known(mut reader: Reader<'_>, service: &Service, settings: &Settings) -> Result<(), StepError> {
    let plan = service.plan();
    let mut count = 0u64;
    loop {
        let Section { kind, content } = reader.section()?;
        match kind {
            b'D' => {
                let mut calls = read_known(&content).ok_or_else(|| wrong("one of its calls is invalid"))?;
                count += calls.len() as u64;
                calls.retain(|(key, _)| settings.share.is_all() || keeps(settings, &plan, key.number));
                let calls = calls.into_iter().filter_map(|(key, value)| joined(&plan, key, value));
                let events = calls.map(|call| Event::Joined(Box::new(call))).collect();
                commit(service, Consumed { events, ..Consumed::default() })?;
            }
            b'Y' if content == count.to_be_bytes() => return Ok(()),
            _ => return Err(wrong("the count of its calls is wrong, or a section is of an unknown kind")),
        }
    }
}

/// Returns whether the node keeps the calls of this number.
fn keeps(settings: &Settings, plan: &Plan, scope: Scope) -> bool {
    let number = plan.number_of_scope(scope);
    number.is_some_and(|(_, number)| settings.share.takes(partition_of(number, settings.partitions)))
}

fn read_configurations(mut content: &[u8]) -> Result<Vec<Configuration>, StepError> {
    let mut configurations = Vec::new();
    while let Some((len, rest)) = content.split_first_chunk() {
        let (text, rest) = rest
            .split_at_checked(u32::from_be_bytes(*len) as usize)
            .ok_or_else(|| wrong("one of its configurations is truncated"))?;
        // The parser's error could quote the text that it read. The checksum was right, so a newer version wrote it.
        configurations.push(serde_json::from_slice(text).map_err(|_| StepError::NewerSnapshot(VERSION))?);
        content = rest;
    }
    if content.is_empty() { Ok(configurations) } else { Err(wrong("one of its configurations is truncated")) }
}

/// Processes all sections on all processors. Returns the first error.
fn in_parallel(sections: &[Vec<Pair>], work: impl Fn(&[Pair]) -> Result<(), String> + Sync) -> Result<(), String> {
    let (next, failed) = (Mutex::new(sections.iter()), Mutex::new(None));
    let take_part = || {
        while let Some(section) = next.lock().unwrap_or_else(PoisonError::into_inner).next() {
            if let Err(why) = work(section) {
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
                return;
            }
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(sections.len());
        for _ in 1..threads {
            // If the system cannot create a thread, the other threads do its work.
            let _ = thread::Builder::new().spawn_scoped(scope, take_part);
        }
        take_part();
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}
