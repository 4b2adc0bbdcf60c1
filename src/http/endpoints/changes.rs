//! `GET /changes`: the changes of the configuration, with their actors.

use crate::event::Configuration;
use crate::http::Api;
use crate::http::middleware::work::pause;
use crate::http::openapi::{example, schema};
use crate::http::request::auth::Manager;
use crate::http::request::cursor::{Cursor, Cursors};
use crate::http::request::form::QueryForm;
use crate::http::request::read;
use crate::http::response::actor::{ShownActor, Wanted};
use crate::http::response::change::{self, ShownChange};
use crate::http::response::error::Refusal;
use crate::http::response::list::write;
use crate::http::response::reply::{self, Listed};
use crate::http::response::time_text;
use crate::id::EnvironmentId;
use crate::plan::{EnvironmentView, Plan};
use crate::store::{Excerpt, Excerpts};
use crate::time::Timestamp;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// The most entries of a page.
const MAX_ENTRIES: usize = 100;
/// The size in bytes at which a page ends.
const MAX_PAGE: usize = 512 << 10;
/// The most excerpts that a request reads: about 8,000 configurations.
const MAX_EXCERPTS: usize = 64;
/// The number of stored bytes after which a request reads no further excerpt.
const MAX_READ: usize = 4 << 20;
/// How far the times of two changes may contradict their order: the clocks of a fleet's nodes differ, and a clock may be set.
const DISORDER: u64 = 24 * 60 * 60 * 1000;

/// A configuration that was accepted, with its actor.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Entry<'a> {
    /// The version of the configuration that it made: that of the environment for an environment token, as in `GET /route`.
    generation: u64,
    #[schema(schema_with = schema::moment)]
    at: String,
    /// The environment; null for tokens of gateways and operators.
    #[schema(required, value_type = Option<Uuid>)]
    environment_id: Option<EnvironmentId>,
    actor: ShownActor<'a>,
    /// The actor in words.
    actor_text: String,
    /// The first fifty changes, in their order.
    #[schema(max_items = 50)]
    changes: Vec<ShownChange>,
    /// The number of changes, also of those that are not listed.
    changes_total: usize,
}

/// Where the list continues.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Meta {
    /// The cursor of older changes; null if there are none. A page with a cursor may have few entries, or none.
    #[schema(required)]
    next_cursor: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
struct Asked {
    /// Only changes from this time on.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only changes of this actor: the id of a token, or `token`, `command`, `import` or `unknown`.
    #[param(schema_with = schema::wanted_actor, example = json!("token"))]
    actor: Option<String>,
    /// Only changes of this environment. An environment token can name its own only.
    environment_id: Option<Uuid>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[0-9a-f]{32}$")]
    cursor: Option<String>,
}

/// Lists changes of the configuration, newest first: their times, their actors, and what changed.
///
/// A page has at most a hundred entries. A request examines a limited number of changes, so a page may end earlier.
#[utoipa::path(
    get, path = "/api/v1/changes", tag = "configuration", operation_id = "listChanges", params(Asked),
    responses(
        (status = 200, description = "A page of changes", body = Listed<Vec<Entry<'static>>, Meta>, example = json!({
            "success": true,
            "data": [{
                "generation": 6, "at": example::CREATED_AT, "environment_id": example::ENVIRONMENT,
                "actor": {"kind": "token", "id": example::TOKEN, "role": "environment", "label": "CRM"},
                "actor_text": "token CRM",
                "changes": [{
                    "change": "default_agent_set",
                    "text": "Set the default agent to Callback Handler for the number +15551234567.",
                    "agent": {"id": example::CALLBACK, "name": "Callback Handler"},
                    "number": {"id": example::NUMBER, "number": example::DIALED},
                }],
                "changes_total": 1,
            }],
            "meta": {"next_cursor": null},
        })),
        (status = 404, description = "`ENVIRONMENT_NOT_FOUND`: the environment is not that of the token"),
        (status = 501, description = "`NOT_STORED`: the service keeps no data on disk"),
    ),
    security(("environment" = []), ("operator" = [])),
)]
pub(in crate::http) async fn list(
    manager: Manager,
    State(api): State<Api>,
    QueryForm(mut form): QueryForm,
) -> Result<Response, Refusal> {
    let since = form.optional("since", read::moment);
    let actor = form.optional("actor", |value| {
        let wanted = Wanted::read(read::text(value)?);
        wanted.ok_or_else(|| "must be the id of a token, or token, command, import or unknown".into())
    });
    let wanted = form.optional("environment_id", read::uuid);
    let (reader, of) = match manager {
        Manager::Tenant(own) => (own, Some(own)),
        Manager::Operator => (EnvironmentId::SYSTEM, wanted),
    };
    let cursors = Cursors::of(&api, reader);
    let cursor = form.optional("cursor", |value| {
        cursors.read(read::text(value)?).ok_or_else(|| "must be the next_cursor of an earlier answer".into())
    });
    form.finish(|| Some(()))?;
    if wanted.is_some_and(|wanted| !manager.manages(wanted)) {
        return Err(Refusal::environment_not_found());
    }
    let excerpts = api.service().excerpts().ok_or_else(Refusal::no_changes)?;
    let plan = api.service().plan();
    let tenant = plan.environment(reader);
    let newest = Cursor { before: plan.generation() + 1, revision: tenant.map_or(0, EnvironmentView::revision) };
    let question = Question { of, since, actor, is_operator: tenant.is_none() };
    let place = cursor.filter(|cursor| cursor.before <= newest.before).unwrap_or(newest);
    let mut page = Page { plan: &plan, question, place, entries: 0, out: br#"{"success":true,"data":["#.to_vec() };
    let is_rest = page.fill(&excerpts).await?;
    let meta = Meta { next_cursor: is_rest.then(|| cursors.write(page.place)) };
    let mut out = page.out;
    out.extend_from_slice(br#"],"meta":"#);
    write(&mut out, &meta);
    out.push(b'}');
    Ok(reply::json_text(StatusCode::OK, out))
}

/// The changes that a request asks for.
struct Question {
    of: Option<EnvironmentId>,
    since: Option<Timestamp>,
    actor: Option<Wanted>,
    is_operator: bool,
}

/// A page in progress.
struct Page<'a> {
    plan: &'a Plan,
    question: Question,
    place: Cursor,
    entries: usize,
    out: Vec<u8>,
}

impl Page<'_> {
    /// Reads changes until the page is full, or until the request has read enough. Returns whether older changes are left.
    async fn fill(&mut self, excerpts: &Arc<Excerpts>) -> Result<bool, Refusal> {
        let mut read = 0;
        for _ in 0..MAX_EXCERPTS {
            let Excerpt { configurations, bytes, reached } =
                excerpts(self.place.before, self.question.of).map_err(|error| {
                    tracing::error!(%error, "the changes cannot be read");
                    Refusal::internal()
                })?;
            for configuration in &configurations {
                if self.is_full() {
                    return Ok(true);
                }
                if self.question.is_past(configuration) {
                    return Ok(false);
                }
                self.add(configuration);
            }
            self.place.before = reached;
            read += bytes;
            if reached <= 1 {
                return Ok(false);
            }
            if self.is_full() || read >= MAX_READ {
                break;
            }
            pause().await;
        }
        Ok(true)
    }

    fn is_full(&self) -> bool {
        self.entries >= MAX_ENTRIES || self.out.len() >= MAX_PAGE
    }

    fn add(&mut self, configuration: &Configuration) {
        let Question { since, actor, is_operator, .. } = self.question;
        let generation = if is_operator { configuration.sequence } else { self.place.revision };
        self.place = Cursor { before: configuration.sequence, revision: self.place.revision.saturating_sub(1) };
        if since.is_some_and(|since| configuration.at < since) {
            return;
        }
        let shown = ShownActor::new(&configuration.actor, is_operator);
        if actor.is_some_and(|wanted| !shown.is(wanted)) {
            return;
        }
        let (changes, changes_total) = change::shown(self.plan, configuration);
        if changes.is_empty() {
            return;
        }
        if self.entries > 0 {
            self.out.push(b',');
        }
        self.entries += 1;
        let environment_id = Some(configuration.environment).filter(|id| *id != EnvironmentId::SYSTEM);
        let (at, actor_text) = (time_text::render(configuration.at), shown.text());
        write(
            &mut self.out,
            &Entry { generation, at, environment_id, actor: shown, actor_text, changes, changes_total },
        );
    }
}

impl Question {
    /// Returns whether this change, and all before it, are older than what is asked for.
    fn is_past(&self, configuration: &Configuration) -> bool {
        self.since.is_some_and(|since| configuration.at.plus_millis(DISORDER) < since)
    }
}
