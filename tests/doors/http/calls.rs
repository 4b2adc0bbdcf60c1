use crate::support::server::{CONTACT, Desk, OURS, Server};
use serde_json::json;

const ROUTE: &str = "/route?dialed=%2B15550001000&caller=%2B15557654321";

#[tokio::test]
async fn recorded_call_routes_its_contact_to_the_callback_agent() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    assert_eq!(client.get(ROUTE).await.data()["reason"], "NO_HISTORY");
    for status in ["initiated", "no-answer", "initiated", "no_answer"] {
        let answer = client.post("/calls", desk.call(status)).await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.text, r#"{"success":true,"message":"Call recorded"}"#);
    }
    assert_eq!(client.get(ROUTE).await.data()["reason"], "MATCHED");
}

#[tokio::test]
async fn test_call_is_checked_and_acknowledged_and_never_recorded() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let mut call = desk.call("busy");
    call["is_testing"] = json!(true);
    let answer = client.post("/calls", call.clone()).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.text, r#"{"success":true,"message":"Test call acknowledged"}"#);
    assert!(server.service.history().is_empty());
    assert_eq!(client.get(ROUTE).await.data()["reason"], "NO_HISTORY");
    // It is checked like another one.
    let mut wrong = call.clone();
    wrong["to"] = json!("anonymous");
    client.post("/calls", wrong).await.is(422, "VALIDATION_ERROR");
    call["is_testing"] = json!("yes");
    client.post("/calls", call.clone()).await.is(422, "VALIDATION_ERROR");
    for real in [json!(false), json!(null)] {
        call["is_testing"] = real;
        assert_eq!(client.post("/calls", call.clone()).await.body["message"], "Call recorded");
    }
    assert_eq!(client.get(ROUTE).await.data()["reason"], "MATCHED");
}

#[tokio::test]
async fn gateway_call_is_recorded_for_the_holder_of_the_number() {
    let server = Server::start();
    let ours = Desk::set_up(&server.tenant()).await;
    assert_eq!(server.gateway().post("/calls", ours.call("busy")).await.status, 202);
    assert_eq!(server.gateway().get(ROUTE).await.data()["agent_id"], json!(ours.callback));
    // The contact's number is read with the dial plan of the number's holder; here it is a national form.
    let mut national = ours.call("busy");
    national["to"] = json!("(555) 765-9999");
    assert_eq!(server.gateway().post("/calls", national).await.status, 202);
    let route = "/route?dialed=+15550001000&caller=5557659999";
    assert_eq!(server.gateway().get(route).await.data()["reason"], "MATCHED");
    // An agent of another tenant is not found.
    let mut foreign = ours.call("busy");
    foreign["agent_id"] = json!(server.other().agent("Foreign", "outbound").await);
    server.gateway().post("/calls", foreign).await.is(404, "AGENT_NOT_FOUND");
}

#[tokio::test]
async fn invalid_call_report_is_rejected() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    server.other().number("+4930901820").await;
    let unknown = "00000000-0000-4000-8000-000000000000";
    for (field, value, status, code) in [
        ("agent_id", json!(unknown), 404, "AGENT_NOT_FOUND"),
        ("agent_id", json!("nobody"), 404, "AGENT_NOT_FOUND"),
        ("agent_id", json!(desk.callback), 422, "INVALID_AGENT_DIRECTION"),
        ("agent_id", json!(7), 422, "VALIDATION_ERROR"),
        ("from", json!("+15550009999"), 404, "NUMBER_NOT_FOUND"),
        ("from", json!("+4930901820"), 404, "NUMBER_NOT_FOUND"),
        ("from", json!("anonymous"), 422, "VALIDATION_ERROR"),
        ("to", json!("anonymous"), 422, "VALIDATION_ERROR"),
        ("to", json!("+1234567890123456"), 422, "VALIDATION_ERROR"),
        ("to", json!("+15557654321.0"), 422, "VALIDATION_ERROR"),
        ("to", json!("15557654321.5"), 422, "VALIDATION_ERROR"),
        ("to", json!("+15557654321/22"), 422, "VALIDATION_ERROR"),
        ("to", json!(15_557_654_321_u64), 422, "VALIDATION_ERROR"),
        ("started_at", json!("yesterday"), 422, "VALIDATION_ERROR"),
        ("started_at", json!("2026-06-01T11:00:00"), 422, "VALIDATION_ERROR"),
        ("started_at", json!("2019-12-31T23:59:59.999Z"), 422, "VALIDATION_ERROR"),
        ("started_at", json!("1969-12-31T23:59:59Z"), 422, "VALIDATION_ERROR"),
        ("started_at", json!("2026-06-02T12:00:00.001Z"), 422, "VALIDATION_ERROR"),
        ("started_at", json!(1_780_315_200), 422, "VALIDATION_ERROR"),
        ("status", json!("bored"), 422, "VALIDATION_ERROR"),
        ("status", json!(null), 422, "VALIDATION_ERROR"),
        ("duration", json!(7), 422, "VALIDATION_ERROR"),
    ] {
        let mut call = desk.call("busy");
        call[field] = value.clone();
        let answer = client.post("/calls", call).await;
        answer.is(status, code);
        if code == "VALIDATION_ERROR" {
            assert!(answer.body["errors"][field][0].is_string(), "{field} {value} {}", answer.text);
        }
    }
    assert!(server.service.history().is_empty(), "nothing was recorded");

    let mut latest = desk.call("busy");
    latest["started_at"] = json!("2026-06-02T14:00:00+02:00");
    assert_eq!(client.post("/calls", latest).await.status, 202, "a day ahead is forgiven");
    let answer = client.post("/calls", json!({})).await;
    let errors = answer.body["errors"].as_object().unwrap();
    assert_eq!(errors.keys().collect::<Vec<_>>(), ["agent_id", "from", "started_at", "status", "to"]);
    assert_eq!(errors["from"], json!(["The from field is required."]));
}

#[tokio::test]
async fn decimal_number_of_a_data_frame_is_the_whole_number() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let mut call = desk.call("busy");
    call["to"] = json!("15557654321.0");
    assert_eq!(client.post("/calls", call).await.status, 202);
    assert_eq!(client.get(ROUTE).await.data()["reason"], "MATCHED");
}

#[tokio::test]
async fn call_by_an_inbound_agent_is_rejected() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let mut call = desk.call("busy");
    call["agent_id"] = json!(desk.callback);
    let answer = client.post("/calls", call).await;
    assert_eq!(answer.body["message"], "Agent must have direction=outbound to place calls");
    assert!(!answer.text.contains(&OURS[1..]) && !answer.text.contains(&CONTACT[1..]));
}
