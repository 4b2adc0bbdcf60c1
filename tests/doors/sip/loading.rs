//! The SIP door while the stored history is loading.

use crate::support::shop::{SHOP, START, Shop, changes, field, invite, request, status};
use dialback::store::{Batch, EventStore, StoreError, Stored};
use dialback::{Configuration, Service};
use std::sync::mpsc::{Receiver, channel};

/// A store that returns the configuration, and the rest only after a signal.
struct Slow(Receiver<()>);

impl EventStore for Slow {
    fn commit(&mut self, _: &Batch) -> Result<(), StoreError> {
        Ok(())
    }

    fn recover(&mut self, see: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        see(Stored::Configuration(Configuration::new(1, SHOP, START, changes())))?;
        // The first group of pairs. It is empty, but the plan is in force once it arrives.
        see(Stored::Registers(Vec::new()))?;
        // Returns on the signal, or when its sender is dropped.
        let _ = self.0.recv();
        Ok(())
    }
}

#[test]
fn loading_door_answers_503_unless_serving_while_loading() {
    for (serves, invited, asked) in [(false, 503, 503), (true, 302, 200)] {
        let (go_on, gate) = channel();
        let (loaded, is_loaded) = channel();
        let done = move |result: Result<(), StoreError>| loaded.send(result.is_ok()).expect("the test waits");
        let service = Service::builder(Slow(gate)).load(done).expect("a thread");
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
