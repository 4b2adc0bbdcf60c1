//! While what is stored is still being put back.

use crate::shop::{SHOP, START, Shop, changes, field, invite, request, status};
use dialback::store::{Batch, EventStore, StoreError, Stored};
use dialback::{Configuration, Engine, Service};
use std::sync::mpsc::{Receiver, channel};

/// Shows the shop's configuration, and the rest not before it is let to.
struct Slow(Receiver<()>);

impl EventStore for Slow {
    fn commit(&mut self, _: &Batch) -> Result<(), StoreError> {
        Ok(())
    }

    fn recover(&mut self, see: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        see(Stored::Configuration(Configuration { sequence: 1, environment: SHOP, at: START, changes: changes() }))?;
        // The first group of pairs, though there are none in it: the plan is in force from there on.
        see(Stored::Registers(Vec::new()))?;
        // It comes, or who would send it is gone.
        let _ = self.0.recv();
        Ok(())
    }
}

#[test]
fn gateways_are_told_to_go_elsewhere_unless_calls_are_to_be_answered_all_the_same() {
    for (serves, invited, asked) in [(false, 503, 503), (true, 302, 200)] {
        let (go_on, gate) = channel();
        let (loaded, is_loaded) = channel();
        let done = move |result: Result<(), StoreError>| loaded.send(result.is_ok()).expect("the test waits");
        let service = Service::load(Slow(gate), Engine::new(), |_| {}, done).expect("a thread");
        let shop = Shop::of(service, |mut settings| {
            settings.serves_while_loading = serves;
            settings
        });
        while shop.service.plan().generation() == 0 {
            std::thread::yield_now();
        }
        for (message, expected) in [(invite(""), invited), (request("OPTIONS", "sip:gw", ""), asked)] {
            let answer = shop.ask(&message).expect("an answer");
            assert_eq!(status(&answer), expected);
            assert_eq!(field(&answer, "Retry-After"), (expected == 503).then_some("1"));
        }
        go_on.send(()).expect("it waits");
        assert!(is_loaded.recv().expect("it is told"));
        assert_eq!(shop.ask(&invite("")).as_deref().map(status), Some(302));
    }
}
