"""While an API server takes no Job: what waits for that keeps nothing from others, costs no remote anything, and what
else fails meanwhile counts for itself."""

import re

import pytest

from agents import HELPER, push_of
from faults import Fault, World
from kubernetes import MAKE_JOB
from proxy import refusal
from quick_builds import QuickBuilds
from waiting import eventually

# Notes each context that it packs, and tells no head while there is a file that says so.
NOTING_HELPER = """#!/bin/sh
request=$(cat)
case $request in
*'"commit"'*) echo "$request" >>{packed} ;;
*) [ ! -e {mute} ] || exit 1 ;;
esac
exec {helper} <<END
$request
END
"""


class Outage:
    """An agent that builds one at a time, whose helper notes what it does."""

    def __init__(self, place, quick):
        self.place, self.world = place, World(place, quick, place.directory)
        self.packed, self.mute = place.directory / "packed", place.directory / "mute"
        self.packed.touch()
        (place.directory / "cronwright-git").write_text(
            NOTING_HELPER.format(packed=self.packed, mute=self.mute, helper=HELPER))
        self.agent = self.world.agent(Fault("outage", "idle", None, settings={"builds": {"maxConcurrent": 1}}))

    def service(self, word):
        repository = self.place.repository(word)
        self.place.service(word, repository=repository).seen_by(self.agent)
        return repository

    def push(self, repository, text):
        return repository.push({"Dockerfile": "FROM scratch\nCOPY text /text\n", "text": text})

    def deliver(self, repository, commit):
        return self.agent.accept(push_of(repository, commit))

    def times_packed(self, commit):
        return self.packed.read_text().count(commit)

    def refused(self, commit):
        """No Job of it is taken."""
        refuse = refusal(503, "ServiceUnavailable")
        return self.world.proxy.rule(
            lambda exchange: refuse(exchange) if commit.encode() in exchange.body else exchange.relay(), **MAKE_JOB)

    def await_detail(self, delivery, pattern):
        def told():
            found = self.agent.get(f"/v1/deliveries/{delivery.id}")
            assert found["pending"], found
            return re.search(pattern, found["detail"] or "")
        eventually(told, f"the delivery that waits says {pattern}", 90)


@pytest.fixture(scope="module")
def outage(cluster, new_place):
    with QuickBuilds(cluster) as quick:
        outage = Outage(new_place("outage"), quick)
        try:
            with outage.agent:
                yield outage
        finally:
            outage.world.finish()


def test_context_is_packed_once_and_the_place_is_left_to_others(outage):
    repository, other = outage.service("refused"), outage.service("other")
    commit, taken = outage.push(repository, "refused"), outage.push(other, "taken")
    with outage.refused(commit):
        delivery = outage.deliver(repository, commit)
        outage.await_detail(delivery, "tried [2-9] times")
        outage.agent.outcome_of(outage.deliver(other, taken), "deployed")
        outage.await_detail(delivery, "tried [3-9] times")
    outage.agent.outcome_of(delivery, "deployed")
    assert (outage.times_packed(commit), outage.times_packed(taken)) == (1, 1)


def test_hiccup_of_git_after_an_outage_is_the_first(outage):
    repository = outage.service("hiccup")
    commit = outage.push(repository, "first")
    with outage.refused(commit):
        outage.await_detail(outage.deliver(repository, commit), "tried [4-9] times")
        outage.mute.touch()
        commit = outage.push(repository, "second")
        delivery = outage.deliver(repository, commit)
        outage.await_detail(delivery, "Git child ended")
        outage.mute.unlink()
        outage.agent.outcome_of(delivery, "deployed")
    assert outage.times_packed(commit) == 1
