//! Who asks: from the `Authorization` header to what its holder may do.

use super::error::Refusal;
use super::{Api, token};
use crate::event::Role;
use crate::id::EnvironmentId;
use crate::plan::{self, Plan};
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use std::borrow::Cow;
use subtle::ConstantTimeEq;

/// The holder of an environment token, within that environment.
pub(super) struct Tenant(pub(super) EnvironmentId);

/// The holder of an operator token.
pub(super) struct Operator;

/// Whoever may ask for routes: operators too, who could make themselves a gateway's token and ask with that.
pub(super) struct Asker {
    pub(super) reach: Reach,
    /// Who operates asks what would be; nobody is on the line.
    pub(super) is_operator: bool,
}

/// Where somebody may record calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// In this environment: a tenant.
    One(EnvironmentId),
    /// In every environment: a gateway.
    Every,
}

impl Reach {
    pub(super) fn covers(self, environment: EnvironmentId) -> bool {
        self == Self::Every || self == Self::One(environment)
    }

    /// The one environment that it is, if it is one.
    pub(super) fn environment(self) -> Option<EnvironmentId> {
        match self {
            Self::One(environment) => Some(environment),
            Self::Every => None,
        }
    }
}

impl FromRequestParts<Api> for Tenant {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        match authenticate(parts, api)? {
            (Role::Environment, environment) => Ok(Self(environment)),
            _ => Err(Refusal::forbidden("This takes the token of an environment")),
        }
    }
}

impl FromRequestParts<Api> for Operator {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        match authenticate(parts, api)? {
            (Role::Operator, _) => Ok(Self),
            _ => Err(Refusal::forbidden("This takes the token of an operator")),
        }
    }
}

impl FromRequestParts<Api> for Reach {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        match authenticate(parts, api)? {
            (Role::Environment, environment) => Ok(Self::One(environment)),
            (Role::Gateway, _) => Ok(Self::Every),
            (Role::Operator, _) => Err(Refusal::forbidden("This takes the token of an environment or of a gateway")),
        }
    }
}

impl FromRequestParts<Api> for Asker {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        let (role, environment) = authenticate(parts, api)?;
        let reach = if role == Role::Environment { Reach::One(environment) } else { Reach::Every };
        Ok(Self { reach, is_operator: role == Role::Operator })
    }
}

/// Whose work the request is: the environment of a valid token. Operators and gateways count as one. The request is not
/// admitted by this.
pub(super) fn holder(headers: &HeaderMap, api: &Api) -> Option<EnvironmentId> {
    let (secret, plan) = (secret(headers)?, api.service.plan());
    match known(&secret, api, &plan)? {
        Known::Operator => Some(EnvironmentId::SYSTEM),
        Known::Holder(held) => Some(held.environment),
    }
}

/// A valid token.
enum Known<'a> {
    /// The operator's, which is held in memory only.
    Operator,
    Holder(&'a plan::Token),
}

fn authenticate(parts: &Parts, api: &Api) -> Result<(Role, EnvironmentId), Refusal> {
    let (secret, plan) = (secret(&parts.headers).ok_or_else(Refusal::invalid_token)?, api.service.plan());
    match known(&secret, api, &plan).ok_or_else(Refusal::invalid_token)? {
        Known::Operator => Ok((Role::Operator, EnvironmentId::SYSTEM)),
        Known::Holder(held) => {
            api.pace.admit(held)?;
            Ok((held.role, held.environment))
        }
    }
}

fn known<'a>(secret: &str, api: &Api, plan: &'a Plan) -> Option<Known<'a>> {
    let digest = token::digest(secret);
    if token::is_of(Role::Operator, secret) && api.operator.is_some_and(|operator| same(&operator, &digest)) {
        return Some(Known::Operator);
    }
    // The map is searched by digest, of which nobody can choose the bits; the comparison that lets somebody in takes the
    // same time wherever the two differ.
    let held = plan.token(&digest).filter(|held| same(&held.digest, &digest) && token::is_of(held.role, secret));
    held.map(Known::Holder)
}

fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.ct_eq(other).into()
}

/// The one token: as such (RFC 6750, section 2.1), or as the password of whoever (RFC 7617), for gateways whose HTTP client knows nothing else.
fn secret(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (given.next(), given.next()) else { return None };
    let (scheme, secret) = only.to_str().ok()?.split_once(' ')?;
    let secret = secret.trim_start_matches(' ');
    if scheme.eq_ignore_ascii_case("basic") {
        return password(secret).map(Cow::Owned);
    }
    scheme.eq_ignore_ascii_case("bearer").then_some(Cow::Borrowed(secret))
}

fn password(credentials: &str) -> Option<String> {
    let mut decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    let colon = decoded.find(':')?;
    Some(decoded.split_off(colon + 1))
}
