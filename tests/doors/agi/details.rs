//! The id, the status and the context of the call behind a decision, as variables of the channel.

use super::{Agi, CALL, NOW, SALES, SHOP, route};
use dialback::testing::failing::{Hang, HangingStore};
use dialback::testing::lasting::LastingStore;
use dialback::{Call, CallId, CallReads, Context, Details, E164, Event, Outcome};
use std::time::{Duration, Instant};

/// Reports the call that the door knows with an id and a context.
fn report(agi: &Agi, context: &str) {
    let number = |text| E164::parse_international(text).expect("a number");
    let (from, to) = (number("+12125550100"), number("+12125550143"));
    let call = Call { environment: SHOP, agent: SALES, from, to, at: NOW, outcome: Outcome::Busy };
    let context = Some(Context::new(context).expect("a context"));
    let details = Details { id: Some(CallId::new("a\"b\\7").expect("an id")), context };
    let results = agi.service.record(vec![Event::reported(call, details)]).expect("recorded");
    assert!(results.iter().all(Result::is_ok));
}

async fn lasting() -> Agi {
    Agi::open_on(LastingStore::new([7; 32]), "127.0.0.0/8", Duration::from_secs(60)).await
}

#[tokio::test]
async fn variables_have_the_id_the_status_and_the_named_fields_of_the_call() {
    let agi = lasting().await;
    let set = agi.ask(CALL).await;
    assert_eq!((&*set["DIALBACK_CALL_ID"], &*set["DIALBACK_CALL_STATUS"]), ("", "busy"), "reported without an id");
    assert_eq!(set["DIALBACK_CONTEXT_order"], "");
    report(&agi, r#"{"order": {"n": 1.10}, "note": "say \"hi\"\\\r\nSET VARIABLE x\u0000", "secret": "no"}"#);
    let set = agi.ask(CALL).await;
    assert_eq!((&*set["DIALBACK_CALL_ID"], &*set["DIALBACK_CALL_STATUS"]), ("a\"b\\7", "busy"));
    assert_eq!(set["DIALBACK_CONTEXT_order"], r#"{"n": 1.10}"#);
    assert_eq!(set["DIALBACK_CONTEXT_note"], "say \"hi\"\\  SET VARIABLE x ", "control characters are spaces");
    assert_eq!(set["DIALBACK_CONTEXT_more"], "", "the context has no such field");
    assert_eq!(set.len(), 9, "no field that the operator did not name");
    // A decision without a call behind it replaces the variables of one that had one.
    let set = agi.ask(&CALL.replace("agi_callerid: 12125550143", "agi_callerid: 12125550144")).await;
    assert_eq!(set["DIALBACK_REASON"], "NO_HISTORY");
    for name in ["DIALBACK_CALL_ID", "DIALBACK_CALL_STATUS", "DIALBACK_CONTEXT_order", "DIALBACK_CONTEXT_note"] {
        assert_eq!(set[name], "", "{name}");
    }
    assert_eq!((agi.reads.missed(), agi.reads.left_out()), (0, 0));
}

#[tokio::test]
async fn value_that_is_too_large_is_left_out_and_counted() {
    let agi = lasting().await;
    for (note, fits) in [("x".repeat(1024), true), ("x".repeat(1025), false), ("\\\\".repeat(513), false)] {
        report(&agi, &format!(r#"{{"order": 7, "note": "{note}"}}"#));
        let set = agi.ask(CALL).await;
        assert_eq!(set["DIALBACK_CONTEXT_order"], "7");
        assert_eq!(!set["DIALBACK_CONTEXT_note"].is_empty(), fits);
    }
    assert_eq!(agi.reads.left_out(), 2);
}

#[tokio::test]
async fn call_is_routed_without_its_context_while_the_disk_hangs() {
    let hang = Hang::default();
    let store = HangingStore::new(&hang, LastingStore::new([7; 32]));
    // So long that waiting for each read shows.
    let reads = CallReads::default().with_patience(Duration::from_secs(2));
    let agi = Agi::reading(store, reads, "127.0.0.0/8", Duration::from_secs(60)).await;
    report(&agi, r#"{"order": 7}"#);
    let _hangs = hang.begin();
    let began = Instant::now();
    for _ in 0..50 {
        let set = agi.ask(CALL).await;
        assert_eq!(route(&set).1, "MATCHED");
        assert_eq!((&*set["DIALBACK_CALL_ID"], &*set["DIALBACK_CALL_STATUS"]), ("", "busy"));
        assert_eq!(set["DIALBACK_CONTEXT_order"], "");
    }
    assert_eq!(agi.reads.missed(), 50);
    assert!(began.elapsed() < Duration::from_secs(20), "only the first ones wait: {:?}", began.elapsed());
}
