"""The daemon under test, configured as the model describes."""

import http.client
import json
import os
import signal
import subprocess

import processes


class Daemon:
    def __init__(self, program, folder, port, options=()):
        self.program, self.folder, self.port, self.options = program, folder, port, list(options)
        self.data, self.addresses = f"{folder}/data", f"{folder}/addresses.json"
        self.process = None
        self.write_addresses({})

    def start(self):
        command = [self.program, "serve", "--listen", f"127.0.0.1:{self.port}", "--data", self.data, "--log", "warn"]
        command += ["--agent-addresses", self.addresses] + self.options
        self.process = processes.start(command, f"{self.folder}/dialback.log")
        processes.until(self.is_ready, "the daemon")

    def is_ready(self):
        assert self.process.poll() is None, open(self.process.log).read()
        return os.path.exists(f"{self.data}/daemon.json") and self.answers()

    def answers(self):
        try:
            return self.send("GET", "/health/ready", base="")[0] == 200
        except OSError:
            return False

    def kill(self):
        processes.end(self.process, signal.SIGKILL)

    def send(self, method, path, body=None, token=None, base="/api/v1"):
        return self.send_text(method, path, body and json.dumps(body), token, base)

    def send_text(self, method, path, body, token, base="/api/v1"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        connection.request(method, base + path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def ask(self, method, path, body=None):
        status, text = self.send(method, path, body, self.tenant)
        assert 200 <= status < 300, f"{method} {path}: {status} {text}"
        return json.loads(text).get("data")

    def token(self, *options):
        command = [self.program, "token", "create", "--data", self.data, *options]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def set_up(self, world, address_of):
        """Creates the model's agents, numbers and roles, and restarts the daemon with the agents' addresses."""
        self.start()
        self.tenant, self.gateway = self.token(), self.token("--role", "gateway")
        numbers = {number: self.ask("POST", "/phone-numbers", {"number": number})["id"] for number in world.numbers}
        for agent in world.sources + world.inbound:
            agent.id = self.ask("POST", "/agents", {"name": agent.name, "direction": agent.direction})["id"]
            owned = {"direction": agent.direction, "phone_number_ids": [numbers[number] for number in agent.numbers]}
            self.ask("PUT", f"/agents/{agent.id}/calling", owned)
            if agent.published:
                self.ask("POST", f"/agents/{agent.id}/publish")
        for role in world.roles:
            self.configure(role)
        self.restart({agent.id: address_of[agent.name] for agent in world.inbound})

    def configure(self, role):
        body = {"source_agent_ids": [source.id for source in role.sources]}
        if role.outcomes:
            body["callback_trigger_statuses"] = role.outcomes
        self.ask("POST", f"/agents/{role.agent.id}/callback", body)

    def restart(self, addresses=None):
        if self.process.poll() is None:
            self.kill()
        if addresses:
            self.write_addresses(addresses)
        self.start()

    def write_addresses(self, addresses):
        with open(self.addresses, "w") as file:
            json.dump({"agents": addresses, "default": "sip:{agent_id}@127.0.0.1:9"}, file)
