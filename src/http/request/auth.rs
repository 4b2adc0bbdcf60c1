//! Authentication: from the `Authorization` header to the permissions of the token.

use super::token;
use crate::event::{Actor, Role};
use crate::http::Api;
use crate::http::middleware::deadline::Submitted;
use crate::http::response::error::Refusal;
use crate::id::EnvironmentId;
use crate::plan::{self, Plan};
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The header with the id of an environment for which a request of the in-memory operator token acts, as a token of that
/// environment would. Commands on the daemon's machine send it, so that they need no token that they would have to revoke.
pub const ACTING_FOR: &str = "dialback-environment";

/// The header by which an import says what it is, in a request of the in-memory operator token. The value is `import`.
pub const ACTING_AS: &str = "dialback-actor";

/// A function that is called when a request has shown a valid token. A server puts it into the extensions of a request, to
/// learn which of its clients are known.
#[derive(Clone)]
pub struct OnValidToken(pub Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for OnValidToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnValidToken").finish_non_exhaustive()
    }
}

/// An extractor for the environment of an environment token. It rejects other roles.
pub(in crate::http) struct Tenant(pub(in crate::http) EnvironmentId);

/// An extractor that accepts only operator tokens.
pub(in crate::http) struct Operator;

/// An extractor for requests about one environment: an operator manages each of them, an environment token its own.
#[derive(Clone, Copy)]
pub(in crate::http) enum Manager {
    Operator,
    Tenant(EnvironmentId),
}

impl Manager {
    pub(in crate::http) fn manages(self, environment: EnvironmentId) -> bool {
        match self {
            Self::Operator => true,
            Self::Tenant(own) => own == environment,
        }
    }
}

/// An extractor for requests of routes, which tokens of all roles may send. An operator could issue a gateway token anyway.
#[derive(Clone, Copy)]
pub(in crate::http) struct Asker {
    pub(in crate::http) reach: Reach,
    /// The token is an operator's. Its requests are queries: no call is routed.
    pub(in crate::http) is_operator: bool,
}

/// The environments in which a token may record calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Reach {
    /// One environment: the token is an environment token.
    One(EnvironmentId),
    /// All environments: the token is a gateway token.
    Every,
}

impl Reach {
    pub(in crate::http) fn covers(self, environment: EnvironmentId) -> bool {
        self == Self::Every || self == Self::One(environment)
    }

    /// Returns the environment if there is only one.
    pub(in crate::http) fn environment(self) -> Option<EnvironmentId> {
        match self {
            Self::One(environment) => Some(environment),
            Self::Every => None,
        }
    }
}

impl FromRequestParts<Api> for Tenant {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        match authenticate_actor(parts, api)? {
            (Role::Environment, environment) => Ok(Self(environment)),
            _ => Err(Refusal::forbidden("This request needs an environment token")),
        }
    }
}

impl FromRequestParts<Api> for Operator {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        match authenticate_actor(parts, api)? {
            (Role::Operator, _) => Ok(Self),
            _ => Err(Refusal::forbidden("This request needs an operator token")),
        }
    }
}

impl FromRequestParts<Api> for Manager {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        match authenticate_actor(parts, api)? {
            (Role::Operator, _) => Ok(Self::Operator),
            (Role::Environment, environment) => Ok(Self::Tenant(environment)),
            (Role::Gateway, _) => {
                Err(Refusal::forbidden("This request needs an operator token or an environment token"))
            }
        }
    }
}

impl FromRequestParts<Api> for Reach {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        match authenticate(parts, api)? {
            (Role::Environment, environment) => Ok(Self::One(environment)),
            (Role::Gateway, _) => Ok(Self::Every),
            (Role::Operator, _) => {
                Err(Refusal::forbidden("This request needs an environment token or a gateway token"))
            }
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

/// Returns the environment on whose account the request runs, if its token is valid. All operator and gateway tokens share
/// one account. This function does not check permissions or rates.
pub(in crate::http) fn holder(headers: &HeaderMap, api: &Api) -> Option<EnvironmentId> {
    let (secret, plan) = (secret(headers)?, api.service().plan());
    match known(&secret, api, &plan)? {
        Known::Operator => Some(acting_for(headers, &plan).ok()?.unwrap_or(EnvironmentId::SYSTEM)),
        Known::Stored(held) => Some(held.environment),
    }
}

/// Returns the environment for which the in-memory operator token acts, if the request names one.
fn acting_for(headers: &HeaderMap, plan: &Plan) -> Result<Option<EnvironmentId>, Refusal> {
    let Some(named) = headers.get(ACTING_FOR) else { return Ok(None) };
    let id = named.to_str().ok().and_then(|id| id.parse().ok());
    let known = id.filter(|id| plan.environment(*id).is_some());
    known.map(Some).ok_or_else(|| Refusal::forbidden("There is no environment with the id that the request acts for"))
}

/// A valid token.
enum Known<'a> {
    /// The operator token that is held in memory only.
    Operator,
    /// A token of the plan.
    Stored(&'a plan::Token),
}

/// Authenticates a request that may change the configuration: the token becomes the actor of its changes.
fn authenticate_actor(parts: &Parts, api: &Api) -> Result<(Role, EnvironmentId), Refusal> {
    authenticate_and(parts, api, |known| {
        Submitted::act(|| match known {
            Known::Operator if parts.headers.get(ACTING_AS).is_some_and(|what| what == "import") => Actor::Import,
            Known::Operator => Actor::Command,
            Known::Stored(held) => Actor::Token { id: held.id, role: held.role, label: held.label.clone() },
        });
    })
}

fn authenticate(parts: &Parts, api: &Api) -> Result<(Role, EnvironmentId), Refusal> {
    authenticate_and(parts, api, |_| {})
}

fn authenticate_and(parts: &Parts, api: &Api, see: impl FnOnce(&Known<'_>)) -> Result<(Role, EnvironmentId), Refusal> {
    let (secret, plan) = (secret(&parts.headers).ok_or_else(Refusal::invalid_token)?, api.service().plan());
    let known = known(&secret, api, &plan).ok_or_else(Refusal::invalid_token)?;
    if let Some(OnValidToken(note)) = parts.extensions.get() {
        note();
    }
    see(&known);
    match known {
        Known::Operator => Ok(match acting_for(&parts.headers, &plan)? {
            Some(environment) => (Role::Environment, environment),
            None => (Role::Operator, EnvironmentId::SYSTEM),
        }),
        Known::Stored(held) => {
            api.last_used.note(&held.digest, api.now());
            api.rate_limits.admit(held, || api.now())?;
            Ok((held.role, held.environment))
        }
    }
}

fn known<'a>(secret: &str, api: &Api, plan: &'a Plan) -> Option<Known<'a>> {
    let digest = token::digest(secret);
    if token::is_of(Role::Operator, secret) && api.operator.is_some_and(|operator| same(&operator, &digest)) {
        return Some(Known::Operator);
    }
    // The map is searched by digest, and a client cannot choose the bits of a digest. The comparison that decides takes
    // constant time.
    let held = plan.token(&digest).filter(|held| same(&held.digest, &digest) && token::is_of(held.role, secret));
    held.filter(|held| held.is_valid(|| api.now())).map(Known::Stored)
}

fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.ct_eq(other).into()
}

/// Returns the token if the request has exactly one `Authorization` header. The token is either a bearer token (RFC 6750,
/// section 2.1) or the password of `Basic` with any user name (RFC 7617), for gateways with a simple HTTP client.
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
