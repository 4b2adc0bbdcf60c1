//! The actor of a change, as the API shows it.

use crate::event::{Actor, Role};
use crate::http::openapi::schema;
use crate::id::TokenId;
use serde::Serialize;
use std::borrow::Cow;
use utoipa::ToSchema;
use uuid::Uuid;

/// The actor of a change.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ShownActor<'a> {
    /// `token`: a client with a token. `command`: a command on the daemon's machine. `import`: an import there. `unknown`: the
    /// actor is not recorded, as for changes by earlier versions.
    #[schema(schema_with = schema::actor_kind)]
    kind: &'static str,
    /// The token; only an operator sees the id and the label of an operator token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Uuid)]
    id: Option<TokenId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, schema_with = schema::role)]
    role: Option<&'static str>,
    /// The label that the token had at the time of the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    label: Option<Cow<'a, str>>,
}

impl<'a> ShownActor<'a> {
    /// Returns the actor. Only a reader who sees operators gets the id and the label of an operator token.
    pub(in crate::http) fn new(actor: &'a Actor, sees_operators: bool) -> Self {
        let plain = |kind| Self { kind, id: None, role: None, label: None };
        match actor {
            Actor::Token { id, role, label } => {
                let is_seen = sees_operators || *role != Role::Operator;
                let label = (is_seen && !label.is_empty()).then(|| Cow::from(label));
                Self { kind: TOKEN, id: is_seen.then_some(*id), role: Some(role.name()), label }
            }
            Actor::Command => plain(COMMAND),
            Actor::Import => plain(IMPORT),
            Actor::Unknown => plain(UNKNOWN),
        }
    }

    /// Returns the actor in words.
    pub(in crate::http) fn text(&self) -> String {
        match (self.kind, &self.label, self.id) {
            (TOKEN, Some(label), _) => format!("token {label}"),
            (TOKEN, None, Some(id)) => format!("token {id}"),
            (TOKEN, None, None) => "a token of an operator".into(),
            (COMMAND, ..) => "a command on the daemon's machine".into(),
            (IMPORT, ..) => "an import on the daemon's machine".into(),
            _ => "an actor that is not recorded".into(),
        }
    }

    pub(in crate::http) fn into_owned(self) -> ShownActor<'static> {
        let Self { kind, id, role, label } = self;
        ShownActor { kind, id, role, label: label.map(|label| label.into_owned().into()) }
    }

    /// Returns whether a question about an actor means this one.
    pub(in crate::http) fn is(&self, wanted: Wanted) -> bool {
        match wanted {
            Wanted::Kind(kind) => self.kind == kind,
            Wanted::Token(id) => self.id == Some(id),
        }
    }
}

/// The actors that a question is about.
#[derive(Clone, Copy)]
pub(in crate::http) enum Wanted {
    Kind(&'static str),
    Token(TokenId),
}

impl Wanted {
    /// Reads a kind of actors, or the id of a token.
    pub(in crate::http) fn read(text: &str) -> Option<Self> {
        let kind = KINDS.into_iter().find(|kind| *kind == text).map(Self::Kind);
        kind.or_else(|| Uuid::try_parse(text).ok().map(|id| Self::Token(id.into())))
    }
}

const TOKEN: &str = "token";
const COMMAND: &str = "command";
const IMPORT: &str = "import";
const UNKNOWN: &str = "unknown";
/// All kinds of actors.
pub(in crate::http) const KINDS: [&str; 4] = [TOKEN, COMMAND, IMPORT, UNKNOWN];
