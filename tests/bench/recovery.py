"""Ten thousand deliveries wait for their end when the agent is killed: how long the next one takes until it is ready,
and until all of them are final. Beside it a start of the same agent with nothing to do, and Git's own look at the head."""

import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

from figures import PROGRAMS, env, row, run, second_agent, tell

UNFINISHED = 10000
CONNECTIONS = 64
DEADLINE = 120
# Waits while there is a file that says so: no head is told, and no delivery ends.
HELD_HELPER = """#!/bin/sh
while [ -e {hold} ]; do sleep 0.05; done
exec {helper}
"""


def pending(agent):
    """How many wait, by the agent's own metric."""
    token = pathlib.Path(env["CRONWRIGHT_TOKEN_FILE"]).read_text().strip()
    request = urllib.request.Request(f"http://{agent.admin}/metrics", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return int(float(re.search(r"^cronwright_deliveries_pending (\S+)$", answer.read().decode(), re.M).group(1)))


def await_final(agent):
    deadline = time.monotonic() + DEADLINE
    while left := pending(agent):
        if time.monotonic() > deadline:
            sys.exit(f"{left} deliveries are not final within {DEADLINE} s:\n{agent.log.read_text()[-2000:]}")
        time.sleep(0.005)


def push_again(agent):
    """The head, which is live already, so that nothing is left to be built."""
    commit = run("git", "-C", env["REPOSITORY_DIR"], "rev-parse", "HEAD").strip()
    tell(f"http://{agent.webhooks}", commit)
    await_final(agent)


def pile_up(agent):
    port = agent.webhooks.rsplit(":", 1)[1]
    while pending(agent) < UNFINISHED:
        run(PROGRAMS / "bench-load", port, env["GITHUB_SECRET_FILE"], env["REPOSITORY"], CONNECTIONS, 1)
    return pending(agent)


def look_at_head():
    began = time.monotonic()
    subprocess.run(["git", "ls-remote", env["REPOSITORY"], "refs/heads/main"], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def measure():
    with tempfile.TemporaryDirectory() as directory:
        hold, helper = pathlib.Path(directory) / "hold", pathlib.Path(directory) / "cronwright-git"
        own = pathlib.Path(env["CRONWRIGHT"]).parents[1] / "build/cronwright-git"
        helper.write_text(HELD_HELPER.format(hold=hold, helper=own))
        helper.chmod(0o755)
        with second_agent(git__helper=str(helper)) as agent:
            agent.start()
            push_again(agent)
            agent.stop()
            idle = agent.start()
            hold.touch()
            count = pile_up(agent)
            agent.process.kill()
            agent.process.wait()
            hold.unlink()
            began = time.monotonic()
            ready = agent.start()
            await_final(agent)
            final = time.monotonic() - began
    row(f"killed with {count} unfinished: to ready", f"{ready * 1000:.0f} ms",
        f"{ready / idle:.1f} times a start with nothing to do ({idle * 1000:.0f} ms)")
    row("  to all of them final", f"{final * 1000:.0f} ms",
        f"Git's own look at the head takes {look_at_head() * 1000:.0f} ms; "
        f"{count / max(final, 0.001):.0f} deliveries per second")
