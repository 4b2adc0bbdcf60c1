//! `GET /openapi.json`: the description of the API, made from the handlers' own descriptions.
//!
//! Each handler says what it takes and what it answers (`#[utoipa::path(…)]`), and the router takes only handlers that do. What
//! any handler of a kind may answer is added here, once: who has a token may be refused, who sends a body may send a
//! wrong one.

pub(super) mod example;
mod link;
mod refusal;
pub(super) mod schema;

use super::{Api, reply};
use crate::id::EnvironmentId;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::sync::OnceLock;
use utoipa::OpenApi;

/// The description, as it is sent. Made when it is asked for the first time, from the routes of the API that it is in.
#[derive(Default)]
pub(super) struct Document(OnceLock<Bytes>);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Dialback control API",
        description = "Routes callbacks: which inbound agent takes the call of a contact that one of our outbound agents called.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(super::error::Envelope)),
    tags(
        (name = "callbacks", description = "Which agents take whose callbacks"),
        (name = "agents", description = "What talks on calls"),
        (name = "numbers", description = "The environment's phone numbers"),
        (name = "calls", description = "Outbound calls, and where inbound ones go"),
        (name = "operators", description = "Tenants and tokens"),
        (name = "service", description = "The service itself"),
    ),
)]
struct Frame;

/// What the description begins with, before the handlers'.
pub(super) fn frame() -> utoipa::openapi::OpenApi {
    Frame::openapi()
}

/// This description.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "service", operation_id = "describe",
    responses((status = 200, description = "An OpenAPI document", body = Object)),
)]
pub(super) async fn show(State(api): State<Api>) -> Response {
    let document = if let Some(made) = api.document.0.get() {
        made.clone()
    } else {
        let here = api.clone();
        let make = move || {
            let made = || completed(&super::described(&here).split_for_parts().1);
            here.document.0.get_or_init(made).clone()
        };
        api.work.run(EnvironmentId::SYSTEM, make).await
    };
    let mut response = Response::new(Body::from(document));
    response.headers_mut().insert(CONTENT_TYPE, reply::JSON);
    response
}

/// What the handlers say, completed.
fn completed(described: &utoipa::openapi::OpenApi) -> Bytes {
    let mut document = serde_json::to_value(described).expect("a description is JSON");
    document["components"]["securitySchemes"] = security_schemes();
    let mut bodies = Vec::new();
    for operations in objects(&mut document["paths"]) {
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            refusal::complete(method, operation);
            allow_empty_values(operation);
            bodies.extend(body_schema(operation));
        }
    }
    link::complete(&mut document["paths"]);
    while let Some(name) = bodies.pop() {
        let schema = &mut document["components"]["schemas"][name];
        // What nobody reads is refused, not ignored.
        schema["additionalProperties"] = json!(false);
        let items = objects(&mut schema["properties"]).map(|field| &field["items"]);
        bodies.extend(items.filter_map(name_of));
    }
    reply::json_bytes(&document)
}

/// Says that a query parameter without a value counts as missing, where it may be missing.
fn allow_empty_values(operation: &mut Value) {
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        if parameter["in"] == "query" && parameter["required"] != json!(true) {
            parameter["allowEmptyValue"] = json!(true);
        }
    }
}

fn security_schemes() -> Value {
    let bearer = |what: &str| {
        let description = format!("{what}. Taken as the password of `Basic` too, with whatever name");
        json!({"type": "http", "scheme": "bearer", "description": description})
    };
    json!({
        "environment": bearer("The token of an environment (`talq_…`): everything in it, and nothing outside"),
        "gateway": bearer("A gateway's token (`gate_…`): records calls and asks for routes in every environment"),
        "operator": bearer("An operator's token (`oper_…`): environments and tokens; may ask for routes"),
    })
}

/// The name of the schema that the operation's body must have.
fn body_schema(operation: &Value) -> Option<String> {
    name_of(&operation["requestBody"]["content"]["application/json"]["schema"])
}

/// The name of the schema that is referred to.
fn name_of(schema: &Value) -> Option<String> {
    schema["$ref"].as_str()?.strip_prefix("#/components/schemas/").map(str::to_owned)
}

/// The objects among an object's values.
fn objects(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    let fields: Option<&mut Map<_, _>> = value.as_object_mut();
    fields.into_iter().flat_map(Map::values_mut).filter(|value| value.is_object())
}
