//! Webhooks: each event of an environment is sent to the addresses that its owner has named.
//!
//! | file | task |
//! | --- | --- |
//! | `settings.rs` | the settings, and the secrets |
//! | `queue.rs` | the events that are not delivered yet, and when each is sent |
//! | `webhook.rs` | a webhook in memory: its settings, its queue, its last attempts |
//! | `registry.rs` | all webhooks: reading, changing and saving them |
//! | `delivery.rs` | the task of a webhook, which follows the feed |
//! | `counts.rs` | the counters of all attempts, for the metrics |
//! | `message.rs` | the messages and their signatures |
//! | `sender.rs` | the interface of the code that sends; the program provides it |
//!
//! A webhook belongs to one node of a fleet, as the feed does that it follows. Its progress is saved about once a second, less
//! often while many events wait, so a crash repeats at most what was sent since then. A clean stop repeats only what was not answered yet.

mod counts;
mod delivery;
mod message;
mod queue;
pub(in crate::http) mod registry;
pub(in crate::http) mod sender;
pub(in crate::http) mod settings;
pub(in crate::http) mod webhook;
