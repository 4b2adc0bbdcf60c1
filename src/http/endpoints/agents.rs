//! `/agents`: the agents of an environment, which place and take calls.

use super::defaults::Defaults;
use crate::event::{Change, Direction, StoredAnswerSubject};
use crate::http::openapi::{example, schema};
use crate::http::request::auth::Tenant;
use crate::http::request::etag::{Conditions, Versions, tagged};
use crate::http::request::form::{Form, Given, QueryForm};
use crate::http::request::idempotency::{Key, Repeatable};
use crate::http::request::page::{Asked, Meta, Page};
use crate::http::request::path::Named;
use crate::http::request::read;
use crate::http::response::error::Refusal;
use crate::http::response::list::{self, Items, Listing, MAX_WITHIN, MAX_WITHIN_PAGE, Shows};
use crate::http::response::reply::{Data, Done, Listed, Message, Warned};
use crate::http::response::{render, reply, shown};
use crate::http::{Api, new_id};
use crate::id::{AgentId, EnvironmentId, NumberId};
use crate::plan::{AgentView, ConfigError, EnvironmentView, NumberView, Plan};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use utoipa::{IntoParams, ToSchema};

/// The messages of the public API.
const CREATED: &str = "Agent created successfully";
const CALLING_SET: &str = "Agent calling settings updated successfully";
const PUBLISHED: &str = "Agent published successfully";
const UNPUBLISHED: &str = "Agent unpublished successfully";

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
struct Filter {
    #[param(schema_with = schema::agent_status)]
    status: Option<String>,
    #[param(schema_with = schema::direction)]
    direction: Option<String>,
    /// Only agents whose name or label contains this text, in upper or lower case.
    search: Option<String>,
    /// Only agents that own this number, in the order of their assignment to it.
    phone_number_id: Option<uuid::Uuid>,
}

/// Lists the agents, in the order of their creation.
#[utoipa::path(
    get, path = "/api/v1/agents", tag = "agents", operation_id = "listAgents", params(Filter, Asked, Versions),
    responses((
        status = 200, description = "A page of agents", body = Listed<Vec<render::Agent<'static>>, Meta>,
        example = json!({
            "success": true,
            "data": [{
                "id": example::SOURCE, "name": "Reminders", "label": null, "direction": "outbound",
                "current_status": "published", "is_ready_to_publish": true,
                "phone_numbers": [{"id": example::NUMBER, "number": example::DIALED, "current_status": "active"}],
                "created_at": example::CREATED_AT, "updated_at": example::CREATED_AT,
            }],
            "meta": {"current_page": 1, "per_page": 20, "total": 1, "last_page": 1},
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
    let published = form.optional("status", |value| match read::text(value)? {
        "published" => Ok(true),
        "draft" => Ok(false),
        _ => Err("must be draft or published".into()),
    });
    let direction = form.optional("direction", read::direction);
    let search = form.optional("search", |value| Ok(read::text(value)?.to_lowercase()));
    let number = form.optional("phone_number_id", |value| read::text(value).map(read_id));
    let page = Page::read(&mut form).unwrap_or_else(Page::first);
    form.finish(|| Some(()))?;

    let revision = api.service().plan().environment(environment).ok_or_else(Refusal::invalid_token)?.revision();
    if let Some(known) = conditions.known(revision)? {
        return Ok(known);
    }
    let agents = Agents { environment, published, direction, search, number, within: MAX_WITHIN_PAGE };
    Ok(tagged(revision, Listing::new(agents, Shows::Page(page)).answer(&api, environment).await))
}

/// Parses a number's id. Text that is not a UUID becomes a new random id, which matches no number.
fn read_id(text: &str) -> NumberId {
    text.parse().unwrap_or_else(|_| new_id::uuid().into())
}

/// The filter of a list of agents.
struct Agents {
    environment: EnvironmentId,
    published: Option<bool>,
    direction: Option<Direction>,
    /// The search text in lower case.
    search: Option<String>,
    /// A number that the agents own.
    number: Option<NumberId>,
    /// How many more numbers the agents of this page may list.
    within: usize,
}

impl Agents {
    fn matches(&self, agent: AgentView<'_>) -> bool {
        let contains = |text: &str| self.search.as_deref().is_none_or(|search| text.to_lowercase().contains(search));
        self.published.is_none_or(|published| agent.is_published() == published)
            && self.direction.is_none_or(|direction| agent.direction() == Some(direction))
            && (contains(agent.name()) || self.search.is_some() && agent.label().is_some_and(contains))
    }
}

impl Items for Agents {
    /// The search converts names to lower case.
    const COST: usize = 32;

    fn places(&self, plan: &Plan) -> usize {
        match self.number {
            None => plan.environment(self.environment).map_or(0, EnvironmentView::agent_slots),
            Some(id) => plan.number(self.environment, id).map_or(0, NumberView::owner_count),
        }
    }

    fn item(&mut self, plan: &Plan, place: usize, out: Option<&mut Vec<u8>>) -> bool {
        let agent = match self.number {
            None => plan.environment(self.environment).and_then(|tenant| tenant.agent_at(place)),
            Some(id) => plan.number(self.environment, id).and_then(|number| number.owner_at(place)),
        };
        let Some(agent) = agent.filter(|agent| self.matches(*agent)) else { return false };
        if let Some(out) = out {
            let (shown, within) = render::Agent::listing(agent, self.within.min(MAX_WITHIN));
            self.within -= within;
            list::write(out, &shown);
        }
        true
    }
}

/// Returns an agent.
#[utoipa::path(
    get, path = "/api/v1/agents/{agent}", tag = "agents", operation_id = "showAgent",
    params(("agent" = Uuid, Path, description = "The agent", example = json!(example::SOURCE)), Versions),
    responses(
        (status = 200, description = "The agent", body = Data<render::Agent<'static>>, example = json!(
            {"success": true, "data": example::agent()}
        )),
        (status = 404, description = "`AGENT_NOT_FOUND`: the id is malformed, unknown, or another environment's"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn show(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    conditions: Conditions,
) -> Result<Response, Refusal> {
    let plan = api.service().plan();
    let agent = plan.agent(environment, id).ok_or_else(Refusal::agent_not_found)?;
    conditions.show(agent.revision(), || reply::data(render::Agent::from(agent)))
}

/// A new agent.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(in crate::http) struct NewAgent {
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// Without a direction, the agent cannot be published yet.
    #[schema(schema_with = schema::direction_or_null, required = false)]
    direction: Option<String>,
    #[schema(min_length = 1, max_length = 255)]
    label: Option<String>,
    /// The numbers that the agent owns.
    #[schema(schema_with = schema::identities, required = false)]
    phone_number_ids: Option<Vec<AgentId>>,
    /// The id, if the client chooses it.
    #[schema(value_type = Option<Uuid>)]
    id: Option<AgentId>,
}

/// Creates an agent as a draft. A client that chooses the id may repeat the request safely.
#[utoipa::path(
    post, path = "/api/v1/agents", tag = "agents", operation_id = "createAgent", params(Repeatable),
    request_body(content = NewAgent, examples(
        ("minimal" = (value = json!({"name": "Callback Handler", "direction": "inbound"}))),
        ("mirrored" = (value = json!(
            {"name": "Winback", "direction": "outbound", "label": "EMEA", "id": example::NEW_AGENT}
        ))),
        ("undirected" = (value = json!({"name": "Survey"}))),
    )),
    responses(
        (status = 201, description = "The new agent", body = Done<'static, render::Agent<'static>>, example = json!(
            {"success": true, "message": CREATED, "data": example::new_agent()}
        )),
        (status = 200, description = "An equal agent with this id exists", body = Done<'static, render::Agent<'static>>),
        (status = 404, description = "`NUMBER_NOT_FOUND`: one of the numbers does not exist"),
        (status = 409, description = "`AGENT_EXISTS`: a different agent has this id; `QUOTA_EXCEEDED`: the environment has reached its \
            limit of agents, deleted ones included"),
        (status = 503, description = "`LIMIT_REACHED`: this installation cannot create more agents"),
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
    let name = form.required("name", read::name);
    let direction = form.optional("direction", read::direction);
    let label = form.optional("label", read::name);
    let numbers = form.optional("phone_number_ids", read::known_numbers);
    let id = form.optional("id", read::uuid::<AgentId>);
    let name = form.finish(|| name)?;
    let id = id.unwrap_or_else(|| new_id::uuid().into());
    let limit = api.limits.agents;

    let decide = move |plan: &Plan| {
        let numbers = all_known(numbers)?;
        match plan.agent(environment, id) {
            Some(held) if !is_named(held, &name, label.as_deref()) => Err(ConfigError::AgentExists(id).into()),
            Some(held) if calls_alike(held, direction, numbers.as_deref()) => Ok((Vec::new(), false)),
            Some(_) => Err(ConfigError::AgentExists(id).into()),
            None if has_no_slot(plan, environment, id, limit) => Err(Refusal::quota("agents", limit)),
            None => {
                let created = Change::agent(id, name, label, direction);
                let calling = numbers.and_then(|numbers| Change::calling(id, direction, Some(numbers)));
                Ok((std::iter::once(created).chain(calling).collect(), true))
            }
        }
    };
    let render = move |plan: &Plan, is_new| {
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        shown::agent_done(plan, environment, id, (status, CREATED), Vec::new())
    };
    api.answer(environment, keyed.about(StoredAnswerSubject::Agent(id)).saying(CREATED), decide, render).await
}

/// Returns whether creating the agent would exceed the environment's limit.
fn has_no_slot(plan: &Plan, environment: EnvironmentId, id: AgentId, limit: usize) -> bool {
    let is_short = |tenant: EnvironmentView<'_>| tenant.agent_slots() >= limit && !tenant.has_had_agent(id);
    plan.environment(environment).is_some_and(is_short)
}

/// An agent's new properties. A missing field keeps its value.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(in crate::http) struct Properties {
    #[schema(min_length = 1, max_length = 255, required = false)]
    name: String,
    /// Null removes the label.
    #[schema(min_length = 1, max_length = 255)]
    label: Option<String>,
    /// Null counts as missing: a direction that was set stays.
    #[schema(schema_with = schema::direction_or_null, required = false)]
    direction: Option<String>,
    /// The complete list of the numbers that the agent owns.
    #[schema(schema_with = schema::identities, required = false)]
    phone_number_ids: Option<Vec<AgentId>>,
}

/// Renames an agent, and sets its label, its direction and its numbers, as far as the request contains them.
#[utoipa::path(
    put, path = "/api/v1/agents/{agent}", tag = "agents", operation_id = "updateAgent",
    params(("agent" = Uuid, Path, description = "The agent", example = json!(example::SOURCE)), Versions),
    request_body(content = Properties, examples(
        ("renamed" = (value = json!({"name": "Reminders"}))),
        ("all" = (value = json!({
            "name": "Reminders", "label": null, "direction": "outbound", "phone_number_ids": [example::NUMBER],
        }))),
    )),
    responses(
        (status = 200, description = "The agent", body = Warned<render::Agent<'static>>, example = json!(
            {"success": true, "data": example::agent()}
        )),
        (status = 404, description = "`AGENT_NOT_FOUND`; `NUMBER_NOT_FOUND`: one of the numbers does not exist"),
        (status = 409, description = "`AGENT_IS_CALLBACK`: a callback agent must stay inbound; `AGENT_IS_SOURCE`: a source agent \
            must stay outbound"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn update(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    conditions: Conditions,
    mut form: Form,
) -> Result<Response, Refusal> {
    let name = form.nullable("name", read::name);
    if matches!(name, Given::Null) {
        form.error("name", &"must be a string".into());
    }
    let label = form.nullable("label", read::name);
    let direction = form.optional("direction", read::direction);
    let numbers = form.optional("phone_number_ids", read::known_numbers);
    form.finish(|| Some(()))?;

    let decide = move |plan: &Plan| {
        let agent = plan.agent(environment, id).ok_or_else(Refusal::agent_not_found)?;
        conditions.allow(Some(agent.revision()))?;
        let name = name.value().unwrap_or_else(|| agent.name().to_owned());
        let label = label.or(agent.label().map(str::to_owned));
        let numbers = all_known(numbers)?;
        let mut changes = Vec::new();
        if !is_named(agent, &name, label.as_deref()) {
            changes.push(Change::AgentRenamed { id, name, label });
        }
        if !calls_alike(agent, direction, numbers.as_deref()) {
            changes.extend(Change::calling(id, direction.or(agent.direction()), numbers));
        }
        Ok((changes, Defaults::before(agent)))
    };
    let (plan, before) = api.configure(environment, decide).await?;
    shown::agent_warned(&plan, environment, id, before.warnings(&plan, environment))
}

/// The direction and the numbers of an agent.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(in crate::http) struct Calling {
    #[schema(schema_with = schema::direction)]
    direction: String,
    /// The complete list of the numbers that the agent owns. Missing: the numbers do not change.
    #[schema(schema_with = schema::identities, required = false)]
    phone_number_ids: Option<Vec<AgentId>>,
}

/// Sets the direction of an agent and, if the request contains them, its numbers.
#[utoipa::path(
    put, path = "/api/v1/agents/{agent}/calling", tag = "agents", operation_id = "setCalling",
    params(("agent" = Uuid, Path, description = "The agent", example = json!(example::SOURCE)), Versions),
    request_body(content = Calling, examples(
        ("direction" = (value = json!({"direction": "outbound"}))),
        ("numbers" = (value = json!({"direction": "outbound", "phone_number_ids": [example::NUMBER]}))),
    )),
    responses(
        (status = 200, description = "The agent", body = Done<'static, render::Agent<'static>>, example = json!(
            {"success": true, "message": CALLING_SET, "data": example::agent()}
        )),
        (status = 404, description = "`AGENT_NOT_FOUND`; `NUMBER_NOT_FOUND`: one of the numbers does not exist"),
        (status = 409, description = "`AGENT_IS_CALLBACK`: a callback agent must stay inbound; `AGENT_IS_SOURCE`: a source agent \
            must stay outbound"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn set_calling(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    conditions: Conditions,
    mut form: Form,
) -> Result<Response, Refusal> {
    let direction = form.required("direction", read::direction);
    let numbers = form.optional("phone_number_ids", read::known_numbers);
    let direction = form.finish(|| direction)?;

    let decide = move |plan: &Plan| {
        let agent = plan.agent(environment, id).ok_or_else(Refusal::agent_not_found)?;
        conditions.allow(Some(agent.revision()))?;
        let numbers = all_known(numbers)?;
        let is_set = calls_alike(agent, Some(direction), numbers.as_deref());
        let changes = if is_set { Vec::new() } else { vec![Change::CallingSet { id, direction, numbers }] };
        Ok((changes, Defaults::before(agent)))
    };
    let (plan, before) = api.configure(environment, decide).await?;
    let warnings = before.warnings(&plan, environment);
    shown::agent_done(&plan, environment, id, (StatusCode::OK, CALLING_SET), warnings)
}

/// Returns the ids of numbers, if none of them is malformed. A malformed id gets the same response as an unknown id.
fn all_known(numbers: Option<Vec<Option<NumberId>>>) -> Result<Option<Vec<NumberId>>, ConfigError> {
    let known = numbers.map(|ids| ids.into_iter().collect::<Option<Vec<_>>>().ok_or(vec![]));
    known.transpose().map_err(ConfigError::UnknownNumbers)
}

/// Returns whether the agent has this name and label.
fn is_named(agent: AgentView<'_>, name: &str, label: Option<&str>) -> bool {
    (agent.name(), agent.label()) == (name, label)
}

/// Returns whether the agent has this direction and exactly these numbers, as far as they are given.
fn calls_alike(agent: AgentView<'_>, direction: Option<Direction>, numbers: Option<&[NumberId]>) -> bool {
    let same_numbers = |numbers: &[_]| agent.numbers().map(NumberView::id).eq(numbers.iter().copied());
    (direction.is_none() || agent.direction() == direction) && numbers.is_none_or(same_numbers)
}

/// Publishes an agent: it takes new calls from now on.
#[utoipa::path(
    post, path = "/api/v1/agents/{agent}/publish", tag = "agents", operation_id = "publishAgent",
    params(("agent" = Uuid, Path, description = "The agent", example = json!(example::SOURCE)), Versions, Repeatable),
    responses(
        (status = 200, description = "The agent", body = Done<'static, render::Agent<'static>>, example = json!(
            {"success": true, "message": PUBLISHED, "data": example::agent()}
        )),
        (status = 404, description = "`AGENT_NOT_FOUND`: the id is malformed, unknown, or another environment's"),
        (status = 422, description = "`VALIDATION_ERROR`: the agent has no direction, or it is inbound and owns no number"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn publish(
    tenant: Tenant,
    agent: Named<AgentId>,
    api: State<Api>,
    conditions: Conditions,
    key: Key,
) -> Result<Response, Refusal> {
    set_published(tenant, agent, api, conditions, key, true).await
}

/// Unpublishes an agent: it takes no new calls from now on. Its configuration does not change.
#[utoipa::path(
    post, path = "/api/v1/agents/{agent}/unpublish", tag = "agents", operation_id = "unpublishAgent",
    params(("agent" = Uuid, Path, description = "The agent", example = json!(example::SOURCE)), Versions, Repeatable),
    responses(
        (status = 200, description = "The agent", body = Done<'static, render::Agent<'static>>, example = json!(
            {"success": true, "message": UNPUBLISHED, "data": example::agent()}
        )),
        (status = 404, description = "`AGENT_NOT_FOUND`: the id is malformed, unknown, or another environment's"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn unpublish(
    tenant: Tenant,
    agent: Named<AgentId>,
    api: State<Api>,
    conditions: Conditions,
    key: Key,
) -> Result<Response, Refusal> {
    set_published(tenant, agent, api, conditions, key, false).await
}

async fn set_published(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    conditions: Conditions,
    key: Key,
    published: bool,
) -> Result<Response, Refusal> {
    let message = if published { PUBLISHED } else { UNPUBLISHED };
    let decide = move |plan: &Plan| {
        let agent = plan.agent(environment, id).ok_or_else(Refusal::agent_not_found)?;
        conditions.allow(Some(agent.revision()))?;
        let changes = match (published, agent.lacks()) {
            // An agent that was published earlier stays published, whatever it lacks since.
            _ if agent.is_published() == published => Vec::new(),
            (true, Some(lacking)) => return Err(Refusal::not_ready(lacking)),
            (true, None) => vec![Change::AgentPublished { id }],
            (false, _) => vec![Change::AgentUnpublished { id }],
        };
        Ok((changes, Defaults::before(agent)))
    };
    let render = move |plan: &Plan, before: Defaults| {
        let warnings = before.warnings(plan, environment);
        shown::agent_done(plan, environment, id, (StatusCode::OK, message), warnings)
    };
    let keyed = key.alone(environment).about(StoredAnswerSubject::Agent(id)).saying(message);
    api.answer(environment, keyed, decide, render).await
}

/// Deletes a draft, and removes it from all callback roles.
#[utoipa::path(
    delete, path = "/api/v1/agents/{agent}", tag = "agents", operation_id = "deleteAgent",
    params(("agent" = Uuid, Path, description = "The agent", example = json!(example::DRAFT)), Versions),
    responses(
        (status = 200, description = "The agent is deleted", body = Message<'static>, example = json!(
            {"success": true, "message": "Agent deleted"}
        )),
        (status = 404, description = "`AGENT_NOT_FOUND`: the id is malformed, unknown, or another environment's"),
        (status = 409, description = "`AGENT_IS_PUBLISHED`: only a draft can be deleted"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn remove(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    conditions: Conditions,
) -> Result<Response, Refusal> {
    let decide = move |plan: &Plan| {
        let agent = plan.agent(environment, id).ok_or_else(Refusal::agent_not_found)?;
        conditions.allow(Some(agent.revision()))?;
        Ok((vec![Change::AgentDeleted { id }], Defaults::before(agent)))
    };
    let (plan, before) = api.configure(environment, decide).await?;
    Ok(reply::warning(StatusCode::OK, "Agent deleted", before.warnings(&plan, environment)))
}
