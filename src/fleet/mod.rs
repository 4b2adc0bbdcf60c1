//! A fleet: several gateways that share one history.
//!
//! Each node publishes its events to a stream that all nodes share, and decides from its own memory. The network is
//! never on the path of a decision. Calls and erasures converge in any order, so nodes only publish and consume them.
//! Configurations have one order: the order of the stream. `docs/fleet.md` describes what an acknowledgement means and
//! what a fleet needs.
//!
//! # How it works
//! * **Outbox.** A call or an erasure is committed together with its entry in the *outbox*. The publisher publishes the
//!   entries in order. An entry is removed after the stream has delivered its messages back to this node, in the commit
//!   that stores the node's place after them.
//! * **Place.** The consumer reads messages in the stream's order and commits them together with the node's place. The
//!   place therefore says what the node has consumed, and which of its own messages the stream holds. The node needs no
//!   other record.
//! * **Configurations.** A node publishes a configuration while it commits it, with the last configuration message that
//!   it knows as the required predecessor. If several nodes publish at once, the stream accepts one message and rejects
//!   the others.
//! * **Rollback.** A node detects that a stream was rolled back by the stream's end, by its incarnation, or by another
//!   message at a position that the node knows. The node then consumes the whole stream, publishes the configurations
//!   that the stream lacks, and publishes all its other data again.

mod commit;
mod consumer;
mod elapsed;
mod erasures;
mod keeper;
mod keys;
mod link;
mod message;
#[cfg(feature = "nats")]
pub mod nats;
mod node;
mod place;
mod publisher;
mod repeats;
mod restore;
mod settings;
mod share;
mod snapshot;
mod step;
mod stream;

pub use keys::{Keys, KeysError};
pub use link::Link;
#[cfg(feature = "__testing")]
#[doc(hidden)]
pub use link::digest_for_tests as digest;
pub use message::{Body, Envelope, Message, NodeId, Unreadable, read};
#[cfg(feature = "__testing")]
#[doc(hidden)]
pub use message::{encode, seal};
pub use node::Node;
#[cfg(feature = "__testing")]
pub use node::Stepper;
pub use settings::{Log, Planted, Settings};
pub use share::{Share, partition_of};
pub use step::StepError;
pub use stream::{Bounds, Delivery, Position, Snapshot, Stream, StreamError, Subject};
