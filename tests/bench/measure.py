"""Measures a running quickstart (its env is in the environment) and prints one table.

Every figure of the agent stands beside one of the machine, taken in the same run.
"""

import contextlib
import json
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import agents
import away
import many
import recovery
import sweep
from figures import PROGRAMS, answers, env, load, memory_row, row, run, second_agent, tell

PUSHES = 3
STARTS = 5
DEADLINE = 120
BUILDS = "cronwright-builds"


@contextlib.contextmanager
def bare_handler():
    """The floor of what a listener on libmicrohttpd costs; its port."""
    bare = subprocess.Popen([PROGRAMS / "bench-bare"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield bare.stdout.readline().strip()
    bare.stdin.close()
    bare.wait(10)


@contextlib.contextmanager
def debian_webhook(directory):
    """Debian's webhook, which checks the same signature and then finds that there is nothing to do; its port."""
    match = lambda **rule: {"match": rule}
    hooks = pathlib.Path(directory) / "hooks.json"
    hooks.write_text(json.dumps([{
        "id": "github", "execute-command": "/bin/true", "trigger-rule-mismatch-http-response-code": 202,
        "trigger-rule": {"and": [
            match(type="payload-hmac-sha256", secret=pathlib.Path(env["GITHUB_SECRET_FILE"]).read_text().strip(),
                  parameter={"source": "header", "name": "X-Hub-Signature-256"}),
            match(type="value", value="refs/heads/none", parameter={"source": "payload", "name": "ref"})]}}]))
    hooks.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(["webhook", "-hooks", hooks, "-ip", "127.0.0.1", "-port", str(port), "-urlprefix",
                                "webhooks"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not answers(f"http://127.0.0.1:{port}/"):
        if process.poll() is not None:
            sys.exit("Debian's webhook does not start")
        time.sleep(0.01)
    yield str(port)
    process.terminate()
    process.wait(10)


def pushes_accepted():
    agent_port = env["WEBHOOK_URL"].rsplit(":", 1)[1]
    syncs = float(run(PROGRAMS / "bench-disk", env["STATE_DIR"], 2))
    row("fdatasync of 4 KiB", f"{syncs:.0f}/s")
    with bare_handler() as bare_port, tempfile.TemporaryDirectory() as directory, \
            debian_webhook(directory) as webhook_port:
        for connections in (1, 64):
            floor, peer, agent = (load(port, connections) for port in (bare_port, webhook_port, agent_port))
            for what, figures in (("bare handler with HMAC", floor), ("Debian's webhook with HMAC rule", peer)):
                row(f"{what}, {connections} connections", f"{figures['perSecond']:.0f}/s",
                    f"p50 {figures['p50Ms']:.2f} ms, p99 {figures['p99Ms']:.2f} ms")
            row(f"accepted pushes, {connections} connections", f"{agent['perSecond']:.0f}/s",
                f"p50 {agent['p50Ms']:.2f} ms ({agent['p50Ms'] * syncs / 1000:.1f} fdatasyncs), "
                f"p99 {agent['p99Ms']:.2f} ms; {agent['perSecond'] / floor['perSecond']:.2f} of bare, "
                f"{agent['perSecond'] / peer['perSecond']:.1f} of Debian's webhook, "
                f"{agent['perSecond'] / syncs:.1f} per fdatasync")


def start_once():
    with second_agent() as agent:
        return agent.start()


def ready_time():
    took = [start_once() for _ in range(STARTS)]
    row("start to ready", f"{statistics.median(took) * 1000:.0f} ms", "median of 5")


def git(*arguments):
    return run("git", "-C", env["REPOSITORY_DIR"], *arguments).strip()


def push(number, addresses=(env["WEBHOOK_URL"],)):
    script = pathlib.Path(env["REPOSITORY_DIR"]) / "report.sh"
    script.write_text(re.sub("edition .*", f'edition bench {number}"', script.read_text()))
    git("commit", "-qam", f"Bench {number}")
    git("push", "-q")
    commit = git("rev-parse", "HEAD")
    began = time.monotonic()
    for address in addresses:
        tell(address, commit)
    while time.monotonic() - began < DEADLINE:
        builds = json.loads(run(env["CRONWRIGHT"], "builds", "-o", "json"))["builds"]
        build = next((build for build in builds if build["commit"] == commit), None)
        if build and build["state"] == "done":
            return time.monotonic() - began, build
        if build and build["state"] == "failed":
            sys.exit(f"the build failed: {build['reason']}: {build['detail']}")
        time.sleep(0.05)
    sys.exit(f"not patched within {DEADLINE} s")


def kubectl(*arguments, **options):
    return run(env["KUBECTL"], "-n", BUILDS, *arguments, **options)


def same_job_by_hand(name):
    """How long the Job of a build takes when it is made again by kubectl, with the same context."""
    by_hand = f"by-hand-{name}"
    secret, job = (json.loads(kubectl("get", kind, name, "-o", "json")) for kind in ("secret", "job"))
    for made in (secret, job):
        made["metadata"] = {"name": by_hand}
    job["spec"].pop("selector")
    job["spec"]["template"]["metadata"] = {}
    text = json.dumps(job).replace(f'"secretName": "{name}"', f'"secretName": "{by_hand}"')
    began = time.monotonic()
    kubectl("create", "-f", "-", input=json.dumps(secret))
    kubectl("create", "-f", "-", input=text)
    kubectl("wait", "--for=condition=complete", f"--timeout={DEADLINE}s", f"job/{by_hand}")
    took = time.monotonic() - began
    kubectl("delete", f"job/{by_hand}", f"secret/{by_hand}")
    return took


def push_to_patched():
    results = [push(number) for number in range(PUSHES)]
    by_hand = statistics.median(same_job_by_hand(build["job"]) for _, build in results)
    took = statistics.median(took for took, _ in results)
    row("push to patched", f"{took:.2f} s", f"median of {PUSHES}, of which:")
    for step in ("fetch", "context", "kaniko", "patch"):
        seconds = statistics.median(build[f"{step}Seconds"] for _, build in results)
        row(f"  {step}", f"{seconds:.3f} s")
    row("the same Kaniko Jobs by kubectl", f"{by_hand:.2f} s", f"push to patched takes {took - by_hand:+.2f} s beside it")


def program_sizes():
    program = pathlib.Path(env["CRONWRIGHT"])
    for path in (program, program.parents[1] / "build/cronwright-git"):
        row(f"size of {path.name}", f"{path.stat().st_size / 1024:.0f} KiB")


program_sizes()
memory_row("memory when idle", env["AGENT_PID"])
ready_time()
push_to_patched()
agents.measure(lambda number, addresses: push(number, addresses)[0], env["WEBHOOK_URL"], PUSHES)
pushes_accepted()
memory_row("memory after the load", env["AGENT_PID"])
recovery.measure()
away.measure()
many.measure()
sweep.measure()
