//! How one entry of a document names another.

use crate::id::AgentId;
use crate::plan::AgentView;
use std::collections::HashMap;
use std::fmt;

/// The published inbound agent that got the number first.
pub(super) const AUTO: &str = "auto";

/// No agent.
pub(super) const NOBODY: &str = "nobody";

/// A mistake in a document. It repeats no value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wrong {
    /// The field, such as `agents.2.callback.sources.0`.
    pub field: String,
    /// The mistake: the end of the sentence "The … field …".
    pub what: String,
}

impl Wrong {
    pub(super) fn new(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self { field: field.into(), what: what.into() }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.what)
    }
}

/// The agents of an environment by name.
#[derive(Default)]
pub(super) struct Names {
    /// `None` for a name that several agents have.
    ids: HashMap<String, Option<AgentId>>,
    names: HashMap<AgentId, String>,
}

impl Names {
    pub(super) fn of<'a>(agents: impl Iterator<Item = AgentView<'a>>) -> Self {
        let mut names = Self::default();
        agents.for_each(|agent| names.add(agent.id(), agent.name()));
        names
    }

    pub(super) fn add(&mut self, id: AgentId, name: &str) {
        self.ids.entry(name.to_owned()).and_modify(|known| *known = None).or_insert(Some(id));
        self.names.insert(id, name.to_owned());
    }

    /// Adds other agents. A name that is known keeps its meaning.
    pub(super) fn add_others(&mut self, others: Self) {
        for (name, id) in others.ids {
            self.ids.entry(name).or_insert(id);
        }
        self.names.extend(others.names);
    }

    /// Returns the agent with the id or the name.
    pub(super) fn find(&self, text: &str) -> Result<AgentId, &'static str> {
        let by_id = text.parse().ok().filter(|id| self.names.contains_key(id));
        match by_id.or_else(|| self.ids.get(text).copied().flatten()) {
            Some(id) => Ok(id),
            None if self.ids.contains_key(text) => Err("names several agents: use an id"),
            None => Err("names no agent of this document or of the environment"),
        }
    }

    /// Returns whether any agent has the name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.ids.contains_key(name)
    }

    /// Returns the name of the agent if it is the only one with the name, else the id.
    pub(super) fn text(&self, id: AgentId) -> String {
        let name = self.names.get(&id).filter(|name| self.ids.get(*name) == Some(&Some(id)));
        name.filter(|name| name.parse::<AgentId>().is_err()).cloned().unwrap_or_else(|| id.to_string())
    }
}
