//! The field that the dialed number is read from.

use crate::support::shop::{CONTACT, DIALED, SHOP, START, Shop, field, invite, request, status};
use dialback::sip::DialedFrom;
use dialback::{Change, E164, NumberId};

/// A Request-URI of a trunk that sends calls to an account. Its digits are no number of the shop.
const ACCOUNT: &str = "sip:1710163127241@gw.example.com";

/// Another number of the shop, from which nobody was called. No agent takes its calls.
const SECOND: &str = "+12125550102";

/// Returns an INVITE with these three fields.
fn call(uri: &str, to: &str, more: &str) -> String {
    request("INVITE", uri, more).replace(&format!("To: <{uri}>"), &format!("To: {to}"))
}

/// Returns the status and the reason that a new shop answers with.
fn reason(from: DialedFrom, message: &str) -> String {
    let shop = Shop::with(|mut settings| {
        settings.dialed_from = from;
        settings
    });
    let number = E164::parse_international(SECOND).expect("a number");
    let added = vec![Change::NumberAdded { id: NumberId::from_u128(2), number }];
    shop.service.configure(SHOP, START, |_| Ok(added)).expect("valid");
    let answer = shop.ask(message).expect("an answer");
    format!("{} {}", status(&answer), field(&answer, "X-Dialback-Reason").unwrap_or_default())
}

#[test]
fn dialed_number_is_read_from_to_if_configured() {
    let ours = format!("\"Shop\" <sip:{DIALED}@gw.example.com;user=phone>");
    let other = "<sip:+12125559999@gw.example.com>".to_owned();
    let direct = format!("sip:{DIALED}@gw.example.com");
    for (uri, to, by_uri, by_to) in [
        (ACCOUNT, &ours, "404 UNKNOWN_NUMBER", "302 MATCHED"),
        ("sip:trunk@gw.example.com", &ours, "404 ", "302 MATCHED"),
        ("sip:trunk@gw.example.com", &format!("tel:{DIALED}"), "404 ", "302 MATCHED"),
        // The call was forwarded from a foreign number: To is what the caller dialed.
        (&*direct, &other, "302 MATCHED", "302 MATCHED"),
        (&*direct, &"<sip:shop@gw.example.com>".to_owned(), "302 MATCHED", "302 MATCHED"),
        (ACCOUNT, &other, "404 UNKNOWN_NUMBER", "404 UNKNOWN_NUMBER"),
        ("sip:trunk@gw.example.com", &other, "404 ", "404 "),
    ] {
        let message = call(uri, to, "");
        assert_eq!(reason(DialedFrom::RequestUri, &message), by_uri, "{uri} {to}");
        assert_eq!(reason(DialedFrom::To, &message), by_to, "{uri} {to}");
        assert_eq!(reason(DialedFrom::Diversion, &message), by_uri, "{uri} {to}");
    }
}

#[test]
fn dialed_number_is_read_from_the_oldest_known_diversion_if_configured() {
    let pilot = "sip:trunk@gw.example.com";
    let to = "<sip:trunk@gw.example.com>";
    let (ours, other) = (format!("<sip:{DIALED}@gw.example.com>"), "<sip:+12125559999@gw.example.com>");
    let history = format!("<sip:{DIALED}@gw.example.com?Reason=SIP%3Bcause%3D302&Privacy=history>;index=1");
    for more in [
        format!("Diversion: {ours};reason=unconditional\r\n"),
        format!("Diversion: {other};reason=no-answer, \"A, B\" {ours};reason=unconditional\r\n"),
        format!("Diversion: {other}\r\nDiversion: {ours}\r\n"),
        format!("Diversion: {ours}\r\nDiversion: {other}\r\n"),
        format!("Diversion: unreadable\r\nDiversion: <tel:{DIALED}>\r\n"),
        format!("History-Info: {history}\r\nHistory-Info: {other};index=1.1\r\n"),
        format!("History-Info: {other};index=1, {history}.1\r\n"),
        format!("History-Info: {other};index=1\r\nDiversion: {ours}\r\n"),
    ] {
        let message = call(pilot, to, &more);
        assert_eq!(reason(DialedFrom::Diversion, &message), "302 MATCHED", "{more}");
        assert_eq!(reason(DialedFrom::RequestUri, &message), "404 ", "{more}");
        assert_eq!(reason(DialedFrom::To, &message), "404 ", "{more}");
    }
    for more in [String::new(), format!("Diversion: {other}\r\n"), format!("Diversion: <sip:{CONTACT}@x>\r\n")] {
        assert_eq!(reason(DialedFrom::Diversion, &invite(&more)), "302 MATCHED", "the Request-URI: {more}");
        let unknown = request("INVITE", "sip:+12125550101@gw", &more);
        assert_eq!(reason(DialedFrom::Diversion, &unknown), "404 UNKNOWN_NUMBER", "{more}");
    }
}

/// A call that was diverted within the shop is routed by the number that the caller dialed.
#[test]
fn oldest_of_two_known_numbers_decides() {
    assert_eq!(reason(DialedFrom::Diversion, &request("INVITE", &format!("sip:{SECOND}@gw"), "")), "404 NO_HISTORY");
    for (older, newer, expected) in [(DIALED, SECOND, "302 MATCHED"), (SECOND, DIALED, "404 NO_HISTORY")] {
        for more in [
            format!("Diversion: <sip:{newer}@x>, <sip:{older}@x>\r\n"),
            format!("Diversion: <sip:{newer}@x>\r\nDiversion: <sip:{older}@x>\r\n"),
            format!("History-Info: <sip:{older}@x>;index=1\r\nHistory-Info: <sip:{newer}@x>;index=1.1\r\n"),
            format!("Diversion: <sip:{newer}@x>\r\nHistory-Info: <sip:{older}@x>;index=1\r\n"),
        ] {
            let message = request("INVITE", &format!("sip:{newer}@gw"), &more);
            assert_eq!(reason(DialedFrom::Diversion, &message), expected, "{more}");
        }
    }
}
