"""What the agent shows of itself: health, readiness, metrics."""

import re
import subprocess

import pytest

import forges
from agents import FORGE_SECRETS, Agent, ask
from places import report
from waiting import eventually


class Metrics:
    """One reading: series as written → value."""

    def __init__(self, agent):
        answer = ask(agent.metrics, "GET", "/metrics")
        assert answer.status == 200, answer
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        self.text = answer.text
        self.values = {name: float(value) for name, value in re.findall(r"^([^#\s]\S*) (\S+)$", self.text, re.MULTILINE)}

    def __getitem__(self, series):
        return self.values.get(f"cronwright_{series}", 0)

    def sum(self, start):
        return sum(value for name, value in self.values.items() if name.startswith(f"cronwright_{start}"))


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
