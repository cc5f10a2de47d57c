"""Server-sent events: pages are told what changes, as the lists have it, of what they may see and while they may."""

import contextlib
import time

import pytest

from agents import TOKENS, Agent, push_of
from browsers import SAME_ORIGIN, Browser, updates
from places import report, shell
from test_reload import reload
from waiting import eventually

STREAMS = 32


@pytest.fixture(scope="module")
def place(new_place):
    return new_place("updates")


@pytest.fixture(scope="module")
def agent(place):
    with Agent(place, place.directory) as agent:
        yield agent


@pytest.fixture
def own_agent(place, tmp_path):
    with Agent(place, tmp_path) as agent:
        yield agent


def bearer(token):
    return [("Authorization", f"Bearer {TOKENS[token]}")]


def of(service, **wanted):
    """Whether a row is of that service and has these values."""
    return lambda row: row["name"] == service.name and all(row[key] == value for key, value in wanted.items())


def row_of(agent, service):
    return next(row for row in agent.get("/v1/services?strip=30")["services"] if row["name"] == service.name)


def test_a_stream_says_hello(agent, place):
    for stream in (Browser(agent, "viewer").updates(), updates(agent, bearer("viewer"))):
        with stream as seen:
            assert seen.status == 200 and seen.headers["Content-Type"] == "text/event-stream"
            assert seen.headers.get_all("Cache-Control") == ["no-store"] and seen.headers["X-Accel-Buffering"] == "no"
            event, data = seen.next()
            assert event == "hello" and data.pop("now") and len(data.pop("page")) == 16
            assert data == {"name": "viewer", "role": "viewer", "namespaces": [place.namespace],
                            "version": agent.get("/openapi.json")["info"]["version"]}


def test_a_stream_needs_a_token(agent):
    with updates(agent, []) as seen:
        assert seen.status == 401
    with updates(agent, [Browser(agent).who, ("Sec-Fetch-Site", "cross-site")]) as seen:
        assert seen.status == 403
    assert agent.api("HEAD", "/v1/updates").status == 200


def test_a_service_comes_changes_and_goes(agent, place):
    with Browser(agent, "viewer").updates() as seen:
        seen.until("hello")
        service = place.service("seen")
        assert seen.until("service", of(service)) == row_of(agent, service)
        service.merge(spec={"suspend": True})
        assert seen.until("service", of(service, suspend=True))["schedule"] == service.get()["spec"]["schedule"]
        service.delete()
        assert seen.until("service-gone") == {"namespace": service.namespace, "name": service.name}


def test_a_run_changes_its_services_row(agent, place):
    service = place.service("run", container=shell("until [ -e /tmp/go ]; do sleep 0.1; done; sleep 1; exit 3"))
    service.seen_by(agent)
    with Browser(agent, "viewer").updates() as seen:
        seen.until("hello")
        run = service.force(agent).json["name"]
        seen.until("service", of(service, running=[run], waiting=None))
        place.cluster.kubectl("-n", place.namespace, "exec", f"job/{run}", "--", "touch", "/tmp/go")
        row = seen.until("service", lambda row: of(service, running=[])(row) and row["lastRun"])
        assert (row["lastRun"]["name"], row["lastRun"]["exitCode"]) == (run, 3)


def test_a_push_is_seen_arriving(agent, place):
    """The delivery, its build through its states, and the service with the commit: each as the lists have it."""
    repository = place.repository("pushed", report(place.cluster, "pushed"))
    service = place.service("pushed", repository=repository).seen_by(agent)
    commit = repository.commit_of_head()
    with Browser(agent, "viewer").updates() as seen, Browser(agent, "stranger").updates() as unseen:
        seen.until("hello")
        delivery = push_of(repository, commit)
        agent.accept(delivery)
        events, live = [], None
        while not live or not any(event == "delivery" and not data["pending"] for event, data in events):
            events.append(seen.next())
            event, data = events[-1]
            if event == "service" and of(service)(data) and data["live"]:
                live = data["live"]
        assert (live["commit"], live["build"]) == (commit, service.annotation("build"))
        deliveries = [data for event, data in events if event == "delivery" and data["delivery"] == delivery.id]
        states = [data["state"] for event, data in events if event == "build" and data["commit"] == commit]
        assert (deliveries[-1]["reason"], deliveries[-1]["build"]) == ("deployed", live["build"])
        assert deliveries[-1] == agent.deliveries(limit=1)["deliveries"][0]
        assert states and states == sorted(states, key=["waiting", "fetching", "running", "pushed", "done"].index)
        # Who sees none of it is told of none: what comes first is of another.
        agent.config["admin"]["tokens"][-1]["namespaces"] = [place.namespace]
        unseen.until("hello")
        began = time.monotonic()  # a heartbeat that is no older: what came before was looked at under the old rights
        while (line := unseen.line()) and not (line.startswith(":") and time.monotonic() - began > 0.5):
            pass
        reload(agent)
        assert unseen.next()[0] == "service"


def test_settings_change_rows(agent, place):
    """A service that may not be built any more says so."""
    repository = place.repository("settings", report(place.cluster, "settings"))
    service = place.service("settings", repository=repository).seen_by(agent)
    allow = agent.config["allow"]
    with Browser(agent).updates() as seen:
        seen.until("hello")
        agent.config["allow"] = []
        reload(agent)
        assert "no entry is for that namespace" in seen.until("service", lambda row: of(service)(row) and row["problem"])["problem"]
    agent.config["allow"] = allow
    reload(agent)


def test_a_quiet_stream_beats(own_agent):
    """Something comes every few seconds, so that proxies keep it and a page knows that it is connected."""
    with updates(own_agent, bearer("stranger")) as seen:
        seen.until("hello")
        while not seen.comments:
            assert seen.line()


def test_signing_out_ends_the_stream(agent):
    browser, other = Browser(agent), Browser(agent)
    with browser.updates() as seen, other.updates() as goes_on:
        assert browser.ask("DELETE", "/v1/session").status == 204
        while seen.next():
            pass
        assert goes_on.next()[0] == "hello" and goes_on.line()


@pytest.mark.parametrize("by_cookie", [True, False], ids=["cookie", "token"])
def test_a_token_that_is_gone_ends_the_stream(own_agent, by_cookie):
    own_agent.config["admin"]["tokens"] = [token for token in own_agent.config["admin"]["tokens"]
                                           if token["name"] != "viewer"]
    headers = [Browser(own_agent, "viewer").who, SAME_ORIGIN] if by_cookie else bearer("viewer")
    with updates(own_agent, headers) as seen:
        seen.until("hello")
        reload(own_agent)
        while seen.next():
            pass
    with updates(own_agent, headers) as seen:
        assert seen.status == 401


def test_streams_end_when_the_agent_does(place, tmp_path):
    agent = Agent(place, tmp_path).start()
    with updates(agent, bearer("viewer")) as seen:
        seen.until("hello")
        agent.stop()
        while seen.next():
            pass


def test_there_is_a_most_of_streams(own_agent):
    """Who is one too many hears so, and the API goes on; a place that gets free is taken."""
    with contextlib.ExitStack() as streams:
        for number in range(STREAMS):
            headers = [*bearer("viewer"), ("X-Number", str(number))]
            seen = streams.enter_context(updates(own_agent, headers))
            assert seen.status == 200
        with updates(own_agent, bearer("viewer")) as seen:
            assert (seen.status, seen.headers["Retry-After"]) == (503, "15")
        assert own_agent.api("GET", "/v1/services").status == 200
    eventually(lambda: own_agent.api("HEAD", "/v1/updates").status == 200, "places are free")
