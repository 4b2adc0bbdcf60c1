"""A receiver of webhooks: checks the signature of each message, and prints its type and its data.

receiver.py FILE PORT

FILE is the answer to the request that created the webhook, with its secret; it is read for each message. Needs PyPI's
`standardwebhooks`. A real receiver also remembers the header `webhook-id`, because a message can come twice.
"""

import http.server
import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open(sys.argv[1]) as file:
            secret = json.load(file)["data"]["secret"]
        try:
            message = Webhook(secret).verify(body, dict(self.headers))
        except WebhookVerificationError as error:
            print("not signed by the webhook:", error, flush=True)
            self.send_response(401)
        else:
            print("signed:", message["type"], json.dumps(message["data"]), flush=True)
            self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Receiver).serve_forever()
