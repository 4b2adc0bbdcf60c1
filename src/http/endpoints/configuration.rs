//! `/configuration`: a whole environment as one document.

use crate::declaration::{Comparison, Declaration, Pieces, Refused, Step, Wish};
use crate::http::openapi::{example, schema};
use crate::http::request::auth::{Manager, Tenant};
use crate::http::request::etag::{Conditions, Versions, tagged};
use crate::http::request::form::{Form, QueryForm};
use crate::http::request::read;
use crate::http::response::document;
use crate::http::response::error::{FieldErrors, Refusal};
use crate::http::response::reply::{self, Data};
use crate::http::{Api, Limits, new_id};
use crate::id::{AgentId, EnvironmentId, NumberId};
use crate::plan::{EnvironmentView, Plan};
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

/// The most errors of a document in a response. Further ones are only counted.
const MAX_ERRORS: usize = 250;

/// The document of an environment.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: `Declaration` is the document")]
pub(in crate::http) struct Document {
    #[schema(required = false)]
    environment: Settings,
    #[schema(required = false)]
    numbers: Vec<Number>,
    agents: Vec<Agent>,
}

/// The settings. Without them, the settings stay as they are. A new environment needs them.
#[derive(ToSchema)]
#[schema(as = DocumentSettings)]
#[expect(dead_code, reason = "only described: `Declaration` is the document")]
struct Settings {
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// The region, in ISO 3166-1 alpha-2. It replaces the four fields below.
    region: Option<String>,
    #[schema(required = false)]
    country_code: String,
    #[schema(required = false)]
    national_prefix: String,
    #[schema(required = false)]
    international_prefix: String,
    #[schema(schema_with = schema::lengths, required = false)]
    national_number_lengths: Vec<usize>,
    #[schema(minimum = 1, maximum = 3650)]
    lookback_days: Option<u32>,
    #[schema(schema_with = schema::required_attestation)]
    require_attestation: Option<String>,
    /// The status from which calls count; `initiated` if it is left out.
    #[schema(schema_with = schema::counts_from_or_null)]
    counts_from: Option<String>,
}

#[derive(ToSchema)]
#[schema(as = DocumentNumber)]
#[expect(clippy::struct_field_names, reason = "as the fields are named")]
#[expect(dead_code, reason = "only described: `Declaration` is the document")]
struct Number {
    #[schema(schema_with = schema::any_number)]
    number: String,
    #[schema(value_type = Option<Uuid>)]
    id: Option<NumberId>,
    /// An agent, by name or id; `nobody`; or `auto`, as without this field.
    default_agent: Option<String>,
    /// All inbound agents with the number, by name or id, in the order of their assignment. Without it, this is the order of
    /// the agents.
    #[schema(required = false)]
    order: Vec<String>,
}

#[derive(ToSchema)]
#[schema(as = DocumentAgent)]
#[expect(dead_code, reason = "only described: `Declaration` is the document")]
struct Agent {
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// Without an id, the agent is the one with the name, or a new one.
    #[schema(value_type = Option<Uuid>)]
    id: Option<AgentId>,
    #[schema(min_length = 1, max_length = 255)]
    label: Option<String>,
    /// Without it, the agent keeps the direction that it has; a new one is a draft without a direction.
    #[schema(schema_with = schema::direction_or_null, required = false)]
    direction: Option<String>,
    #[schema(required = false)]
    numbers: Vec<String>,
    #[schema(required = false, default = true)]
    published: bool,
    callback: Option<Role>,
}

#[derive(ToSchema)]
#[schema(as = DocumentCallback)]
#[expect(dead_code, reason = "only described: `Declaration` is the document")]
struct Role {
    /// The source agents, by name or id.
    #[schema(required = false)]
    sources: Vec<String>,
    statuses: Option<Vec<String>>,
    #[schema(minimum = 1, maximum = 3650)]
    lookback_days: Option<u32>,
}

/// One change.
#[derive(ToSchema)]
#[schema(as = DocumentStep)]
#[expect(dead_code, reason = "only described: `declaration::Step` is written")]
struct Shown {
    /// `create`, `change` or `delete`.
    action: String,
    /// `environment`, `number`, `agent`, `callback` or `default agent`.
    kind: String,
    /// The name, which is shortened to 64 characters, as all names here.
    name: String,
    /// The state of a new entity, or what changes of another one: `look-back 3 days -> 5 days`.
    to: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
struct How {
    /// Only show the changes.
    dry_run: Option<bool>,
    /// Also delete agents and numbers that the document does not name.
    prune: Option<bool>,
}

/// The changes by a document.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "as the fields are named")]
pub(in crate::http) struct Applied {
    /// Whether the changes are made.
    applied: bool,
    /// The first changes, up to a megabyte.
    #[schema(value_type = Vec<Shown>)]
    steps: Vec<Step>,
    /// The number of changes, also of those that are not listed.
    steps_total: usize,
}

/// Returns the environment as one document, which `PUT` accepts.
#[utoipa::path(
    get, path = "/api/v1/configuration", tag = "numbers", operation_id = "showConfiguration", params(Versions),
    responses((status = 200, description = "The document", body = Data<Document>, example = json!(
        {"success": true, "data": example::document()}
    ))),
    security(("environment" = [])),
)]
pub(in crate::http) async fn show(
    Tenant(id): Tenant,
    State(api): State<Api>,
    conditions: Conditions,
) -> Result<Response, Refusal> {
    let plan = api.service().plan();
    let revision = plan.environment(id).ok_or_else(Refusal::internal)?.revision();
    if let Some(known) = conditions.known(revision)? {
        return Ok(known);
    }
    let pieces = Pieces::new(plan, id).ok_or_else(Refusal::internal)?;
    Ok(tagged(revision, document::answer(&api, id, pieces).await))
}

/// Makes the environment as the document says, with one change of the configuration. Applying it again changes nothing.
///
/// With an operator token the document creates an environment with all that is in it: `environment` is required then.
///
/// An agent is found by its id, or else by its name, and a number by its digits. Agents and numbers that the document does not
/// name stay as they are, unless `prune` is true.
#[utoipa::path(
    put, path = "/api/v1/configuration", tag = "numbers", operation_id = "applyConfiguration", params(How, Versions),
    request_body(content = Document, example = json!(example::document())),
    responses(
        (status = 200, description = "The changes", body = Data<Applied>, example = json!(
            {"success": true, "data": {"applied": true, "steps": [
                {"action": "change", "kind": "environment", "name": "Acme", "to": "look-back 14 days -> 30 days"},
            ], "steps_total": 1}}
        )),
        (status = 409, description = "The declared state contradicts what the document does not name, such as a role of another agent; \
            `QUOTA_EXCEEDED`: the environment would exceed a limit; `ENVIRONMENT_NAME_TAKEN`: another environment has this name"),
    ),
    security(("environment" = []), ("operator" = [])),
)]
pub(in crate::http) async fn apply(
    manager: Manager,
    State(api): State<Api>,
    conditions: Conditions,
    QueryForm(query): QueryForm,
    form: Form,
) -> Result<Response, Refusal> {
    // A mistyped field of a declared state would delete something, and a mistyped `dry_run` would change something.
    let mut query = query.strict();
    let dry_run = query.optional("dry_run", read::flag).unwrap_or(false);
    let prune = query.optional("prune", read::flag).unwrap_or(false);
    query.finish(|| Some(()))?;
    let (declared, _room): (Declaration, _) = form.whole(&["agents"], &["environment", "numbers"])?;
    let (limits, at) = (api.limits, api.now());
    let (id, is_new) = match manager {
        Manager::Tenant(id) => (id, false),
        Manager::Operator => (new_id::uuid().into(), true),
    };
    let decide = move |plan: &Plan| {
        conditions.allow(plan.environment(id).map(EnvironmentView::revision))?;
        // Without this check, a repeated creation would be refused because its numbers are in use.
        let name = declared.environment.as_ref().map(|settings| settings.name.as_str());
        let renamed = name.filter(|name| plan.environment(id).map(EnvironmentView::name) != Some(name));
        if renamed.is_some_and(|name| plan.environment_named_like(name, id).is_some()) {
            return Err(Refusal::environment_name_taken());
        }
        let compared = if is_new {
            declared.create(plan, id, at, &mut new_id::uuid)
        } else {
            declared.compare(plan, id, Wish { prune, at }, &mut new_id::uuid)
        };
        let compared = compared.map_err(|wrong| refused("", wrong))?;
        within(&limits, plan, &compared.next, id)?;
        Ok(compared)
    };
    if dry_run {
        let plan = api.service().plan();
        let Comparison { steps, steps_total, next, .. } = decide(&plan)?;
        // A new environment exists only in the plan with the changes.
        let shown = if is_new { &next } else { &*plan };
        return answer(shown, id, Applied { applied: false, steps, steps_total });
    }
    let decide = move |plan: &Plan| {
        let Comparison { changes, steps, steps_total, .. } = decide(plan)?;
        Ok((Some(changes), Applied { applied: true, steps, steps_total }))
    };
    let (plan, applied) = api.configure_at(id, at, decide).await?;
    answer(&plan, id, applied)
}

fn answer(plan: &Plan, id: EnvironmentId, applied: Applied) -> Result<Response, Refusal> {
    let revision = plan.environment(id).ok_or_else(Refusal::internal)?.revision();
    Ok(tagged(revision, reply::data(applied)))
}

/// Returns the refusal of a document, whose field names get the prefix `within`.
pub(super) fn refused(within: &str, refused: Refused) -> Refusal {
    match refused {
        Refused::Change(error) => error.into(),
        Refused::Wrong(wrong) => {
            let mut errors = FieldErrors::new();
            let more = wrong.len().saturating_sub(MAX_ERRORS);
            if more > 0 {
                errors.insert("body".into(), vec![format!("The body has {more} more errors, which are not listed.")]);
            }
            for wrong in wrong.into_iter().take(MAX_ERRORS) {
                let field = format!("{within}{}", wrong.field);
                let text = format!("The {field} field {}.", wrong.what);
                errors.entry(field).or_default().push(text);
            }
            Refusal::invalid(errors)
        }
    }
}

/// Checks the limits of an environment. A limit that is already exceeded must not be exceeded further.
fn within(limits: &Limits, plan: &Plan, next: &Plan, id: EnvironmentId) -> Result<(), Refusal> {
    let counts = |plan: &Plan| {
        let counts =
            |tenant: EnvironmentView<'_>| [tenant.agent_slots(), tenant.number_slots(), tenant.callback_slots()];
        plan.environment(id).map_or([0; 3], counts)
    };
    let [agents, numbers, pairs] = counts(plan);
    let [next_agents, next_numbers, next_pairs] = counts(next);
    if next_agents > limits.agents.max(agents) {
        return Err(Refusal::quota("agents", limits.agents));
    }
    if next_numbers > limits.numbers.max(numbers) {
        return Err(Refusal::quota("phone numbers", limits.numbers));
    }
    if next_pairs > limits.callback_pairs.max(pairs) {
        return Err(Refusal::pair_quota(limits.callback_pairs));
    }
    Ok(())
}
