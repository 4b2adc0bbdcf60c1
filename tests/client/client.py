"""A client of the control API, written from the documentation of the API alone. It calls each documented endpoint and compares the
bodies with the documented ones, field for field.

client.py URL ENVIRONMENT_TOKEN GATEWAY_TOKEN OTHER_ENVIRONMENT_TOKEN
"""

import http.client
import http.server
import json
import queue
import re
import sys
import threading
import uuid
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, urlsplit

from standardwebhooks import Webhook, WebhookVerificationError

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\Z")
NOW = datetime.now(timezone.utc).replace(microsecond=0)
CALLED_AT = NOW - timedelta(hours=1)


class Is:
    """A value of which only the form is known."""

    def __init__(self, what, holds):
        self.what, self.holds = what, holds

    def __eq__(self, other):
        return self.holds(other)

    def __repr__(self):
        return self.what


AN_ID = Is("<id>", lambda value: isinstance(value, str) and UUID.match(value) is not None)
A_TIME = Is("<time>", lambda value: isinstance(value, str) and TIME.match(value) is not None)
A_TEXT = Is("<text>", lambda value: isinstance(value, str) and value != "")
TEXTS = Is("<texts>", lambda value: isinstance(value, list) and value and all(isinstance(one, str) for one in value))


def moment(expected):
    return Is(f"<{expected}>", lambda value: value == A_TIME and datetime.fromisoformat(value[:-1] + "+00:00") == expected)


class Client:
    def __init__(self, url, token):
        self.host, self.token = urlsplit(url).netloc, token
        self.asked = set()

    def send(self, method, path, body=None, kind="application/json", base="/api/v1"):
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None:
            headers["Content-Type"] = kind
            body = body if isinstance(body, str) else json.dumps(body)
        connection = http.client.HTTPConnection(self.host, timeout=60)
        connection.request(method, base + path, body and body.encode(), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer, text

    def ask(self, method, path, body=None, status=200, **more):
        answer, text = self.send(method, path, body, **more)
        assert answer.status == status, f"{method} {path}: {answer.status} instead of {status}: {text}"
        assert answer.headers["Content-Type"] == "application/json", answer.headers["Content-Type"]
        return json.loads(text)

    def data(self, method, path, body=None, status=200):
        answer = self.ask(method, path, body, status)
        assert answer["success"] is True and set(answer) <= {"success", "data", "meta", "message"}, answer
        return answer["data"]

    def refused(self, method, path, body, status, code, message=A_TEXT):
        answer = self.ask(method, path, body, status)
        same(answer, {"success": False, "message": message, "code": code})
        return answer["message"]

    def invalid(self, method, path, body, field):
        answer = self.ask(method, path, body, 422)
        expected = {"success": False, "message": "The given data was invalid.", "code": "VALIDATION_ERROR"}
        same(answer, expected | {"errors": {field: TEXTS}})


def same(found, expected):
    assert found == expected, f"\nfound    {found}\nexpected {expected}"


def agents_and_numbers(client):
    """Creates the entities that callbacks need."""
    same(client.data("GET", "/agents"), [])
    id = str(uuid.uuid4())
    made = client.data("POST", "/agents", {"name": "Reminders", "direction": "outbound", "label": "EMEA", "id": id}, 201)
    agent = {"id": id, "name": "Reminders", "label": "EMEA", "direction": "outbound", "current_status": "draft"}
    agent |= {"is_ready_to_publish": True, "phone_numbers": [], "created_at": A_TIME, "updated_at": A_TIME}
    same(made, agent)
    again = {"name": "Reminders", "direction": "outbound", "label": "EMEA", "id": id}
    same(client.data("POST", "/agents", again, 200), agent)
    client.refused("POST", "/agents", again | {"name": "Others"}, 409, "AGENT_EXISTS")
    same(client.data("GET", f"/agents/{id}"), agent)

    renamed = client.data("PUT", f"/agents/{id}", {"name": "Renamed", "label": None})
    same(renamed, agent | {"name": "Renamed", "label": None})
    same(client.data("PUT", f"/agents/{id}", {"name": "Reminders", "label": "EMEA"}), agent)

    number = client.data("POST", "/phone-numbers", {"number": "+15551234567"}, 201)
    same({key: number[key] for key in ["id", "number", "current_status"]}, {"id": AN_ID, "number": "+15551234567", "current_status": "inactive"})
    own = {"number": "+15551234568", "id": str(uuid.uuid4())}
    spare = client.data("POST", "/phone-numbers", own, 201)
    same(spare["id"], own["id"])
    client.refused("POST", "/phone-numbers", {"number": "+15551234567"}, 409, "PHONE_NUMBER_TAKEN")
    same([held["id"] for held in client.data("GET", "/phone-numbers")], [number["id"], spare["id"]])

    calling = {"direction": "outbound", "phone_number_ids": [number["id"]]}
    owned = {"id": number["id"], "number": "+15551234567", "current_status": "active"}
    same(client.data("PUT", f"/agents/{id}/calling", calling), agent | {"phone_numbers": [owned]})
    same(client.data("POST", f"/agents/{id}/publish")["current_status"], "published")
    client.refused("DELETE", f"/agents/{id}", None, 409, "AGENT_IS_PUBLISHED")
    draft = client.data("POST", "/agents", {"name": "Survey"}, 201)
    same([draft["direction"], draft["is_ready_to_publish"]], [None, False])
    client.invalid("POST", f"/agents/{draft['id']}/publish", None, "direction")
    same(client.data("PUT", f"/agents/{draft['id']}", {"direction": "inbound"})["direction"], "inbound")
    client.invalid("POST", f"/agents/{draft['id']}/publish", None, "phone_number_ids")
    client.ask("DELETE", f"/agents/{draft['id']}")
    same(client.data("POST", f"/agents/{id}/unpublish")["current_status"], "draft")
    same(client.data("POST", f"/agents/{id}/publish")["current_status"], "published")
    client.refused("DELETE", f"/phone-numbers/{number['id']}", None, 422, "PHONE_NUMBER_IN_USE")
    same(client.ask("DELETE", f"/phone-numbers/{spare['id']}"), {"success": True, "message": A_TEXT})

    same(client.ask("GET", "/agents?status=&direction=&search=&per_page=20&page=1"), {
        "success": True,
        "data": [agent | {"current_status": "published", "phone_numbers": [owned]}],
        "meta": {"current_page": 1, "per_page": 20, "total": 1, "last_page": 1},
    })
    same(client.data("GET", "/agents?search=nobody"), [])
    same(client.data("GET", "/agents?status=draft"), [])
    for unknown in [str(uuid.uuid4()), "nonsense"]:
        same(client.refused("GET", f"/agents/{unknown}", None, 404, "AGENT_NOT_FOUND"), client.refused("DELETE", f"/agents/{unknown}", None, 404, "AGENT_NOT_FOUND"))
    unknown = {"direction": "outbound", "phone_number_ids": [str(uuid.uuid4())]}
    client.refused("PUT", f"/agents/{id}/calling", unknown, 404, "NUMBER_NOT_FOUND")
    return id, number["id"]


def inbound(client, name, number):
    agent = client.data("POST", "/agents", {"name": name, "direction": "inbound"}, 201)["id"]
    client.data("PUT", f"/agents/{agent}/calling", {"direction": "inbound", "phone_number_ids": [number]})
    client.data("POST", f"/agents/{agent}/publish")
    return agent


def callback_agents(client, source, number):
    """Calls the eight callback endpoints, without statistics."""
    front = inbound(client, "Front Desk", number)
    callback = inbound(client, "Callback Handler", number)
    path, sources = f"/agents/{callback}/callback", {"source_agent_ids": [source]}
    client.refused("PUT", path, sources, 404, "NOT_A_CALLBACK_AGENT")
    same(client.ask("POST", path, sources), {
        "success": True,
        "data": {"id": callback, "name": "Callback Handler", "direction": "inbound", "callback_config": sources},
    })
    same(client.ask("PUT", path, sources), {"success": True, "data": {"id": callback, "callback_config": sources}})
    message = "Agent must have direction=inbound to serve as a callback"
    client.refused("POST", f"/agents/{source}/callback", sources, 422, "INVALID_AGENT_DIRECTION", message)
    client.invalid("POST", path, {"source_agent_ids": []}, "source_agent_ids")
    client.invalid("PUT", path, {"source_agent_ids": []}, "source_agent_ids")
    client.invalid("POST", path, {"source_agent_ids": [source, source]}, "source_agent_ids")
    client.invalid("POST", path, {"source_agent_ids": [str(uuid.uuid4()) for _ in range(1001)]}, "source_agent_ids")
    unknown = str(uuid.uuid4())
    message = client.refused("POST", path, {"source_agent_ids": [unknown, front, source, callback]}, 422, "INVALID_SOURCE_AGENT")
    assert all(id in message for id in [unknown, front, callback]) and source not in message, message

    limited = sources | {"callback_trigger_statuses": ["no_answer", "voicemail", "busy"], "lookback_days": 7}
    config = client.data("PUT", path, limited)["callback_config"]
    same(sorted(config.pop("callback_trigger_statuses")), ["busy", "no-answer", "voicemail"])
    same(config, sources | {"lookback_days": 7})
    client.data("PUT", path, sources)

    same(client.ask("GET", "/callback-agents"), {"success": True, "data": [{
        "id": callback, "name": "Callback Handler", "label": None, "direction": "inbound", "current_status": "published",
        "callback_config": sources,
    }]})
    same(client.ask("GET", "/callback-agents/source-agents"), {"success": True, "data": [
        {"id": source, "name": "Reminders", "direction": "outbound", "current_status": "published"},
    ]})
    client.refused("PUT", f"/agents/{callback}/calling", {"direction": "outbound"}, 409, "AGENT_IS_CALLBACK")
    client.refused("PUT", f"/agents/{source}/calling", {"direction": "inbound"}, 409, "AGENT_IS_SOURCE")

    check = f"/callback-agents/{callback}/check-constraints"
    valid = {"success": True, "message": "Configuration is valid"}
    whole = {"is_callback_agent": True, "callback_source_agents": [source], "callback_trigger_statuses": ["busy"]}
    for body in [{}, whole]:
        same(client.ask("POST", check, body), valid)
    draft = client.data("POST", "/agents", {"name": "Draft", "direction": "outbound"}, 201)["id"]
    answer = client.ask("POST", check, {"callback_source_agents": [draft]})
    same(answer, valid | {"warnings": TEXTS})
    assert f"Source agent {draft} is not published" in answer["warnings"], answer
    answer = client.ask("POST", check, {"callback_source_agents": [front]}, 422)
    same(set(answer) - {"code", "warnings"}, {"success", "message", "errors"})
    same([answer["success"], answer["message"]], [False, "Configuration has errors"])
    same(answer["errors"], [f"Source agent {front} is not outbound"])
    answer = client.ask("POST", f"/callback-agents/{source}/check-constraints", {"callback_source_agents": [draft]}, 422)
    assert "Agent must be inbound to serve as a callback agent" in answer["errors"], answer
    same(client.ask("DELETE", f"/agents/{draft}"), {"success": True, "message": A_TEXT})
    return front, callback


def calls_and_routes(client, gateway, source, callback, front, number):
    call = {"agent_id": source, "from": "+15551234567", "to": "+15557654321", "started_at": CALLED_AT.isoformat().replace("+00:00", "Z")}
    for status in ["initiated", "ringing", "answered", "completed", "failed", "busy", "no-answer", "no_answer", "voicemail"]:
        same(gateway.ask("POST", "/calls", call | {"status": status}, 202), {"success": True, "message": A_TEXT})
    test = call | {"status": "busy", "to": "+15557650000", "is_testing": True}
    same(gateway.ask("POST", "/calls", test, 202), {"success": True, "message": A_TEXT})
    client.refused("POST", "/calls", call | {"status": "busy", "from": "+15550000000"}, 404, "NUMBER_NOT_FOUND")
    client.refused("POST", "/calls", call | {"status": "busy", "agent_id": str(uuid.uuid4())}, 404, "AGENT_NOT_FOUND")
    client.invalid("POST", "/calls", call | {"status": "bored"}, "status")
    lines = [json.dumps(call | {"status": "busy", "to": f"+1555765{n:04}"}) for n in range(250)]
    lines[1:1] = ["no call"] * 150
    report = client.ask("POST", "/calls/bulk", "\n".join(lines) + "\n", kind="application/x-ndjson")
    same(report, {"accepted": 250, "rejected": 150, "errors": [{"line": n + 2, "message": A_TEXT} for n in range(100)]})

    def route(caller, asker=client, **more):
        query = {"dialed": "+15551234567", "caller": caller} | more
        return asker.data("GET", "/route?" + "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items()))

    decision = {"decision": "callback", "agent_id": callback, "reason": "MATCHED", "source_agent_id": source}
    behind = {"call_id": None, "status": "voicemail", "called_at": moment(CALLED_AT), "from": "+15551234567", "context": None}
    decision |= {"called_at": moment(CALLED_AT), "call": behind, "decision_id": AN_ID}
    same(route("+15557654321"), decision)
    same(route("+15557654321", gateway), decision)
    same(route("+15557654321", gateway, at=(NOW + timedelta(days=40)).isoformat())["reason"], "EXPIRED")
    default = {"decision": "default", "agent_id": front, "source_agent_id": None, "called_at": None, "call": None, "decision_id": AN_ID}
    for caller in ["anonymous", "", "sip:anonymous@anonymous.invalid", "1" * 40]:
        same(route(caller), default | {"reason": "ANONYMOUS_CALLER"})
    same(route("112"), default | {"reason": "NO_HISTORY"})
    unrouted = {"decision": "unrouted", "agent_id": None, "reason": "UNKNOWN_NUMBER", "source_agent_id": None, "called_at": None, "call": None}
    same(client.data("GET", "/route?dialed=%2B15559999999&caller=anonymous"), unrouted | {"decision_id": AN_ID})
    known_calls(client, gateway, call)
    explained = route("+15557654321", explain="true")
    same({key: explained[key] for key in decision}, decision)
    same([step["reason"] for step in explained["steps"]], [
        "UNKNOWN_NUMBER", "ANONYMOUS_CALLER", "NO_HISTORY", "NO_CALLBACK_AGENT", "NUMBER_NOT_OWNED",
        "CALLBACK_AGENT_UNPUBLISHED", "OUTCOME_NOT_ELIGIBLE", "EXPIRED", "MATCHED",
    ])

    # Only a published agent takes new calls.
    client.data("POST", f"/agents/{callback}/unpublish")
    same(route("+15557654321")["reason"], "CALLBACK_AGENT_UNPUBLISHED")
    client.data("POST", f"/agents/{callback}/publish")
    # The default agent is the one that was assigned first, unless another one is named.
    client.data("PUT", f"/phone-numbers/{number}", {"default_agent_id": callback})
    same(route("anonymous")["agent_id"], callback)
    for nobody in [None, "nobody"]:
        held = client.data("PUT", f"/phone-numbers/{number}", {"default_agent_id": nobody})
        same([held["default_agent_id"], held["default_agent_setting"]], [None, "nobody"])
        same(route("anonymous"), unrouted | {"reason": "ANONYMOUS_CALLER", "decision_id": AN_ID})
    held = client.data("PUT", f"/phone-numbers/{number}", {"default_agent_id": "auto"})
    same([held["default_agent_id"], held["default_agent_setting"]], [front, "auto"])
    same(route("anonymous")["agent_id"], front)
    return route


def statistics(client, gateway, route, source, callback):
    """The calls routed above are counted today, and so are those reported as answered."""
    today = datetime.now(timezone.utc).date()
    path = f"/callback-agents/stats?start_date={today - timedelta(days=1)}&end_date={today}"
    before = client.data("GET", path)
    same(set(before), {"period", "total_callbacks_received", "callbacks_answered", "callbacks_unmatched", "callbacks_by_source_agent"})
    same(before["period"], {"start": str(today - timedelta(days=1)), "end": str(today)})
    decision = route("+15557654321")["decision_id"]
    same(gateway.ask("POST", f"/routes/{decision}/answered"), {"success": True, "message": A_TEXT})
    route("+15550009999")
    after = client.data("GET", path)
    same(after["total_callbacks_received"], before["total_callbacks_received"] + 1)
    same(after["callbacks_answered"], before["callbacks_answered"] + 1)
    same(after["callbacks_unmatched"], before["callbacks_unmatched"] + 1)
    counted = after["total_callbacks_received"]
    same(after["callbacks_by_source_agent"], [{"source_agent_id": source, "name": "Reminders", "count": counted}])
    month = client.data("GET", "/callback-agents/stats")["period"]
    same(datetime.fromisoformat(month["end"]) - datetime.fromisoformat(month["start"]), timedelta(days=30))
    same(client.data("GET", f"/callback-agents/{callback}"), {
        "agent": {"id": callback, "name": "Callback Handler", "direction": "inbound", "current_status": "published"},
        "source_agents": [{"id": source, "name": "Reminders"}],
        "stats": {"total_callbacks_received": counted, "callbacks_answered": after["callbacks_answered"], "period": month},
    })
    message = "Agent is not configured as a callback agent"
    client.refused("GET", f"/callback-agents/{source}", None, 404, "NOT_A_CALLBACK_AGENT", message)


def known_calls(client, gateway, call):
    """A call with an id and a context, of another contact."""
    text = {"success": True, "message": A_TEXT}
    own = call | {"to": "+15557659998", "status": "initiated", "call_id": "order/7", "context": {"order": 7}}
    same(client.ask("POST", "/calls", own, 202), text)
    same(client.ask("POST", "/calls", {"call_id": "order/7", "status": "ringing"}, 202), text)
    update = {"call_id": "order/7", "status": "busy", "from": "+15551234567", "context": {"order": 8}}
    same(gateway.ask("POST", "/calls", update, 202), text)
    shown = client.data("GET", "/calls/order%2F7")
    reported_at = shown.pop("context_at")
    assert isinstance(reported_at, str), reported_at
    expected = {"call_id": "order/7", "status": "busy", "called_at": moment(CALLED_AT), "from": "+15551234567"}
    expected |= {"context": {"order": 8}}
    same(shown, expected | {"to": "+15557659998", "source_agent_id": call["agent_id"]})
    route = client.data("GET", "/route?dialed=%2B15551234567&caller=%2B15557659998&explain=true")
    same(route["call"], expected)
    client.refused("GET", "/calls/order%2F8", None, 404, "CALL_NOT_FOUND")
    client.refused("POST", "/calls", {"call_id": "order/8", "status": "busy"}, 404, "CALL_NOT_FOUND")
    client.refused("POST", "/calls", own | {"to": "+15557659997"}, 409, "CALL_ID_REUSED")
    client.invalid("POST", "/calls", own | {"context": []}, "context")


def the_end(client, route, source, callback, front):
    same(client.ask("DELETE", f"/agents/{callback}/callback"), {"success": True, "message": "Callback role removed"})
    same(route("+15557654321")["reason"], "NO_CALLBACK_AGENT")
    same(route("+15557654321")["agent_id"], front)
    same(client.data("GET", "/callback-agents"), [])
    known = client.data("GET", "/contacts/%2B15557654321")
    same(known, {"number": "+15557654321", "entries": [{
        "phone_number_id": AN_ID, "from": "+15551234567", "status": "voicemail", "called_at": moment(CALLED_AT),
        "source_agent_id": source, "source_agent_name": "Reminders",
    }], "entries_total": 1, "known_calls": [], "has_more_known_calls": False})
    forgotten = client.data("DELETE", "/contacts/%2B15557654321")
    assert list(forgotten.values()) == [1], forgotten
    same(client.data("GET", "/contacts/%2B15557654321"), {
        "number": "+15557654321", "entries": [], "entries_total": 0, "known_calls": [], "has_more_known_calls": False,
    })
    same(route("+15557654321")["reason"], "NO_HISTORY")
    late = {"agent_id": source, "from": "+15551234567", "to": "+15557654321", "status": "voicemail"}
    client.ask("POST", "/calls", late | {"started_at": CALLED_AT.isoformat()}, 202)
    same(route("+15557654321")["reason"], "NO_HISTORY")


def changes(client, source):
    page = client.ask("GET", "/changes?actor=token")
    same(page["meta"], {"next_cursor": None})
    entries = page["data"]
    same([entry["generation"] for entry in entries], sorted((entry["generation"] for entry in entries), reverse=True))
    same(entries[0], {
        "generation": entries[0]["generation"], "at": A_TIME, "environment_id": AN_ID,
        "actor": entries[0]["actor"] | {"kind": "token", "id": AN_ID, "role": "environment"}, "actor_text": A_TEXT,
        "changes": [{"change": "callback_removed", "text": A_TEXT, "agent": {"id": AN_ID, "name": "Callback Handler"}}],
        "changes_total": 1,
    })
    kinds = {change["change"] for entry in entries for change in entry["changes"]}
    assert {"agent_created", "number_added", "callback_set", "agent_published"} <= kinds, kinds
    same(client.data("GET", f"/changes?actor={source}"), [])
    client.invalid("GET", "/changes?cursor=00000000000000000000000000000000", None, "cursor")


def routes(client, route):
    decided = route("+15557654329")
    shown = client.data("GET", f"/routes/{decided['decision_id']}")
    same([shown[name] for name in ("caller", "decision", "reason")], ["+15557654329", decided["decision"], decided["reason"]])
    same([step["line"] for step in shown["steps"]], [1, 2, 3])
    page = client.ask("GET", "/routes?contact=%2B15557654329")
    same([entry["decision_id"] for entry in page["data"]], [decided["decision_id"]])
    same(page["meta"], {"next_cursor": None, "damaged": []})
    client.invalid("GET", "/routes?cursor=7", None, "cursor")
    client.refused("GET", "/routes/7", None, 404, "DECISION_NOT_FOUND")


def events(client, gateway, route):
    end = client.ask("GET", "/events?after=end")["meta"]
    same([end["has_more"], end["is_of_node"]], [False, False])
    decided = route("+15557654329")
    page = client.ask("GET", f"/events?after={end['next_cursor']}&types=route.decided&wait=30&limit=1")
    same([(event["type"], event["data"]["decision_id"]) for event in page["data"]], [("route.decided", decided["decision_id"])])
    same(page["meta"]["next_cursor"], page["data"][0]["cursor"])
    same({event["type"] for event in client.data("GET", "/events?types=call.recorded")}, {"call.recorded"})
    client.invalid("GET", "/events?after=7", None, "after")
    client.refused("GET", f"/events?after={'f' * 24}", None, 410, "CURSOR_EXPIRED")
    gateway.refused("GET", "/events", None, 403, "UNAUTHORIZED")


def webhooks(client, gateway, route):
    received = queue.Queue()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            received.put((dict(self.headers), self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/hook"
    shown = {
        "id": AN_ID, "url": url, "types": ["route.decided"], "description": "", "status": "active", "disabled_reason": None,
        "disabled_at": None, "failing_since": None, "waiting": 0, "missed": 0, "old_secret_until": None, "created_at": A_TIME,
    }
    created = client.data("POST", "/webhooks", {"url": url, "types": ["route.decided"]}, 201)
    secret = created.pop("secret")
    same(created, shown)
    same(client.data("GET", "/webhooks"), [shown])
    path = f"/webhooks/{created['id']}"
    same(client.data("GET", path), shown)
    decided = route("+15557654328")
    headers, body = received.get(timeout=30)
    message = Webhook(secret).verify(body, headers)
    same([message["type"], message["timestamp"]], ["route.decided", A_TIME])
    same(message["data"]["decision_id"], decided["decision_id"])
    try:
        Webhook(secret).verify(body + b" ", headers)
    except WebhookVerificationError:
        pass
    else:
        raise AssertionError("a changed message was accepted")
    tested = client.data("POST", f"{path}/test")
    headers, body = received.get(timeout=30)
    same(Webhook(secret).verify(body, headers), {"type": "webhook.test", "timestamp": A_TIME, "data": {"webhook_id": created["id"]}})
    attempt = {"at": A_TIME, "attempt": 1, "is_accepted": True, "response_status": 204, "error": None}
    same({**tested, "took_ms": 0}, attempt | {"message_id": headers["webhook-id"], "type": "webhook.test", "took_ms": 0})
    # An attempt is listed when its answer was read, and the two can end in any order.
    same(sorted(one["type"] for one in client.data("GET", f"{path}/deliveries")), ["route.decided", "webhook.test"])
    rotated = client.data("POST", f"{path}/rotate", {"overlap_seconds": 60}, 201)
    client.ask("POST", f"{path}/test")
    headers, body = received.get(timeout=30)
    for valid in [secret, rotated["secret"]]:
        Webhook(valid).verify(body, headers)
    same({**rotated, "secret": secret}, shown | {"old_secret_until": A_TIME, "secret": secret})
    same(client.data("PUT", path, {"enabled": False})["disabled_reason"], "by_request")
    same(client.data("PUT", path, {"enabled": True, "description": "CRM"})["description"], "CRM")
    client.invalid("POST", "/webhooks", {"url": "https://10.0.0.1/"}, "url")
    client.invalid("POST", "/webhooks", {"url": url, "types": []}, "types")
    client.ask("DELETE", path)
    client.refused("GET", path, None, 404, "WEBHOOK_NOT_FOUND")
    gateway.refused("GET", "/webhooks", None, 403, "UNAUTHORIZED")
    server.shutdown()


def who_may(client, gateway, other, nobody, source, number):
    nobody.refused("GET", "/agents", None, 401, "INVALID_TOKEN")
    gateway.refused("GET", "/agents", None, 403, "UNAUTHORIZED")
    gateway.refused("POST", f"/agents/{source}/callback", {"source_agent_ids": [source]}, 403, "UNAUTHORIZED")
    same(other.data("GET", "/agents"), [])
    foreign = other.refused("GET", f"/agents/{source}", None, 404, "AGENT_NOT_FOUND")
    same(foreign, other.refused("GET", "/agents/malformed", None, 404, "AGENT_NOT_FOUND"))
    other.refused("DELETE", f"/phone-numbers/{number}", None, 404, "NUMBER_NOT_FOUND")
    same(client.ask("POST", "/agents", "name=x", 415, kind="application/x-www-form-urlencoded")["success"], False)
    same(client.ask("POST", "/agents", {"name": "x" * (1 << 20), "direction": "inbound"}, 413)["success"], False)


def service(nobody):
    same(nobody.ask("GET", "/health", base=""), {"status": "ok"})
    answer, text = nobody.send("GET", "/metrics", base="")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain"), answer.headers
    assert re.search(r'^dialback_decisions_total\{decision="callback",reason="MATCHED"\} [1-9]', text, re.M), text
    described = nobody.ask("GET", "/openapi.json")
    same(described["openapi"].split(".")[0], "3")


def main():
    url, *tokens = sys.argv[1:]
    client, gateway, other = (Client(url, token) for token in tokens)
    nobody = Client(url, None)
    assert client.token.startswith("talq_") and gateway.token.startswith("gate_")
    source, number = agents_and_numbers(client)
    front, callback = callback_agents(client, source, number)
    route = calls_and_routes(client, gateway, source, callback, front, number)
    statistics(client, gateway, route, source, callback)
    who_may(client, gateway, other, nobody, source, number)
    the_end(client, route, source, callback, front)
    changes(client, source)
    routes(client, route)
    events(client, gateway, route)
    webhooks(client, gateway, route)
    service(nobody)
    print("the page of the contract is kept")


if __name__ == "__main__":
    main()
