"""SIGHUP: secrets, tokens and the allow table change while requests come in, and nothing is refused that is right."""

import collections
import hashlib
import json
import signal
import threading

import pytest

import forges
from agents import FORGE_SECRETS, TOKENS, Agent, ask, push_of
from places import SCHEDULE, report
from waiting import eventually

RELOADED, KEPT = "settings reloaded", "settings not reloaded"
URL = "https://git.example/acme/report"


def reload(agent, text=None, said=RELOADED):
    """Writes the settings, has them read, and waits for what the log says of it; gives that."""
    (agent.directory / "cronwright.yaml").write_text(text or json.dumps(agent.config, indent=1))
    before = agent.log.stat().st_size
    agent.process.send_signal(signal.SIGHUP)
    eventually(lambda: RELOADED in agent.log_text(before) or KEPT in agent.log_text(before), "the settings are read")
    log = agent.log_text(before)
    assert said in log, log
    return log


class Stream:
    """Requests from several threads at once, one after the other; `send` gives a status."""

    def __init__(self, send, threads=3):
        self.send, self.over = send, threading.Event()
        self.answers = [collections.Counter() for _ in range(threads)]  # of each thread
        self.threads = [threading.Thread(target=self.run, args=[answers]) for answers in self.answers]

    def run(self, answers):
        while not self.over.is_set():
            answers[self.send()] += 1

    @property
    def statuses(self):
        return sum(self.answers, collections.Counter())

    def goes_on(self, more=5):
        """Waits until each thread has had so many further answers: none of before is under way any more."""
        wanted = [answers.total() + more for answers in self.answers]
        eventually(lambda: all(answers.total() >= least for answers, least in zip(self.answers, wanted)),
                   "requests are answered")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.goes_on()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture(scope="module")
def place(new_place):
    return new_place("reload")


@pytest.fixture
def agent(place, tmp_path):
    """With a token of which only the hash is known to it."""
    agent = Agent(place, tmp_path)
    digest = hashlib.sha256(TOKENS["admin"].encode()).hexdigest()
    agent.config["admin"]["tokens"][0] = {"name": "admin", "hash": f"sha256:{digest}", "role": "admin",
                                          "namespaces": ["*"]}
    with agent:
        yield agent


def ping(agent, secret):
    return agent.deliver(forges.github(forges.github_ping(URL), secret, event="ping")).status


def test_secret_and_token_are_replaced_under_load(agent):
    """Each is added beside the old one, then used, then the old one goes: no right request is refused."""
    used = {"secret": FORGE_SECRETS["github"], "token": TOKENS["admin"]}
    look = lambda token: ask(agent.admin, "GET", "/v1/services", [("Authorization", f"Bearer {token}")]).status
    with Stream(lambda: ping(agent, used["secret"])) as pings, Stream(lambda: look(used["token"])) as looks:
        both = lambda: (pings.goes_on(), looks.goes_on())
        agent.secret_file("fresh").write_text("a fresh secret\n")
        agent.config["webhooks"]["github"]["secretFiles"].append(str(agent.secret_file("fresh")))
        out, err = agent.cli("token", "--name", "next", "--role", "admin")
        agent.config["admin"]["tokens"].append({
            "name": "next", "hash": "sha256:" + hashlib.sha256(out.strip().encode()).hexdigest(), "role": "admin",
            "namespaces": ["*"]})
        assert agent.config["admin"]["tokens"][-1]["hash"] in err
        for _ in range(5):
            reload(agent)
            both()
        used.update(secret="a fresh secret", token=out.strip())
        both()
        agent.config["webhooks"]["github"]["secretFiles"] = [str(agent.secret_file("fresh"))]
        del agent.config["admin"]["tokens"][0]
        reload(agent)
        both()
    assert set(pings.statuses) == {202} and set(looks.statuses) == {200}, (pings.statuses, looks.statuses)
    assert ping(agent, FORGE_SECRETS["github"]) == 401
    assert look(TOKENS["admin"]) == 401
    for text in (TOKENS["admin"], out.strip(), "a fresh secret"):
        assert text not in agent.log_text()


def test_role_and_namespaces_of_a_token(agent, place):
    path = f"/v1/services?namespace={place.namespace}"
    assert agent.api("GET", path, token="viewer").status == 200
    viewer = next(token for token in agent.config["admin"]["tokens"] if token["name"] == "viewer")
    body = {"name": place.name("made"), "namespace": place.namespace, "schedule": SCHEDULE,
            "source": {"image": place.cluster.busybox_image}}
    assert agent.api("POST", "/v1/services", body, token="viewer").status == 403
    viewer["role"] = "admin"
    reload(agent)
    assert agent.api("POST", "/v1/services", body, token="viewer").status == 201
    viewer["namespaces"] = ["somewhere-else"]
    reload(agent)
    assert agent.api("POST", "/v1/services", body, token="viewer").status == 403


def test_entry_of_the_allow_table_comes_and_goes(agent, place):
    """A draft that is allowed now is built at once, with no push and no sweep; one that is not any more gets nothing."""
    allow, agent.config["allow"] = agent.config["allow"], []
    reload(agent)
    repository = place.repository("allowed", report(place.cluster, "allowed"))
    service = place.service("allowed", repository=repository, annotations={"state": "draft"},
                            spec={"suspend": True}).seen_by(agent)
    assert "no entry is for that namespace" in service.status(agent)["problem"]
    push = lambda commit: push_of(repository, commit)
    found = agent.outcome_of(agent.accept(push(repository.commit_of_head())), "not-allowed")
    assert "no entry is for that namespace" in found["detail"]
    assert not place.build_jobs(repository)
    agent.config["allow"] = allow
    reload(agent)
    first = repository.commit_of_head()
    eventually(lambda: service.annotation("commit") == first, "it is built", 90)
    agent.config["allow"] = []
    reload(agent)
    second = repository.push(report(place.cluster, "denied"))
    refused = agent.accept(push(second))
    agent.outcome_of(refused, "not-allowed")
    assert service.annotation("commit") == first and len(place.build_jobs(repository)) == 1
    agent.config["allow"] = allow  # the push that was refused is taken up again
    reload(agent)
    eventually(lambda: service.annotation("commit") == second, "it is built", 90)
    agent.outcome_of(refused, "deployed")


def test_who_loses_the_right_loses_the_build(agent, place):
    """Its Job is ended, and the service stays as it is."""
    repository = place.repository("losing")
    service = place.service("losing", repository=repository).seen_by(agent)
    commit = repository.push(report(place.cluster, "never", 'RUN ["/bin/busybox", "sleep", "30"]'))
    delivery = agent.accept(push_of(repository, commit))
    agent.build_reaches(repository, commit, "running")
    agent.config["allow"] = []
    reload(agent)
    build = agent.build_reaches(repository, commit, "superseded")
    assert build["reason"] == "cancelled", build
    agent.outcome_of(delivery, "not-allowed")
    eventually(lambda: not place.unfinished_build_jobs(repository), "the Job has ended")
    assert service.annotation("commit") is None and "not-built" in service.image()


def test_file_with_errors_changes_nothing(agent):
    good = json.dumps(agent.config)
    secret = FORGE_SECRETS["github"]
    with Stream(lambda: ping(agent, secret)) as pings:
        wrong = {**agent.config, "allow": [{"namespaces": ["a"], "repositories": ["*"], "images": ["*"],
                                            "gitCredential": "nobody"}], "zzz": 1}
        log = reload(agent, json.dumps(wrong, indent=1), KEPT)
        assert "none of git.credentials has the name" in log and "zzz" in log
        agent.secret_file("github").unlink()
        log = reload(agent, good, KEPT)
        assert "No such file" in log
        reload(agent, "a: b: c", KEPT)
        pings.goes_on()
        agent.secret_file("github").write_text(secret)
        reload(agent, good)
        pings.goes_on()
    assert set(pings.statuses) == {202}


def test_what_needs_a_restart_is_named(agent, place):
    """And the rest of the file is taken over."""
    agent.config["kubernetes"]["namespaces"] = [place.namespace, "another"]
    agent.config["builds"]["namespace"] = "elsewhere"
    agent.config["log"]["level"] = "info"
    log = reload(agent, said="restart")
    for key in ("kubernetes.namespaces", "builds.namespace"):
        assert f"setting={key}" in log
    assert "setting=log.level" not in log
    assert agent.api("GET", "/v1/services/another/x").json["reason"] == "not-watched"
