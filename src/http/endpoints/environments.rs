//! `/environments`: the tenants. Operators manage them, and each tenant sets its own settings.

use crate::event::Change;
use crate::http::openapi::{example, schema};
use crate::http::request::auth::{Manager, Operator, Tenant};
use crate::http::request::etag::{Conditions, Versions, tagged};
use crate::http::request::form::{self, Form};
use crate::http::request::idempotency::{Key, Repeatable};
use crate::http::request::path::Named;
use crate::http::request::read;
use crate::http::response::error::Refusal;
use crate::http::response::list::{self, Items, Listing, Shows};
use crate::http::response::reply::{Data, Message};
use crate::http::response::{render, reply};
use crate::http::{Api, new_id};
use crate::id::EnvironmentId;
use crate::number::{Attestation, DialPlan};
use crate::outcome::CountsFrom;
use crate::plan::{EnvironmentView, Plan};
use crate::time::Lookback;
use axum::extract::State;
use axum::http::StatusCode;
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
    get, path = "/api/v1/environment", tag = "numbers", operation_id = "showEnvironment", params(Versions),
    responses((status = 200, description = "The environment", body = Data<render::Environment<'static>>, example = json!(
        {"success": true, "data": example::environment()}
    ))),
    security(("environment" = [])),
)]
pub(in crate::http) async fn show_own(
    Tenant(id): Tenant,
    State(api): State<Api>,
    conditions: Conditions,
) -> Result<Response, Refusal> {
    // The environment may have been deleted since the token was found valid.
    api.service().plan().environment(id).ok_or_else(Refusal::invalid_token)?;
    shown(&api, Manager::Tenant(id), id, &conditions)
}

/// Returns an environment, with its dial plan.
#[utoipa::path(
    get, path = "/api/v1/environments/{environment}", tag = "operators", operation_id = "showAnyEnvironment",
    params(("environment" = Uuid, Path, description = "The environment", example = json!(example::ENVIRONMENT)), Versions),
    responses(
        (status = 200, description = "The environment", body = Data<render::Environment<'static>>, example = json!(
            {"success": true, "data": example::environment()}
        )),
        (status = 404, description = "`ENVIRONMENT_NOT_FOUND`: the id is malformed or unknown, or not the one of the token"),
    ),
    security(("operator" = []), ("environment" = [])),
)]
pub(in crate::http) async fn show(
    manager: Manager,
    Named(id): Named<EnvironmentId>,
    State(api): State<Api>,
    conditions: Conditions,
) -> Result<Response, Refusal> {
    shown(&api, manager, id, &conditions)
}

fn shown(api: &Api, manager: Manager, id: EnvironmentId, conditions: &Conditions) -> Result<Response, Refusal> {
    let plan = api.service().plan();
    let environment = managed(&plan, manager, id)?;
    conditions.show(environment.settings_revision(), || reply::data(render::Environment::from(environment)))
}

/// Returns the environment, if the token manages it.
fn managed(plan: &Plan, manager: Manager, id: EnvironmentId) -> Result<EnvironmentView<'_>, Refusal> {
    plan.environment(id).filter(|_| manager.manages(id)).ok_or_else(Refusal::environment_not_found)
}

/// Defines the body of a request: a name, and all settings.
macro_rules! with_settings {
    ($(#[$about:meta])* $body:ident { $(#[$of_name:meta])* name: $name:ty }) => {
        $(#[$about])*
        #[derive(ToSchema)]
        #[expect(dead_code, reason = "only described: a form is read field by field")]
        pub(in crate::http) struct $body {
            $(#[$of_name])*
            #[schema(min_length = 1, max_length = 255)]
            name: $name,
            /// The region, in ISO 3166-1 alpha-2: numbers are read as people in this region write them. It replaces the four
            /// fields below. Null, without these, means that only international forms are read.
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
            /// The look-back in days for callback agents without one of their own. A new environment has 30.
            #[schema(minimum = 1, maximum = 3650)]
            lookback_days: Option<u32>,
            /// The look-back in seconds, in place of days.
            #[schema(minimum = 60, maximum = 315_360_000)]
            lookback_seconds: Option<u32>,
            /// The weakest attestation with which a caller's number counts. A caller with less counts as withheld. Null: numbers
            /// count without an attestation.
            #[schema(schema_with = schema::required_attestation)]
            require_attestation: Option<String>,
            /// The status from which calls count: a call with a lower one is acknowledged and leaves the history as it
            /// is. It applies to later reports. `ringing`: all but `initiated` and `failed`. `answered`: `answered`,
            /// `completed` and `voicemail`. A new environment has `initiated`: each call counts.
            #[schema(schema_with = schema::counts_from_or_null)]
            counts_from: Option<String>,
        }
    };
}

with_settings! {
    /// A new environment.
    NewEnvironment { name: String }
}

with_settings! {
    /// New settings of an environment. A missing field keeps its value.
    NewSettings {
        /// It must be unique.
        name: Option<String>
    }
}

/// The settings that a request contains. `None` stands for a missing one.
struct Requested {
    dial_plan: Option<DialPlan>,
    lookback: Option<Lookback>,
    attestation: form::Given<Attestation>,
    counts_from: Option<CountsFrom>,
}

impl Requested {
    fn read(form: &mut Form) -> Self {
        Self {
            dial_plan: dial_plan(form),
            lookback: lookback(form),
            attestation: form.nullable("require_attestation", read::required_attestation),
            counts_from: form.optional("counts_from", read::counts_from),
        }
    }
}

/// Creates an environment. Its name must be unique.
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
        (status = 409, description = "`ENVIRONMENT_NAME_TAKEN`: another environment has this name"),
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
    let Requested { dial_plan, lookback, attestation, counts_from } = Requested::read(&mut form);
    let name = form.finish(|| name)?;

    let id = EnvironmentId::from(new_id::uuid());
    let decide = move |plan: &Plan| {
        if plan.environment_named_like(&name, id).is_some() {
            return Err(Refusal::environment_name_taken());
        }
        let (dial_plan, lookback) = (dial_plan.unwrap_or(DialPlan::NONE), lookback.unwrap_or_default());
        let mut changes = vec![Change::EnvironmentSet { name, dial_plan, lookback }];
        changes.extend(attestation.value().map(|level| Change::AttestationRequired { level: Some(level) }));
        let counts_from = counts_from.filter(|from| *from != CountsFrom::default());
        changes.extend(counts_from.map(|from| Change::CountsFromSet { from }));
        Ok((changes, ()))
    };
    let render = move |plan: &Plan, ()| {
        let environment = plan.environment(id).ok_or_else(Refusal::internal)?;
        Ok(tagged(environment.settings_revision(), reply::created(render::Environment::from(environment))))
    };
    api.answer(id, keyed, decide, render).await
}

/// Changes the name and the settings of an environment. An environment token changes those of its own.
///
/// Numbers that are stored keep their digits when the dial plan changes.
#[utoipa::path(
    put, path = "/api/v1/environments/{environment}", tag = "operators", operation_id = "updateEnvironment",
    params(("environment" = Uuid, Path, description = "The environment", example = json!(example::ENVIRONMENT)), Versions),
    request_body(content = NewSettings, examples(
        ("settings" = (value = json!({"region": "US", "lookback_days": 14, "require_attestation": null}))),
        ("seconds" = (value = json!({"lookback_seconds": 3600}))),
        ("counting" = (value = json!({"counts_from": "answered"}))),
    )),
    responses(
        (status = 200, description = "The environment", body = Data<render::Environment<'static>>, example = json!(
            {"success": true, "data": example::environment()}
        )),
        (status = 404, description = "`ENVIRONMENT_NOT_FOUND`: the id is malformed or unknown, or not the one of the token"),
        (status = 409, description = "`ENVIRONMENT_NAME_TAKEN`: another environment has this name"),
    ),
    security(("operator" = []), ("environment" = [])),
)]
pub(in crate::http) async fn update(
    manager: Manager,
    Named(id): Named<EnvironmentId>,
    State(api): State<Api>,
    conditions: Conditions,
    mut form: Form,
) -> Result<Response, Refusal> {
    let name = form.optional("name", read::name);
    let given = Requested::read(&mut form);
    form.finish(|| Some(()))?;

    let decide = move |plan: &Plan| {
        let held = managed(plan, manager, id)?;
        conditions.allow(Some(held.settings_revision()))?;
        let name = name.unwrap_or_else(|| held.name().to_owned());
        if name != held.name() && plan.environment_named_like(&name, id).is_some() {
            return Err(Refusal::environment_name_taken());
        }
        Ok(settings(held, name, given))
    };
    let plan = api.change(id, decide).await?;
    let environment = managed(&plan, manager, id)?;
    Ok(tagged(environment.settings_revision(), reply::data(render::Environment::from(environment))))
}

/// Deletes an environment that has no agents and no phone numbers.
///
/// Its tokens are not valid any more. Its call history, its erasures and its statistics are deleted for good.
#[utoipa::path(
    delete, path = "/api/v1/environments/{environment}", tag = "operators", operation_id = "deleteEnvironment",
    params(("environment" = Uuid, Path, description = "The environment", example = json!(example::EMPTY_ENVIRONMENT)), Versions),
    responses(
        (status = 200, description = "The environment is deleted", body = Message<'static>, example = json!(
            {"success": true, "message": "Environment deleted"}
        )),
        (status = 404, description = "`ENVIRONMENT_NOT_FOUND`: the id is malformed or unknown"),
        (status = 409, description = "`ENVIRONMENT_NOT_EMPTY`: it has agents or phone numbers"),
    ),
    security(("operator" = [])),
)]
pub(in crate::http) async fn remove(
    _: Operator,
    Named(id): Named<EnvironmentId>,
    State(api): State<Api>,
    conditions: Conditions,
) -> Result<Response, Refusal> {
    let decide = move |plan: &Plan| {
        let held = managed(plan, Manager::Operator, id)?;
        conditions.allow(Some(held.settings_revision()))?;
        Ok(vec![Change::EnvironmentDeleted {}])
    };
    api.change(id, decide).await?;
    api.rate_limits.tidy();
    Ok(reply::message(StatusCode::OK, "Environment deleted"))
}

/// Returns the changes that give the environment this name and these settings.
fn settings(held: EnvironmentView<'_>, name: String, given: Requested) -> Vec<Change> {
    let dial_plan = given.dial_plan.unwrap_or(*held.dial_plan());
    let lookback = given.lookback.unwrap_or(held.lookback());
    let level = given.attestation.or(held.required_attestation());
    let mut changes = Vec::new();
    if (&*name, &dial_plan, lookback) != (held.name(), held.dial_plan(), held.lookback()) {
        changes.push(Change::EnvironmentSet { name, dial_plan, lookback });
    }
    if level != held.required_attestation() {
        changes.push(Change::AttestationRequired { level });
    }
    let counts_from = given.counts_from.filter(|from| *from != held.counts_from());
    changes.extend(counts_from.map(|from| Change::CountsFromSet { from }));
    changes
}

/// Reads a dial plan: that of a region, or its parts. Returns `None` if the form has neither.
fn dial_plan(form: &mut Form) -> Option<DialPlan> {
    let region = form.nullable("region", read::region);
    let mut part = |field| form.optional(field, |value| Ok(read::text(value)?.to_owned()));
    let parts = [part("country_code"), part("national_prefix"), part("international_prefix")];
    let lengths = form.optional("national_number_lengths", read::lengths).unwrap_or_default();
    if let form::Given::Value(region) = region {
        // An answer shows a region with its parts. It can be sent back.
        let own = [region.country_code(), region.national_prefix(), region.international_prefix()];
        let differs = parts.iter().zip(own).any(|(part, own)| part.as_deref().is_some_and(|part| part != own));
        if differs || !lengths.is_empty() {
            form.error("region", &"must be the only field of the dial plan".into());
        }
        return Some(region);
    }
    let is_given = matches!(region, form::Given::Null) || parts.iter().any(Option::is_some);
    if parts.iter().flatten().all(String::is_empty) && lengths.is_empty() {
        return is_given.then_some(DialPlan::NONE);
    }
    let [country, national, international] = parts.map(Option::unwrap_or_default);
    let plan = DialPlan::new(&country, &national, &international);
    let plan = plan.and_then(|plan| plan.with_national_lengths(&lengths)).unwrap_or_else(|_| {
        let what = "and the prefixes must be a country code of 1 to 3 digits, not beginning with 0, \
                    and two different prefixes of at most 5 digits";
        form.error("country_code", &what.into());
        DialPlan::NONE
    });
    Some(plan)
}

/// Reads a look-back in days or in seconds.
fn lookback(form: &mut Form) -> Option<Lookback> {
    let days = form.optional("lookback_days", read::lookback);
    let seconds = form.optional("lookback_seconds", read::lookback_seconds);
    if days.zip(seconds).is_some_and(|(days, seconds)| days != seconds) {
        form.error("lookback_seconds", &"must equal lookback_days, or be the only one of the two".into());
    }
    seconds.or(days)
}
