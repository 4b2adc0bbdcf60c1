use crate::support::server::{CONTACT, Desk, OURS, START, Server};
use axum::http::Method;
use dialback::store::MemoryStore;
use dialback::{AgentAddresses, Engine};
use serde_json::json;

const MATCHED: &str = "/route?dialed=+15550001000&caller=+15557654321";

#[tokio::test]
async fn decision_answer_has_its_fields_in_order() {
    let server = Server::start();
    let client = server.tenant();
    let Desk { source, callback, .. } = &Desk::set_up(&client).await;
    let answer = client.get(MATCHED).await;
    let id = answer.body["data"]["decision_id"].as_str().unwrap();
    assert_eq!(
        answer.text,
        format!(
            r#"{{"success":true,"data":{{"decision":"default","agent_id":"{callback}","reason":"NO_HISTORY","source_agent_id":null,"called_at":null,"call":null,"decision_id":"{id}"}}}}"#
        )
    );
    assert_eq!(id.len(), 36, "a UUID");
    let desk = Desk { source: source.clone(), callback: callback.clone(), number: String::new() };
    client.post("/calls", desk.call("no_answer")).await;
    let answer = client.get(MATCHED).await;
    let id = answer.body["data"]["decision_id"].as_str().unwrap();
    assert_eq!(
        answer.text,
        format!(
            r#"{{"success":true,"data":{{"decision":"callback","agent_id":"{callback}","reason":"MATCHED","source_agent_id":"{source}","called_at":"2026-06-01T11:00:00.000Z","call":{{"call_id":null,"status":"no-answer","called_at":"2026-06-01T11:00:00.000Z","from":"+15550001000","context":null}},"decision_id":"{id}"}}}}"#
        )
    );
}

#[tokio::test]
async fn any_caller_text_gets_a_decision() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    for caller in [
        "+15557654321",
        "%2B15557654321",
        "15557654321",
        "5557654321",
        "(555)%20765-4321",
        "sip:+15557654321@host",
        "%22Alice%22%20%3Csip:+15557654321@10.0.0.1;user=phone%3E;tag=1",
        "tel:%2B1-555-765-4321",
    ] {
        let data = client.get(&format!("/route?dialed=+15550001000&caller={caller}")).await.data();
        assert_eq!(data["reason"], "MATCHED", "{caller}");
    }
    for caller in ["anonymous", "sip:anonymous@anonymous.invalid", "", "+", "%FF%FE", "%00", "alice", "%", "%zz"] {
        let data = client.get(&format!("/route?dialed=+15550001000&caller={caller}")).await.data();
        assert_eq!((&data["decision"], &data["reason"]), (&json!("default"), &json!("ANONYMOUS_CALLER")), "{caller}");
    }
    let data = client.get(&format!("/route?dialed=5550001000&caller={}", "9".repeat(5000))).await.data();
    assert_eq!(data["reason"], "ANONYMOUS_CALLER");
    assert_eq!(client.get("/route?dialed=+15550001000").await.data()["reason"], "ANONYMOUS_CALLER");
    assert_eq!(client.get("/route?dialed=+15550001000&caller=112").await.data()["reason"], "NO_HISTORY");
}

#[tokio::test]
async fn route_accepts_an_explicit_time() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    for (at, reason) in [
        ("2026-07-01T11:00:00Z", "MATCHED"),
        ("2026-07-01T11:00:00.001Z", "EXPIRED"),
        ("2026-07-01T13:00:00%2B02:00", "MATCHED"),
        ("2026-07-01T13:00:00+02:00", "MATCHED"),
        ("2026-07-01T13:00:00-02:00", "EXPIRED"),
        ("2020-01-01T00:00:00Z", "MATCHED"),
        ("9999-12-30T00:00:00Z", "EXPIRED"),
    ] {
        assert_eq!(client.get(&format!("{MATCHED}&at={at}")).await.data()["reason"], reason, "{at}");
    }
    server.set_now(START.plus_millis(40 * 86_400_000));
    assert_eq!(client.get(MATCHED).await.data()["reason"], "EXPIRED");
    for (query, field) in [
        ("?caller=+15557654321", "dialed"),
        ("?dialed=", "dialed"),
        ("?dialed=main", "dialed"),
        ("?dialed=+15550001000&dialed=+15550001000", "query"),
        ("?dialed=+15550001000&at=now", "at"),
        ("?dialed=+15550001000&explain=maybe", "explain"),
        ("?dialed=+15550001000&calller=1", "calller"),
        ("?dialed=+15550001000&+15557654321=1", "body"),
    ] {
        let answer = client.get(&format!("/route{query}")).await;
        answer.is(422, "VALIDATION_ERROR");
        assert!(answer.body["errors"][field][0].is_string(), "{query} {}", answer.text);
        assert!(!answer.text.contains("555"), "{}", answer.text);
    }
}

#[tokio::test]
async fn explanation_shows_each_line_and_agent_names() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    let data = client.get(&format!("{MATCHED}&explain=true")).await.data();
    assert_eq!(data["decision"], "callback");
    let newest = server.service.plan();
    let own = newest.environment(server.environment).expect("ours").revision();
    assert_eq!(data["generation"], own, "how many the others had is nothing for a tenant");
    let everywhere = server.gateway().get(&format!("{MATCHED}&explain=true")).await.data();
    assert_eq!(everywhere["generation"], newest.generation());
    let handler = json!({"id": desk.callback, "name": "Callback Handler", "remains": true, "lookback_days": 30, "lookback_seconds": 2_592_000});
    let candidates = json!({"candidates": [handler]});
    let source = json!({"id": desk.source, "name": "Reminders"});
    let call = json!({
        "source_agent": source, "called_at": "2026-06-01T11:00:00.000Z", "status": "busy", "age_seconds": 3600,
    });
    let callback_agent = json!({"id": desk.callback, "name": "Callback Handler"});
    assert_eq!(data["agent"], callback_agent);
    assert_eq!(data["at"], "2026-06-01T12:00:00.000Z");
    let said = "Reminders placed the last call 1 h 0 min before: busy.";
    let summary =
        "Callback Handler takes the callback: it is the callback agent of the agent that called this contact last.";
    assert_eq!(data["summary"], format!("{summary} {said}"));
    let step = |line, reason, text: &str, saw| json!({"line": line, "reason": reason, "applies": line == 9, "text": text, "saw": saw});
    let source = json!({"exists": true, "callback_agents": [callback_agent]});
    let names = |what: &str| format!("Callback Handler: {what}.");
    assert_eq!(
        data["steps"],
        json!([
            step(
                1,
                "UNKNOWN_NUMBER",
                "The dialed number is known.",
                json!({"environment_id": server.environment.to_string()})
            ),
            step(2, "ANONYMOUS_CALLER", "The caller shows a number.", json!({"is_number": true})),
            step(3, "NO_HISTORY", said, json!({"call": call})),
            step(4, "NO_CALLBACK_AGENT", "Its callback agents: Callback Handler.", source),
            step(5, "NUMBER_NOT_OWNED", &names("owns the dialed number"), candidates.clone()),
            step(6, "CALLBACK_AGENT_UNPUBLISHED", &names("published"), candidates.clone()),
            step(7, "OUTCOME_NOT_ELIGIBLE", &names("accepts this outcome"), candidates.clone()),
            step(8, "EXPIRED", &names("the call is within the look-back"), candidates.clone()),
            step(9, "MATCHED", "Callback Handler is the only one left.", candidates),
        ])
    );
    let plain = client.get(&format!("{MATCHED}&explain=false")).await.data();
    assert_eq!(plain.as_object().map(serde_json::Map::len), Some(7));

    client.post(&format!("/agents/{}/unpublish", desk.source), json!({})).await;
    client.delete(&format!("/agents/{}", desk.source)).await;
    let data = client.get(&format!("{MATCHED}&explain=true")).await.data();
    assert_eq!(data["reason"], "NO_CALLBACK_AGENT");
    assert_eq!(data["steps"][2]["saw"]["call"]["source_agent"], json!({"id": desk.source, "name": null}));
    assert_eq!(data["steps"][3]["saw"], json!({"exists": false, "callback_agents": []}));
    assert_eq!(data["steps"][3]["text"], "The agent that placed it has been deleted.");
}

/// Checks the reason, the summary and the text of the last step, as an operator reads them.
#[tokio::test]
async fn explanation_texts_fit_current_and_past_times() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let told = async |query: &str| {
        let data = client.get(&format!("/route?{query}&explain=true")).await.data();
        let last = data["steps"].as_array().and_then(|steps| steps.last().cloned()).expect("a step");
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        assert!(!data["summary"].as_str().expect("a text").contains("555"), "{data}");
        (text(&data["reason"]), text(&data["summary"]), text(&last["text"]), text(&data["at"]))
    };
    let ours = "dialed=+15550001000&caller=+15557654321";
    let default = "Callback Handler, the number's default agent, takes the call:";

    let (reason, summary, text, _) = told("dialed=+15550009999&caller=+15557654321").await;
    assert_eq!((&*reason, &*text), ("UNKNOWN_NUMBER", "The dialed number is unknown."));
    assert_eq!(summary, "No agent takes the call: the dialed number is unknown.");
    let (reason, summary, text, _) = told("dialed=+15550001000&caller=anonymous").await;
    assert_eq!((&*reason, &*text), ("ANONYMOUS_CALLER", "The caller shows no number."));
    assert_eq!(summary, format!("{default} the caller shows no number."));
    let (reason, _, text, _) = told(ours).await;
    assert_eq!(reason, "NO_HISTORY");
    assert_eq!(text, "No outbound call from the dialed number to this caller is known.");

    client.post("/calls", desk.call("busy")).await;
    let (reason, summary, _, at) = told(&format!("{ours}&at=2026-06-01T11:00:07Z")).await;
    assert_eq!((&*reason, &*at), ("MATCHED", "2026-06-01T11:00:07.000Z"));
    assert!(summary.ends_with("Reminders placed the last call 7 s before: busy."), "{summary}");
    // The history keeps the last call only, and the text says so for a time before it.
    let (reason, summary, ..) = told(&format!("{ours}&at=2026-06-01T10:00:00Z")).await;
    assert_eq!(reason, "MATCHED");
    let after = "Reminders placed the last call 1 h 0 min after this moment, which counts as just made: busy.";
    assert!(summary.ends_with(after), "{summary}");
    let (reason, _, text, _) = told(&format!("{ours}&at=2026-07-10T11:00:00Z")).await;
    assert_eq!(reason, "EXPIRED");
    assert_eq!(text, "Callback Handler: the call is older than the look-back.");

    let rival = client.working_agent("Night Desk", "inbound", &[&client.number("+15550001009").await]).await;
    client.post(&format!("/agents/{rival}/callback"), json!({"source_agent_ids": [desk.source]})).await.data();
    let data = client.get(&format!("/route?{ours}&explain=true")).await.data();
    let owner = "Night Desk: not an owner of the dialed number. Callback Handler: owns the dialed number.";
    assert_eq!(data["steps"][4]["text"], owner);
    let calling = json!({"direction": "inbound", "phone_number_ids": [desk.number]});
    client.put(&format!("/agents/{rival}/calling"), calling).await.data();
    let data = client.get(&format!("/route?{ours}&explain=true")).await.data();
    assert_eq!(data["steps"][8]["text"], "Night Desk is chosen: its callback role was set last.");
}

#[tokio::test]
async fn accept_text_plain_returns_the_agent_only() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    let ask = async |accept: &str, query: &str| {
        client.given(("accept", accept), Method::GET, &format!("/route?{query}"), None).await
    };
    let known = format!("dialed={OURS}&caller={CONTACT}");
    for (query, text) in [
        (known.clone(), &*desk.callback),
        (format!("{known}&explain=true"), &desk.callback),
        (format!("dialed={OURS}&caller=anonymous"), &desk.callback),
        ("dialed=+15550009999".into(), ""),
    ] {
        let answer = ask("text/plain", &query).await;
        assert_eq!((answer.status.as_u16(), &*answer.text), (200, text), "{query}");
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(answer.headers["vary"], "accept");
    }
    for accept in ["*/*", "application/json", "text/html", "application/json, text/plain"] {
        let answer = ask(accept, &known).await;
        assert_eq!(answer.body["data"]["agent_id"], json!(desk.callback), "{accept}");
        assert_eq!(answer.headers["vary"], "accept");
    }
    for (accept, format, is_text) in
        [("*/*", "text", true), ("text/plain", "json", false), ("application/json", "text", true)]
    {
        let answer = ask(accept, &format!("{known}&format={format}")).await;
        assert_eq!(answer.text == desk.callback, is_text, "{accept} {format}");
    }
    ask("*/*", &format!("{known}&format=xml")).await.is(422, "VALIDATION_ERROR");
    ask("text/plain", "caller=1").await.is(422, "VALIDATION_ERROR");
}

#[tokio::test]
async fn route_returns_the_agent_address_if_it_has_one() {
    let client_of = |addresses: AgentAddresses| {
        Server::start_api(Engine::new(), MemoryStore, |api| api.with_addresses(addresses.clone()))
    };
    let everyone = "sip:{agent_id}@{environment_id}.example.com".parse().unwrap();
    let server = client_of(AgentAddresses::by_template(everyone));
    let (client, environment) = (server.tenant(), server.environment);
    let desk = Desk::set_up(&client).await;
    let address = format!("sip:{}@{environment}.example.com", desk.callback);
    for client in [&client, &server.gateway()] {
        let answer = client.given(("accept", "text/plain"), Method::GET, MATCHED, None).await;
        assert_eq!(answer.text, address);
        assert_eq!(client.get(MATCHED).await.data()["agent_address"], json!(address));
    }
    for unrouted in ["/route?dialed=+15550009999", "/route?dialed=+15550009999&explain=true"] {
        assert_eq!(client.given(("accept", "text/plain"), Method::GET, unrouted, None).await.text, "");
        assert_eq!(client.get(unrouted).await.data().get("agent_address"), None);
    }
    // An agent that a tenant may not see has no address for it either.
    assert_eq!(server.other().given(("accept", "text/plain"), Method::GET, MATCHED, None).await.text, "");

    let elsewhere =
        r#"{"environments": {"0190b5a4-8c2e-7c70-9d41-0123456789ab": "sip:{agent_id}@elsewhere.example.com"}}"#;
    let server = client_of(AgentAddresses::from_json(elsewhere).unwrap());
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let answer = client.given(("accept", "text/plain"), Method::GET, MATCHED, None).await;
    assert_eq!(answer.text, desk.callback, "the id of an agent that has no address");
    assert_eq!(client.get(MATCHED).await.data().get("agent_address"), None);
}
