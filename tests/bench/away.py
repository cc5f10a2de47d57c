"""Pushes accepted while the Kubernetes API server is away, beside the same agent's with it there."""

import json
import pathlib
import sys
import tempfile
import urllib.parse

from figures import answers, env, load, row, run, second_agent

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "main-job"))

from forwarders import Forwarder  # noqa: E402
from waiting import eventually  # noqa: E402

CONNECTIONS = 64


def kubeconfig_through(way, view, path):
    """As in `view`, but that the server is asked at the other end of `way`."""
    cluster = view["clusters"][0]["cluster"]
    host = urllib.parse.urlsplit(cluster["server"]).hostname
    cluster.update({"server": f"https://{way.address}", "tls-server-name": cluster.get("tls-server-name", host)})
    path.write_text(json.dumps(view))
    return str(path)


def measure():
    view = json.loads(run(env["KUBECTL"], "config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
    server = urllib.parse.urlsplit(view["clusters"][0]["cluster"]["server"])
    way = Forwarder(f"{server.hostname}:{server.port or 443}")
    with tempfile.TemporaryDirectory() as directory:
        path = kubeconfig_through(way, view, pathlib.Path(directory) / "kubeconfig")
        with second_agent(kubernetes__kubeconfig=path) as agent:
            agent.start()
            port = agent.webhooks.rsplit(":", 1)[1]
            there = load(port, CONNECTIONS)
            way.close()
            eventually(lambda: not answers(f"http://{agent.admin}/readyz"), "the agent misses Kubernetes", 60)
            away = load(port, CONNECTIONS)
            row(f"accepted pushes, API server away, {CONNECTIONS} conn.", f"{away['perSecond']:.0f}/s",
                f"p50 {away['p50Ms']:.2f} ms, p99 {away['p99Ms']:.2f} ms; {away['perSecond'] / there['perSecond']:.2f} of the "
                f"same with it there ({there['perSecond']:.0f}/s), {away['other']} refused")
