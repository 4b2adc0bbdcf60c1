//! `POST /routes/{decision_id}/answered`: the routed call connected.

use crate::http::Api;
use crate::http::middleware::deadline::Submitted;
use crate::http::openapi::example;
use crate::http::request::auth::Reach;
use crate::http::response::error::Refusal;
use crate::http::response::reply;
use crate::plan::Tallied;
use crate::service::{ANSWERABLE_DAYS, AnswerReport};
use crate::tally::Answered;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use tokio::sync::oneshot;
use uuid::Uuid;

/// Reports that a routed call connected.
///
/// A decision counts once, no matter how often it is reported. An id that does not exist, that belongs to another
/// environment or that is too old returns the same 404.
#[utoipa::path(
    post, path = "/api/v1/routes/{decision}/answered", tag = "calls", operation_id = "reportAnswered",
    params(("decision" = Uuid, Path, description = "The `decision_id` that `GET /route` returned", example = json!(example::DECISION))),
    responses(
        (status = 200, description = "The report is recorded and durable", body = reply::Message<'static>, example = json!(
            {"success": true, "message": "Answer recorded"}
        )),
        (status = 404, description = "`DECISION_NOT_FOUND`: the id is malformed, unknown, of another environment, or more than two days old"),
    ),
    security(("environment" = []), ("gateway" = [])),
)]
pub(in crate::http) async fn report(
    reach: Reach,
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let now = api.now();
    let today = now.day();
    let id = path.ok().and_then(|Path(text)| Uuid::try_parse(&text).ok()).ok_or_else(Refusal::decision_not_found)?;
    let opened = api.inbound.ids().open(id).filter(|opened| {
        let last = opened.sealed.day.plus(ANSWERABLE_DAYS);
        // The clock may have been set back since the decision was made, so a decision of tomorrow is accepted.
        last >= today && opened.sealed.day <= today.plus(1)
    });
    let opened = opened.ok_or_else(Refusal::decision_not_found)?;
    let plan = api.service().plan();
    let tallied = opened.sealed.tally.map(|tally| plan.tally(tally).map(|tallied| (tally, tallied)));
    // Without an entry for its tally, the decision belonged to an environment that was deleted.
    let tallied = tallied.map(|tallied| tallied.ok_or_else(Refusal::decision_not_found)).transpose()?;
    let is_visible = match tallied {
        Some((_, (environment, _))) => reach.covers(environment),
        None => reach == Reach::Every,
    };
    if !is_visible {
        return Err(Refusal::decision_not_found());
    }
    // Answers of unmatched calls are not counted, and a decision made by a query is not a call.
    if let Some((tally, (_, Tallied::Callbacks { .. }))) = tallied.filter(|_| opened.sealed.is_counted) {
        let (done, answer) = oneshot::channel();
        let answered = Answered { day: opened.sealed.day, number: opened.number };
        Submitted::note();
        api.service().submit_answer(AnswerReport { answered, tally, today }, |result| {
            let _ = done.send(result);
        });
        answer.await.map_err(|_| Refusal::internal())??;
    }
    let environment = tallied.map(|(_, (environment, _))| environment);
    api.service().note_answer(environment, id.as_u128(), now);
    Ok(reply::message(StatusCode::OK, "Answer recorded"))
}
