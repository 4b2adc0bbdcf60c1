//! The doors inside this process: HTTP, SIP, FastAGI and C.

#[cfg(feature = "sip")]
mod agi;
#[cfg(all(feature = "capi", feature = "__testing"))]
mod capi;
#[cfg(all(feature = "http", feature = "__testing"))]
mod http;
#[cfg(all(feature = "sip", feature = "__testing"))]
mod sip;
#[path = "../support/mod.rs"]
mod support;
