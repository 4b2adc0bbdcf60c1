"""A simulation of Asterisk: executes the dial plan of examples/asterisk and speaks FastAGI and HTTP like Asterisk. Written from the documentation of
AGI(), CURL() and CURLOPT() and from res_agi.c (which variables are sent, in which order, and how commands are answered); it is
not Asterisk itself."""

import os
import re
import socket
import time
from urllib.parse import quote, urlsplit

from curl import fetch
from expand import expand

EXAMPLES = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../examples/asterisk"))
STEP = re.compile(r"(?:exten => ([^,]+),1|same => n(?:\((\w+)\))?),(\w+)\((.*)\)$")


class Asterisk:
    def __init__(self, site):
        self.globals, self.contexts, context, extension = {}, {}, None, None
        for line in open(f"{EXAMPLES}/extensions.conf"):
            line = line.strip()
            if not line or line.startswith(";"):
                continue
            if line.startswith("["):
                context = line.strip("[]")
            elif context == "globals":
                name, value = line.split("=", 1)
                self.globals[name] = value
            else:
                start, label, application, arguments = STEP.match(line).groups()
                if start:
                    extension = self.contexts.setdefault(context, {}).setdefault(start, [])
                extension.append((label, application, arguments))
        assert set(site) <= set(self.globals), f"extensions.conf does not know {set(site) - set(self.globals)}"
        self.globals |= site

    def call(self, context, dialed, caller, presentation=0, status="ANSWER", headers=()):
        """Returns the result of a call: the dialed addresses in order, and the hangup cause. `status` is the result of each dial: one for
        all, or one for each address."""
        channel = {"EXTEN": dialed, "CALLERID(num)": caller, "pres": presentation, "headers": dict(headers), "curl": {"httpheader": []}}
        self.status, done = status, []
        (pattern,) = [name for name in self.contexts[context] if name != "h"]
        assert pattern == "_[+0-9]." and re.match(r"[+0-9].", dialed), "the extension matches"
        self.walk(self.contexts[context][pattern], channel, done)
        if "h" in self.contexts[context]:
            self.walk(self.contexts[context]["h"], channel | {"EXTEN": "h"}, done)
        return done

    def walk(self, steps, channel, done):
        place = 0
        while place < len(steps):
            _, application, arguments = steps[place]
            place += 1
            arguments = self.expanded(arguments, channel)
            match application:
                case "Set":
                    name, value = arguments.split("=", 1)
                    self.set(name, value, channel)
                case "GotoIf":
                    condition, label = re.fullmatch(r"\$\[(.*)\]\?(\w+)", arguments).groups()
                    left, right = re.fullmatch(r'"(.*)" = "(.*)"', condition).groups()
                    if left == right:
                        place = [step[0] for step in steps].index(label)
                case "AGI":
                    self.agi(*arguments.split(",")[:2], channel)
                case "Dial":
                    dialed, _ = arguments.split(",")
                    done.append(dialed)
                    channel["DIALSTATUS"] = self.status if isinstance(self.status, str) else self.status.get(dialed, "ANSWER")
                    if channel["DIALSTATUS"] == "ANSWER":
                        return
                case "Hangup":
                    done.append(f"hangup {arguments}".strip())
                    return
                case _:
                    raise AssertionError(f"the stand-in does not know {application}")

    def set(self, name, value, channel):
        if option := re.fullmatch(r"CURLOPT\((\w+)\)", name):
            # A header is added to the existing ones; any other option replaces its value.
            held = channel["curl"]
            held[option[1]] = held["httpheader"] + [value] if option[1] == "httpheader" else value
        else:
            channel[name] = value

    def agi(self, url, argument, channel):
        """Sends what res_agi.c sends first, then answers each command. If nothing listens, the dial plan continues."""
        parts = urlsplit(url)
        variables = {
            "network": "yes", "network_script": parts.path.lstrip("/"), "request": url, "channel": "PJSIP/trunk-00000001",
            "language": "en", "type": "PJSIP", "uniqueid": f"{time.time():.1f}", "version": "22.5.0",
            "callerid": channel["CALLERID(num)"] or "unknown", "calleridname": "unknown", "callingpres": channel["pres"],
            "callingani2": 0, "callington": 0, "callingtns": 0, "dnid": channel["EXTEN"], "rdnis": "unknown", "context": "from-trunk",
            "extension": channel["EXTEN"], "priority": 1, "enhanced": "0.0", "accountcode": "", "threadid": 139872345678912, "arg_1": argument,
        }
        try:
            with socket.create_connection((parts.hostname, parts.port or 4573), timeout=2) as connection:
                lines = connection.makefile("rw", encoding="utf-8", newline="\n")
                lines.write("".join(f"agi_{name}: {value}\n" for name, value in variables.items()) + "\n")
                lines.flush()
                for command in lines:
                    name, value = re.fullmatch(r'SET VARIABLE (\w+) "(.*)"\n', command).groups()
                    channel[name] = value
                    lines.write("200 result=1\n")
                    lines.flush()
            channel["AGISTATUS"] = "SUCCESS"
        except OSError:
            channel["AGISTATUS"] = "FAILURE"

    def expanded(self, text, channel):
        def value(name):
            if cut := re.fullmatch(r"(\w+):(\d+):(\d+)", name):
                return value(cut[1])[int(cut[2]) : int(cut[2]) + int(cut[3])]
            if name == "EPOCH":
                return str(int(time.time()))
            if name in channel:
                return str(channel[name])
            function, bracket, arguments = name.partition("(")
            if not bracket:
                return self.globals.get(name, "")
            arguments = arguments.removesuffix(")")
            match function:
                case "URIENCODE":
                    return quote(arguments, safe="")
                case "STRFTIME":
                    moment, zone, form = arguments.split(",")
                    assert zone == "UTC"
                    return time.strftime(form, time.gmtime(int(moment)))
                case "PJSIP_HEADER":
                    return channel["headers"].get(arguments.removeprefix("read,"), "")
                case "CURL":
                    url, comma, body = arguments.partition(",")
                    options = channel["curl"]
                    method, body = ("POST", body) if comma else ("GET", None)
                    return fetch(url, method, options["httpheader"], body, "asterisk-libcurl-agent/1.0", float(options["httptimeout"]))[1]
            raise AssertionError(f"the stand-in does not know {function}")

        return expand(text, value)
