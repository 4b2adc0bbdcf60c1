use crate::support::server::{CONTACT, Desk, OURS, Server};
use serde_json::json;

/// The request and the answer of the public API must match byte for byte, once the ids are replaced.
#[tokio::test]
async fn public_api_request_gets_the_public_api_answer() {
    let server = Server::start();
    let client = server.tenant();
    let source = client.agent("Reminders", "outbound").await;
    let callback = client.agent("Callback Handler", "inbound").await;
    let path = format!("/agents/{callback}/callback");

    let answer = client.post(&path, json!({"source_agent_ids": [source]})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.text,
        format!(
            r#"{{"success":true,"data":{{"id":"{callback}","name":"Callback Handler","direction":"inbound","callback_config":{{"source_agent_ids":["{source}"]}}}}}}"#
        )
    );

    let answer = client.put(&path, json!({"source_agent_ids": [source]})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.text,
        format!(
            r#"{{"success":true,"data":{{"id":"{callback}","callback_config":{{"source_agent_ids":["{source}"]}}}}}}"#
        )
    );

    let answer = client.delete(&path).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text, r#"{"success":true,"message":"Callback role removed"}"#);
}

#[tokio::test]
async fn outbound_agent_as_callback_is_rejected() {
    let server = Server::start();
    let client = server.tenant();
    let one = client.agent("One", "outbound").await;
    let two = client.agent("Two", "outbound").await;
    let answer = client.post(&format!("/agents/{one}/callback"), json!({"source_agent_ids": [two]})).await;
    assert_eq!(answer.status, 422);
    assert_eq!(
        answer.text,
        r#"{"success":false,"message":"Agent must have direction=inbound to serve as a callback","code":"INVALID_AGENT_DIRECTION"}"#
    );
}

#[tokio::test]
async fn post_and_put_replace_the_source_list() {
    let server = Server::start();
    let client = server.tenant();
    let callback = client.agent("Handler", "inbound").await;
    let (one, two) = (client.agent("One", "outbound").await, client.agent("Two", "outbound").await);
    let path = format!("/agents/{callback}/callback");
    client.post(&path, json!({"source_agent_ids": [one, two]})).await.data();
    let data = client.post(&path, json!({"source_agent_ids": [two]})).await.data();
    assert_eq!(data["callback_config"], json!({"source_agent_ids": [two]}));
    let data = client.put(&path, json!({"source_agent_ids": [two, one]})).await.data();
    assert_eq!(data["callback_config"], json!({"source_agent_ids": [two, one]}));
    let data = client.put(&path, json!({"source_agent_ids": [one]})).await.data();
    assert_eq!(data["callback_config"], json!({"source_agent_ids": [one]}));
}

/// A nightly synchronization repeats each role. That must not put one role before another.
#[tokio::test]
async fn repeated_role_changes_nothing_and_keeps_its_place() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let second = client.working_agent("Second Desk", "inbound", &[&desk.number]).await;
    let spare = client.agent("Spare", "outbound").await;
    client.post("/calls", desk.call("busy")).await;
    let taker = async || client.get(&format!("/route?dialed={OURS}&caller={CONTACT}")).await.data()["agent_id"].clone();
    let (path, sources) = (format!("/agents/{}/callback", desk.callback), [&*desk.source, &spare]);
    let limited = json!({
        "source_agent_ids": sources, "callback_trigger_statuses": ["busy", "no_answer"], "lookback_days": 7,
    });
    let reordered = json!({
        "source_agent_ids": [spare, desk.source], "callback_trigger_statuses": ["no-answer", "busy"], "lookback_days": 7,
    });
    for (first, again) in [
        (json!({"source_agent_ids": sources}), json!({"source_agent_ids": sources, "lookback_days": null})),
        (limited.clone(), limited.clone()),
        (limited.clone(), reordered),
    ] {
        client.post(&path, first).await.data();
        client.post(&format!("/agents/{second}/callback"), json!({"source_agent_ids": [desk.source]})).await.data();
        assert_eq!(taker().await, json!(second), "it was configured last");
        let (shown, list, generation) =
            (client.get(&path).await, client.get("/agents").await.tag(), server.generation());
        for method in [axum::http::Method::POST, axum::http::Method::PUT] {
            let answer = client.json(method, &path, again.clone()).await;
            assert_eq!((answer.status.as_u16(), answer.tag()), (200, shown.tag()), "{}", answer.text);
            assert_eq!(answer.body["data"]["callback_config"], shown.body["data"]["callback_config"]);
        }
        assert_eq!(client.get(&path).await, shown);
        assert_eq!((client.get("/agents").await.tag(), server.generation()), (list, generation));
        assert_eq!(taker().await, json!(second));
        client.delete(&format!("/agents/{second}/callback")).await;
    }

    // A difference in any part is a change, and makes the role the one that was configured last.
    client.post(&format!("/agents/{second}/callback"), json!({"source_agent_ids": [desk.source]})).await.data();
    for (field, value) in [
        ("lookback_days", json!(8)),
        ("callback_trigger_statuses", json!(["busy"])),
        ("source_agent_ids", json!([desk.source])),
    ] {
        let (mut body, tag) = (limited.clone(), client.put(&path, limited.clone()).await.tag());
        body[field] = value;
        assert_ne!(client.put(&path, body).await.tag(), tag, "{field}");
        assert_eq!(taker().await, json!(desk.callback));
    }
    // The same source twice is no repetition of a role with two sources.
    client.put(&path, json!({"source_agent_ids": sources})).await.data();
    client.put(&path, json!({"source_agent_ids": [spare, spare]})).await.is(422, "VALIDATION_ERROR");
}

#[tokio::test]
async fn optional_callback_settings_are_shown_only_if_set() {
    let server = Server::start();
    let client = server.tenant();
    let callback = client.agent("Handler", "inbound").await;
    let source = client.agent("Source", "outbound").await;
    let path = format!("/agents/{callback}/callback");
    let body = json!({
        "source_agent_ids": [source], "callback_trigger_statuses": ["voicemail", "no-answer", "busy"], "lookback_days": 7,
    });
    let data = client.post(&path, body).await.data();
    let config = json!({
        "source_agent_ids": [source], "callback_trigger_statuses": ["no-answer", "busy", "voicemail"], "lookback_days": 7,
    });
    assert_eq!(data["callback_config"], config);
    let whole = json!({"source_agent_ids": [source], "lookback_days": 7.0});
    assert_eq!(client.put(&path, whole).await.data()["callback_config"]["lookback_days"], json!(7));
    let nulls = json!({"source_agent_ids": [source], "callback_trigger_statuses": null, "lookback_days": null});
    let data = client.put(&path, nulls).await.data();
    assert_eq!(data["callback_config"], json!({"source_agent_ids": [source]}));

    for (field, wrong) in [
        ("callback_trigger_statuses", json!([])),
        ("callback_trigger_statuses", json!("busy")),
        ("callback_trigger_statuses.1", json!(["busy", "bored"])),
        ("lookback_days", json!(0)),
        ("lookback_days", json!(-1)),
        ("lookback_days", json!(1.5)),
        ("lookback_days", json!(3651)),
        ("lookback_days", json!("7")),
        ("lookback_days", json!(1e300)),
    ] {
        let mut body = json!({"source_agent_ids": [source]});
        body[field.split('.').next().unwrap()] = wrong.clone();
        let answer = client.put(&path, body).await;
        answer.is(422, "VALIDATION_ERROR");
        assert!(answer.body["errors"][field][0].is_string(), "{wrong}: {}", answer.text);
    }
}

#[tokio::test]
async fn invalid_source_agents_are_rejected_by_name() {
    let server = Server::start();
    let client = server.tenant();
    let callback = client.agent("Handler", "inbound").await;
    let inbound = client.agent("Inbound", "inbound").await;
    let source = client.agent("Source", "outbound").await;
    let foreign = server.other().agent("Foreign", "outbound").await;
    let unknown = "00000000-0000-4000-8000-000000000000";
    let path = format!("/agents/{callback}/callback");
    client.post(&path, json!({"source_agent_ids": [source]})).await.data();
    let generation = server.generation();

    let answer = client.put(&path, json!({"source_agent_ids": [source, inbound, foreign, unknown, callback]})).await;
    answer.is(422, "INVALID_SOURCE_AGENT");
    let message = answer.body["message"].as_str().unwrap();
    for named in [&*inbound, &foreign, unknown, &callback] {
        assert!(message.contains(named), "{message}");
    }
    assert!(!message.contains(&source), "{message}");

    let thousand_and_one: Vec<_> = (0..1001).map(|n| format!("00000000-0000-4000-8000-{n:012}")).collect();
    for (field, sources) in [
        ("source_agent_ids", json!([])),
        ("source_agent_ids", json!([source, source])),
        ("source_agent_ids", json!([source, source.to_uppercase()])),
        ("source_agent_ids", json!(thousand_and_one)),
        ("source_agent_ids", json!(source)),
        ("source_agent_ids", json!(null)),
        ("source_agent_ids.0", json!([null])),
        ("source_agent_ids.1", json!([source, 7])),
        ("source_agent_ids.1", json!([source, "not-a-uuid"])),
    ] {
        for method in [axum::http::Method::POST, axum::http::Method::PUT] {
            let answer = client.json(method, &path, json!({"source_agent_ids": sources})).await;
            answer.is(422, "VALIDATION_ERROR");
            assert!(answer.body["errors"][field][0].is_string(), "{field} {}", answer.text);
        }
    }
    assert_eq!(server.generation(), generation, "nothing was applied");
}

#[tokio::test]
async fn changing_a_missing_callback_role_is_rejected() {
    let server = Server::start();
    let client = server.tenant();
    let callback = client.agent("Handler", "inbound").await;
    let source = client.agent("Source", "outbound").await;
    for agent in [&callback, &source] {
        let path = format!("/agents/{agent}/callback");
        client.put(&path, json!({"source_agent_ids": [source]})).await.is(404, "NOT_A_CALLBACK_AGENT");
        let answer = client.delete(&path).await;
        answer.is(404, "NOT_A_CALLBACK_AGENT");
        assert_eq!(answer.body["message"], "Agent is not configured as a callback agent");
    }
}

#[tokio::test]
async fn changing_direction_of_a_callback_or_source_agent_is_rejected() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let Desk { source, callback, .. } = &desk;
    let answer = client.put(&format!("/agents/{callback}/calling"), json!({"direction": "outbound"})).await;
    answer.is(409, "AGENT_IS_CALLBACK");
    assert!(answer.body["message"].as_str().unwrap().contains(source));
    let answer = client.put(&format!("/agents/{source}/calling"), json!({"direction": "inbound"})).await;
    answer.is(409, "AGENT_IS_SOURCE");
    assert!(answer.body["message"].as_str().unwrap().contains(callback));

    // A role without sources remains, and the error names the entities that still exist.
    client.post(&format!("/agents/{source}/unpublish"), json!({})).await;
    assert_eq!(client.delete(&format!("/agents/{source}")).await.status, 200);
    let answer = client.put(&format!("/agents/{callback}/calling"), json!({"direction": "outbound"})).await;
    answer.is(409, "AGENT_IS_CALLBACK");
    let message = format!("agent {callback} is a callback agent, of no source agents at present");
    assert_eq!(answer.body["message"], message);

    client.delete(&format!("/agents/{callback}/callback")).await;
    let data = client.put(&format!("/agents/{callback}/calling"), json!({"direction": "outbound"})).await.data();
    assert_eq!(data["direction"], "outbound");
    assert_eq!(data["phone_numbers"][0]["number"], OURS, "numbers stay");
}

#[tokio::test]
async fn concurrent_edits_each_see_the_newest_configuration() {
    let server = Server::start();
    let client = server.tenant();
    let callback = client.agent("Handler", "inbound").await;
    let source = client.agent("Source", "outbound").await;
    let path = format!("/agents/{callback}/callback");
    let calling = format!("/agents/{callback}/calling");
    for _ in 0..50 {
        let (gives, turns) = tokio::join!(
            client.post(&path, json!({"source_agent_ids": [source]})),
            client.put(&calling, json!({"direction": "outbound"})),
        );
        let codes = [gives.code(), turns.code()];
        assert!(codes == ["", "AGENT_IS_CALLBACK"] || codes == ["INVALID_AGENT_DIRECTION", ""], "{codes:?}");
        client.delete(&path).await;
        client.put(&calling, json!({"direction": "inbound"})).await.data();
    }
}
