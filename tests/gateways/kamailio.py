"""Runs Kamailio with the unchanged files of examples/kamailio; only the settings of site.cfg differ."""

import os
import re
import subprocess

import processes

EXAMPLES = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../examples/kamailio"))
DEFINE = re.compile(r"^#!define (\w+) (.*)$", re.M)


class Kamailio:
    def __init__(self, config, folder, site, children=4, memory=64):
        self.folder, self.log = folder, f"{folder}/kamailio.log"
        os.makedirs(folder, exist_ok=True)
        text = open(f"{EXAMPLES}/site.cfg").read()
        known = {name for name, _ in DEFINE.findall(text)}
        assert set(site) <= known, f"site.cfg does not know {set(site) - known}"
        with open(f"{folder}/site.cfg", "w") as file:
            file.write(DEFINE.sub(lambda found: f"#!define {found[1]} {site.get(found[1], found[2])}", text))
        # Kamailio searches the working directory first for included files.
        self.command = ["kamailio", "-f", os.path.join(EXAMPLES, config), "-w", folder, "-Y", folder, "-m", str(memory), "-M", "8"]
        checked = subprocess.run(self.command + ["-c"], cwd=folder, capture_output=True, text=True)
        assert checked.returncode == 0 and "CRITICAL" not in checked.stderr, checked.stderr
        self.process = processes.start(self.command + ["-DD", "-E", "-n", str(children)], self.log, cwd=folder)
        port = int(site["INSIDE_PORT"])
        processes.until(lambda: port in processes.bound(), "Kamailio", process=self.process)

    def end(self):
        processes.end(self.process, patience=10)
        said = open(self.log).read()
        for bad in ["Dialback refused", "CRITICAL:", "BUG:"]:
            assert bad not in said, [line for line in said.splitlines() if bad in line][:3]
