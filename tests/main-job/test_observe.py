"""What the agent shows of itself: health, readiness, metrics, Kubernetes Events, its log."""

import copy
import json
import re
import signal
import socket
import subprocess

import pytest

import forges
from agents import FORGE_SECRETS, Agent, Metrics, ask
from places import ANNOTATION, report
from waiting import eventually


@pytest.fixture(scope="module")
def watched(new_place):
    """An agent of whose every push is known here."""
    place = new_place("watched")
    with Agent(place, place.directory) as agent:
        yield agent


def push(agent, url, commit, secret=FORGE_SECRETS["github"], **more):
    return forges.github(forges.github_push(url, commit), secret, **more)


def test_health_and_readiness_need_no_token(agent):
    for path, status in (("/healthz", "ok"), ("/readyz", "ready")):
        for address in (agent.metrics, agent.admin):
            answer = ask(address, "GET", path)
            assert (answer.status, answer.json) == (200, {"status": status})
        assert ask(agent.metrics, "HEAD", path).status == 200


def test_metrics_listener_serves_nothing_else(agent):
    for path in ("/", "/v1/services", "/openapi.json", "/webhooks/github"):
        assert ask(agent.metrics, "GET", path).status == 404
    answer = ask(agent.metrics, "POST", "/healthz", body=b"{}")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_metrics_listener_can_be_off(place, tmp_path):
    with Agent(place, tmp_path, metrics={"listen": ""}) as agent:
        assert agent.metrics is None
        assert ask(agent.admin, "GET", "/healthz").status == 200


def test_readiness_ends_before_the_agent_does(place, tmp_path):
    """While what has begun to arrive is still waited for, nobody new is to be sent here."""
    agent = Agent(place, tmp_path).start()
    delivery = push(agent, "https://git.example/nobody/follows", "1" * 40)
    head = "".join(f"{name}: {value}\r\n" for name, value in delivery.headers)
    host, port = agent.webhooks.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f"POST {delivery.path} HTTP/1.1\r\nHost: {host}\r\n{head}"
                           f"Content-Length: {len(delivery.body)}\r\n\r\n".encode() + delivery.body[:10])
        eventually(lambda: Metrics(agent)['http_connections{listener="webhooks"}'] == 1, "the request has begun")
        agent.process.send_signal(signal.SIGTERM)
        answer = eventually(lambda: (found := ask(agent.metrics, "GET", "/readyz")).status == 503 and found, "it stops")
        assert answer.json["reason"] == "not-ready" and "being stopped" in answer.json["detail"]
        assert ask(agent.metrics, "GET", "/healthz").status == 200
        connection.sendall(delivery.body[10:])
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 202 ")
    assert agent.process.wait(60) == 0
    agent.process = None
    agent.check_log()


def test_readiness_says_what_is_missing(new_place):
    """An account that may serve the namespace, and see nothing of the builds."""
    place = new_place("blind")
    place.cluster.kubectl("-n", place.namespace, "create", "rolebinding", "blind", "--clusterrole=cronwright",
                          f"--serviceaccount={place.namespace}:default")
    account = copy.copy(place.account)
    account.user = {"token": place.cluster.kubectl("create", "token", "default", "-n", place.namespace).strip()}
    kubeconfig = account.write(place.directory / "kubeconfig-blind", place.cluster.server)
    agent = Agent(place, place.directory, kubernetes={"kubeconfig": str(kubeconfig)}).start(until_ready=False)
    try:
        # Their pods may be the first that cannot be listed.
        answer = eventually(lambda: "list jobs" in (found := ask(agent.metrics, "GET", "/readyz")).text and found, "it says so")
        assert answer.status == 503 and answer.json["detail"].startswith("kubernetes: builds: list jobs: 403")
        assert ask(agent.metrics, "GET", "/healthz").status == 200
        now = Metrics(agent)
        assert now['kubernetes_watches_failing{watch="builds"}'] == 1
        assert now['kubernetes_watches_failing{watch="services"}'] == 0
        assert now['kubernetes_watch_failures_total{watch="builds"}'] > 0
        assert now['kubernetes_requests_total{verb="list",code="403"}'] > 0
    finally:
        agent.finish()


def test_metrics_on_the_admin_listener_are_for_all_namespaces(agent):
    assert ask(agent.admin, "GET", "/metrics").status == 401
    assert agent.api("GET", "/metrics", token="runner").status == 403
    answer = agent.api("GET", "/metrics", token="admin")
    assert answer.status == 200 and "\ncronwright_services " in answer.text


def test_metrics_count_each_push_once(watched):
    place, before = watched.place, Metrics(watched)
    repository = place.repository("counted")
    service = place.service("counted", repository=repository).seen_by(watched)
    good = push(watched, repository.url, repository.push(report(place.cluster, "counted")))
    watched.accept(good)
    watched.outcome_of(good, "deployed")
    watched.accept(good, "repeated")
    bad = push(watched, repository.url, repository.push({"Dockerfile": f"FROM {place.cluster.busybox_image}\nRUN false\n"}))
    watched.accept(bad)
    watched.outcome_of(bad, "build-failed")
    stranger = push(watched, "https://git.example/nobody/follows", "1" * 40)
    watched.accept(stranger, "no-match")
    for _ in range(3):
        assert watched.deliver(push(watched, repository.url, "1" * 40, "a wrong secret")).status == 401
    service.ended(watched, service.force(watched).json["name"])
    runs = 'runs_total{kind="forced",result="succeeded"}'
    eventually(lambda: Metrics(watched)[runs] == before[runs] + 1, "the run is counted")

    after = Metrics(watched)
    moved = {
        'deliveries_total{forge="github",reason="accepted"}': 2,
        'deliveries_total{forge="github",reason="repeated"}': 1,
        'deliveries_total{forge="github",reason="no-match"}': 1,
        'deliveries_finished_total{reason="deployed"}': 1,
        'deliveries_finished_total{reason="build-failed"}': 1,
        'webhooks_refused_total{forge="github",status="401"}': 3,
        'http_requests_total{listener="webhooks",status="202"}': 4,
        'http_requests_total{listener="webhooks",status="401"}': 3,
        'builds_total{result="done",reason="deployed"}': 1,
        'builds_total{result="failed",reason="build-failed"}': 1,
        'build_duration_seconds_count{result="done"}': 1,
        'build_duration_seconds_count{result="failed"}': 1,
        'build_step_duration_seconds_count{step="context"}': 2,
        'build_step_duration_seconds_count{step="kaniko"}': 1,
        'build_step_duration_seconds_count{step="patch"}': 1,
        'patches_total{result="patched"}': 1,
        'patches_total{result="failed"}': 0,
        runs: 1,
        "services": 1,
        'kubernetes_requests_total{verb="patch",code="200"}': 1,
    }
    assert {series: after[series] - before[series] for series in moved} == moved
    assert after.sum("deliveries_total") - before.sum("deliveries_total") == 4
    assert after['kubernetes_requests_total{verb="create",code="201"}'] > before['kubernetes_requests_total{verb="create",code="201"}']
    assert after["store_commit_duration_seconds_count"] > before["store_commit_duration_seconds_count"]
    assert after["store_changes_total"] - before["store_changes_total"] >= 4


def test_gauges_say_what_is(watched):
    eventually(lambda: Metrics(watched)["deliveries_pending"] == 0, "nothing waits")
    now = Metrics(watched)
    assert now['builds{state="waiting"}'] == now['builds{state="under-way"}'] == 0
    assert now['http_connections{listener="metrics"}'] >= 1
    assert now.sum("kubernetes_watches_failing") == 0
    assert 0 <= now["sweep_age_seconds"] < 3600
    assert now.values["process_start_time_seconds"] > 1.7e9
    assert now.values["process_resident_memory_bytes"] > 1e6
    assert now.values["process_open_fds"] > 5
    assert now.values["process_cpu_seconds_total"] > 0
    assert now.sum("build_info") == 1


def test_metrics_pass_the_linter(watched):
    text = Metrics(watched).text
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    assert watched.place.namespace not in text


# --- Kubernetes Events ---

def event_of(service, reason):
    def told():
        found = [event for event in service.events() if event["reason"] == reason]
        return found[0] if found else None
    return eventually(told, f"{reason} is told")


def test_events_tell_of_builds_patches_and_forced_runs(watched):
    place = watched.place
    repository = place.repository("told")
    service = place.service("told", repository=repository).seen_by(watched)
    before = service.image()
    good = push(watched, repository.url, commit := repository.push(report(place.cluster, "told")))
    watched.accept(good)
    build = watched.outcome_of(good, "deployed")["build"]
    assert event_of(service, "BuildStarted")["message"] == f"Build {build} of commit {commit[:12]} of main was started."
    assert event_of(service, "BuildSucceeded")["message"] == f"Build {build} of commit {commit[:12]} made {service.image()}."
    patched = event_of(service, "ImagePatched")
    assert patched["message"] == f"Image changed from {before} to {service.image()} (commit {commit[:12]}, build {build})."
    assert (patched["type"], patched["count"]) == ("Normal", 1)

    bad = push(watched, repository.url,
               commit := repository.push({"Dockerfile": f"FROM {place.cluster.busybox_image}\nRUN false\n"}))
    watched.accept(bad)
    failed = watched.outcome_of(bad, "build-failed")
    told = event_of(service, "BuildFailed")
    assert told["type"] == "Warning"
    assert told["message"] == f"Build {failed['build']} of commit {commit[:12]} failed (build-failed): {failed['detail']}"

    name = service.force(watched).json["name"]
    assert event_of(service, "RunForced")["message"] == f"Run {name} was started by runner."
    service.ended(watched, name)
    described = place.cluster.kubectl("describe", "cronjob", service.name, "-n", service.namespace)
    for words in (r"Normal\s+BuildStarted\s.*\scronwright\s", r"Warning\s+BuildFailed\s", r"Normal\s+ImagePatched\s"):
        assert re.search(words, described), described


def test_events_tell_of_an_image_that_is_left_alone(watched):
    place = watched.place
    repository = place.repository("pinned")
    service = place.service("pinned", repository=repository).seen_by(watched)
    good = push(watched, repository.url, repository.push(report(place.cluster, "pinned")))
    watched.accept(good)
    watched.outcome_of(good, "deployed")
    service.set_image(place.cluster.busybox_image)
    eventually(lambda: service.status(watched)["image"] == place.cluster.busybox_image, "the agent sees it")
    second = push(watched, repository.url, commit := repository.push(report(place.cluster, "pinned again")))
    watched.accept(second)
    watched.outcome_of(second, "pinned")
    assert f"commit {commit[:12]} is there, but the image was" in event_of(service, "ImagePinned")["message"]


def test_events_are_told_once_and_not_without_end(watched):
    place = watched.place
    repository = place.repository("wrong")
    before = Metrics(watched)
    service = place.service("wrong", repository=repository, destination="registry.example/not/allowed").seen_by(watched)
    told = event_of(service, "NotAllowed")
    assert told["type"] == "Warning" and "allow table has no entry" in told["message"]
    service.merge(metadata={"annotations": {ANNOTATION + "build-args": "{"}})
    assert event_of(service, "Misconfigured")["type"] == "Warning"
    for i in range(30):
        service.merge(metadata={"annotations": {ANNOTATION + "build-args": None,
                                                ANNOTATION + "image": f"registry.example/not/allowed/{i}"}})
    dropped = 'kubernetes_events_total{result="dropped"}'
    eventually(lambda: Metrics(watched)[dropped] - before[dropped] >= 5, "events are left out")
    assert 15 <= len(service.events()) <= 25
    assert Metrics(watched)['kubernetes_events_total{result="failed"}'] == 0


def test_the_same_event_is_counted(watched):
    place = watched.place
    repository = place.repository("again", {"Dockerfile": "FROM scratch\n"})
    service = place.service("again", repository=repository, destination="registry.example/not/allowed").seen_by(watched)
    first = event_of(service, "NotAllowed")

    def counted():
        """Each push that is refused tells it; so soon after another, though, it is the same."""
        delivery = watched.accept(push(watched, repository.url, repository.commit_of_head()))
        watched.outcome_of(delivery, "not-allowed")
        [event] = service.events()
        return event if event["count"] > 1 else None
    event = eventually(counted, "it is counted", 60)
    assert event["metadata"]["uid"] == first["metadata"]["uid"]
    assert event["lastTimestamp"] > first["lastTimestamp"]


# --- the log ---

@pytest.mark.parametrize("form", ["text", "json"])
def test_a_push_can_be_followed_through_the_log(new_place, form):
    place = new_place(f"log-{form}")
    with Agent(place, place.directory, log={"format": form}) as agent:
        repository = place.repository("followed")
        service = place.service("followed", repository=repository).seen_by(agent)
        delivery = push(agent, repository.url, commit := repository.push(report(place.cluster, "followed")))
        agent.accept(delivery)
        agent.outcome_of(delivery, "deployed")
        run = service.force(agent).json["name"]
        service.ended(agent, run)
        eventually(lambda: "run ended" in agent.log_text(), "the run's end is in the log")
    lines = [read_line(line, form) for line in agent.log_text().splitlines()]

    def the(message, **ids):
        [line] = [line for line in lines if line["message"] == message and ids.items() <= line.items()]
        return line
    assert the("delivery stored", delivery=delivery.id)["reason"] == "accepted"
    build = the("build wanted", delivery=delivery.id, commit=commit)["build"]
    assert the("build started", build=build)["job"] == the("image pushed", build=build)["job"]
    assert the("image patched", build=build, namespace=place.namespace, service=service.name)["image"] == service.image()
    assert the("build ended", build=build)["reason"] == "deployed"
    assert the("delivery ended", delivery=delivery.id)["build"] == build
    assert the("forced run", run=run, service=service.name)["by"] == "runner"
    assert the("run ended", run=run, service=service.name)["state"] == "succeeded"


def read_line(line, form):
    if form == "json":
        return json.loads(line)
    time, level, message, pairs = re.fullmatch(r"(\S+) (\w+) ([^=]*?)((?: [\w-]+=(?:\"(?:[^\"\\]|\\.)*\"|[^\s\"]*))*)",
                                               line).groups()
    return {"time": time, "level": level, "message": message,
            **{key: value.strip('"') for key, value in re.findall(r"([\w-]+)=(\"(?:[^\"\\]|\\.)*\"|\S*)", pairs)}}
