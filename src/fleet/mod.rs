//! Several gateways, one history: events go through a stream that all nodes share, and each node resolves from its own memory.
//!
//! The network is never on the path of a decision. Calls and erasures converge whatever their order, so nodes only publish and
//! consume them; configurations have one order, the stream's. `docs/fleet.md` says what an acknowledgement means and what it takes.
//!
//! # What is where
//! * A call or an erasure is committed together with its entry in the *outbox*. The publisher publishes entries in their order; an
//!   entry goes when the stream has brought its messages back to this node, in the commit that stores the node's place behind them.
//! * The consumer takes messages in the stream's order and commits them together with the node's place. So the place says what the
//!   node has, and what it has published is in front of it: nothing else needs to be remembered.
//! * A configuration is published while it is being committed, after the last one that the node knows. The stream takes one of
//!   several, and the others are refused.
//! * A stream that was rolled back shows: by its end, by what it is, or by another message at a place that the node knows. Then the node
//!   takes all that the stream has, publishes the configurations that it lacks, and everything else again.

mod consumer;
mod erasures;
mod keeper;
mod link;
mod message;
#[cfg(feature = "nats")]
pub mod nats;
mod node;
mod place;
mod publisher;
mod restore;
mod settings;
mod share;
mod snapshot;
mod step;
mod stream;

pub use link::Link;
#[cfg(feature = "__testing")]
pub use message::seal;
pub use message::{Body, Message, NodeId, Unreadable, read};
#[cfg(feature = "__testing")]
pub use node::Stepper;
pub use node::{Log, Node};
pub use settings::{Clock, Planted, Settings};
pub use share::{Share, partition_of};
pub use step::StepError;
pub use stream::{Bounds, Delivery, Position, Snapshot, Stream, StreamError, Subject};
