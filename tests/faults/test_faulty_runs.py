"""Runs while Kubernetes fails: one that is asked for is made once and answered for what it is, and none that was made goes
unrecorded."""

import contextlib
import uuid

import pytest

from faults import World
from kubernetes import WATCH, away
from places import shell
from proxy import hang, refusal, reset, stream, then
from waiting import eventually

MAKE_RUN = {"method": "POST", "path": r"/namespaces/mainjob-[^/]+/jobs\?"}
LOST_ANSWERS = {
    "500": then(refusal(500, "InternalError")), "504": then(refusal(504, "Timeout")), "reset": then(reset),
    "hang": then(hang)}
NOT_MADE = {"500": refusal(500, "InternalError"), "reset": reset, "403": refusal(403, "Forbidden", "told by a test")}


class Plain:
    """Settings of a fault that has none."""
    kaniko, settings, variables = True, {}, None


@pytest.fixture(scope="module")
def world(new_place):
    place = new_place("faulty-runs")
    world = World(place, None, place.directory)
    yield world
    world.finish()


@pytest.fixture(scope="module")
def agent(world):
    with world.agent(Plain) as agent:
        yield agent


@pytest.fixture
def service(world, agent, request):
    service = world.place.service("run", container=shell("exit 0")).seen_by(agent)
    yield service
    service.clear()
    service.delete()


@pytest.mark.parametrize("key", [None, "given"], ids=["without-key", "with-key"])
@pytest.mark.parametrize("fault", [pytest.param(fault, marks=[pytest.mark.full] * (fault == "hang"))
                                   for fault in LOST_ANSWERS])
def test_run_whose_answer_is_lost_is_one_run(world, agent, service, fault, key):
    headers = [("Idempotency-Key", str(uuid.uuid4()))] if key else []
    with world.proxy.rule(LOST_ANSWERS[fault], count=1, **MAKE_RUN) as rule:
        answer = agent.api("POST", f"{service.path}/runs", token="runner", headers=headers)
        assert rule.hits == 1
    assert answer.status in ((200, 201) if key else (201,)), answer
    answered = answer.json
    assert [job["metadata"]["name"] for job in service.jobs()] == [answered["name"]]
    assert service.ended(agent, answered["name"])["state"] == "succeeded"
    if key:
        assert service.force(agent, status=200, headers=headers).json["name"] == answered["name"]
    assert len(service.jobs()) == 1


@pytest.mark.parametrize("fault", NOT_MADE)
def test_run_that_was_not_made_is_answered_with_an_error(world, agent, service, fault):
    headers = [("Idempotency-Key", str(uuid.uuid4()))]
    status = 403 if fault == "403" else 503
    with world.proxy.rule(NOT_MADE[fault], **MAKE_RUN):
        service.force(agent, status=status, headers=headers)
    assert service.jobs() == []
    run = service.force(agent, headers=headers).json["name"]
    assert [job["metadata"]["name"] for job in service.jobs()] == [run]


@contextlib.contextmanager
def watches_stale(case):
    with case.proxy.rule(stream(), **WATCH):
        case.proxy.cut()
        yield
        case.proxy.cut()


@pytest.mark.full
def test_scheduled_run_is_recorded_though_nobody_could_watch(world, agent):
    """It came and ended while the API server was away, or its watches told nothing."""
    for way in (away, watches_stale):
        service = world.place.service("scheduled", container=shell("exit 3")).seen_by(agent)
        with way(world):
            service.merge(spec={"schedule": "* * * * *"})
            eventually(lambda: any(job["status"].get("failed") for job in service.jobs()), "a run has failed", 150)
            service.merge(spec={"suspend": True})
        agent.await_ready(120)

        def recorded():
            runs = agent.get(f"{service.path}/runs")["runs"]
            return [run for run in runs if run["exitCode"] == 3 and run["state"] == "failed"]
        found = eventually(recorded, "the run is recorded", 120)
        jobs = {job["metadata"]["name"] for job in service.jobs()}
        assert {run["name"] for run in found} == jobs and len(found) == len(jobs)
        assert {run["kind"] for run in found} == {"scheduled"}
        service.clear()
        service.delete()
