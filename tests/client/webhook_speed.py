"""Measures webhooks: how many messages a second a daemon sends to one receiver, and how long after its decision a message of a
routed call arrives.

webhook_speed.py URL ENVIRONMENT_TOKEN
"""

import asyncio
import http.client
import json
import sys
import time
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

CALLS = 20_000
ROUTES = 300
NUMBER = "+12125550100"


class Receiver(asyncio.Protocol):
    """Answers each message with 204, and notes when it came."""

    def __init__(self, arrived):
        self.arrived, self.data = arrived, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data
        while True:
            head, found, rest = self.data.partition(b"\r\n\r\n")
            if not found:
                return
            lines = head.lower().split(b"\r\n")
            length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
            if len(rest) < length:
                return
            body, self.data = rest[:length], rest[length:]
            self.arrived.append((time.monotonic(), body))
            self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


def ask(connection, token, method, path, body=None, kind="application/json"):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
    connection.request(method, f"/api/v1{path}", body, headers)
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status < 300, (method, path, answer.status, text)
    return json.loads(text)


def set_up(connection, token, url):
    def made(path, body):
        return ask(connection, token, "POST", path, json.dumps(body))["data"]["id"]

    number = made("/phone-numbers", {"number": NUMBER})
    agent = made("/agents", {"name": "Sales", "direction": "outbound"})
    calling = {"direction": "outbound", "phone_number_ids": [number]}
    ask(connection, token, "PUT", f"/agents/{agent}/calling", json.dumps(calling))
    ask(connection, token, "POST", f"/agents/{agent}/publish")
    made("/webhooks", {"url": url, "types": ["call.recorded", "route.decided"]})
    return agent


async def wait_for(arrived, count):
    deadline = time.monotonic() + 300
    while len(arrived) < count:
        assert time.monotonic() < deadline, f"{len(arrived)} of {count} came"
        await asyncio.sleep(0.02)


async def main():
    daemon, token = sys.argv[1:]
    arrived = []
    server = await asyncio.get_running_loop().create_server(lambda: Receiver(arrived), "127.0.0.1", 0)
    url = "http://127.0.0.1:%d/" % server.sockets[0].getsockname()[1]
    connection = http.client.HTTPConnection(urlsplit(daemon).netloc, timeout=300)
    agent = await asyncio.to_thread(set_up, connection, token, url)
    at = (datetime.now(timezone.utc) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    call = {"agent_id": agent, "from": NUMBER, "started_at": at, "status": "busy"}
    lines = "\n".join(json.dumps(call | {"to": f"+1415{5550000 + number}"}) for number in range(CALLS))
    began = time.monotonic()
    await asyncio.to_thread(ask, connection, token, "POST", "/calls/bulk", lines, "application/x-ndjson")
    await wait_for(arrived, CALLS)
    took = arrived[CALLS - 1][0] - began
    print(f"{CALLS} messages in {took:.1f} s: {CALLS / took:.0f} a second")
    decided = {}
    for number in range(ROUTES):
        path = f"/route?dialed=%2B12125550100&caller=%2B1415{5550000 + number}"
        answer = await asyncio.to_thread(ask, connection, token, "GET", path)
        decided[answer["data"]["decision_id"]] = time.monotonic()
        await asyncio.sleep(0.01)
    await wait_for(arrived, CALLS + ROUTES)
    late = sorted(when - decided[json.loads(body)["data"]["decision_id"]] for when, body in arrived[CALLS:])
    middle, high = late[len(late) // 2], late[len(late) * 99 // 100]
    print(f"from the decision to the message: p50 {middle:.2f} s, p99 {high:.2f} s, most {late[-1]:.2f} s")


asyncio.run(main())
