use crate::support::server::{CONTACT, Client, Desk, OURS, START, Server};
use dialback::{Change, E164, NumberId, Timestamp};
use serde_json::json;

const ROUTE: &str = "/route?dialed=+15550001000&caller=+15557654321";

#[tokio::test]
async fn erased_contact_stays_erased_after_a_late_report() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    assert_eq!(server.other().delete(&format!("/contacts/{CONTACT}")).await.data(), json!({"pairs_erased": 0}));
    assert_eq!(client.get(ROUTE).await.data()["reason"], "MATCHED", "another tenant erases its own");
    // Any form that the environment's dial plan accepts.
    let answer = client.delete("/contacts/(555)%20765-4321").await;
    assert_eq!(answer.text, r#"{"success":true,"data":{"pairs_erased":1}}"#);
    assert_eq!(client.get(ROUTE).await.data()["reason"], "NO_HISTORY");
    client.post("/calls", desk.call("voicemail")).await;
    assert_eq!(client.get(ROUTE).await.data()["reason"], "NO_HISTORY");
    assert_eq!(client.delete(&format!("/contacts/{CONTACT}")).await.data(), json!({"pairs_erased": 0}));

    let mut later = desk.call("busy");
    later["started_at"] = json!("2026-06-01T12:00:00.001Z");
    client.post("/calls", later).await;
    assert_eq!(client.get(ROUTE).await.data()["reason"], "MATCHED", "later calls start anew");
}

#[tokio::test]
async fn erasure_includes_a_call_dated_ahead() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let mut ahead = desk.call("busy");
    ahead["started_at"] = json!("2026-06-01T20:00:00Z");
    client.post("/calls", ahead).await;
    assert_eq!(client.delete(&format!("/contacts/{CONTACT}")).await.data(), json!({"pairs_erased": 1}));
    assert_eq!(client.get(ROUTE).await.data()["reason"], "NO_HISTORY");
}

#[tokio::test]
async fn call_before_a_future_dated_erasure_is_rejected_with_an_error() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let call = |at: &str| {
        let mut call = desk.call("busy");
        call["started_at"] = json!(at);
        call
    };
    assert_eq!(client.post("/calls", call("2026-06-01T20:00:00Z")).await.status, 202);
    assert_eq!(client.delete(&format!("/contacts/{CONTACT}")).await.data(), json!({"pairs_erased": 1}));
    server.set_now(START.plus_millis(60_000));
    for at in ["2026-06-01T12:00:30Z", "2026-06-01T20:00:00Z"] {
        client.post("/calls", call(at)).await.is(409, "CONTACT_ERASED");
        assert_eq!(client.get(ROUTE).await.data()["reason"], "NO_HISTORY");
    }
    let bulk = client.bulk(format!("{}\n{}\n", call("2026-06-01T12:00:30Z"), call("2026-06-01T20:00:00.001Z"))).await;
    assert_eq!((&bulk.body["accepted"], &bulk.body["rejected"]), (&json!(1), &json!(1)), "{}", bulk.text);
    assert_eq!(bulk.body["errors"][0]["line"], 1);
    assert_eq!(client.get(ROUTE).await.data()["reason"], "MATCHED", "a call after the erasure is recorded");
    // The refused call is not taken for a late report when its moment and the erased one have passed.
    server.set_now(START.plus_millis(30 * 3_600_000));
    client.post("/calls", call("2026-06-01T12:00:30Z")).await.is(409, "CONTACT_ERASED");
    // The erasure does not affect other contacts.
    let mut other = call("2026-06-01T12:00:30Z");
    other["to"] = json!("+15557650000");
    assert_eq!(client.post("/calls", other).await.status, 202);
}

/// Tries calls dated now or up to a day ahead, repeated reports and erasures, while the clock advances in small and large steps.
#[tokio::test]
async fn random_calls_and_erasures_keep_acknowledged_calls_and_restore_no_erased_one() {
    const DAY: u64 = 86_400_000;
    let (mut acknowledged, mut refused, mut refused_again, mut erased_late) = (0, 0, 0, 0);
    for seed in 1..=12_u64 {
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut below = |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        let server = Server::start();
        let client = server.tenant();
        let desk = Desk::set_up(&client).await;
        let mut now = START.millis();
        let mut last: Option<u64> = None;
        let mut sent: Vec<u64> = Vec::new();
        let mut erased: Vec<u64> = Vec::new();
        let mut refused_since: Vec<u64> = Vec::new();
        for _ in 0..60 {
            now += [1, 60_000, 3_600_000][usize::try_from(below(3)).unwrap()];
            server.set_now(Timestamp::from_millis(now));
            match below(6) {
                0 => {
                    client.delete(&format!("/contacts/{CONTACT}")).await.data();
                    last = None;
                    erased.append(&mut sent);
                    erased.append(&mut refused_since);
                }
                1 if !erased.is_empty() => {
                    let at = erased[usize::try_from(below(erased.len() as u64)).unwrap()];
                    let answer = record(&client, &desk, at).await;
                    assert!([202, 409].contains(&answer), "{answer}");
                    erased_late += 1;
                }
                2 if !refused_since.is_empty() => {
                    let at = refused_since[usize::try_from(below(refused_since.len() as u64)).unwrap()];
                    assert_eq!(record(&client, &desk, at).await, 409, "seed {seed}: it would not be in force");
                    refused_again += 1;
                }
                kind => {
                    let at = if kind < 4 { now } else { now + below(DAY) };
                    if record(&client, &desk, at).await == 202 {
                        sent.push(at);
                        last = last.max(Some(at));
                        acknowledged += 1;
                    } else {
                        refused += 1;
                        refused_since.push(at);
                    }
                }
            }
            let data = client.get(ROUTE).await.data();
            let called = last.map(|at| json!(text(at)));
            assert_eq!(data["called_at"], called.unwrap_or_default(), "seed {seed}: {data}");
        }
    }
    let counts = [acknowledged, refused, refused_again, erased_late];
    assert!(counts.iter().zip([100, 10, 20, 20]).all(|(count, least)| count > &least), "{counts:?}");
}

async fn record(client: &Client<'_>, desk: &Desk, at: u64) -> u16 {
    let mut call = desk.call("busy");
    call["started_at"] = json!(text(at));
    client.post("/calls", call).await.status.as_u16()
}

fn text(at: u64) -> String {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(at).unwrap()).unwrap();
    format!("{at:.3}")
}

#[tokio::test]
async fn malformed_number_in_the_path_is_rejected() {
    let server = Server::start();
    for wrong in ["anonymous", "+", "%20", "%FF%FE", "+1234567890123456", "a%2Fb"] {
        server.tenant().delete(&format!("/contacts/{wrong}")).await.is(422, "VALIDATION_ERROR");
        server.tenant().get(&format!("/contacts/{wrong}")).await.is(422, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn contact_shows_the_last_call_from_each_number_newest_first() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let nothing =
        json!({"number": CONTACT, "entries": [], "entries_total": 0, "known_calls": [], "has_more_known_calls": false});
    assert_eq!(client.get(&format!("/contacts/{CONTACT}")).await.data(), nothing);
    let second = client.post("/phone-numbers", json!({"number": "+15550002000"})).await.data()["id"].clone();
    client.post("/calls", desk.call("initiated")).await;
    client.post("/calls", desk.call("no-answer")).await;
    let mut later = desk.call("busy");
    later["from"] = json!("+15550002000");
    later["started_at"] = json!("2026-06-01T12:00:00.500Z");
    client.post("/calls", later).await;

    let source = client.get(&format!("/agents/{}", desk.source)).await.data();
    let entries = json!([
        {
            "phone_number_id": second, "from": "+15550002000", "status": "busy",
            "called_at": "2026-06-01T12:00:00.500Z",
            "source_agent_id": desk.source, "source_agent_name": source["name"],
        },
        {
            "phone_number_id": desk.number, "from": OURS, "status": "no-answer",
            "called_at": "2026-06-01T11:00:00.000Z",
            "source_agent_id": desk.source, "source_agent_name": source["name"],
        },
    ]);
    let known = json!({"number": CONTACT, "entries": entries, "entries_total": 2, "known_calls": [], "has_more_known_calls": false});
    assert_eq!(client.get("/contacts/(555)%20765-4321").await.data(), known, "any form of the number");
    assert_eq!(server.other().get(&format!("/contacts/{CONTACT}")).await.data(), nothing, "another tenant's calls");
    server.gateway().get(&format!("/contacts/{CONTACT}")).await.is(403, "UNAUTHORIZED");

    let id = second.as_str().expect("an id");
    client.delete(&format!("/phone-numbers/{id}")).await;
    let released = client.get(&format!("/contacts/{CONTACT}")).await.data();
    assert_eq!(released["entries"][0]["from"], "+15550002000", "a released number keeps its calls");
    assert_eq!(released["entries"][0]["phone_number_id"], json!(null));

    assert_eq!(client.delete(&format!("/contacts/{CONTACT}")).await.data(), json!({"pairs_erased": 2}));
    assert_eq!(client.get(&format!("/contacts/{CONTACT}")).await.data(), nothing);
}

#[tokio::test]
async fn contact_with_a_deleted_source_shows_its_id_without_a_name() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    client.post(&format!("/agents/{}/unpublish", desk.source), json!({})).await.data();
    client.delete(&format!("/agents/{}", desk.source)).await;
    let entry = client.get(&format!("/contacts/{CONTACT}")).await.data()["entries"][0].clone();
    assert_eq!((&entry["source_agent_id"], &entry["source_agent_name"]), (&json!(desk.source), &json!(null)));
}

/// The limit is that of lists within other answers.
#[tokio::test]
async fn contact_called_from_many_numbers_lists_the_newest_thousand() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let number = |n: u64| E164::parse_international(&format!("+1555{:07}", 3_000_000 + n)).expect("a number");
    for count in [1_000, 1_001] {
        let n = count - 1;
        let first = if count == 1_000 { 0 } else { n };
        let added = (first..count)
            .map(|n| Change::NumberAdded { id: NumberId::from_u128(u128::from(n) + 9), number: number(n) });
        let added = added.collect();
        server.service.configure(server.environment, START, |_| Ok(added)).expect("valid");
        let call = |n: u64| {
            let mut call = desk.call("busy");
            call["from"] = json!(format!("+1555{:07}", 3_000_000 + n));
            call["started_at"] = json!(text(START.millis() - 5_000 + n));
            format!("{call}\n")
        };
        assert_eq!(client.bulk((first..count).map(call).collect::<String>()).await.body["accepted"], count - first);
        let known = client.get(&format!("/contacts/{CONTACT}")).await.data();
        assert_eq!(known["entries_total"], count);
        let entries = known["entries"].as_array().expect("a list");
        assert_eq!(entries.len(), 1_000);
        assert_eq!(entries[0]["from"], format!("+1555{:07}", 3_000_000 + n), "the newest is first");
        assert_eq!(entries[999]["from"], format!("+1555{:07}", 3_000_000 + count - 1_000));
    }
}
