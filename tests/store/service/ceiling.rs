//! A full history.

use super::*;

#[test]
fn pair_that_the_history_rejects_is_not_stored() {
    let store = RecordingStore::new();
    let start = |store| Service::builder(store).engine(Engine::with_max_pairs(3)).start();
    let service = start(store.clone()).expect("it is empty");
    configure(&service, changes()).expect("it is valid");
    let events = (0..5).map(|contact| call_to(contact, Moment(2), Outcome::Busy)).collect();
    let did = service.record(events).expect("it is durable");
    let full = |did: &Result<Applied, ServiceError>| matches!(did, Err(ServiceError::Full(Full { .. })));
    assert_eq!(did.iter().filter(|did| **did == Ok(Applied::Recorded)).count(), 3);
    assert!(did[3..].iter().all(full), "{did:?}");
    assert!(service.record(vec![call_to(9, Moment(2), Outcome::Busy)]).is_ok_and(|did| full(&did[0])));
    // Existing pairs can still change.
    let did = service.record(vec![call_to(0, Moment(1), Outcome::Voicemail)]);
    assert_eq!(did, Ok(vec![Ok(Applied::Recorded)]));
    // An erasure uses the room of the pairs that it erases.
    let did = service.record(vec![erase(1, Moment(0))]).expect("it is durable");
    assert_eq!(did, [Ok(Applied::Erased { pairs: 1 })]);
    // An erasure that erases nothing and cannot be remembered is rejected.
    let did = service.record(vec![erase(200, Moment(0))]).expect("it is durable");
    assert!(full(&did[0]), "{did:?}");
    let before = ask_all(&service);
    assert_eq!(before[1].reason, Reason::NoHistory);
    drop(service);
    assert_eq!(store.pairs(), 4, "three calls, of which one is erased, and the erasure");
    let service = start(store).expect("a restart must not fail for what was refused");
    assert_eq!(ask_all(&service), before);
}
