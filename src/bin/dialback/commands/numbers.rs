//! `dialback numbers`.

use super::remote::Remote;
use crate::clock::now;
use crate::data::{self, DataOptions};
use crate::failure::{Failure, in_part};
use crate::out;
use clap::Subcommand;
use dialback::plan::{EnvironmentView, NumberView};
use dialback::store::{FjallStore, RecordPlace, RecordQuery};
use dialback::{
    Actor, AgentId, Applied, Call, CallId, Change, Configuration, Context, Details, DialPlan, E164, EnvironmentId,
    Erasure, Event, Outcome, Plan, Service, Timestamp,
};
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::process::ExitCode;

/// Events of one commit, unless those of one contact are more.
const BATCH: usize = 1000;

/// The additional text of `--help`.
const LONG_HELP: &str = "\
An environment that gets a region reads some texts as other numbers than before. What was stored
under the earlier reading is then not found. This lists the stored numbers that the region would
read otherwise. The list has whole phone numbers.

With --rewrite, each call to a listed contact moves to the number that was meant, with its id and its
context. Where that number has a call of its own, the later call wins. The earlier number is erased. With --region, the
environment gets the region first; name the environment if there are several. No daemon may hold
the data directory meanwhile, and the directory must not belong to a node of a fleet. Numbers of
your own are listed and not changed: release them, and add them again.

Examples:
  dialback numbers check --region GB
  dialback numbers check --region GB --environment Clinic --rewrite";

#[derive(Debug, Subcommand)]
pub(crate) enum NumbersCommand {
    /// List the stored numbers that a region reads otherwise, and correct them
    #[command(after_long_help = LONG_HELP)]
    Check {
        /// The region to check with, such as DE. The default is the region that each environment has
        #[arg(long, value_name = "CODE")]
        region: Option<String>,
        /// The name or id of the environment. The default is all environments
        #[arg(long, value_name = "NAME")]
        environment: Option<String>,
        /// Move the calls to the numbers that were meant
        #[arg(long)]
        rewrite: bool,
        #[command(flatten)]
        data: DataOptions,
    },
}

pub(crate) fn run(command: &NumbersCommand, json: bool) -> Result<ExitCode, Failure> {
    let NumbersCommand::Check { region, environment, rewrite, data } = command;
    if !data.data.exists() {
        return Err(Failure::no_directory(&data.data));
    }
    let region = region.as_deref().map(DialPlan::of_region).transpose();
    let region = region.map_err(|error| Failure::new(format!("--region: {error}")))?;
    let mut check = Check { region, wanted: environment.clone(), ..Check::default() };
    let open = || data::unless_held(data::open_store(&data.data));
    let store = match Remote::or_opened(&data.data, open)? {
        Ok(store) => {
            store.exporter().export(&mut Lines::to(&mut check), false)?;
            Some(store)
        }
        Err(_) if *rewrite => {
            return Err(Failure::new("a daemon holds the data directory: stop it before you use --rewrite"));
        }
        Err(remote) => {
            remote.stream("/export", &mut Lines::to(&mut check))?;
            None
        }
    };
    if *rewrite {
        check.is_one_environment()?;
        store.as_ref().map_or(Ok(()), is_alone)?;
    }
    check.finish(json)?;
    if let Some(store) = store.filter(|_| *rewrite) {
        let service = Service::builder(store).engine(data.engine()?).progress(data::report);
        // The contexts only move, so they must not be refused for want of room.
        let service = service.max_context_bytes(u64::MAX).start()?;
        let moved = check.rewrite(&service)?;
        say(json, &json!({ "moved": moved }), &format!("moved {moved} calls"))?;
        return Ok(if check.own == 0 { ExitCode::SUCCESS } else { in_part() });
    }
    Ok(if check.calls.is_empty() && check.known.is_empty() && check.own == 0 { ExitCode::SUCCESS } else { in_part() })
}

/// Refuses the directory of a fleet's node. The other nodes would not hear of the changes, and a change of the
/// configuration would take the place of another one in the fleet.
fn is_alone(store: &FjallStore) -> Result<(), Failure> {
    if data::has_joined(store)? {
        return Err(Failure::new(
            "this directory belongs to a node of a fleet: `--rewrite` would change this node only. \
             docs/numbers.md has the steps for a fleet",
        ));
    }
    Ok(())
}

fn say(json: bool, object: &serde_json::Value, text: &str) -> Result<(), Failure> {
    if json { out::exact(format_args!("{object}")) } else { out::line(format_args!("{text}")) }
}

/// A stored call, and the number to which it should have been.
struct Misread {
    call: Call,
    details: Details,
    meant: E164,
}

/// What an export says, line by line.
#[derive(Default)]
struct Check {
    region: Option<DialPlan>,
    wanted: Option<String>,
    plan: Plan,
    /// The last call of each pair.
    calls: Vec<Misread>,
    /// The calls that are known by an id or a context.
    known: Vec<Misread>,
    /// Numbers of the environments themselves.
    own: usize,
}

#[derive(Deserialize)]
struct ExportedCall {
    environment: EnvironmentId,
    number: String,
    contact: String,
    at: Timestamp,
    outcome: Outcome,
    agent: AgentId,
    /// The id of a known call.
    #[serde(default)]
    id: Option<String>,
    /// The text of its context.
    #[serde(default)]
    context: Option<String>,
}

impl ExportedCall {
    /// Returns the call, or `None` if it is invalid.
    fn read(&self) -> Option<(Call, Details)> {
        let Self { environment, at, outcome, agent, .. } = *self;
        let number = |text: &str| E164::from_digits(text.trim_start_matches('+'));
        let (from, to) = (number(&self.number)?, number(&self.contact)?);
        let id = match &self.id {
            Some(id) => Some(CallId::new(id)?),
            None => None,
        };
        let context = match &self.context {
            Some(text) => Some(Context::new(text).ok()?),
            None => None,
        };
        Some((Call { environment, agent, from, to, at, outcome }, Details { id, context }))
    }
}

impl Check {
    /// Returns the dial plan to check an environment with, if it is wanted.
    fn dial_plan(&self, id: EnvironmentId) -> Option<DialPlan> {
        let environment = self.plan.environment(id)?;
        let is_wanted = |wanted: &str| match wanted.parse().ok().filter(|id| self.plan.environment(*id).is_some()) {
            Some(named) => named == id,
            None => wanted == environment.name(),
        };
        let plan = self.region.unwrap_or(*environment.dial_plan());
        Some(plan).filter(|_| self.wanted.as_deref().is_none_or(is_wanted))
    }

    /// Refuses to give a region to several environments at once: they rarely have the same.
    fn is_one_environment(&self) -> Result<(), Failure> {
        let wanted = self.plan.environments().filter(|environment| self.dial_plan(environment.id()).is_some()).count();
        if self.region.is_none() || wanted < 2 {
            return Ok(());
        }
        Err(Failure::new(format!(
            "--region with --rewrite sets the region of one environment, and {wanted} are meant: \
             add `--environment` with the id of one, see `dialback environment list`"
        )))
    }

    /// Returns the number that was meant by a stored one. `None` if it is read as before, or its environment is not wanted.
    fn meant(&self, environment: EnvironmentId, stored: E164) -> Option<E164> {
        self.dial_plan(environment)?.reread(stored, self.plan.environment(environment)?.dial_plan())
    }

    /// Reads a line of an export.
    fn line(&mut self, line: &[u8]) -> Result<(), Failure> {
        let broken = || Failure::new("the stored data cannot be read: run `dialback verify`");
        let mut line: serde_json::Value = serde_json::from_slice(line).map_err(|_| broken())?;
        if line["configuration"].is_object() {
            let configuration: Configuration =
                serde_json::from_value(line["configuration"].take()).map_err(|_| broken())?;
            self.plan = self.plan.with(&configuration).map_err(|_| broken())?;
        } else if line["call"].is_object() {
            let call: ExportedCall = serde_json::from_value(line["call"].take()).map_err(|_| broken())?;
            let (call, details) = call.read().ok_or_else(broken)?;
            self.calls.extend(self.misread(call, details));
        } else if line["known"].is_object() {
            let known: ExportedCall = serde_json::from_value(line["known"].take()).map_err(|_| broken())?;
            let (call, details) = known.read().ok_or_else(broken)?;
            self.known.extend(self.misread(call, details));
        }
        Ok(())
    }

    /// Returns a stored call with the number that was meant, or `None` if its number is read as before.
    fn misread(&self, call: Call, details: Details) -> Option<Misread> {
        let meant = self.meant(call.environment, call.to)?;
        Some(Misread { call, details, meant })
    }

    /// Prints what was found.
    fn finish(&mut self, json: bool) -> Result<(), Failure> {
        let tenants: Vec<EnvironmentId> = self.plan.environments().map(EnvironmentView::id).collect();
        if let Some(wanted) = &self.wanted
            && !tenants.iter().any(|id| self.dial_plan(*id).is_some())
        {
            return Err(Failure::new(format!(
                "there is no environment with the name or id {wanted}: see `dialback environment list`"
            )));
        }
        let row = |environment: EnvironmentId, kind: &str, stored: E164, meant: E164| {
            let (stored, meant) = (stored.to_plus_form(), meant.to_plus_form());
            let object = json!({"environment_id": environment, "kind": kind, "stored": &*stored, "meant": &*meant});
            say(json, &object, &format!("{environment}  {kind:7}  {:16}  {}", &*stored, &*meant))
        };
        for id in tenants {
            let Some(environment) = self.plan.environment(id) else { continue };
            for number in environment.numbers().map(NumberView::number) {
                if let Some(meant) = self.meant(id, number) {
                    row(id, "number", number, meant)?;
                    self.own += 1;
                }
            }
        }
        let found = self.calls.iter().chain(&self.known);
        let contacts: BTreeSet<_> = found.map(|found| (found.call.environment, found.call.to, found.meant)).collect();
        for (environment, stored, meant) in &contacts {
            row(*environment, "contact", *stored, *meant)?;
        }
        let (contacts, calls, own) = (contacts.len(), self.calls.len(), self.own);
        let object = json!({ "contacts": contacts, "calls": calls, "numbers": own });
        say(json, &object, &format!("{contacts} contacts with {calls} calls, and {own} numbers, are read otherwise"))
    }

    /// Moves the calls: copies all, then erases the earlier ones. A second run completes an interrupted one.
    fn rewrite(&self, service: &Service) -> Result<usize, Failure> {
        if let Some(region) = self.region {
            for environment in self.plan.environments() {
                let (id, name, lookback) = (environment.id(), environment.name().to_owned(), environment.lookback());
                if self.dial_plan(id).is_none() || *environment.dial_plan() == region {
                    continue;
                }
                let change = Change::EnvironmentSet { name, dial_plan: region, lookback };
                service.configure(id, Actor::Command.at(now()), move |_| Ok(vec![change]))?;
            }
        }
        let moved = self.copy(service)?;
        self.remove(service)?;
        self.forget_callers(service)?;
        Ok(moved)
    }

    /// Erases callers that are read otherwise and have no calls here. Records of routed calls have their numbers, and no
    /// later erasure of the number that was meant would find them.
    fn forget_callers(&self, service: &Service) -> Result<(), Failure> {
        let (now, mut callers) = (now(), BTreeSet::new());
        for environment in self.plan.environments().map(EnvironmentView::id) {
            let mut rest = self.dial_plan(environment).is_some().then_some(RecordPlace::LAST);
            while let Some(before) = rest {
                let all =
                    |environment| RecordQuery { environment, contact: None, since: Timestamp::from_millis(0), before };
                let page = service.records_of(environment, all)?;
                let records = page.records.iter().filter_map(|record| record.content.as_ref()?.caller);
                callers.extend(
                    records
                        .filter(|caller| self.meant(environment, *caller).is_some())
                        .map(|caller| (environment, caller)),
                );
                rest = page.rest;
            }
        }
        let erase =
            |(environment, contact)| Event::Erasure(Erasure { environment, contact, until: now, is_ahead: false });
        let events: Vec<Event> = callers.into_iter().map(erase).collect();
        for events in events.chunks(BATCH) {
            commit(service, events.to_vec())?;
        }
        Ok(())
    }

    /// Records the last calls of all pairs under the numbers that they mean. If one is refused, nothing has been erased
    /// yet. Returns how many contacts' last calls are new there.
    fn copy(&self, service: &Service) -> Result<usize, Failure> {
        let call = |found: &Misread| Event::Call(Call { to: found.meant, ..found.call });
        let calls: Vec<_> = self.calls.iter().map(call).collect();
        let mut moved = 0;
        for events in calls.chunks(BATCH) {
            moved += commit(service, events.to_vec())?;
        }
        Ok(moved)
    }

    /// Erases the contacts, and gives the copies of their calls the ids and contexts. An id that moves must be free, so both
    /// are in one commit for each contact.
    fn remove(&self, service: &Service) -> Result<(), Failure> {
        let now = now();
        let mut contacts: BTreeMap<_, (Timestamp, Vec<Event>)> = BTreeMap::new();
        for (found, is_known) in
            self.calls.iter().map(|found| (found, false)).chain(self.known.iter().map(|found| (found, true)))
        {
            let (until, events) = contacts.entry((found.call.environment, found.call.to)).or_insert((now, Vec::new()));
            // A call may be dated ahead. Its erasure reaches as far.
            *until = found.call.at.max(*until);
            if is_known {
                let call = Call { to: found.meant, ..found.call };
                events.push(Event::reported(call, found.details.clone()));
            }
        }
        let mut events = Vec::new();
        for ((environment, contact), (until, reports)) in contacts {
            events.push(Event::Erasure(Erasure { environment, contact, until, is_ahead: until > now }));
            events.extend(reports);
            if events.len() >= BATCH {
                commit(service, std::mem::take(&mut events))?;
            }
        }
        commit(service, events)?;
        Ok(())
    }
}

/// Records events as one commit. Returns how many of the calls it recorded. A number that has a later call, and one whose
/// agent was deleted, keep what they have. The environment's `counts_from` makes no difference, because it is not asked
/// again about calls that are stored.
fn commit(service: &Service, events: Vec<Event>) -> Result<usize, Failure> {
    let are_calls: Vec<_> = events.iter().map(|event| matches!(event, Event::Call(_))).collect();
    let mut moved = 0;
    for (applied, is_call) in service.record_moved(events)?.into_iter().zip(are_calls) {
        moved += usize::from(applied? == Applied::Recorded && is_call);
    }
    Ok(moved)
}

/// Splits an export into its lines.
struct Lines<'a> {
    check: &'a mut Check,
    line: Vec<u8>,
}

impl<'a> Lines<'a> {
    fn to(check: &'a mut Check) -> Self {
        Self { check, line: Vec::new() }
    }
}

impl Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.check.line(&line).map_err(|failure| io::Error::other(failure.to_string()))?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
