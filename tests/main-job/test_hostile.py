"""Repositories and registries that misbehave: each push ends with a reason, nothing is started, others are served."""

import http.server
import os
import socket
import threading

import pytest

from agents import Agent, push_of
from places import report
from waiting import eventually

GIT_SECONDS = 3


@pytest.fixture(scope="module")
def own_place(new_place):
    return new_place("hostile")


@pytest.fixture(scope="module")
def hasty_agent(own_place):
    """It waits for no repository for long, and may build anything into anything."""
    agent = Agent(own_place, own_place.directory, git={"timeout": f"{GIT_SECONDS}s"})
    agent.config["allow"][0].update(repositories=["*"], images=["*"])
    with agent:
        yield agent


def nothing_came_of(place, repository, service, before):
    assert service.get()["spec"] == before["spec"] and service.annotation("commit") is None
    assert not place.build_jobs(repository)


class Redirector(http.server.ThreadingHTTPServer):
    """Answers every request with a redirect to the same path elsewhere, and notes with what it was asked."""

    def __init__(self, target):
        super().__init__(("127.0.0.1", 0), RedirectorRequest)
        self.target, self.logins = target, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class RedirectorRequest(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.logins.append(self.headers.get("Authorization"))
        self.send_response(302)
        self.send_header("Location", self.server.target + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Not to standard error."""


def test_repository_that_redirects_to_another_host(hasty_agent, own_place):
    repository = own_place.repository("moved")
    commit = repository.push(report(own_place.cluster, "never built"))
    with Redirector(os.environ["GIT_URL"]) as redirector:
        repository.url = repository.url.replace(os.environ["GIT_URL"], redirector.url)
        service = own_place.service("moved", repository=repository).seen_by(hasty_agent)
        before = service.get()
        found = hasty_agent.outcome_of(hasty_agent.accept(push_of(repository, commit)), "repository-redirect")
        assert "redirects" in found["detail"] and "use the URL that it leads to" in found["detail"], found
        assert redirector.logins and not any(redirector.logins)
        nothing_came_of(own_place, repository, service, before)
        service.delete()
        redirector.shutdown()


def test_repository_that_never_answers(hasty_agent, own_place):
    """It is left after its time, and holds up no other one meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        repository = own_place.repository("silent")
        repository.url = f"http://127.0.0.1:{silent.getsockname()[1]}/acme/silent.git"
        service = own_place.service("silent", repository=repository).seen_by(hasty_agent)
        before = service.get()
        waiting = hasty_agent.accept(push_of(repository, "7" * 40))
        other = own_place.repository("prompt")
        prompt = own_place.service("prompt", repository=other).seen_by(hasty_agent)
        commit = other.push(report(own_place.cluster, "prompt"))
        hasty_agent.outcome_of(hasty_agent.accept(push_of(other, commit)), "deployed")
        assert prompt.annotation("commit") == commit
        identity = repository.url.split("//")[1].removesuffix(".git")
        lines = lambda: [line for line in hasty_agent.log_text().splitlines() if identity in line]
        eventually(lambda: any("repository-timeout" in line for line in lines()), "its time is over", 60)
        assert hasty_agent.api("GET", f"/v1/deliveries/{waiting.id}").json["builds"] == []
        nothing_came_of(own_place, repository, service, before)
        service.delete()


OUTSIDE = {"context-above": {"context": "../.."}, "context-of-the-machine": {"context": "/etc"},
           "dockerfile-above": {"dockerfile": "../../../etc/passwd"}, "dockerfile-of-the-machine": {"dockerfile": "/etc/passwd"},
           "context-in-git": {"context": ".git"}}


@pytest.mark.parametrize("which", OUTSIDE)
def test_context_outside_the_tree(hasty_agent, own_place, which):
    repository = own_place.repository("outside", report(own_place.cluster, "never built"))
    service = own_place.service("outside", repository=repository, annotations=OUTSIDE[which]).seen_by(hasty_agent)
    before = service.get()
    found = hasty_agent.outcome(hasty_agent.accept(push_of(repository, repository.commit_of_head())))
    assert found["reason"] not in ("deployed", "accepted") and found["detail"], found
    nothing_came_of(own_place, repository, service, before)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../etc/passwd", "nowhere"])
def test_dockerfile_that_is_a_link_out_of_the_tree(hasty_agent, own_place, target):
    repository = own_place.repository("linked")
    service = own_place.service("linked", repository=repository).seen_by(hasty_agent)
    before = service.get()
    (repository.work / "Dockerfile").symlink_to(target)
    commit = repository.push({"README": "has no Dockerfile of its own"})
    found = hasty_agent.outcome(hasty_agent.accept(push_of(repository, commit)))
    assert found["reason"] not in ("deployed", "accepted") and found["detail"], found
    assert "Dockerfile" in found["detail"] and "root:" not in found["detail"]
    assert service.get()["spec"] == before["spec"] and service.annotation("commit") is None


def test_dockerfile_that_is_missing(hasty_agent, own_place):
    repository = own_place.repository("bare")
    service = own_place.service("bare", repository=repository).seen_by(hasty_agent)
    before = service.get()
    commit = repository.push({"README": "nothing to build"})
    found = hasty_agent.outcome_of(hasty_agent.accept(push_of(repository, commit)), "dockerfile-missing")
    assert "Dockerfile" in found["detail"]
    nothing_came_of(own_place, repository, service, before)


def test_registry_that_refuses(hasty_agent, own_place):
    """Nothing listens there: Kaniko says so, and the CronJob stays as it is."""
    with socket.socket() as reserved:  # bound, and not listening: connections are refused
        reserved.bind((own_place.cluster.host_address, 0))
        host = "%s:%d" % reserved.getsockname()
        repository = own_place.repository("homeless")
        service = own_place.service("homeless", repository=repository,
                                    destination=f"{host}/acme/homeless").seen_by(hasty_agent)
        before = service.get()
        commit = repository.push(report(own_place.cluster, "homeless"))
        found = hasty_agent.outcome_of(hasty_agent.accept(push_of(repository, commit)), "build-failed", 240)
        assert host in found["detail"], found
        assert service.get()["spec"] == before["spec"]


def test_what_misbehaves_does_not_end_the_agent(hasty_agent):
    hasty_agent.check_log()
    assert hasty_agent.is_ready()
