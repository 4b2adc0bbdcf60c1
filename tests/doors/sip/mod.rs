//! Tests of the SIP door, with and without a network.

mod attestation;
mod calls;
mod details;
mod dialed;
mod hostile;
mod loading;
mod scenarios;
mod torture;
mod via;
mod wire;
