"""Runs the configurations of examples/freeswitch and examples/asterisk in simulations of the two programs, against a daemon. Outbound calls are
reported, and each inbound call must be dialed to the agent that the model predicts.

standins.py DIALBACK FIRST_PORT
"""

import sys
import tempfile
import time

import processes
from asterisk import Asterisk
from daemon import Daemon
from freeswitch import FreeSwitch
from model import World
from traffic import Traffic

CALLS = 150
# The status with which the trunk ends a call, and Asterisk's name for it.
DIALSTATUS = {200: ("ANSWER", "answered"), 486: ("BUSY", "busy"), 480: ("NOANSWER", "no_answer"), 603: ("CONGESTION", "failed")}


class StandIns:
    def __init__(self, program, folder, ports):
        self.world = World(seed="stand-ins")
        self.traffic = Traffic(self.world)
        api, agi = ports.take(), ports.take()
        self.daemon = Daemon(program, folder, api, ["--agi-listen", f"127.0.0.1:{agi}"])
        self.daemon.set_up(self.world, {agent.name: self.address(agent) for agent in self.world.inbound})
        self.url = f"http://127.0.0.1:{api}/api/v1"
        self.default = "sofia/external/reception@10.0.0.9"
        self.freeswitch = self.a_freeswitch(self.daemon.gateway)
        self.asterisk = Asterisk({
            "DIALBACK_AGI": f"agi://127.0.0.1:{agi}/route", "DIALBACK_API": self.url, "DIALBACK_TOKEN": self.daemon.gateway,
        })

    def a_freeswitch(self, token):
        return FreeSwitch({"dialback_api": self.url, "dialback_token": token, "dialback_default": self.default})

    @staticmethod
    def address(agent):
        return f"sip:{agent.name.replace(' ', '-')}@agents.example.com"

    def place(self):
        """Places half of the calls with each simulation, which also report them to Dialback."""
        for n, call in enumerate(self.traffic.outbound(300)):
            at, ours = time.time(), call.number_of_ours
            headers = [("X-Agent-ID", call.source.id)]
            if n % 2:
                status, outcome = DIALSTATUS[call.status]
                done = self.asterisk.call("from-agents", call.number, ours, status=status, headers=headers)
                assert done[0] == f"PJSIP/{call.number}@trunk", done
            else:
                outcome = "initiated"
                done = self.freeswitch.call("dialback-outbound", call.number, ours, headers)
                assert done == [f"sofia/gateway/trunk/{call.number}"], done
            self.world.placed(ours, call.number, call.source, at, outcome)

    def freeswitch_expects(self, call, agent):
        return ["404"] if agent is None else [f"sofia/external/{self.address(agent).removeprefix('sip:')}"]

    def agi_expects(self, call, agent):
        return ["hangup 1"] if agent is None else [f"PJSIP/agents/{self.address(agent)}"]

    def curl_expects(self, call, agent):
        return ["PJSIP/reception"] if agent is None else [f"PJSIP/agents/{self.address(agent)}"]

    def doors(self):
        yield "FreeSWITCH, mod_curl", lambda call: self.freeswitch.call("public", call.number, shown(call)), self.freeswitch_expects
        yield "Asterisk, FastAGI", lambda call: self.asterisk.call("from-trunk", call.number, shown(call)), self.agi_expects
        yield "Asterisk, CURL()", lambda call: self.asterisk.call("from-trunk-curl", call.number, shown(call)), self.curl_expects

    def come_back(self):
        for what, ask, expects in self.doors():
            calls = [(call, ask(call)) for call in self.traffic.inbound(CALLS)]
            wrong = [call.label for call, done in calls if done != expects(call, self.takes(call))]
            assert not wrong, f"{what}: {len(wrong)} of {CALLS} calls dialed wrong, {wrong[:5]}"
            callbacks = sum(self.takes(call) in self.world.desks for call, _ in calls)
            assert callbacks > CALLS / 10, "too few callbacks to show anything"
            print(f"  {what}: {CALLS} calls, {callbacks} of them callbacks, each dialed where the model says", flush=True)
            self.world.desks[2].name, self.world.fronts[0].name = self.world.fronts[0].name, self.world.desks[2].name
            found = [call.label for call, done in calls if done != expects(call, self.takes(call))]
            self.world.desks[2].name, self.world.fronts[0].name = self.world.fronts[0].name, self.world.desks[2].name
            assert found, f"{what}: two agents swapped were not found"
            print(f"  planted: two agents swapped: found in {len(found)} of {CALLS} calls", flush=True)

    def takes(self, call):
        return self.world.takes(call.number, call.shown, time.time())

    def hidden(self):
        """A caller with restricted presentation is withheld, whatever its number is."""
        number, contact = next(pair for pair in self.traffic.pairs if self.world.takes(*pair, time.time()) in self.world.desks)
        agent = self.world.takes(number, None, time.time())
        done = self.asterisk.call("from-trunk", number, contact, presentation=32)
        assert done == self.agi_expects(None, agent), done

    def away(self):
        """Unanswered agents, a revoked token and a stopped daemon: calls take the gateway's default route."""
        call = self.traffic.plain(self.world.numbers[0], "+16505550000")
        agent = f"PJSIP/agents/{self.address(self.takes(call))}"
        done = self.asterisk.call("from-trunk", call.number, "+16505550000", status={agent: "CHANUNAVAIL"})
        assert done == [agent, "PJSIP/reception"], done
        bridged = self.freeswitch_expects(call, self.takes(call))
        done = self.freeswitch.call("public", call.number, "+16505550000", fails=bridged)
        assert done == [*bridged, self.default], done
        done = self.a_freeswitch("gate_" + "0" * 64).call("public", call.number, "+16505550000")
        assert done == [self.default], done
        self.daemon.kill()
        for what, ask, _ in self.doors():
            done = ask(call)
            assert done in ([self.default], ["PJSIP/reception"]), f"{what}: {done}"
        print("  away, hidden, refused: the default route", flush=True)


def shown(call):
    """Returns the caller's number as a channel has it."""
    for header in call.headers:
        if header.startswith("P-Asserted-Identity:") and call.shown:
            return call.shown
    return "anonymous" if call.shown is None else call.caller.split("@")[0]


def main():
    program, first_port = sys.argv[1:]
    print("stand-ins", flush=True)
    with tempfile.TemporaryDirectory(prefix="dialback-gateways-") as folder:
        try:
            one = StandIns(program, folder, processes.Ports(int(first_port)))
            one.place()
            one.come_back()
            one.hidden()
            one.away()
        finally:
            processes.end_all()


if __name__ == "__main__":
    main()
