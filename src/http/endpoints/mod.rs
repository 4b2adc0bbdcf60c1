//! The handlers of requests: one file for each kind of entity or question.

pub(super) mod agents;
pub(super) mod answered;
pub(super) mod bulk;
pub(super) mod callback;
pub(super) mod callback_agents;
pub(super) mod calls;
pub(super) mod changes;
pub(super) mod configuration;
pub(super) mod constraints;
pub(super) mod contacts;
mod defaults;
pub(super) mod describe;
pub(super) mod environments;
pub(super) mod events;
mod events_page;
pub(super) mod export;
pub(super) mod health;
pub(super) mod metrics_text;
pub(super) mod numbers;
pub(super) mod reload;
pub(super) mod route;
pub(super) mod routes;
pub(super) mod statistics;
pub(super) mod tokens;
pub(super) mod webhook_attempts;
pub(super) mod webhooks;
pub(super) mod what_if;
