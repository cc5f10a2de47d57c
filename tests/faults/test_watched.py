"""The main job under a sanitizer for data races and under valgrind: both programs and the command line."""

import concurrent.futures
import signal
import subprocess

import pytest

import forges
from agents import FORGE_SECRETS, push_of
from quick_builds import QuickBuilds, at_once, failing
from watched import UnderThreadSanitizer, UnderValgrind, build

PATIENCE = 300
THREADS = 6
COMMANDS = (["services"], ["builds"], ["deliveries"], ["schedule", "0 3 * * 1-5"], ["services", "-o", "json"])


@pytest.fixture(scope="module")
def quick(cluster):
    with QuickBuilds(cluster) as quick:
        yield quick


def push(agent, repository, text):
    commit = repository.push({"Dockerfile": "FROM scratch\n", "text": text})
    return agent.accept(push_of(repository, commit))


def pushes(agent, place, quick):
    """One repository's: deployed, failed, and deployed again."""
    repository = place.repository("watched")
    service = place.service("watched", repository=repository).seen_by(agent)
    for text, decide, reason in (("first", at_once, "deployed"), ("bad", failing, "build-failed"), ("good", at_once, "deployed")):
        quick.decide = decide
        agent.outcome_of(push(agent, repository, text), reason, PATIENCE)
    return service


def reads(agent, service):
    """What people ask, and what is refused."""
    for path in ("/v1/services", service.path, f"{service.path}/runs", "/v1/deliveries?limit=50", "/v1/builds", "/metrics",
                 "/readyz", "/openapi.json"):
        assert agent.api("GET", path).status == 200
    wrong = forges.github(forges.github_ping("https://example.com/a/b.git"), "wrong", event="ping")
    assert agent.deliver(wrong).status == 401
    for malformed in (forges.github(b"{", FORGE_SECRETS["github"]), forges.gitea(b"[]", FORGE_SECRETS["gitea"])):
        assert agent.deliver(malformed).status == 400


@pytest.mark.full
def test_threads(new_place, quick):
    place = new_place("threads")
    directory = build("threads", "-DCRONWRIGHT_SANITIZE=thread", targets=())
    done = subprocess.run(["ctest", "--test-dir", str(directory), "-L", "unit", "--output-on-failure"], text=True,
                          stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stdout[-8000:]
    agent = UnderThreadSanitizer(directory, place, place.directory, **quick.settings(), sweep={"interval": "1s"},
                                 retention={"deliveries": 100, "builds": 10, "images": 2, "runs": 1})
    with agent:
        service = pushes(agent, place, quick)
        run = service.force(agent).json["name"]
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            busy = [pool.submit(reads, agent, service) for _ in range(10 * THREADS)]
            for text in ("while", "people", "ask"):
                push(agent, service.repository, text)
            agent.process.send_signal(signal.SIGHUP)
            for each in busy:
                each.result()
        agent.outcome_of(push(agent, service.repository, "last"), "deployed", PATIENCE)
        assert agent.api("DELETE", f"{service.path}/runs/{run}").status in (200, 202, 204, 409)
    agent.check()


@pytest.mark.full
def test_memory(new_place, quick):
    place = new_place("memory")
    agent = UnderValgrind(build("release", "-DCRONWRIGHT_TESTS=OFF"), place, place.directory, **quick.settings(),
                          sweep={"interval": "2s"}, git={"timeout": "240s"})
    with agent:
        agent.await_ready(PATIENCE)
        service = pushes(agent, place, quick)
        reads(agent, service)
        for words in COMMANDS:
            assert agent.command_line(*words)
        assert service.name in agent.command_line("show", service.full_name)
        agent.process.send_signal(signal.SIGHUP)
        agent.outcome_of(push(agent, service.repository, "last"), "deployed", PATIENCE)
    agent.check()
