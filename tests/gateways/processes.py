"""Starts programs, and always ends them by their process ids."""

import atexit
import os
import signal
import socket
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


def until(holds, what, patience=20):
    """Waits until a condition holds."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def is_bound(port, kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


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

    def take(self):
        while is_bound(self.next) or is_bound(self.next, socket.SOCK_STREAM):
            self.next += 1
        self.next += 1
        return self.next - 1


def interrupted(number, _frame):
    raise SystemExit(128 + number)


atexit.register(end_all)
for number in [signal.SIGTERM, signal.SIGHUP]:
    signal.signal(number, interrupted)
os.environ.setdefault("TERM", "xterm")
