"""What is away for a while, other agents, and people who push as they like: no push is lost, and nobody is fought."""

import os
import stat

import pytest

from agents import HELPER, Agent, Metrics, push_of
from forwarders import Forwarder
from gatekeepers import Gatekeeper
from places import Service, report
from repositories import Repository, git
from waiting import eventually

HEAD_TRIES = 5  # then the deliveries that wait for it are told; rounds of the sweep ask beside them
SLOW = 'RUN ["/bin/busybox", "sleep", "3"]'
ENDLESS = 'RUN ["/bin/busybox", "sleep", "100"]'  # for a build that is cancelled

# Packs no build context while there is a file that says so; asks for heads all the same.
HELD_HELPER = """#!/bin/sh
request=$(cat)
case $request in *'"commit"'*) while [ -e {barrier} ]; do sleep 0.05; done ;; esac
exec {helper} <<END
$request
END
"""


def push_back(repository, commit):
    git(repository.work, "reset", "-q", "--hard", commit)
    git(repository.work, "push", "-q", "-f", repository.url, "HEAD:refs/heads/main")


def image_of(build):
    return f"{build['image']}@{build['digest']}"


def identity_of(repository):
    return repository.url.split("//")[1].removesuffix(".git")


class Patient(Agent):
    """Sweeps often. Its ways to Kubernetes and to a registry can be cut, and its build contexts held back."""

    def __init__(self, place):
        self.barrier = place.directory / "barrier"
        helper = place.directory / "cronwright-git"
        helper.write_text(HELD_HELPER.format(barrier=self.barrier, helper=HELPER))
        helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
        host, port = place.cluster.endpoint
        self.kubernetes = Forwarder(f"{host}:{port}")
        kubeconfig = place.account.write(place.directory / "kubeconfig-cut", f"https://{self.kubernetes.address}",
                                         **{"tls-server-name": host})
        self.registry = Forwarder(place.cluster.registry, place.cluster.host_address)  # builds go this way as well
        super().__init__(place, place.directory, sweep={"interval": "3s"}, git={"helper": str(helper), "timeout": "10s"},
                         kubernetes={"kubeconfig": str(kubeconfig)})
        self.config["registries"].append({"host": self.registry.address, "plainHttp": True})
        self.config["allow"][0]["images"].append(self.registry.address)
        self.config["allow"][0]["repositories"] = ["*"]

    def lines_about(self, repository, message):
        return [line for line in self.log_text().splitlines() if message in line and identity_of(repository) in line]

    def build_of(self, repository, commit):
        return next((build for build in self.builds_of(repository) if build["commit"] == commit), None)


@pytest.fixture(scope="module")
def own_place(new_place):
    return new_place("outages")


@pytest.fixture(scope="module")
def patient_agent(own_place):
    agent = Patient(own_place).start()
    yield agent
    agent.finish()
    agent.kubernetes.close()
    agent.registry.close()


@pytest.fixture
def patient(patient_agent):
    """Whatever the test does, the next one finds its ways open."""
    yield patient_agent
    patient_agent.barrier.unlink(missing_ok=True)
    for way in (patient_agent.kubernetes, patient_agent.registry):
        if not way.listener:
            way.open()
    patient_agent.await_ready(60)


@pytest.fixture
def gatekeeper(own_place):
    gatekeeper = Gatekeeper(own_place.cluster, [own_place.namespace], own_place.directory)
    yield gatekeeper
    gatekeeper.finish()


@pytest.fixture
def second_agent(own_place):
    """It follows the same services, and never looks by itself."""
    directory = own_place.directory / "second"
    directory.mkdir()
    with Agent(own_place, directory) as agent:
        yield agent


# --- another agent ---

def test_agent_that_was_not_told_of_a_push_does_not_take_it_back(patient, second_agent, own_place):
    repository = own_place.repository("two")
    service = own_place.service("two", repository=repository)
    first = repository.push(report(own_place.cluster, "first"))
    for agent in (patient, second_agent):
        service.seen_by(agent)
        agent.accept(push_of(repository, first))
    for agent in (patient, second_agent):
        agent.build_reaches(repository, first, "done")
    assert service.get()["metadata"]["generation"] == 2  # made, and patched once
    second = repository.push(report(own_place.cluster, "second"))
    patient.outcome_of(patient.accept(push_of(repository, second)), "deployed")
    image = service.image()
    service.merge(metadata={"annotations": {"example.com/note": "touched"}})
    # Its watch spoke of both changes.
    found = second_agent.build_reaches(repository, second, "done")
    assert image_of(found) == image == service.image()
    assert service.get()["metadata"]["generation"] == 3


# --- a commit that is the head again ---

def test_pushed_back_to_a_commit_whose_build_was_cancelled(agent, place):
    repository = place.repository("again")
    service = place.service("again", repository=repository).seen_by(agent)
    first = repository.push(report(place.cluster, "first", SLOW))
    agent.accept(push_of(repository, first))
    agent.build_reaches(repository, first, "running")
    second = repository.push(report(place.cluster, "second", SLOW))
    agent.accept(push_of(repository, second))
    agent.build_reaches(repository, first, "superseded")
    push_back(repository, first)
    agent.outcome_of(agent.accept(push_of(repository, first)), "deployed")
    found = agent.build_reaches(repository, first, "done")
    assert (service.annotation("commit"), service.image()) == (first, image_of(found))
    assert found["attempt"] == 2


def test_cronjob_replaced_during_the_build(agent, place):
    """Its build is given up with the old one; the new one wants the same commit."""
    repository = place.repository("replaced")
    service = place.service("replaced", repository=repository).seen_by(agent)
    commit = repository.push(report(place.cluster, "replaced", SLOW))
    agent.accept(push_of(repository, commit))
    agent.build_reaches(repository, commit, "running")
    service.delete()
    agent.build_reaches(repository, commit, "superseded")
    service = Service(place, service.name, repository=repository).seen_by(agent)
    agent.accept(push_of(repository, commit))
    found = agent.build_reaches(repository, commit, "done")
    assert (service.annotation("commit"), service.image()) == (commit, image_of(found))


# --- what is away ---

def test_kubernetes_and_then_the_registry_away_during_a_build(patient, own_place):
    """For longer than a few tries."""
    repository = own_place.repository("away")
    service = own_place.service("away", repository=repository, destination=f"{patient.registry.address}/away")
    service.seen_by(patient)
    commit = repository.push(report(own_place.cluster, "away", SLOW))
    deliveries = [patient.accept(push_of(repository, commit))]
    job = patient.build_reaches(repository, commit, "running")["job"]
    patient.kubernetes.close()
    deliveries.append(patient.accept(push_of(repository, commit)))  # has the Job looked at
    eventually(lambda: len(patient.lines_about(repository, "will be tried again")) >= 6, "it is tried", 60)
    found = patient.build_of(repository, commit)
    assert found["state"] == "running" and patient.kubernetes.address in found["detail"], found
    eventually(lambda: own_place.build_jobs(repository)[0]["status"].get("succeeded"), f"{job} succeeds")
    patient.registry.close()
    patient.kubernetes.open()
    eventually(lambda: "registry" in patient.build_of(repository, commit)["detail"], "the registry is asked")
    assert patient.build_of(repository, commit)["state"] == "running"
    patient.registry.open()
    for delivery in deliveries:
        patient.outcome_of(delivery, "deployed")
    [found] = patient.builds_of(repository)
    assert (found["attempt"], found["job"], image_of(found)) == (1, job, service.image())
    assert [job["metadata"]["name"] for job in own_place.build_jobs(repository)] == [job]


def test_repository_away_until_the_delivery_is_given_up(patient, own_place):
    """That is told, and yet what was pushed is deployed: the sweep finds it."""
    way = Forwarder(os.environ["GIT_URL"].removeprefix("http://"))
    repository = own_place.repository("cut")
    commit = repository.push(report(own_place.cluster, "cut"))
    repository.url = repository.url.replace(os.environ["GIT_URL"], f"http://{way.address}")
    way.close()
    before = Metrics(patient).told("sweeps_total")
    service = own_place.service("cut", repository=repository).seen_by(patient)
    found = patient.outcome(patient.accept(push_of(repository, commit)), 60)
    rounds = Metrics(patient).told("sweeps_total") - before
    assert found["reason"] == "repository-unavailable" and way.address in found["detail"], found
    assert patient.lines_about(repository, "head cannot be told")
    assert len(patient.lines_about(repository, "will be tried again")) <= HEAD_TRIES + rounds + 1  # one was under way
    way.open()
    eventually(lambda: service.annotation("commit") == commit, "the sweep deploys it", 60)
    way.close()


def test_service_that_cannot_be_patched_is_patched_by_a_sweep(patient, own_place, gatekeeper):
    repository = own_place.repository("forbidden")
    one = own_place.service("one", repository=repository).seen_by(patient)
    other = own_place.service("other", repository=repository, destination=one.destination).seen_by(patient)
    gatekeeper.forbidden.add(one.name)
    commit = repository.push(report(own_place.cluster, "forbidden"))
    found = patient.outcome_of(patient.accept(push_of(repository, commit)), "patch-failed")
    assert one.full_name in found["detail"] and "not while tested" in found["detail"], found
    build = patient.build_of(repository, commit)
    assert build["reason"] == "patch-failed" and one.full_name in build["detail"]
    assert (one.annotation("commit"), other.annotation("commit")) == (None, commit)
    gatekeeper.forbidden.clear()
    eventually(lambda: one.annotation("commit") == commit, "the sweep patches it")
    assert one.image() == other.image() == image_of(build)
    eventually(lambda: patient.build_of(repository, commit)["reason"] == "deployed", "the build says so")
    assert len(own_place.build_jobs(repository)) == 1


# --- repositories of almost the same name ---

def test_repositories_that_differ_in_letter_case_only(agent, place):
    folder = place.git_url.removeprefix(os.environ["GIT_URL"] + "/")
    name = place.name("x")
    lower, upper = (Repository(f"{folder}/{start}-{name}", place.directory) for start in ("rev", "Rev"))
    services = [place.service("case", repository=repository).seen_by(agent) for repository in (lower, upper)]
    for repository, service in zip((lower, upper), services):
        commit = repository.push(report(place.cluster, f"of {repository.url}"))
        found = agent.outcome_of(agent.accept(push_of(repository, commit)), "deployed")
        [build] = found["builds"]
        assert (build["commit"], build["repository"]) == (commit, identity_of(repository))
        assert (service.annotation("commit"), service.image()) == (commit, image_of(build))
    assert services[0].image() != services[1].image()
    assert [len(agent.builds_of(repository)) for repository in (lower, upper)] == [1, 1]


# --- a branch that does not rest ---

def test_pushes_in_quick_pairs_still_deploy(patient, own_place):
    """Of each pair the first is overtaken before it runs. It must not be forgotten for that that a running build was
    cancelled before."""
    repository = own_place.repository("pairs")
    service = own_place.service("pairs", repository=repository).seen_by(patient)

    def push(number):
        commit = repository.push(report(own_place.cluster, f"edition {number}", SLOW if number else ENDLESS))
        patient.accept(push_of(repository, commit))
        eventually(lambda: patient.build_of(repository, commit), f"edition {number} is to be built")
        return commit

    def push_pair(number):
        patient.barrier.touch()
        overtaken, newest = push(number), push(number + 1)
        assert patient.build_reaches(repository, overtaken, "superseded")["reason"] == "superseded"
        patient.barrier.unlink()
        return newest

    patient.build_reaches(repository, push(0), "running")
    running = push_pair(1)
    patient.build_reaches(repository, running, "running")
    newest = push_pair(3)
    assert patient.build_reaches(repository, running, "done", "superseded")["state"] == "done"
    patient.build_reaches(repository, newest, "done")
    assert service.annotation("commit") == newest
    reasons = [build["reason"] for build in reversed(patient.builds_of(repository))]
    assert reasons == ["cancelled", "superseded", "deployed", "superseded", "deployed"]


# --- a Job that somebody deletes ---

def test_job_deleted_during_the_build(agent, place):
    """The next attempt is built, and the log is that one's."""
    repository = place.repository("jobless")
    service = place.service("jobless", repository=repository).seen_by(agent)
    commit = repository.push(report(place.cluster, "jobless", SLOW))
    delivery = agent.accept(push_of(repository, commit))
    first = agent.build_reaches(repository, commit, "running")
    log = f"/v1/builds/{first['build']}/logs"
    eventually(lambda: (agent.api("GET", f"{log}?search=sleep").json or {}).get("matches"), "there is a log")
    place.cluster.delete("jobs", place.builds_namespace, first["job"])
    agent.outcome_of(delivery, "deployed")
    [found] = agent.builds_of(repository)
    assert (found["build"], found["attempt"], image_of(found)) == (first["build"], 2, service.image())
    [pod] = place.cluster.list("pods", place.builds_namespace, f"batch.kubernetes.io/job-name={found['job']}")
    written = place.cluster.kubectl("-n", place.builds_namespace, "logs", pod["metadata"]["name"])
    eventually(lambda: agent.api("GET", log).text == written, "the log is the second attempt's")
