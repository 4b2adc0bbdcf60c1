//! Shows which calls a declared configuration would route otherwise.

use super::calls_file::InboundCall;
use super::client::Client;
use super::reference;
use super::table::{self, Column, text};
use crate::failure::Failure;
use crate::{new_id, out};
use dialback::declaration::Declaration;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// The number of calls in a request: the most that the API allows.
const BATCH: usize = 1000;

/// The calls of a file, and those that would be routed otherwise.
pub(super) struct Rerouting {
    total: usize,
    /// The line of each call that would be routed otherwise, and both decisions.
    differing: Vec<Value>,
    names: HashMap<String, String>,
}

impl Rerouting {
    /// Compares the decisions for these calls. Changes nothing.
    pub(super) fn find(
        client: &Client,
        declared: &Declaration,
        prune: bool,
        calls: &[InboundCall],
    ) -> Result<Self, Failure> {
        let mut names = reference::agent_names(client)?;
        let declared = with_ids(declared.clone(), &mut names)?;
        let declared = serde_json::to_value(&declared).expect("a document is JSON");
        let mut differing = Vec::new();
        for batch in calls.chunks(BATCH) {
            let bodies: Vec<&Value> = batch.iter().map(|call| &call.body).collect();
            let body = json!({ "configuration": declared, "prune": prune, "calls": bodies });
            let answer = client.post("/route/what-if", &body).map_err(|failure| match batch {
                [InboundCall { line, .. }, ..] => failure.and(&format!("counted from the call on line {line}")),
                [] => failure,
            })?;
            let decisions = answer["data"]["decisions"].as_array().into_iter().flatten();
            for (call, pair) in batch.iter().zip(decisions).filter(|(_, pair)| pair["differs"] == true) {
                let (current, proposed) = (&pair["current"], &pair["proposed"]);
                differing.push(json!({ "line": call.line, "current": current, "proposed": proposed }));
            }
        }
        Ok(Self { total: calls.len(), differing, names })
    }

    /// Returns the result as JSON.
    pub(super) fn to_json(&self) -> Value {
        json!({ "total": self.total, "differing": self.differing.len(), "decisions": self.differing })
    }

    /// Prints the result as a table, without phone numbers.
    pub(super) fn print(&self) -> Result<(), Failure> {
        let (now, then) = (|row: &Value| self.decision(&row["current"]), |row: &Value| self.decision(&row["proposed"]));
        let columns: [Column<'_>; 3] = [("LINE", &|row| text(row, "line")), ("NOW", &now), ("DECLARED", &then)];
        if !self.differing.is_empty() {
            table::list(&columns, &self.differing, false)?;
        }
        let (differing, total) = (self.differing.len(), self.total);
        out::line(format_args!("{differing} of {total} calls would be routed differently"))
    }

    fn decision(&self, decision: &Value) -> String {
        let agent = decision["agent_id"].as_str();
        let agent = agent.map(|id| self.names.get(id).map_or(id, String::as_str));
        let (kind, reason) = (text(decision, "decision"), text(decision, "reason"));
        agent.map_or_else(|| format!("{kind} ({reason})"), |agent| format!("{kind}: {agent} ({reason})"))
    }
}

/// Gives new agents their ids, so that decisions for them can be shown by name.
fn with_ids(mut declared: Declaration, names: &mut HashMap<String, String>) -> Result<Declaration, Failure> {
    let held: HashSet<String> = names.values().cloned().collect();
    for agent in declared.agents.iter_mut().filter(|agent| agent.id.is_none() && !held.contains(&agent.name)) {
        let id = new_id::uuid().map_err(|error| Failure::new(format!("no random numbers: {error}")))?;
        agent.id = Some(id.into());
    }
    let declared_names = declared.agents.iter().filter_map(|agent| Some((agent.id?.to_string(), agent.name.clone())));
    names.extend(declared_names.collect::<Vec<_>>());
    Ok(declared)
}
