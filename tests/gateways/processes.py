"""Starts programs, and always ends them by their process ids."""

import atexit
import os
import signal
import subprocess
import time

running = []


def start(command, log, **more):
    with open(log, "ab") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **more)
    process.log = log
    running.append(process)
    return process


def end(process, kind=signal.SIGTERM, patience=5):
    if process.poll() is None:
        process.send_signal(kind)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process in running:
        running.remove(process)


def end_all():
    for process in list(reversed(running)):
        end(process, patience=3)


def until(holds, what, patience=20, process=None):
    """Waits until a condition holds, and fails at once if the process that must bring it about has ended."""
    deadline = time.monotonic() + patience
    while not holds():
        assert process is None or process.poll() is None, f"{what} has ended ({process.returncode}):\n{said(process)}"
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def said(process):
    """The last that a process wrote."""
    with open(process.log, errors="replace") as log:
        return log.read()[-2000:]


def bound():
    """The local ports in use. A probe that binds a port would be in the way of the program that is waited for."""
    ports = set()
    for table in ["tcp", "tcp6", "udp", "udp6"]:
        if os.path.exists(f"/proc/net/{table}"):
            with open(f"/proc/net/{table}") as file:
                ports.update(int(line.split()[1].rsplit(":", 1)[1], 16) for line in list(file)[1:])
    return ports


def cpu(pid):
    """Returns the processor time of a process and its children so far, in seconds."""
    seconds = 0
    with open(f"/proc/{pid}/stat") as file:
        seconds += sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return seconds + sum(cpu(int(child)) for child in file.read().split())


class Ports:
    """Returns free ports one after another, from a given one on."""

    def __init__(self, first):
        self.next = first

    def take(self, count=1):
        """Takes so many neighbouring ports, and returns the first."""
        in_use = bound()
        while not in_use.isdisjoint(range(self.next, self.next + count)):
            self.next += 1
        self.next += count
        return self.next - count


def interrupted(number, _frame):
    raise SystemExit(128 + number)


atexit.register(end_all)
for number in [signal.SIGTERM, signal.SIGHUP]:
    signal.signal(number, interrupted)
os.environ.setdefault("TERM", "xterm")
