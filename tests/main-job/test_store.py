"""What is stored: lists of it in pages, and what happens when the disk is full."""

import os
import pathlib

import pytest

import forges
from agents import FORGE_SECRETS, PROGRAM, Agent
from waiting import eventually

GITHUB = FORGE_SECRETS["github"]


def ping(number=0):
    return forges.github(forges.github_ping(f"https://example.com/acme/number-{number}.git"), GITHUB, event="ping")


@pytest.fixture(scope="module")
def bookkeeper(new_place):
    place = new_place("store")
    with Agent(place, place.directory) as agent:
        yield agent


def test_deliveries_in_pages(bookkeeper):
    sent = [bookkeeper.accept(ping(i), reason="ignored").id for i in range(11)]
    seen, before = [], None
    while True:
        page = bookkeeper.get(f"/v1/deliveries?limit=4{f'&before={before}' if before else ''}")["deliveries"]
        assert len(page) <= 4
        if not page:
            break
        seen += page
        before = page[-1]["seq"]
    assert [found["delivery"] for found in seen] == sent[::-1]
    assert [found["seq"] for found in seen] == sorted((found["seq"] for found in seen), reverse=True)
    [one] = bookkeeper.get("/v1/deliveries?repository=example.com%2Facme%2Fnumber-3")["deliveries"]
    assert one["delivery"] == sent[3]
    assert bookkeeper.get("/v1/deliveries?reason=deployed")["deliveries"] == []


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=x", "limit=", "limit=99999", "before=x", "before=0",
                                   "before=-5", "limit=1&limit=2"])
@pytest.mark.parametrize("kind", ["deliveries", "builds"])
def test_bad_page(bookkeeper, kind, query):
    answer = bookkeeper.api("GET", f"/v1/{kind}?{query}")
    assert answer.status == 400 and answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path, status", [("/v1/builds/b-1", 404), ("/v1/builds/x", 400), ("/v1/builds/b-1/logs", 404),
                                          ("/v1/deliveries/none", 404), ("/v1/nothing", 404), ("/v2/services", 404)])
def test_what_is_not_there(bookkeeper, path, status):
    assert bookkeeper.api("GET", path).status == status


class Cramped(Agent):
    """Its state directory is a small file system of its own."""

    def program(self):
        script = 'mount -t tmpfs -o size=6m tmpfs "$1" && shift && exec "$@"'
        as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        return ["unshare", *as_root, "--mount", "sh", "-c", script, "sh", self.config["stateDirectory"], PROGRAM]

    @property
    def disk(self):
        return pathlib.Path(f"/proc/{self.process.pid}/root{self.config['stateDirectory']}")


def fill(file):
    """Takes all the room there is."""
    with file.open("wb", buffering=0) as out:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while out.write(b"x" * size):
                    pass
            except OSError:
                continue


def refused_by(agent):
    """One more delivery and its answer, if that is 503."""
    delivery = ping()
    answer = agent.deliver(delivery)
    return (delivery, answer) if answer.status == 503 else None


def test_delivery_that_cannot_be_stored(new_place):
    """The sender is told so, with 503, and nothing of it is there; later all is well again."""
    place = new_place("cramped")
    agent = Cramped(place, place.directory)
    pathlib.Path(agent.config["stateDirectory"]).mkdir()
    agent.start()
    try:
        first = agent.accept(ping(), reason="ignored")
        filler = agent.disk / "filler"
        fill(filler)
        # The database has some room of its own still.
        lost, refused = eventually(lambda: refused_by(agent), "a delivery is refused")
        assert refused.headers["Retry-After"] and refused.headers["Content-Type"] == "application/problem+json"
        assert agent.api("GET", f"/v1/deliveries/{first.id}").status == 200
        assert agent.api("GET", f"/v1/deliveries/{lost.id}").status == 404
        filler.unlink()
        assert agent.accept(lost, reason="ignored")
        assert agent.get(f"/v1/deliveries/{lost.id}")["reason"] == "ignored"
        agent.await_ready()
    finally:
        agent.finish()
