//! Random operations on the engine and on the model give equal results.
#![no_main]

use dialback::Engine;
use dialback::testing::driver::Driver;
use dialback::testing::op::{Op, initial_state};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|input: (bool, Vec<Op>)| {
    let (empty, ops) = input;
    let first = if empty { Vec::new() } else { initial_state() };
    Driver::new(Arc::new(Engine::new())).run(first.iter().chain(&ops));
});
