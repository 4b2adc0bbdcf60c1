//! The dry run of a callback role: its findings, and that a role without errors can be set.

use crate::support::server::{CONTACT, Client, Desk, OURS, Server};
use serde_json::{Value, json};

fn path(agent: &str) -> String {
    format!("/callback-agents/{agent}/check-constraints")
}

async fn warnings(client: &Client<'_>, agent: &str, body: Value) -> Value {
    let answer = client.post(&path(agent), body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["warnings"].clone()
}

async fn errors(client: &Client<'_>, agent: &str, body: Value) -> Value {
    let answer = client.post(&path(agent), body).await;
    answer.is(422, "INVALID_CONFIGURATION");
    assert_eq!(answer.body["message"], "Configuration has errors");
    answer.body["errors"].clone()
}

/// A desk whose callback agent was named as the number's default agent, so that there is nothing to warn about.
async fn named_desk(client: &Client<'_>) -> Desk {
    let desk = Desk::set_up(client).await;
    let path = format!("/phone-numbers/{}", desk.number);
    client.put(&path, json!({"default_agent_id": desk.callback})).await.data();
    desk
}

#[tokio::test]
async fn valid_dry_run_gets_the_public_api_answer() {
    let server = Server::start();
    let client = server.tenant();
    let Desk { source, callback, .. } = named_desk(&client).await;
    let generation = server.generation();
    let body = json!({
        "is_callback_agent": true, "callback_source_agents": [source],
        "callback_trigger_statuses": ["no_answer", "voicemail", "busy"],
    });
    for body in [body, json!({}), json!({"is_callback_agent": null, "callback_source_agents": null})] {
        let answer = client.post(&path(&callback), body).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.text, r#"{"success":true,"message":"Configuration is valid"}"#);
    }
    assert_eq!(server.generation(), generation, "a dry run");
}

#[tokio::test]
async fn dry_run_reports_all_errors_together() {
    let server = Server::start();
    let client = server.tenant();
    let Desk { source, callback, .. } = Desk::set_up(&client).await;
    let draft = client.agent("Draft", "outbound").await;
    let foreign = server.other().agent("Foreign", "outbound").await;
    let nobody = "00000000-0000-4000-8000-000000000000";

    let answer = client.post(&path(&draft), json!({"callback_source_agents": [draft]})).await;
    assert_eq!(answer.status, 422);
    let both = format!(
        r#"{{"success":false,"message":"Configuration has errors","code":"INVALID_CONFIGURATION","errors":["Agent must be inbound to serve as a callback agent","Source agent {draft} is the agent itself"],"warnings":["Agent is not published; routing skips it until it is","Agent owns no phone number"]}}"#
    );
    assert_eq!(answer.text, both);

    let sources = json!({"callback_source_agents": [source, draft, callback, source, foreign, nobody]});
    assert_eq!(
        errors(&client, &callback, sources).await,
        json!([
            format!("Source agent {callback} is the agent itself"),
            format!("Source agent {source} is named more than once"),
            format!("Source agent {foreign} does not exist"),
            format!("Source agent {nobody} does not exist"),
        ])
    );
    let inbound = client.agent("Inbound", "inbound").await;
    let sources = json!({"callback_source_agents": [inbound]});
    let found = [format!("Source agent {inbound} is not outbound")];
    assert_eq!(errors(&client, &callback, sources).await, json!(found));
    let none = errors(&client, &callback, json!({"callback_source_agents": []})).await;
    assert_eq!(none, json!(["At least one source agent is required"]));
}

#[tokio::test]
async fn dry_run_warns_about_causes_of_missing_callbacks() {
    let server = Server::start();
    let client = server.tenant();
    let Desk { source, callback, number } = Desk::set_up(&client).await;
    let elsewhere = client.number("+15550001001").await;
    let rival = client.working_agent("Rival", "inbound", &[&number]).await;
    let away = client.working_agent("Away", "inbound", &[&elsewhere]).await;
    client.put(&format!("/phone-numbers/{elsewhere}"), json!({"default_agent_id": null})).await.data();
    let idle = client.agent("Idle", "inbound").await;
    let proposal = json!({"callback_source_agents": [source]});

    let competes = format!("Callback agent {callback} takes callbacks of source agent {source} on the same number");
    assert_eq!(warnings(&client, &rival, proposal.clone()).await, json!([competes]));
    let no_number = format!("Source agent {source} calls from no number that the agent owns");
    assert_eq!(warnings(&client, &away, proposal.clone()).await, json!([no_number]));
    let idles = ["Agent is not published; routing skips it until it is", "Agent owns no phone number"];
    assert_eq!(warnings(&client, &idle, proposal).await, json!(idles));
    assert_eq!(warnings(&client, &away, json!({})).await, json!(["No source agents are named yet"]));
    assert_eq!(warnings(&client, &away, json!({"is_callback_agent": false})).await, Value::Null);
    let default = "Callbacks that the agent takes now will follow the default routing of the dialed number";
    assert_eq!(warnings(&client, &callback, json!({"is_callback_agent": false})).await, json!([default]));
}

/// An operator who publishes a callback desk may not know that it also became the number's front door.
#[tokio::test]
async fn callback_agent_that_is_a_default_agent_by_its_order_is_a_warning() {
    let server = Server::start();
    let client = server.tenant();
    let Desk { callback, number, .. } = Desk::set_up(&client).await;
    let front_door =
        json!([format!("Agent takes all other calls of phone number {number}, which has no default agent of its own")]);
    let path = format!("/phone-numbers/{number}");
    for (choice, warning) in [("auto", &front_door), (&callback, &Value::Null), ("nobody", &Value::Null)] {
        client.put(&path, json!({"default_agent_id": choice})).await.data();
        assert_eq!(warnings(&client, &callback, json!({})).await, *warning, "{choice}");
    }
}

/// The operator named another agent, and the callback agent answers strangers all the same.
#[tokio::test]
async fn callback_agent_in_place_of_a_named_draft_is_a_warning() {
    let server = Server::start();
    let client = server.tenant();
    let Desk { callback, number, .. } = Desk::set_up(&client).await;
    let front = client.working_agent("Front", "inbound", &[&number]).await;
    client.put(&format!("/phone-numbers/{number}"), json!({"default_agent_id": front})).await.data();
    assert_eq!(warnings(&client, &callback, json!({})).await, Value::Null);
    client.post(&format!("/agents/{front}/unpublish"), json!({})).await.data();
    let stands_in = format!(
        "Agent takes all other calls of phone number {number} while its default agent {front} is not published"
    );
    assert_eq!(warnings(&client, &callback, json!({})).await, json!([stands_in]));
    let route = client.get(&format!("/route?dialed={OURS}&caller=anonymous")).await.data();
    assert_eq!((&route["decision"], &route["agent_id"]), (&json!("default"), &json!(callback)));
}

/// A draft may be named as a source, and the contacts that it called are routed.
#[tokio::test]
async fn draft_source_is_a_warning_and_its_callbacks_are_routed() {
    let server = Server::start();
    let client = server.tenant();
    let desk = named_desk(&client).await;
    client.post("/calls", desk.call("busy")).await;
    client.post(&format!("/agents/{}/unpublish", desk.source), json!({})).await.data();
    let warning = json!([format!("Source agent {} is not published", desk.source)]);
    // Without a proposed value, the current one is checked.
    for body in [json!({}), json!({"callback_source_agents": [desk.source]})] {
        assert_eq!(warnings(&client, &desk.callback, body).await, warning);
    }
    let route = client.get(&format!("/route?dialed={OURS}&caller={CONTACT}")).await.data();
    assert_eq!((&route["reason"], &route["agent_id"]), (&json!("MATCHED"), &json!(desk.callback)));
}

/// The public API names the same list differently in the dry run and in the request that it is for.
#[tokio::test]
async fn dry_run_and_role_accept_the_same_bodies() {
    let server = Server::start();
    let client = server.tenant();
    let Desk { source, callback, .. } = Desk::set_up(&client).await;
    let (check, role) = (path(&callback), format!("/agents/{callback}/callback"));
    let other = client.agent("Other", "outbound").await;
    for body in [
        json!({"is_callback_agent": true, "callback_source_agents": [source], "callback_trigger_statuses": ["busy"]}),
        json!({"source_agent_ids": [source], "lookback_days": 3}),
        json!({"source_agent_ids": [source], "callback_source_agents": [source], "is_callback_agent": null}),
        json!({"source_agent_ids": null, "callback_source_agents": [source]}),
        json!({"source_agent_ids": [source], "callback_source_agents": null}),
    ] {
        assert_eq!(client.post(&check, body.clone()).await.status, 200, "{body}");
        for method in [axum::http::Method::POST, axum::http::Method::PUT] {
            let data = client.json(method, &role, body.clone()).await.data();
            assert_eq!(data["callback_config"]["source_agent_ids"], json!([source]), "{body}");
        }
    }
    for (field, body) in [
        ("callback_source_agents", json!({"source_agent_ids": [source], "callback_source_agents": [other]})),
        ("is_callback_agent", json!({"source_agent_ids": [source], "is_callback_agent": false})),
        ("callback_source_agents.0", json!({"callback_source_agents": ["x"]})),
        ("source_agent_ids", json!({})),
    ] {
        let answer = client.put(&role, body).await;
        answer.is(422, "VALIDATION_ERROR");
        assert!(answer.body["errors"][field][0].is_string(), "{field} {}", answer.text);
    }
    let both = json!({"source_agent_ids": [other], "callback_source_agents": [source]});
    client.post(&check, both).await.is(422, "VALIDATION_ERROR");
}

#[tokio::test]
async fn malformed_dry_run_is_rejected_by_field() {
    let server = Server::start();
    let client = server.tenant();
    let Desk { callback, .. } = Desk::set_up(&client).await;
    let many: Vec<_> = (0..1001).map(|n| format!("00000000-0000-4000-8000-{n:012}")).collect();
    for (field, body) in [
        ("is_callback_agent", json!({"is_callback_agent": "yes"})),
        ("callback_source_agents", json!({"callback_source_agents": "all"})),
        ("callback_source_agents", json!({"callback_source_agents": many})),
        ("callback_source_agents.0", json!({"callback_source_agents": ["x"]})),
        ("callback_trigger_statuses.0", json!({"callback_trigger_statuses": ["bored"]})),
        ("callback_trigger_statuses", json!({"callback_trigger_statuses": []})),
        ("lookback_days", json!({"lookback_days": 0})),
    ] {
        let answer = client.post(&path(&callback), body).await;
        answer.is(422, "VALIDATION_ERROR");
        assert!(answer.body["errors"][field][0].is_string(), "{field} {}", answer.text);
    }
}

/// Tries agents of each kind with sources of each kind. A role that the dry run finds valid must be accepted, and an
/// error of the real request must appear in the dry run.
#[tokio::test]
async fn valid_dry_run_means_that_the_role_is_accepted() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let draft = client.agent("Draft", "outbound").await;
    let agents = [&desk.source, &desk.callback, &draft, &client.agent("In", "inbound").await];
    let mut granted = 0;
    for agent in agents {
        for one in agents {
            for other in agents {
                let sources = [one, other];
                let answer = client.post(&path(agent), json!({"callback_source_agents": sources})).await;
                let role =
                    client.post(&format!("/agents/{agent}/callback"), json!({"source_agent_ids": sources})).await;
                assert_eq!(role.status.is_success(), answer.status.is_success(), "{} {}", answer.text, role.text);
                granted += usize::from(role.status.is_success());
            }
        }
    }
    assert_eq!(granted, 4, "two inbound agents, two outbound sources in either order");
}
