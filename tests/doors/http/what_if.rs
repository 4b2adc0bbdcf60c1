//! Decisions with a proposed configuration, next to those with the current one.

use crate::support::server::{CONTACT, Desk, OURS, Server};
use dialback::{Reason, Route};
use serde_json::{Value, json};

const PATH: &str = "/route/what-if";

fn counted(server: &Server) -> u64 {
    let nobody = dialback::AgentId::from_u128(0);
    let routes = [Route::Callback(nobody), Route::Default(nobody), Route::Unrouted];
    let all = Reason::ALL.into_iter().flat_map(|reason| routes.map(|route| (route, reason)));
    all.map(|(route, reason)| server.service.metrics().decisions(route, reason)).sum()
}

#[tokio::test]
async fn what_if_returns_current_and_proposed_decision() {
    let server = Server::start();
    let client = server.tenant();
    let Desk { source, callback, number } = &Desk::set_up(&client).await;
    let desk = Desk { source: source.clone(), callback: callback.clone(), number: number.clone() };
    client.post("/calls", desk.call("busy")).await;
    let night = client.working_agent("Night Desk", "inbound", &[number]).await;
    let generation = server.generation();
    let revision = server.service.plan().environment(server.environment).expect("ours").revision();

    let calls = json!([{"dialed": OURS, "caller": CONTACT}, {"dialed": OURS, "caller": "anonymous"}, {"dialed": "+15550009999"}]);
    let answer = client
        .post(PATH, json!({"changes": [{"agent_id": night, "source_agent_ids": [source]}], "calls": calls}))
        .await;
    let matched = |agent: &str| {
        format!(
            r#"{{"decision":"callback","agent_id":"{agent}","reason":"MATCHED","source_agent_id":"{source}","called_at":"2026-06-01T11:00:00.000Z"}}"#
        )
    };
    let default = format!(
        r#"{{"decision":"default","agent_id":"{callback}","reason":"ANONYMOUS_CALLER","source_agent_id":null,"called_at":null}}"#
    );
    let nobody =
        r#"{"decision":"unrouted","agent_id":null,"reason":"UNKNOWN_NUMBER","source_agent_id":null,"called_at":null}"#;
    let expected = format!(
        r#"{{"success":true,"data":{{"at":"2026-06-01T12:00:00.000Z","generation":{revision},"differing":1,"decisions":[{{"differs":true,"current":{},"proposed":{}}},{{"differs":false,"current":{default},"proposed":{default}}},{{"differs":false,"current":{nobody},"proposed":{nobody}}}]}}}}"#,
        matched(callback),
        matched(&night)
    );
    assert_eq!(answer.text, expected);
    assert_eq!(server.generation(), generation, "nothing is stored");
    assert_eq!(counted(&server), 0, "nothing is counted");
    let after = client.get(&format!("/route?dialed={OURS}&caller={CONTACT}")).await.data();
    assert_eq!(after["agent_id"], json!(callback));
    assert_eq!(counted(&server), 1, "the count counts");

    // After the change is made, the decisions are those that were predicted.
    client.post(&format!("/agents/{night}/callback"), json!({"source_agent_ids": [source]})).await.data();
    let after = client.get(&format!("/route?dialed={OURS}&caller={CONTACT}")).await.data();
    assert_eq!(after["agent_id"], json!(night));
}

#[tokio::test]
async fn what_if_treats_a_repeated_role_as_no_change() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    let second = client.working_agent("Second Desk", "inbound", &[&desk.number]).await;
    client.post(&format!("/agents/{second}/callback"), json!({"source_agent_ids": [desk.source]})).await.data();
    let ask = async |changes: Value| {
        let calls = json!([{"dialed": OURS, "caller": CONTACT}]);
        client.post(PATH, json!({"changes": changes, "calls": calls})).await.data()["decisions"][0]["proposed"]
            ["agent_id"]
            .clone()
    };
    let again = json!({"agent_id": desk.callback, "source_agent_ids": [desk.source]});
    let removed = json!({"agent_id": desk.callback, "source_agent_ids": null});
    assert_eq!(ask(json!([again])).await, json!(second), "as the request itself would leave it");
    assert_eq!(ask(json!([removed, again])).await, json!(desk.callback), "set again after its removal");
}

#[tokio::test]
async fn what_if_accepts_removal_limits_and_another_time() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    let ask = async |more: Value| {
        let mut change = json!({"agent_id": desk.callback, "source_agent_ids": [desk.source]});
        change.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let calls = json!([{"dialed": OURS, "caller": CONTACT}]);
        let body = json!({"changes": [change], "calls": calls, "at": "2026-06-05T11:00:00Z", "explain": true});
        client.post(PATH, body).await.data()["decisions"][0].clone()
    };
    for (change, reason) in [
        (json!({"source_agent_ids": null}), "NO_CALLBACK_AGENT"),
        (json!({"callback_trigger_statuses": ["voicemail"]}), "OUTCOME_NOT_ELIGIBLE"),
        (json!({"lookback_days": 3}), "EXPIRED"),
        (json!({"lookback_days": 4}), "MATCHED"),
    ] {
        let pair = ask(change).await;
        assert_eq!((&pair["current"]["reason"], &pair["proposed"]["reason"]), (&json!("MATCHED"), &json!(reason)));
        assert_eq!(pair["differs"], json!(reason != "MATCHED"));
        let last = pair["proposed"]["steps"].as_array().and_then(|steps| steps.last().cloned()).expect("steps");
        assert_eq!((&last["reason"], &last["applies"]), (&json!(reason), &json!(true)));
    }
}

#[tokio::test]
async fn what_if_compares_a_whole_configuration_and_calls_at_their_own_times() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    let mut declared = client.get("/configuration").await.data();
    let generation = server.generation();
    let calls = json!([
        {"dialed": OURS, "caller": CONTACT, "at": "2026-06-02T12:00:00Z"},
        {"dialed": OURS, "caller": CONTACT, "at": "2026-07-30T12:00:00Z"},
        {"dialed": "+15550007777", "caller": CONTACT},
    ]);
    let ask = async |declared: &Value, prune: bool| {
        client.post(PATH, json!({"configuration": declared, "prune": prune, "calls": calls})).await
    };
    let same = ask(&declared, true).await.data();
    assert_eq!(same["differing"], 0, "{same}");
    let reason = |compared: &Value, call: usize, side: &str| compared["decisions"][call][side]["reason"].clone();
    assert_eq!((reason(&same, 0, "current"), reason(&same, 1, "current")), (json!("MATCHED"), json!("EXPIRED")));

    let agents = declared["agents"].as_array_mut().expect("a list");
    for agent in agents.iter_mut() {
        agent.as_object_mut().expect("an object").remove("callback");
    }
    agents.push(json!({"name": "New", "direction": "inbound", "numbers": ["+15550007777"]}));
    declared["numbers"].as_array_mut().expect("a list").push(json!({"number": "+15550007777"}));
    let changed = ask(&declared, false).await.data();
    // The second call reaches the same agent for another reason.
    let differs: Vec<_> = (0..3).map(|call| changed["decisions"][call]["differs"].clone()).collect();
    assert_eq!((&changed["differing"], json!(differs)), (&json!(2), json!([true, false, true])), "{changed}");
    assert_eq!(reason(&changed, 0, "proposed"), "NO_CALLBACK_AGENT");
    assert_eq!(reason(&changed, 1, "proposed"), "NO_CALLBACK_AGENT");
    assert_eq!(changed["decisions"][2]["current"]["reason"], "UNKNOWN_NUMBER");
    assert_eq!(changed["decisions"][2]["proposed"]["decision"], "default");
    assert_eq!(server.generation(), generation, "nothing is stored");

    declared["agents"][0]["numbers"] = json!(["+15550006666"]);
    let wrong = ask(&declared, false).await;
    wrong.is(422, "VALIDATION_ERROR");
    assert!(wrong.text.contains("configuration.agents.0.numbers.0") && !wrong.text.contains("5550006666"));
    for configuration in [json!({"agents": [], "+15550006666": 1}), json!([]), json!({"agents": "+15550006666"})] {
        let wrong = ask(&configuration, false).await;
        wrong.is(422, "VALIDATION_ERROR");
        assert!(wrong.text.contains("configuration") && !wrong.text.contains("5550006666"), "{}", wrong.text);
    }
    let both = json!({"configuration": {"agents": []}, "changes": [], "calls": calls});
    client.post(PATH, both).await.is(422, "VALIDATION_ERROR");
    let bad_time = json!({"configuration": {"agents": []}, "calls": [{"dialed": OURS, "at": "noon"}]});
    assert!(client.post(PATH, bad_time).await.text.contains("calls.0.at"));
}

#[tokio::test]
async fn what_if_rejects_changes_that_would_be_rejected() {
    let server = Server::start();
    let client = server.tenant();
    let Desk { source, callback, .. } = &Desk::set_up(&client).await;
    let foreign = server.other().agent("Foreign", "outbound").await;
    let calls = json!([{"dialed": OURS}]);
    let ask = async |changes: Value| client.post(PATH, json!({"changes": changes, "calls": calls})).await;
    let set = |agent: &str, source: &str| json!([{"agent_id": agent, "source_agent_ids": [source]}]);
    ask(set(source, source)).await.is(422, "INVALID_AGENT_DIRECTION");
    ask(set(callback, &foreign)).await.is(422, "INVALID_SOURCE_AGENT");
    ask(json!([{"agent_id": callback, "source_agent_ids": [source, source]}])).await.is(422, "VALIDATION_ERROR");
    let unknown = ask(set("00000000-0000-4000-8000-000000000000", source)).await;
    unknown.is(404, "AGENT_NOT_FOUND");
    assert_eq!(ask(set(&foreign, source)).await, unknown);
    assert_eq!(ask(set("x", source)).await, unknown);
    let twice =
        json!([{"agent_id": callback, "source_agent_ids": null}, {"agent_id": callback, "source_agent_ids": null}]);
    ask(twice).await.is(404, "NOT_A_CALLBACK_AGENT");
}

#[tokio::test]
async fn what_if_bounds_its_size_and_locates_errors() {
    let server = Server::start();
    let client = server.tenant();
    let Desk { source, callback, .. } = &Desk::set_up(&client).await;
    let change = json!({"agent_id": callback, "source_agent_ids": [source]});
    let call = json!({"dialed": OURS, "caller": CONTACT});
    for (field, changes, calls) in [
        ("changes", json!([]), json!([call])),
        ("changes", json!(vec![&change; 101]), json!([call])),
        ("changes", json!(change), json!([call])),
        ("changes.1", json!([change, 7]), json!([call])),
        ("changes.0.agent_id", json!([{"source_agent_ids": [source]}]), json!([call])),
        ("changes.0.source_agent_ids", json!([{"agent_id": callback}]), json!([call])),
        ("changes.0.source_agent_ids.0", json!([{"agent_id": callback, "source_agent_ids": [1]}]), json!([call])),
        ("changes.0.label", json!([{"agent_id": callback, "source_agent_ids": null, "label": 1}]), json!([call])),
        ("calls", json!([change]), json!([])),
        ("calls", json!([change]), json!(vec![&call; 1001])),
        ("calls.1.dialed", json!([change]), json!([call, {"caller": CONTACT}])),
        ("calls.0.dialed", json!([change]), json!([{"dialed": "main"}])),
        ("calls.0.caller", json!([change]), json!([{"dialed": OURS, "caller": 7}])),
        ("calls.0.at", json!([change]), json!([{"dialed": OURS, "at": "now"}])),
    ] {
        let answer = client.post(PATH, json!({"changes": changes, "calls": calls})).await;
        answer.is(422, "VALIDATION_ERROR");
        assert!(answer.body["errors"][field][0].is_string(), "{field} {}", answer.text);
        assert!(!answer.text.contains("555"), "{}", answer.text);
    }
    let full = client.post(PATH, json!({"changes": vec![&change; 100], "calls": vec![&call; 1000]})).await.data();
    assert_eq!(full["decisions"].as_array().map(Vec::len), Some(1000));
}

#[tokio::test]
async fn what_if_treats_a_foreign_number_like_an_unknown_one() {
    let server = Server::start();
    let desk = Desk::set_up(&server.tenant()).await;
    server.tenant().post("/calls", desk.call("busy")).await;
    let other = server.other();
    let source = other.agent("Source", "outbound").await;
    let callback = other.agent("Handler", "inbound").await;
    let ask = async |dialed: &str| {
        let body = json!({
            "changes": [{"agent_id": callback, "source_agent_ids": [source]}],
            "calls": [{"dialed": dialed, "caller": CONTACT}], "explain": true,
        });
        other.post(PATH, body).await
    };
    let foreign = ask(OURS).await;
    assert_eq!(foreign.body["data"]["decisions"][0]["current"]["reason"], "UNKNOWN_NUMBER");
    assert_eq!(foreign, ask("+15550009999").await);
}
