//! Events of the feed in the API.

use super::actor::ShownActor;
use super::recorded::{ShownRecord, shown_decision};
use super::time_text;
use crate::http::openapi::schema;
use crate::store::{EventContent, FeedCall, FeedChange, FeedEnds, RecordPlace, StoredEvent};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// An event of the feed.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ShownEvent {
    /// The place of the event. `after` with this value continues with the next event.
    cursor: String,
    #[serde(rename = "type")]
    #[schema(schema_with = schema::event_kind)]
    kind: &'static str,
    /// When it happened.
    #[schema(schema_with = schema::moment)]
    at: String,
    data: ShownData,
}

/// The data of an event. It depends on the type.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::http) enum ShownData {
    /// `route.decided`: the routed call, as in `GET /routes`.
    Decided(Box<ShownRecord>),
    Answered(ShownAnswer),
    Called(ShownReportedCall),
    Changed(ShownConfiguration),
}

/// `route.answered`: the routed call was reported answered.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ShownAnswer {
    /// The id that the response to the call had.
    decision_id: Uuid,
    #[schema(schema_with = schema::moment)]
    answered_at: String,
}

/// `call.recorded`: an outbound call, or a new status of it, was recorded.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ShownReportedCall {
    /// The platform's id of the call; null if the report had none.
    #[schema(required)]
    call_id: Option<String>,
    agent_id: Uuid,
    #[schema(schema_with = schema::number)]
    from: String,
    #[schema(schema_with = schema::number)]
    to: String,
    #[schema(schema_with = schema::moment)]
    started_at: String,
    #[schema(schema_with = schema::outcome)]
    status: &'static str,
}

/// `configuration.changed`: the configuration of the environment changed. `GET /changes` shows how.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ShownConfiguration {
    /// The version of the configuration that the change made, as in `GET /changes`.
    generation: u64,
    actor: ShownActor<'static>,
    /// The actor in words.
    actor_text: String,
    /// The number of changes.
    changes_total: usize,
}

impl ShownEvent {
    /// Returns the type of the event.
    pub(in crate::http) fn kind(&self) -> &'static str {
        self.kind
    }

    /// Returns when it happened.
    pub(in crate::http) fn at(&self) -> &str {
        &self.at
    }

    pub(in crate::http) fn data(&self) -> &ShownData {
        &self.data
    }

    /// Returns the place of the event.
    pub(in crate::http) fn cursor(&self) -> &str {
        &self.cursor
    }
}

/// Returns the cursor of an event of this feed: the origin of the feed, and the number of the event.
pub(in crate::http) fn cursor(ends: &FeedEnds, number: u64) -> String {
    format!("{:08x}{number:016x}", u32::from_be_bytes(ends.origin))
}

/// Returns an event, or `None` if it is damaged.
pub(in crate::http) fn shown(event: &StoredEvent, cursor: String) -> Option<ShownEvent> {
    let data = match event.content.as_ref()? {
        EventContent::Decided(record) => {
            let place = RecordPlace { at: event.at, id: event.id.unwrap_or_default() };
            ShownData::Decided(Box::new(shown_decision(place, None, record)))
        }
        EventContent::Answered => ShownData::Answered(ShownAnswer {
            decision_id: Uuid::from_u128(event.id.unwrap_or_default()),
            answered_at: time_text::render(event.at),
        }),
        EventContent::Called(FeedCall { agent, from, to, at, outcome, call_id }) => {
            ShownData::Called(ShownReportedCall {
                call_id: call_id.clone(),
                agent_id: Uuid::from_u128(agent.as_u128()),
                from: from.to_plus_form().to_string(),
                to: to.to_plus_form().to_string(),
                started_at: time_text::render(*at),
                status: outcome.public_name(),
            })
        }
        EventContent::Changed(FeedChange { revision, actor, changes }) => {
            let actor = ShownActor::new(actor, false).into_owned();
            let actor_text = actor.text();
            let (generation, changes_total) = (*revision, *changes);
            ShownData::Changed(ShownConfiguration { generation, actor, actor_text, changes_total })
        }
    };
    Some(ShownEvent { cursor, kind: event.kind.name(), at: time_text::render(event.at), data })
}
