//! Random bodies and queries: each is accepted or rejected, never a server error, and never reaches another tenant.

use crate::support::server::{Desk, Server};
use axum::http::Method;
use proptest::prelude::*;
use serde_json::{Map, Value};

const FIELDS: [&str; 16] = [
    "name",
    "direction",
    "label",
    "id",
    "phone_number_ids",
    "number",
    "default_agent_id",
    "source_agent_ids",
    "callback_trigger_statuses",
    "lookback_days",
    "agent_id",
    "from",
    "to",
    "started_at",
    "status",
    "role",
];

const TEXTS: [&str; 14] = [
    "",
    "inbound",
    "outbound",
    "busy",
    "voicemail",
    "+15550001000",
    "+15550001001",
    "5550001000",
    "anonymous",
    "2026-06-01T11:00:00Z",
    "00000000-0000-4000-8000-000000000000",
    "gateway",
    "\u{0}",
    "ÄÖ\u{202E}",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(&TEXTS[..]).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn body() -> impl Strategy<Value = Value> {
    let field = proptest::sample::select(&FIELDS[..]).prop_map(str::to_owned);
    proptest::collection::btree_map(field, value(), 0..6)
        .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_body_or_query_never_causes_a_server_error(
        bodies in proptest::collection::vec(body(), 1..4),
        dialed in any::<String>(),
        caller in any::<Vec<u8>>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let server = Server::start();
            let Desk { source, callback, number } = Desk::set_up(&server.tenant()).await;
            let theirs = server.other().get("/agents").await;
            for body in bodies {
                for (method, path) in [
                    (Method::POST, "/agents".to_owned()),
                    (Method::PUT, format!("/agents/{source}/calling")),
                    (Method::POST, format!("/agents/{callback}/callback")),
                    (Method::PUT, format!("/agents/{callback}/callback")),
                    (Method::POST, "/phone-numbers".to_owned()),
                    (Method::PUT, format!("/phone-numbers/{number}")),
                    (Method::POST, "/calls".to_owned()),
                ] {
                    let answer = server.tenant().json(method, &path, body.clone()).await;
                    assert!(answer.status.as_u16() < 500, "{path} {body}: {}", answer.text);
                }
                assert_eq!(server.tenant().bulk(body.to_string()).await.status, 200);
                for path in ["/environments", "/tokens"] {
                    let answer = server.operator().post(path, body.clone()).await;
                    assert!(answer.status.as_u16() < 500, "{path} {body}: {}", answer.text);
                }
            }
            assert_eq!(server.other().get("/agents").await, theirs);
            let escape = |text: &[u8]| {
                text.iter().fold(String::new(), |escaped, byte| escaped + &format!("%{byte:02X}"))
            };
            for dialed in ["%2B15550001000", &escape(dialed.as_bytes())] {
                for rest in ["", "&explain=true"] {
                    let path = format!("/route?dialed={dialed}&caller={}{rest}", escape(&caller));
                    let answer = server.gateway().get(&path).await;
                    assert!([200, 422].contains(&answer.status.as_u16()), "{path}: {}", answer.text);
                }
            }
        });
    }
}
