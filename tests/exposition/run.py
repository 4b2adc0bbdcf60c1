"""Starts a daemon, sends it some requests, and parses its metrics with Prometheus' Python parsers."""

import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_plain

OPEN = "application/openmetrics-text; version=1.0.0"


def page(url, accept):
    request = urllib.request.Request(url + "/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def samples(families):
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}


def start(program, data):
    daemon = subprocess.Popen([program, "serve", "--listen", "127.0.0.1:0", "--data", data], stderr=subprocess.DEVNULL)
    contact = Path(data) / "daemon.json"
    for _ in range(600):
        if daemon.poll() is not None:
            raise SystemExit("the daemon does not start")
        try:
            return daemon, json.loads(contact.read_text())["url"]
        except (OSError, ValueError):
            time.sleep(0.1)
    raise SystemExit("the daemon takes too long")


def check(url):
    for path in ["/health", "/api/v1/agents", "/nothing", "/health/live"]:
        try:
            urllib.request.urlopen(url + path, timeout=30).read()
        except urllib.error.HTTPError:
            pass
    kind, plain = page(url, "text/plain")
    assert kind.startswith("text/plain; version=0.0.4"), kind
    families = list(read_plain(plain))
    assert len(families) > 15, len(families)
    untyped = [family.name for family in families if family.type == "unknown"]
    assert not untyped, f"samples without a type: {untyped}"
    undocumented = [family.name for family in families if not family.documentation]
    assert not undocumented, undocumented
    kind, text = page(url, OPEN)
    assert kind.startswith("application/openmetrics-text; version=1.0.0"), kind
    opened = samples(read_open(text))
    constant = {name for name in opened if "http_re" not in name[0]}
    assert constant and constant == {name for name in samples(families) if "http_re" not in name[0]}
    asked = opened[("dialback_http_requests_total", (("method", "GET"), ("route", "-"), ("status", "404")))]
    assert asked == 1.0, asked
    return text, len(opened)


def must_refuse(text, what):
    try:
        list(read_open(text))
    except ValueError:
        return
    raise SystemExit(f"a page with {what} was read")


with tempfile.TemporaryDirectory() as data:
    daemon, url = start(sys.argv[1], data)
    try:
        text, count = check(url)
    finally:
        daemon.terminate()
        daemon.wait(30)
must_refuse(text.replace("# EOF\n", ""), "no end")
must_refuse(text.replace("dialback_pairs 0", "dialback_pairs zero"), "a word for a number")
must_refuse(text.replace("dialback_decisions_total{", "dialback_decisions{"), "a counter without _total")
print(f"both formats are read: {count} samples; three wrong pages are refused")
