"""The manifests' network policies, with a real firewall that enforces them."""

import os
import pathlib
import secrets
import signal
import subprocess

import pytest

import forges
from agents import FORGE_SECRETS, TOP
from places import report
from waiting import eventually

ENFORCE = TOP / "tests/in-cluster/enforce-policies"
SWITCH = pathlib.Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


class Pod:
    """One that tries to reach things, and listens on port 9999."""

    def __init__(self, cluster, namespace):
        self.cluster, self.namespace, self.name = cluster, namespace, f"network-{secrets.token_hex(3)}"
        cluster.create("pods", namespace, {
            "metadata": {"name": self.name},
            "spec": {"terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False,
                     "containers": [{"name": "main", "image": cluster.busybox_image,
                                     "command": ["/bin/busybox", "httpd", "-f", "-p", "9999", "-h", "/etc"]}]}})
        self.address = eventually(lambda: self.get()["status"].get("podIP"), f"pod {self.name} has an address", 60)
        eventually(lambda: self.reaches(self.address, 9999), f"pod {self.name} reaches itself", 60)

    def get(self):
        return self.cluster.get("pods", self.namespace, self.name)

    def reaches(self, host, port):
        """Whether a TCP connection comes about."""
        return subprocess.run([self.cluster.kubectl_program, "exec", "-n", self.namespace, self.name, "--", "/bin/busybox",
                               "nc", "-w", "5", host, str(port)], stdin=subprocess.DEVNULL,
                              capture_output=True).returncode == 0

    def remove(self):
        self.cluster.delete("pods", self.namespace, self.name)


@pytest.fixture(scope="module")
def pods(agent, cluster, new_place):
    """From where things are tried: a build, anywhere, and a namespace that may read metrics."""
    monitoring, elsewhere = new_place("monitoring"), new_place("elsewhere")
    cluster.kubectl("label", "namespace", monitoring.namespace, "cronwright.io/metrics=true")
    found = {"build": Pod(cluster, "cronwright-builds"), "elsewhere": Pod(cluster, elsewhere.namespace),
             "monitoring": Pod(cluster, monitoring.namespace)}
    yield found
    for pod in found.values():
        pod.remove()


@pytest.fixture(scope="module")
def targets(agent, cluster, pods):
    """Word → host and port."""
    host, _, port = cluster.registry.partition(":")
    return {"registry": (host, int(port)), "API server": cluster.endpoint, "webhooks": (agent.address, 8080),
            "metrics": (agent.address, 8082), "context": (agent.address, 8443), "build": (pods["build"].address, 9999),
            "git": (host, int(os.environ["GIT_URL"].rsplit(":", 1)[1]))}


@pytest.fixture(scope="module")
def open_before(pods, targets):
    """What each pod reaches while nothing enforces a policy."""
    return {(source, word) for source, pod in pods.items() for word, where in targets.items() if pod.reaches(*where)}


@pytest.fixture(scope="module")
def enforced(open_before, pods, targets, aloud):
    if not SWITCH.exists() or SWITCH.read_text().strip() != "1":
        pytest.skip(f"a bridge's traffic does not pass iptables on this machine: {SWITCH} is not 1")
    with aloud():
        program = subprocess.run([ENFORCE, "build"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    with subprocess.Popen([ENFORCE, "run", program, os.environ["KUBECONFIG"]], stderr=subprocess.PIPE,
                          text=True) as enforcer:
        try:
            holds = lambda: enforcer.poll() is not None or not pods["build"].reaches(*targets["API server"])
            eventually(holds, "a policy is enforced", 60)
            assert enforcer.poll() is None, enforcer.stderr.read()
            yield
        finally:
            enforcer.send_signal(signal.SIGTERM)
            enforcer.communicate(timeout=60)


def test_without_enforcement_all_is_open(open_before, pods, targets):
    """So that what is closed later is closed by the policies."""
    assert open_before == {(source, word) for source in pods for word in targets}


@pytest.mark.parametrize("source, reached", [
    ("build", {"registry", "context", "build"}),  # itself, which no policy keeps it from
    ("elsewhere", {"registry", "API server", "git", "webhooks"}),
    ("monitoring", {"registry", "API server", "git", "webhooks", "metrics"}),
])
def test_each_pod_reaches_what_it_may(enforced, pods, targets, source, reached):
    assert {word for word, where in targets.items() if pods[source].reaches(*where)} == reached


def test_a_push_is_built_under_the_policies(enforced, agent, place):
    repository = place.repository("network")
    service = place.service("network", repository=repository).seen_by(agent)
    commit = repository.push(report(place.cluster, "built behind a firewall"))
    payload = forges.github_push(repository.url, commit)
    agent.outcome_of(agent.accept(forges.github(payload, FORGE_SECRETS["github"])), "deployed")
    assert service.annotation("commit") == commit and agent.is_up()
