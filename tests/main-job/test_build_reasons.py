"""Why a build fails, or waits, in words: each really provoked."""

import json
import secrets

import pytest

from agents import Agent, push_of
from locked_registry import LockedRegistry
from places import RBAC, report
from waiting import eventually

SHORT = "1m"  # the shortest deadline there is
NOTHING_LIKE_IT = {"example.com/no-node-has-this": "true"}


def run(script):
    return f'RUN ["/bin/sh", "-c", {json.dumps(script)}]'


class Case:
    """A push whose build will not come to a good end; with settings of its own, an agent of its own."""

    def __init__(self, place, agent, word, lines=(), files=None, destination=None):
        self.agent, self.place, self.word = agent, place, word
        self.repository = place.repository(word)
        self.service = place.service(word, repository=self.repository, destination=destination).seen_by(agent)
        self.commit = self.repository.push(files or report(place.cluster, "never", *lines))
        self.delivery = agent.accept(push_of(self.repository, self.commit))

    def build(self):
        builds = self.agent.builds_of(self.repository)
        return builds[0] if builds else {"state": None, "reason": None, "detail": None}

    def waits_for(self, reason):
        """What the build says while it waits; `show` and `builds` say it, too, unless it says something else meanwhile."""
        def told():
            build = self.build()
            listed, _ = self.agent.cli("builds", "--repository", self.repository.url)
            shown, _ = self.agent.cli("show", self.service.full_name)
            after = self.build()
            same = (build["reason"], build["detail"]) == (reason, after["detail"]) and after["reason"] == reason
            return (build, listed, shown) if same else None
        build, listed, shown = eventually(told, f"{self.word} waits for {reason}", 50)
        assert build["state"] == "running"
        assert f"{reason}: {build['detail']}"[:60] in listed
        assert build["detail"][:60] in shown and reason in shown
        return build["detail"]

    def failed(self, reason):
        """(the delivery's sentence, the build as it is told alone)"""
        found = self.agent.outcome_of(self.delivery, reason, 150)
        [listed] = found["builds"]
        build = self.agent.get(f"/v1/builds/{listed['build']}")
        assert (build["state"], build["reason"], build["detail"]) == ("failed", reason, found["detail"])
        return found["detail"], build


@pytest.fixture(scope="module")
def agent_of(new_place):
    """Makes agents whose builds have settings of their own."""
    agents = []

    def make(word, **builds):
        place = new_place(word)
        agents.append(Agent(place, place.directory, builds=builds))
        return agents[-1].start()
    yield make
    for agent in agents:
        agent.finish()


@pytest.fixture(scope="module")
def builds_namespaces(cluster, account):
    """Makes namespaces for builds, in which the agent has its rights."""
    made = []

    def make(quota=None, security="baseline"):
        name = f"builds-{secrets.token_hex(3)}"
        made.append(name)
        cluster.create("namespaces", None, {"metadata": {"name": name, "labels": {
            "pod-security.kubernetes.io/enforce": security}}})
        own = [part for part in RBAC.read_text().split("\n---\n") if "namespace: cronwright-builds" in part]
        assert len(own) == 2  # Role and RoleBinding
        cluster.kubectl("apply", "-f", "-",
                        stdin="\n---\n".join(own).replace("namespace: cronwright-builds", f"namespace: {name}"))
        eventually(lambda: cluster.kubectl("get", "serviceaccounts", "-n", name, "-o", "name"), "there is an account")
        if quota:
            cluster.kubectl("create", "quota", "small", "-n", name, f"--hard={quota}")
            eventually(lambda: "used" in cluster.kubectl("get", "quota", "small", "-n", name, "-o", "json"),
                       "the quota counts")
        return name
    yield make
    for name in made:
        cluster.delete("namespaces", None, name)


@pytest.fixture(scope="module")
def locked(cluster, tmp_path_factory):
    registry = LockedRegistry(cluster.host_address, tmp_path_factory.mktemp("registry"))
    yield registry
    registry.finish()


@pytest.fixture(scope="module")
def memory(agent_of):
    agent = agent_of("memory", resources={"limits": {"memory": "128Mi"}})
    return Case(agent.place, agent, "memory", [run("echo filling; x=a; while :; do x=$x$x; done")])


@pytest.fixture(scope="module")
def disk(agent_of):
    agent = agent_of("disk", resources={"limits": {"ephemeral-storage": "150Mi"}})
    return Case(agent.place, agent, "disk", [run("dd if=/dev/zero of=/big bs=1M count=300; sleep 300")])


@pytest.fixture(scope="module")
def image(agent_of, cluster):
    agent = agent_of("image", kanikoImage=f"{cluster.registry}/kaniko:there-is-no-such", timeout=SHORT)
    return Case(agent.place, agent, "image")


@pytest.fixture(scope="module")
def nodes(agent_of):
    agent = agent_of("nodes", nodeSelector=NOTHING_LIKE_IT, timeout=SHORT)
    case = Case(agent.place, agent, "nodes")
    eventually(lambda: case.build()["state"], "it is to be built")
    case.follower = agent.command("logs", "--follow", "--build", case.build()["build"])
    return case


@pytest.fixture(scope="module")
def slow(agent_of):
    agent = agent_of("slow", timeout=SHORT)
    return Case(agent.place, agent, "slow", [run("echo began; sleep 600")])


@pytest.fixture(scope="module")
def login(agent_of):
    """Its push Secret is not there."""
    agent = agent_of("login", pushSecret="there-is-no-such", timeout=SHORT)
    return Case(agent.place, agent, "login")


@pytest.fixture(scope="module")
def quota(agent_of, builds_namespaces):
    agent = agent_of("quota", namespace=builds_namespaces(quota="pods=0"), timeout=SHORT)
    return Case(agent.place, agent, "quota")


@pytest.fixture(scope="module")
def security(agent_of, builds_namespaces):
    agent = agent_of("security", namespace=builds_namespaces(security="restricted"), timeout=SHORT)
    return Case(agent.place, agent, "security")


@pytest.fixture(scope="module", autouse=True)
def slow_ones_begin_together(request):
    """Those that are wanted: they wait for a deadline most of the time."""
    items = [item for item in request.session.items if item.module is request.module]
    wanted = {name for item in items for name in item.fixturenames}
    wanted |= {item.callspec.params.get("word") for item in items if hasattr(item, "callspec")}
    # Those whose waiting is looked at while it lasts come last.
    for name in ("disk", "memory", "slow", "nodes", "image", "login", "quota", "security"):
        if name in wanted:
            request.getfixturevalue(name)


# --- what a build waits for, while it does ---

def test_node_that_is_missing_is_told_while_waiting(nodes):
    assert "node(s) didn't match Pod's node affinity/selector" in nodes.waits_for("unschedulable")


def test_kanikos_own_image_that_is_missing_is_told_while_waiting(image):
    detail = image.waits_for("image-pull")
    assert "builds.kanikoImage" in detail and "there-is-no-such" in detail, detail


def test_secret_that_is_missing_is_told_while_waiting(login):
    assert 'secret "there-is-no-such" not found' in login.waits_for("mount")


def test_quota_that_is_used_up_is_told_while_waiting(quota):
    assert "exceeded quota: small" in quota.waits_for("quota")


def test_pod_security_is_told_while_waiting(security):
    assert 'violates PodSecurity "restricted' in security.waits_for("pod-security")


def test_follower_is_told_too(nodes):
    out, err = nodes.follower.communicate(timeout=150)
    assert nodes.follower.returncode == 1, (out, err)
    assert b"waiting: no node takes the pod" in err


# --- how builds end ---

def test_command_that_fails_and_its_last_lines(agent, place):
    # All to one stream, Kaniko's own: the container runtime keeps no order between the two.
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i; done >&2; echo 'ERROR: no such thing' >&2; exit 7"
    case = Case(place, agent, "command", [run(script)])
    detail, build = case.failed("build-failed")
    assert detail.startswith('RUN ["/bin/sh", "-c", "for i') and detail.endswith(": exit 7: ERROR: no such thing")
    last_lines = [f"line {i}" for i in range(4, 13)] + ["ERROR: no such thing"]
    eventually(lambda: agent.get(f"/v1/builds/{build['build']}")["lastLines"] == last_lines, "its log is read")
    out, _ = agent.cli("builds", build["build"])
    assert "last lines  line 4\n" in out and "            ERROR: no such thing\n" in out
    assert detail in agent.cli("show", case.service.full_name)[0]


def test_base_image_that_is_missing(agent, place):
    base = f"{place.images}/no-such-base:1"
    detail, build = Case(place, agent, "base", files={"Dockerfile": f"FROM {base}\n"}).failed("build-failed")
    assert detail == f"FROM {base}: not found" and build["lastLines"] == []


def test_base_image_that_needs_a_login(agent_of, locked):
    agent = agent_of("base", extraArgs=[f"--insecure-registry={locked.address}"])
    case = Case(agent.place, agent, "base", files={"Dockerfile": f"FROM {locked.address}/private/base:1\n"})
    assert case.failed("build-failed")[0] == f"FROM {locked.address}/private/base:1: not found, or needs a login"


def test_push_that_is_refused(agent_of, locked):
    agent = agent_of("refused", extraArgs=[f"--insecure-registry={locked.address}"])
    agent.stop()
    agent.config["allow"][0]["images"].append(locked.address)
    agent.start()
    case = Case(agent.place, agent, "refused", destination=f"{locked.address}/acme/report")
    detail, _ = case.failed("build-failed")
    assert detail == f"push to {locked.address}/acme/report: UNAUTHORIZED: authentication required"
    assert len(case.agent.builds_of(case.repository)) == 1  # that does not pass by itself


def test_out_of_memory(memory):
    detail, _ = memory.failed("out-of-memory")
    assert detail.startswith("out of memory (limit 128Mi, builds.resources): RUN "), detail


def test_out_of_disk(disk):
    detail, _ = disk.failed("evicted")
    assert "builds.resources" in detail and "150Mi" in detail and "; it was at RUN " in detail, detail


def test_deadline_says_what_it_was_at(slow):
    detail, _ = slow.failed("deadline")
    assert detail.startswith("the build took longer than its deadline of 60 s; it was at RUN "), detail


@pytest.mark.parametrize("word, reason, words", [
    ("nodes", "unschedulable", "node(s) didn't match Pod's node affinity/selector"),
    ("image", "image-pull", "builds.kanikoImage"),
    ("login", "mount", 'secret "there-is-no-such" not found'),
    ("quota", "quota", "exceeded quota: small"),
    ("security", "pod-security", 'violates PodSecurity "restricted')])
def test_deadline_of_one_that_waited_says_for_what(request, word, reason, words):
    detail, _ = request.getfixturevalue(word).failed(reason)
    assert "deadline of 60 s" in detail and words in detail, detail
