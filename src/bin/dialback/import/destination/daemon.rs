//! A running daemon as the destination of an import.
//!
//! Threads upload the batches with `POST /calls/bulk`, so that the next lines are read meanwhile. The number of batches
//! in memory is bounded.

use super::tenant::{self, Found};
use super::upload::upload;
use super::{Additions, Batch, Destination, Made, Results, Tenant, Unmade};
use crate::commands::remote::{Answer, Remote, escape};
use crate::failure::Failure;
use crate::import::error::ImportError;
use crate::import::report::rejection::Rejection;
use axum::http::Method;
use dialback::{
    AgentId, Change, Configuration, DialPlan, Direction, E164, EnvironmentId, Lookback, NumberId, Plan, Timestamp,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The number of threads that upload batches. While some wait for the disk, others send: docs/internals/http.md.
const UPLOADERS: usize = 6;
/// The number of threads that publish agents. Each publication waits for the disk, and one sync covers all that wait.
const PUBLISHERS: usize = 16;
/// The largest number of numbers about which the daemon is asked whether another environment holds them.
const MAX_QUESTIONS: usize = 10_000;

/// A daemon, and the batches that are on their way to it.
pub(in crate::import) struct Daemon {
    /// The token as it is.
    remote: Remote,
    /// The token acting for the environment. `None` until the environment exists.
    tenant: Option<Remote>,
    new_name: Option<String>,
    dial_plan: DialPlan,
    uploads: Option<Uploads>,
    results: Results,
    made: Made,
    now: Timestamp,
}

/// The threads that upload batches.
struct Uploads {
    batches: SyncSender<Batch>,
    done: Receiver<Result<Results, Failure>>,
    in_flight: usize,
}

#[derive(Deserialize)]
struct Listed<T> {
    data: Vec<T>,
    #[serde(default)]
    meta: Meta,
}

#[derive(Deserialize)]
struct Shown {
    data: Environment,
}

#[derive(Default, Deserialize)]
struct Meta {
    last_page: usize,
}

#[derive(Deserialize)]
struct Environment {
    id: EnvironmentId,
    name: String,
    region: Option<String>,
    country_code: String,
    national_prefix: String,
    international_prefix: String,
    national_number_lengths: Vec<usize>,
}

#[derive(Deserialize)]
struct Number {
    id: NumberId,
    number: String,
}

#[derive(Deserialize)]
struct Agent {
    id: AgentId,
    name: String,
    label: Option<String>,
    /// Null if it was not set yet.
    direction: Option<String>,
}

impl Daemon {
    /// Finds the environment of the daemon, and reads its numbers and agents. Creates nothing.
    pub(in crate::import) fn open(
        remote: Remote,
        wanted: Option<&str>,
        create_missing: bool,
        now: Timestamp,
    ) -> Result<(Self, Tenant), ImportError> {
        let environments = environments(&remote)?;
        let all = environments.iter().map(|one| (one.id, one.name.clone())).collect();
        let (id, new_name) = match tenant::find(all, wanted, create_missing)? {
            Found::Existing(id) => (id, None),
            Found::New(id, name) => (id, Some(name)),
        };
        let environment = environments.into_iter().find(|one| one.id == id);
        let (mut tenant, mut plan, mut dial_plan) = (None, Plan::new(), DialPlan::NONE);
        if let Some(environment) = &environment {
            let acting = acting_for(&remote, id);
            dial_plan = environment.dial_plan().ok_or_else(unreadable)?;
            plan = read_plan(&acting, environment, dial_plan, now)?;
            tenant = Some(acting);
        }
        let name = environment.map(|one| one.name).or_else(|| new_name.clone()).unwrap_or_default();
        let (plan, is_foreign) = (Arc::new(plan), foreign_numbers(&remote));
        let about = Tenant { id, name, is_new: new_name.is_some(), has_quotas: true, plan, is_foreign };
        let (uploads, results, made) = (None, Results::default(), Made::default());
        Ok((Self { remote, tenant, new_name, dial_plan, uploads, results, made, now }, about))
    }

    fn tenant(&mut self) -> Result<&Remote, ImportError> {
        if let Some(name) = self.new_name.take() {
            let answer = self.remote.try_ask(&Method::POST, "/environments", Some(&json!({ "name": name })));
            self.made.is_least |= is_uncertain(&answer);
            let answer: Value = answer?.read()?;
            self.made.environment = Some(name);
            let id = answer["data"]["id"].as_str().and_then(|id| id.parse().ok()).ok_or_else(unreadable)?;
            self.tenant = Some(acting_for(&self.remote, id));
        }
        self.tenant.as_ref().ok_or(ImportError::NoEnvironment)
    }

    fn uploads(&mut self) -> Result<&mut Uploads, ImportError> {
        if self.uploads.is_none() {
            let (tenant, dial_plan, now) = (self.tenant()?.clone(), self.dial_plan, self.now);
            self.uploads = Some(Uploads::start(&tenant, dial_plan, now));
        }
        self.uploads.as_mut().ok_or(ImportError::NoEnvironment)
    }

    /// Returns how many entities were created.
    fn count(&mut self, created: &[Creation]) -> u64 {
        self.made.is_least |= created.iter().any(|creation| creation.is_uncertain);
        created.iter().filter(|creation| creation.is_made).count() as u64
    }

    fn await_one(&mut self) -> Result<(), ImportError> {
        let Some(uploads) = &mut self.uploads else { return Ok(()) };
        let stopped = || Failure::new("an uploading thread ended without a result");
        uploads.in_flight -= 1;
        let results = uploads.done.recv().map_err(|_| stopped())?;
        // The daemon may have recorded calls of a batch that it did not acknowledge.
        self.made.is_least |= results.is_err();
        self.results.add(results?);
        Ok(())
    }
}

impl Destination for Daemon {
    /// Numbers and agents are created one after another, in the order of the file: so a quota rejects the same lines as
    /// in a directory, and of calls that differ in nothing but the agent, the same one counts.
    fn create(&mut self, additions: Additions, calls: &[Batch]) -> Result<Unmade, ImportError> {
        let tenant = self.tenant()?.clone();
        let Additions { numbers, agents } = additions;
        let mut unmade = Unmade::default();
        let create = |(id, number): &(NumberId, E164)| {
            let body = json!({ "id": id, "number": &*number.to_plus_form() });
            Creation::of(tenant.try_ask(&Method::POST, "/phone-numbers", Some(&body)))
        };
        let created = one_by_one(&numbers, create);
        let made = self.count(&created);
        self.made.numbers += made;
        for ((_, number), creation) in numbers.iter().zip(created) {
            if let Some(why) = rejection(&creation.answer?, &tenant)? {
                unmade.numbers.insert(*number, why);
            }
        }
        // A token of another environment is noticed by its numbers, and then no agent is created.
        let needed: HashSet<AgentId> = calls
            .iter()
            .flat_map(|batch| &batch.calls)
            .filter(|call| !unmade.numbers.contains_key(&call.from))
            .map(|call| call.agent)
            .collect();
        let (agents, postponed): (Vec<_>, Vec<_>) = agents.into_iter().partition(|(id, _)| needed.contains(id));
        unmade.postponed = postponed;
        let create = |(id, name): &(AgentId, String)| {
            let body = json!({ "id": id, "name": name, "direction": Direction::Outbound.name() });
            Creation::of(tenant.try_ask(&Method::POST, "/agents", Some(&body)))
        };
        let created = one_by_one(&agents, create);
        let publish = |((id, _), creation): &(&(AgentId, String), Creation)| {
            creation.is_made.then(|| tenant.try_ask(&Method::POST, &format!("/agents/{id}/publish"), None))
        };
        let pairs: Vec<_> = agents.iter().zip(created).collect();
        let published = in_parallel(&pairs, publish);
        let created: Vec<_> =
            pairs.into_iter().zip(published).map(|((_, creation), answer)| creation.then(answer)).collect();
        let made = self.count(&created);
        self.made.agents += made;
        for ((id, _), creation) in agents.iter().zip(created) {
            if let Some(why) = rejection(&creation.answer?, &tenant)? {
                unmade.agents.insert(*id, why);
            }
        }
        Ok(unmade)
    }

    fn submit(&mut self, batch: Batch) -> Result<(), ImportError> {
        while self.uploads()?.in_flight >= 2 * UPLOADERS {
            self.await_one()?;
        }
        let uploads = self.uploads()?;
        uploads.batches.send(batch).map_err(|_| Failure::new("the uploading threads have ended"))?;
        uploads.in_flight += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ImportError> {
        let mut finished = Ok(());
        while self.uploads.as_ref().is_some_and(|uploads| uploads.in_flight > 0) {
            finished = finished.and(self.await_one());
        }
        finished
    }

    fn results(&mut self) -> Results {
        std::mem::take(&mut self.results)
    }

    fn made(&self) -> Made {
        self.made.clone()
    }
}

/// The result of creating an entity.
struct Creation {
    is_made: bool,
    is_uncertain: bool,
    /// The last answer, or why there is none.
    answer: Result<Answer, Failure>,
}

impl Creation {
    fn of(answer: Result<Answer, Failure>) -> Self {
        let is_made = answer.as_ref().is_ok_and(|answer| answer.status.is_success());
        Self { is_made, is_uncertain: is_uncertain(&answer), answer }
    }

    /// Returns the result of creating and publishing, if it was published.
    fn then(self, published: Option<Result<Answer, Failure>>) -> Self {
        Self { answer: published.unwrap_or(self.answer), ..self }
    }
}

/// Returns whether a request may have been executed although it was not answered with success.
fn is_uncertain(answer: &Result<Answer, Failure>) -> bool {
    answer.as_ref().map_or(true, |answer| answer.status.is_server_error())
}

impl Uploads {
    fn start(tenant: &Remote, dial_plan: DialPlan, now: Timestamp) -> Self {
        let (batches, waiting) = mpsc::sync_channel::<Batch>(2 * UPLOADERS);
        let (say, done) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..UPLOADERS {
            let (tenant, waiting, say) = (tenant.clone(), Arc::clone(&waiting), say.clone());
            thread::spawn(move || {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(batch) = next else { return };
                    // The receiver is gone if the import has failed.
                    let _ = say.send(upload(&tenant, &dial_plan, batch, now));
                }
            });
        }
        Self { batches, done, in_flight: 0 }
    }
}

impl Environment {
    fn dial_plan(&self) -> Option<DialPlan> {
        if let Some(region) = &self.region {
            return DialPlan::of_region(region).ok();
        }
        if self.country_code.is_empty() && self.national_prefix.is_empty() && self.international_prefix.is_empty() {
            return Some(DialPlan::NONE);
        }
        let plan = DialPlan::new(&self.country_code, &self.national_prefix, &self.international_prefix);
        plan.and_then(|plan| plan.with_national_lengths(&self.national_number_lengths)).ok()
    }
}

/// Returns the environments that the token can use.
fn environments(remote: &Remote) -> Result<Vec<Environment>, Failure> {
    if remote.is_operator() {
        return remote.get("/environments").map(|listed: Listed<_>| listed.data);
    }
    remote.get("/environment").map(|shown: Shown| vec![shown.data])
}

/// Returns a client for one environment. A token of the environment needs no more than itself.
fn acting_for(remote: &Remote, environment: EnvironmentId) -> Remote {
    if remote.is_operator() { remote.acting_for(environment) } else { remote.clone() }
}

/// Reads the numbers and agents of the environment.
fn read_plan(
    tenant: &Remote,
    environment: &Environment,
    dial_plan: DialPlan,
    now: Timestamp,
) -> Result<Plan, ImportError> {
    let name = environment.name.clone();
    let mut changes = vec![Change::EnvironmentSet { name, dial_plan, lookback: Lookback::default() }];
    let numbers: Listed<Number> = tenant.get("/phone-numbers")?;
    for Number { id, number } in numbers.data {
        let number = E164::parse_international(&number).map_err(|_| unreadable())?;
        changes.push(Change::NumberAdded { id, number });
    }
    let (mut page, mut last_page) = (1, 1);
    while page <= last_page {
        let agents: Listed<Agent> = tenant.get(&format!("/agents?per_page=100&page={page}"))?;
        for Agent { id, name, label, direction } in agents.data {
            let direction = direction.map(|direction| direction.parse().map_err(|_| unreadable())).transpose()?;
            changes.push(Change::agent(id, name, label, direction));
        }
        (page, last_page) = (page + 1, agents.meta.last_page);
    }
    let configuration = Configuration::new(1, environment.id, now, changes);
    Plan::new().with(&configuration).map_err(|_| unreadable().into())
}

fn unreadable() -> Failure {
    Failure::new("the daemon's answer cannot be read: use the same version of `dialback` on both sides")
}

/// Returns a function that asks the daemon whether another environment holds a number. Only the token of an operator
/// may know.
fn foreign_numbers(remote: &Remote) -> Option<Box<dyn FnMut(E164) -> bool>> {
    if !remote.is_operator() {
        return None;
    }
    let remote = remote.clone();
    let mut known = HashMap::new();
    Some(Box::new(move |number| {
        if let Some(is_foreign) = known.get(&number) {
            return *is_foreign;
        }
        if known.len() >= MAX_QUESTIONS {
            return false;
        }
        let path = format!("/route?dialed={}&caller=anonymous", escape(&number.to_plus_form()));
        let answer: Result<Value, Failure> = remote.get(&path);
        let is_foreign = answer.is_ok_and(|answer| answer["data"]["reason"] != "UNKNOWN_NUMBER");
        known.insert(number, is_foreign);
        is_foreign
    }))
}

/// Returns why an entity was not created, if further lines can be imported without it. A tenant does not learn that
/// another one holds a number.
fn rejection(answer: &Answer, remote: &Remote) -> Result<Option<Rejection>, ImportError> {
    if answer.status.is_success() {
        return Ok(None);
    }
    match answer.code().as_str() {
        "PHONE_NUMBER_TAKEN" if remote.is_operator() => Ok(Some(Rejection::ForeignNumber)),
        "PHONE_NUMBER_TAKEN" => Ok(Some(Rejection::NumberNotAdded)),
        "QUOTA_EXCEEDED" | "VALIDATION_ERROR" => Ok(Some(Rejection::Refused(answer.first_error()))),
        _ => Err(answer.refusal().into()),
    }
}

/// Creates each item, in order. Ends with the first creation that was not answered, because then the import fails.
fn one_by_one<T>(items: &[T], create: impl Fn(&T) -> Creation) -> Vec<Creation> {
    let mut created = Vec::with_capacity(items.len());
    for item in items {
        created.push(create(item));
        if created.last().is_some_and(|creation| creation.is_uncertain) {
            break;
        }
    }
    created
}

/// Calls a function with each item, by several threads. Returns the results in the order of the items.
fn in_parallel<T: Sync, R: Send>(items: &[T], call: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let per_thread = items.len().div_ceil(PUBLISHERS).max(1);
    thread::scope(|scope| {
        let call = &call;
        let of_chunk = |chunk| scope.spawn(move || <[T]>::iter(chunk).map(call).collect::<Vec<R>>());
        let threads: Vec<_> = items.chunks(per_thread).map(of_chunk).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Vec<R>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().flat_map(join).collect()
    })
}
