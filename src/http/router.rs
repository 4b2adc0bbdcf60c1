//! Joins the endpoints and the layers around them into a router.

use super::Api;
use super::endpoints::{
    agents, answered, bulk, callback, callback_agents, calls, changes, configuration, constraints, contacts, describe,
    environments, events, export, health, metrics_text, numbers, reload, route, routes, statistics, tokens,
    webhook_attempts, webhooks, what_if,
};
use super::middleware::{deadline, dispatch, loading, log};
use super::openapi::document;
use super::response::error::Refusal;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Returns the control API as a router.
pub fn router(api: Api) -> Router {
    finished(described(&api).into(), api)
}

/// Returns the endpoints for an operator's tools, which need no token: `GET /metrics`, `GET /health`, `GET /health/live` and
/// `GET /health/ready`. Serve them on an address that only operators can reach.
pub fn operations(api: Api) -> Router {
    finished(health().merge(metrics()).into(), api)
}

fn finished(routes: Router<Api>, api: Api) -> Router {
    routes
        .fallback(async || Refusal::unknown_path())
        .method_not_allowed_fallback(async || Refusal::wrong_method())
        .layer((
            from_fn_with_state(api.clone(), log::requests),
            CatchPanicLayer::custom(|_| Refusal::internal().into_response()),
        ))
        .with_state(api)
}

/// Returns all routes with their descriptions.
pub(super) fn described(api: &Api) -> OpenApiRouter<Api> {
    // Each layer clones all layers inside it for each request. Each kind of route therefore has one layer, and `GET /route` has
    // none: it waits for nothing. Each route has its full path, because axum strips a prefix by writing the path anew.
    let usual = tenants().merge(operators()).route_layer(from_fn_with_state(api.clone(), dispatch::usual));
    let large = long().route_layer(from_fn_with_state(api.clone(), dispatch::large));
    let quick = gateways().route_layer(from_fn_with_state(api.clone(), dispatch::if_long));
    let open = service().route_layer(from_fn_with_state(api.clone(), deadline::watch));
    let streamed = streams().route_layer(from_fn_with_state(api.clone(), dispatch::stream));
    let waiting = feeds().route_layer(from_fn_with_state(api.clone(), loading::gate));
    let v1 = usual.merge(large).merge(quick).merge(open).merge(streamed).merge(waiting);
    let v1 = v1.routes(routes!(route::decide));
    let metrics = if api.metrics_elsewhere { OpenApiRouter::new() } else { metrics() };
    OpenApiRouter::with_openapi(document::frame()).merge(v1).merge(health()).merge(metrics)
}

/// Returns the routes by which an environment token configures and reads its environment.
fn tenants() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(agents::list, agents::create))
        .routes(routes!(agents::show, agents::update, agents::remove))
        .routes(routes!(agents::set_calling))
        .routes(routes!(agents::publish))
        .routes(routes!(agents::unpublish))
        .routes(routes!(callback::show, callback::create, callback::replace, callback::remove))
        .routes(routes!(callback_agents::list))
        .routes(routes!(callback_agents::list_sources))
        .routes(routes!(constraints::check))
        .routes(routes!(numbers::list, numbers::create))
        .routes(routes!(numbers::show, numbers::set_default_agent, numbers::remove))
        .routes(routes!(contacts::erase))
        .routes(routes!(calls::show))
        .routes(routes!(environments::show_own))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::show, webhooks::update, webhooks::remove))
        .routes(routes!(webhooks::rotate))
        .routes(routes!(webhook_attempts::list))
}

/// Returns the routes of an environment token whose responses may be long.
fn long() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(callback_agents::show))
        .routes(routes!(changes::list))
        .routes(routes!(configuration::show, configuration::apply))
        .routes(routes!(routes::list))
        .routes(routes!(routes::show))
        .routes(routes!(contacts::show))
        .routes(routes!(statistics::show))
        .routes(routes!(what_if::compare))
}

/// Returns the routes for environment and gateway tokens, except `GET /route`.
fn gateways() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(calls::record)).routes(routes!(answered::report))
}

/// Returns the routes for operator tokens. Some of them also serve an environment token about its own environment.
fn operators() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(environments::list, environments::create))
        .routes(routes!(environments::show, environments::update, environments::remove))
        .routes(routes!(tokens::list, tokens::issue))
        .routes(routes!(tokens::revoke))
        .routes(routes!(tokens::rotate))
        .routes(routes!(reload::run))
}

/// Returns the routes below the base path that need no token.
fn service() -> OpenApiRouter<Api> {
    let health = OpenApiRouter::new().routes(routes!(health::show));
    OpenApiRouter::new().routes(routes!(describe::show)).nest("/api/v1", health)
}

/// Returns the health routes, which are outside the base path. `GET /health` is also below it.
fn health() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(health::show)).routes(routes!(health::live)).routes(routes!(health::ready))
}

fn metrics() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(metrics_text::show))
}

/// Returns the routes whose requests wait for events, or for a receiver. While they wait, they hold nothing that others need.
fn feeds() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(events::list))
        .routes(routes!(events::stream))
        .routes(routes!(webhook_attempts::test))
}

/// Returns the routes whose requests have no time limit as a whole.
fn streams() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(bulk::record)).routes(routes!(export::show))
}
