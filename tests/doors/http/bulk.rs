use crate::http::bodies::{End, chunks};
use crate::support::server::{Desk, OURS, Server};
use axum::http::Method;
use dialback::Engine;
use dialback::http::Limits;
use dialback::store::MemoryStore;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

fn line(desk: &Desk, contact: usize) -> String {
    let mut call = desk.call("voicemail");
    call["to"] = json!(format!("+1555{contact:07}"));
    call.to_string()
}

#[tokio::test]
async fn bulk_records_good_lines_and_reports_bad_ones_by_number() {
    let server = Server::start();
    let desk = Desk::set_up(&server.tenant()).await;
    let good = |n| line(&desk, n);
    let foreign_number = good(1).replace(OURS, "+15550009999");
    let lines = [
        good(1),
        String::new(),
        "{".into(),
        good(2),
        "[]".into(),
        foreign_number,
        good(3).replace("voicemail", "bored"),
        format!("{}\r", good(4)),
        "\u{FEFF}{}".into(),
    ];
    let answer = server.tenant().bulk(lines.join("\n")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text.starts_with(r#"{"accepted":3,"rejected":5,"errors":[{"line":3,"message":"#), "{}", answer.text);
    let told: Vec<_> = answer.body["errors"].as_array().unwrap().iter().map(|error| error["line"].clone()).collect();
    assert_eq!(told, [3, 5, 6, 7, 9]);
    assert!(!answer.text.contains("5550"), "{}", answer.text);
    assert_eq!(server.service.history().len(), 3);
}

#[tokio::test]
async fn bulk_lists_a_hundred_errors_and_counts_the_rest() {
    let server = Server::start();
    let desk = Desk::set_up(&server.tenant()).await;
    let mut text = "nonsense\n".repeat(250);
    writeln!(text, "{}", line(&desk, 1)).unwrap();
    let answer = server.gateway().bulk(text).await;
    assert_eq!((&answer.body["accepted"], &answer.body["rejected"]), (&json!(1), &json!(250)));
    assert_eq!(answer.body["errors"].as_array().map(Vec::len), Some(100));
    assert_eq!(answer.body["errors"][99]["line"], 100);
    assert_eq!(server.tenant().bulk("").await.text, r#"{"accepted":0,"rejected":0,"errors":[]}"#);
}

/// Calls that do not fit are rejected when they are applied, after later lines have been read.
#[tokio::test]
async fn first_errors_by_line_are_listed_whenever_they_are_found() {
    let server = Server::start_engine(Engine::with_max_pairs(5), MemoryStore, Limits::default());
    let desk = Desk::set_up(&server.tenant()).await;
    let mut text = (0..15).fold(String::new(), |text, n| text + &line(&desk, n) + "\n");
    text.push_str(&"nonsense\n".repeat(250));
    let answer = server.tenant().bulk(text).await;
    let (accepted, rejected) = (answer.body["accepted"].as_u64().unwrap(), answer.body["rejected"].as_u64().unwrap());
    assert!(accepted < 15 && accepted + rejected == 265, "{}", answer.text);
    let told: Vec<_> =
        answer.body["errors"].as_array().unwrap().iter().filter_map(|error| error["line"].as_u64()).collect();
    assert!(told.is_sorted() && told.len() == 100, "{told:?}");
    let full = 15 - accepted;
    assert_eq!(told.iter().filter(|line| **line <= 15).count() as u64, full, "{told:?}");
    assert_eq!(told[99], 115 - full, "{told:?}");
}

/// Far more than a normal body may contain, in chunks that break lines at any position.
#[tokio::test]
async fn bulk_accepts_a_stream_without_length() {
    let mut limits = Limits::default();
    limits.body_bytes = 4096;
    let server = Server::start_with(MemoryStore, limits);
    let desk = Desk::set_up(&server.tenant()).await;
    let mut text = String::new();
    for n in 0..20_000 {
        writeln!(text, "{}", line(&desk, n)).unwrap();
        if n == 10_000 {
            text.push_str(&"x".repeat(10_000));
            text.push('\n');
        }
    }
    let body = chunks(text.as_bytes(), 777, End::Properly);
    let answer = server.tenant().send(Method::POST, "/calls/bulk", Some("application/x-ndjson"), body).await;
    assert_eq!((&answer.body["accepted"], &answer.body["rejected"]), (&json!(20_000), &json!(1)), "{}", answer.text);
    assert_eq!(answer.body["errors"][0]["line"], 10_002);
    assert_eq!(server.service.history().len(), 20_000);
}

#[tokio::test]
async fn bulk_cut_short_can_be_sent_again() {
    let server = Server::start();
    let desk = Desk::set_up(&server.tenant()).await;
    let text = format!("{}\n{}", line(&desk, 1), line(&desk, 2));
    let broken = chunks(text.as_bytes(), 100, End::BrokenOff);
    let kind = Some("application/x-ndjson");
    server.tenant().send(Method::POST, "/calls/bulk", kind, broken).await.is(400, "BODY_CUT_SHORT");
    let answer = server.tenant().bulk(text).await;
    assert_eq!(answer.text, r#"{"accepted":2,"rejected":0,"errors":[]}"#);
    assert_eq!(server.service.history().len(), 2);
}

#[tokio::test]
async fn calls_of_a_bulk_upload_that_does_not_go_on_are_recorded() {
    let server = Server::start();
    let desk = Desk::set_up(&server.tenant()).await;
    let text: String = (0..50).map(|n| line(&desk, n) + "\n").collect();
    let client = server.tenant();
    let upload = client.bulk(chunks((text + "{\"agent").as_bytes(), 1_000, End::Never));
    let recorded = async {
        while server.service.history().len() < 50 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        answer = upload => panic!("the body has no end: {}", answer.text),
        in_time = tokio::time::timeout(Duration::from_secs(20), recorded) => in_time.expect("they are recorded"),
    }
}

#[tokio::test]
async fn byte_order_mark_costs_no_line() {
    let server = Server::start();
    let desk = Desk::set_up(&server.tenant()).await;
    let text = format!("\u{FEFF}{}\n{}\n", line(&desk, 1), line(&desk, 2));
    for size in [1, 2, 3, 1000] {
        let body = chunks(text.as_bytes(), size, End::Properly);
        let answer = server.tenant().send(Method::POST, "/calls/bulk", Some("application/x-ndjson"), body).await;
        assert_eq!(answer.text, r#"{"accepted":2,"rejected":0,"errors":[]}"#, "in chunks of {size}");
    }
    assert_eq!(server.service.history().len(), 2);
}

#[tokio::test]
async fn compressed_body_returns_415_and_records_nothing() {
    let server = Server::start();
    let desk = Desk::set_up(&server.tenant()).await;
    let kind = ("content-type", "application/x-ndjson");
    let client = server.tenant();
    for coding in ["gzip", "GZIP", "identity, br", "zstd"] {
        let headers = [kind, ("content-encoding", coding)];
        let answer = client.send_with(Method::POST, "/calls/bulk", &headers, line(&desk, 1).into()).await;
        answer.is(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    // The first bytes of files that gzip, zstd, xz and bzip2 wrote, from a client that does not say so.
    for mark in [&b"\x1F\x8B\x08"[..], b"\x28\xB5\x2F\xFD\x04", b"\xFD7zXZ\0\0", b"BZh91AY"] {
        for rest in [b"\0\n\x4A".to_vec(), vec![b'x'; 2 << 20]] {
            let body = [mark, &rest].concat();
            client.bulk(body.clone()).await.is(415, "UNSUPPORTED_MEDIA_TYPE");
            let kind = Some("application/x-ndjson");
            let body = chunks(&body[..body.len().min(100)], 1, End::Properly);
            let answer = client.send(Method::POST, "/calls/bulk", kind, body).await;
            answer.is(415, "UNSUPPORTED_MEDIA_TYPE");
        }
    }
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let call = desk.call("busy").to_string();
    let answer = client.send_with(Method::POST, "/calls", &headers, call.into()).await;
    answer.is(415, "UNSUPPORTED_MEDIA_TYPE");
    assert!(server.service.history().is_empty());
    let headers = [kind, ("content-encoding", "identity")];
    let answer = client.send_with(Method::POST, "/calls/bulk", &headers, line(&desk, 1).into()).await;
    assert_eq!(answer.body["accepted"], 1, "{}", answer.text);
}

#[tokio::test]
async fn details_count_unchanged_and_erased_calls() {
    let server = Server::start();
    let desk = Desk::set_up(&server.tenant()).await;
    let client = server.tenant();
    let lines = format!("{}\n{}\n{}\n", line(&desk, 1), line(&desk, 1), line(&desk, 2));
    let upload = async |lines: &str| {
        let kind = Some("application/x-ndjson");
        client.send(Method::POST, "/calls/bulk?details=true", kind, lines.to_owned().into()).await.text
    };
    let counts = |unchanged: u8, erased: u8| {
        let counts = format!(r#""unchanged":{unchanged},"erased":{erased},"uncounted":0,"testing":0"#);
        format!(r#"{{"accepted":3,"rejected":0,"errors":[],{counts}}}"#)
    };
    assert_eq!(upload(&lines).await, counts(1, 0));
    client.delete("/contacts/+15550000002").await.data();
    assert_eq!(upload(&lines).await, counts(2, 1));
    client
        .send(Method::POST, "/calls/bulk?detail=1", Some("application/x-ndjson"), "".into())
        .await
        .is(422, "VALIDATION_ERROR");
}

#[tokio::test]
async fn test_calls_of_an_upload_are_accepted_and_never_recorded() {
    let server = Server::start();
    let desk = Desk::set_up(&server.tenant()).await;
    let client = server.tenant();
    let mut test: Value = serde_json::from_str(&line(&desk, 1)).unwrap();
    test["is_testing"] = json!(true);
    let mut real = test.clone();
    (real["is_testing"], real["to"]) = (json!(false), json!("+15550000009"));
    let mut wrong = test.clone();
    wrong["to"] = json!("anonymous");
    let lines = format!("{test}\n{real}\n{wrong}\n");
    let kind = Some("application/x-ndjson");
    let answer = client.send(Method::POST, "/calls/bulk?details=true", kind, lines.into()).await;
    assert_eq!((&answer.body["accepted"], &answer.body["rejected"]), (&json!(2), &json!(1)), "{}", answer.text);
    assert_eq!(answer.body["testing"], 1);
    assert_eq!(server.service.history().len(), 1, "the real one");
}

/// Replaces one field of a call by values that are right, wrong, or written in an unusual way.
fn unusual(call: &Value) -> Vec<String> {
    let mut texts = vec![
        call.to_string(),
        format!(" {call} "),
        format!("{call}{call}"),
        call.to_string().replace("\"to\"", "\"t\\u006f\""),
        call.to_string().replacen('{', "{\"to\":\"+15559990000\",", 1),
        call.to_string().replacen('{', "{\"more\":1,", 1),
    ];
    for (field, values) in [
        ("agent_id", &[json!("x"), json!(""), json!(7), json!("00000000-0000-4000-8000-00000000000f")][..]),
        ("from", &[json!("(555) 000-1000"), json!("+15550009999"), json!("tel:+15550001000"), json!("555"), json!("")]),
        (
            "to",
            &[
                json!("011 44 20 7946 0958"),
                json!("555-123-0007"),
                json!("sip:+15551230008@host"),
                json!("x"),
                json!("112"),
                json!("0"),
            ],
        ),
        ("started_at", &[json!("2019-12-31T23:59:59Z"), json!("2099-01-01T00:00:00Z"), json!("yesterday"), json!(0)]),
        ("status", &[json!("no-answer"), json!("no_answer"), json!("Busy"), json!("bored"), json!(["busy"])]),
    ] {
        for value in values.iter().chain(&[json!(null), json!({}), json!(" "), json!("\u{0}"), json!("\n")]) {
            let mut call = call.clone();
            call[field] = value.clone();
            texts.push(call.to_string());
        }
        let mut call = call.clone();
        call.as_object_mut().unwrap().remove(field);
        texts.push(call.to_string());
    }
    texts
}

#[tokio::test]
async fn line_is_read_as_a_body_is() {
    let (bulk, single) = (Server::start(), Server::start());
    let desk = Desk::set_up(&bulk.tenant()).await;
    let same = Desk::set_up(&single.tenant()).await;
    let (mut accepted, mut rejected) = (0, 0);
    for text in unusual(&desk.call("busy")) {
        for is_gateway in [false, true] {
            let client =
                |server: &Server| if is_gateway { server.gateway_token() } else { server.tenant_token() }.to_owned();
            let line = bulk.with_token(&client(&bulk)).bulk(text.clone()).await;
            let body = text.replace(&desk.source, &same.source);
            let kind = Some("application/json");
            let alone = single.with_token(&client(&single)).send(Method::POST, "/calls", kind, body.into()).await;
            assert_eq!(line.body["accepted"] == 1, alone.status == 202, "{text}: {} {}", line.text, alone.text);
            if alone.status == 202 {
                accepted += 1;
                continue;
            }
            rejected += 1;
            let fields = alone.body["errors"].as_object().into_iter().flatten().next();
            let why = fields.map_or(&alone.body["message"], |(_, texts)| &texts[0]);
            let why = json!(why.as_str().unwrap().replace("The body ", "The line "));
            assert_eq!(line.body["errors"][0]["message"], why, "{text}");
        }
    }
    assert!(accepted > 20 && rejected > 60, "{accepted} {rejected}");
    let contacts = ["+442079460958", "+15551230007", "+15551230008", "+112", "+15559990000", "+15557654321"];
    let mut known = 0;
    for contact in contacts {
        let route = async |server: &Server| {
            let path = format!("/route?dialed=%2B15550001000&caller={}&explain=true", contact.replace('+', "%2B"));
            let route = server.tenant().get(&path).await.data();
            (route["called_at"].clone(), route["source_agent_id"].is_string())
        };
        let (ours, theirs) = (route(&bulk).await, route(&single).await);
        assert_eq!(ours, theirs, "{contact}");
        known += usize::from(ours.1);
    }
    assert!(known >= 4, "{known}");
    assert_eq!(bulk.service.history().len(), single.service.history().len());
}
