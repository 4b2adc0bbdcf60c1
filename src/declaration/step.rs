//! The steps of a comparison, for people. Names in them are as tenants wrote them, and long ones are shortened.

use super::limits::MAX_STEP_BYTES;
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
    /// The name of the entity. A long one is shortened.
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

/// The first steps, as many as have room, and the number of all.
#[derive(Default)]
pub(super) struct Steps {
    pub(super) first: Vec<Step>,
    pub(super) total: usize,
    /// The size of the first steps as JSON.
    bytes: usize,
}

impl Steps {
    pub(super) fn add(&mut self, step: Step) {
        self.total += 1;
        self.bytes = self.bytes.saturating_add(step.json_bytes());
        if self.bytes <= MAX_STEP_BYTES {
            self.first.push(step);
        }
    }
}

impl Step {
    /// Returns the size as JSON, with a comma.
    fn json_bytes(&self) -> usize {
        let frame = r#"{"action":"","kind":"","name":"","to":""},"#.len();
        let texts = [&*self.action, &*self.kind, &*self.name, &*self.to];
        frame + texts.iter().flat_map(|text| text.chars()).map(json_bytes).sum::<usize>()
    }
}

/// Returns at least the size of a character in a JSON text.
fn json_bytes(char: char) -> usize {
    match char {
        '"' | '\\' => 2,
        char if char.is_control() => r"\u0001".len(),
        char => char.len_utf8(),
    }
}
