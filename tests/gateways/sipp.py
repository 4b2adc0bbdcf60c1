"""SIPp as answering agents and as callers."""

import os
import signal
import time
from dataclasses import dataclass, field

import processes

SCENARIOS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sipp")


def moment(text):
    """SIPp writes the date, the time and the seconds since 1970, separated by tabs."""
    return float(text.split("\t")[-1])


# A header without meaning, for calls without additional headers.
NOTHING = "X-Nothing: 1"


@dataclass
class Call:
    """A call to place, and its result."""

    label: str
    number: str
    caller: str
    headers: tuple = (NOTHING, NOTHING)
    sent: float = None
    ended: str = None
    landings: list = field(default_factory=list)


# SIPp uses its port, a port for audio, and the second port after that for video. It needs all three from the start.
PORTS = 4


def options(folder, name, port, logs=True):
    files = ["-trace_logs", "-log_file", f"{folder}/{name}.calls"] if logs else []
    files += ["-trace_err", "-error_file", f"{folder}/{name}.errors"]
    return ["-i", "127.0.0.1", "-p", str(port), "-mp", str(port + 1), "-nostdin", "-buff_size", "4194304", *files]


class Answering:
    """An agent that answers calls on its own port."""

    def __init__(self, ports, folder, name, logs=True):
        self.name, self.port = name, ports.take(PORTS)
        self.log = f"{folder}/{name}.calls"
        command = ["sipp", "-sf", f"{SCENARIOS}/agent.xml", *options(folder, name, self.port, logs)]
        self.process = processes.start(command, f"{folder}/{name}.out")
        self.read, self.got, self.has_left = 0, {}, False
        processes.until(lambda: self.port in processes.bound(), f"SIPp on {self.port}", process=self.process)

    def leave(self):
        processes.end(self.process)
        self.has_left = True

    def listen(self):
        """Reads the calls since the last time, with their times."""
        assert self.has_left or self.process.poll() is None, f"{self.name} has ended"
        if not os.path.exists(self.log):
            return
        with open(self.log, "rb") as file:
            file.seek(self.read)
            whole = file.read()
        whole = whole[: whole.rfind(b"\n") + 1]
        self.read += len(whole)
        for line in whole.decode().splitlines():
            if line.startswith("got "):
                _, label, at = line.split(" ", 2)
                self.got.setdefault(label, []).append(moment(at))


class Calling:
    """Places calls at a rate a second."""

    batch = 0

    def __init__(self, ports, folder, target, calls, rate):
        Calling.batch += 1
        self.calls, name = {call.label: call for call in calls}, f"calls-{Calling.batch}"
        self.log, self.errors = f"{folder}/{name}.calls", f"{folder}/{name}.errors"
        with open(f"{folder}/{name}.csv", "w") as file:
            file.write("SEQUENTIAL\n")
            file.writelines(f"{call.label};{call.number};{call.caller};{call.headers[0]};{call.headers[1]}\n" for call in calls)
        command = ["sipp", f"127.0.0.1:{target}", "-sf", f"{SCENARIOS}/caller.xml", "-inf", f"{folder}/{name}.csv"]
        command += ["-m", str(len(calls)), "-r", str(rate), "-l", "5000", "-timeout", "60s", "-timeout_error"]
        command += options(folder, name, ports.take(PORTS))
        self.process = processes.start(command, f"{folder}/{name}.out")

    def finish(self):
        """Waits for the last call, and fails if a call failed."""
        code = self.process.wait(90)
        processes.running.remove(self.process)
        errors = open(self.errors, errors="replace").read()[-3000:] if os.path.exists(self.errors) else ""
        assert code == 0, f"SIPp says that calls failed ({code})\n{errors}"
        for line in open(self.log, errors="replace"):
            what, label, rest = line.split(" ", 2)
            call = self.calls[label]
            if what == "sent":
                call.sent = moment(rest)
            else:
                call.ended = rest.strip()
        silent = [call.label for call in self.calls.values() if call.sent is None or call.ended is None]
        assert not silent, f"{len(silent)} calls of which nothing is known"


def collect(everybody, calls, patience=3):
    """Notes the agents that the calls reached."""
    deadline = time.monotonic() + patience
    while True:
        for answering in everybody:
            answering.listen()
        for call in calls:
            call.landings = [(one.name, at) for one in everybody for at in one.got.get(call.label, [])]
        if all(call.landings or call.ended == "refused" for call in calls) or time.monotonic() > deadline:
            return
        time.sleep(0.05)
