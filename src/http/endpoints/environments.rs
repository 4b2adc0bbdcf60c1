//! `/environments`: the tenants, managed by operators.

use crate::event::Change;
use crate::http::openapi::{example, schema};
use crate::http::request::auth::{Operator, Tenant};
use crate::http::request::form::Form;
use crate::http::request::idempotency::{Key, Repeatable};
use crate::http::request::read;
use crate::http::response::error::Refusal;
use crate::http::response::list::{self, Items, Listing, Shows};
use crate::http::response::reply::Data;
use crate::http::response::{render, reply};
use crate::http::{Api, new_id};
use crate::id::EnvironmentId;
use crate::number::DialPlan;
use crate::plan::Plan;
use axum::extract::State;
use axum::response::Response;
use utoipa::ToSchema;

/// Lists all environments, in the order of their creation.
#[utoipa::path(
    get, path = "/api/v1/environments", tag = "operators", operation_id = "listEnvironments",
    responses((status = 200, description = "All environments", body = Data<Vec<render::Environment<'static>>>, example = json!(
        {"success": true, "data": [example::environment()]}
    ))),
    security(("operator" = [])),
)]
pub(in crate::http) async fn list(_: Operator, State(api): State<Api>) -> Response {
    Listing::new(Environments, Shows::Plain).answer(&api, EnvironmentId::SYSTEM).await
}

struct Environments;

impl Items for Environments {
    fn places(&self, plan: &Plan) -> usize {
        plan.environment_slots()
    }

    fn item(&mut self, plan: &Plan, place: usize, out: Option<&mut Vec<u8>>) -> bool {
        let Some(environment) = plan.environment_at(place) else { return false };
        if let Some(out) = out {
            list::write(out, &render::Environment::from(environment));
        }
        true
    }
}

/// Returns the environment of the token, with its dial plan.
#[utoipa::path(
    get, path = "/api/v1/environment", tag = "numbers", operation_id = "showEnvironment",
    responses((status = 200, description = "The environment", body = Data<render::Environment<'static>>, example = json!(
        {"success": true, "data": example::environment()}
    ))),
    security(("environment" = [])),
)]
pub(in crate::http) async fn show(Tenant(id): Tenant, State(api): State<Api>) -> Result<Response, Refusal> {
    let plan = api.service().plan();
    let environment = plan.environment(id).ok_or_else(Refusal::internal)?;
    Ok(reply::data(render::Environment::from(environment)))
}

/// A new environment.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(in crate::http) struct NewEnvironment {
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// The region, in ISO 3166-1 alpha-2: numbers are read as people in this region write them. It replaces the four
    /// fields below.
    #[schema(pattern = "^[A-Za-z]{2}$")]
    region: Option<String>,
    /// The country code of a private numbering plan. With both prefixes it defines how national numbers are written.
    #[schema(pattern = "^([1-9][0-9]{0,2})?$")]
    country_code: Option<String>,
    #[schema(pattern = "^[0-9]{0,5}$")]
    national_prefix: Option<String>,
    #[schema(pattern = "^[0-9]{0,5}$")]
    international_prefix: Option<String>,
    /// How many digits national numbers have, without the national prefix. Prefixes are then removed only in front of
    /// a number of such a length. Needs a country code.
    #[schema(schema_with = schema::lengths)]
    national_number_lengths: Option<Vec<usize>>,
    /// The look-back in days for callback agents without one of their own.
    #[schema(minimum = 1, maximum = 3650, default = 30)]
    lookback_days: Option<u32>,
    /// The weakest attestation with which a caller's number counts. A caller with less counts as withheld. Missing:
    /// numbers count without an attestation.
    #[schema(schema_with = schema::required_attestation)]
    require_attestation: Option<String>,
}

/// Creates an environment.
#[utoipa::path(
    post, path = "/api/v1/environments", tag = "operators", operation_id = "createEnvironment", params(Repeatable),
    request_body(content = NewEnvironment, examples(
        ("minimal" = (value = json!({"name": "Acme"}))),
        ("regional" = (value = json!({"name": "Acme", "region": "GB"}))),
        ("american" = (value = json!({
            "name": "Acme", "country_code": "1", "national_prefix": "1", "international_prefix": "011",
            "lookback_days": 14,
        }))),
    )),
    responses(
        (status = 201, description = "The new environment", body = Data<render::Environment<'static>>, example = json!(
            {"success": true, "data": example::environment()}
        )),
        (status = 503, description = "`LIMIT_REACHED`: this installation cannot create more environments"),
    ),
    security(("operator" = [])),
)]
pub(in crate::http) async fn create(
    _: Operator,
    State(api): State<Api>,
    key: Key,
    mut form: Form,
) -> Result<Response, Refusal> {
    let keyed = key.of(EnvironmentId::SYSTEM, &form);
    let name = form.required("name", read::name);
    let dial_plan = dial_plan(&mut form);
    let lookback = form.optional("lookback_days", read::lookback).unwrap_or_default();
    let attestation = form.optional("require_attestation", read::required_attestation);
    let name = form.finish(|| name)?;

    let id = EnvironmentId::from(new_id::uuid());
    let mut changes = vec![Change::EnvironmentSet { name, dial_plan, lookback }];
    changes.extend(attestation.map(|level| Change::AttestationRequired { level: Some(level) }));
    let decide = move |_: &Plan| Ok((changes, ()));
    let render = move |plan: &Plan, ()| {
        let environment = plan.environment(id).ok_or_else(Refusal::internal)?;
        Ok(reply::created(render::Environment::from(environment)))
    };
    api.answer(id, keyed, decide, render).await
}

fn dial_plan(form: &mut Form) -> DialPlan {
    let region = form.optional("region", read::region);
    let mut part = |field| form.optional(field, |value| Ok(read::text(value)?.to_owned()));
    let (country, national) = (part("country_code"), part("national_prefix"));
    let international = part("international_prefix");
    let lengths = form.optional("national_number_lengths", read::lengths).unwrap_or_default();
    let has_parts = country.is_some() || national.is_some() || international.is_some();
    if let Some(region) = region {
        if has_parts || !lengths.is_empty() {
            form.error("region", &"must be the only field of the dial plan".into());
        }
        return region;
    }
    if !has_parts && lengths.is_empty() {
        return DialPlan::NONE;
    }
    let part = |part: Option<String>| part.unwrap_or_default();
    let plan = DialPlan::new(&part(country), &part(national), &part(international));
    plan.and_then(|plan| plan.with_national_lengths(&lengths)).unwrap_or_else(|_| {
        let what = "and the prefixes must be a country code of 1 to 3 digits, not beginning with 0, \
                    and two different prefixes of at most 5 digits";
        form.error("country_code", &what.into());
        DialPlan::NONE
    })
}
