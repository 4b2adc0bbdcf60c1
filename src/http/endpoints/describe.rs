//! `GET /openapi.json`: the description of the API.

use crate::http::response::reply;
use crate::http::{Api, router};
use crate::id::EnvironmentId;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;

/// Returns this description.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "service", operation_id = "describe",
    responses((status = 200, description = "An OpenAPI document", body = Object)),
)]
pub(in crate::http) async fn show(State(api): State<Api>) -> Response {
    let document = if let Some(made) = api.document.made() {
        made
    } else {
        let here = api.clone();
        let make = move || here.document.make(|| router::described(&here).split_for_parts().1);
        api.work.run(EnvironmentId::SYSTEM, make).await
    };
    let mut response = Response::new(Body::from(document));
    response.headers_mut().insert(CONTENT_TYPE, reply::JSON);
    response
}
