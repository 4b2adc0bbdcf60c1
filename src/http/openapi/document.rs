//! The description of the API, generated from the descriptions of the handlers.
//!
//! Each handler documents its parameters and responses (`#[utoipa::path(…)]`), and the router accepts only handlers that do.
//! This module adds the responses that all handlers of a kind share. For example, each request with a token may be rejected,
//! and each request with a body may have a malformed one.

use super::{link, refusal};
use crate::http::response::reply;
use axum::body::Bytes;
use serde_json::{Map, Value, json};
use std::sync::OnceLock;
use utoipa::OpenApi;

/// The generated description. It is generated at the first request, from the routes of its API.
#[derive(Default)]
pub(in crate::http) struct Document(OnceLock<Bytes>);

/// The operation that always refuses unknown fields. The others usually ignore them.
const STRICT_OPERATION: &str = "applyConfiguration";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Dialback control API",
        description = "Routes callbacks: decides which inbound agent takes a call from a contact that an outbound agent called before.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(crate::http::response::error::Envelope)),
    tags(
        (name = "callbacks", description = "The callback roles of agents"),
        (name = "agents", description = "The agents, which place and take calls"),
        (name = "numbers", description = "The environment's phone numbers"),
        (name = "calls", description = "Outbound calls, and the routing of inbound calls"),
        (name = "events", description = "What happened in the environment"),
        (name = "operators", description = "Environments and tokens"),
        (name = "service", description = "The service itself"),
    ),
)]
struct Frame;

/// Returns the beginning of the description, without the handlers.
pub(in crate::http) fn frame() -> utoipa::openapi::OpenApi {
    Frame::openapi()
}

impl Document {
    /// Returns the description, if it has been generated.
    pub(in crate::http) fn made(&self) -> Option<Bytes> {
        self.0.get().cloned()
    }

    /// Returns the description, generated from these routes if it is missing.
    pub(in crate::http) fn make(&self, described: impl FnOnce() -> utoipa::openapi::OpenApi) -> Bytes {
        self.0.get_or_init(|| completed(&described())).clone()
    }
}

/// Returns the complete description as JSON.
fn completed(described: &utoipa::openapi::OpenApi) -> Bytes {
    let mut document = serde_json::to_value(described).expect("a description is JSON");
    document["components"]["securitySchemes"] = security_schemes();
    let mut bodies = Vec::new();
    for operations in objects(&mut document["paths"]) {
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            refusal::complete(method, operation);
            allow_empty_values(operation);
            if operation["operationId"] == STRICT_OPERATION {
                bodies.extend(body_schema(operation));
            }
        }
    }
    link::complete(&mut document["paths"]);
    while let Some(name) = bodies.pop() {
        let schema = &mut document["components"]["schemas"][name];
        schema["additionalProperties"] = json!(false);
        // A field that may be null has its schema in `oneOf`.
        let inner = |field: &Value| -> Vec<String> {
            let either = field["oneOf"].as_array().into_iter().flatten();
            [field, &field["items"]].into_iter().chain(either).filter_map(name_of).collect()
        };
        bodies.extend(objects(&mut schema["properties"]).flat_map(|field| inner(field)));
    }
    reply::json_bytes(&document)
}

/// Documents that an optional query parameter with an empty value counts as missing.
fn allow_empty_values(operation: &mut Value) {
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        if parameter["in"] == "query" && parameter["required"] != json!(true) {
            parameter["allowEmptyValue"] = json!(true);
        }
    }
}

fn security_schemes() -> Value {
    let bearer = |what: &str| {
        let description = format!("{what}. Also accepted as the password of `Basic`, with any user name");
        json!({"type": "http", "scheme": "bearer", "description": description})
    };
    json!({
        "environment": bearer("An environment token (`talq_…`): full access to one environment, and to nothing else"),
        "gateway": bearer("A gateway token (`gate_…`): records calls and requests routes in all environments"),
        "operator": bearer("An operator token (`oper_…`): manages environments and tokens; may request routes"),
    })
}

/// Returns the name of the schema of the operation's body.
fn body_schema(operation: &Value) -> Option<String> {
    name_of(&operation["requestBody"]["content"]["application/json"]["schema"])
}

/// Returns the name in a reference to a schema.
fn name_of(schema: &Value) -> Option<String> {
    schema["$ref"].as_str()?.strip_prefix("#/components/schemas/").map(str::to_owned)
}

/// Returns those values of an object that are objects.
pub(super) fn objects(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    let fields: Option<&mut Map<_, _>> = value.as_object_mut();
    fields.into_iter().flat_map(Map::values_mut).filter(|value| value.is_object())
}
