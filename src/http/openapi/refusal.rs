//! What an operation may be refused with: what its handler says, and what is so for all of its kind.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Refusals by status: what is told of them, each with its code in backticks.
type Told = BTreeMap<&'static str, Vec<&'static str>>;

/// Adds what the operation may be refused with for what it is, and pins the codes of every refusal.
pub(super) fn complete(method: &str, operation: &mut Value) {
    let common = common(method, operation);
    let is_versioned = is_versioned(operation);
    let responses = operation["responses"].as_object_mut().expect("every operation answers");
    for (status, told) in common {
        let response = responses.entry(status).or_insert_with(|| json!({"description": ""}));
        let own = response["description"].as_str().filter(|own| !own.is_empty()).map(str::to_owned);
        let all: Vec<_> = own.into_iter().chain(told.into_iter().map(str::to_owned)).collect();
        response["description"] = all.join("; ").into();
    }
    if is_versioned {
        tag(method, responses);
    }
    for (status, response) in responses {
        if status.starts_with(['4', '5']) && response.get("content").is_none() {
            pin(status, response);
        }
    }
}

/// What every operation with these properties may be refused with.
fn common(method: &str, operation: &Value) -> Told {
    let mut told = Told::new();
    let mut tell = |status, text| {
        let all: &mut Vec<_> = told.entry(status).or_default();
        if !all.contains(&text) {
            all.push(text);
        }
    };
    let kinds = operation["security"].as_array().map_or(0, Vec::len);
    if kinds > 0 {
        tell("401", "`INVALID_TOKEN`: no token, or one that is not valid");
        tell("429", "`RATE_LIMITED`: too many requests with this token");
        tell("503", "`LOADING`: what is stored is still being loaded");
        tell("503", "`TIMEOUT`: it took too long; a change that was asked for may or may not be in force");
    }
    if kinds > 0 && method != "get" {
        tell("503", "`NOT_DURABLE`: the store cannot be written; nothing of this is in force");
    }
    if kinds > 0 && method != "get" && operation["tags"][0] != "calls" {
        tell("409", "`CONFIGURATION_SUPERSEDED`: another node's change came first; read again and repeat");
        tell("503", "`STREAM_AWAY`: the fleet's stream cannot order a change now; nothing of this is in force");
        tell("503", "`OUTCOME_UNKNOWN`: the fleet's stream did not answer; this is not in force, and may be soon");
    }
    if kinds > 0 && method != "get" && operation["tags"][0] == "calls" {
        tell("503", "`NOT_REPLICATED`: durable here, and not acknowledged by the fleet's stream in time");
    }
    if (1..3).contains(&kinds) {
        tell("403", "`FORBIDDEN`: the token of another kind");
    }
    if operation.get("requestBody").is_some() {
        tell("400", "`BODY_CUT_SHORT`: the connection broke");
        tell("415", "`UNSUPPORTED_MEDIA_TYPE`: the body is said to be something else");
    }
    if operation["requestBody"]["content"].get("application/json").is_some() {
        tell("400", "`MALFORMED_JSON`: the body is not JSON");
        tell("413", "`BODY_TOO_LARGE`: more bytes than are read");
        tell("422", "`VALIDATION_ERROR`: with what is wrong, field by field");
    }
    if has_parameter(operation, "Idempotency-Key") {
        tell("422", "`VALIDATION_ERROR`: with what is wrong, field by field");
        tell("422", "`IDEMPOTENCY_KEY_REUSED`: the key was used for another request");
        tell("409", "`ANSWER_GONE`: this was done for the same key, and what its answer showed is deleted since");
    }
    if is_versioned(operation) {
        tell("412", "`PRECONDITION_FAILED`: it is another version");
    }
    let takes = |place| operation["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["in"] == place));
    if takes("query") {
        tell("422", "`VALIDATION_ERROR`: with what is wrong, field by field");
    }
    told
}

/// Whether the operation is about a version of something.
fn is_versioned(operation: &Value) -> bool {
    has_parameter(operation, "If-Match")
}

fn has_parameter(operation: &Value, name: &str) -> bool {
    operation["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == name))
}

/// Answers about something that has versions say which.
fn tag(method: &str, responses: &mut Map<String, Value>) {
    let tag = json!({"ETag": {"schema": {"type": "string", "pattern": "^\"[0-9]+\"$"}, "required": true}});
    if method == "get" {
        responses.insert("304".into(), json!({"description": "It is still the version that the client knows"}));
    }
    let shown = ["200", "304"].into_iter().filter(|_| method != "delete");
    for status in shown {
        if let Some(response) = responses.get_mut(status) {
            response["headers"] = tag.clone();
        }
    }
}

/// Gives a refusal its body: the envelope, with one of the codes that its description names.
fn pin(status: &str, response: &mut Value) {
    let description = response["description"].as_str().unwrap_or_default();
    let mut codes: Vec<_> = description.split('`').skip(1).step_by(2).filter(|word| is_code(word)).collect();
    codes.sort_unstable();
    codes.dedup();
    let schema = json!({
        "allOf": [{"$ref": "#/components/schemas/Refused"}],
        "type": "object",
        "properties": {"code": {"enum": codes}},
    });
    response["content"] = json!({"application/json": {"schema": schema}});
    if status == "401" {
        let bearer = json!({"schema": {"type": "string", "const": "Bearer"}, "required": true});
        response["headers"] = json!({"WWW-Authenticate": bearer});
    }
    if status == "429" {
        let seconds = json!({"schema": {"type": "integer", "minimum": 1}, "required": true});
        response["headers"] = json!({"Retry-After": seconds});
    }
}

fn is_code(word: &str) -> bool {
    word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}
