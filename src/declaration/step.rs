//! The steps of a comparison, for people. Names in them are as tenants wrote them.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// One step from the present state to the declared one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// `create`, `change` or `delete`.
    pub action: Cow<'static, str>,
    /// `environment`, `number`, `agent`, `callback` or `default agent`.
    pub kind: Cow<'static, str>,
    /// The name of the entity.
    pub name: String,
    /// The state of a new entity, or what changes of another one: `look-back 3 days -> 5 days`.
    pub to: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match &*self.action {
            "create" => '+',
            "delete" => '-',
            _ => '~',
        };
        write!(f, "{sign} {} {}", self.kind, self.name)?;
        if self.to.is_empty() { Ok(()) } else { write!(f, ": {}", self.to) }
    }
}
