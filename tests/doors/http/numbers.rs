use crate::support::server::{Desk, OURS, Server};
use serde_json::json;

#[tokio::test]
async fn number_held_by_another_environment_is_rejected() {
    let server = Server::start();
    let client = server.tenant();
    let id = "6f1c2a52-7f3e-4d7e-9a44-0d7c1f2b3a4d";
    let body = json!({"number": "+1 (555) 000-1000", "id": id});
    let first = client.post("/phone-numbers", body.clone()).await;
    assert_eq!(first.status, 201);
    assert_eq!(
        first.text,
        format!(
            r#"{{"success":true,"data":{{"id":"{id}","number":"{OURS}","current_status":"inactive","country_code":"US","formatted_number":"(555) 000-1000","international_number":"+1 555-000-1000","type":"voice","default_agent_id":null,"default_agent_setting":"auto","agent_ids":[]}}}}"#
        )
    );
    let again = client.post("/phone-numbers", body).await;
    assert_eq!((again.status.as_u16(), &again.text), (200, &first.text));
    let generation = server.generation();
    client.post("/phone-numbers", json!({"number": "+15550001001", "id": id})).await.is(409, "PHONE_NUMBER_EXISTS");
    client.post("/phone-numbers", json!({"number": OURS})).await.is(409, "PHONE_NUMBER_TAKEN");
    let answer = server.other().post("/phone-numbers", json!({"number": OURS, "id": id})).await;
    answer.is(409, "PHONE_NUMBER_TAKEN");
    assert!(!answer.text.contains("1000"), "{}", answer.text);
    assert_eq!(server.generation(), generation);
    assert_eq!(client.delete(&format!("/phone-numbers/{id}")).await.status, 200);
    assert_eq!(server.other().post("/phone-numbers", json!({"number": OURS})).await.status, 201);
}

#[tokio::test]
async fn number_without_plus_is_rejected() {
    let server = Server::start();
    for wrong in ["5550001000", "015550001000", "+", "", "+0", "+1234567890123456", "anonymous", "+1555x"] {
        let answer = server.tenant().post("/phone-numbers", json!({"number": wrong})).await;
        answer.is(422, "VALIDATION_ERROR");
        assert!(answer.body["errors"]["number"][0].is_string(), "{wrong} {}", answer.text);
    }
}

/// A call names its number in any form. Held with a trunk prefix, it would be another number.
#[tokio::test]
async fn trunk_prefix_of_a_new_number_is_dropped_in_a_region() {
    let server = Server::start();
    let data = server.operator().post("/environments", json!({"name": "Berlin", "region": "DE"})).await.data();
    let token = json!({"role": "environment", "environment_id": data["id"]});
    let token = server.operator().post("/tokens", token).await.data()["token"].clone();
    let client = server.with_token(token.as_str().unwrap());
    let answer = client.post("/phone-numbers", json!({"number": "+49 030 901820"})).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.data()["number"], "+4930901820");
    client.post("/phone-numbers", json!({"number": "+4930901820"})).await.is(409, "PHONE_NUMBER_TAKEN");
}

#[tokio::test]
async fn numbers_are_found_by_type_and_by_their_digits_or_ids() {
    let server = Server::start();
    let client = server.tenant();
    let id = "6f1c2a52-7f3e-4d7e-9a44-0d7c1f2b3a4d";
    client.post("/phone-numbers", json!({"number": "+15550001000", "id": id})).await.id();
    let german = client.post("/phone-numbers", json!({"number": "+4930901820"})).await.data();
    let written =
        ["country_code", "formatted_number", "international_number", "type"].map(|field| german[field].clone());
    assert_eq!(json!(written), json!(["DE", "030 901820", "+49 30 901820", "voice"]));
    for (query, found) in [
        ("", vec![OURS, "+4930901820"]),
        ("?type=voice", vec![OURS, "+4930901820"]),
        ("?type=sms", vec![]),
        ("?type=&search=", vec![OURS, "+4930901820"]),
        ("?search=0001", vec![OURS]),
        ("?search=%2B1+(555)+000-1", vec![OURS]),
        ("?search=+49+30", vec!["+4930901820"]),
        ("?search=0030", vec![]),
        ("?search=6F1C2A52", vec![OURS]),
        ("?search=nobody", vec![]),
        ("?search=%2B", vec![]),
        ("?search=0&per_page=1&page=2", vec!["+4930901820"]),
        ("?type=fax&search=0&per_page=1", vec![]),
    ] {
        let answer = client.get(&format!("/phone-numbers{query}")).await;
        let numbers = answer.body["data"].as_array().unwrap_or_else(|| panic!("{query}: {}", answer.text)).iter();
        let numbers: Vec<_> = numbers.map(|number| number["number"].as_str().unwrap_or_default()).collect();
        assert_eq!(numbers, found, "{query}");
    }
    client.get("/phone-numbers?type=telex").await.is(422, "VALIDATION_ERROR");
}

#[tokio::test]
async fn releasing_an_assigned_number_is_rejected() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let path = format!("/phone-numbers/{}", desk.number);
    let answer = client.delete(&path).await;
    answer.is(422, "PHONE_NUMBER_IN_USE");
    assert!(answer.body["message"].as_str().unwrap().contains(&desk.source));
    let data = client.get("/phone-numbers").await.data();
    assert_eq!(
        data,
        json!([{
            "id": desk.number, "number": OURS, "current_status": "active", "country_code": "US",
            "formatted_number": "(555) 000-1000", "international_number": "+1 555-000-1000", "type": "voice",
            "default_agent_id": desk.callback,
            "default_agent_setting": "auto", "agent_ids": [desk.source, desk.callback],
        }])
    );
}

#[tokio::test]
async fn default_agent_is_named_or_nobody_or_the_first_published_inbound_owner() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let second = client.working_agent("Second", "inbound", &[&desk.number]).await;
    let stranger = client.agent("Stranger", "inbound").await;
    let path = format!("/phone-numbers/{}", desk.number);
    for (named, default, setting) in [
        (json!(second), json!(second), json!(second)),
        (json!(null), json!(null), json!("nobody")),
        (json!("auto"), json!(desk.callback), json!("auto")),
        (json!("nobody"), json!(null), json!("nobody")),
        (json!(second.to_uppercase()), json!(second), json!(second)),
    ] {
        let answer = client.put(&path, json!({"default_agent_id": named})).await;
        let (generation, list) = (server.generation(), client.get("/phone-numbers").await.tag());
        let again = client.put(&path, json!({"default_agent_id": setting})).await;
        assert_eq!((&again, again.tag()), (&answer, answer.tag()), "the setting can be sent back");
        assert_eq!((server.generation(), client.get("/phone-numbers").await.tag()), (generation, list));
        let data = answer.data();
        assert_eq!((&data["default_agent_id"], &data["default_agent_setting"]), (&default, &setting), "{named}");
    }
    // A named draft is shown as the setting, and another agent answers.
    client.post(&format!("/agents/{second}/unpublish"), json!({})).await.data();
    let draft = client.get(&path).await;
    assert_eq!(draft.body["data"]["default_agent_id"], json!(desk.callback));
    assert_eq!(draft.body["data"]["default_agent_setting"], json!(second));
    client.put(&format!("/agents/{second}/calling"), json!({"direction": "outbound"})).await.data();
    let forgotten = client.get(&path).await;
    assert_eq!(forgotten.body["data"]["default_agent_setting"], json!("auto"));
    assert_ne!(forgotten.tag(), draft.tag(), "the setting is part of the version");

    let generation = server.generation();
    client.put(&path, json!({"default_agent_id": desk.source})).await.is(422, "INVALID_DEFAULT_AGENT");
    client.put(&path, json!({"default_agent_id": stranger})).await.is(422, "INVALID_DEFAULT_AGENT");
    client.put(&path, json!({"default_agent_id": "somebody"})).await.is(404, "AGENT_NOT_FOUND");
    let unknown = "00000000-0000-4000-8000-000000000000";
    client.put(&path, json!({"default_agent_id": unknown})).await.is(404, "AGENT_NOT_FOUND");
    client.put(&path, json!({"default_agent_id": 7})).await.is(422, "VALIDATION_ERROR");
    client.put(&path, json!({})).await.is(422, "VALIDATION_ERROR");
    assert_eq!(server.generation(), generation);
}

/// The effective agent that an answer shows is not its setting.
#[tokio::test]
async fn answer_about_a_number_sent_back_changes_nothing() {
    let server = Server::start_lenient();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let spare = client.number("+15550001001").await;
    let draft = client.agent("Draft", "inbound").await;
    client.put(&format!("/agents/{draft}"), json!({"phone_number_ids": [desk.number]})).await.data();
    for (number, setting) in
        [(&spare, "auto"), (&desk.number, "auto"), (&desk.number, "nobody"), (&desk.number, &*draft)]
    {
        let path = format!("/phone-numbers/{number}");
        client.put(&path, json!({"default_agent_id": setting})).await.data();
        let (shown, generation) = (client.get(&path).await, server.generation());
        let back = client.put(&path, shown.body["data"].clone()).await;
        // The answer to a change can have warnings beside the number.
        assert_eq!((&back.body["data"], back.tag()), (&shown.body["data"], shown.tag()), "{setting}");
        assert_eq!(server.generation(), generation, "{setting}");
    }
    let path = format!("/phone-numbers/{}", desk.number);
    let changed = client.put(&path, json!({"default_agent_id": null, "default_agent_setting": desk.callback})).await;
    assert_eq!(changed.data()["default_agent_setting"], json!(desk.callback));
    client.put(&path, json!({"default_agent_setting": "somebody"})).await.is(404, "AGENT_NOT_FOUND");
    client.put(&path, json!({"default_agent_setting": null})).await.is(422, "VALIDATION_ERROR");
}

#[tokio::test]
async fn number_list_is_paged_only_on_request() {
    let server = Server::start();
    let client = server.tenant();
    server.other().number("+4930901820").await;
    for last in 0..25 {
        client.number(&format!("+155500010{last:02}")).await;
    }
    for (query, shown, meta) in [
        ("", 25, (1, 25, 25, 1)),
        ("?page=&per_page=", 25, (1, 25, 25, 1)),
        ("?page=1", 20, (1, 20, 25, 2)),
        ("?page=2", 5, (2, 20, 25, 2)),
        ("?page=3", 0, (3, 20, 25, 2)),
        ("?per_page=10&page=3", 5, (3, 10, 25, 3)),
        ("?per_page=100", 25, (1, 100, 25, 1)),
    ] {
        let answer = client.get(&format!("/phone-numbers{query}")).await;
        let (current_page, per_page, total, last_page) = meta;
        let meta = json!({"current_page": current_page, "per_page": per_page, "total": total, "last_page": last_page});
        assert_eq!(answer.body["meta"], meta, "{query}");
        assert_eq!(answer.body["data"].as_array().map(Vec::len), Some(shown), "{query}");
    }
    assert_eq!(client.get("/phone-numbers?per_page=1&page=3").await.data()[0]["number"], "+15550001002");
    for query in ["?page=0", "?per_page=101", "?per_page=x", "?colour=1"] {
        client.get(&format!("/phone-numbers{query}")).await.is(422, "VALIDATION_ERROR");
    }
    let nobodys = Server::start();
    let nobodys = nobodys.tenant().get("/phone-numbers").await;
    assert_eq!(nobodys.body["meta"], json!({"current_page": 1, "per_page": 1, "total": 0, "last_page": 1}));
}
