//! `/contacts/{number}`: shows what is known of a contact, and erases it.

use super::calls;
use crate::engine::Applied;
use crate::event::{Erasure, Event};
use crate::history::{LastCall, Register};
use crate::http::Api;
use crate::http::middleware::work::pause;
use crate::http::openapi::{example, schema};
use crate::http::request::auth::Tenant;
use crate::http::response::error::Refusal;
use crate::http::response::known_call::DetailedCall;
use crate::http::response::list::MAX_WITHIN;
use crate::http::response::reply::{self, Data};
use crate::http::response::time_text;
use crate::id::{AgentId, EnvironmentId, NumberId};
use crate::number::{DialPlan, E164};
use crate::plan::{AgentView, EnvironmentView, NumberView, Plan};
use crate::service::{Service, ServiceError};
use crate::time::Timestamp;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use utoipa::ToSchema;

/// The numbers that are examined before other tenants get their turn: about a millisecond.
const SLICE: usize = 4096;

/// The most records of calls with an id or a context that are read: about 1 MiB.
const MAX_KNOWN: usize = 256;

/// The calls that are known of a contact.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Contact<'a> {
    #[schema(schema_with = schema::held_number)]
    number: String,
    /// The last call from each number of the environment, newest first: at most the newest thousand.
    #[schema(max_items = 1000)]
    entries: Vec<Entry<'a>>,
    /// The number of entries, also of those that are not listed.
    entries_total: usize,
    /// The calls that were reported with an id or a context: at most 256, by number.
    #[schema(max_items = 256)]
    known_calls: Vec<DetailedCall>,
    /// Whether there are more of them.
    has_more_known_calls: bool,
}

/// The last call from one number to a contact.
#[derive(Serialize, ToSchema)]
struct Entry<'a> {
    /// The number that the call was placed from; null if the environment has released it.
    #[schema(required, value_type = Option<Uuid>)]
    phone_number_id: Option<NumberId>,
    #[schema(schema_with = schema::number)]
    from: String,
    #[schema(schema_with = schema::outcome)]
    status: &'static str,
    #[schema(schema_with = schema::moment)]
    called_at: String,
    #[schema(value_type = Uuid)]
    source_agent_id: AgentId,
    /// Null if the agent was deleted.
    #[schema(required)]
    source_agent_name: Option<&'a str>,
}

/// The result of an erasure.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Erased {
    pairs_erased: u64,
}

/// Returns what is known of a contact: the last call from each number of the environment.
#[utoipa::path(
    get, path = "/api/v1/contacts/{number}", tag = "calls", operation_id = "showContact",
    params(
        ("number" = String, Path, description = "The contact", example = json!(example::CONTACT), format = "phone-number"),
    ),
    responses(
        (status = 200, description = "The contact; without entries if nothing is known", body = Data<Contact<'static>>, example = json!({
            "success": true,
            "data": {
                "number": example::CONTACT,
                "entries": [{
                    "phone_number_id": example::NUMBER, "from": example::DIALED, "status": "no-answer",
                    "called_at": example::CALLED_AT, "source_agent_id": example::SOURCE, "source_agent_name": "Reminders",
                }],
                "entries_total": 1,
                "known_calls": [{
                    "call_id": example::CALL, "status": "no-answer", "called_at": example::CALLED_AT,
                    "from": example::DIALED, "to": example::CONTACT, "source_agent_id": example::SOURCE,
                    "context": {"order": 7}, "context_at": example::CREATED_AT,
                }],
                "has_more_known_calls": false,
            },
        })),
        (status = 422, description = "`VALIDATION_ERROR`: the path does not contain a phone number"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn show(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let contact = read_contact(&api, environment, path)?;
    let plan = api.service().plan();
    let tenant = plan.environment(environment).ok_or_else(Refusal::invalid_token)?;
    let (mut newest, mut entries_total) = (BinaryHeap::new(), 0);
    each_last_call(api.service(), tenant, contact, |place, register| {
        entries_total += 1;
        newest.push(Reverse((register, place)));
        if newest.len() > MAX_WITHIN {
            newest.pop();
        }
    })
    .await;
    let listed = newest.into_sorted_vec().into_iter();
    let entries = listed.filter_map(|Reverse((register, place))| Entry::new(&plan, tenant, place, register)).collect();
    let (known, is_all) =
        calls::read_stored(&api, environment, move |service| service.known_calls(environment, contact, MAX_KNOWN))
            .await?;
    Ok(reply::data(Contact {
        number: contact.to_plus_form().to_string(),
        entries,
        entries_total,
        known_calls: known.into_iter().map(DetailedCall::from).collect(),
        has_more_known_calls: !is_all,
    }))
}

impl<'a> Entry<'a> {
    fn new(plan: &'a Plan, tenant: EnvironmentView<'a>, place: usize, register: Register) -> Option<Self> {
        let LastCall::Placed { at, outcome, source } = register.read() else { return None };
        let source = plan.agent_entry(source)?.id;
        Some(Self {
            phone_number_id: tenant.number_at(place).map(NumberView::id),
            from: tenant.number_ever_at(place)?.to_plus_form().to_string(),
            status: outcome.public_name(),
            called_at: time_text::render(at),
            source_agent_id: source,
            source_agent_name: plan.agent(tenant.id(), source).map(AgentView::name),
        })
    }
}

/// Erases a contact from the environment's call history, for good.
#[utoipa::path(
    delete, path = "/api/v1/contacts/{number}", tag = "calls", operation_id = "eraseContact",
    params(
        ("number" = String, Path, description = "The contact", example = json!(example::CONTACT), format = "phone-number"),
    ),
    responses(
        (status = 200, description = "The contact is erased, durably", body = Data<Erased>, example = json!(
            {"success": true, "data": {"pairs_erased": 1}}
        )),
        (status = 422, description = "`VALIDATION_ERROR`: the path does not contain a phone number"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn erase(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let contact = read_contact(&api, environment, path)?;
    let now = api.now();
    let until = last_call(api.service(), environment, contact).await.map_or(now, |last| last.max(now));
    let event = Event::Erasure(Erasure { environment, contact, until, is_ahead: until > now });
    let recording = api.submit(vec![event]).await.map_err(|_| Refusal::internal())?;
    let mut pairs_erased = 0;
    for applied in recording? {
        // A store that cannot be written refuses the whole recording, and reports the reason itself.
        if let Err(ServiceError::NotDurable(why)) = &applied {
            tracing::error!(%why, "a contact cannot be erased");
        }
        if let Applied::Erased { pairs } = applied? {
            pairs_erased += pairs;
        }
    }
    Ok(reply::data(Erased { pairs_erased }))
}

/// Returns the time of the contact's last call. It may be in the future if a gateway's clock is ahead. The erasure must cover
/// that call too.
async fn last_call(service: &Service, environment: EnvironmentId, contact: E164) -> Option<Timestamp> {
    let plan = service.plan();
    let mut last = None;
    each_last_call(service, plan.environment(environment)?, contact, |_, register| {
        if let LastCall::Placed { at, .. } = register.read() {
            last = last.max(Some(at));
        }
    })
    .await;
    last
}

/// Calls `see` with the last call from each number that the environment has or had, and with the number's place.
async fn each_last_call(
    service: &Service,
    tenant: EnvironmentView<'_>,
    contact: E164,
    mut see: impl FnMut(usize, Register),
) {
    for place in 0..tenant.number_slots() {
        if place > 0 && place % SLICE == 0 {
            pause().await;
        }
        let register = tenant.scope_at(place).and_then(|scope| service.history().get(scope, contact));
        if let Some(register) = register.filter(|register| !register.is_erasure()) {
            see(place, register);
        }
    }
}

/// Reads the contact in the path, in any form that the environment's dial plan accepts.
fn read_contact(
    api: &Api,
    environment: EnvironmentId,
    path: Result<Path<String>, PathRejection>,
) -> Result<E164, Refusal> {
    let plan = api.service().plan();
    let dial_plan = plan.environment(environment).map_or(DialPlan::NONE, |held| *held.dial_plan());
    let contact = path.ok().and_then(|Path(text)| E164::parse(&text, &dial_plan).ok());
    contact.ok_or_else(|| Refusal::invalid_field("number", "The number in the path must be a phone number."))
}
