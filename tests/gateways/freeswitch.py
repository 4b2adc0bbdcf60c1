"""A simulation of FreeSWITCH: executes the dial plan of examples/freeswitch and sends what mod_curl would. Written from mod_curl.c of 1.10 (how it
reads its arguments, what it sends, what it sets) and from the documentation of the XML dialplan; it is not FreeSWITCH."""

import os
import re
import shlex
import time
import xml.etree.ElementTree as xml
from urllib.parse import quote, unquote

from curl import fetch
from expand import expand

EXAMPLES = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../examples/freeswitch"))


class FreeSwitch:
    def __init__(self, site):
        known = {}
        for line in xml.parse(f"{EXAMPLES}/vars.xml").getroot():
            name, value = line.get("data").split("=", 1)
            known[name] = value
        assert set(site) <= set(known), f"vars.xml does not know {set(site) - set(known)}"
        self.site = known | site
        public = xml.parse(f"{EXAMPLES}/public.xml").getroot()
        self.contexts = {"public": list(public)}
        for context in xml.parse(f"{EXAMPLES}/dialback.xml").getroot():
            self.contexts[context.get("name")] = list(context)

    def call(self, context, dialed, caller, headers=(), fails=()):
        """Returns the result of a call: the bridged addresses in order, and the status with which it is rejected. Bridges to `fails` fail."""
        channel = {"destination_number": dialed, "caller_id_number": caller, **{f"sip_h_{k}": v for k, v in headers}}
        done, self.fails = [], fails
        while context:
            actions = self.collect(context, channel)
            context = None
            for application, data in actions:
                data = self.expanded(data, channel)
                if application == "transfer":
                    channel["destination_number"], _, context = data.split(" ")
                    break
                if self.act(application, data, channel, done):
                    break
        return done

    def collect(self, context, channel):
        """Returns the actions of the matching extensions. All conditions are evaluated before the first action runs."""
        actions = []
        for extension in self.contexts[context]:
            group = None
            for condition in extension:
                field = condition.get("field")
                field = self.expanded(field, channel) if "$" in field else channel.get(field, "")
                group = re.search(condition.get("expression"), field)
                if not group:
                    break
                taken = [(action.get("application"), action.get("data")) for action in condition]
                actions += [(app, re.sub(r"\$(\d)", lambda n: group[int(n[1])], data)) for app, data in taken]
            if group and extension.get("continue") != "true":
                break
        return actions

    def act(self, application, data, channel, done):
        """Runs an action, and returns whether it ended the call."""
        match application:
            case "set":
                name, value = data.split("=", 1)
                channel[name] = value
            case "curl":
                self.curl(data, channel)
            case "bridge":
                done.append(data)
                return data not in self.fails or "continue_on_fail" not in channel
            case "respond":
                done.append(data)
                return True
            case _:
                raise AssertionError(f"the stand-in does not know {application}")
        return False

    def curl(self, data, channel):
        words = shlex.split(data.replace('"', '\\"'))
        assert len(words) <= 10, "mod_curl reads ten words and no more"
        url, words, method, body, headers = words[0], words[1:], "GET", None, []
        while words:
            match words.pop(0):
                case "get":
                    method = "GET"
                case "post":
                    method, body = "POST", unquote(words.pop(0))
                case "append_headers":
                    headers.append(words.pop(0))
                case "content-type":
                    headers.append(f"Content-Type: {words.pop(0)}")
                case word:
                    raise AssertionError(f"mod_curl does not know {word}")
        timeout = int(channel["curl_timeout"])
        code, text = fetch(url, method, headers, body, "freeswitch-curl/1.0", timeout)
        channel["curl_response_code"], channel["curl_response_data"] = str(code), text

    def expanded(self, text, channel):
        text = re.sub(r"\$\$\{(\w+)\}", lambda found: self.site[found[1]], text)

        def value(name):
            function, bracket, argument = name.partition("(")
            if not bracket:
                return channel.get(name, "")
            argument = argument.removesuffix(")")
            match function:
                case "url_encode":
                    return quote(argument, safe="")
                case "strftime_tz":
                    zone, form = argument.split(" ", 1)
                    assert zone == "UTC"
                    return time.strftime(form, time.gmtime())
            raise AssertionError(f"the stand-in does not know {function}")

        return expand(text, value)
