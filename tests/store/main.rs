//! The store and the service over it.

mod service;
mod upkeep_week;
