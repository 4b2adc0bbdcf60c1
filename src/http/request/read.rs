//! Reads the values of form fields. No error repeats the value.

use super::form::Wrong;
use crate::declaration::limits::{MAX_LOOKBACK_DAYS, MAX_NAME, MIN_LOOKBACK_SECONDS};
use crate::event::{CallId, Direction, Role};
use crate::http::response::time_text;
use crate::id::{AgentId, NumberId};
use crate::number::{Attestation, DialPlan, E164};
use crate::outcome::{CountsFrom, Outcome, OutcomeSet};
use crate::plan::{DefaultChoice, MAX_SOURCES};
use crate::time::{Day, Lookback, Timestamp};
use serde_json::Value;
use std::ops::RangeInclusive;
use std::str::FromStr;

pub(in crate::http) fn text(value: &Value) -> Result<&str, Wrong> {
    value.as_str().ok_or_else(|| "must be a string".into())
}

/// Reads the platform's id of a call.
pub(in crate::http) fn call_id(value: &Value) -> Result<CallId, Wrong> {
    let wrong = || format!("must have between 1 and {} visible ASCII characters", CallId::MAX).into();
    CallId::new(text(value)?).ok_or_else(wrong)
}

/// Reads a name of 1 to 255 characters. Spaces at its ends are kept.
pub(in crate::http) fn name(value: &Value) -> Result<String, Wrong> {
    let name = text(value)?;
    match name.chars().count() {
        1..=MAX_NAME => Ok(name.to_owned()),
        _ => Err(format!("must have between 1 and {MAX_NAME} characters").into()),
    }
}

pub(in crate::http) fn direction(value: &Value) -> Result<Direction, Wrong> {
    let direction = [Direction::Inbound, Direction::Outbound].into_iter().find(|known| value == known.name());
    direction.ok_or_else(|| "must be inbound or outbound".into())
}

pub(in crate::http) fn role(value: &Value) -> Result<Role, Wrong> {
    let role = [Role::Environment, Role::Gateway, Role::Operator].into_iter().find(|known| value == known.name());
    role.ok_or_else(|| "must be environment, gateway or operator".into())
}

/// Reads an id that the client chooses.
pub(in crate::http) fn uuid<T: FromStr>(value: &Value) -> Result<T, Wrong> {
    text(value)?.parse().map_err(|_| "must be a UUID".into())
}

pub(in crate::http) fn source_agents(value: &Value) -> Result<Vec<AgentId>, Wrong> {
    let items = list(value)?;
    match items.len() {
        1..=MAX_SOURCES => list_of(items, uuid::<AgentId>),
        _ => Err(format!("must have between 1 and {MAX_SOURCES} items").into()),
    }
}

/// Reads a list of agent ids, which may be empty.
pub(in crate::http) fn agents(value: &Value) -> Result<Vec<AgentId>, Wrong> {
    match list(value)? {
        items if items.len() > MAX_SOURCES => Err(format!("must have at most {MAX_SOURCES} items").into()),
        items => list_of(items, uuid::<AgentId>),
    }
}

/// Reads a list of ids of existing numbers. A malformed id becomes `None`.
pub(in crate::http) fn known_numbers(value: &Value) -> Result<Vec<Option<NumberId>>, Wrong> {
    list_of(list(value)?, |item| text(item).map(|text| text.parse::<NumberId>().ok()))
}

/// Reads a list of outcomes, with at least one.
pub(in crate::http) fn outcomes(value: &Value) -> Result<OutcomeSet, Wrong> {
    match list(value)? {
        [] => Err("must have at least one item".into()),
        items => Ok(list_of(items, outcome)?.into_iter().collect()),
    }
}

pub(in crate::http) fn outcome(value: &Value) -> Result<Outcome, Wrong> {
    value.as_str().and_then(|name| name.parse().ok()).ok_or_else(|| {
        "must be initiated, ringing, answered, completed, failed, busy, no-answer (or no_answer) or voicemail".into()
    })
}

/// Returns a whole number. JSON has no integer type: 7.0 means 7.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64()?.to_string().parse().ok())
}

/// Reads a look-back in seconds.
pub(in crate::http) fn lookback_seconds(value: &Value) -> Result<Lookback, Wrong> {
    let secs = whole(value).and_then(|secs| u32::try_from(secs).ok());
    let secs = secs.filter(|secs| (MIN_LOOKBACK_SECONDS..=MAX_LOOKBACK_DAYS * 86_400).contains(secs));
    secs.map(Lookback::from_secs).ok_or_else(|| {
        format!("must be an integer from {MIN_LOOKBACK_SECONDS} to {}", MAX_LOOKBACK_DAYS * 86_400).into()
    })
}

pub(in crate::http) fn lookback(value: &Value) -> Result<Lookback, Wrong> {
    let days = whole(value).and_then(|days| u32::try_from(days).ok());
    let days = days.filter(|days| (1..=MAX_LOOKBACK_DAYS).contains(days));
    days.map(Lookback::from_days).ok_or_else(|| format!("must be an integer from 1 to {MAX_LOOKBACK_DAYS}").into())
}

/// Reads a phone number in any form that the dial plan accepts.
pub(in crate::http) fn number(value: &Value, plan: &DialPlan) -> Result<E164, Wrong> {
    E164::parse(text(value)?, plan).map_err(|_| "must be a phone number".into())
}

/// Reads a phone number that is about to be stored.
pub(in crate::http) fn number_to_store(value: &Value, plan: &DialPlan) -> Result<E164, Wrong> {
    plan.check(number(value, plan)?).map_err(|_| IMPOSSIBLE.into())
}

/// Reads a phone number in E.164 form with a leading `+`, which is about to be stored.
pub(in crate::http) fn international(value: &Value, plan: &DialPlan) -> Result<E164, Wrong> {
    let number = E164::parse_international(text(value)?);
    number.map_err(|_| "must be a phone number in E.164 form with a leading +")?;
    // A region may read a trunk prefix off it, as it does off the numbers that calls name.
    number_to_store(value, plan)
}

const IMPOSSIBLE: &str = "must have as many digits as a phone number of its country";

/// Reads how the default agent of a number is chosen. A malformed id becomes `None`.
pub(in crate::http) fn default_choice(value: &Value) -> Result<Option<DefaultChoice>, Wrong> {
    Ok(match text(value)? {
        "auto" => Some(DefaultChoice::Auto),
        "nobody" => Some(DefaultChoice::Nobody),
        id => id.parse().ok().map(DefaultChoice::Named),
    })
}

/// Reads a type of numbers. Returns whether it is that of numbers for calls.
pub(in crate::http) fn is_voice(value: &Value) -> Result<bool, Wrong> {
    match text(value)? {
        "voice" => Ok(true),
        "sms" | "whatsapp" | "mms" | "fax" => Ok(false),
        _ => Err("must be voice, sms, whatsapp, mms or fax".into()),
    }
}

/// Reads the code of a region.
pub(in crate::http) fn region(value: &Value) -> Result<DialPlan, Wrong> {
    DialPlan::of_region(text(value)?).map_err(|_| "must be the ISO 3166-1 alpha-2 code of a region, such as DE".into())
}

/// Reads the attestation that an environment requires.
pub(in crate::http) fn required_attestation(value: &Value) -> Result<Attestation, Wrong> {
    match text(value)? {
        "A" => Ok(Attestation::A),
        "B" => Ok(Attestation::B),
        _ => Err("must be A or B".into()),
    }
}

/// Reads the status from which calls count.
pub(in crate::http) fn counts_from(value: &Value) -> Result<CountsFrom, Wrong> {
    let from = value.as_str().and_then(|name| name.parse().ok());
    from.ok_or_else(|| "must be initiated, ringing or answered".into())
}

/// Reads the lengths of national numbers.
pub(in crate::http) fn lengths(value: &Value) -> Result<Vec<usize>, Wrong> {
    let length = |item: &Value| {
        let length = whole(item).filter(|length| (1..=15).contains(length));
        length
            .and_then(|length| usize::try_from(length).ok())
            .ok_or_else(|| Wrong::from("must be an integer from 1 to 15"))
    };
    match list(value)? {
        items if items.len() > E164::MAX_DIGITS => Err("must have at most 15 items".into()),
        items => list_of(items, length),
    }
}

pub(in crate::http) fn moment(value: &Value) -> Result<Timestamp, Wrong> {
    let moment = value.as_str().and_then(time_text::parse);
    moment.ok_or_else(|| "must be a time in RFC 3339 form, such as 2026-01-31T12:00:00Z".into())
}

/// Reads a moment after `now`.
pub(in crate::http) fn future(value: &Value, now: Timestamp) -> Result<Timestamp, Wrong> {
    let moment = moment(value)?;
    if moment > now { Ok(moment) } else { Err("must be in the future".into()) }
}

/// Reads a number of seconds.
pub(in crate::http) fn seconds(value: &Value, most: u64) -> Result<u64, Wrong> {
    let seconds = whole(value).filter(|seconds| *seconds <= most);
    seconds.ok_or_else(|| format!("must be an integer from 0 to {most}").into())
}

/// Reads a day from a query.
pub(in crate::http) fn day(value: &Value) -> Result<Day, Wrong> {
    let day = value.as_str().and_then(time_text::parse_day);
    day.ok_or_else(|| "must be a date from 1970-01-01 on, such as 2026-01-31".into())
}

/// Reads an integer from a query.
pub(in crate::http) fn digits(value: &Value, range: RangeInclusive<usize>) -> Result<usize, Wrong> {
    // The standard library would also accept a sign.
    let digits = Some(text(value)?).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse().ok()).filter(|number| range.contains(number));
    number.ok_or_else(|| match range.end() {
        &usize::MAX => format!("must be an integer of at least {}", range.start()).into(),
        end => format!("must be an integer from {} to {end}", range.start()).into(),
    })
}

/// Reads a boolean.
pub(in crate::http) fn boolean(value: &Value) -> Result<bool, Wrong> {
    value.as_bool().ok_or_else(|| "must be true or false".into())
}

/// Reads a boolean from a query.
pub(in crate::http) fn flag(value: &Value) -> Result<bool, Wrong> {
    match text(value)? {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("must be true or false".into()),
    }
}

/// Reads a response format. Returns whether it is plain text.
pub(in crate::http) fn is_text(value: &Value) -> Result<bool, Wrong> {
    match text(value)? {
        "text" => Ok(true),
        "json" => Ok(false),
        _ => Err("must be json or text".into()),
    }
}

fn list(value: &Value) -> Result<&[Value], Wrong> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| "must be a list".into())
}

fn list_of<T>(items: &[Value], read: impl Fn(&Value) -> Result<T, Wrong>) -> Result<Vec<T>, Wrong> {
    items.iter().enumerate().map(|(place, item)| read(item).map_err(|wrong| wrong.item(place))).collect()
}
