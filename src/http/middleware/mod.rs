//! Runs around the endpoints: deadlines, rate limits, budgets, the log and long work.

pub(super) mod answer_budget;
pub(super) mod body_budget;
pub(super) mod deadline;
pub(super) mod dispatch;
pub(super) mod loading;
pub(super) mod log;
pub(super) mod rate_limit;
pub(super) mod readers;
pub(super) mod requests;
pub(super) mod shares;
pub(super) mod stored_reads;
pub(super) mod work;
