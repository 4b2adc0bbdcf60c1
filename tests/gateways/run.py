"""Sends calls through independent gateways, and compares the agent that each call reaches with a model of the rule.

run.py DIALBACK FIRST_PORT KAMAILIO_CONFIG…
"""

import sys
import tempfile
import time

import processes
from campaign import Campaign


def main():
    program, first_port, *configs = sys.argv[1:]
    begun = time.monotonic()
    for config in configs:
        with tempfile.TemporaryDirectory(prefix="dialback-gateways-") as folder:
            try:
                Campaign(program, folder, processes.Ports(int(first_port)), config).run()
            finally:
                processes.end_all()
    print(f"each call reached the agent that the model predicts, with {', '.join(configs)} ({time.monotonic() - begun:.0f} s)")


if __name__ == "__main__":
    main()
