//! Statistics: which calls count, on which day, and for which agent.

use crate::support::described::described;
use crate::support::server::{CONTACT, Client, Desk, OURS, START, Server};
use serde_json::{Value, json};

const DAY: u64 = 86_400_000;

/// Returns the statistics of the last thirty days and today.
async fn stats(client: &Client<'_>) -> Value {
    client.get("/callback-agents/stats").await.data()
}

/// Returns the total, answered and unmatched counts.
fn counts(stats: &Value) -> [u64; 3] {
    ["total_callbacks_received", "callbacks_answered", "callbacks_unmatched"]
        .map(|field| stats[field].as_u64().unwrap_or_else(|| panic!("{field}: {stats}")))
}

async fn route(client: &Client<'_>, caller: &str) -> Value {
    client.get(&format!("/route?dialed={}&caller={}", plus(OURS), plus(caller))).await.data()
}

fn plus(number: &str) -> String {
    number.replace('+', "%2B")
}

#[tokio::test]
async fn statistics_answer_has_its_fields_in_order() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    for caller in [CONTACT, CONTACT, "anonymous"] {
        route(&client, caller).await;
    }
    let source = &desk.source;
    let answer = client.get("/callback-agents/stats").await;
    assert_eq!(
        answer.text,
        format!(
            r#"{{"success":true,"data":{{"period":{{"start":"2026-05-02","end":"2026-06-01"}},"total_callbacks_received":2,"callbacks_answered":0,"callbacks_unmatched":1,"callbacks_by_source_agent":[{{"source_agent_id":"{source}","name":"Reminders","count":2}}]}}}}"#
        )
    );
    let callback = &desk.callback;
    let answer = client.get(&format!("/callback-agents/{callback}")).await;
    assert_eq!(
        answer.text,
        format!(
            r#"{{"success":true,"data":{{"agent":{{"id":"{callback}","name":"Callback Handler","direction":"inbound","current_status":"published"}},"source_agents":[{{"id":"{source}","name":"Reminders"}}],"stats":{{"total_callbacks_received":2,"callbacks_answered":0,"period":{{"start":"2026-05-02","end":"2026-06-01"}}}}}}}}"#
        )
    );
}

#[tokio::test]
async fn resolve_without_routing_is_not_counted() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    let (dialed, caller) = (plus(OURS), plus(CONTACT));
    for query in ["&explain=true", "&at=2026-06-01T12:00:00Z", "&at=2026-05-01T12:00:00Z&explain=false"] {
        let data = client.get(&format!("/route?dialed={dialed}&caller={caller}{query}")).await.data();
        assert_eq!(data["reason"], "MATCHED");
    }
    route(&server.operator(), CONTACT).await;
    let calls = json!([{"dialed": OURS, "caller": CONTACT}]);
    let changes = json!([{"agent_id": desk.callback, "source_agent_ids": [desk.source]}]);
    client.post("/route/what-if", json!({"changes": changes, "calls": calls})).await.data();
    assert_eq!(route(&server.other(), CONTACT).await["reason"], "UNKNOWN_NUMBER");
    assert_eq!(counts(&stats(&client).await), [0, 0, 0]);

    // Calls routed for a tenant count, and so do those routed for a gateway.
    route(&client, CONTACT).await;
    route(&server.gateway(), CONTACT).await;
    client.get(&format!("/route?dialed={dialed}&caller={caller}&explain=false&at=")).await.data();
    assert_eq!(counts(&stats(&client).await), [3, 0, 0]);
    assert_eq!(counts(&stats(&server.other()).await), [0, 0, 0], "nobody else's");
}

/// Tries each reason but the first, in the order of the rule, and checks what it counts as.
#[tokio::test]
async fn unmatched_counts_calls_to_callback_numbers_without_a_match() {
    let server = Server::start();
    let client = server.tenant();
    let Desk { source, callback, number } = &Desk::set_up(&client).await;
    let desk = Desk { source: source.clone(), callback: callback.clone(), number: number.clone() };
    let plain = client.number("+15550001001").await;
    client.working_agent("Front Desk", "inbound", &[&plain]).await;
    let mut unmatched = 0;
    let mut expect = async |reason: &str, caller: &str, counts_one: bool| {
        unmatched += u64::from(counts_one);
        assert_eq!(route(&client, caller).await["reason"], reason);
        let all = client.get("/callback-agents/stats?start_date=2026-01-01").await.data();
        assert_eq!(counts(&all), [0, 0, unmatched], "{reason}");
    };
    expect("ANONYMOUS_CALLER", "anonymous", true).await;
    expect("NO_HISTORY", CONTACT, true).await;
    client.post("/calls", desk.call("busy")).await;
    let path = format!("/agents/{callback}/callback");
    let other = client.agent("Other", "outbound").await;
    client.put(&path, json!({"source_agent_ids": [other]})).await.data();
    expect("NO_CALLBACK_AGENT", CONTACT, true).await;
    client.put(&path, json!({"source_agent_ids": [source], "callback_trigger_statuses": ["voicemail"]})).await.data();
    expect("OUTCOME_NOT_ELIGIBLE", CONTACT, true).await;
    client.put(&path, json!({"source_agent_ids": [source]})).await.data();
    client.post(&format!("/agents/{callback}/unpublish"), json!({})).await.data();
    expect("CALLBACK_AGENT_UNPUBLISHED", CONTACT, true).await;
    client.post(&format!("/agents/{callback}/publish"), json!({})).await.data();
    server.set_now(START.plus_millis(31 * DAY));
    expect("EXPIRED", CONTACT, true).await;
    // The number now belongs to no callback agent.
    let calling = json!({"direction": "inbound", "phone_number_ids": []});
    client.put(&format!("/agents/{callback}/calling"), calling).await.data();
    expect("NUMBER_NOT_OWNED", CONTACT, false).await;
    let calling = json!({"direction": "inbound", "phone_number_ids": [number]});
    client.put(&format!("/agents/{callback}/calling"), calling).await.data();
    expect("EXPIRED", CONTACT, true).await;
    client.delete(&path).await;
    expect("NO_CALLBACK_AGENT", CONTACT, false).await;
    // This number never belonged to one.
    client.get("/route?dialed=%2B15550001001&caller=anonymous").await.data();
    expect("NO_CALLBACK_AGENT", CONTACT, false).await;
}

#[tokio::test]
async fn call_counts_on_its_utc_day() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    // From the last millisecond of a day to the first of the next, and some days later.
    for (hours, calls) in [(0_u64, 1), (12, 2), (36, 3), (24 * 5, 4)] {
        for millis in [START.plus_millis(hours * 3_600_000), START.plus_millis(hours * 3_600_000 + 43_199_999)] {
            server.set_now(millis);
            for _ in 0..calls {
                route(&client, CONTACT).await;
            }
        }
    }
    let on = async |start: &str, end: &str| {
        let data = client.get(&format!("/callback-agents/stats?start_date={start}&end_date={end}")).await.data();
        assert_eq!((&data["period"]["start"], &data["period"]["end"]), (&json!(start), &json!(end)));
        counts(&data)[0]
    };
    assert_eq!(on("2026-06-01", "2026-06-01").await, 2);
    assert_eq!(on("2026-06-02", "2026-06-02").await, 4);
    assert_eq!(on("2026-06-03", "2026-06-03").await, 6);
    assert_eq!(on("2026-06-06", "2026-06-06").await, 8);
    assert_eq!(on("2026-06-02", "2026-06-06").await, 18);
    assert_eq!(on("2026-05-01", "2026-05-31").await, 0);
    assert_eq!(on("1970-01-01", "9999-12-31").await, 20);
    // The last thirty days, and today. One callback agent's statistics count the same days.
    let own = async || {
        let stats = client.get(&format!("/callback-agents/{}", desk.callback)).await.data()["stats"].clone();
        (stats["total_callbacks_received"].as_u64().expect("a count"), stats["period"].clone())
    };
    server.set_now(START.plus_millis(30 * DAY));
    assert_eq!(counts(&stats(&client).await)[0], 20);
    assert_eq!(own().await, (20, json!({"start": "2026-06-01", "end": "2026-07-01"})));
    server.set_now(START.plus_millis(31 * DAY));
    assert_eq!(counts(&stats(&client).await)[0], 18);
    assert_eq!(own().await, (18, json!({"start": "2026-06-02", "end": "2026-07-02"})));
    server.set_now(START.plus_millis(30 * DAY));
    let data = client.get("/callback-agents/stats?end_date=2026-06-03").await.data();
    assert_eq!(data["period"], json!({"start": "2026-05-04", "end": "2026-06-03"}));
    let data = client.get("/callback-agents/stats?start_date=2026-06-03").await.data();
    assert_eq!((counts(&data)[0], &data["period"]["end"]), (14, &json!("2026-07-01")));
    for (query, field) in [
        ("start_date=yesterday", "start_date"),
        ("end_date=2026-02-30", "end_date"),
        ("start_date=0336-01-01", "start_date"),
        ("end_date=1969-12-31", "end_date"),
        ("start_date=2026-06-02&end_date=2026-06-01", "end_date"),
        ("from=2026-06-02", "from"),
    ] {
        let answer = client.get(&format!("/callback-agents/stats?{query}")).await;
        answer.is(422, "VALIDATION_ERROR");
        assert!(answer.body["errors"][field][0].is_string(), "{query} {}", answer.text);
    }
}

#[tokio::test]
async fn callbacks_by_source_are_sorted_and_survive_deletion() {
    let server = Server::start();
    let client = server.tenant();
    let Desk { source, callback, number } = Desk::set_up(&client).await;
    let second = client.working_agent("Surveys", "outbound", &[&number]).await;
    let night = client.working_agent("Night Desk", "inbound", &[&number]).await;
    client.post(&format!("/agents/{night}/callback"), json!({"source_agent_ids": [second]})).await.data();
    for (agent, to, calls) in [(&source, "+15557654321", 1), (&second, "+15557654322", 3)] {
        let call = json!({
            "agent_id": agent, "from": OURS, "to": to, "started_at": "2026-06-01T11:00:00Z", "status": "busy",
        });
        client.post("/calls", call).await;
        for _ in 0..calls {
            route(&client, to).await;
        }
    }
    let by_source = async || stats(&client).await["callbacks_by_source_agent"].clone();
    let of = |id: &str, name: Value, count: u64| json!({"source_agent_id": id, "name": name, "count": count});
    assert_eq!(by_source().await, json!([of(&second, json!("Surveys"), 3), of(&source, json!("Reminders"), 1)]));
    let taken = async |agent: &str| {
        let data = client.get(&format!("/callback-agents/{agent}")).await.data();
        data["stats"]["total_callbacks_received"].as_u64().expect("a count")
    };
    assert_eq!((taken(&callback).await, taken(&night).await), (1, 3));

    // A deleted agent keeps the callbacks it took. A role that is set again keeps its earlier counts.
    client.delete(&format!("/agents/{night}/callback")).await;
    client.get(&format!("/callback-agents/{night}")).await.is(404, "NOT_A_CALLBACK_AGENT");
    client.post(&format!("/agents/{second}/unpublish"), json!({})).await.data();
    client.delete(&format!("/agents/{second}")).await;
    assert_eq!(by_source().await, json!([of(&second, Value::Null, 3), of(&source, json!("Reminders"), 1)]));
    client.post(&format!("/agents/{night}/callback"), json!({"source_agent_ids": [source]})).await.data();
    route(&client, CONTACT).await;
    assert_eq!((taken(&callback).await, taken(&night).await), (1, 4));
    assert_eq!(counts(&stats(&client).await), [5, 0, 0]);
    let plain = client.agent("Plain", "inbound").await;
    let answer = client.get(&format!("/callback-agents/{plain}")).await;
    answer.is(404, "NOT_A_CALLBACK_AGENT");
    assert_eq!(answer.body["message"], "Agent is not configured as a callback agent");
}

#[tokio::test]
async fn query_parameters_are_described_as_the_server_reads_them() {
    let server = Server::start();
    let client = server.tenant();
    let described = described().await;
    let mut optional = 0;
    for operation in described.operations() {
        for parameter in operation.says["parameters"].as_array().into_iter().flatten() {
            if parameter["in"] == "query" && parameter["required"] != json!(true) {
                // An empty value counts as missing, and only the description tells a client so.
                assert_eq!(parameter["allowEmptyValue"], json!(true), "{} {parameter}", operation.template);
                optional += 1;
            }
        }
    }
    assert!(optional >= 10, "{optional}");
    for path in ["/agents?page=&per_page=", "/callback-agents/stats?start_date=&end_date="] {
        client.get(path).await.data();
    }
    // The server accepts exactly the dates that match the description.
    let statistics = &described.paths()["/api/v1/callback-agents/stats"]["get"]["parameters"][0]["schema"];
    let options = jsonschema::options().should_validate_formats(true);
    let validator = options.build(statistics).expect("a schema");
    for date in ["0336-01-01", "1969-12-31", "1970-01-01", "2026-06-01", "2026-02-30", "9999-12-31", "20260601"] {
        let answer = client.get(&format!("/callback-agents/stats?start_date={date}")).await;
        assert_eq!(answer.status == 200, validator.is_valid(&json!(date)), "{date}: {}", answer.text);
    }
}
