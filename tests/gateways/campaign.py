"""One gateway's configuration, from the first outbound call to the restart of a daemon that was killed."""

import signal
import time
from urllib.parse import quote

import processes
import twists
from daemon import Daemon
from kamailio import Kamailio
from model import Role, World
from sipp import Answering, Calling, collect
from verdict import between, hold, must_find, name
from traffic import Traffic

RATE = 120
# The outcome of a call that the trunk ended with this status.
OUTCOMES = {200: "answered", 486: "busy", 480: "no_answer", 603: "failed"}
# How long a gateway skips requests after a failed one (http.cfg), plus a margin.
WARY = 2.5


class Campaign:
    def __init__(self, program, folder, ports, config):
        print(config, flush=True)
        self.folder, self.ports, self.world = folder, ports, World(seed=config)
        self.traffic = Traffic(self.world)
        self.trunk, self.default = (Answering(ports, folder, name) for name in ["trunk", "default"])
        self.agents = [Answering(ports, folder, agent.name.replace(" ", "-")) for agent in self.world.inbound]
        for answering, agent in zip(self.agents, self.world.inbound):
            answering.name = agent.name
        self.addresses = {answering.name: f"sip:agent@127.0.0.1:{answering.port}" for answering in self.agents}
        self.inside, self.outside, api, sip = (ports.take() for _ in range(4))
        self.daemon = Daemon(program, folder, api, ["--sip-listen", f"127.0.0.1:{sip}"])
        self.daemon.set_up(self.world, self.addresses)
        site = {
            "OUTSIDE": f"udp:127.0.0.1:{self.outside}",
            "INSIDE": f"udp:127.0.0.1:{self.inside}",
            "INSIDE_PORT": str(self.inside),
            "TRUNK": f'"sip:127.0.0.1:{self.trunk.port}"',
            "DEFAULT_ROUTE": f'"sip:reception@127.0.0.1:{self.default.port}"',
            "DIALBACK_SIP": f'"sip:127.0.0.1:{sip}"',
            "DIALBACK_API": f'"http://127.0.0.1:{api}/api/v1"',
            "DIALBACK_CONNECTION": f'"dialback=>http://gateway:{self.daemon.gateway}@127.0.0.1:{api}/api/v1"',
            "DIALBACK_TOKEN": f'"{self.daemon.gateway}"',
        }
        self.kamailio = Kamailio(config, f"{folder}/kamailio", site)

    def run(self):
        self.place(self.traffic.outbound(500))
        # Some contacts are called again by other agents: the last call counts. Kamailio's records have a resolution of a second.
        time.sleep(1.1)
        self.place(self.traffic.outbound_again(150))
        self.come_back()
        self.change()
        self.kill()
        self.hang()
        self.swap()
        self.leave()
        self.kamailio.end()

    def place(self, calls):
        """Places outbound calls: the trunk receives them, and Kamailio reports them to Dialback."""
        self.send(self.inside, calls)
        hold("outbound", calls, lambda call: {"trunk"} if call.status == 200 else {"refused after ['trunk']"})
        for call in calls:
            self.world.placed(call.number_of_ours, call.number, call.source, call.sent, OUTCOMES[call.status])
        self.await_records(calls[-1])

    def send(self, port, calls):
        calling = Calling(self.ports, self.folder, port, calls, RATE)
        self.finish(calling)

    def await_landings(self, count, who=None):
        """Waits until this many more calls have reached any agent, or the given one."""
        everybody = [who] if who else self.agents

        def came():
            for one in everybody:
                one.listen()
            return sum(len(one.got) for one in everybody)

        first = came()
        processes.until(lambda: came() >= first + count, f"{count} calls")

    def finish(self, calling):
        calling.finish()
        collect(self.agents + [self.trunk, self.default], list(calling.calls.values()))

    def await_records(self, last):
        """Waits for the record of the last call. Records arrive in the order of the calls, except for some milliseconds."""
        query = f"/route?dialed={quote(last.number_of_ours)}&caller={quote(last.number)}&explain=true"

        def is_there():
            call = self.daemon.ask("GET", query)["steps"][2]["saw"]["call"]
            return call and call["source_agent"]["id"] == last.source.id and call["status"] == OUTCOMES[last.status]

        deadline = time.monotonic() + 20
        while not is_there():
            assert time.monotonic() < deadline, "the records of outbound calls do not come in"
            time.sleep(0.05)
        time.sleep(0.3)

    def expected(self, call):
        return name(self.world.takes(call.number, call.shown, call.sent))

    def come_back(self):
        calls = self.traffic.inbound(1000)
        self.send(self.outside, calls)
        hold("inbound", calls, lambda call: {self.expected(call)})
        # The calls would reveal each mistake in the rule, and each swapped agent.
        for what, twisted in twists.of(self.world):
            must_find(what, calls, lambda call: {name(twisted.takes(call.number, call.shown, call.sent))})

    def change(self):
        """Changes a callback through the control API during the run."""
        calls = self.traffic.inbound(400)
        later = self.traffic.inbound(100)
        before = {call.label: name(self.world.takes(call.number, call.shown, time.time())) for call in calls + later}
        calling = Calling(self.ports, self.folder, self.outside, calls, RATE)
        self.await_landings(150)
        role = Role(self.world.desks[2], [self.world.sources[n] for n in [0, 1, 3, 6]])
        begun = time.time()
        self.daemon.configure(role)
        done = time.time()
        self.world.configure(role)
        self.finish(calling)
        # Calls continue after the change, however long it takes.
        self.send(self.outside, later)
        calls += later
        moved = [call for call in calls if before[call.label] != self.expected(call)]
        early = [call for call in moved if call.landings and call.landings[0][1] < begun]
        late = [call for call in moved if call.sent > done]
        assert len(early) > 10 and len(late) > 10, "too few calls show the change"

        def allowed(call):
            return between(call, begun, done, before[call.label], self.expected(call))

        hold(f"a callback changed in mid-run, for {len(early)} calls before and {len(late)} after it", calls, allowed)
        must_find("a change that comes too late", calls, lambda call: {before[call.label]})

    def kill(self):
        """Kills the daemon during the run, places calls while it is down, and restarts it."""
        calls = self.traffic.inbound(900)
        calling = Calling(self.ports, self.folder, self.outside, calls, RATE)
        self.await_landings(100)
        killing = time.time()
        self.daemon.kill()
        killed = time.time()
        meanwhile = self.traffic.outbound_to_others(60)
        self.send(self.inside, meanwhile)
        self.await_landings(50, self.default)
        starting = time.time()
        self.daemon.start()
        started = time.time() + WARY
        self.finish(calling)
        # Calls continue after the restart, however long it takes.
        time.sleep(max(0, started - time.time()))
        later = self.traffic.inbound(60)
        self.send(self.outside, later)
        calls += later
        before = [call for call in calls if call.landings and call.landings[0][1] < killing]
        away = [call for call in calls if call.sent > killed and call.landings and call.landings[0][1] < starting]
        again = [call for call in calls if call.sent > started]
        assert min(len(before), len(away), len(again)) > 20, (len(before), len(away), len(again))

        def allowed(call):
            if call in away:
                return {"default"}
            return {self.expected(call)} if call in before or call in again else {self.expected(call), "default"}

        what = f"the daemon killed in mid-run: {len(before)} before, {len(away)} to the default route, {len(again)} after the restart"
        hold(what, calls, allowed)
        for call in meanwhile:
            self.world.placed(call.number_of_ours, call.number, call.source, call.sent, OUTCOMES[call.status])
        self.await_records(meanwhile[-1])
        back = self.traffic.answers_to(meanwhile)
        self.send(self.outside, back)
        hold("those who were called while it was away", back, lambda call: {self.expected(call)})

    def hang(self):
        """Stops the daemon, so that it accepts connections and does not answer."""
        self.daemon.process.send_signal(signal.SIGSTOP)
        calls = self.traffic.inbound(150)
        self.send(self.outside, calls)
        self.daemon.process.send_signal(signal.SIGCONT)
        hold("while the daemon hangs", calls, lambda call: {"default"})
        time.sleep(WARY)
        calls = self.traffic.inbound(60)
        self.send(self.outside, calls)
        hold("once it goes on", calls, lambda call: {self.expected(call)})

    def leave(self):
        """Stops an agent: its calls must take the default route."""
        self.daemon.restart(self.by_id())
        gone = self.agents[self.world.inbound.index(self.world.fronts[0])]
        gone.leave()
        time.sleep(WARY)
        calls = self.traffic.inbound(60)
        self.send(self.outside, calls)
        meant = [call for call in calls if self.expected(call) == gone.name]
        assert len(meant) > 5, "too few calls for the agent that is gone"
        what = f"an agent that is gone, for {len(meant)} calls"
        hold(what, calls, lambda call: {"default"} if call in meant else {self.expected(call)})

    def by_id(self):
        return {agent.id: self.addresses[agent.name] for agent in self.world.inbound}

    def swap(self):
        """Swaps two agents: the comparison must detect it."""
        swapped = self.by_id()
        one, other = (agent.id for agent in [self.world.fronts[0], self.world.desks[2]])
        swapped[one], swapped[other] = swapped[other], swapped[one]
        self.daemon.restart(swapped)
        time.sleep(WARY)
        calls = self.traffic.inbound(60)
        self.send(self.outside, calls)
        must_find("two agents swapped", calls, lambda call: {self.expected(call)})
