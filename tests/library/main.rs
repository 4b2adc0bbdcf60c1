//! The library: the rule against its model and its scenarios, numbers, convergence, privacy, statistics, and the
//! figures of the benches.

mod convergence;
#[cfg(feature = "serde")]
mod copies;
#[cfg(feature = "serde")]
mod declaration;
mod figures;
mod mixture;
#[cfg(feature = "__testing")]
mod model;
mod number;
mod privacy;
#[cfg(all(feature = "regions", feature = "serde"))]
mod regions;
#[cfg(feature = "__testing")]
mod scenarios;
#[cfg(feature = "__testing")]
mod statistics;
#[path = "../support/mod.rs"]
mod support;
