//! `/tokens`: the access tokens, managed by operators.

use crate::event::{Change, Role};
use crate::http::openapi::{example, schema};
use crate::http::request::auth::Operator;
use crate::http::request::form::Form;
use crate::http::request::idempotency::{Key, Repeatable};
use crate::http::request::path::Named;
use crate::http::request::read;
use crate::http::request::token::Token;
use crate::http::response::error::Refusal;
use crate::http::response::list::{self, Items, Listing, Shows};
use crate::http::response::reply::{Data, Message};
use crate::http::response::{render, reply};
use crate::http::{Api, new_id};
use crate::id::{EnvironmentId, TokenId};
use crate::plan::Plan;
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
    let tokens = Tokens(tokens.into_iter().map(|token| token.digest).collect());
    Listing::new(tokens, Shows::Plain).answer(&api, EnvironmentId::SYSTEM).await
}

/// The tokens that existed when the list began, by digest.
struct Tokens(Vec<[u8; 32]>);

impl Items for Tokens {
    fn places(&self, _: &Plan) -> usize {
        self.0.len()
    }

    fn item(&mut self, plan: &Plan, place: usize, out: Option<&mut Vec<u8>>) -> bool {
        let Some(token) = self.0.get(place).and_then(|digest| plan.token(digest)) else { return false };
        if let Some(out) = out {
            list::write(out, &render::Token::from(token));
        }
        true
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
}

/// Creates a token. Only this response contains the secret.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "operators", operation_id = "issueToken", params(Repeatable),
    request_body(content = NewToken, examples(
        ("environment" = (value = json!(
            {"role": "environment", "environment_id": example::ENVIRONMENT, "label": "CRM"}
        ))),
        ("gateway" = (value = json!({"role": "gateway"}))),
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
        Ok((vec![Change::TokenIssued { id, role, label, digest }], ()))
    };
    let render = move |plan: &Plan, ()| {
        let issued = plan.token(&digest).ok_or_else(Refusal::internal)?;
        Ok(reply::created(Issued { shown: issued.into(), token: secret }))
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
