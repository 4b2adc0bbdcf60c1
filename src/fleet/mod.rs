//! Several gateways, one history: events go through a stream that all nodes share, and each node resolves from its own memory.
//!
//! The network is never on the path of a decision. Calls and erasures converge whatever their order, so nodes only publish and
//! consume them; configurations have one order, the stream's.

#[cfg(feature = "nats")]
pub mod nats;
mod stream;

pub use stream::{Bounds, Delivery, Position, Snapshot, Stream, StreamError, Subject};
