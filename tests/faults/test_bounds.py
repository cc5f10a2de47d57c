"""One repository, host or registry that misbehaves costs its own work alone. By the order of events, not by the clock:
while the broken ones still wait, the good one goes from push to deployed."""

import json
import pathlib
import signal
import sqlite3
import stat
import time

import pytest

import forges
from agents import FORGE_SECRETS, HELPER, Agent, Metrics
from forwarders import Forwarder
from offline import NEWEST, Crowd, Silent, make_database
from places import ANNOTATION, report
from repositories import git
from waiting import eventually

PACE = 0.25  # seconds between two asks of a remote for one branch: HEAD_PACE_MS

# Notes each time that a branch's head is asked for.
COUNTING_HELPER = """#!/bin/sh
request=$(cat)
case $request in *'"op":"head"'*) echo >>{asks} ;; esac
exec {helper} <<END
$request
END
"""


def push_of(url, commit):
    return forges.github(forges.github_push(url, commit), FORGE_SECRETS["github"])


@pytest.fixture(scope="module")
def own_place(new_place):
    return new_place("bounds")


@pytest.fixture
def silent():
    server = Silent()
    yield server
    server.close()


def is_pending(agent, delivery):
    return agent.get(f"/v1/deliveries/{delivery.id}")["pending"]


def is_at_work(pod):
    """A pod's phase says some time later that its containers have ended."""
    statuses = pod["status"].get("containerStatuses", [])
    ended = statuses and all("terminated" in status["state"] for status in statuses)
    return pod["status"]["phase"] in ("Pending", "Running") and not ended


class Live(Crowd):
    """How many of a repository's Jobs were at work at once, at the most; those that are being ended do not count."""

    def __init__(self, place, repository):
        self.place, self.repository, self.most, self.names = place, repository, 0, set()
        super().__init__(self.look)

    def look(self):
        jobs = {job["metadata"]["name"] for job in self.place.build_jobs(self.repository)
                if ANNOTATION + "cancelled" not in job["metadata"]["annotations"]}
        live = jobs & {pod["metadata"]["labels"].get("batch.kubernetes.io/job-name")
                       for pod in self.place.cluster.list("pods", self.place.builds_namespace) if is_at_work(pod)}
        self.names |= live
        self.most = max(self.most, len(live))


def test_ten_pushes_a_second_cost_one_build_at_a_time(own_place, tmp_path, full):
    """And the remote is not asked more often than it may be."""
    asks, helper = tmp_path / "asks", tmp_path / "cronwright-git"
    helper.write_text(COUNTING_HELPER.format(asks=asks, helper=HELPER))
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    with Agent(own_place, tmp_path, git={"helper": str(helper)}) as agent:
        repository = own_place.repository("storm")
        service = own_place.service("storm", repository=repository).seen_by(agent)
        commits = [repository.push(report(own_place.cluster, f"push {number}"), branch="made-before")
                   for number in range(600 if full else 25)]
        began, deliveries = time.monotonic(), []
        with Live(own_place, repository) as live:
            for number, commit in enumerate(commits):
                due = began + number / 10
                git(repository.bare, "update-ref", "refs/heads/main", commit)
                deliveries.append(agent.accept(push_of(repository.url, commit)))
                live.over.wait(max(0, due - time.monotonic()))
            pushing = time.monotonic() - began
            asked = len(asks.read_text().splitlines())
            eventually(lambda: service.annotation("commit") == commit, "the last push is deployed", 300)
        assert live.most == 1
        assert len(live.names) < len(deliveries) / 4
        assert asked <= pushing / PACE + 2
        for delivery in deliveries:
            assert agent.outcome(delivery)["reason"] in ("deployed", "unchanged"), delivery.id


def test_a_silent_git_host_delays_nobody_else(own_place, tmp_path, silent):
    """It keeps the places that it may have, for as long as the test lasts; with two hosts' worth of them."""
    with Agent(own_place, tmp_path, git={"maxConcurrent": 2, "timeout": "1h"}) as agent:
        agent.config["allow"][0]["repositories"] = ["*"]
        agent.restart()
        broken = []
        for number in range(4):
            url = f"{silent.url}/acme/{number}.git"
            repository = own_place.repository("unreachable")
            repository.url = url
            own_place.service("unreachable", repository=repository).seen_by(agent)
            broken.append(agent.accept(push_of(url, "1" * 40)))
        eventually(lambda: Metrics(agent).told('git_children{state="waiting"}') == 3, "the others wait")
        deploys(agent, own_place, "beside-silent-host")
        assert all(is_pending(agent, delivery) for delivery in broken)
        # As systemd asks it to, with a child that never ends.
        agent.stop()


def reload(agent):
    before = agent.log.stat().st_size
    (agent.directory / "cronwright.yaml").write_text(json.dumps(agent.config))
    agent.process.send_signal(signal.SIGHUP)
    eventually(lambda: "settings reloaded" in agent.log_text(before), "the settings are read again")


def deploys(agent, place, word):
    repository = place.repository(word)
    service = place.service(word, repository=repository).seen_by(agent)
    commit = repository.push(report(place.cluster, word))
    agent.outcome_of(agent.accept(push_of(repository.url, commit)), "deployed", 240)
    assert service.annotation("commit") == commit


def test_a_silent_registry_delays_nobody_else(own_place, tmp_path, silent, full):
    """Kaniko pushes to it; when cronwright asks for the digest it says nothing. That is tried again, visibly."""
    other_name = Forwarder(own_place.cluster.registry, own_place.cluster.host_address)
    try:
        with Agent(own_place, tmp_path) as agent:
            agent.config["registries"].append({"host": other_name.address, "plainHttp": True, "proxy": silent.url})
            agent.config["allow"][0]["images"].append(other_name.address)
            agent.restart()
            broken = []
            for number in range(3 if full else 2):
                repository = own_place.repository("unconfirmed")
                own_place.service("unconfirmed", repository=repository,
                                  destination=f"{other_name.address}/{own_place.namespace}/{number}").seen_by(agent)
                commit = repository.push(report(own_place.cluster, f"unconfirmed {number}"))
                broken.append((repository, agent.accept(push_of(repository.url, commit))))
            for repository, _ in broken:
                eventually(lambda: [build for build in agent.builds_of(repository)
                                    if "; tried " in (build["detail"] or "")], "it is tried again", 180)
            deploys(agent, own_place, "beside-silent-registry")
            for repository, delivery in broken:
                found = agent.get(f"/v1/deliveries/{delivery.id}")
                assert found["pending"] and "does not confirm" in found["detail"], found
                assert "again at 20" in found["detail"], found
            assert Metrics(agent).told("sources_failing") == len(broken)
            # It speaks again: nobody has to do anything.
            agent.config["registries"][-1].pop("proxy")
            reload(agent)
            for _, delivery in broken:
                agent.outcome_of(delivery, "deployed", 180)
            eventually(lambda: Metrics(agent).told("sources_failing") == 0, "nothing fails any more")
    finally:
        other_name.close()


def test_logs_of_builds_are_bounded(own_place, tmp_path):
    """The oldest go first, until the rest is within the setting."""
    agent = Agent(own_place, tmp_path, logs={"maxBuildBytes": "1MiB"})
    state = pathlib.Path(agent.config["stateDirectory"])
    with sqlite3.connect(make_database(state / "cronwright.db", NEWEST, builds=12)) as connection:
        connection.execute("UPDATE builds SET state = 'done'")
    connection.close()
    logs = state / "logs/builds"
    for number in range(1, 13):
        (logs / f"b-{number}").mkdir(parents=True)
        (logs / f"b-{number}/kaniko.log").write_bytes(b"x" * (200 << 10))
    with agent:
        eventually(lambda: len(list(logs.iterdir())) <= 5, "the oldest logs are removed")  # 5 * 200 KiB are less
        assert {path.name for path in logs.iterdir()} == {f"b-{number}" for number in range(8, 13)}
