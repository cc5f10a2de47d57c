"""Measures a running quickstart (its env is in the environment) and prints one table.

Every figure of the agent stands beside one of the machine, taken in the same run.
"""

import json
import pathlib
import re
import statistics
import subprocess
import sys
import time

import many
from figures import PROGRAMS, env, load, memory_row, row, run, second_agent

PUSHES = 3
STARTS = 5
DEADLINE = 120


def pushes_accepted():
    agent_port = env["WEBHOOK_URL"].rsplit(":", 1)[1]
    syncs = float(run(PROGRAMS / "bench-disk", env["STATE_DIR"], 2))
    row("fdatasync of 4 KiB", f"{syncs:.0f}/s")
    bare = subprocess.Popen([PROGRAMS / "bench-bare"], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    bare_port = bare.stdout.readline().strip()
    for connections in (1, 64):
        floor, agent = load(bare_port, connections), load(agent_port, connections)
        row(f"bare handler with HMAC, {connections} connections", f"{floor['perSecond']:.0f}/s",
            f"p50 {floor['p50Ms']:.2f} ms, p99 {floor['p99Ms']:.2f} ms")
        row(f"accepted pushes, {connections} connections", f"{agent['perSecond']:.0f}/s",
            f"p50 {agent['p50Ms']:.2f} ms, p99 {agent['p99Ms']:.2f} ms; "
            f"{agent['perSecond'] / floor['perSecond']:.2f} of bare, "
            f"{agent['perSecond'] / syncs:.1f} per fdatasync")
    bare.stdin.close()
    bare.wait(10)


def start_once():
    with second_agent() as agent:
        return agent.start()


def ready_time():
    took = [start_once() for _ in range(STARTS)]
    row("start to ready", f"{statistics.median(took) * 1000:.0f} ms", "median of 5")


def git(*arguments):
    return run("git", "-C", env["REPOSITORY_DIR"], *arguments).strip()


def push(number):
    script = pathlib.Path(env["REPOSITORY_DIR"]) / "report.sh"
    script.write_text(re.sub("edition .*", f'edition bench {number}"', script.read_text()))
    git("commit", "-qam", f"Bench {number}")
    git("push", "-q")
    commit = git("rev-parse", "HEAD")
    began = time.monotonic()
    run(env["CRONWRIGHT"], "sign", "--secret-file", env["GITHUB_SECRET_FILE"], "--repository",
        env["REPOSITORY"], "--branch", "main", "--commit", commit,
        f"{env['WEBHOOK_URL']}/webhooks/github")
    while time.monotonic() - began < DEADLINE:
        builds = json.loads(run(env["CRONWRIGHT"], "builds", "-o", "json"))["builds"]
        build = next((build for build in builds if build["commit"] == commit), None)
        if build and build["state"] == "done":
            return time.monotonic() - began, build
        if build and build["state"] == "failed":
            sys.exit(f"the build failed: {build['reason']}: {build['detail']}")
        time.sleep(0.05)
    sys.exit(f"not patched within {DEADLINE} s")


def push_to_patched():
    results = [push(number) for number in range(PUSHES)]
    row("push to patched", f"{statistics.median(took for took, _ in results):.2f} s",
        f"median of {PUSHES}, of which:")
    for step in ("fetch", "context", "kaniko", "patch"):
        seconds = statistics.median(build[f"{step}Seconds"] for _, build in results)
        row(f"  {step}", f"{seconds:.3f} s")


memory_row("memory when idle", env["AGENT_PID"])
ready_time()
push_to_patched()
pushes_accepted()
memory_row("memory after the load", env["AGENT_PID"])
many.measure()
