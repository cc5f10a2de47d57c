"""The tool itself: an agent takes its builds for Kaniko's."""

from agents import Agent, push_of
from quick_builds import QuickBuilds, at_once, failing, held
from waiting import eventually


def push(agent, repository, text):
    commit = repository.push({"Dockerfile": "FROM scratch\n", "text": text})
    return commit, agent.accept(push_of(repository, commit))


def test_builds_end_as_the_test_says(cluster, new_place):
    place = new_place("quick")
    repository = place.repository("quick")
    service = place.service("quick", repository=repository)
    with QuickBuilds(cluster) as quick, Agent(place, place.directory, **quick.settings()) as agent:
        service.seen_by(agent)
        good, delivery = push(agent, repository, "ends at once")
        agent.outcome_of(delivery, "deployed")
        [build] = quick.of(good)
        assert service.image() == f"{build.image}@{build.digest}"
        assert service.annotation("commit") == good

        quick.decide = failing
        bad, delivery = push(agent, repository, "fails")
        agent.outcome_of(delivery, "build-failed")
        assert [build.state for build in quick.of(bad)] == ["failed"]
        assert service.annotation("commit") == good

        quick.decide = held
        third, delivery = push(agent, repository, "is held")
        build = quick.await_running(third)
        agent.build_reaches(repository, third, "running")
        assert service.annotation("commit") == good
        quick.release(build)
        agent.outcome_of(delivery, "deployed")
        assert service.image() == f"{build.image}@{build.digest}"

        # A pod whose Job is deleted goes, though no kubelet says so.
        fourth, _ = push(agent, repository, "is superseded")
        build = quick.await_running(fourth)
        quick.decide = at_once
        fifth, delivery = push(agent, repository, "supersedes")
        agent.outcome_of(delivery, "deployed")
        assert service.annotation("commit") == fifth
        eventually(lambda: build.state == "taken", "the superseded build's pod is gone")
    nodes = cluster.call("GET", "/api/v1/nodes")["items"]
    assert quick.name not in [node["metadata"]["name"] for node in nodes]
