//! Must crash within seconds: the driver must detect an engine that forgets half of its calls. If this target does
//! not crash, the others prove nothing.
#![no_main]

use dialback::testing::driver::{Driver, Subject};
use dialback::testing::op::{Op, initial_state};
use dialback::{Applied, Engine, Event};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

/// Forgets calls to contacts with an even code, and reports them as recorded.
struct Forgetful(Arc<Engine>);

impl Subject for Forgetful {
    fn apply(&mut self, events: &[Event]) -> Vec<Option<Applied>> {
        let apply = |event: &Event| match event {
            Event::Call(call) if call.to.code() % 2 == 0 => Some(Applied::Recorded),
            _ => Engine::apply(&self.0, event).ok(),
        };
        events.iter().map(apply).collect()
    }

    fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.0)
    }
}

fuzz_target!(|ops: Vec<Op>| {
    Driver::new(Forgetful(Arc::default())).run(initial_state().iter().chain(&ops));
});
