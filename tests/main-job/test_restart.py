"""The agent is killed, stopped or cut off at the worst moments, and the work goes on as if nothing had been."""

import copy
import http.client
import os
import select
import signal
import socket
import stat
import threading
import time

import pytest

import forges
from agents import FORGE_SECRETS, HELPER, Agent, ask, push_of
from forwarders import Forwarder
from gatekeepers import Gatekeeper
from places import ANNOTATION, report
from waiting import eventually

# Waits before it does anything, or with its answer, while there is a file that says so.
HELD_HELPER = """#!/bin/sh
hold() {{ [ ! -e "$1" ] || : >"$1.reached"; while [ -e "$1" ]; do sleep 0.05; done; }}
hold {barrier}
[ -e {barrier}.answer ] || exec {helper}
answer=$({helper})
status=$?
hold {barrier}.answer
echo "$answer"
exit $status
"""
SLOW = 'RUN ["/bin/busybox", "sleep", "3"]'


@pytest.fixture(scope="module")
def own_place(new_place):
    return new_place("restart")


@pytest.fixture(scope="module")
def gatekeeper(own_place):
    gatekeeper = Gatekeeper(own_place.cluster, [own_place.namespace, own_place.builds_namespace], own_place.directory)
    yield gatekeeper
    gatekeeper.finish()


@pytest.fixture(scope="module")
def barrier(own_place):
    """While this file exists no Git child does anything; with ".answer", none gives its answer."""
    return own_place.directory / "barrier"


@pytest.fixture(scope="module")
def mortal_agent(own_place, barrier):
    """An agent of this module's own, to be killed."""
    helper = own_place.directory / "cronwright-git"
    helper.write_text(HELD_HELPER.format(barrier=barrier, helper=HELPER))
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    agent = Agent(own_place, own_place.directory, git={"helper": str(helper)})
    agent.config["allow"][0]["repositories"] = ["*"]
    yield agent
    agent.finish()


@pytest.fixture
def mortal(mortal_agent, barrier):
    """It lives, whatever the test before left."""
    barrier.unlink(missing_ok=True)
    return mortal_agent if mortal_agent.process else mortal_agent.start()


class Work:
    """A push that was delivered."""

    def __init__(self, agent, place, word, *lines):
        self.agent, self.place = agent, place
        self.repository = place.repository(word)
        self.service = place.service(word, repository=self.repository).seen_by(agent)
        self.commit = self.repository.push(report(place.cluster, word, *lines))
        self.delivery = push_of(self.repository, self.commit)

    @property
    def identity(self):
        return self.repository.url.split("//")[1].removesuffix(".git")

    def ends_well(self):
        """Deployed, by one build with one Job and one patch."""
        self.agent.outcome_of(self.delivery, "deployed")
        [build] = self.agent.builds_of(self.repository)
        assert (build["commit"], build["state"], build["attempt"]) == (self.commit, "done", 1)
        assert self.service.image() == f"{build['image']}@{build['digest']}"
        [job] = self.place.build_jobs(self.repository)
        assert job["metadata"]["name"] == build["job"]
        patches = self.agent.get(f"/v1/builds/{build['build']}")["patches"]
        assert [patch["newImage"] for patch in patches] == [self.service.image()] and build["services"] == 1
        assert self.service.get()["metadata"]["generation"] == 2  # made, and patched once
        return build


@pytest.fixture
def work(mortal, own_place, request):
    return Work(mortal, own_place, request.function.__name__.removeprefix("test_killed_").replace("_", "-"), SLOW)


def test_killed_after_the_answer(mortal, work):
    mortal.accept(work.delivery)
    mortal.kill()
    mortal.start()
    work.ends_well()


def test_killed_during_the_fetch(mortal, work, barrier):
    barrier.touch()
    mortal.accept(work.delivery)
    eventually(barrier.with_name("barrier.reached").exists, "a Git child has begun")
    mortal.kill()
    barrier.unlink()
    mortal.start()
    work.ends_well()


def test_killed_while_the_job_is_made(mortal, work, gatekeeper):
    """The API server makes it; the agent never hears of that."""
    held = gatekeeper.hold("jobs", ANNOTATION + "repository", work.identity)
    mortal.accept(work.delivery)
    held.await_arrival()
    mortal.process.send_signal(signal.SIGSTOP)
    held.release()
    eventually(lambda: work.place.build_jobs(work.repository), "the Job is made")
    mortal.kill()
    mortal.start()
    work.ends_well()


def test_killed_while_kaniko_runs(mortal, work):
    mortal.accept(work.delivery)
    build = mortal.build_reaches(work.repository, work.commit, "running")
    eventually(lambda: work.place.cluster.live_pods(work.place.builds_namespace,
                                                    f"batch.kubernetes.io/job-name={build['job']}"), "Kaniko runs")
    mortal.kill()
    mortal.start()
    build = work.ends_well()
    assert "sleep" in mortal.api("GET", f"/v1/builds/{build['build']}/logs").text


def test_killed_after_kaniko_ended(mortal, work):
    """It ended while there was no agent."""
    mortal.accept(work.delivery)
    build = mortal.build_reaches(work.repository, work.commit, "running")
    mortal.kill()
    eventually(lambda: work.place.build_jobs(work.repository)[0]["status"].get("succeeded"), f"{build['job']} succeeds", 90)
    mortal.start()
    work.ends_well()


def test_killed_before_the_patch_is_written(mortal, work, gatekeeper):
    """Its connection is gone before the API server has written anything."""
    held = gatekeeper.hold("cronjobs", ANNOTATION + "commit", work.commit)
    mortal.accept(work.delivery)
    held.await_arrival()
    mortal.kill()
    mortal.start(until_ready=False)
    held.release()
    mortal.await_ready()
    work.ends_well()


def test_killed_after_the_patch_was_written(mortal, work, gatekeeper):
    """The agent never hears that it was."""
    held = gatekeeper.hold("cronjobs", ANNOTATION + "commit", work.commit)
    mortal.accept(work.delivery)
    held.await_arrival()
    mortal.process.send_signal(signal.SIGSTOP)
    held.release()
    eventually(lambda: work.service.annotation("commit") == work.commit, "the patch is written")
    mortal.kill()
    mortal.start()
    work.ends_well()


def test_image_changed_at_the_moment_of_the_patch(mortal, own_place, gatekeeper):
    """The patch tests the image it replaces: it conflicts, the agent reads again and leaves the new one alone."""
    work = Work(mortal, own_place, "conflict")
    mortal.outcome_of(mortal.accept(work.delivery), "deployed")
    commit = work.repository.push(report(own_place.cluster, "conflict two"))
    held = gatekeeper.hold("cronjobs", ANNOTATION + "commit", commit)
    second = mortal.accept(push_of(work.repository, commit))
    held.await_arrival()
    work.service.set_image(own_place.cluster.busybox_image)
    held.release()
    mortal.outcome_of(second, "pinned")
    assert work.service.image() == own_place.cluster.busybox_image


def test_service_that_cannot_be_patched_keeps_nobody_from_it(mortal, own_place, gatekeeper):
    """Two share a build; one may not be changed for a while."""
    work = Work(mortal, own_place, "forbidden")
    other = own_place.service("other", repository=work.repository, destination=work.service.destination).seen_by(mortal)
    gatekeeper.forbidden.add(work.service.name)
    try:
        found = mortal.outcome_of(mortal.accept(work.delivery), "patch-failed")
        assert (other.annotation("commit"), work.service.annotation("commit")) == (work.commit, None)
    finally:
        gatekeeper.forbidden.clear()
    assert work.service.full_name in found["detail"] and "not while tested" in found["detail"]
    mortal.outcome_of(mortal.accept(work.delivery), "deployed")  # redelivered
    assert work.service.image() == other.image()
    assert len(mortal.builds_of(work.repository)) == 1


def test_repository_that_is_away_for_a_while(mortal, own_place):
    """The push waits for it."""
    way = Forwarder(os.environ["GIT_URL"].removeprefix("http://"))
    repository = own_place.repository("away")
    repository.url = repository.url.replace(os.environ["GIT_URL"], f"http://{way.address}")
    service = own_place.service("away", repository=repository).seen_by(mortal)
    commit = repository.push(report(own_place.cluster, "away"))
    way.close()
    delivery = mortal.accept(push_of(repository, commit))
    eventually(lambda: "tried again" in mortal.log_text() and way.address in mortal.log_text(), "it was tried")
    assert mortal.get(f"/v1/deliveries/{delivery.id}")["pending"]
    way.open()
    mortal.outcome_of(delivery, "deployed")
    assert service.annotation("commit") == commit
    way.close()


def test_answer_from_before_a_push_does_not_end_it(mortal, own_place, barrier):
    """The remote was asked while the branch was not there yet."""
    held = barrier.with_name("barrier.answer")
    held.touch()
    repository = own_place.repository("early")
    service = own_place.service("early", repository=repository).seen_by(mortal)
    eventually(held.with_name("barrier.answer.reached").exists, "the answer is held")
    commit = repository.push(report(own_place.cluster, "early"))
    delivery = mortal.accept(push_of(repository, commit))
    held.unlink()
    mortal.outcome_of(delivery, "deployed")
    assert service.annotation("commit") == commit


def test_stopped_by_sigterm_while_kaniko_runs(mortal, own_place):
    work = Work(mortal, own_place, "sigterm", SLOW)
    mortal.accept(work.delivery)
    mortal.build_reaches(work.repository, work.commit, "running")
    mortal.stop()
    mortal.start()
    work.ends_well()


def test_no_child_is_left_of_a_killed_agent(mortal, own_place):
    """Not even one that waits for a remote that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        repository = own_place.repository("silent")
        repository.url = f"http://127.0.0.1:{silent.getsockname()[1]}/acme/silent.git"
        service = own_place.service("silent", repository=repository).seen_by(mortal)
        silent.settimeout(60)
        connection, _ = silent.accept()  # a child waits for what the remote says
        with connection:
            children = children_of(mortal.process.pid)
            assert children
            mortal.kill()
            eventually(lambda: not any(os.path.exists(f"/proc/{child}") for child in children), "its children are gone")
        service.delete()
    mortal.start()


def children_of(parent):
    with open(f"/proc/{parent}/task/{parent}/children") as file:
        return file.read().split()


# --- without Kubernetes ---

@pytest.fixture(scope="module")
def far(new_place):
    """An agent whose way to the API server can be cut."""
    place = new_place("far")
    forwarder = Forwarder("%s:%d" % place.cluster.endpoint)
    kubeconfig = place.account.write(place.directory / "kubeconfig-far", f"https://{forwarder.address}",
                                     **{"tls-server-name": place.cluster.endpoint[0]})
    agent = Agent(place, place.directory, kubernetes={"kubeconfig": str(kubeconfig)}).start()
    agent.way = forwarder
    yield agent
    agent.finish()


def test_deliveries_are_taken_while_kubernetes_is_away(far):
    work = Work(far, far.place, "away")
    far.way.close()
    try:
        eventually(lambda: not far.is_ready(), "readyz says so")
        answer = ask(far.admin, "GET", "/readyz")
        assert answer.status == 503 and "kubernetes" in answer.text
        assert ask(far.admin, "GET", "/healthz").status == 200
        far.accept(work.delivery)
        answer = far.api("POST", f"{work.service.path}/runs", token="runner")
        assert answer.status == 503 and answer.headers["Content-Type"] == "application/problem+json"
    finally:
        far.way.open()
    far.await_ready(60)
    work.ends_well()


def test_started_while_kubernetes_is_away(far):
    """What it follows is not known yet: nothing is said to be followed by nobody."""
    work = Work(far, far.place, "dark", SLOW)
    far.stop()
    far.way.close()
    try:
        far.start(until_ready=False)
        assert not far.is_ready()
        far.accept(work.delivery)
    finally:
        far.way.open()
    far.await_ready(60)
    work.ends_well()


def test_connections_to_kubernetes_break_during_a_build(far):
    work = Work(far, far.place, "broken", SLOW)
    far.accept(work.delivery)
    far.build_reaches(work.repository, work.commit, "running")
    far.way.close()
    far.way.open()
    work.ends_well()
    far.await_ready(60)


@pytest.fixture
def partial(new_place):
    """An agent that is to watch two namespaces and has rights in the second alone, by RoleBindings."""
    place = new_place("partial")
    bind = lambda namespace, kind, role: place.cluster.kubectl(
        "-n", namespace, "create", "rolebinding", place.namespace, f"--{kind}={role}",
        f"--serviceaccount={place.namespace}:default")
    bind(place.namespace, "clusterrole", "cronwright")
    bind(place.builds_namespace, "role", "cronwright-builds")
    account = copy.copy(place.account)
    account.user = {"token": place.cluster.kubectl("create", "token", "default", "-n", place.namespace).strip()}
    kubeconfig = account.write(place.directory / "kubeconfig-partial", place.cluster.server)
    agent = Agent(place, place.directory, kubernetes={"kubeconfig": str(kubeconfig),
                                                      "namespaces": ["kube-public", place.namespace]})
    yield agent.start(until_ready=False)
    agent.finish()
    place.cluster.kubectl("-n", place.builds_namespace, "delete", "rolebinding", place.namespace)


def test_namespace_that_may_not_be_listed_does_not_stop_the_others(partial):
    work = Work(partial, partial.place, "allowed")
    partial.accept(work.delivery)
    unknown = partial.place.repository("unknown", {"Dockerfile": "FROM scratch\n"})
    stray = partial.accept(push_of(unknown, "1" * 40))
    work.ends_well()
    # Whether a service of the other namespace follows this one cannot be said.
    assert partial.get(f"/v1/deliveries/{stray.id}")["pending"]
    answer = ask(partial.admin, "GET", "/readyz")
    assert answer.status == 503 and "kube-public" in answer.text and "forbidden" in answer.text


# --- a stop under load ---

class Sender(threading.Thread):
    """Sends deliveries on a connection that it keeps, until the agent is gone; notes what was answered."""

    def __init__(self, agent):
        super().__init__(daemon=True)
        self.agent, self.accepted, self.refused, self.cut = agent, [], 0, []
        self.start()

    def run(self):
        connection = None
        while True:
            delivery = forges.github(forges.github_ping("https://example.com/a/b.git"), FORGE_SECRETS["github"],
                                     event="ping")
            if connection and select.select([connection.sock], [], [], 0)[0]:  # it was idle, and is closed
                connection.close()
                connection = None
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(self.agent.webhooks, timeout=30)
                    connection.connect()
            except OSError:
                return  # nobody listens any more
            try:
                connection.request("POST", delivery.path, delivery.body, dict(delivery.headers))
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as fault:
                self.cut.append(repr(fault))
                return
            if response.status == 202:
                self.accepted.append(delivery.id)
            else:
                assert response.status == 503
                self.refused += 1
            if response.getheader("Connection", "").lower() == "close":
                connection.close()
                connection = None


def test_sigterm_under_load_cuts_nobody_off(mortal):
    senders = [Sender(mortal) for _ in range(8)]
    eventually(lambda: sum(len(sender.accepted) for sender in senders) > 200, "there is load")
    began = time.monotonic()
    mortal.stop()
    assert time.monotonic() - began < 40
    for sender in senders:
        sender.join(30)
        assert not sender.is_alive()
    assert [sender.cut for sender in senders if sender.cut] == []
    mortal.start()
    for sender in senders:
        for delivery in sender.accepted[-5:]:
            assert mortal.get(f"/v1/deliveries/{delivery}")["reason"] == "ignored"
    newest = mortal.deliveries()["deliveries"]
    accepted = {delivery for sender in senders for delivery in sender.accepted}
    assert {found["delivery"] for found in newest} <= accepted


def test_sigkill_under_load_loses_nothing_that_was_answered(mortal):
    senders = [Sender(mortal) for _ in range(8)]
    eventually(lambda: sum(len(sender.accepted) for sender in senders) > 200, "there is load")
    mortal.kill()
    for sender in senders:
        sender.join(30)
    mortal.start()
    for sender in senders:
        for delivery in sender.accepted[-5:]:
            assert mortal.get(f"/v1/deliveries/{delivery}")["reason"] == "ignored"
