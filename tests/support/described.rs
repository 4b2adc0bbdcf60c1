//! Checks each answer that a test receives against the server's own API description.

use super::server::Server;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use tower::ServiceExt;

/// The description, and the validators compiled so far.
pub struct Described {
    pub document: Value,
    validators: Mutex<HashMap<String, &'static Validator>>,
}

/// Returns the description, which is that of a server with the usual limits: a test may have a time limit that is too short
/// to write it. All routers have the same one.
pub async fn described() -> &'static Described {
    static DESCRIBED: OnceLock<Described> = OnceLock::new();
    if let Some(described) = DESCRIBED.get() {
        return described;
    }
    let request = Request::get("/api/v1/openapi.json").body(Body::empty()).expect("a request");
    let answer = Server::start().router.oneshot(request).await.expect("never fails");
    assert_eq!(answer.status(), 200);
    let text = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
    let document = serde_json::from_slice(&text).expect("JSON");
    DESCRIBED.get_or_init(|| Described { document, validators: Mutex::default() })
}

/// An operation: its path template, its method and its description.
pub struct Operation<'a> {
    pub template: &'a str,
    pub method: Method,
    pub says: &'a Value,
}

impl Described {
    pub fn new(document: Value) -> Self {
        Self { document, validators: Mutex::default() }
    }

    pub fn paths(&self) -> &Map<String, Value> {
        self.document["paths"].as_object().expect("paths")
    }

    /// Returns all described operations.
    pub fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        self.paths().iter().flat_map(|(template, operations)| {
            operations.as_object().into_iter().flatten().filter(|(method, _)| *method != "parameters").map(
                move |(method, says)| {
                    let method = method.to_uppercase().parse().expect("a method");
                    Operation { template, method, says }
                },
            )
        })
    }

    /// Returns the differences between an answer and the description. A path or method that is not described must be
    /// rejected.
    pub fn wrong(&self, method: &Method, path: &str, status: u16, kind: &str, body: &Value) -> Option<String> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let path = path.split('?').next().unwrap_or_default();
        let Some(template) = self.template(path) else {
            return (status != 404).then(|| format!("{path} is not described and answers {status}"));
        };
        let operation = &self.paths()[template][method.as_str().to_lowercase()];
        if operation.is_null() {
            return (status != 405).then(|| format!("{method} {template} is not described and answers {status}"));
        }
        let at = format!("{method} {template} {status}");
        let response = &operation["responses"][status.to_string()];
        if response.is_null() {
            // Some tests provoke a panic, which no operation describes.
            return (status != 500).then(|| format!("{at} is not described: {body}"));
        }
        let content = &response["content"][kind];
        if kind != "application/json" {
            let is_described = if kind.is_empty() { response["content"].is_null() } else { !content.is_null() };
            return (!is_described).then(|| format!("{at}: a body of {kind:?} is not described"));
        }
        let schema = &content["schema"];
        if schema.is_null() {
            return Some(format!("{at}: no body is described, and there is {body}"));
        }
        let errors: Vec<_> = self.validator(&at, schema).iter_errors(body).map(|error| error.to_string()).collect();
        (!errors.is_empty()).then(|| format!("{at}: {}: {body}", errors.join("; ")))
    }

    /// Returns the described path that this path matches. Literal segments take precedence.
    pub fn template(&self, path: &str) -> Option<&str> {
        let fits = |template: &&String| {
            let (template, path) = (template.split('/'), path.split('/'));
            template.clone().count() == path.clone().count()
                && template.zip(path).all(|(held, given)| held == given || held.starts_with('{') && !given.is_empty())
        };
        self.paths().keys().filter(fits).min_by_key(|template| template.matches('{').count()).map(String::as_str)
    }

    fn validator(&self, at: &str, schema: &Value) -> &'static Validator {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        validators.entry(at.to_owned()).or_insert_with(|| Box::leak(Box::new(self.validator_of(schema))))
    }

    pub fn validator_of(&self, schema: &Value) -> Validator {
        let whole = json!({"allOf": [schema], "components": self.document["components"]});
        jsonschema::options().should_validate_formats(true).build(&whole).expect("a schema")
    }
}
