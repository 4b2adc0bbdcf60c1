//! `/tokens`: the access tokens, managed by operators.

use crate::event::{Change, Role};
use crate::http::openapi::{example, schema};
use crate::http::request::auth::Operator;
use crate::http::request::form::{Form, Given};
use crate::http::request::idempotency::{Key, Repeatable};
use crate::http::request::path::Named;
use crate::http::request::read;
use crate::http::request::token::Token;
use crate::http::response::error::Refusal;
use crate::http::response::list::{self, Items, Listing, Shows};
use crate::http::response::reply::{Data, Message};
use crate::http::response::{render, reply, time_text};
use crate::http::{Api, new_id};
use crate::id::{EnvironmentId, TokenId};
use crate::plan::{self, Plan};
use crate::time::Timestamp;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

/// A token that has just been created.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Issued<'a> {
    #[serde(flatten)]
    shown: render::Token<'a>,
    /// The secret token.
    #[schema(pattern = "^(talq|gate|oper)_[A-Za-z0-9_-]{43}$")]
    token: String,
}

/// Lists all tokens, oldest first, without their secrets.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "operators", operation_id = "listTokens",
    responses((status = 200, description = "All tokens", body = Data<Vec<render::Token<'static>>>, example = json!(
        {"success": true, "data": [example::token()]}
    ))),
    security(("operator" = [])),
)]
pub(in crate::http) async fn list(_: Operator, State(api): State<Api>) -> Response {
    let plan = api.service().plan();
    let mut tokens: Vec<_> = plan.tokens().collect();
    tokens.sort_by_key(|token| (token.issued_at, token.id));
    let tokens = Tokens { api: api.clone(), digests: tokens.into_iter().map(|token| token.digest).collect() };
    Listing::new(tokens, Shows::Plain).answer(&api, EnvironmentId::SYSTEM).await
}

/// The tokens that existed when the list began.
struct Tokens {
    api: Api,
    digests: Vec<[u8; 32]>,
}

impl Items for Tokens {
    fn places(&self, _: &Plan) -> usize {
        self.digests.len()
    }

    fn item(&mut self, plan: &Plan, place: usize, out: Option<&mut Vec<u8>>) -> bool {
        let Some(token) = self.digests.get(place).and_then(|digest| plan.token(digest)) else { return false };
        if let Some(out) = out {
            list::write(out, &self.api.shown_token(token));
        }
        true
    }
}

impl Api {
    fn shown_token<'a>(&self, token: &'a plan::Token) -> render::Token<'a> {
        render::Token::new(token, self.last_used.of(&token.digest))
    }
}

/// A new token.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(in crate::http) struct NewToken {
    #[schema(schema_with = schema::role)]
    role: String,
    /// Required for the role `environment`, not allowed for others.
    #[schema(value_type = Option<Uuid>)]
    environment_id: Option<EnvironmentId>,
    #[schema(min_length = 1, max_length = 255)]
    label: Option<String>,
    /// The first moment, in the future, at which the token is not valid any more. Without it, the token does not expire.
    #[schema(schema_with = schema::moment_or_null, required = false)]
    expires_at: Option<String>,
}

/// Creates a token. Only this response contains the secret.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "operators", operation_id = "issueToken", params(Repeatable),
    request_body(content = NewToken, examples(
        ("environment" = (value = json!(
            {"role": "environment", "environment_id": example::ENVIRONMENT, "label": "CRM"}
        ))),
        ("gateway" = (value = json!({"role": "gateway"}))),
        ("expiring" = (value = json!({"role": "gateway", "expires_at": "2038-01-19T03:14:07Z"}))),
    )),
    responses(
        (status = 201, description = "The new token", body = Data<Issued<'static>>, example = json!(
            {"success": true, "data": example::issued()}
        )),
        (status = 409, description = "`SHOWN_ONCE`: a request with this key created a token, and its secret is not shown again"),
    ),
    security(("operator" = [])),
)]
pub(in crate::http) async fn issue(
    _: Operator,
    State(api): State<Api>,
    key: Key,
    mut form: Form,
) -> Result<Response, Refusal> {
    let keyed = key.of(EnvironmentId::SYSTEM, &form).shown_once();
    let role = form.required("role", read::role);
    let environment = form.optional("environment_id", read::uuid::<EnvironmentId>);
    let label = form.optional("label", read::name).unwrap_or_default();
    let expires_at = form.optional("expires_at", |value| read::future(value, api.now()));
    match (role, environment) {
        (Some(Role::Environment), None) => form.error("environment_id", &"is required for this role".into()),
        (Some(Role::Gateway | Role::Operator), Some(_)) => {
            form.error("environment_id", &"is allowed only for the role environment".into());
        }
        _ => {}
    }
    let role = form.finish(|| role)?;
    let environment = environment.unwrap_or(EnvironmentId::SYSTEM);

    let id = TokenId::from(new_id::uuid());
    let Token { secret, digest } = Token::issue(role);
    let decide = move |plan: &Plan| {
        if role == Role::Environment && plan.environment(environment).is_none() {
            let what = "The environment_id field must name an environment.";
            return Err(Refusal::invalid_field("environment_id", what));
        }
        Ok((issuing(id, role, label, digest, expires_at).collect(), ()))
    };
    let shows = api.clone();
    let render = move |plan: &Plan, ()| {
        let issued = plan.token(&digest).ok_or_else(Refusal::internal)?;
        Ok(reply::created(Issued { shown: shows.shown_token(issued), token: secret }))
    };
    api.answer(environment, keyed, decide, render).await
}

/// Revokes a token. The next request with it is rejected.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{token}", tag = "operators", operation_id = "revokeToken",
    params(("token" = Uuid, Path, description = "The token", example = json!(example::TOKEN))),
    responses(
        (status = 200, description = "The token is revoked", body = Message<'static>, example = json!(
            {"success": true, "message": "Token revoked"}
        )),
        (status = 404, description = "`TOKEN_NOT_FOUND`: the id is malformed or unknown"),
    ),
    security(("operator" = [])),
)]
pub(in crate::http) async fn revoke(
    _: Operator,
    Named(id): Named<TokenId>,
    State(api): State<Api>,
) -> Result<Response, Refusal> {
    let plan = api.service().plan();
    let token = plan.tokens().find(|token| token.id == id).ok_or_else(Refusal::token_not_found)?;
    api.change(token.environment, move |_| Ok(vec![Change::TokenRevoked { id }])).await?;
    api.rate_limits.tidy();
    Ok(reply::message(StatusCode::OK, "Token revoked"))
}

/// Returns the changes that create a token.
fn issuing(
    id: TokenId,
    role: Role,
    label: String,
    digest: [u8; 32],
    expires_at: Option<Timestamp>,
) -> impl Iterator<Item = Change> {
    let issued = Change::TokenIssued { id, role, label, digest };
    std::iter::once(issued).chain(expires_at.map(|at| Change::TokenExpires { id, at }))
}

/// The overlap of a rotation in seconds, unless the request has one: a day.
const OVERLAP: u64 = 86_400;

/// The longest overlap of a rotation in seconds: thirty days.
const MAX_OVERLAP: u64 = 30 * 86_400;

/// A token that has just been created in place of another one.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Rotated<'a> {
    #[serde(flatten)]
    issued: Issued<'a>,
    replaces: OldToken,
}

/// A token that another one replaces.
#[derive(Serialize, ToSchema)]
struct OldToken {
    #[schema(value_type = Uuid)]
    id: TokenId,
    /// The first moment at which it is not valid any more.
    #[schema(schema_with = schema::moment)]
    expires_at: String,
}

/// How a token is replaced.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(in crate::http) struct Rotation {
    /// How long the old token stays valid, in seconds. By default a day.
    #[schema(minimum = 0, maximum = 2_592_000)]
    overlap_seconds: Option<u64>,
    /// When the new token expires; null if it does not. Required if the old token expires.
    #[schema(schema_with = schema::moment_or_null, required = false)]
    expires_at: Option<String>,
}

/// Creates a token in place of another one, with its role, environment and label. Both are valid during an overlap.
#[utoipa::path(
    post, path = "/api/v1/tokens/{token}/rotate", tag = "operators", operation_id = "rotateToken",
    params(("token" = Uuid, Path, description = "The old token", example = json!(example::TOKEN)), Repeatable),
    request_body(content = Rotation, examples(
        ("usual" = (value = json!({}))),
        ("short" = (value = json!({"overlap_seconds": 300, "expires_at": "2038-01-19T03:14:07Z"}))),
    )),
    responses(
        (status = 201, description = "The new token", body = Data<Rotated<'static>>, example = json!(
            {"success": true, "data": example::rotated()}
        )),
        (status = 404, description = "`TOKEN_NOT_FOUND`: the id is malformed or unknown"),
        (status = 409, description = "`TOKEN_EXPIRED`: the token is not valid any more; `SHOWN_ONCE`: a request with this key rotated \
            the token, and the secret is not shown again"),
    ),
    security(("operator" = [])),
)]
pub(in crate::http) async fn rotate(
    _: Operator,
    Named(id): Named<TokenId>,
    State(api): State<Api>,
    key: Key,
    mut form: Form,
) -> Result<Response, Refusal> {
    let keyed = key.of(EnvironmentId::SYSTEM, &form).shown_once();
    let now = api.now();
    let overlap = form.optional("overlap_seconds", |value| read::seconds(value, MAX_OVERLAP)).unwrap_or(OVERLAP);
    let expires_at = form.nullable("expires_at", |value| read::future(value, now));
    form.finish(|| Some(()))?;

    let plan = api.service().plan();
    let old = plan.tokens().find(|token| token.id == id).ok_or_else(Refusal::token_not_found)?;
    let (environment, new_id, Token { secret, digest }) =
        (old.environment, new_id::uuid().into(), Token::issue(old.role));
    let decide = move |plan: &Plan| {
        let old = plan.tokens().find(|token| token.id == id).ok_or_else(Refusal::token_not_found)?;
        if !old.is_valid(|| now) {
            return Err(Refusal::token_expired());
        }
        let expires_at = match expires_at {
            Given::Missing if old.expires_at.is_some() => {
                let what = "The expires_at field is required, because the old token expires; null means never.";
                return Err(Refusal::invalid_field("expires_at", what));
            }
            given => given.value(),
        };
        let end = now.plus_millis(overlap * 1000);
        let end = old.expires_at.map_or(end, |earlier| earlier.min(end));
        let issuing = issuing(new_id, old.role, old.label.clone(), digest, expires_at);
        Ok((issuing.chain([Change::TokenExpires { id, at: end }]).collect(), end))
    };
    let shows = api.clone();
    let render = move |plan: &Plan, end: Timestamp| {
        let new = plan.token(&digest).ok_or_else(Refusal::internal)?;
        let issued = Issued { shown: shows.shown_token(new), token: secret };
        let replaces = OldToken { id, expires_at: time_text::render(end) };
        Ok(reply::created(Rotated { issued, replaces }))
    };
    api.answer(environment, keyed, decide, render).await
}
