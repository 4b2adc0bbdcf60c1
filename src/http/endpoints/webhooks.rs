//! `/webhooks`: the addresses that the events of an environment are sent to.

use crate::http::middleware::deadline::Submitted;
use crate::http::openapi::{example, schema};
use crate::http::request::auth::Tenant;
use crate::http::request::form::{Form, Given, Wrong};
use crate::http::request::path::Named;
use crate::http::request::read;
use crate::http::response::error::Refusal;
use crate::http::response::reply::{self, Data, Message};
use crate::http::response::time_text;
use crate::http::webhooks::registry::Webhooks;
use crate::http::webhooks::settings::{Disabled, Settings, Wanted, Why};
use crate::http::webhooks::webhook::Webhook;
use crate::http::{Api, new_id};
use crate::store::EventKind;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// The longest address in bytes, and the longest description in characters.
const MAX_URL: usize = 2048;
const MAX_DESCRIPTION: usize = 255;
/// The overlap of a rotation in seconds, unless the request has one: a day. And the longest: thirty days.
const OVERLAP: u64 = 86_400;
const MAX_OVERLAP: u64 = 30 * 86_400;

/// A webhook.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(in crate::http) struct ShownWebhook {
    id: Uuid,
    url: String,
    /// The types of events that are sent.
    #[schema(schema_with = schema::event_kinds)]
    types: Vec<String>,
    description: String,
    /// `active`; `failing`: no message was accepted since `failing_since`; `disabled`: nothing is sent.
    #[schema(schema_with = schema::webhook_status)]
    status: &'static str,
    /// Why it is disabled: `by_request`; `gone`: its receiver answered 410; `failing`: it accepted nothing for five days.
    #[schema(required, schema_with = schema::why_disabled)]
    disabled_reason: Option<&'static str>,
    #[schema(required, schema_with = schema::moment_or_null)]
    disabled_at: Option<String>,
    #[schema(required, schema_with = schema::moment_or_null)]
    failing_since: Option<String>,
    /// The events that were read from the feed and are not accepted yet.
    #[schema(minimum = 0)]
    waiting: usize,
    /// The events that were given up after ten attempts. Events that were removed from the feed before they were sent count
    /// once, however many they were.
    #[schema(minimum = 0)]
    missed: u64,
    /// Until when the secret before the last rotation signs too; null if it does not.
    #[schema(required, schema_with = schema::moment_or_null)]
    old_secret_until: Option<String>,
    #[schema(schema_with = schema::moment)]
    created_at: String,
}

/// A webhook with its newest secret.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ShownSecret {
    #[serde(flatten)]
    shown: ShownWebhook,
    /// The secret with which a receiver checks signatures.
    #[schema(pattern = "^whsec_[A-Za-z0-9+/]{43}=$")]
    secret: String,
}

/// A new webhook.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(in crate::http) struct NewWebhook {
    /// Where the events are sent: an `https` address without a user name. Its host must be public, unless the operator allows
    /// others.
    #[schema(schema_with = schema::receiver)]
    url: String,
    /// The types of events to send. Without it or with null, all, also those of later versions.
    #[schema(schema_with = schema::event_kinds_or_null, required = false)]
    types: Option<Vec<String>>,
    #[schema(max_length = 255)]
    description: Option<String>,
    /// The id of the webhook. Without it, a new one is made.
    id: Option<Uuid>,
}

/// Changes of a webhook. A missing field stays as it is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(in crate::http) struct ChangedWebhook {
    #[schema(schema_with = schema::receiver, required = false)]
    url: Option<String>,
    #[schema(schema_with = schema::event_kinds_or_null, required = false)]
    types: Option<Vec<String>>,
    #[schema(max_length = 255)]
    description: Option<String>,
    /// `false` disables the webhook. `true` enables it: it goes on with the first event that was not accepted.
    enabled: Option<bool>,
}

/// How a secret is replaced.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(in crate::http) struct SecretRotation {
    /// How long the old secret signs too, in seconds. By default a day.
    #[schema(minimum = 0, maximum = 2_592_000)]
    overlap_seconds: Option<u64>,
}

impl Api {
    /// Returns the webhooks, if the service sends some.
    pub(super) fn webhooks(&self) -> Result<&Arc<Webhooks>, Refusal> {
        self.webhooks.as_ref().filter(|_| self.service().keeps_webhooks()).ok_or_else(Refusal::no_webhooks)
    }

    fn shown_webhook(&self, hook: &Webhook) -> Result<ShownWebhook, Refusal> {
        let settings = hook.settings().ok_or_else(Refusal::webhook_not_found)?;
        let (health, waiting) = hook.health();
        let all = || EventKind::ALL.map(|kind| kind.name().to_owned()).to_vec();
        Ok(ShownWebhook {
            id: hook.id,
            url: settings.url.clone(),
            types: settings.types.clone().unwrap_or_else(all),
            description: settings.description.clone(),
            status: hook.status().ok_or_else(Refusal::webhook_not_found)?.name(),
            disabled_reason: settings.disabled.map(|disabled| disabled.why.name()),
            disabled_at: settings.disabled.map(|disabled| time_text::render(disabled.at)),
            failing_since: health.failing_since.map(time_text::render),
            waiting,
            missed: health.missed,
            old_secret_until: settings.overlap_until(self.now()).map(time_text::render),
            created_at: time_text::render(settings.created_at),
        })
    }

    fn shown_secret(&self, hook: &Webhook) -> Result<ShownSecret, Refusal> {
        let settings = hook.settings().ok_or_else(Refusal::webhook_not_found)?;
        Ok(ShownSecret { shown: self.shown_webhook(hook)?, secret: settings.secret().to_owned() })
    }

    fn read_url(&self, value: &Value) -> Result<String, Wrong> {
        let url = read::text(value)?;
        if url.is_empty() || url.len() > MAX_URL {
            return Err(format!("must have between 1 and {MAX_URL} bytes").into());
        }
        self.webhooks.as_ref().map_or(Ok(()), |webhooks| webhooks.check(url))?;
        Ok(url.to_owned())
    }
}

fn read_types(value: &Value) -> Result<Vec<String>, Wrong> {
    let wrong = || Wrong::from(format!("must be a list of types: {}", EventKind::ALL.map(EventKind::name).join(", ")));
    let mut types: Vec<String> = Vec::new();
    for name in value.as_array().filter(|names| !names.is_empty()).ok_or_else(wrong)? {
        let kind: EventKind = read::text(name)?.parse().map_err(|_| wrong())?;
        if !types.iter().any(|known| known == kind.name()) {
            types.push(kind.name().to_owned());
        }
    }
    Ok(types)
}

fn read_description(value: &Value) -> Result<String, Wrong> {
    let text = read::text(value)?;
    let is_short = text.chars().count() <= MAX_DESCRIPTION;
    if is_short { Ok(text.to_owned()) } else { Err(format!("must have at most {MAX_DESCRIPTION} characters").into()) }
}

/// Lists the webhooks of the environment, oldest first, without their secrets. In a fleet, those of this node.
#[utoipa::path(
    get, path = "/api/v1/webhooks", tag = "events", operation_id = "listWebhooks",
    responses(
        (status = 200, description = "All webhooks", body = Data<Vec<ShownWebhook>>, example = json!(
            {"success": true, "data": [example::webhook()]}
        )),
        (status = 501, description = "`NOT_STORED`: the service keeps no events, or sends no webhooks"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn list(Tenant(environment): Tenant, State(api): State<Api>) -> Result<Response, Refusal> {
    let hooks = api.webhooks()?.of(environment)?;
    // One that was deleted meanwhile is left out.
    let shown: Vec<_> = hooks.iter().filter_map(|hook| api.shown_webhook(hook).ok()).collect();
    Ok(reply::data(shown))
}

/// Creates a webhook. It sends the events that come after it. This response and those of rotations contain its secret, no other
/// does.
#[utoipa::path(
    post, path = "/api/v1/webhooks", tag = "events", operation_id = "createWebhook",
    request_body(content = NewWebhook, examples(
        ("all" = (value = json!({"url": example::RECEIVER}))),
        ("calls" = (value = json!(
            {"url": example::RECEIVER, "types": ["call.recorded", "route.decided"], "description": "CRM"}
        ))),
    )),
    responses(
        (status = 201, description = "The new webhook, with its secret", body = Data<ShownSecret>, example = json!(
            {"success": true, "data": example::webhook_with_secret()}
        )),
        (status = 409, description = "`QUOTA_EXCEEDED`: the environment has 16 webhooks, or the service as many as it may have; `WEBHOOK_EXISTS`: the environment has one with this id"),
        (status = 501, description = "`NOT_STORED`: the service keeps no events, or sends no webhooks"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn create(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    mut form: Form,
) -> Result<Response, Refusal> {
    let url = form.required("url", |value| api.read_url(value));
    let types = form.nullable("types", read_types).value();
    let description = form.optional("description", read_description).unwrap_or_default();
    let id = form.optional("id", read::uuid);
    let wanted = form.finish(|| Some(Wanted { url: url?, types, description }))?;
    let hooks = api.webhooks()?;
    if !api.service().has_feed() {
        return Err(Refusal::no_webhooks());
    }
    Submitted::note();
    let hook = hooks.create(environment, id.unwrap_or_else(new_id::uuid), wanted).await?;
    Ok(reply::created(api.shown_secret(&hook)?))
}

/// Shows a webhook, without its secret.
#[utoipa::path(
    get, path = "/api/v1/webhooks/{webhook}", tag = "events", operation_id = "showWebhook",
    params(("webhook" = Uuid, Path, description = "The webhook", example = json!(example::WEBHOOK))),
    responses(
        (status = 200, description = "The webhook", body = Data<ShownWebhook>, example = json!(
            {"success": true, "data": example::webhook()}
        )),
        (status = 404, description = "`WEBHOOK_NOT_FOUND`: the id is malformed or unknown"),
        (status = 501, description = "`NOT_STORED`: the service keeps no events, or sends no webhooks"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn show(
    Tenant(environment): Tenant,
    Named(id): Named<Uuid>,
    State(api): State<Api>,
) -> Result<Response, Refusal> {
    let hook = api.webhooks()?.find(environment, id)?;
    Ok(reply::data(api.shown_webhook(&hook)?))
}

/// Changes a webhook, disables or enables it. Messages that are under way are not stopped.
#[utoipa::path(
    put, path = "/api/v1/webhooks/{webhook}", tag = "events", operation_id = "updateWebhook",
    params(("webhook" = Uuid, Path, description = "The webhook", example = json!(example::WEBHOOK))),
    request_body(content = ChangedWebhook, examples(
        ("types" = (value = json!({"types": ["call.recorded"]}))),
        ("enable" = (value = json!({"enabled": true}))),
    )),
    responses(
        (status = 200, description = "The webhook after the change", body = Data<ShownWebhook>, example = json!(
            {"success": true, "data": example::webhook()}
        )),
        (status = 404, description = "`WEBHOOK_NOT_FOUND`: the id is malformed or unknown"),
        (status = 501, description = "`NOT_STORED`: the service keeps no events, or sends no webhooks"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn update(
    Tenant(environment): Tenant,
    Named(id): Named<Uuid>,
    State(api): State<Api>,
    mut form: Form,
) -> Result<Response, Refusal> {
    let url = form.optional("url", |value| api.read_url(value));
    let types = form.nullable("types", read_types);
    let description = form.optional("description", read_description);
    let enabled = form.optional("enabled", read::boolean);
    form.finish(|| Some(()))?;
    let hooks = api.webhooks()?;
    let hook = hooks.find(environment, id)?;
    let at = api.now();
    let edit = move |settings: &Settings| {
        let mut changed = settings.clone();
        if let Some(url) = url {
            changed.url = url;
        }
        match types {
            Given::Missing => {}
            given => changed.types = given.value(),
        }
        if let Some(description) = description {
            changed.description = description;
        }
        match enabled {
            None => {}
            Some(true) => changed.disabled = None,
            Some(false) => changed.disable(Disabled { at, why: Why::Request }),
        }
        changed
    };
    Submitted::note();
    hooks.edit(&hook, edit).await?;
    Ok(reply::data(api.shown_webhook(&hook)?))
}

/// Deletes a webhook. Messages that are under way may still arrive.
#[utoipa::path(
    delete, path = "/api/v1/webhooks/{webhook}", tag = "events", operation_id = "deleteWebhook",
    params(("webhook" = Uuid, Path, description = "The webhook", example = json!(example::WEBHOOK))),
    responses(
        (status = 200, description = "The webhook is deleted", body = Message<'static>, example = json!(
            {"success": true, "message": "Webhook deleted"}
        )),
        (status = 404, description = "`WEBHOOK_NOT_FOUND`: the id is malformed or unknown"),
        (status = 501, description = "`NOT_STORED`: the service keeps no events, or sends no webhooks"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn remove(
    Tenant(environment): Tenant,
    Named(id): Named<Uuid>,
    State(api): State<Api>,
) -> Result<Response, Refusal> {
    let hooks = api.webhooks()?;
    let hook = hooks.find(environment, id)?;
    Submitted::note();
    hooks.remove(&hook).await?;
    Ok(reply::message(StatusCode::OK, "Webhook deleted"))
}

/// Gives a webhook a new secret. The old one signs too during an overlap, one before it does not any more.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{webhook}/rotate", tag = "events", operation_id = "rotateWebhook",
    params(("webhook" = Uuid, Path, description = "The webhook", example = json!(example::WEBHOOK))),
    request_body(content = SecretRotation, examples(
        ("usual" = (value = json!({}))),
        ("short" = (value = json!({"overlap_seconds": 300}))),
    )),
    responses(
        (status = 201, description = "The webhook, with its new secret", body = Data<ShownSecret>, example = json!(
            {"success": true, "data": example::webhook_with_secret()}
        )),
        (status = 404, description = "`WEBHOOK_NOT_FOUND`: the id is malformed or unknown"),
        (status = 501, description = "`NOT_STORED`: the service keeps no events, or sends no webhooks"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn rotate(
    Tenant(environment): Tenant,
    Named(id): Named<Uuid>,
    State(api): State<Api>,
    mut form: Form,
) -> Result<Response, Refusal> {
    let overlap = form.optional("overlap_seconds", |value| read::seconds(value, MAX_OVERLAP)).unwrap_or(OVERLAP);
    form.finish(|| Some(()))?;
    let hooks = api.webhooks()?;
    let hook = hooks.find(environment, id)?;
    let until = api.now().plus_millis(overlap * 1000);
    Submitted::note();
    let settings = hooks.edit(&hook, move |settings| settings.rotated(until)).await?;
    Ok(reply::created(ShownSecret { shown: api.shown_webhook(&hook)?, secret: settings.secret().to_owned() }))
}
