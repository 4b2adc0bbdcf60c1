//! The instance behind a handle: a service, and the conversion of C texts into its arguments.

use super::explain::explanation;
use super::status::{Failure, Status};
use super::types::{CallBehind, DecisionOut, Question, Recorded, StatisticsOut, Survives};
use crate::decision::Decision;
use crate::engine::{Applied, DEFAULT_MAX_PAIRS, Engine, Reader};
use crate::event::{Call, CallId, Change, Context, ContextError, Details, Erasure, Event};
use crate::id::EnvironmentId;
use crate::inbound::{Arrival, CallReads};
use crate::number::{Caller, DialPlan, E164, trunk};
use crate::plan::Plan;
use crate::service::Service;
use crate::store::{Durability, FjallStore, MemoryStore, Upkeep};
use crate::time::Timestamp;
use std::ops::Deref;
use std::process;
use std::sync::{Arc, mpsc};

/// The number of calls in a batch that are resolved together.
const BATCH: usize = 32;

/// An open engine.
pub(super) struct Instance {
    service: Service,
    upkeep: Option<Upkeep>,
    call_reads: CallReads,
    /// The id of the process that owns the instance's threads.
    process: u32,
}

impl Instance {
    /// Opens an engine in memory, or on the data directory if one is named.
    pub(super) fn open(data_directory: &str, survives: u32, max_pairs: u64) -> Result<Self, Failure> {
        let durability = match survives {
            held if held == Survives::PowerFailure as u32 => Durability::Synced,
            held if held == Survives::Kill as u32 => Durability::Buffered,
            _ => return Err(Failure::new(Status::InvalidArgument, "survives: not a DIALBACK_SURVIVES value")),
        };
        let max_pairs = match usize::try_from(max_pairs) {
            Ok(0) => DEFAULT_MAX_PAIRS,
            Ok(pairs) => pairs,
            Err(_) => {
                return Err(Failure::new(
                    Status::InvalidArgument,
                    "max_pairs: too large for this machine's address space",
                ));
            }
        };
        let engine = Engine::try_with_max_pairs(max_pairs)
            .map_err(|error| Failure::new(Status::InvalidArgument, format!("max_pairs: {error}")))?;
        let (service, upkeep) = if data_directory.is_empty() {
            (Service::builder(MemoryStore).engine(engine).start()?, None)
        } else {
            let store = FjallStore::open(data_directory)?.with_durability(durability);
            let upkeep = store.upkeep();
            (Service::builder(store).engine(engine).start()?, Some(upkeep))
        };
        Ok(Self { service, upkeep, call_reads: CallReads::default(), process: process::id() })
    }

    /// Returns the plan that is now in force.
    pub(super) fn plan(&self) -> impl Deref<Target = Arc<Plan>> + '_ {
        self.service.read_plan()
    }

    /// Returns a reader for one thread.
    pub(super) fn reader(&self) -> Reader<Arc<Engine>> {
        self.service.reader()
    }

    /// Checks that this process opened the instance. A write waits for a thread that does not exist after a fork, so
    /// it would wait forever.
    pub(super) fn is_of_this_process(&self) -> Result<(), Failure> {
        if self.process == process::id() { Ok(()) } else { Err(Status::Forked.into()) }
    }

    /// Applies configuration changes, all of them or none.
    pub(super) fn configure(&self, environment: &[u8], now: u64, json: &[u8]) -> Result<u64, Failure> {
        self.is_of_this_process()?;
        let environment = environment_id(environment)?;
        let changes: Vec<Change> =
            serde_json::from_str(utf8(json).map_err(|error| error.about("json"))?).map_err(|error| bad_json(&error))?;
        let plan = self.service.configure(environment, Timestamp::from_millis(now), move |_| Ok(changes))?;
        Ok(plan.generation())
    }

    /// Records calls in one batch. Returns the counts, and the first call that was refused.
    pub(super) fn record(
        &self,
        calls: Vec<(Call, Details)>,
        now: u64,
    ) -> Result<(Recorded, Result<(), Failure>), Failure> {
        self.is_of_this_process()?;
        let latest = Timestamp::from_millis(now).plus_millis(crate::service::MAX_SKEW_MILLIS);
        if let Some(index) = calls.iter().position(|(call, _)| call.at > latest) {
            let what = format!("call {index}: at_ms: more than a day in the future");
            return Err(Failure::new(Status::InvalidArgument, what));
        }
        let mut recorded = Recorded { size: 0, reserved: 0, recorded: 0, unchanged: 0, ignored: 0 };
        let mut refused = Ok(());
        let events = calls.into_iter().map(|(call, details)| Event::reported(call, details));
        for (index, applied) in self.service.record(events.collect())?.into_iter().enumerate() {
            match applied {
                Ok(Applied::Recorded) => recorded.recorded += 1,
                Ok(Applied::Unchanged) => recorded.unchanged += 1,
                Ok(_) => recorded.ignored += 1,
                Err(error) => refused = refused.and(Err(Failure::from(error).about(&format!("call {index}")))),
            }
        }
        Ok((recorded, refused))
    }

    /// Converts a reported call: reads its ids, and reads its numbers with the environment's dial plan.
    pub(super) fn call(&self, report: &ReportTexts) -> Result<Call, Failure> {
        let environment = environment_id(report.environment)?;
        let agent = id(report.agent).map_err(|error| error.about("agent"))?;
        let plan = self.service.read_plan();
        let dial_plan = dial_plan(&plan, environment);
        let number = |name, text| number(text, &dial_plan).map_err(|error| error.about(name));
        let possible = |number| dial_plan.check(number).map_err(|error| Failure::from(error).about("to"));
        Ok(Call {
            environment,
            agent: agent.into(),
            from: number("from", report.from)?,
            to: possible(number("to", report.to)?)?,
            at: Timestamp::from_millis(report.at_ms),
            outcome: report.outcome,
        })
    }

    /// Returns the call behind a decision about `dialed` and `caller`, and its context. Waits for the disk for a short time.
    pub(super) fn call_behind(
        &self,
        dialed: &[u8],
        caller: &[u8],
        decision: &DecisionOut,
    ) -> Result<(CallBehind, Option<Context>), Failure> {
        self.is_of_this_process()?;
        let plan: Arc<Plan> = self.service.plan();
        let (dialed, caller) = asked(&plan, dialed, caller)?;
        let Some(call) = decision.call() else { return Ok((CallBehind::new(None, None, false), None)) };
        let nothing = (CallBehind::new(Some(&call), None, false), None);
        let may_be_known = plan.dialed(dialed).is_some_and(|number| self.service.may_know_calls(number.environment()));
        let (Some(reader), Some(caller), true) = (self.service.call_reader(), caller.number(), may_be_known) else {
            return Ok(nothing);
        };
        let read = move || Some(reader.call_behind(&plan, dialed, caller, &call));
        let Some(known) = self.call_reads.wait(read).ok_or(Failure::from(Status::NotInTime))?? else {
            return Ok(nothing);
        };
        let behind = CallBehind::new(Some(&call), known.id.as_ref(), known.context.is_some());
        Ok((behind, known.context))
    }

    /// Erases a contact up to a time, and returns the number of erased pairs.
    pub(super) fn erase(&self, environment: &[u8], contact: &[u8], until: u64) -> Result<u64, Failure> {
        self.is_of_this_process()?;
        let environment = environment_id(environment)?;
        let dial_plan = dial_plan(&self.service.read_plan(), environment);
        let contact = number(contact, &dial_plan).map_err(|error| error.about("contact"))?;
        let erasure = Erasure { environment, contact, until: Timestamp::from_millis(until), is_ahead: false };
        let mut erased = 0;
        for applied in self.service.record(vec![Event::Erasure(erasure)])? {
            if let Applied::Erased { pairs } = applied? {
                erased += pairs;
            }
        }
        Ok(erased)
    }

    /// Decides where a call goes. `counts` says whether the call is part of the statistics.
    #[inline]
    pub(super) fn resolve(
        &self,
        plan: &Plan,
        dialed: &[u8],
        caller: &[u8],
        now: u64,
        counts: bool,
    ) -> Result<Decision, Failure> {
        let (dialed, caller) = asked(plan, dialed, caller)?;
        let now = Timestamp::from_millis(now);
        Ok(if counts {
            self.service.route_on(plan, dialed, caller, now).decision
        } else {
            self.service.resolve_on(plan, dialed, caller, now)
        })
    }

    /// Decides where a call goes, and explains the decision as JSON.
    pub(super) fn explain(&self, dialed: &[u8], caller: &[u8], now: u64) -> Result<(DecisionOut, String), Failure> {
        let plan = self.service.read_plan();
        let (dialed, caller) = asked(&plan, dialed, caller)?;
        let trace = self.service.explain_on(&plan, dialed, caller, Timestamp::from_millis(now));
        Ok(((&trace.decision).into(), explanation(&plan, &trace).to_string()))
    }

    /// Decides many calls on one plan. A question that is not valid gets its status; the first such status is returned.
    pub(super) fn resolve_batch<'a>(
        &self,
        plan: &Plan,
        questions: &[Question],
        text: impl Fn(&Question) -> Result<(&'a [u8], &'a [u8]), Failure>,
        now: u64,
        mut put: impl FnMut(usize, DecisionOut),
    ) -> Result<(), Failure> {
        let now = Timestamp::from_millis(now);
        let mut wrong = None;
        for (chunk, some) in questions.chunks(BATCH).enumerate() {
            // A question that is not valid resolves the lowest number instead, and the result is discarded.
            let placeholder = (E164::from_code(1).expect("a number"), Caller::Withheld);
            let mut calls = [placeholder; BATCH];
            let mut statuses = [Status::Ok; BATCH];
            for (index, question) in some.iter().enumerate() {
                match text(question).and_then(|(dialed, caller)| asked(plan, dialed, caller)) {
                    Ok(call) => calls[index] = call,
                    Err(failure) => {
                        statuses[index] = failure.status;
                        wrong.get_or_insert_with(|| failure.about(&format!("question {}", chunk * BATCH + index)));
                    }
                }
            }
            let mut decisions = [Decision::UNROUTED; BATCH];
            let count = some.len();
            self.service.resolve_batch_on(plan, &calls[..count], now, &mut decisions[..count]);
            for (index, (decision, status)) in decisions.iter().zip(statuses).take(count).enumerate() {
                let out = if status == Status::Ok { decision.into() } else { DecisionOut::none(status as i32) };
                put(chunk * BATCH + index, out);
            }
        }
        wrong.map_or(Ok(()), Err)
    }

    /// Returns an environment's statistics from the day of `from` to the day of `to`, both included, with everything
    /// counted so far.
    pub(super) fn statistics(&self, environment: &[u8], from: u64, to: u64) -> Result<StatisticsOut, Failure> {
        self.is_of_this_process()?;
        let environment = environment_id(environment)?;
        let (sender, receiver) = mpsc::sync_channel(1);
        self.service.submit_counts(move |result| {
            // The receiver is gone if the waiting thread panicked.
            let _ = sender.send(result);
        });
        receiver.recv().map_err(|_| Failure::from(Status::NotDurable))??;
        let days = Timestamp::from_millis(from).day()..=Timestamp::from_millis(to).day();
        let statistics = self.service.statistics(environment, &days);
        Ok(StatisticsOut {
            size: 0,
            reserved: 0,
            callbacks: statistics.callbacks.iter().map(|one| one.count.received).sum(),
            unmatched: statistics.unmatched,
            pairs: self.service.history().len() as u64,
            generation: self.service.read_plan().generation(),
        })
    }

    /// Removes erased data, and data older than the longest look-back plus one day, from memory and disk.
    pub(super) fn purge(&self, now: u64) -> Result<(), Failure> {
        self.is_of_this_process()?;
        let now = Timestamp::from_millis(now);
        let floor = self.service.retention_floor(now);
        self.service.history().expire_before(floor);
        if let Some(upkeep) = &self.upkeep {
            upkeep.purge(Some(floor), now)?;
        }
        Ok(())
    }
}

/// A read that hangs keeps the store open, and closing promises to release the data directory. A process that was forked
/// closes nothing, because it has none of these threads.
impl Drop for Instance {
    fn drop(&mut self) {
        if self.is_of_this_process().is_ok() {
            self.call_reads.end();
        }
    }
}

/// A reported call as C passes it, with its texts still unread.
pub(super) struct ReportTexts<'a> {
    pub(super) environment: &'a [u8],
    pub(super) agent: &'a [u8],
    pub(super) from: &'a [u8],
    pub(super) to: &'a [u8],
    pub(super) at_ms: u64,
    pub(super) outcome: crate::outcome::Outcome,
}

/// Reads the id and the context of a reported call. An empty text is none.
pub(super) fn details(id: &[u8], context: &[u8]) -> Result<Details, Failure> {
    let invalid = |what| move || Failure::new(Status::InvalidArgument, what);
    let id = match utf8(id).map_err(|error| error.about("call_id"))? {
        "" => None,
        id => Some(CallId::new(id).ok_or_else(invalid("call_id: not 1 to 128 visible ASCII characters"))?),
    };
    let context = match utf8(context).map_err(|error| error.about("context"))? {
        "" => None,
        context => Some(Context::new(context).map_err(|error| {
            let status = if error == ContextError::TooLong { Status::InvalidArgument } else { Status::InvalidJson };
            Failure::new(status, format!("context: {error}"))
        })?),
    };
    Ok(Details { id, context })
}

/// Reads the dialed number and the caller. The caller is read with the dial plan of the dialed number's environment.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a third of what C pays over Rust was the call and its answer through memory")]
fn asked(plan: &Plan, dialed: &[u8], caller: &[u8]) -> Result<(E164, Caller), Failure> {
    // Nearly every trunk sends plain digits. They need neither a dial plan nor a UTF-8 check.
    match (E164::clean(dialed), E164::clean(caller)) {
        (Some(dialed), Some(number))
            if (!plan.has_regions() || !trunk::can_follow(&caller[1..])) && !plan.requires_attestation() =>
        {
            Ok((dialed, Caller::of_clean(number)))
        }
        _ => asked_in_text(plan, dialed, caller),
    }
}

#[cold]
fn asked_in_text(plan: &Plan, dialed: &[u8], caller: &[u8]) -> Result<(E164, Caller), Failure> {
    let dialed = number(dialed, &DialPlan::NONE).map_err(|error| error.about("dialed"))?;
    let caller = utf8(caller).map_err(|error| error.about("caller"))?;
    Ok((dialed, Arrival::at(plan, dialed).caller(caller)))
}

fn dial_plan(plan: &Plan, environment: EnvironmentId) -> DialPlan {
    plan.environment(environment).map_or(DialPlan::NONE, |environment| *environment.dial_plan())
}

fn number(text: &[u8], dial_plan: &DialPlan) -> Result<E164, Failure> {
    Ok(E164::parse(utf8(text)?, dial_plan)?)
}

fn utf8(bytes: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(bytes).map_err(|_| Status::InvalidUtf8.into())
}

fn environment_id(text: &[u8]) -> Result<EnvironmentId, Failure> {
    id(text).map(EnvironmentId::from).map_err(|error| error.about("environment"))
}

/// Reads a UUID.
pub(super) fn id(text: &[u8]) -> Result<uuid::Uuid, Failure> {
    uuid::Uuid::try_parse(utf8(text)?).map_err(|_| Failure::new(Status::InvalidArgument, "not a UUID"))
}

/// Describes where the JSON is wrong. Includes the parser's message only if it cannot contain a phone number.
fn bad_json(error: &serde_json::Error) -> Failure {
    let (line, column) = (error.line(), error.column());
    let place = format!("line {line} column {column}");
    let how = error.to_string();
    let how = how.strip_suffix(&format!(" at {place}")).unwrap_or(&how);
    let shows_a_number = how.bytes().filter(u8::is_ascii_digit).count() > 2;
    let what = if shows_a_number { place } else { format!("{place}: {how}") };
    Failure::new(Status::InvalidJson, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn directory_can_be_opened_again_though_a_read_hung() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_str().expect("UTF-8");
        let open = || Instance::open(path, 0, 1000).map_err(|failure| failure.message);
        let instance = open().expect("opened");
        let reader = instance.service.call_reader().expect("a store that keeps calls");
        let hanging = move || {
            thread::sleep(Duration::from_millis(500));
            drop(reader);
            Some(())
        };
        assert_eq!(instance.call_reads.wait(hanging), None, "the question does not wait");
        drop(instance);
        assert!(open().is_ok());
    }
}
