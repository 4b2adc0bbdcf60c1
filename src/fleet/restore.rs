//! From a snapshot to a node.

use super::StepError;
use super::consumer::commit;
use super::erasures::{Sweep, sweep};
use super::link::digest;
use super::settings::Settings;
use super::share::partition_of;
use super::snapshot::{Head, Section, read_erasures, read_pairs, wrong};
use super::stream::Snapshot;
use crate::event::{Configuration, Event};
use crate::plan::Plan;
use crate::service::{Consumed, Pair, Service, ServiceError};
use crate::slot::Scope;
use crate::store::{Aside, Pseudonyms};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

/// Configurations that are committed together.
const AT_ONCE: usize = 256;

/// A snapshot that was read whole.
pub(super) struct Restored {
    head: Head,
    /// Those that the node has not.
    configurations: Vec<Configuration>,
    pseudonyms: Pseudonyms,
    sections: Vec<Vec<Pair>>,
}

impl Restored {
    /// Reads it whole and compares its configurations with the node's, before anything is changed. The inner error says where they differ.
    pub(super) fn read(
        snapshot: Snapshot,
        service: &Service,
        aside: &Arc<dyn Aside>,
        settings: &Settings,
    ) -> Result<Result<Self, String>, StepError> {
        let mut source = snapshot.content;
        let head = Head::read(&mut source)?;
        let (configurations, pseudonyms, sections) = (Vec::new(), Pseudonyms::default(), Vec::new());
        let mut restored = Self { head, configurations, pseudonyms, sections };
        let generation = service.plan().generation();
        let mut plan = Plan::clone(&service.plan());
        let mut counts = [0u64; 3];
        loop {
            let Section { kind, content } = Section::read(&mut source)?;
            match kind {
                b'C' => {
                    for configuration in read_configurations(&content)? {
                        counts[0] += 1;
                        if configuration.sequence != counts[0] {
                            return Err(wrong("its configurations have a gap"));
                        }
                        if counts[0] > generation {
                            plan.advance(&configuration).map_err(|_| wrong("its configurations do not follow"))?;
                            restored.configurations.push(configuration);
                        } else if aside
                            .configuration(counts[0])?
                            .is_none_or(|held| digest(&held) != digest(&configuration))
                        {
                            let sequence = counts[0];
                            return Ok(Err(format!(
                                "the snapshot has another configuration {sequence} than this node"
                            )));
                        }
                    }
                }
                b'K' => restored.pseudonyms.keys.extend(content.as_chunks().0),
                b'E' => {
                    let erasures = read_erasures(&content).ok_or_else(|| wrong("an erasure is none"))?;
                    counts[1] += erasures.len() as u64;
                    restored.pseudonyms.erasures.extend(erasures);
                }
                b'P' => {
                    let mut pairs = read_pairs(&content).ok_or_else(|| wrong("a pair is none"))?;
                    counts[2] += pairs.len() as u64;
                    if !settings.share.is_all() {
                        pairs.retain(|(scope, ..)| keeps(settings, &plan, *scope));
                    }
                    restored.sections.push(pairs);
                }
                b'Z' if content == counts.map(u64::to_be_bytes).concat() && counts[0] == head.sequence => break,
                _ => return Err(wrong("it ends otherwise than it was written")),
            }
        }
        Ok(Ok(restored))
    }

    /// Puts it into a service that has more or less already. It is in memory when this returns; `stored` is told when the store has it.
    pub(super) fn merge(
        self,
        service: &Service,
        aside: &Arc<dyn Aside>,
        stored: impl FnOnce(Result<(), ServiceError>) + Send + 'static,
    ) -> Result<Head, StepError> {
        for some in self.configurations.chunks(AT_ONCE) {
            let events = some.iter().cloned().map(Event::Configuration).collect();
            for did in commit(service, Consumed { events, ..Consumed::default() })? {
                did?;
            }
        }
        let held = aside.erasures()?;
        let had_something = !service.history().is_empty() || !held.erasures.is_empty();
        Sweep(self.pseudonyms).apply(service, aside)?;
        let sections = self.sections;
        let (loaded, answer) = mpsc::sync_channel(1);
        service.submit_merge(
            Box::new(move |merge| {
                in_parallel(&sections, |pairs| merge.pairs(pairs).map_err(|full| full.to_string())).map(|()| sections)
            }),
            move |result| {
                // Whoever waits is there until it is told.
                let _ = loaded.send(result);
            },
            stored,
        );
        answer.recv().map_err(|_| StepError::Damaged("the committer has ended"))?.map_err(StepError::NotLoaded)?;
        if had_something {
            // What the node erased and the snapshot does not know of.
            sweep(service, &aside.erasures()?)?;
        }
        Ok(self.head)
    }
}

/// Whether the calls of this number are the node's to keep.
fn keeps(settings: &Settings, plan: &Plan, scope: Scope) -> bool {
    let number = plan.number_of_scope(scope);
    number.is_some_and(|(_, number)| settings.share.takes(partition_of(number, settings.partitions)))
}

fn read_configurations(mut content: &[u8]) -> Result<Vec<Configuration>, StepError> {
    let mut configurations = Vec::new();
    while let Some((len, rest)) = content.split_first_chunk() {
        let (text, rest) = rest
            .split_at_checked(u32::from_be_bytes(*len) as usize)
            .ok_or_else(|| wrong("a configuration is cut short"))?;
        // What the parser says could quote what it read.
        configurations
            .push(serde_json::from_slice(text).map_err(|_| wrong("a configuration that this version does not know"))?);
        content = rest;
    }
    if content.is_empty() { Ok(configurations) } else { Err(wrong("a configuration is cut short")) }
}

/// Works on all sections, on all processors. The first error.
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
            // Where the system gives no more threads, those that there are do it.
            let _ = thread::Builder::new().spawn_scoped(scope, take_part);
        }
        take_part();
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}
