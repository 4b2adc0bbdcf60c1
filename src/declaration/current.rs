//! Writes the document of an environment as it is.

use super::document::{Declaration, DeclaredAgent, DeclaredCallback, DeclaredNumber, DeclaredSettings};
use super::order;
use super::reference::{AUTO, NOBODY, Names};
use crate::id::AgentId;
use crate::number::Attestation;
use crate::outcome::{CountsFrom, Outcome};
use crate::plan::{AgentView, CallbackView, DefaultChoice, EnvironmentView, NumberView};
use crate::time::Lookback;
use std::collections::HashMap;

impl Declaration {
    /// Returns the document of an environment. Each agent and number has its id. Another agent is named where its name is
    /// the only one of its kind, else its id stands there. An environment made from the document decides each call as this
    /// one does. [`Pieces`](super::Pieces) writes it without holding all of it.
    pub fn of(environment: EnvironmentView<'_>) -> Self {
        let names = Names::of(environment.agents());
        let agents = order::agents(environment);
        let places = agents.iter().enumerate().map(|(place, agent)| (agent.id(), place)).collect();
        Self {
            environment: Some(settings(environment)),
            numbers: environment.numbers().map(|number| declared_number(number, &names, &places)).collect(),
            agents: agents.into_iter().map(|agent| declared_agent(agent, &names)).collect(),
        }
    }
}

pub(super) fn settings(environment: EnvironmentView<'_>) -> DeclaredSettings {
    let plan = environment.dial_plan();
    let name = environment.name().to_owned();
    let lookback_days = environment.lookback().whole_days();
    let lookback_seconds = lookback_days.is_none().then(|| environment.lookback().secs());
    let require_attestation = environment.required_attestation().map(Attestation::name).map(str::to_owned);
    let counts_from = Some(environment.counts_from()).filter(|from| *from != CountsFrom::default());
    let settings = DeclaredSettings {
        name,
        lookback_days,
        lookback_seconds,
        require_attestation,
        counts_from: counts_from.map(|from| from.name().to_owned()),
        ..DeclaredSettings::default()
    };
    if let Some(region) = plan.region() {
        return DeclaredSettings { region: Some(region.to_owned()), ..settings };
    }
    DeclaredSettings {
        country_code: plan.country_code().to_owned(),
        national_prefix: plan.national_prefix().to_owned(),
        international_prefix: plan.international_prefix().to_owned(),
        national_number_lengths: plan.national_lengths().collect(),
        ..settings
    }
}

fn declared_number(view: NumberView<'_>, names: &Names, places: &HashMap<AgentId, usize>) -> DeclaredNumber {
    let owners = order::inbound(view);
    let order = if owners.is_sorted_by_key(|owner| places[owner]) {
        Vec::new()
    } else {
        owners.into_iter().map(|owner| names.text(owner)).collect()
    };
    DeclaredNumber { order, ..number(view, |agent| names.text(agent)) }
}

/// Returns the entry of a number without its order. `text` names agents.
pub(super) fn number(number: NumberView<'_>, text: impl Fn(AgentId) -> String) -> DeclaredNumber {
    let default_agent = match number.default_choice() {
        DefaultChoice::Auto => None,
        DefaultChoice::Nobody => Some(NOBODY.to_owned()),
        DefaultChoice::Named(agent) => Some(text(agent)).map(|text| match text.as_str() {
            AUTO | NOBODY => agent.to_string(),
            _ => text,
        }),
    };
    let (number, id) = (number.number().to_plus_form().to_string(), Some(number.id()));
    DeclaredNumber { number, id, default_agent, order: Vec::new() }
}

fn declared_agent(view: AgentView<'_>, names: &Names) -> DeclaredAgent {
    // A role whose sources are all deleted cannot be declared: it takes no call.
    let role = view.callback().filter(|role| !role.sources().is_empty());
    DeclaredAgent {
        numbers: view.numbers().map(|number| number.number().to_plus_form().to_string()).collect(),
        callback: role.map(|role| DeclaredCallback {
            sources: role.sources().into_iter().map(|source| names.text(source)).collect(),
            ..callback(role)
        }),
        ..agent(view)
    }
}

/// Returns the entry of an agent without its numbers and its role.
pub(super) fn agent(agent: AgentView<'_>) -> DeclaredAgent {
    DeclaredAgent {
        name: agent.name().to_owned(),
        id: Some(agent.id()),
        label: agent.label().map(str::to_owned),
        direction: agent.direction(),
        numbers: Vec::new(),
        published: agent.is_published(),
        callback: None,
    }
}

/// Returns a role without its sources.
pub(super) fn callback(role: CallbackView<'_>) -> DeclaredCallback {
    DeclaredCallback {
        sources: Vec::new(),
        statuses: role.outcomes().map(|set| set.iter().map(Outcome::public_name).map(str::to_owned).collect()),
        lookback_days: role.lookback().map(Lookback::days),
    }
}
