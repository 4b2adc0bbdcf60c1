//! Callers in an environment that requires an attestation of their numbers.

use crate::support::shop::{CONTACT, DIALED, SHOP, START, Shop, field, request_from};
use dialback::{Attestation, Change};

/// Returns the reason that a shop with this requirement answers with.
fn reason(level: Option<Attestation>, from: &str, more: &str) -> String {
    let shop = Shop::open();
    let changes = vec![Change::AttestationRequired { level }];
    shop.service.configure(SHOP, START, |_| Ok(changes)).expect("valid");
    let message = request_from("INVITE", &format!("sip:{DIALED}@gw"), &format!("{from};tag=1"), more);
    let answer = shop.ask(&message).expect("an answer");
    field(&answer, "X-Dialback-Reason").expect("a reason").to_owned()
}

/// Returns the contact's address with this `verstat`.
fn verified(verstat: &str) -> String {
    format!("<sip:{CONTACT};verstat={verstat}@trunk.example.com;user=phone>")
}

const PASSED: &str = "TN-Validation-Passed";

#[test]
fn caller_below_the_required_attestation_counts_as_withheld() {
    let plain = format!("<sip:{CONTACT}@trunk.example.com>");
    let (full, partial) = (verified(PASSED), verified("TN-Validation-Passed-B"));
    let asserted = |address: &str| format!("P-Asserted-Identity: {address}\r\n");
    for (from, more, matches_a, matches_b) in [
        (plain.clone(), String::new(), false, false),
        (full.clone(), String::new(), true, true),
        (partial.clone(), String::new(), false, true),
        (verified("TN-Validation-Passed-A"), String::new(), true, true),
        (verified("TN-Validation-Passed-C"), String::new(), false, false),
        (verified("TN-Validation-Failed"), String::new(), false, false),
        (verified("No-TN-Validation"), String::new(), false, false),
        (plain.clone(), asserted(&full), true, true),
        (plain.clone(), asserted(&format!("<tel:{CONTACT};verstat={PASSED}>")), true, true),
        (plain.clone(), asserted(&partial), false, true),
        (full.clone(), asserted(&plain), true, true),
        // Of several, the weakest counts.
        (full.clone(), asserted(&partial), false, true),
        (verified("TN-Validation-Failed"), asserted(&full), false, false),
        (plain.clone(), asserted(&format!("{plain}, <tel:{CONTACT};verstat={PASSED}>")), true, true),
        // A field of its own lowers the attestation and never raises it.
        (full.clone(), "Attestation-Info: A\r\n".into(), true, true),
        (full.clone(), "Attestation-Info: B\r\n".into(), false, true),
        (full.clone(), "x-attestation-info: C\r\n".into(), false, false),
        (full.clone(), "P-Attestation-Indicator: unknown\r\n".into(), false, false),
        (partial.clone(), "Attestation-Info: A\r\n".into(), false, true),
        (plain.clone(), "Attestation-Info: A\r\n".into(), false, false),
        // P-Asserted-Identity has no parameters of its own: without brackets, all belong to the URI.
        (plain.clone(), format!("P-Asserted-Identity: tel:{CONTACT};verstat={PASSED}\r\n"), true, true),
        (full.clone(), format!("P-Asserted-Identity: tel:{CONTACT};verstat=TN-Validation-Failed\r\n"), false, false),
        (full.clone(), format!("p-asserted-identity: <tel:{CONTACT};VERSTAT=No-TN-Validation>\r\n"), false, false),
        (verified("TN-Validation-Passed;x=?;verstat=TN-Validation-Failed"), String::new(), false, false),
        (format!("<sip:{CONTACT}:x;verstat={PASSED}@trunk.example.com>"), String::new(), false, false),
        // A failure counts also where it does not belong.
        (full.clone(), asserted(&format!("{full};verstat=TN-Validation-Failed")), false, false),
        (full.clone(), asserted(&format!("{plain};verstat=TN-Validation-Failed")), false, false),
        (full.clone(), "Attestation-Info: A\r\nAttestation-Info: C\r\n".into(), false, false),
        (format!("sip:{CONTACT}@trunk.example.com;verstat={PASSED}"), String::new(), false, false),
        // The name and the parameters after the address come from the caller.
        (format!("\"{full}\" {plain}"), String::new(), false, false),
        (format!("{plain};verstat={PASSED}"), String::new(), false, false),
    ] {
        for (level, is_matched) in [(Attestation::A, matches_a), (Attestation::B, matches_b)] {
            let expected = if is_matched { "MATCHED" } else { "ANONYMOUS_CALLER" };
            assert_eq!(reason(Some(level), &from, &more), expected, "{level:?} {from} {more}");
        }
        assert_eq!(reason(None, &from, &more), "MATCHED", "{from} {more}");
    }
}

/// The attestation of one number says nothing about another.
#[test]
fn attestation_counts_for_its_own_number_only() {
    let other = format!("<sip:+12125559999;verstat={PASSED}@trunk.example.com>");
    let asserted = format!("P-Asserted-Identity: <sip:{CONTACT}@trunk.example.com>\r\n");
    assert_eq!(reason(Some(Attestation::A), &other, &asserted), "ANONYMOUS_CALLER");
    let callee = format!("Remote-Party-ID: {};party=called\r\n", verified(PASSED));
    let plain = format!("<sip:{CONTACT}@trunk.example.com>");
    assert_eq!(reason(Some(Attestation::A), &plain, &callee), "ANONYMOUS_CALLER");
    let private = format!("Privacy: id\r\n{asserted}");
    assert_eq!(reason(Some(Attestation::A), &verified(PASSED), &private), "ANONYMOUS_CALLER");
}
