//! The names that a configuration's ids had when it was made.

use crate::id::{AgentId, NumberId, TokenId};
use crate::number::E164;
use std::collections::BTreeMap;

/// The names of entities that a configuration refers to by their ids only, as they were before it. They are for people:
/// nothing but the list of changes reads them.
///
/// `Debug` prints no whole phone number.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct Names {
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "BTreeMap::is_empty"))]
    agents: BTreeMap<AgentId, String>,
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "BTreeMap::is_empty"))]
    numbers: BTreeMap<NumberId, PhoneNumber>,
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "BTreeMap::is_empty"))]
    tokens: BTreeMap<TokenId, String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
struct PhoneNumber(#[cfg_attr(feature = "serde", serde(with = "crate::number::serde_text"))] E164);

impl Names {
    /// The maximum number of names of a configuration. Further ids stay without a name.
    pub const MAX: usize = 100;

    /// Returns whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether there are as many names as a configuration may have.
    pub fn is_full(&self) -> bool {
        self.len() >= Self::MAX
    }

    /// Returns the name of an agent, if it is recorded.
    pub fn agent(&self, id: AgentId) -> Option<&str> {
        self.agents.get(&id).map(String::as_str)
    }

    /// Returns a phone number, if it is recorded.
    pub fn number(&self, id: NumberId) -> Option<E164> {
        self.numbers.get(&id).map(|PhoneNumber(number)| *number)
    }

    /// Returns the label of a token, if it is recorded.
    pub fn token(&self, id: TokenId) -> Option<&str> {
        self.tokens.get(&id).map(String::as_str)
    }

    /// Records the name of an agent.
    pub fn set_agent(&mut self, id: AgentId, name: &str) {
        self.agents.insert(id, name.to_owned());
    }

    /// Records a phone number.
    pub fn set_number(&mut self, id: NumberId, number: E164) {
        self.numbers.insert(id, PhoneNumber(number));
    }

    /// Records the label of a token.
    pub fn set_token(&mut self, id: TokenId, label: &str) {
        self.tokens.insert(id, label.to_owned());
    }

    fn len(&self) -> usize {
        self.agents.len() + self.numbers.len() + self.tokens.len()
    }
}
