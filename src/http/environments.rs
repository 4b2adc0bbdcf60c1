//! `/environments`: the tenants, for operators.

use super::auth::Operator;
use super::error::Refusal;
use super::form::Form;
use super::{Api, fresh, read, render, reply};
use crate::event::Change;
use crate::id::EnvironmentId;
use crate::number::DialPlan;
use axum::extract::State;
use axum::response::Response;

pub(super) async fn list(_: Operator, State(api): State<Api>) -> Response {
    let plan = api.service.plan();
    reply::data(plan.environments().map(render::Environment::from).collect::<Vec<_>>())
}

pub(super) async fn create(_: Operator, State(api): State<Api>, mut form: Form) -> Result<Response, Refusal> {
    let name = form.required("name", read::name);
    let dial_plan = dial_plan(&mut form);
    let lookback = form.optional("lookback_days", read::lookback).unwrap_or_default();
    let name = form.finish(|| name)?;

    let id = EnvironmentId::from(fresh::uuid());
    let plan = api.change(id, move |_| Ok(vec![Change::EnvironmentSet { name, dial_plan, lookback }])).await?;
    let environment = plan.environment(id).ok_or_else(Refusal::internal)?;
    Ok(reply::created(render::Environment::from(environment)))
}

fn dial_plan(form: &mut Form) -> DialPlan {
    let mut part = |field| form.optional(field, |value| Ok(read::text(value)?.to_owned()));
    let (country, national) = (part("country_code"), part("national_prefix"));
    let international = part("international_prefix");
    if country.is_none() && national.is_none() && international.is_none() {
        return DialPlan::NONE;
    }
    let part = |part: Option<String>| part.unwrap_or_default();
    DialPlan::new(&part(country), &part(national), &part(international)).unwrap_or_else(|_| {
        let what = "and the prefixes must be a country code of 1 to 3 digits, not beginning with 0, \
                    and two different prefixes of at most 5 digits";
        form.error("country_code", &what.into());
        DialPlan::NONE
    })
}
