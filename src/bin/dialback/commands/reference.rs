//! Finds the agents and numbers that a command line names.

use super::client::Client;
use super::remote::escape;
use crate::failure::Failure;
use dialback::{AgentId, E164, NumberId};
use serde_json::Value;
use std::collections::HashMap;

/// The largest number of ids in an error.
const MOST_SHOWN: usize = 5;

/// Returns the id of the agent with this id or name.
///
/// # Errors
/// No agent has the name, or several have it: the message then has their ids.
pub(crate) fn agent(client: &Client, wanted: &str) -> Result<String, Failure> {
    if let Ok(id) = wanted.parse::<AgentId>() {
        return Ok(id.to_string());
    }
    let similar = client.pages(&format!("/agents?search={}", escape(wanted)))?;
    let named = similar.iter().filter(|agent| agent["name"] == wanted);
    let ids: Vec<&str> = named.filter_map(|agent| agent["id"].as_str()).collect();
    match ids.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(Failure::new(format!("there is no agent with the name or id {wanted}: see `dialback agent list`"))),
        several => {
            let shown = several[..several.len().min(MOST_SHOWN)].join(", ");
            let more = if several.len() > MOST_SHOWN { ", …" } else { "" };
            Err(Failure::new(format!("{} agents are named {wanted}: use an id: {shown}{more}", several.len())))
        }
    }
}

/// Returns the ids of the agents with these ids or names.
pub(crate) fn agents(client: &Client, wanted: &[String]) -> Result<Vec<String>, Failure> {
    wanted.iter().map(|wanted| agent(client, wanted)).collect()
}

/// Returns the names of all agents by their ids.
pub(crate) fn agent_names(client: &Client) -> Result<HashMap<String, String>, Failure> {
    let text = |agent: &Value, field: &str| agent[field].as_str().unwrap_or_default().to_owned();
    Ok(client.pages("/agents")?.iter().map(|agent| (text(agent, "id"), text(agent, "name"))).collect())
}

/// Returns the id of the environment's phone number with this id or these digits.
pub(crate) fn number(client: &Client, wanted: &str) -> Result<String, Failure> {
    let mut ids = numbers(client, &[wanted.to_owned()])?;
    ids.pop().ok_or_else(not_found)
}

/// Returns the ids of the environment's phone numbers with these ids or digits.
///
/// # Errors
/// The environment lacks one of the numbers, or it is written in a national form. The message does not have it.
pub(crate) fn numbers(client: &Client, wanted: &[String]) -> Result<Vec<String>, Failure> {
    let mut held = None;
    let mut ids = Vec::new();
    for wanted in wanted {
        if let Ok(id) = wanted.parse::<NumberId>() {
            ids.push(id.to_string());
            continue;
        }
        let number = E164::parse_international(wanted).map_err(|error| {
            Failure::new(format!(
                "write a phone number in international form, such as +12125550100, or its id: {error}"
            ))
        })?;
        let held = match &mut held {
            Some(held) => held,
            none => none.insert(client.pages("/phone-numbers")?),
        };
        let is_it = |held: &&Value| {
            held["number"].as_str().is_some_and(|held| E164::parse_international(held).is_ok_and(|held| held == number))
        };
        let found = held.iter().find(is_it).and_then(|held| held["id"].as_str());
        ids.push(found.ok_or_else(not_found)?.to_owned());
    }
    Ok(ids)
}

fn not_found() -> Failure {
    Failure::new("the environment does not have this phone number: see `dialback number list`")
}
