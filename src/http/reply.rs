//! Answers: the envelopes.

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use serde::Serialize;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

#[derive(Serialize)]
struct Data<T> {
    success: bool,
    data: T,
}

#[derive(Serialize)]
struct Page<T, M> {
    success: bool,
    data: T,
    meta: M,
}

#[derive(Serialize)]
struct Message<'a> {
    success: bool,
    message: &'a str,
}

/// 200 with data.
pub(super) fn data(data: impl Serialize) -> Response {
    json(StatusCode::OK, &Data { success: true, data })
}

/// 201 with data.
pub(super) fn created(data: impl Serialize) -> Response {
    json(StatusCode::CREATED, &Data { success: true, data })
}

/// 200 with a page of data.
pub(super) fn page(data: impl Serialize, meta: impl Serialize) -> Response {
    json(StatusCode::OK, &Page { success: true, data, meta })
}

/// An action that has no data to show.
pub(super) fn message(status: StatusCode, message: &str) -> Response {
    json(status, &Message { success: true, message })
}

pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut response = Response::new(Body::from(json_bytes(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

pub(super) fn json_bytes(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body).expect("every answer can be written as JSON").into()
}
