"""Fuzzes a new daemon by its own OpenAPI description: run.py DAEMON [quick | long [SECONDS]]."""

import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"

# The ids of src/http/openapi/example.rs.
SOURCE = "5b1f0c9e-2a64-4d5e-9a3b-6f0d1c2e3a41"
CALLBACK = "c7d2a8f4-91b3-4e0a-8f57-2b6c9d1e0f83"
DRAFT = "e3a90b76-5c18-4f2d-b64e-7d8c0a1f2b95"
NUMBER = "0d4e6f28-7b9a-4c13-a5d6-8e7f9b0c1d2a"
UNUSED_NUMBER = "b2c3d4e5-f607-4819-aa2b-3c4d5e6f7081"
DIALED, CONTACT = "+15551234567", "+15557654321"

# The operations of each role. Operations that are not listed need no token and accept any.
EVERYTHING = ["--exclude-tag", "operators"]
KINDS = {
    "environment": EVERYTHING,
    "operator": ["--include-tag", "operators"],
    "gateway": ["--include-tag", "calls"],
}


class Daemon:
    def __init__(self, program, folder):
        self.program, self.data = program, folder / "data"
        self.log = open(folder / "log", "w+")
        serve = [program, "serve", "--listen", "127.0.0.1:0", "--log", "warn", "--data", self.data, "--rate-limit", "0"]
        self.process = subprocess.Popen(serve, stderr=self.log)
        deadline = time.monotonic() + 60
        contact = self.data / "daemon.json"
        while not (contact.exists() and contact.read_text().endswith("}")):
            assert self.process.poll() is None and time.monotonic() < deadline, "the daemon does not start"
            time.sleep(0.05)
        self.url = json.loads(contact.read_text())["url"]

    def token(self, role):
        command = [self.program, "token", "create", "--role", role, "--data", self.data]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def ask(self, token, method, path, body):
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/v1{path}", json.dumps(body).encode(), headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def stop(self):
        self.process.terminate()
        status = self.process.wait(60)
        self.log.seek(0)
        log = self.log.read()
        assert status == 0, f"the daemon ended with {status}: {log}"
        assert "panicked" not in log, log


def set_up(daemon, token):
    """Creates the tenant of the description's examples."""
    for id, number in [(NUMBER, DIALED), (UNUSED_NUMBER, "+15551230009")]:
        daemon.ask(token, "POST", "/phone-numbers", {"id": id, "number": number})
    for id, name, direction in [
        (SOURCE, "Reminders", "outbound"),
        (CALLBACK, "Callback Handler", "inbound"),
        (DRAFT, "New", "inbound"),
    ]:
        daemon.ask(token, "POST", "/agents", {"id": id, "name": name, "direction": direction})
        if id != DRAFT:
            daemon.ask(token, "PUT", f"/agents/{id}/calling", {"direction": direction, "phone_number_ids": [NUMBER]})
            daemon.ask(token, "POST", f"/agents/{id}/publish", {})
    daemon.ask(token, "POST", f"/agents/{CALLBACK}/callback", {"source_agent_ids": [SOURCE]})
    call = {"agent_id": SOURCE, "from": DIALED, "to": CONTACT, "started_at": "2026-06-01T11:00:00Z", "status": "busy"}
    daemon.ask(token, "POST", "/calls", call)


def fuzz(folder, location, token, *options):
    """Returns the exit code and the output of a run."""
    for file in ["hooks.py", "schemathesis.toml"]:
        shutil.copy(HERE / file, folder)
    command = [SCHEMATHESIS, "run", location, "--header", f"Authorization: Bearer {token}", "--checks", "all", *options]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def wrongs(document):
    """Returns descriptions with one error each, the operations to test, and the expected finding."""
    agent = document["paths"]["/api/v1/agents"]

    def field(name, schema):
        def change(copy):
            data = copy["components"]["schemas"]["Done_Agent"]["properties"]["data"]
            own = next(part for part in [data, *data.get("allOf", [])] if "properties" in part)
            own["properties"][name] = schema

        return change

    def status(copy):
        del copy["paths"]["/api/v1/agents/{agent}"]["get"]["responses"]["404"]

    def limit(copy):
        copy["components"]["schemas"]["NewAgent"]["properties"]["name"] = {"type": "string", "minLength": 256}

    def open_door(copy):
        # An operation that is described with a token and needs none.
        copy["paths"]["/health"]["get"]["security"] = [{"environment": []}]

    assert "post" in agent
    return [
        # The correct description gives no finding, so each finding below is the planted error.
        ("nothing", lambda copy: None, "createAgent", None),
        ("a field of another type", field("name", {"type": "integer"}), "createAgent", "Response violates schema"),
        ("a field that is not there", field("id", {"type": "string", "maxLength": 1}), "createAgent", "Response violates schema"),
        ("a status that is not told", status, "showAgent", "Undocumented status code"),
        ("a limit that is told wrong", limit, "createAgent", "a request that is as described is not read"),
        ("a token that nobody asks for", open_door, "health", "API accepts"),
    ]


def bite(daemon, token, folder):
    """Canary: each wrong description must give a finding."""
    with urllib.request.urlopen(f"{daemon.url}/api/v1/openapi.json") as answer:
        document = json.load(answer)
    for name, change, operation, expected in wrongs(document):
        copy = json.loads(json.dumps(document))
        change(copy)
        path = folder / "wrong.json"
        path.write_text(json.dumps(copy))
        options = ["--url", daemon.url, "--include-operation-id", operation, "--max-examples", "20", "--seed", "1"]
        options += ["--phases", "examples,coverage,fuzzing"]
        code, text = fuzz(folder, path, token, *options)
        found = re.sub(r"\s+", " ", text)
        if (code == 0) != (expected is None) or (expected or "") not in found:
            sys.exit(f"not found, or not as {expected!r}: {name}\n{text}")
        print(f"found: {name}")


def main():
    program, mode, *rest = [*sys.argv[1:], *["quick"][len(sys.argv) > 2 :]]
    program = str(Path(program).resolve())
    seed = 1 if mode == "quick" else random.randrange(1 << 32)
    amount = ["--max-examples", "15"] if mode == "quick" else ["--max-time", rest[0] if rest else "300"]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        daemon = Daemon(program, folder)
        stack.callback(daemon.process.kill)
        tokens = {kind: daemon.token(kind) for kind in KINDS}
        set_up(daemon, tokens["environment"])
        bite(daemon, tokens["environment"], folder)
        failed = False
        for kind, operations in KINDS.items():
            location = f"{daemon.url}/api/v1/openapi.json"
            code, text = fuzz(folder, location, tokens[kind], "--seed", str(seed), *amount, *operations)
            cases = re.search(r"[\d,]+ generated", text)
            print(f"{kind}: {cases.group() if cases else 'nothing'}, exit code {code}, seed {seed}")
            # Each operation must have been called; a run without calls is not a success.
            if code != 0 or not cases:
                print(text)
                failed = True
        daemon.stop()
    sys.exit(failed)


if __name__ == "__main__":
    main()
