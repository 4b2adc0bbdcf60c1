//! Random operations through the engine and through the model: no difference.
#![no_main]

use dialback::Engine;
use dialback::testing::driver::Driver;
use dialback::testing::op::{Op, furnished};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|input: (bool, Vec<Op>)| {
    let (empty, ops) = input;
    let first = if empty { Vec::new() } else { furnished() };
    Driver::new(Arc::new(Engine::new())).run(first.iter().chain(&ops));
});
