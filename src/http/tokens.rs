//! `/tokens`: who is let in, for operators.

use super::auth::Operator;
use super::error::Refusal;
use super::form::Form;
use super::path::Named;
use super::token::Token;
use super::{Api, fresh, read, render, reply};
use crate::event::{Change, Role};
use crate::id::{EnvironmentId, TokenId};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

#[derive(Serialize)]
struct Issued<'a> {
    #[serde(flatten)]
    shown: render::Token<'a>,
    token: String,
}

pub(super) async fn list(_: Operator, State(api): State<Api>) -> Response {
    let plan = api.service.plan();
    let mut tokens: Vec<_> = plan.tokens().collect();
    tokens.sort_by_key(|token| (token.issued_at, token.id));
    reply::data(tokens.into_iter().map(render::Token::from).collect::<Vec<_>>())
}

/// Makes a token. The answer is the only place where it ever stands.
pub(super) async fn issue(_: Operator, State(api): State<Api>, mut form: Form) -> Result<Response, Refusal> {
    let role = form.required("role", read::role);
    let environment = form.optional("environment_id", |value| read::uuid(value, EnvironmentId::parse));
    let label = form.optional("label", read::name).unwrap_or_default();
    match (role, environment) {
        (Some(Role::Environment), None) => form.error("environment_id", &"is required for this role".into()),
        (Some(Role::Gateway | Role::Operator), Some(_)) => {
            form.error("environment_id", &"is only for the role environment".into());
        }
        _ => {}
    }
    let role = form.finish(|| role)?;
    let environment = environment.unwrap_or(EnvironmentId::SYSTEM);

    let id = TokenId::from(fresh::uuid());
    let Token { secret, digest } = Token::issue(role);
    let plan = api.change(environment, move |_| Ok(vec![Change::TokenIssued { id, role, label, digest }])).await?;
    let issued = plan.token(&digest).ok_or_else(Refusal::internal)?;
    Ok(reply::created(Issued { shown: issued.into(), token: secret }))
}

pub(super) async fn revoke(
    _: Operator,
    Named(id): Named<TokenId>,
    State(api): State<Api>,
) -> Result<Response, Refusal> {
    let plan = api.service.plan();
    let token = plan.tokens().find(|token| token.id == id).ok_or_else(Refusal::token_not_found)?;
    api.change(token.environment, move |_| Ok(vec![Change::TokenRevoked { id }])).await?;
    Ok(reply::message(StatusCode::OK, "Token revoked"))
}
