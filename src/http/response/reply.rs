//! The envelopes of responses.

use crate::http::openapi::schema;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

pub(in crate::http) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A response with data.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Data<T> {
    #[schema(schema_with = schema::yes)]
    success: bool,
    data: T,
}

/// A response that says what was done, with data.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Done<'a, T> {
    #[schema(schema_with = schema::yes)]
    success: bool,
    message: &'a str,
    data: T,
    /// Effects that may not be intended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<String>,
}

/// A response with data, and with effects that may not be intended.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Warned<T> {
    #[schema(schema_with = schema::yes)]
    success: bool,
    data: T,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<String>,
}

/// A response with a list.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: `Listing` writes it piece by piece")]
pub(in crate::http) struct Listed<T, M> {
    #[schema(schema_with = schema::yes)]
    success: bool,
    data: T,
    meta: M,
}

/// A response without data.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "as the public API names it")]
pub(in crate::http) struct Message<'a> {
    #[schema(schema_with = schema::yes)]
    success: bool,
    message: &'a str,
    /// Effects that may not be intended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<String>,
}

/// Returns a 200 response with data.
pub(in crate::http) fn data(data: impl Serialize) -> Response {
    json(StatusCode::OK, &Data { success: true, data })
}

/// Returns a 201 response with data.
pub(in crate::http) fn created(data: impl Serialize) -> Response {
    json(StatusCode::CREATED, &Data { success: true, data })
}

/// Returns a 200 response with data and warnings.
pub(in crate::http) fn warned(data: impl Serialize, warnings: Vec<String>) -> Response {
    json(StatusCode::OK, &Warned { success: true, data, warnings })
}

/// Returns a response that says what was done, with data and warnings.
pub(in crate::http) fn done(
    status: StatusCode,
    message: &str,
    data: impl Serialize,
    warnings: Vec<String>,
) -> Response {
    json(status, &Done { success: true, message, data, warnings })
}

/// Returns a response without data.
pub(in crate::http) fn message(status: StatusCode, message: &str) -> Response {
    warning(status, message, Vec::new())
}

/// Returns a response without data, with warnings.
pub(in crate::http) fn warning(status: StatusCode, message: &str, warnings: Vec<String>) -> Response {
    json(status, &Message { success: true, message, warnings })
}

pub(in crate::http) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    json_text(status, json_bytes(body))
}

/// Returns a response with text that is already JSON.
pub(in crate::http) fn json_text(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

pub(in crate::http) fn json_bytes(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body).expect("every answer can be written as JSON").into()
}
