//! A whole environment as one document: its settings, numbers, agents and callback roles.
//!
//! [`Declaration::of`] writes the document of an environment. [`Declaration::compare`] finds the changes that make an
//! environment as the document says; afterwards it finds none. Agents are found by id, or else by name, and numbers by
//! their digits, so one document serves several installations.

mod compare;
mod current;
mod difference;
mod document;
pub(crate) mod limits;
mod order;
mod pieces;
mod reference;
mod resolve;
mod step;
mod way;
mod whole;

pub use compare::{Comparison, Refused, Wish};
pub use document::{Declaration, DeclaredAgent, DeclaredCallback, DeclaredNumber, DeclaredSettings};
pub use pieces::Pieces;
pub use reference::Wrong;
pub use step::Step;
