use crate::support::server::{Desk, OURS, START, Server};
use serde_json::json;

const UNDIRECTED: &str = "6f1c2a52-7f3e-4d7e-9a44-0d7c1f2b3a4d";

#[tokio::test]
async fn agent_answer_has_its_fields_in_order() {
    let server = Server::start();
    let client = server.tenant();
    let answer = client.post("/agents", json!({"name": "Front desk", "direction": "inbound", "label": "Day"})).await;
    assert_eq!(answer.status, 201);
    let id = answer.body["data"]["id"].as_str().unwrap().to_owned();
    let agent = format!(
        r#"{{"id":"{id}","name":"Front desk","label":"Day","direction":"inbound","current_status":"draft","is_ready_to_publish":false,"phone_numbers":[],"created_at":"2026-06-01T12:00:00.000Z","updated_at":"2026-06-01T12:00:00.000Z"}}"#
    );
    let created = r#"{"success":true,"message":"Agent created successfully","data":"#;
    assert_eq!(answer.text, format!("{created}{agent}}}"));
    assert_eq!(client.get(&format!("/agents/{id}")).await.text, format!(r#"{{"success":true,"data":{agent}}}"#));

    let number = client.number(OURS).await;
    server.set_now(START.plus_millis(1500));
    let calling = json!({"direction": "inbound", "phone_number_ids": [number]});
    let answer = client.put(&format!("/agents/{id}/calling"), calling).await;
    assert_eq!(answer.body["message"], "Agent calling settings updated successfully");
    let data = answer.data();
    assert_eq!(data["is_ready_to_publish"], json!(true));
    assert_eq!(data["phone_numbers"], json!([{"id": number, "number": OURS, "current_status": "active"}]));
    assert_eq!(data["created_at"], "2026-06-01T12:00:00.000Z");
    assert_eq!(data["updated_at"], "2026-06-01T12:00:01.500Z");
}

#[tokio::test]
async fn creating_an_agent_twice_with_one_id_succeeds() {
    let server = Server::start();
    let client = server.tenant();
    let id = "6f1c2a52-7f3e-4d7e-9a44-0d7c1f2b3a4d";
    let body = json!({"name": "Mirrored", "direction": "outbound", "id": id});
    let first = client.post("/agents", body.clone()).await;
    assert_eq!((first.status.as_u16(), &first.body["data"]["id"]), (201, &json!(id)));
    let generation = server.generation();
    let again = client.post("/agents", body).await;
    assert_eq!((again.status.as_u16(), &again.text), (200, &first.text));
    for other in [
        json!({"name": "Other", "direction": "outbound", "id": id}),
        json!({"name": "Mirrored", "direction": "inbound", "id": id}),
        json!({"name": "Mirrored", "direction": "outbound", "label": "new", "id": id}),
    ] {
        client.post("/agents", other).await.is(409, "AGENT_EXISTS");
    }
    assert_eq!(server.generation(), generation);
    // Another tenant may use the same id.
    let theirs = json!({"name": "Theirs", "direction": "inbound", "id": id});
    assert_eq!(server.other().post("/agents", theirs).await.status, 201);
    assert_eq!(client.get(&format!("/agents/{id}")).await.data()["name"], "Mirrored");
}

#[tokio::test]
async fn agent_is_renamed_and_relabelled_and_keeps_the_rest() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    let path = format!("/agents/{}", desk.callback);
    let before = client.get(&path).await;
    server.set_now(START.plus_millis(1500));
    let answer = client.put(&path, json!({"name": "Return calls", "label": "Day"})).await;
    let mut expected = before.body["data"].clone();
    expected["name"] = json!("Return calls");
    expected["label"] = json!("Day");
    expected["updated_at"] = json!("2026-06-01T12:00:01.500Z");
    assert_eq!((answer.status.as_u16(), &answer.body["data"]), (200, &expected));
    assert_ne!(answer.tag(), before.tag());
    assert_eq!(client.get(&path).await.text, answer.text);
    let route = client.get(&format!("/route?dialed={OURS}&caller=%2B15557654321")).await.data();
    assert_eq!(route["agent_id"], json!(desk.callback), "its role is the same");
    let shown = client.get(&format!("/callback-agents/{}", desk.callback)).await.data();
    assert_eq!(shown["agent"]["name"], "Return calls");

    // A missing field keeps its value, null removes the label, and a repetition changes nothing.
    for (body, name, label) in [
        (json!({"name": "Desk"}), "Desk", json!("Day")),
        (json!({"label": null}), "Desk", json!(null)),
        (json!({"label": "Night"}), "Desk", json!("Night")),
        (json!({}), "Desk", json!("Night")),
    ] {
        let answer = client.put(&path, body.clone()).await;
        let generation = server.generation();
        assert_eq!(client.put(&path, body).await, answer);
        assert_eq!(server.generation(), generation);
        let data = answer.data();
        assert_eq!((&data["name"], &data["label"]), (&json!(name), &label));
    }
    let generation = server.generation();
    for (field, body) in [
        ("name", json!({"name": ""})),
        ("name", json!({"name": null})),
        ("label", json!({"label": "x".repeat(256)})),
        ("direction", json!({"direction": "sideways"})),
    ] {
        let answer = client.put(&path, body).await;
        answer.is(422, "VALIDATION_ERROR");
        assert!(answer.body["errors"][field][0].is_string(), "{field} {}", answer.text);
    }
    let unknown = client.put("/agents/00000000-0000-4000-8000-000000000000", json!({"name": "x"})).await;
    unknown.is(404, "AGENT_NOT_FOUND");
    assert_eq!(server.other().put(&path, json!({"name": "x"})).await, unknown);
    assert_eq!(client.put("/agents/x", json!({"name": "x"})).await, unknown);
    assert_eq!(server.generation(), generation);
}

#[tokio::test]
async fn put_and_post_of_an_agent_set_direction_and_numbers_too() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let second = client.number("+15550001001").await;
    let body = json!({"name": "All", "direction": "inbound", "phone_number_ids": [second], "id": "6f1c2a52-7f3e-4d7e-9a44-0d7c1f2b3a4d"});
    let generation = server.generation();
    let made = client.post("/agents", body.clone()).await;
    assert_eq!((made.status.as_u16(), server.generation()), (201, generation + 1), "one configuration");
    assert_eq!(made.body["data"]["phone_numbers"][0]["id"], json!(second));
    assert_eq!(
        (client.post("/agents", body.clone()).await.status.as_u16(), server.generation()),
        (200, generation + 1)
    );
    let mut other = body;
    other["phone_number_ids"] = json!([desk.number]);
    client.post("/agents", other).await.is(409, "AGENT_EXISTS");
    let path = format!("/agents/{}", made.id());

    let all = json!({"name": "Renamed", "direction": "outbound", "phone_number_ids": [desk.number, second]});
    let data = client.put(&path, all).await.data();
    assert_eq!((&data["name"], &data["direction"]), (&json!("Renamed"), &json!("outbound")));
    assert_eq!(data["phone_numbers"].as_array().map(Vec::len), Some(2));
    assert_eq!(server.generation(), generation + 2, "one configuration");

    let generation = server.generation();
    let wrong = json!({"name": "Not this", "phone_number_ids": ["00000000-0000-4000-8000-000000000000"]});
    client.put(&path, wrong.clone()).await.is(404, "NUMBER_NOT_FOUND");
    client
        .post("/agents", json!({"name": "New", "direction": "inbound", "phone_number_ids": ["x"]}))
        .await
        .is(404, "NUMBER_NOT_FOUND");
    let callback = format!("/agents/{}", desk.callback);
    client.put(&callback, json!({"name": "Not this", "direction": "outbound"})).await.is(409, "AGENT_IS_CALLBACK");
    let source = format!("/agents/{}", desk.source);
    client.put(&source, json!({"direction": "inbound"})).await.is(409, "AGENT_IS_SOURCE");
    assert_eq!(server.generation(), generation, "nothing is half done");
    assert_eq!(client.get(&path).await.data()["name"], "Renamed");
}

#[tokio::test]
async fn agent_without_a_direction_gets_one_before_it_is_published() {
    let server = Server::start();
    let client = server.tenant();
    let number = client.number(OURS).await;
    let new = json!({"name": "Survey", "direction": null, "phone_number_ids": [number], "id": UNDIRECTED});
    let made = client.post("/agents", new.clone()).await;
    assert_eq!(made.status, 201);
    let path = format!("/agents/{UNDIRECTED}");
    let data = client.get(&path).await.data();
    assert_eq!((&data["direction"], &data["is_ready_to_publish"]), (&json!(null), &json!(false)));
    assert_eq!(data["phone_numbers"][0]["id"], json!(number));
    let generation = server.generation();
    assert_eq!(client.post("/agents", new).await.status, 200);
    let refused = client.post(&format!("{path}/publish"), json!({})).await;
    refused.is(422, "VALIDATION_ERROR");
    assert!(refused.body["errors"]["direction"][0].is_string(), "{}", refused.text);
    // An answer can be sent back, and the agent is neither inbound nor outbound.
    client.put(&path, json!({"name": "Survey", "direction": null})).await.data();
    assert_eq!(server.generation(), generation);
    for direction in ["inbound", "outbound"] {
        assert_eq!(client.get(&format!("/agents?direction={direction}")).await.data(), json!([]));
    }
    let role = json!({"source_agent_ids": ["00000000-0000-4000-8000-000000000000"]});
    client.post(&format!("{path}/callback"), role).await.is(422, "INVALID_AGENT_DIRECTION");
    let call = json!({
        "agent_id": UNDIRECTED, "from": OURS, "to": "+15557654321", "started_at": "2026-06-01T11:00:00Z",
        "status": "busy",
    });
    client.post("/calls", call).await.is(422, "INVALID_AGENT_DIRECTION");
    assert_eq!(client.get("/route?dialed=+15550001000&caller=anonymous").await.data()["decision"], "unrouted");

    client.put(&path, json!({"phone_number_ids": []})).await.data();
    let data = client.put(&path, json!({"direction": "inbound"})).await.data();
    assert_eq!((&data["direction"], &data["is_ready_to_publish"]), (&json!("inbound"), &json!(false)));
    let refused = client.post(&format!("{path}/publish"), json!({})).await;
    refused.is(422, "VALIDATION_ERROR");
    assert!(refused.body["errors"]["phone_number_ids"][0].is_string(), "{}", refused.text);
    client.put(&path, json!({"phone_number_ids": [number]})).await.data();
    assert_eq!(client.post(&format!("{path}/publish"), json!({})).await.data()["current_status"], "published");
    // A missing direction does not remove the one that was set.
    assert_eq!(client.put(&path, json!({"direction": null})).await.data()["direction"], "inbound");
    // A published agent stays published when it loses its numbers.
    let data = client.put(&path, json!({"phone_number_ids": []})).await.data();
    assert_eq!((&data["current_status"], &data["is_ready_to_publish"]), (&json!("published"), &json!(false)));
    assert_eq!(client.post(&format!("{path}/publish"), json!({})).await.status, 200, "it changes nothing");
}

#[tokio::test]
async fn publishing_twice_has_the_effect_of_once() {
    let server = Server::start();
    let client = server.tenant();
    let number = client.number(OURS).await;
    let new = json!({"name": "Agent", "direction": "inbound", "phone_number_ids": [number]});
    let id = client.post("/agents", new).await.id();
    for (action, status) in [("publish", "published"), ("unpublish", "draft")] {
        let first = client.post(&format!("/agents/{id}/{action}"), json!({})).await;
        assert_eq!(first.body["data"]["current_status"], status);
        assert_eq!(first.body["data"]["is_ready_to_publish"], json!(true));
        assert_eq!(first.body["message"], format!("Agent {action}ed successfully"));
        let generation = server.generation();
        // The request needs no body.
        let again = client.send(axum::http::Method::POST, &format!("/agents/{id}/{action}"), None, "".into()).await;
        assert_eq!((again.text, server.generation()), (first.text, generation));
    }
}

#[tokio::test]
async fn deleting_a_published_agent_fails_and_a_draft_leaves_all_roles() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let path = format!("/agents/{}", desk.source);
    client.delete(&path).await.is(409, "AGENT_IS_PUBLISHED");
    client.post(&format!("{path}/unpublish"), json!({})).await.data();
    let answer = client.delete(&path).await;
    assert_eq!(answer.text, r#"{"success":true,"message":"Agent deleted"}"#);
    client.delete(&path).await.is(404, "AGENT_NOT_FOUND");
    client.get(&path).await.is(404, "AGENT_NOT_FOUND");
    let numbers = client.get("/phone-numbers").await.data();
    assert_eq!(numbers[0]["agent_ids"], json!([desk.callback]));
}

#[tokio::test]
async fn agents_are_listed_by_page_and_filter() {
    let server = Server::start();
    let client = server.tenant();
    let number = client.number(OURS).await;
    for n in 0..45 {
        let (direction, numbers) = if n % 3 == 0 { ("inbound", json!([number])) } else { ("outbound", json!([])) };
        let new = json!({"name": format!("Agent {n:02}"), "direction": direction, "phone_number_ids": numbers});
        let id = client.post("/agents", new).await.id();
        if n % 2 == 0 {
            client.post(&format!("/agents/{id}/publish"), json!({})).await.data();
        }
    }
    client.post("/agents", json!({"name": "Ärzte", "direction": "inbound", "label": "Night shift"})).await.data();

    for (query, shown, meta) in [
        ("", 20, (1, 20, 46, 3)),
        ("?page=3", 6, (3, 20, 46, 3)),
        ("?page=4", 0, (4, 20, 46, 3)),
        ("?page=1000000000&per_page=100", 0, (1_000_000_000, 100, 46, 1)),
        ("?per_page=100", 46, (1, 100, 46, 1)),
        ("?per_page=1&page=46", 1, (46, 1, 46, 46)),
        ("?status=published", 20, (1, 20, 23, 2)),
        ("?status=draft&direction=inbound", 8, (1, 20, 8, 1)),
        ("?status=&direction=&search=&per_page=20&page=1", 20, (1, 20, 46, 3)),
        ("?search=agent+1", 10, (1, 20, 10, 1)),
        ("?search=%C3%A4rz", 1, (1, 20, 1, 1)),
        ("?search=NIGHT", 1, (1, 20, 1, 1)),
        ("?search=nobody", 0, (1, 20, 0, 1)),
    ] {
        let answer = client.get(&format!("/agents{query}")).await;
        let (current_page, per_page, total, last_page) = meta;
        let meta = json!({"current_page": current_page, "per_page": per_page, "total": total, "last_page": last_page});
        assert_eq!(answer.body["meta"], meta, "{query}");
        assert_eq!(answer.body["data"].as_array().map(Vec::len), Some(shown), "{query}");
    }
    for (query, field) in [
        ("?page=0", "page"),
        ("?page=-1", "page"),
        ("?page=%2B1", "page"),
        ("?page=x", "page"),
        ("?page=1000000001", "page"),
        ("?per_page=0", "per_page"),
        ("?per_page=101", "per_page"),
        ("?status=gone", "status"),
        ("?direction=sideways", "direction"),
        ("?colour=red", "colour"),
        ("?page=1&page=2", "query"),
    ] {
        let answer = client.get(&format!("/agents{query}")).await;
        answer.is(422, "VALIDATION_ERROR");
        assert!(answer.body["errors"][field][0].is_string(), "{query} {}", answer.text);
    }
}

#[tokio::test]
async fn assigning_an_unknown_number_is_rejected() {
    let server = Server::start();
    let client = server.tenant();
    let ours = client.number(OURS).await;
    let foreign = server.other().number("+4930901820").await;
    let id = client.agent("Agent", "inbound").await;
    let path = format!("/agents/{id}/calling");
    let generation = server.generation();
    let mut answers = Vec::new();
    for wrong in [&*foreign, "00000000-0000-4000-8000-000000000000", "not-a-uuid"] {
        let answer = client.put(&path, json!({"direction": "inbound", "phone_number_ids": [ours, wrong]})).await;
        answer.is(404, "NUMBER_NOT_FOUND");
        answers.push(answer.text);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    let answer = client.put(&path, json!({"direction": "inbound", "phone_number_ids": [ours, ours]})).await;
    answer.is(422, "VALIDATION_ERROR");
    assert!(answer.body["errors"]["phone_number_ids"][0].is_string());
    assert_eq!(server.generation(), generation);
    // Repeating the list changes nothing, an empty list removes all numbers, and no list leaves them unchanged.
    let calling = json!({"direction": "inbound", "phone_number_ids": [ours]});
    client.put(&path, calling.clone()).await.data();
    let generation = server.generation();
    client.put(&path, calling).await.data();
    let data = client.put(&path, json!({"direction": "inbound"})).await.data();
    assert_eq!((data["phone_numbers"].as_array().map(Vec::len), server.generation()), (Some(1), generation));
    let data = client.put(&path, json!({"direction": "inbound", "phone_number_ids": []})).await.data();
    assert_eq!(data["phone_numbers"], json!([]));
}

/// Each way to take the calls from the front desk, or to give them to the callback desk by its order.
#[tokio::test]
async fn change_that_makes_another_agent_the_default_is_a_warning() {
    let server = Server::start();
    let client = server.tenant();
    let Desk { callback, number, .. } = Desk::set_up(&client).await;
    let front = client.working_agent("Front", "inbound", &[&number]).await;
    let (agent, phone) = (format!("/agents/{front}"), format!("/phone-numbers/{number}"));
    let name = async || client.put(&phone, json!({"default_agent_id": front})).await.data();
    let takes = format!("Callback agent {callback} takes all other calls of phone number {number} from now on");
    let auto = format!("Phone number {number} names no default agent from now on: its default_agent_setting is auto");
    name().await;
    let unpublished = client.post(&format!("{agent}/unpublish"), json!({})).await;
    assert_eq!(unpublished.body["warnings"], json!([takes]), "{}", unpublished.text);
    assert_eq!(unpublished.body["message"], "Agent unpublished successfully");
    let again = client.post(&format!("{agent}/unpublish"), json!({})).await;
    assert_eq!(again.body.get("warnings"), None, "nothing changed");
    let published = client.post(&format!("{agent}/publish"), json!({})).await;
    assert_eq!(published.body.get("warnings"), None, "a front desk that was named is no surprise");

    let none = json!({"direction": "inbound", "phone_number_ids": []});
    let all = json!({"direction": "inbound", "phone_number_ids": [number]});
    for path in [format!("{agent}/calling"), agent.clone()] {
        client.put(&path, all.clone()).await.data();
        name().await;
        let moved = client.put(&path, none.clone()).await;
        assert_eq!(moved.body["warnings"], json!([auto, takes]), "{}", moved.text);
    }
    client.put(&agent, all).await.data();
    name().await;
    client.post(&format!("{agent}/unpublish"), json!({})).await.data();
    let deleted = client.delete(&agent).await;
    assert_eq!(deleted.body["warnings"], json!([auto]), "{}", deleted.text);

    client.post(&format!("/agents/{callback}/unpublish"), json!({})).await.data();
    let published = client.post(&format!("/agents/{callback}/publish"), json!({})).await;
    assert_eq!(published.body["warnings"], json!([takes]), "{}", published.text);
}

/// An agent that answers by its order gets the callback role, or a number goes back to the order of its agents.
#[tokio::test]
async fn role_or_setting_that_makes_a_callback_agent_answer_by_order_is_a_warning() {
    let server = Server::start();
    let client = server.tenant();
    let number = client.number(OURS).await;
    let source = client.working_agent("Source", "outbound", &[&number]).await;
    let callback = client.working_agent("Callback", "inbound", &[&number]).await;
    let front = client.working_agent("Front", "inbound", &[&number]).await;
    let (path, phone) = (format!("/agents/{callback}/callback"), format!("/phone-numbers/{number}"));
    let takes = format!("Callback agent {callback} takes all other calls of phone number {number} from now on");
    let auto = client.put(&phone, json!({"default_agent_id": "auto"})).await;
    assert_eq!(auto.body.get("warnings"), None, "no callback agent: {}", auto.text);
    let role = json!({"source_agent_ids": [source]});
    for answer in [client.post(&path, role.clone()).await, client.put(&path, role.clone()).await] {
        assert_eq!(answer.body["warnings"], json!([takes]), "{}", answer.text);
    }

    for named in [&*front, "nobody", &callback] {
        let set = client.put(&phone, json!({"default_agent_id": named})).await;
        assert_eq!((set.status.as_u16(), set.body.get("warnings")), (200, None), "{}", set.text);
        for answer in [client.post(&path, role.clone()).await, client.put(&path, role.clone()).await] {
            assert_eq!((answer.status.as_u16(), answer.body.get("warnings")), (200, None), "{}", answer.text);
        }
    }
    for auto in [json!({"default_agent_id": "auto"}), json!({"default_agent_setting": "auto"})] {
        client.put(&phone, json!({"default_agent_id": front})).await.data();
        let answer = client.put(&phone, auto).await;
        assert_eq!(answer.body["warnings"], json!([takes]), "{}", answer.text);
        assert_eq!(answer.body["data"]["default_agent_id"], json!(callback));
    }
    // A named draft takes no calls, so the number has no other default agent than by the order.
    client.put(&phone, json!({"default_agent_id": front})).await.data();
    client.post(&format!("/agents/{front}/unpublish"), json!({})).await.data();
    client.put(&phone, json!({"default_agent_id": "nobody"})).await.data();
    let draft = client.put(&phone, json!({"default_agent_id": front})).await;
    assert_eq!(draft.body["warnings"], json!([takes]), "{}", draft.text);
}
