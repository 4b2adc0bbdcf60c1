//! `/phone-numbers`: the phone numbers of an environment.

use super::defaults;
use crate::event::{Change, StoredAnswerSubject};
use crate::http::endpoints::calls;
use crate::http::openapi::{example, schema};
use crate::http::request::auth::{Reach, Tenant};
use crate::http::request::etag::{Conditions, Versions, tagged};
use crate::http::request::form::{Form, Given, QueryForm};
use crate::http::request::idempotency::{Key, Repeatable};
use crate::http::request::page::{Asked, Meta, Page};
use crate::http::request::path::Named;
use crate::http::request::read;
use crate::http::response::error::Refusal;
use crate::http::response::list::{self, Items, Listing, MAX_WITHIN, MAX_WITHIN_PAGE, Shows};
use crate::http::response::reply::{Data, Listed, Message, Warned};
use crate::http::response::{render, reply, shown};
use crate::http::{Api, new_id};
use crate::id::{AgentId, EnvironmentId, NumberId};
use crate::number::E164;
use crate::plan::{AgentView, ConfigError, DefaultChoice, EnvironmentView, NumberView, Plan};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use utoipa::{IntoParams, ToSchema};

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
struct Filter {
    /// Only numbers that this agent owns, in the order in which they were assigned.
    agent_id: Option<uuid::Uuid>,
    /// Only numbers of this type. All numbers here are for calls: `voice`.
    #[param(rename = "type", schema_with = schema::number_type)]
    kind: Option<String>,
    /// Only numbers whose digits or whose id contain this text. Signs and spaces between digits do not count.
    search: Option<String>,
}

/// Lists the numbers: a page of them, or all numbers if the request has neither `per_page` nor `page`.
#[utoipa::path(
    get, path = "/api/v1/phone-numbers", tag = "numbers", operation_id = "listNumbers", params(Filter, Asked, Versions),
    responses((
        status = 200, description = "The numbers", body = Listed<Vec<render::Number>, Meta>,
        example = json!({
            "success": true, "data": [example::number()],
            "meta": {"current_page": 1, "per_page": 2, "total": 2, "last_page": 1},
        }),
    )),
    security(("environment" = [])),
)]
pub(in crate::http) async fn list(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    conditions: Conditions,
    QueryForm(mut form): QueryForm,
) -> Result<Response, Refusal> {
    let agent = form.optional("agent_id", |value| read::text(value).map(read_id));
    let is_voice = form.optional("type", read::is_voice).unwrap_or(true);
    let search = form.optional("search", |value| read::text(value).map(Search::of));
    let page = Page::read(&mut form);
    form.finish(|| Some(()))?;
    let revision = api.service().plan().environment(environment).ok_or_else(Refusal::invalid_token)?.revision();
    if let Some(known) = conditions.known(revision)? {
        return Ok(known);
    }
    // Without pages the number of items is not bounded, so each number lists as many owners as on a page of its own.
    let numbers = Numbers { environment, agent, is_voice, search, within: page.map(|_| MAX_WITHIN_PAGE) };
    let shows = page.map_or(Shows::Whole, Shows::Page);
    Ok(tagged(revision, Listing::new(numbers, shows).answer(&api, environment).await))
}

/// Parses an agent's id. Text that is not a UUID becomes a new random id, which matches no agent.
fn read_id(text: &str) -> AgentId {
    text.parse().unwrap_or_else(|_| new_id::uuid().into())
}

/// The filter of a list of numbers.
struct Numbers {
    environment: EnvironmentId,
    /// An agent that owns the numbers.
    agent: Option<AgentId>,
    /// Whether numbers for calls belong to the list: all numbers are for calls.
    is_voice: bool,
    search: Option<Search>,
    /// How many more owners the numbers of this page may list.
    within: Option<usize>,
}

/// A text that a number contains.
struct Search {
    /// The text in lower case, as in an id.
    text: String,
    /// The digits of the text, if it may be a part of a phone number.
    digits: Option<String>,
}

impl Search {
    fn of(text: &str) -> Self {
        let is_sign = |c: char| " +()-./".contains(c);
        let is_number = text.chars().all(|c| c.is_ascii_digit() || is_sign(c));
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        Self { text: text.to_lowercase(), digits: Some(digits).filter(|digits| is_number && !digits.is_empty()) }
    }

    fn finds(&self, number: NumberView<'_>) -> bool {
        let has_digits = |digits: &String| number.number().digits().contains(digits.as_str());
        self.digits.as_ref().is_some_and(has_digits) || number.id().to_string().contains(&self.text)
    }
}

impl Items for Numbers {
    /// A number is written as in its country.
    const COST: usize = 32;

    fn places(&self, plan: &Plan) -> usize {
        match self.agent {
            None => plan.environment(self.environment).map_or(0, EnvironmentView::number_slots),
            Some(id) => plan.agent(self.environment, id).map_or(0, AgentView::number_count),
        }
    }

    fn item(&mut self, plan: &Plan, place: usize, out: Option<&mut Vec<u8>>) -> bool {
        let number = match self.agent {
            None => plan.environment(self.environment).and_then(|tenant| tenant.number_at(place)),
            Some(id) => plan.agent(self.environment, id).and_then(|agent| agent.number_at(place)),
        };
        let is_found = |number: &NumberView<'_>| self.search.as_ref().is_none_or(|search| search.finds(*number));
        let Some(number) = number.filter(|number| self.is_voice && is_found(number)) else { return false };
        if let Some(out) = out {
            let most = self.within.unwrap_or(MAX_WITHIN).min(MAX_WITHIN);
            let (shown, within) = render::Number::listing(number, most);
            self.within = self.within.map(|left| left - within);
            list::write(out, &shown);
        }
        true
    }
}

/// Returns a number.
#[utoipa::path(
    get, path = "/api/v1/phone-numbers/{number}", tag = "numbers", operation_id = "showNumber",
    params(("number" = Uuid, Path, description = "The number", example = json!(example::NUMBER)), Versions),
    responses(
        (status = 200, description = "The number", body = Data<render::Number>, example = json!(
            {"success": true, "data": example::number()}
        )),
        (status = 404, description = "`NUMBER_NOT_FOUND`: the id is malformed, unknown, or another environment's"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn show(
    Tenant(environment): Tenant,
    Named(id): Named<NumberId>,
    State(api): State<Api>,
    conditions: Conditions,
) -> Result<Response, Refusal> {
    let plan = api.service().plan();
    let number = plan.number(environment, id).ok_or_else(Refusal::number_not_found)?;
    conditions.show(number.revision(), || reply::data(render::Number::from(number)))
}

/// A new number.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(in crate::http) struct NewNumber {
    #[schema(schema_with = schema::number)]
    number: String,
    /// The id, if the client chooses it.
    #[schema(value_type = Option<Uuid>)]
    id: Option<NumberId>,
}

/// Adds a phone number to the environment. A client that chooses the id may repeat the request safely.
#[utoipa::path(
    post, path = "/api/v1/phone-numbers", tag = "numbers", operation_id = "createNumber", params(Repeatable),
    request_body(content = NewNumber, examples(
        ("minimal" = (value = json!({"number": "+15551230001"}))),
        ("mirrored" = (value = json!({"number": "+15551230002", "id": example::NEW_NUMBER}))),
    )),
    responses(
        (status = 201, description = "The new number", body = Data<render::Number>, example = json!(
            {"success": true, "data": example::unused_number()}
        )),
        (status = 200, description = "The same number with this id exists", body = Data<render::Number>),
        (status = 409, description = "`PHONE_NUMBER_TAKEN`: an environment holds the number; `PHONE_NUMBER_EXISTS`: another number \
            has this id; `QUOTA_EXCEEDED`: the environment has reached its limit of numbers, deleted ones included"),
        (status = 503, description = "`LIMIT_REACHED`: this installation cannot hold more numbers"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn create(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    key: Key,
    mut form: Form,
) -> Result<Response, Refusal> {
    let keyed = key.of(environment, &form);
    let dial_plan = calls::dial_plan(&api.service().plan(), Reach::One(environment));
    let number = form.required("number", |value| read::international(value, &dial_plan));
    let id = form.optional("id", read::uuid::<NumberId>);
    let number = form.finish(|| number)?;
    let id = id.unwrap_or_else(|| new_id::uuid().into());
    let limit = api.limits.numbers;

    let decide = move |plan: &Plan| match plan.number(environment, id) {
        Some(held) if held.number() == number => Ok((Vec::new(), false)),
        Some(_) => Err(ConfigError::NumberExists(id).into()),
        None if has_no_slot(plan, environment, number, limit) => Err(Refusal::quota("phone numbers", limit)),
        None => Ok((vec![Change::NumberAdded { id, number }], true)),
    };
    let render = move |plan: &Plan, is_new| {
        let number = plan.number(environment, id).ok_or_else(Refusal::number_not_found)?;
        let shown = render::Number::from(number);
        Ok(tagged(number.revision(), if is_new { reply::created(shown) } else { reply::data(shown) }))
    };
    api.answer(environment, keyed.about(StoredAnswerSubject::Number(id)), decide, render).await
}

/// Returns whether adding the number would exceed the environment's limit.
fn has_no_slot(plan: &Plan, environment: EnvironmentId, number: E164, limit: usize) -> bool {
    let is_short = |tenant: EnvironmentView<'_>| tenant.number_slots() >= limit && !tenant.has_had_number(number);
    plan.environment(environment).is_some_and(is_short)
}

/// The default agent of a number.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(in crate::http) struct DefaultAgent {
    /// An inbound agent that owns the number; `nobody` or null for no agent, on purpose; `auto` for the published inbound owner
    /// that was assigned first, as for a new number.
    #[schema(schema_with = schema::any_default_choice, required = false)]
    default_agent_id: Option<String>,
    /// The same, as answers show it. With this field `default_agent_id` is ignored, so that an answer can be sent back. One of
    /// the two is required.
    #[schema(schema_with = schema::any_default_choice, required = false)]
    default_agent_setting: Option<String>,
}

/// Sets how the default agent of a number is chosen.
#[utoipa::path(
    put, path = "/api/v1/phone-numbers/{number}", tag = "numbers", operation_id = "setDefaultAgent",
    params(("number" = Uuid, Path, description = "The number", example = json!(example::NUMBER)), Versions),
    request_body(content = DefaultAgent, examples(
        ("named" = (value = json!({"default_agent_id": example::CALLBACK}))),
        ("nobody" = (value = json!({"default_agent_id": null}))),
        ("auto" = (value = json!({"default_agent_id": "auto"}))),
        ("sent back" = (value = json!({"default_agent_id": example::CALLBACK, "default_agent_setting": "auto"}))),
    )),
    responses(
        (status = 200, description = "The number", body = Warned<render::Number>, examples(
            ("named" = (value = json!({"success": true, "data": example::number()}))),
            ("nobody" = (value = json!({"success": true, "data": example::number()}))),
            ("auto" = (value = json!(example::number_by_order()))),
            ("sent back" = (value = json!(example::number_by_order()))),
        )),
        (status = 404, description = "`NUMBER_NOT_FOUND`; `AGENT_NOT_FOUND`"),
        (status = 422, description = "`INVALID_DEFAULT_AGENT`: the agent is not an inbound agent that owns the number"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn set_default_agent(
    Tenant(environment): Tenant,
    Named(id): Named<NumberId>,
    State(api): State<Api>,
    conditions: Conditions,
    mut form: Form,
) -> Result<Response, Refusal> {
    // An answer shows the agent that results from the setting as `default_agent_id`, which is not the setting.
    let setting = form.optional("default_agent_setting", read::default_choice);
    let given = form.nullable("default_agent_id", read::default_choice);
    let choice = match (setting, given) {
        (Some(setting), _) => Some(setting),
        (None, Given::Value(choice)) => Some(choice),
        (None, Given::Null) => Some(Some(DefaultChoice::Nobody)),
        (None, Given::Missing) => {
            form.error("default_agent_id", &"must be the id of an agent, auto, nobody or null".into());
            None
        }
    };
    let choice = form.finish(|| choice)?;

    let decide = move |plan: &Plan| {
        let number = plan.number(environment, id).ok_or_else(Refusal::number_not_found)?;
        conditions.allow(Some(number.revision()))?;
        // A malformed id gets the same response as an unknown id.
        let choice = choice.ok_or_else(Refusal::agent_not_found)?;
        Ok(match choice {
            _ if choice == number.default_choice() => Vec::new(),
            DefaultChoice::Auto => vec![Change::DefaultAgentSet { number: id, agent: None }],
            DefaultChoice::Named(agent) => vec![Change::DefaultAgentSet { number: id, agent: Some(agent) }],
            DefaultChoice::Nobody => vec![Change::DefaultAgentRemoved { number: id }],
        })
    };
    let plan = api.change(environment, decide).await?;
    shown::number_warned(&plan, environment, id, defaults::of_number(&plan, environment, id))
}

/// Deletes a number from the environment.
#[utoipa::path(
    delete, path = "/api/v1/phone-numbers/{number}", tag = "numbers", operation_id = "deleteNumber",
    params(("number" = Uuid, Path, description = "The number", example = json!(example::UNUSED_NUMBER)), Versions),
    responses(
        (status = 200, description = "The number is deleted", body = Message<'static>, example = json!(
            {"success": true, "message": "Phone number deleted"}
        )),
        (status = 404, description = "`NUMBER_NOT_FOUND`: the id is malformed, unknown, or another environment's"),
        (status = 422, description = "`PHONE_NUMBER_IN_USE`: an agent owns the number"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn remove(
    Tenant(environment): Tenant,
    Named(id): Named<NumberId>,
    State(api): State<Api>,
    conditions: Conditions,
) -> Result<Response, Refusal> {
    let decide = move |plan: &Plan| {
        let number = plan.number(environment, id).ok_or_else(Refusal::number_not_found)?;
        conditions.allow(Some(number.revision()))?;
        Ok(vec![Change::NumberReleased { id }])
    };
    api.change(environment, decide).await?;
    Ok(reply::message(StatusCode::OK, "Phone number deleted"))
}
