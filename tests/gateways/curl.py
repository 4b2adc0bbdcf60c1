"""Sends requests like libcurl in a gateway: with its own headers, and with the code 0 if there is no answer."""

import http.client
from urllib.parse import urlsplit


def fetch(url, method, headers, body=None, agent="", timeout=1):
    parts = urlsplit(url)
    sent = {"User-Agent": agent, "Accept": "*/*"} if agent else {"Accept": "*/*"}
    if body is not None:
        sent["Content-Type"] = "application/x-www-form-urlencoded"
    for header in headers:
        name, value = header.split(":", 1)
        sent[name] = value.strip()
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, sent)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()
