"""Build contexts that are too large for a Secret: what the pod fetches, from whom, and what goes wrong."""

import base64
import hashlib
import http.client
import http.server
import json
import random
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

import pytest

from agents import PROGRAM, REPORT, SANITIZERS, Agent, push_of
from images import push_program
from places import report
from repositories import git
from waiting import eventually

MIB = 1 << 20


@pytest.fixture(scope="session")
def program_image(cluster, tmp_path_factory):
    return push_program(f"{cluster.registry}/cronwright-program:test", tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def here(new_place):
    return new_place("contexts")


@pytest.fixture(scope="module")
def fetching(here, program_image):
    """An agent with a context listener."""
    with Agent(here, here.directory, context=listener(here, program_image)) as agent:
        yield agent


def free_port(host):
    with socket.socket() as chosen:
        chosen.bind((host, 0))
        return chosen.getsockname()[1]


def listener(place, image, **more):
    host = place.cluster.host_address
    port = free_port(host)
    return {"listen": f"{host}:{port}", "address": f"https://{host}:{port}", "image": image, **more}


def noise(size, seed=1):
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def large(place, text, size=2 * MIB, **more):
    return {**report(place.cluster, text, "COPY noise /noise"), "noise": noise(size), **more}


def job_of(place, repository):
    """The name of the build's only Job."""
    return eventually(lambda: place.build_jobs(repository), "the build has a Job")[0]["metadata"]["name"]


def pods_of(place, job):
    return place.cluster.list("pods", place.builds_namespace, f"batch.kubernetes.io/job-name={job}")


def ticket_of(place, job):
    secret = eventually(lambda: place.cluster.get("secrets", place.builds_namespace, job), "the Job has a ticket")
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def ask_listener(ticket, path=None, token=None, method="GET"):
    """(status, body) of the context listener, as the ticket has it unless told otherwise."""
    url = urllib.parse.urlsplit(ticket["address"])
    trust = ssl.create_default_context(cadata=ticket["ca"])
    connection = http.client.HTTPSConnection(url.hostname, url.port, context=trust, timeout=60)
    try:
        headers = {"Authorization": f"Bearer {token or ticket['token']}"} if token != "" else {}
        connection.request(method, path or url.path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def started(agent, place, word, files=None):
    """A service with a large context that was pushed: repository, delivery, Job."""
    repository = place.repository(word)
    place.service(word, repository=repository).seen_by(agent)
    commit = repository.push(files or large(place, word))
    delivery = agent.accept(push_of(repository, commit))
    return repository, delivery, job_of(place, repository)


# --- as it should be ---

def test_a_large_context_is_fetched(fetching, here):
    repository, delivery, job = started(fetching, here, "fetched")
    ticket = ticket_of(here, job)
    fetching.outcome_of(delivery, "deployed", 180)
    pod = pods_of(here, job)[0]["spec"]
    init = pod["initContainers"][0]
    assert "token" not in json.dumps(init.get("env", [])) and ticket["token"] not in json.dumps(pod)
    assert pod["automountServiceAccountToken"] is False
    assert init["securityContext"]["readOnlyRootFilesystem"] and init["securityContext"]["runAsNonRoot"]
    # Kaniko and what its RUN steps run see nothing of the ticket.
    assert "ticket" not in [mount["name"] for mount in pod["containers"][0]["volumeMounts"]]
    assert not re.search(re.escape(ticket["token"]), fetching.log_text())
    # Nothing is kept of it.
    assert not (fetching.directory / "state/contexts" / f"{job}.tar.gz").exists()


def test_a_small_context_needs_no_listener(fetching, here):
    repository = here.repository("small")
    here.service("small", repository=repository).seen_by(fetching)
    commit = repository.push(report(here.cluster, "small"))
    delivery = fetching.accept(push_of(repository, commit))
    job = job_of(here, repository)
    fetching.outcome_of(delivery, "deployed", 180)
    assert "initContainers" not in pods_of(here, job)[0]["spec"]


def test_without_a_listener_the_setting_is_named(agent, place):
    repository = place.repository("unheard")
    place.service("unheard", repository=repository).seen_by(agent)
    commit = repository.push(large(place, "unheard"))
    found = agent.outcome_of(agent.accept(push_of(repository, commit)), "context-too-large")
    assert "921600 are allowed (context.listen)" in found["detail"], found


# --- who may fetch ---

@pytest.fixture
def held(new_place, program_image):
    """A Job whose pod never starts to fetch, with its agent: its image cannot be pulled."""
    place = new_place("held")
    nowhere = f"{place.cluster.registry}/cronwright-program:no-such-tag"
    with Agent(place, place.directory, context=listener(place, nowhere), sweep={"interval": "1h"}) as agent:
        repository, delivery, job = started(agent, place, "held")
        place.held = repository
        try:
            yield place, agent, job, ticket_of(place, job)
        finally:
            place.cluster.delete("jobs", place.builds_namespace, job)


def test_only_the_token_of_the_job_is_good(held):
    place, agent, job, ticket = held
    status, body = ask_listener(ticket)
    assert status == 200 and hashlib.sha256(body).hexdigest() == ticket["sha256"]
    assert ask_listener(ticket, method="HEAD")[0] == 200
    uid, signature = ticket["token"].split(".")
    for token in ("", "x", signature, f"{uid}.", f"{uid}.{'0' * 64}", ticket["token"][:-1], ticket["token"].upper()):
        assert ask_listener(ticket, token=token)[0] == 401, token
    assert ask_listener(ticket, path="/contexts/cw-0123456789abcdef-1")[0] == 401
    assert ask_listener(ticket, path="/contexts/..%2Fcronwright.db")[0] == 401
    assert ask_listener(ticket, path="/healthz")[0] == 404
    # The state's files are for the agent alone.
    assert (agent.directory / "state/context.key").stat().st_mode & 0o777 == 0o600
    # When the Job has ended its token is good for nothing.
    place.cluster.delete("jobs", place.builds_namespace, job)
    eventually(lambda: place.cluster.get("jobs", place.builds_namespace, job) is None, "the Job is gone")
    status, body = ask_listener(ticket)
    assert status == 409 and json.loads(body)["reason"] == "not-found"


def test_an_image_that_cannot_be_pulled_is_named(held):
    place, agent, job, ticket = held
    def said():
        return [build for build in agent.get("/v1/builds")["builds"]
                if build["job"] == job and build["state"] == "running"]
    eventually(said, "the build runs")
    eventually(lambda: any("ErrImagePull" in json.dumps(pod["status"]) or "ImagePullBackOff" in
                           json.dumps(pod["status"]) for pod in pods_of(place, job)), "the pull fails", 60)


def test_what_is_gone_is_packed_again(held):
    place, agent, job, ticket = held
    spooled = agent.directory / "state/contexts" / f"{job}.tar.gz"
    first = spooled.read_bytes()
    spooled.unlink()
    def again():
        status, body = ask_listener(ticket)
        assert status in (200, 503), body
        return body if status == 200 else None
    assert eventually(again, "the context is packed again", 60) == first
    # And after a restart, which empties the spool.
    agent.restart()
    assert eventually(again, "the context is packed after a restart", 60) == first


def test_what_cannot_be_packed_again_is_said(held):
    place, agent, job, ticket = held
    git(place.held.work, "commit", "-q", "--amend", "-m", "Rewritten")
    git(place.held.work, "push", "-q", "-f", place.held.url, "HEAD:refs/heads/main")
    for name in ("contexts", "mirrors"):
        for path in (agent.directory / "state" / name).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    def final():
        status, body = ask_listener(ticket)
        assert status in (409, 503), body
        return json.loads(body)["detail"] if status == 409 else None
    assert "no longer leads to commit" in eventually(final, "the listener says why", 60)


# --- what goes wrong ---

def test_an_evicted_pod_is_followed_by_one_that_fetches(new_place, program_image):
    """The first pod is evicted while it cannot reach the agent, the second gets the context."""
    place = new_place("evicted")
    with Agent(place, place.directory, context=listener(place, program_image)) as agent:
        repository, delivery, job = started(agent, place, "evicted", large(place, "evicted", 30 * MIB))
        agent.kill()
        shutil.rmtree(agent.directory / "state/contexts")
        pod = eventually(lambda: pods_of(place, job), "the Job has a pod", 60)[0]["metadata"]["name"]
        place.cluster.call("POST", f"/api/v1/namespaces/{place.builds_namespace}/pods/{pod}/eviction",
                           {"apiVersion": "policy/v1", "kind": "Eviction",
                            "metadata": {"name": pod, "namespace": place.builds_namespace}})
        eventually(lambda: [other for other in pods_of(place, job) if other["metadata"]["name"] != pod],
                   "another pod follows", 120)
        agent.start()
        agent.outcome_of(delivery, "deployed", 180)
        builds = agent.builds_of(repository)
        assert [build["job"] for build in builds] == [job], builds


def test_a_second_agent_serves_the_jobs_of_the_first(new_place, program_image, tmp_path):
    place = new_place("second")
    context = listener(place, program_image)
    host = place.cluster.host_address
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=contexts",
                    "-addext", f"subjectAltName=IP:{host}", "-keyout", tmp_path / "key", "-out", tmp_path / "pem"],
                   check=True, capture_output=True)
    context.update(certificateFile=str(tmp_path / "pem"), keyFile=str(tmp_path / "key"))
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first = Agent(place, tmp_path / "first", context=context)
    second = Agent(place, tmp_path / "second", context=context)
    first.start()
    repository, delivery, job = started(first, place, "second", large(place, "second", 30 * MIB))
    ticket = ticket_of(place, job)
    first.kill()
    first.check_log()
    with second:
        def served():
            status, body = ask_listener(ticket)
            return body if status == 200 else None
        body = eventually(served, "the second agent gives the first one's context", 90)
        assert hashlib.sha256(body).hexdigest() == ticket["sha256"]
        eventually(lambda: place.cluster.get("jobs", place.builds_namespace, job)["status"].get("succeeded"),
                   "the first one's Job succeeds", 180)


def test_a_damaged_spool_fails_the_build(new_place, program_image):
    place = new_place("damaged")
    with Agent(place, place.directory, context=listener(place, program_image)) as agent:
        repository = place.repository("damaged")
        place.service("damaged", repository=repository).seen_by(agent)
        commit = repository.push(large(place, "damaged"))
        spool = agent.directory / "state/contexts"
        delivery = push_of(repository, commit)
        stop = threading.Event()

        def damage():
            """As soon as it is there, every file gets another byte in its middle."""
            while not stop.is_set():
                for path in spool.glob("*.tar.gz"):
                    with path.open("r+b") as file:
                        file.seek(MIB)
                        file.write(b"damaged")
                time.sleep(0.001)
        thread = threading.Thread(target=damage)
        thread.start()
        try:
            agent.accept(delivery)
            found = agent.outcome_of(delivery, "context-failed", 120)
        finally:
            stop.set()
            thread.join()
        assert re.search(r"its SHA-256 is [0-9a-f]{64} and should be [0-9a-f]{64}", found["detail"]), found
        assert len(agent.builds_of(repository)) == 1


def test_the_spool_is_bounded(new_place):
    place = new_place("spool")
    nowhere = f"{place.cluster.registry}/cronwright-program:no-such-tag"
    with Agent(place, place.directory, context=listener(place, nowhere, maxSpoolBytes="5MiB")) as agent:
        spool = agent.directory / "state/contexts"
        jobs = []
        try:
            for number in range(4):
                files = large(place, f"spool {number}", number=str(number), noise=noise(2 * MIB, number))
                jobs.append(started(agent, place, "spool", files)[2])
                ticket_of(place, jobs[-1])
            left = sorted(path.name for path in spool.iterdir())
            assert left == sorted(f"{job}.tar.gz" for job in jobs[2:]), left
            # The evicted one is given all the same, and another goes.
            ticket = ticket_of(place, jobs[0])
            eventually(lambda: ask_listener(ticket)[0] == 200, "an evicted context is packed again", 60)
            assert sum(path.stat().st_size for path in spool.iterdir()) <= 5 * MIB
        finally:
            for job in jobs:
                place.cluster.delete("jobs", place.builds_namespace, job)


# --- fetch-context against a server of any kind ---

class Source:
    """An HTTPS server that answers each request with the next of `answers`: (status, body[, length])."""

    def __init__(self, directory, *answers):
        self.answers, self.asked = list(answers), []
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=x",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", directory / "key", "-out",
                        directory / "ca"], check=True, capture_output=True)
        source = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                source.asked.append(self.headers.get("Authorization"))
                status, body, *length = source.answers.pop(0) if len(source.answers) > 1 else source.answers[0]
                self.send_response(status)
                self.send_header("Content-Length", str(length[0] if length else len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trust.load_cert_chain(directory / "ca", directory / "key")
        self.server.socket = trust.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"https://127.0.0.1:{self.server.server_address[1]}/contexts/x"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


BODY = b"an archive" * 1000


@pytest.fixture
def fetch(tmp_path):
    sources = []

    def run(*answers, seconds=20, **changes):
        source = Source(tmp_path, *answers)
        sources.append(source)
        ticket = tmp_path / "ticket"
        ticket.mkdir()
        parts = {"address": source.address, "token": "the-token", "sha256": hashlib.sha256(BODY).hexdigest(),
                 "bytes": str(len(BODY)), "ca": (tmp_path / "ca").read_text(), **changes}
        for name, text in parts.items():
            (ticket / name).write_text(text)
        done = subprocess.run([PROGRAM, "fetch-context", "--timeout", str(seconds), ticket, tmp_path / "out"],
                              env={**SANITIZERS, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=120)
        assert not REPORT.search(done.stderr), done.stderr
        assert "the-token" not in done.stderr
        there = (tmp_path / "out").exists()
        assert there == (done.returncode == 0)
        assert not (tmp_path / "out.part").exists()
        return done.returncode, done.stderr.strip().splitlines()[-1], source
    yield run
    for source in sources:
        source.close()


def test_fetch_takes_what_is_right(fetch, tmp_path):
    status, words, source = fetch((503, b""), (200, BODY[:100], len(BODY)), (200, BODY))
    assert status == 0, words
    assert (tmp_path / "out").read_bytes() == BODY
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o444
    assert source.asked == ["Bearer the-token"] * 3


@pytest.mark.parametrize("answer, words", [
    ((200, BODY[:-1] + b"x"), "its SHA-256 is "),
    ((200, BODY + b"x"), "it is more than the 10000 bytes it should be"),
    ((200, BODY[:-1]), "it is 9999 bytes and should be 10000"),
    ((401, b'{"detail": "the token is not that of a build\'s Job"}'), "refused with 401: the token is not that"),
    ((404, b"<html>"), "refused with 404: no reason given"),
    ((302, b""), "refused with 302: no reason given")])
def test_fetch_refuses_what_is_wrong(fetch, answer, words):
    status, said, source = fetch(answer)
    assert (status, said[:len(words)]) == (1, words)


def test_fetch_goes_on_until_time_runs_out(fetch):
    status, said, source = fetch((503, b'{"detail": "the services are being listed"}'), seconds=7)
    assert status == 75 and said == "time ran out: refused with 503: the services are being listed"
    assert 2 <= len(source.asked) <= 4


def test_fetch_trusts_the_ticket_alone(fetch, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    Source(other, (200, BODY)).close()
    status, said, source = fetch((200, BODY), ca=(other / "ca").read_text())
    assert status == 1 and "certificate" in said and not source.asked


def test_fetch_needs_a_whole_ticket(fetch):
    status, said, source = fetch((200, BODY), address="http://127.0.0.1:1/contexts/x")
    assert status == 1 and said.endswith("is no ticket for a build context") and not source.asked
