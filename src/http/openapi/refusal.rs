//! The errors of an operation: those that its handler documents, and those that all operations of its kind share.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Error descriptions by status. Each contains its code in backticks.
type Descriptions = BTreeMap<&'static str, Vec<&'static str>>;

/// Adds the errors that the operation shares with others of its kind, and lists the codes of each error in its
/// schema.
pub(super) fn complete(method: &str, operation: &mut Value) {
    let common = common(method, operation);
    let is_versioned = is_versioned(operation);
    let responses = operation["responses"].as_object_mut().expect("every operation answers");
    for (status, descriptions) in common {
        let response = responses.entry(status).or_insert_with(|| json!({"description": ""}));
        let own = response["description"].as_str().filter(|own| !own.is_empty()).map(str::to_owned);
        let all: Vec<_> = own.into_iter().chain(descriptions.into_iter().map(str::to_owned)).collect();
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

/// Returns the errors that all operations with these properties share.
fn common(method: &str, operation: &Value) -> Descriptions {
    let mut descriptions = Descriptions::new();
    let mut add = |status, text| {
        let all: &mut Vec<_> = descriptions.entry(status).or_default();
        if !all.contains(&text) {
            all.push(text);
        }
    };
    let kinds = operation["security"].as_array().map_or(0, Vec::len);
    if kinds > 0 {
        add("401", "`INVALID_TOKEN`: the token is missing or not valid");
        add("429", "`RATE_LIMIT_EXCEEDED`: too many requests with this token");
        add("503", "`LOADING`: the stored data is still being loaded; retry later");
        add("503", "`TIMEOUT`: the request took too long; its change is not in force");
    }
    if kinds > 0 && method != "get" {
        add(
            "503",
            "`OUTCOME_UNKNOWN`: the change was not confirmed in time; it may take effect later; repeat the request",
        );
        add("503", "`NOT_DURABLE`: the store cannot be written; the change is not in force");
    }
    if kinds > 0 && method != "get" && operation["tags"][0] != "calls" {
        add("409", "`CONFIGURATION_SUPERSEDED`: another node's change came first; read again and retry");
        add("503", "`STREAM_AWAY`: the fleet's stream is unreachable; the change is not in force");
    }
    if kinds > 0 && method != "get" && operation["tags"][0] == "calls" {
        add("503", "`NOT_REPLICATED`: durable on this node, but not acknowledged by the fleet's stream in time");
    }
    if (1..3).contains(&kinds) {
        add("403", "`UNAUTHORIZED`: the role of the token does not allow this operation");
    }
    if operation.get("requestBody").is_some() {
        add("400", "`BODY_CUT_SHORT`: the request body was cut short");
        add("400", "`MALFORMED_REQUEST`: the framing of the request body is not valid");
        add("503", "`TOO_MANY_BODIES`: too much memory is in use for unfinished request bodies; retry later");
        add("415", "`UNSUPPORTED_MEDIA_TYPE`: the `Content-Type` is not supported, or the body is compressed");
    }
    if operation["requestBody"]["content"].get("application/json").is_some() {
        add("400", "`MALFORMED_JSON`: the body is not JSON");
        add("413", "`BODY_TOO_LARGE`: the body exceeds the size limit");
        add("422", "`VALIDATION_ERROR`: the errors are listed by field");
    }
    if has_parameter(operation, "Idempotency-Key") {
        add("422", "`VALIDATION_ERROR`: the errors are listed by field");
        add("422", "`IDEMPOTENCY_KEY_REUSED`: the key was used for another request");
        add("409", "`ANSWER_GONE`: the answer stored for this key showed something that has been deleted");
    }
    if is_versioned(operation) {
        add("412", "`PRECONDITION_FAILED`: the entity has another version");
    }
    let takes = |place| operation["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["in"] == place));
    if takes("query") {
        add("422", "`VALIDATION_ERROR`: the errors are listed by field");
    }
    descriptions
}

/// Returns whether the operation is about an entity with versions.
fn is_versioned(operation: &Value) -> bool {
    has_parameter(operation, "If-Match")
}

fn has_parameter(operation: &Value, name: &str) -> bool {
    operation["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == name))
}

/// Documents the `ETag` of responses about an entity with versions.
fn tag(method: &str, responses: &mut Map<String, Value>) {
    let tag = json!({"ETag": {"schema": {"type": "string", "pattern": "^\"[0-9]+\"$"}, "required": true}});
    if method == "get" {
        responses.insert("304".into(), json!({"description": "The client's version is current"}));
    }
    let shown = ["200", "304"].into_iter().filter(|_| method != "delete");
    for status in shown {
        if let Some(response) = responses.get_mut(status) {
            response["headers"] = tag.clone();
        }
    }
}

/// Adds the schema of an error response: the envelope, with the codes that the description names.
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
        let integer = |least: u64| json!({"schema": {"type": "integer", "minimum": least}, "required": true});
        response["headers"] = json!({
            "Retry-After": integer(1), "X-RateLimit-Limit": integer(1), "X-RateLimit-Remaining": integer(0),
            "X-RateLimit-Reset": integer(0),
        });
    }
}

fn is_code(word: &str) -> bool {
    word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}
