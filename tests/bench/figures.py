"""What the measurements share: the running quickstart's environment, rows, load, a second agent."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

PROGRAMS = pathlib.Path(sys.argv[1])
LOAD_SECONDS = 5
READY_SECONDS = 120

env = os.environ


def run(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, text=True,
                          stdout=subprocess.PIPE, **options).stdout


def row(what, value, beside=""):
    print(f"{what:<46} {value:>14}  {beside}", flush=True)


def load(port, connections, repository=None):
    return json.loads(run(PROGRAMS / "bench-load", port, env["GITHUB_SECRET_FILE"],
                          repository or env["REPOSITORY"], connections, LOAD_SECONDS))


def tell(address, commit):
    """A signed push of that commit."""
    told = subprocess.run([env["CRONWRIGHT"], "sign", "--secret-file", env["GITHUB_SECRET_FILE"], "--repository",
                           env["REPOSITORY"], "--branch", "main", "--commit", commit, f"{address}/webhooks/github"],
                          text=True, capture_output=True)
    if told.returncode != 0:
        sys.exit(f"the push was not accepted: {told.stderr}")


def memory_row(what, pid):
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB", rollup, re.M)}
    row(what, f"{kib['Rss'] / 1024:.1f} MB",
        f"{kib['Private_Dirty'] / 1024:.1f} MB of it private; of the rest, pages of programs and libraries, nobody else "
        f"uses {kib['Private_Clean'] / 1024:.1f} MB now")


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False


class SecondAgent:
    """Beside the quickstart's, with its settings but for a state directory of its own and `changes`."""

    def __init__(self, state, **changes):
        config = json.loads(run("/usr/bin/python3", "-c", "import json, sys, yaml; "
                                "print(json.dumps(yaml.safe_load(open(sys.argv[1]))))", env["CONFIG"]))
        for path, value in {"stateDirectory": f"{state}/state", **changes}.items():
            *groups, key = path.split("__")
            place = config
            for group in groups:
                place = place.setdefault(group, {})
            place[key] = value
        self.config = pathlib.Path(state) / "cronwright.yaml"
        self.config.write_text(json.dumps(config))
        self.log = pathlib.Path(state) / "log"

    def start(self):
        """How long it took until it was ready."""
        began = time.monotonic()
        with self.log.open("w") as log:
            self.process = subprocess.Popen([env["CRONWRIGHT"], "agent", "--config", self.config], stderr=log)
        self.webhooks = self.admin = None
        while not (self.admin and answers(f"http://{self.admin}/readyz")):
            found = re.search(r"webhooks=(\S+) admin=(\S+)", self.log.read_text())
            if found:
                self.webhooks, self.admin = found.groups()
            if time.monotonic() - began > READY_SECONDS:
                sys.exit(f"the second agent is not ready within {READY_SECONDS} s:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.001)
        return time.monotonic() - began

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def get(self, path):
        token = pathlib.Path(env["CRONWRIGHT_TOKEN_FILE"]).read_text().strip()
        request = urllib.request.Request(f"http://{self.admin}{path}", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


@contextlib.contextmanager
def second_agent(**changes):
    with tempfile.TemporaryDirectory(dir=env["STATE_DIR"]) as state:
        agent = SecondAgent(state, **changes)
        try:
            yield agent
        finally:
            if hasattr(agent, "process"):
                agent.stop()
