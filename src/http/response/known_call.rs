//! A call that is known by an id or a context, as the API shows it.

use super::time_text;
use crate::decision::SourceCall;
use crate::event::Context;
use crate::http::openapi::schema;
use crate::id::AgentId;
use crate::number::E164;
use crate::service::KnownCall;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A call that was reported with an id or a context.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct DetailedCall {
    /// The id under which the call was reported; null if it was reported without one.
    #[schema(required)]
    call_id: Option<String>,
    #[schema(schema_with = schema::outcome)]
    status: &'static str,
    #[schema(schema_with = schema::moment)]
    called_at: String,
    #[schema(schema_with = schema::number)]
    from: String,
    #[schema(schema_with = schema::held_number)]
    to: String,
    #[schema(value_type = Uuid)]
    source_agent_id: AgentId,
    /// The context of the call, as it was reported; null if nothing was.
    #[schema(required, value_type = Option<Object>)]
    context: Option<Box<RawValue>>,
    /// When the context was reported.
    #[schema(schema_with = schema::moment_or_null)]
    context_at: Option<String>,
}

impl From<KnownCall> for DetailedCall {
    fn from(call: KnownCall) -> Self {
        Self {
            call_id: call.id.map(|id| id.as_str().to_owned()),
            status: call.outcome.public_name(),
            called_at: time_text::render(call.at),
            from: call.from.to_plus_form().to_string(),
            to: call.to.to_plus_form().to_string(),
            source_agent_id: call.agent,
            context: call.context.as_ref().and_then(raw),
            context_at: call.context_at.map(time_text::render),
        }
    }
}

/// The last call to the contact, which a decision considered.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct CallBehind {
    /// The id under which the call was reported; null if it was reported without one, or cannot be read in time.
    #[schema(required)]
    call_id: Option<String>,
    #[schema(schema_with = schema::outcome)]
    status: &'static str,
    #[schema(schema_with = schema::moment)]
    called_at: String,
    #[schema(schema_with = schema::number)]
    from: String,
    /// The context of the call, as it was reported; null if nothing was, or if it cannot be read in time.
    #[schema(required, value_type = Option<Object>)]
    context: Option<Box<RawValue>>,
}

impl CallBehind {
    /// Returns the call of a decision about `dialed`, with what is known of it.
    pub(in crate::http) fn new(call: &SourceCall, dialed: E164, known: Option<&KnownCall>) -> Self {
        Self {
            call_id: known.and_then(|known| Some(known.id.as_ref()?.as_str().to_owned())),
            status: call.outcome.public_name(),
            called_at: time_text::render(call.at),
            from: dialed.to_plus_form().to_string(),
            context: known.and_then(|known| raw(known.context.as_ref()?)),
        }
    }
}

fn raw(context: &Context) -> Option<Box<RawValue>> {
    RawValue::from_string(context.as_str().to_owned()).ok()
}
