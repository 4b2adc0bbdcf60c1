"""Measures the calls a second that Kamailio sustains: with a static route, with Dialback over HTTP, and with Dialback over SIP.

bench.py DIALBACK FIRST_PORT [SECONDS [FIRST_RATE [STEP [LAST_RATE]]]]

A rate is sustained if each call within some seconds completes, none is late and nothing is retransmitted. Each rate gets two tries. The
variants alternate at each rate, so that all of them run under equal load. A call consists of INVITE, 200, ACK and BYE.
"""

import csv
import os
import sys
import tempfile

import processes
from daemon import Daemon
from kamailio import Kamailio
from model import World
from sipp import PORTS, SCENARIOS, Answering, options
from traffic import Traffic

HERE = os.path.dirname(os.path.abspath(__file__))
VARIANTS = {"static": os.path.join(HERE, "static.cfg"), "http": "http.cfg", "redirect": "redirect.cfg"}


class Bench:
    def __init__(self, program, folder, ports, seconds):
        self.folder, self.ports, self.seconds, self.runs = folder, ports, seconds, 0
        world = World(seed="bench")
        agent, trunk = (Answering(ports, folder, name, logs=False) for name in ["agent", "trunk"])
        api, sip = ports.take(), ports.take()
        self.daemon = Daemon(program, folder, api, ["--sip-listen", f"127.0.0.1:{sip}"])
        self.daemon.set_up(world, {one.name: f"sip:agent@127.0.0.1:{agent.port}" for one in world.inbound})
        self.kamailios, self.outside, self.answered = {}, {}, dict.fromkeys(VARIANTS, 0)
        for variant, config in VARIANTS.items():
            inside, self.outside[variant] = ports.take(), ports.take()
            site = {
                "OUTSIDE": f"udp:127.0.0.1:{self.outside[variant]}",
                "INSIDE": f"udp:127.0.0.1:{inside}",
                "INSIDE_PORT": str(inside),
                "TRUNK": f'"sip:127.0.0.1:{trunk.port}"',
                "DEFAULT_ROUTE": f'"sip:reception@127.0.0.1:{agent.port}"',
                "DIALBACK_SIP": f'"sip:127.0.0.1:{sip}"',
                "DIALBACK_API": f'"http://127.0.0.1:{api}/api/v1"',
                "DIALBACK_CONNECTION": f'"dialback=>http://gateway:{self.daemon.gateway}@127.0.0.1:{api}/api/v1"',
                "DIALBACK_TOKEN": f'"{self.daemon.gateway}"',
            }
            # Transactions stay in memory for seconds after their end, which adds up at thousands a second.
            self.kamailios[variant] = Kamailio(config, f"{folder}/{variant}", site, children=8, memory=1024)
        self.calls = self.known(world, inside)

    def known(self, world, inside):
        """Records calls to a thousand contacts, so that each of them is routed to an agent."""
        calls = Traffic(world).outbound(1000)
        lines = [
            f'{{"agent_id":"{call.source.id}","from":"{call.number_of_ours}","to":"{call.number}","started_at":"2026-01-01T00:00:00Z","status":"busy"}}'
            for call in calls
            if call.number_of_ours != world.numbers[-1]
        ]
        status, text = self.daemon.send_text("POST", "/calls/bulk", "\n".join(lines), self.daemon.gateway)
        assert status == 200 and '"rejected":0' in text, text
        return [(call.number_of_ours, call.number) for call in calls if call.number_of_ours != world.numbers[-1]]

    def is_sustained(self, variant, rate):
        self.runs += 1
        name = f"run-{self.runs}"
        count = rate * self.seconds
        with open(f"{self.folder}/{name}.csv", "w") as file:
            file.write("SEQUENTIAL\n")
            for n, (number, contact) in enumerate(self.calls):
                file.write(f"{n};{number};{contact}@trunk;X-Nothing: 1;X-Nothing: 1\n")
        command = ["sipp", f"127.0.0.1:{self.outside[variant]}", "-sf", f"{SCENARIOS}/caller.xml", "-inf", f"{self.folder}/{name}.csv"]
        command += ["-m", str(count), "-r", str(rate), "-l", "20000", "-timeout", f"{self.seconds * 3 + 20}s", "-timeout_error"]
        command += ["-trace_stat", "-stf", f"{self.folder}/{name}.stat", "-fd", "1", *options(self.folder, name, self.ports.take(PORTS), logs=False)]
        cpu = self.cpu(variant)
        process = processes.start(command, f"{self.folder}/{name}.out")
        code = process.wait(self.seconds * 3 + 40)
        processes.running.remove(process)
        with open(f"{self.folder}/{name}.stat") as file:
            last = list(csv.DictReader(file, delimiter=";"))[-1]
        elapsed = sum(float(part) * unit for part, unit in zip(last["ElapsedTime(C)"].split(":"), [3600, 60, 1]))
        clean = code == 0 and int(last["FailedCall(C)"]) == 0 and int(last["Retransmissions(C)"]) == 0
        # A call takes about 50 ms. A much later one means that the gateway did not keep up.
        self.answered[variant] += int(last["SuccessfulCall(C)"])
        clean = clean and int(last["SuccessfulCall(C)"]) == count and elapsed < self.seconds * 1.1 + 0.5
        used = {who: (now - cpu[who]) * 1e6 / count for who, now in self.cpu(variant).items()}
        return clean, used

    def cpu(self, variant):
        """Returns the processor time so far, in seconds."""
        return {"kamailio": processes.cpu(self.kamailios[variant].process.pid), "dialback": processes.cpu(self.daemon.process.pid)}

    def run(self, rates):
        best, used = dict.fromkeys(VARIANTS, 0), {}
        going = list(VARIANTS)
        print(f"{'calls/s':>8}  " + "  ".join(f"{variant:>28}" for variant in VARIANTS), flush=True)
        for turn, rate in enumerate(rates):
            shown = {}
            for variant in going[turn % len(going):] + going[: turn % len(going)] if going else []:
                clean, cost = self.is_sustained(variant, rate)
                if not clean:
                    clean, cost = self.is_sustained(variant, rate)
                shown[variant] = f"{'kept' if clean else 'lost'} ({cost['kamailio']:.0f} + {cost['dialback']:.0f} µs)"
                if clean:
                    best[variant], used[variant] = rate, cost
                else:
                    going.remove(variant)
            if not shown:
                break
            print(f"{rate:8}  " + "  ".join(f"{shown.get(variant, ''):>28}" for variant in VARIANTS), flush=True)
        print("\nIn brackets: processor time of Kamailio and of Dialback, a call.\n")
        for variant, rate in best.items():
            ratio = f"{rate / best['static']:.2f}" if best["static"] else "-"
            print(f"{variant:>8}: {rate} calls/s, {ratio} of the static route")
        # A low rate is never a failure, because the machine may be too busy.
        assert all(self.answered.values()), "a variant answers no calls"


def main():
    program, first_port, *more = sys.argv[1:]
    seconds, first, step, last = [int(value) for value in more] + [5, 500, 250, 4000][len(more):]
    with tempfile.TemporaryDirectory(prefix="dialback-gateways-") as folder:
        try:
            Bench(program, folder, processes.Ports(int(first_port)), seconds).run(range(first, last + 1, step))
        finally:
            processes.end_all()


if __name__ == "__main__":
    main()
