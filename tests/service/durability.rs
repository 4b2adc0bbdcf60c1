//! What is acknowledged is there again.

use super::*;

#[test]
fn what_is_acknowledged_is_there_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data");
    let service = Arc::new(open(&path));
    configure(&service, changes()).expect("it is valid");
    // Many callers at once: their events share syncs.
    let threads: Vec<_> = (0..4)
        .map(|part| {
            let service = Arc::clone(&service);
            std::thread::spawn(move || {
                for contact in (part * 50)..(part * 50 + 50) {
                    let did = service.record(vec![call_to(contact, Moment(2), Outcome::Busy)]);
                    assert_eq!(did, Ok(vec![Ok(Applied::Recorded)]));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    let did = service.record(vec![erase(7, Moment(0)), call_to(8, Moment(10), Outcome::Voicemail)]);
    assert_eq!(did, Ok(vec![Ok(Applied::Erased { pairs: 1 }), Ok(Applied::Recorded)]));

    let before = ask_all(&service);
    assert_eq!(before.iter().filter(|decision| decision.reason == Reason::Matched).count(), 199);
    drop(service);
    let service = open(&path);
    assert_eq!(ask_all(&service), before);
    // And it goes on: the next configuration follows the last one.
    assert_eq!(configure(&service, vec![Change::AgentUnpublished { id: Agent(3).id() }]), Ok(2));
    drop(service);
    assert_eq!(ask(&open(&path), 1).reason, Reason::CallbackAgentUnpublished);
}

#[test]
fn calls_and_erasures_in_any_mix_come_back_as_they_were_in_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data");
    let service = open(&path);
    configure(&service, changes()).expect("it is valid");
    let mix = |contact: u64| {
        let call = |at, outcome| call_to(contact, Moment(at), outcome);
        let mixes = [
            vec![call(4, Outcome::Busy), erase(contact, Moment(4)), call(4, Outcome::Voicemail)],
            vec![erase(contact, Moment(4)), call(4, Outcome::Busy), call(2, Outcome::Busy)],
            vec![call(2, Outcome::Busy), erase(contact, Moment(4)), call(5, Outcome::Busy)],
            vec![call(2, Outcome::Busy), call(2, Outcome::Voicemail), call(2, Outcome::Initiated)],
            vec![erase(contact, Moment(0)), erase(contact, Moment(4)), call(2, Outcome::Busy)],
            vec![call(2, Outcome::Busy), erase(contact, Moment(0)), erase(contact, Moment(0))],
        ];
        mixes[usize::try_from(contact % 6).expect("small")].clone()
    };
    let events: Vec<Event> = (0..300).flat_map(mix).collect();
    let did = service.record(events).expect("it is durable");
    let pairs: u64 = did.iter().map(|did| if let Ok(Applied::Erased { pairs }) = did { *pairs } else { 0 }).sum();
    assert_eq!(pairs, 100, "the first and the last of the mixes lose their call");
    let before = ask_all(&service);
    drop(service);
    assert_eq!(ask_all(&open(&path)), before);
}

#[test]
fn a_data_directory_is_free_again_when_its_service_is_gone() {
    let directory = tempfile::tempdir().expect("a directory");
    for _ in 0..3 {
        drop(open(directory.path()));
    }
}

#[test]
fn the_whole_world_of_the_driver_comes_back_from_disk() {
    struct OnDisk(Option<Service>, tempfile::TempDir);
    impl dialback::testing::driver::Subject for OnDisk {
        fn apply(&mut self, events: &[Event]) -> Vec<Option<Applied>> {
            let did = self.0.as_ref().expect("running").record(events.to_vec()).expect("it is durable");
            did.into_iter().map(Result::ok).collect()
        }
        fn engine(&self) -> Arc<Engine> {
            dialback::testing::driver::engine_of(self.0.as_ref().expect("running"))
        }
        fn restart(&mut self) {
            drop(self.0.take());
            self.0 = Some(open(self.1.path()));
        }
    }
    let directory = tempfile::tempdir().expect("a directory");
    let seen = Driver::new(OnDisk(Some(open(directory.path())), directory)).run(&furnished());
    assert_eq!(seen.restarts, 1);
}
