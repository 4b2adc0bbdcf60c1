use crate::support::server::{Desk, Server};
use serde_json::json;

#[tokio::test]
async fn callback_agent_list_includes_drafts_with_all_fields() {
    let server = Server::start();
    let client = server.tenant();
    assert_eq!(client.get("/callback-agents").await.text, r#"{"success":true,"data":[]}"#);
    let Desk { source, callback, .. } = Desk::set_up(&client).await;
    let more =
        client.post("/agents", json!({"name": "Night", "label": "after six", "direction": "inbound"})).await.id();
    let body = json!({"source_agent_ids": [source], "callback_trigger_statuses": ["busy"], "lookback_days": 2});
    client.post(&format!("/agents/{more}/callback"), body).await.data();
    server.other().agent("Foreign", "inbound").await;

    let answer = client.get("/callback-agents").await;
    assert_eq!(answer.status, 200);
    let first = format!(
        r#"{{"id":"{callback}","name":"Callback Handler","label":null,"direction":"inbound","current_status":"published","callback_config":{{"source_agent_ids":["{source}"]}}}}"#
    );
    let second = format!(
        r#"{{"id":"{more}","name":"Night","label":"after six","direction":"inbound","current_status":"draft","callback_config":{{"source_agent_ids":["{source}"],"callback_trigger_statuses":["busy"],"lookback_days":2}}}}"#
    );
    assert_eq!(answer.text, format!(r#"{{"success":true,"data":[{first},{second}]}}"#));
    assert_eq!(server.other().get("/callback-agents").await.data(), json!([]));

    client.delete(&format!("/agents/{callback}/callback")).await;
    assert_eq!(client.get("/callback-agents").await.text, format!(r#"{{"success":true,"data":[{second}]}}"#));
    client.delete(&format!("/agents/{source}/callback")).await.is(404, "NOT_A_CALLBACK_AGENT");
}

#[tokio::test]
async fn source_agent_list_has_published_outbound_agents_only() {
    let server = Server::start();
    let client = server.tenant();
    let Desk { source, .. } = Desk::set_up(&client).await;
    client.agent("Draft", "outbound").await;
    let answer = client.get("/callback-agents/source-agents").await;
    let expected = format!(
        r#"{{"success":true,"data":[{{"id":"{source}","name":"Reminders","direction":"outbound","current_status":"published"}}]}}"#
    );
    assert_eq!(answer.text, expected);
    assert_eq!(server.other().get("/callback-agents/source-agents").await.data(), json!([]));
    client.post(&format!("/agents/{source}/unpublish"), json!({})).await.data();
    assert_eq!(client.get("/callback-agents/source-agents").await.data(), json!([]));
}
