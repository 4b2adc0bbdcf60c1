//! A data directory as the destination of an import.

use super::tenant::{self, Found};
use super::{Additions, Batch, Destination, Made, Origin, Results, Tenant, Unmade};
use crate::data::{self, DataOptions};
use crate::import::error::ImportError;
use crate::import::report::rejection::Rejection;
use dialback::service::Recording;
use dialback::store::{FjallStore, StoreError};
use dialback::{
    Actor, Applied, Change, DialPlan, Direction, EnvironmentId, Event, Lookback, Plan, Service, ServiceError, Timestamp,
};
use std::collections::VecDeque;
use std::sync::{Arc, mpsc};

/// The number of batches that may wait for their sync while the next lines are read. They take about 3 MB, and the details of
/// their calls and the kept text of their records: each at most 2 MiB and one record more.
const MAX_PENDING: usize = 8;

/// A data directory that this process opens.
pub(in crate::import) struct Directory<'a> {
    options: &'a DataOptions,
    /// `None` until there is something to write, if the directory does not exist yet.
    service: Option<Service>,
    environment: EnvironmentId,
    /// The name of the environment, if it has to be created.
    new_name: Option<String>,
    now: Timestamp,
    pending: VecDeque<SubmittedBatch>,
    results: Results,
    made: Made,
}

/// A submitted batch: its records, and the channel for its result.
struct SubmittedBatch {
    origins: Vec<Origin>,
    answer: mpsc::Receiver<Recording>,
}

impl<'a> Directory<'a> {
    /// Opens the data directory and finds the environment. Creates neither.
    ///
    /// # Errors
    /// [`ImportError::InUse`] if another process holds the directory.
    pub(in crate::import) fn open(
        options: &'a DataOptions,
        wanted: Option<&str>,
        create_missing: bool,
        now: Timestamp,
    ) -> Result<(Self, Tenant), ImportError> {
        let service = if FjallStore::look(&options.data)? { Some(open(options)?) } else { None };
        let plan = service.as_ref().map_or_else(|| Arc::new(Plan::new()), Service::plan);
        let all = plan.environments().map(|one| (one.id(), one.name().to_owned())).collect();
        let (environment, new_name) = match tenant::find(all, wanted, create_missing)? {
            Found::Existing(id) => (id, None),
            Found::New(id, name) => (id, Some(name)),
        };
        let name = plan.environment(environment).map(|one| one.name().to_owned());
        let tenant = Tenant {
            id: environment,
            name: name.or_else(|| new_name.clone()).unwrap_or_default(),
            is_new: new_name.is_some(),
            has_quotas: false,
            plan,
            // The plan has the numbers of all environments.
            is_foreign: Some(Box::new(|_| false)),
        };
        let (pending, results) = (VecDeque::with_capacity(MAX_PENDING), Results::default());
        Ok((Self { options, service, environment, new_name, now, pending, results, made: Made::default() }, tenant))
    }

    fn service(&mut self) -> Result<&Service, ImportError> {
        let service = match self.service.take() {
            Some(service) => service,
            None => open(self.options)?,
        };
        Ok(self.service.insert(service))
    }

    fn await_oldest(&mut self) -> Result<(), ImportError> {
        let Some(SubmittedBatch { origins, answer }) = self.pending.pop_front() else { return Ok(()) };
        // A service whose committer has failed drops submitted batches without a result.
        let recording = answer
            .recv()
            .unwrap_or_else(|_| Err(ServiceError::NotDurable("the service stopped without a result".into())));
        for (origin, applied) in origins.into_iter().zip(recording?) {
            if applied.is_ok() {
                self.results.span.add(origin.at, self.now);
            }
            match applied {
                Ok(Applied::Recorded) => self.results.recorded += 1,
                // The agent and the number are known, so only an erasure can be the reason.
                Ok(Applied::Ignored) => self.results.erased += 1,
                Ok(Applied::Uncounted) => self.results.uncounted += 1,
                Ok(_) => self.results.unchanged += 1,
                Err(error) => self.results.refused.push((origin, Rejection::Refused(reason(&error)))),
            }
        }
        Ok(())
    }
}

impl Destination for Directory<'_> {
    fn create(&mut self, additions: Additions, _: &[Batch]) -> Result<Unmade, ImportError> {
        let Additions { numbers, agents } = additions;
        let (new_numbers, new_agents) = (numbers.len() as u64, agents.len() as u64);
        let (dial_plan, lookback) = (DialPlan::NONE, Lookback::default());
        let new_name = self.new_name.take();
        let environment = new_name.clone().map(|name| Change::EnvironmentSet { name, dial_plan, lookback });
        let numbers = numbers.into_iter().map(|(id, number)| Change::NumberAdded { id, number });
        let agents = agents.into_iter().flat_map(|(id, name)| {
            let created = Change::AgentCreated { id, name, label: None, direction: Direction::Outbound };
            [created, Change::AgentPublished { id }]
        });
        let changes: Vec<Change> = environment.into_iter().chain(numbers).chain(agents).collect();
        if !changes.is_empty() {
            let (environment, now) = (self.environment, self.now);
            self.service()?.configure(environment, Actor::Import.at(now), move |_| Ok(changes))?;
            self.made.environment = new_name.or(self.made.environment.take());
            self.made.numbers += new_numbers;
            self.made.agents += new_agents;
        }
        Ok(Unmade::default())
    }

    fn submit(&mut self, batch: Batch) -> Result<(), ImportError> {
        while self.pending.len() >= MAX_PENDING {
            self.await_oldest()?;
        }
        let Batch { calls, mut origins } = batch;
        let (sender, answer) = mpsc::sync_channel(1);
        let details = origins.iter_mut().map(|origin| std::mem::take(&mut origin.details));
        let events = calls.into_iter().zip(details).map(|(call, details)| Event::reported(call, details)).collect();
        self.service()?.submit(events, move |recording| {
            // The receiver is gone if the import has failed.
            let _ = sender.send(recording);
        });
        self.pending.push_back(SubmittedBatch { origins, answer });
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ImportError> {
        let mut finished = Ok(());
        while !self.pending.is_empty() {
            finished = finished.and(self.await_oldest());
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

fn open(options: &DataOptions) -> Result<Service, ImportError> {
    match data::open(options, options.engine()?) {
        Ok(service) => Ok(service),
        Err(StoreError::Locked(path)) => Err(ImportError::InUse(path)),
        Err(error) => Err(error.into()),
    }
}

/// Returns why a call was rejected, in the words of the API.
fn reason(error: &ServiceError) -> String {
    match error {
        ServiceError::Full(_) => "The history is full and accepts no new contact".into(),
        ServiceError::ContactErased => "This contact was erased together with a call dated in the future; \
             a call dated before that one is not recorded"
            .into(),
        error => error.to_string(),
    }
}
