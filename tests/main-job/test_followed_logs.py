"""A log that is followed is somebody's only as long as they may see it: it breaks off when that ends."""

import contextlib
import http.client
import json
import time

import pytest

from agents import TOKENS, Agent, ask, push_of
from browsers import SAME_ORIGIN, Browser
from places import report, shell
from test_reload import reload
from waiting import eventually

BREAKS_WITHIN = 10  # seconds; it is looked at each second
TALKS = "i=0; while [ $i -lt 150 ]; do i=$((i + 1)); echo line $i; /bin/busybox sleep 0.2; done"
TALKING_BUILD = "RUN " + json.dumps(["/bin/busybox", "sh", "-c", TALKS])


@pytest.fixture(scope="module")
def place(new_place):
    return new_place("sight")


@pytest.fixture
def agent(place, tmp_path):
    with Agent(place, tmp_path) as agent:
        yield agent


@pytest.fixture
def run_log(agent, place):
    """The path of the log of a run that goes on talking."""
    service = place.service("talks", container=shell(TALKS)).seen_by(agent)
    run = service.force(agent).json["name"]
    yield f"{service.path}/runs/{run}/logs?follow=true"
    assert agent.api("DELETE", f"{service.path}/runs/{run}").status == 202


@pytest.fixture
def build_log(agent, place):
    """The path of the log of a build that goes on talking."""
    repository = place.repository("talks")
    place.service("built", repository=repository).seen_by(agent)
    commit = repository.push(report(place.cluster, "never", TALKING_BUILD))
    agent.accept(push_of(repository, commit))
    talking = lambda: [each["build"] for each in agent.builds_of(repository)
                       if "line 1" in agent.api("GET", f"/v1/builds/{each['build']}/logs").text]
    [build] = eventually(talking, "it is built", 60)
    yield f"/v1/builds/{build}/logs?follow=true"
    agent.stop()  # it would build once more
    for job in place.unfinished_build_jobs(repository):
        place.cluster.delete("jobs", place.builds_namespace, job["metadata"]["name"])


@contextlib.contextmanager
def followed(agent, path, headers):
    connection = http.client.HTTPConnection(agent.admin, timeout=60)
    try:
        connection.request("GET", path, headers=dict(headers))
        response = connection.getresponse()
        assert response.status == 200, response.read()
        assert response.read1()
        yield response
    finally:
        connection.close()


def breaks_off(response):
    """Whether it does before its end, and soon."""
    deadline = time.monotonic() + BREAKS_WITHIN
    with contextlib.suppress(http.client.IncompleteRead):
        while time.monotonic() < deadline and response.read1():
            pass
        return False
    return True


def goes_on(response, pieces=15):
    return all(response.read1() for _ in range(pieces))


def bearer(token):
    return ("Authorization", f"Bearer {TOKENS[token]}")


def asker(agent, by_cookie):
    return [Browser(agent, "viewer").who, SAME_ORIGIN] if by_cookie else [bearer("viewer")]


def test_signing_out_ends_it(agent, run_log):
    browser, other = Browser(agent, "viewer"), Browser(agent, "viewer")
    with followed(agent, run_log, [browser.who]) as seen, followed(agent, run_log, [other.who]) as goes:
        assert browser.ask("DELETE", "/v1/session").status == 204
        assert breaks_off(seen) and goes_on(goes)
    assert browser.ask("GET", run_log).status == 401


@pytest.mark.parametrize("by_cookie", [True, False], ids=["cookie", "token"])
def test_it_ends_with_its_token(agent, run_log, by_cookie):
    tokens = agent.config["admin"]["tokens"]
    agent.config["admin"]["tokens"] = [token for token in tokens if token["name"] != "viewer"]
    headers = asker(agent, by_cookie)
    with followed(agent, run_log, headers) as seen:
        reload(agent)
        assert breaks_off(seen)
    assert ask(agent.admin, "GET", run_log, headers).status == 401


@pytest.mark.parametrize("by_cookie", [True, False], ids=["cookie", "token"])
@pytest.mark.parametrize("what, status", [("run_log", 403), ("build_log", 404)])
def test_it_ends_with_its_namespace(agent, request, by_cookie, what, status):
    path = request.getfixturevalue(what)
    headers = asker(agent, by_cookie)
    [viewer] = [token for token in agent.config["admin"]["tokens"] if token["name"] == "viewer"]
    with followed(agent, path, headers) as seen:
        reload(agent)  # nothing that matters to it
        assert goes_on(seen)
        viewer["namespaces"] = ["somewhere-else"]
        reload(agent)
        assert breaks_off(seen)
    assert ask(agent.admin, "GET", path, headers).status == status
