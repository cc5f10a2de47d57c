"""Ten thousand services: how long a start takes, how large the agent gets, what a list and a webhook cost,
beside the same with ten."""

import base64
import concurrent.futures
import http.client
import json
import os
import pathlib
import ssl
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse

from figures import env, load, memory_row, row, run, second_agent

MANY = int(os.environ.get("BENCH_SERVICES", 10000))
FEW = 10
LISTS = 5
CONNECTIONS = 8
REPOSITORY = "https://git.example/bench/service-%d"


class Api:
    """The cluster's API as its administrator, a connection for each thread."""

    def __init__(self, directory):
        view = json.loads(run(env["KUBECTL"], "config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        self.server = urllib.parse.urlsplit(view["clusters"][0]["cluster"]["server"])
        authority = base64.b64decode(view["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
        self.context = ssl.create_default_context(cadata=authority)
        user = view["users"][0]["user"]
        self.token = user.get("token")
        if "client-certificate-data" in user:
            pair = [pathlib.Path(directory) / key for key in ("client-certificate-data", "client-key-data")]
            for path in pair:
                path.write_bytes(base64.b64decode(user[path.name]))
            self.context.load_cert_chain(*pair)
        self.local = threading.local()

    def send(self, method, path, body=None):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPSConnection(self.server.hostname, self.server.port or 443,
                                                                timeout=60, context=self.context)
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        self.local.connection.request(method, path, body and json.dumps(body), headers)
        answer = self.local.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            sys.exit(f"{method} {path}: {answer.status} {text[:300]}")


def service(number):
    container = {"name": "job", "image": f"registry.example/bench/service-{number}:1",
                 "env": [{"name": f"SETTING_{i}", "value": "a value of the usual length"} for i in range(5)],
                 "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}
    return {"metadata": {"name": f"service-{number}", "labels": {"cronwright.io/managed": "true"},
                         "annotations": {"cronwright.io/repository": REPOSITORY % number,
                                         "cronwright.io/branch": "main"}},
            "spec": {"schedule": "0 3 * * *", "timeZone": "Europe/Berlin", "suspend": True,
                     "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never",
                                                                    "containers": [container]}}}}}}


def make(api, namespace, count, service=service):
    api.send("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    path = f"/apis/batch/v1/namespaces/{namespace}/cronjobs"
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda number: api.send("POST", path, service(number)), range(count)))


def list_time(agent, count):
    took = []
    for _ in range(LISTS):
        began = time.monotonic()
        found = len(agent.get("/v1/services")["services"])
        took.append(time.monotonic() - began)
        if found != count:
            sys.exit(f"{found} services are listed instead of {count}")
    return statistics.median(took)


def measure_with(namespace, count):
    """Of an agent that sees that many services: pushes accepted per second on 64 connections."""
    # A sweep would ask for every repository, and there are none.
    with second_agent(kubernetes__namespaces=[namespace], sweep__interval="24h", allow=[]) as agent:
        ready = agent.start()
        row(f"start to ready, {count} services", f"{ready * 1000:.0f} ms")
        memory_row(f"memory, {count} services", agent.process.pid)
        row(f"list of services, {count} services", f"{list_time(agent, count) * 1000:.1f} ms",
            f"median of {LISTS}")
        memory_row(f"memory after the lists, {count} services", agent.process.pid)
        accepted = load(agent.webhooks.rsplit(":", 1)[1], 64, REPOSITORY % 0)
        row(f"accepted pushes, {count} services", f"{accepted['perSecond']:.0f}/s",
            f"p50 {accepted['p50Ms']:.2f} ms, p99 {accepted['p99Ms']:.2f} ms")
        return accepted["perSecond"]


def measure():
    with tempfile.TemporaryDirectory() as directory:
        api = Api(directory)
    names = {f"cronwright-bench-{count}": count for count in (FEW, MANY)}
    try:
        for namespace, count in names.items():
            make(api, namespace, count)
        few, many = (measure_with(namespace, count) for namespace, count in names.items())
        row("webhook rate with many services", f"{many / few:.2f}", f"of that with {FEW}")
    finally:
        api.local = threading.local()  # connections that nobody used for so long are closed by now
        for namespace in names:
            api.send("DELETE", f"/api/v1/namespaces/{namespace}")
