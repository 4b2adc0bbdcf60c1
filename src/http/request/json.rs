//! Parses JSON in bounded memory.
//!
//! A parsed value may need a hundred times the memory of its text: an object takes a node of 600 bytes, and `{"":0},` has
//! seven. The memory is therefore estimated from the text before it is parsed.

use super::auth;
use crate::event::distinct::{Distinct, TWICE};
use crate::event::{Context, ContextError};
use crate::http::Api;
use crate::http::middleware::body_budget::{COPIES, FREE, Room};
use crate::http::response::error::Refusal;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The memory of an object with up to eleven fields: one node of its map.
const OBJECT: usize = 720;
/// The memory of a field of a longer object, in a half-filled node, and of its name.
const FIELD: usize = 160;
/// The memory of an item of a list, in a vector that was doubled, and of a string's allocation beyond its text.
const ITEM: usize = 80;

/// The most memory of the values of one line of an upload. They live only while the line is read.
const OF_LINE: usize = 256 << 10;

/// Parses a body, and reserves memory for its values. The memory is reserved until the room is dropped.
///
/// # Errors
/// If it is not valid JSON, if its values could never fit into the memory for bodies, or do not fit now.
pub(in crate::http) fn parse_body(text: &[u8], headers: &HeaderMap, api: &Api) -> Result<(Value, Room), Refusal> {
    let mut room = Room::default();
    let bytes = tree_bytes(text);
    if bytes > FREE {
        let (budget, tenant) = (&api.body_budget, auth::holder(headers, api).ok_or_else(Refusal::invalid_token)?);
        if bytes > budget.most() {
            return Err(Refusal::too_many_values(bytes, budget.most()));
        }
        if !budget.resize(&mut room, tenant, bytes) {
            return Err(budget.refuse());
        }
    }
    let value = distinct(text, "The body is not valid JSON", "The body has a key twice in one object")?;
    Ok((value, room))
}

/// Parses a line of an upload.
///
/// # Errors
/// If it is not valid JSON, or has too many values.
pub(in crate::http) fn parse_line(line: &[u8]) -> Result<Value, Refusal> {
    if tree_bytes(line) > OF_LINE {
        return Err(Refusal::too_many_values(tree_bytes(line), OF_LINE).saying("The line has too many values"));
    }
    distinct(line, "The line is not valid JSON", "The line has a key twice in one object")
}

/// Parses JSON of which no object has a key twice. The parser's error would quote the text, which may contain a phone number.
fn distinct(text: &[u8], invalid: &'static str, twice: &'static str) -> Result<Value, Refusal> {
    let parsed = serde_json::from_slice(text);
    let what = |error: serde_json::Error| if error.to_string().starts_with(TWICE) { twice } else { invalid };
    parsed.map(|Distinct(value)| value).map_err(|error| Refusal::malformed_json(what(error)))
}

/// Returns the field `context` of an object, from its text: a value that was parsed has lost the digits of its numbers and
/// the order of its keys. `None` if the field is missing or null.
pub(in crate::http) fn context_of(text: &[u8], parsed: &Value) -> Option<Result<Context, ContextError>> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        context: Option<&'a RawValue>,
    }
    parsed.get("context").filter(|context| !context.is_null())?;
    let whole: Whole<'_> = serde_json::from_slice(text).ok()?;
    whole.context.map(|context| Context::new(context.get()))
}

/// Returns the lowest [`Limits::body_bytes`](crate::http::Limits::body_bytes) with which this body is accepted: it must hold
/// the text, and a third of the memory that the values need.
pub fn needed_body_limit(text: &[u8]) -> usize {
    text.len().max(tree_bytes(text).div_ceil(COPIES - 1))
}

/// Returns the memory that the values of a text need, beside the text of its strings.
fn tree_bytes(text: &[u8]) -> usize {
    let (mut bytes, mut is_in_string, mut is_escaped) = (ITEM, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_in_string => is_escaped = true,
            b'"' => is_in_string = !is_in_string,
            _ if is_in_string => {}
            b'{' => bytes += OBJECT,
            b':' => bytes += FIELD,
            b'[' | b',' => bytes += ITEM,
            _ => {}
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::middleware::body_budget::BodyBudget;

    #[test]
    fn memory_is_estimated_by_the_values_and_not_by_the_text_of_strings() {
        let text = r#"{"a\\": "{[,:\"{[,:", "b": [1, 2, {}]}"#;
        assert!(serde_json::from_str::<Value>(text).is_ok());
        assert_eq!(tree_bytes(text.as_bytes()), ITEM + 2 * OBJECT + 2 * FIELD + 4 * ITEM);
        assert!(tree_bytes("x".repeat(1 << 20).as_bytes()) < FREE);
    }

    #[test]
    fn body_fits_into_the_budget_of_the_limit_that_it_needs() {
        let body = |items: usize| format!("[{}0]", r#"{"number": "+12125550100"},"#.repeat(items));
        for text in [body(10_000), body(4000), body(100_000), "x".repeat(3 << 20)] {
            let (needed, bytes) = (needed_body_limit(text.as_bytes()), tree_bytes(text.as_bytes()));
            assert!(text.len() <= needed && bytes <= BodyBudget::new(needed).most(), "{needed}");
            let less = needed - 1024;
            assert!(text.len() > less || bytes > BodyBudget::new(less).most(), "{needed} is not the lowest");
        }
    }

    /// The size of what `serde_json` allocates is known from its types: a map's node has eleven keys and values.
    #[test]
    fn node_of_a_map_is_no_larger_than_the_estimate() {
        let node = 11 * (size_of::<String>() + size_of::<Value>()) + 16;
        assert!(node <= OBJECT, "{node}");
        assert!(2 * size_of::<Value>() <= ITEM);
    }
}
