//! The store and the service over it.

mod disk_search;
mod service;
#[path = "../support/mod.rs"]
mod support;
mod upkeep_week;
