"""The main job, done by an agent that is a pod."""

import http.client
import random

import pytest

import forges
from agents import FORGE_SECRETS, ask, push_of
from places import report
from pod import NAMESPACE


@pytest.fixture(scope="module")
def push(agent, place):
    """A service, and a signed push to the pod's address that was deployed."""
    repository = place.repository("report")
    service = place.service("report", repository=repository).seen_by(agent)
    commit = repository.push(report(place.cluster, "read in the cluster"))
    delivery = agent.accept(push_of(repository, commit))
    agent.outcome_of(delivery, "deployed")
    return service, commit, delivery


def test_the_pod_is_as_restricted_as_kubernetes_can_demand(agent, cluster):
    label = cluster.get("namespaces", None, NAMESPACE)["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    [container] = agent.pod()["spec"]["containers"]
    assert label == "restricted" and container["securityContext"]["readOnlyRootFilesystem"] is True


def test_a_signed_push_becomes_the_image(push):
    service, commit, _ = push
    assert service.annotation("commit") == commit
    assert "@sha256:" in service.image()


def test_a_large_context_comes_from_the_pod(agent, place):
    """More than a Secret holds, however it is compressed."""
    repository = place.repository("large")
    service = place.service("large", repository=repository).seen_by(agent)
    commit = repository.push({**report(place.cluster, "large", "COPY noise /noise"),
                              "noise": random.Random(1).randbytes(2 << 20)})
    agent.outcome_of(agent.accept(push_of(repository, commit)),
                     "deployed", 120)
    assert service.annotation("commit") == commit
    [job] = place.build_jobs(repository)
    [fetching] = job["spec"]["template"]["spec"]["initContainers"]
    assert fetching["image"] == agent.image


def test_a_forced_run_and_its_log(agent, push):
    service, commit, _ = push
    run = service.force(agent).json["name"]
    ended = service.ended(agent, run)
    assert (ended["state"], ended["exitCode"], ended["commit"]) == ("succeeded", 0, commit)
    assert agent.api("GET", f"{service.path}/runs/{run}/logs?follow=true").text == "read in the cluster\n"


def test_the_command_line_inside_the_pod(agent, push):
    service, commit, _ = push
    assert f"{service.full_name} " in agent.exec("cronwright", "services")
    assert commit[:7] in agent.exec("cronwright", "show", service.full_name)


def test_probes_have_a_listener_of_their_own(agent):
    metrics = f"{agent.address}:8082"
    assert [ask(metrics, "GET", path).status for path in ("/healthz", "/readyz")] == [200, 200]
    assert ask(metrics, "GET", "/v1/services").status == 404


def test_the_admin_api_answers_inside_the_pod_alone(agent):
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection(agent.address, 8081, timeout=10).connect()


def test_settings_cannot_be_written_from_within(agent):
    for path in ("/etc/cronwright/x", "/usr/bin/x", "/x"):
        with pytest.raises(AssertionError, match="Read-only file system"):
            agent.exec("touch", path)


def test_a_pod_that_goes_ends_well_and_the_next_knows_everything(agent, push):
    service, commit, delivery = push
    before = agent.deliveries()
    exit_code, log = agent.restart()
    assert exit_code == 0, log[-2000:]
    after = agent.deliveries()
    assert after == before
    assert agent.get(f"/v1/deliveries/{delivery.id}")["reason"] == "deployed"
    assert service.status(agent)["live"]["commit"] == commit


def test_a_push_after_that_is_built_too(agent, push):
    service, _, _ = push
    commit = service.repository.push(report(service.cluster, "the second edition"))
    payload = forges.github_push(service.repository.url, commit)
    agent.outcome_of(agent.accept(forges.github(payload, FORGE_SECRETS["github"])), "deployed")
    assert service.annotation("commit") == commit


def test_other_settings_start_it_anew(agent):
    """Nobody has to think of it: what a pod reads from a ConfigMap would otherwise change under it, or not."""
    before = agent.deliveries()
    agent.change(log={"format": "json"})
    assert agent.log_text().startswith("{")
    assert agent.deliveries() == before
