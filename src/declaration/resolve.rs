//! Reads a document against the present state: which entry is which entity, and which entries are wrong.

use super::document::{Declaration, DeclaredAgent, DeclaredCallback, DeclaredNumber, DeclaredSettings};
use super::limits::{MAX_LOOKBACK_DAYS, MAX_NAME, MIN_LOOKBACK_SECONDS};
use super::reference::{AUTO, NOBODY, Names, Wrong};
use crate::event::Direction;
use crate::id::{AgentId, NumberId};
use crate::number::{Attestation, DialPlan, E164};
use crate::outcome::{CountsFrom, OutcomeSet};
use crate::plan::{AgentView, DefaultChoice, EnvironmentView, NumberView, Plan};
use crate::time::Lookback;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Without ids, the next comparison would not know which agent is meant.
const TWICE: &str = "is declared twice: give each its id";

pub(super) struct Settings {
    pub(super) name: String,
    pub(super) dial_plan: DialPlan,
    pub(super) lookback: Lookback,
    pub(super) attestation: Option<Attestation>,
    pub(super) counts_from: CountsFrom,
}

pub(super) struct Number {
    pub(super) id: NumberId,
    pub(super) digits: E164,
    pub(super) is_new: bool,
    pub(super) default: DefaultChoice,
    /// The declared order of the inbound owners. Empty if it is that of the agents.
    pub(super) order: Vec<AgentId>,
}

pub(super) struct Agent {
    pub(super) id: AgentId,
    pub(super) is_new: bool,
    pub(super) name: String,
    pub(super) label: Option<String>,
    /// `None` for a draft without one.
    pub(super) direction: Option<Direction>,
    pub(super) numbers: Vec<NumberId>,
    pub(super) is_published: bool,
    pub(super) callback: Option<Callback>,
}

pub(super) struct Callback {
    pub(super) sources: Vec<AgentId>,
    pub(super) outcomes: Option<OutcomeSet>,
    pub(super) lookback: Option<Lookback>,
}

/// A document whose entries are found.
pub(super) struct Resolved {
    pub(super) settings: Option<Settings>,
    pub(super) numbers: Vec<Number>,
    pub(super) agents: Vec<Agent>,
}

pub(super) struct Resolver<'a> {
    plan: &'a Plan,
    tenant: EnvironmentView<'a>,
    /// Entities that the document does not name go away, so it cannot refer to them.
    prunes: bool,
    new_id: &'a mut dyn FnMut() -> Uuid,
    dial_plan: DialPlan,
    wrong: Vec<Wrong>,
    numbers: HashMap<E164, NumberId>,
    names: Names,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        tenant: EnvironmentView<'a>,
        prunes: bool,
        new_id: &'a mut dyn FnMut() -> Uuid,
    ) -> Self {
        let (numbers, names) = (HashMap::new(), Names::default());
        Self { plan, tenant, prunes, new_id, dial_plan: *tenant.dial_plan(), wrong: Vec::new(), numbers, names }
    }

    /// # Errors
    /// All mistakes in the document.
    pub(super) fn resolve(mut self, declared: &Declaration) -> Result<Resolved, Vec<Wrong>> {
        let settings = declared.environment.as_ref().and_then(|settings| self.settings(settings));
        if let Some(settings) = &settings {
            self.dial_plan = settings.dial_plan;
        }
        let mut numbers: Vec<_> =
            declared.numbers.iter().enumerate().filter_map(|(at, number)| self.number(at, number)).collect();
        if !self.prunes {
            self.numbers.extend(self.tenant.numbers().map(|number| (number.number(), number.id())));
        }
        let ids = self.agent_ids(&declared.agents);
        let agents = declared.agents.iter().zip(&ids).enumerate();
        let agents = agents.filter_map(|(at, (agent, id))| self.agent(at, agent, (*id)?)).collect();
        for (at, (number, resolved)) in declared.numbers.iter().zip(&mut numbers).enumerate() {
            resolved.default = self.default(at, number);
            resolved.order = self.order(at, number);
        }
        if self.wrong.is_empty() { Ok(Resolved { settings, numbers, agents }) } else { Err(self.wrong) }
    }

    fn wrong(&mut self, field: impl Into<String>, what: impl Into<String>) {
        self.wrong.push(Wrong::new(field, what));
    }

    fn settings(&mut self, declared: &DeclaredSettings) -> Option<Settings> {
        self.check_name("environment.name", &declared.name);
        let lookback = match (declared.lookback_days, declared.lookback_seconds) {
            (None, None) => Lookback::default(),
            (None, Some(secs)) => self.lookback_of_seconds(secs)?,
            (Some(days), None) => self.lookback("environment.lookback_days", days)?,
            (Some(_), Some(_)) => {
                self.wrong("environment.lookback_seconds", "must not stand beside lookback_days");
                return None;
            }
        };
        let attestation = match declared.require_attestation.as_deref() {
            None => None,
            Some("A") => Some(Attestation::A),
            Some("B") => Some(Attestation::B),
            Some(_) => {
                self.wrong("environment.require_attestation", "must be A or B");
                None
            }
        };
        let counts_from = declared.counts_from.as_deref().map_or(Ok(CountsFrom::default()), str::parse);
        let counts_from = counts_from.unwrap_or_else(|_| {
            self.wrong("environment.counts_from", "must be initiated, ringing or answered");
            CountsFrom::default()
        });
        let dial_plan = self.dial_plan_of(declared)?;
        Some(Settings { name: declared.name.clone(), dial_plan, lookback, attestation, counts_from })
    }

    fn dial_plan_of(&mut self, declared: &DeclaredSettings) -> Option<DialPlan> {
        let DeclaredSettings { country_code, national_prefix, international_prefix, .. } = declared;
        let parts = [country_code, national_prefix, international_prefix];
        let has_parts = parts.iter().any(|part| !part.is_empty()) || !declared.national_number_lengths.is_empty();
        let plan = match &declared.region {
            Some(_) if has_parts => {
                self.wrong("environment.region", "must be the only field of the dial plan");
                return None;
            }
            Some(region) => DialPlan::of_region(region),
            None if !has_parts => Ok(DialPlan::NONE),
            None => DialPlan::new(country_code, national_prefix, international_prefix)
                .and_then(|plan| plan.with_national_lengths(&declared.national_number_lengths)),
        };
        let field = if declared.region.is_some() { "environment.region" } else { "environment.country_code" };
        plan.map_err(|_| self.wrong(field, "is not a valid dial plan")).ok()
    }

    fn number(&mut self, at: usize, declared: &DeclaredNumber) -> Option<Number> {
        let field = format!("numbers.{at}.number");
        let Some(number) = self.digits(declared) else {
            self.wrong(field, "must be a phone number");
            return None;
        };
        let held = self.held(number);
        if held.is_none() && self.plan.dialed(number).is_some() {
            self.wrong(field, "is already in use");
            return None;
        }
        let id = held.map(NumberView::id);
        let is_new = id.is_none();
        let id = match (id, declared.id) {
            (Some(id), Some(declared)) if id != declared => {
                self.wrong(format!("numbers.{at}.id"), "is not the id of this number");
                return None;
            }
            (None, Some(declared)) if self.plan.number(self.tenant.id(), declared).is_some() => {
                self.wrong(format!("numbers.{at}.id"), "is the id of another number");
                return None;
            }
            (id, declared) => id.or(declared).unwrap_or_else(|| (self.new_id)().into()),
        };
        if self.numbers.insert(number, id).is_some() {
            self.wrong(field, "is declared twice");
            return None;
        }
        Some(Number { id, digits: number, is_new, default: DefaultChoice::Auto, order: Vec::new() })
    }

    /// Returns the digits of a number. The dial plan can be newer than the number, so it does not read and check the digits
    /// that the environment holds, or that a document with ids brings to another environment.
    fn digits(&self, declared: &DeclaredNumber) -> Option<E164> {
        let DeclaredNumber { number: text, id, .. } = declared;
        let written = as_written(text);
        if let Some(held) = written.filter(|number| self.held(*number).is_some()) {
            return Some(held);
        }
        let read = E164::parse_to_store(text, &self.dial_plan).ok();
        let is_known = |number: &E164| id.is_some() && self.held(*number).map(NumberView::id) == *id;
        let copied = || written.and(E164::parse_international(text).ok()).filter(|_| id.is_some());
        read.filter(is_known).or_else(copied).or(read)
    }

    /// Returns the number with these digits, if the environment holds it.
    fn held(&self, number: E164) -> Option<NumberView<'a>> {
        self.plan.dialed(number).filter(|held| held.environment() == self.tenant.id())
    }

    fn order(&mut self, at: usize, declared: &DeclaredNumber) -> Vec<AgentId> {
        let (mut order, mut listed) = (Vec::new(), HashSet::new());
        for (place, text) in declared.order.iter().enumerate() {
            match self.names.find(text) {
                Ok(agent) if listed.insert(agent) => order.push(agent),
                Ok(_) => self.wrong(format!("numbers.{at}.order.{place}"), "is listed twice"),
                Err(what) => self.wrong(format!("numbers.{at}.order.{place}"), what),
            }
        }
        order
    }

    fn default(&mut self, at: usize, declared: &DeclaredNumber) -> DefaultChoice {
        match declared.default_agent.as_deref() {
            None | Some(AUTO) => DefaultChoice::Auto,
            Some(NOBODY) => DefaultChoice::Nobody,
            Some(text) => match self.names.find(text) {
                Ok(agent) => DefaultChoice::Named(agent),
                Err(what) => {
                    self.wrong(format!("numbers.{at}.default_agent"), what);
                    DefaultChoice::Auto
                }
            },
        }
    }

    /// Finds the id of each agent. Afterwards agents can be found by their names.
    fn agent_ids(&mut self, declared: &[DeclaredAgent]) -> Vec<Option<AgentId>> {
        let present = Names::of(self.tenant.agents());
        let mut uses = HashMap::<&str, usize>::new();
        for agent in declared {
            *uses.entry(&agent.name).or_default() += 1;
        }
        let mut taken = HashSet::new();
        let mut ids = Vec::new();
        for (at, agent) in declared.iter().enumerate() {
            let id = match agent.id {
                Some(id) => Ok(id),
                None if uses[agent.name.as_str()] > 1 => Err(TWICE),
                None if present.has(&agent.name) => present.find(&agent.name),
                None => Ok((self.new_id)().into()),
            };
            let id = id.and_then(|id| if taken.insert(id) { Ok(id) } else { Err(TWICE) });
            match id {
                Ok(id) => {
                    self.names.add(id, &agent.name);
                    ids.push(Some(id));
                }
                Err(what) => {
                    self.wrong(format!("agents.{at}.name"), what);
                    ids.push(None);
                }
            }
        }
        if !self.prunes {
            // A name in the document means an agent of the document.
            let others = self.tenant.agents().filter(|agent| !taken.contains(&agent.id()));
            self.names.add_others(Names::of(others));
        }
        ids
    }

    fn agent(&mut self, at: usize, declared: &DeclaredAgent, id: AgentId) -> Option<Agent> {
        self.check_name(&format!("agents.{at}.name"), &declared.name);
        if let Some(label) = &declared.label {
            self.check_name(&format!("agents.{at}.label"), label);
        }
        let (mut numbers, mut listed) = (Vec::new(), HashSet::new());
        for (place, text) in declared.numbers.iter().enumerate() {
            let known = |number: E164| self.numbers.get(&number).copied();
            let read = || E164::parse(text, &self.dial_plan).ok().and_then(known);
            match as_written(text).and_then(known).or_else(read) {
                Some(id) if listed.insert(id) => numbers.push(id),
                Some(_) => self.wrong(format!("agents.{at}.numbers.{place}"), "is listed twice"),
                None => self.wrong(format!("agents.{at}.numbers.{place}"), "is no number of the environment"),
            }
        }
        let present = self.plan.agent(self.tenant.id(), id);
        let direction = declared.direction.or(present.and_then(AgentView::direction));
        if declared.published && direction.is_none() {
            self.wrong(format!("agents.{at}.direction"), "is required unless published is false");
        }
        let callback = match &declared.callback {
            None => None,
            Some(callback) => Some(self.callback(at, direction, callback)?),
        };
        Some(Agent {
            id,
            is_new: present.is_none(),
            name: declared.name.clone(),
            label: declared.label.clone(),
            direction,
            numbers,
            is_published: declared.published,
            callback,
        })
    }

    fn callback(&mut self, at: usize, direction: Option<Direction>, declared: &DeclaredCallback) -> Option<Callback> {
        if direction != Some(Direction::Inbound) {
            self.wrong(format!("agents.{at}.callback"), "needs an inbound agent");
        }
        let mut sources = Vec::new();
        for (place, text) in declared.sources.iter().enumerate() {
            match self.names.find(text) {
                Ok(source) => sources.push(source),
                Err(what) => self.wrong(format!("agents.{at}.callback.sources.{place}"), what),
            }
        }
        let outcomes = match &declared.statuses {
            None => None,
            Some(statuses) => {
                let read: Option<OutcomeSet> = statuses.iter().map(|status| status.parse().ok()).collect();
                let read = read.filter(|_| !statuses.is_empty());
                if read.is_none() {
                    self.wrong(format!("agents.{at}.callback.statuses"), "must be a list of statuses of a call");
                }
                read
            }
        };
        let lookback = match declared.lookback_days {
            None => None,
            Some(days) => Some(self.lookback(&format!("agents.{at}.callback.lookback_days"), days)?),
        };
        Some(Callback { sources, outcomes, lookback })
    }

    fn lookback(&mut self, field: &str, days: u32) -> Option<Lookback> {
        if (1..=MAX_LOOKBACK_DAYS).contains(&days) {
            return Some(Lookback::from_days(days));
        }
        self.wrong(field, format!("must be from 1 to {MAX_LOOKBACK_DAYS}"));
        None
    }

    fn lookback_of_seconds(&mut self, secs: u32) -> Option<Lookback> {
        let most = Lookback::from_days(MAX_LOOKBACK_DAYS).secs();
        if (MIN_LOOKBACK_SECONDS..=most).contains(&secs) {
            return Some(Lookback::from_secs(secs));
        }
        self.wrong("environment.lookback_seconds", format!("must be from {MIN_LOOKBACK_SECONDS} to {most}"));
        None
    }

    fn check_name(&mut self, field: &str, name: &str) {
        if name.is_empty() {
            self.wrong(field, format!("is required, with 1 to {MAX_NAME} characters"));
        } else if name.chars().count() > MAX_NAME {
            self.wrong(field, format!("must have between 1 and {MAX_NAME} characters"));
        }
    }
}

/// Returns the number if it is written as [`Declaration::of`] writes it.
fn as_written(text: &str) -> Option<E164> {
    let number = E164::from_digits(text.strip_prefix('+').unwrap_or(text))?;
    (*number.to_plus_form() == *text).then_some(number)
}
