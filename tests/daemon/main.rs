//! The program `dialback`: its commands, its listeners, and what is left after it is killed or its disk fails.

mod apply;
mod commands;
#[cfg(unix)]
mod connections;
mod cors;
mod faults;
#[cfg(unix)]
mod http2;
mod import;
mod kills;
mod numbers;
mod operations;
mod program;
mod purges;
mod settings;
mod sip;
#[path = "../support/mod.rs"]
mod support;
mod tls_commands;
mod token;
mod upkeep;
mod verify;
mod webhooks;
