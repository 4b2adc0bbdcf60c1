//! `GET /callback-agents/stats`: the counts of callbacks, by source agent.

use crate::http::Api;
use crate::http::request::auth::Tenant;
use crate::http::request::form::QueryForm;
use crate::http::request::read;
use crate::http::response::error::Refusal;
use crate::http::response::list::MAX_WITHIN;
use crate::http::response::reply::Data;
use crate::http::response::{reply, time_text};
use crate::id::{AgentId, EnvironmentId};
use crate::service::Statistics;
use crate::tally::Count;
use crate::time::Day;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use tokio::sync::oneshot;
use utoipa::{IntoParams, ToSchema};

/// How many days before its last day a period begins by default. It includes both, so it has one day more.
const DEFAULT_DAYS: u32 = 30;

/// The counts of callbacks in a period.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct CallbackStatistics {
    period: Period,
    total_callbacks_received: u64,
    callbacks_answered: u64,
    callbacks_unmatched: u64,
    /// The thousand source agents with the most callbacks.
    #[schema(max_items = 1000)]
    callbacks_by_source_agent: Vec<OfSource>,
    /// The total of source agents; present only if not all are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    callbacks_by_source_agent_total: Option<usize>,
}

/// A period of days in UTC, including both ends.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Period {
    #[schema(format = Date)]
    start: String,
    #[schema(format = Date)]
    end: String,
}

impl Period {
    fn of(days: &RangeInclusive<Day>) -> Self {
        Self { start: time_text::render_day(*days.start()), end: time_text::render_day(*days.end()) }
    }
}

/// Returns the default period that ends on this day.
fn ending(end: Day) -> RangeInclusive<Day> {
    end.minus(DEFAULT_DAYS)..=end
}

/// The callbacks of one source agent.
#[derive(Serialize, ToSchema)]
struct OfSource {
    #[schema(value_type = Uuid)]
    source_agent_id: AgentId,
    /// The name; null if the agent has been deleted.
    name: Option<String>,
    count: u64,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
struct Asked {
    /// The first day in UTC, not before 1970. Missing: thirty days before the last day.
    #[param(format = Date, pattern = "^(19[7-9]|[2-9][0-9]{2})[0-9]-", example = "2026-06-01")]
    start_date: Option<String>,
    /// The last day in UTC, not before 1970. Missing: today.
    #[param(format = Date, pattern = "^(19[7-9]|[2-9][0-9]{2})[0-9]-", example = "2026-06-01")]
    end_date: Option<String>,
}

/// Returns how many callbacks came in, for which source agents, and how many of them were answered.
#[utoipa::path(
    get, path = "/api/v1/callback-agents/stats", tag = "callbacks", operation_id = "callbackStatistics", params(Asked),
    responses((
        status = 200, description = "The counts of these days", body = Data<CallbackStatistics>,
        example = json!({"success": true, "data": {
            "period": {"start": "2026-06-01", "end": "2026-06-01"},
            "total_callbacks_received": 0, "callbacks_answered": 0, "callbacks_unmatched": 0,
            "callbacks_by_source_agent": [],
        }}),
    )),
    security(("environment" = [])),
)]
pub(in crate::http) async fn show(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    QueryForm(mut form): QueryForm,
) -> Result<Response, Refusal> {
    let start = form.optional("start_date", read::day);
    let end = form.optional("end_date", read::day);
    let end = end.unwrap_or_else(|| api.now().day().max(start.unwrap_or_default()));
    let start = start.unwrap_or_else(|| *ending(end).start());
    if start > end {
        form.error("end_date", &"must not lie before the start_date".into());
    }
    form.finish(|| Some(()))?;

    let days = start..=end;
    let Statistics { callbacks, unmatched } = api.statistics(environment, &days).await?;
    let mut by_source = BTreeMap::<_, Count>::new();
    for callbacks in callbacks {
        let sum = by_source.entry(callbacks.source).or_default();
        *sum = sum.plus(callbacks.count);
    }
    let total = by_source.values().fold(Count::default(), |sum, count| sum.plus(*count));
    let plan = api.service().plan();
    let counts = by_source.into_iter().map(|(id, count)| (id, count.received)).filter(|(_, count)| *count > 0);
    let mut counts: Vec<_> = counts.collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    let sources = counts.len();
    counts.truncate(MAX_WITHIN);
    let name = |id| plan.agent(environment, id).map(|agent| agent.name().to_owned());
    let of_source = |(id, count)| OfSource { source_agent_id: id, name: name(id), count };
    Ok(reply::data(CallbackStatistics {
        period: Period::of(&days),
        total_callbacks_received: total.received,
        callbacks_answered: total.answered,
        callbacks_unmatched: unmatched,
        callbacks_by_source_agent: counts.into_iter().map(of_source).collect(),
        callbacks_by_source_agent_total: (sources > MAX_WITHIN).then_some(sources),
    }))
}

impl Api {
    /// Returns the period of statistics that a request without dates gets, and its statistics.
    pub(in crate::http) async fn recent_statistics(
        &self,
        environment: EnvironmentId,
    ) -> Result<(Period, Statistics), Refusal> {
        let days = ending(self.now().day());
        Ok((Period::of(&days), self.statistics(environment, &days).await?))
    }

    /// Returns the environment's statistics, including each call routed before this request. All returned counts are durable. If the
    /// store cannot be written, the last durable counts are returned.
    async fn statistics(&self, environment: EnvironmentId, days: &RangeInclusive<Day>) -> Result<Statistics, Refusal> {
        let (done, answer) = oneshot::channel();
        self.service().submit_counts(|result| {
            let _ = done.send(result);
        });
        let _ = answer.await.map_err(|_| Refusal::internal())?;
        Ok(self.service().statistics(environment, days))
    }
}
