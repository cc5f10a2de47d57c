"""Forced runs: exactly what `kubectl create job --from` makes, once, and nothing else touched."""

import json
import os
import threading

import pytest

from agents import ask
from places import ANNOTATION, Service, shell
from waiting import eventually


@pytest.fixture(scope="module")
def service(agent, place):
    """Ends at once, and well."""
    return place.service("runs", container=shell("echo done"), job={"backoffLimit": 2}).seen_by(agent)


@pytest.fixture(scope="module")
def long_service(agent, place):
    return place.service("long", container=shell("echo begun; exec /bin/busybox sleep 600")).seen_by(agent)


@pytest.fixture
def long(long_service):
    """Runs until it is ended; without a run at first, and in the end."""
    long_service.clear()
    yield long_service
    long_service.clear()


def conflict(answer, run):
    assert answer.status == 409 and answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.json["reason"], answer.json["run"]) == ("active-run", run)
    assert run in answer.json["detail"]


# --- what is made ---

def test_created_run_is_answered(agent, service):
    answer = service.force(agent)
    run = answer.json
    assert answer.headers["Location"] == f"{service.path}/runs/{run['name']}"
    assert (run["kind"], run["requestedBy"], run["service"]) == ("forced", "runner", service.name)
    assert (run["state"], run["maxAttempts"], run["concurrency"]) == ("pending", 3, "Forbid")
    ended = service.ended(agent, run["name"])
    assert (ended["state"], ended["exitCode"]) == ("succeeded", 0)
    assert agent.get(answer.headers["Location"])["name"] == run["name"]
    [attempt] = ended["attempts"]
    assert (attempt["attempt"], attempt["state"], attempt["container"]) == (1, "succeeded", "main")
    assert ended["created"] <= ended["started"] <= ended["finished"]


def generated(job):
    """What the API server writes into every Job, by its uid and name."""
    for labels in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
        for key in ("batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name"):
            labels.pop(key, None)
    job["spec"].pop("selector", None)
    return job


def test_job_is_that_of_kubectl_create_job_from(agent, place):
    """Compared with the real one, field by field; ours says who asked besides."""
    service = place.service("compare", container=shell("true", env=[{"name": "A", "value": "b"}]),
                            job={"backoffLimit": 1, "activeDeadlineSeconds": 60, "ttlSecondsAfterFinished": 600,
                                 "template": {"metadata": {"labels": {"pod": "yes"}, "annotations": {"of": "the pod"}},
                                              "spec": {}}},
                            template={"volumes": [{"name": "scratch", "emptyDir": {}}]}).seen_by(agent)
    theirs = json.loads(place.cluster.kubectl("-n", place.namespace, "create", "job", "by-kubectl", "-o", "json",
                                              f"--from=cronjob/{service.name}", "--dry-run=server"))
    name = service.force(agent).json["name"]
    ours = place.cluster.get("jobs", place.namespace, name)
    service.ended(agent, name)
    theirs, ours = generated(theirs), generated(ours)
    assert ours["spec"] == theirs["spec"]
    assert ours["metadata"]["labels"] == theirs["metadata"]["labels"]
    assert ours["metadata"]["ownerReferences"] == theirs["metadata"]["ownerReferences"]
    added = {key: value for key, value in ours["metadata"]["annotations"].items()
             if key not in theirs["metadata"]["annotations"]}
    assert all(key.startswith(ANNOTATION) for key in added)
    assert added[ANNOTATION + "run-kind"] == "forced" and added[ANNOTATION + "requested-by"] == "runner"
    assert {key: ours["metadata"]["annotations"][key] for key in theirs["metadata"]["annotations"]} == \
        theirs["metadata"]["annotations"]


def test_cronjob_is_not_touched(agent, service):
    before = service.get()
    service.ended(agent, service.force(agent).json["name"])
    after = service.get()
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["spec"] == before["spec"]
    assert [after["metadata"].get(kind) for kind in ("labels", "annotations", "finalizers", "ownerReferences")] == \
        [before["metadata"].get(kind) for kind in ("labels", "annotations", "finalizers", "ownerReferences")]
    assert after["status"].get("lastScheduleTime") == before["status"].get("lastScheduleTime")
    managers = {field["manager"] for field in after["metadata"]["managedFields"]}
    assert not any("cronwright" in manager for manager in managers)


def test_name_of_52_characters(agent, place):
    name = "n" * 51 + "0"
    service = Service(place, name, container=shell("echo long")).seen_by(agent)
    runs = [service.force(agent, {"ifActive": "allow"}).json["name"] for _ in range(2)]
    assert len(set(runs)) == 2
    for run in runs:
        assert run.startswith(name + "-f-") and len(run) <= 63
        assert service.ended(agent, run)["state"] == "succeeded"
        assert agent.api("GET", f"{service.path}/runs/{run}/logs?follow=true").text == "long\n"


def test_suspended_service_can_be_forced(agent, place):
    service = place.service("suspended", container=shell("true"), spec={"suspend": True}).seen_by(agent)
    assert service.status(agent)["suspend"] is True
    assert service.ended(agent, service.force(agent).json["name"])["state"] == "succeeded"
    assert service.get()["spec"]["suspend"] is True


def test_service_that_was_never_built_is_not_run(agent, place):
    repository = place.repository("unbuilt", {"x": "y"})
    service = place.service("unbuilt", repository=repository).seen_by(agent)
    answer = service.force(agent, status=409)
    assert "never built" in answer.json["detail"]
    assert not service.jobs()


# --- what is active already ---

def test_active_run_refuses(agent, long):
    first = long.force(agent).json["name"]
    conflict(long.force(agent, status=409), first)
    conflict(long.force(agent, {"ifActive": "refuse"}, status=409), first)
    assert [job["metadata"]["name"] for job in long.jobs()] == [first]


def test_run_of_the_schedule_is_active_too(agent, long):
    """As one that the CronJob's controller made: it counts whoever made it."""
    long.cluster.kubectl("-n", long.namespace, "create", "job", "by-hand", f"--from=cronjob/{long.name}")
    conflict(long.force(agent, status=409), "by-hand")


def test_active_run_allowed(agent, long):
    runs = {long.force(agent, {"ifActive": "allow"}).json["name"] for _ in range(2)}
    assert {job["metadata"]["name"] for job in long.jobs()} == runs and len(runs) == 2
    eventually(lambda: {run for run in long.status(agent)["running"]} == runs, "both are shown as running")


def test_active_run_replaced(agent, long):
    """The old one is gone with its pods before the new one begins."""
    old = long.force(agent).json["name"]
    eventually(lambda: long.cluster.live_pods(long.namespace, f"batch.kubernetes.io/job-name={old}"), "it runs")
    new = long.force(agent, {"ifActive": "replace"}).json["name"]
    assert new != old
    assert [job["metadata"]["name"] for job in long.jobs()] == [new]
    assert long.pods_of(old) == []


def test_run_that_will_not_go_is_not_replaced(agent, long):
    """The answer comes before the connection's end."""
    old = long.force(agent).json["name"]
    hold = lambda finalizers: long.cluster.merge("jobs", long.namespace, old, {"metadata": {"finalizers": finalizers}})
    hold(["example.com/held"])
    try:
        answer = long.force(agent, {"ifActive": "replace"}, status=504)
        assert f"run {old} is still being deleted" in answer.json["detail"]
    finally:
        hold(None)
    assert [job["metadata"]["name"] for job in long.jobs()] in ([old], [])


def test_cancel(agent, long):
    run = long.force(agent).json["name"]
    eventually(lambda: agent.get(f"{long.path}/runs/{run}")["state"] == "running", "it runs")
    assert agent.api("DELETE", f"{long.path}/runs/{run}", token="viewer").status == 403
    assert agent.api("DELETE", f"{long.path}/runs/{run}", token="runner").status == 202
    eventually(lambda: not long.pods_of(run) and not long.jobs(), "run and pods are gone")
    ended = long.ended(agent, run)
    assert (ended["state"], ended["reason"]) == ("failed", "cancelled: its Job was deleted")
    assert agent.api("DELETE", f"{long.path}/runs/{run}", token="runner").status == 404


# --- the same request twice ---

def with_key(key):
    return [("Idempotency-Key", key)]


def test_same_key_makes_one_run(agent, long):
    first = long.force(agent, headers=with_key("nightly 1"))
    again = long.force(agent, status=200, headers=with_key("nightly 1"))
    assert again.json["name"] == first.json["name"]
    assert again.headers["Location"] == first.headers["Location"]
    assert len(long.jobs()) == 1
    conflict(long.force(agent, status=409, headers=with_key("nightly 2")), first.json["name"])
    other = long.force(agent, {"ifActive": "allow"}, headers=with_key("nightly 2")).json["name"]
    assert {job["metadata"]["name"] for job in long.jobs()} == {first.json["name"], other}
    job = long.cluster.get("jobs", long.namespace, other)
    assert "nightly" not in json.dumps(job)  # its hash, never itself


def test_same_key_in_parallel_makes_one_run(agent, long):
    answers = []

    def force():
        answers.append(agent.api("POST", f"{long.path}/runs", {"ifActive": "allow"}, token="runner",
                                 headers=with_key("at once")))
    threads = [threading.Thread(target=force) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in answers) == [200] * 5 + [201]
    assert len({answer.json["name"] for answer in answers}) == 1
    assert len(long.jobs()) == 1


def test_of_requests_at_once_one_starts_a_run(agent, long):
    answers = []
    force = lambda: answers.append(agent.api_in_turn("POST", f"{long.path}/runs", token="runner"))
    threads = [threading.Thread(target=force) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [answer for answer in answers if answer.status == 201]
    assert len(made) == 1 and len(long.jobs()) == 1
    for answer in answers:
        if answer is not made[0]:
            conflict(answer, made[0].json["name"])


def test_same_key_for_two_services(agent, service, long):
    one = service.force(agent, headers=with_key("shared")).json["name"]
    two = long.force(agent, headers=with_key("shared")).json["name"]
    assert one != two
    service.ended(agent, one)


@pytest.mark.parametrize("headers", [with_key(""), with_key("x" * 300), with_key("a") + with_key("b")])
def test_bad_key(agent, service, headers):
    before = len(service.jobs())
    assert service.force(agent, status=400, headers=headers).json["detail"]
    assert len(service.jobs()) == before


# --- bad requests ---

@pytest.mark.parametrize("body", [b"x", b"[]", b'"refuse"', b"{", b'{"ifActive": "kill"}', b'{"ifActive": 1}',
                                  b'{"ifactive": "allow"}', b'{"ifActive": "allow", "image": "x"}',
                                  b'{"ifActive": "allow", "ifActive": "replace"}', b'{"ifActive": "allow\\u0000"}'])
def test_bad_body(agent, service, body):
    before = len(service.jobs())
    answer = service.force(agent, body, status=400)
    assert answer.headers["Content-Type"] == "application/problem+json" and answer.json["detail"]
    assert len(service.jobs()) == before


def test_unknown_word_is_pointed_at(agent, service):
    errors = service.force(agent, {"ifActive": "kill"}, status=400).json["errors"]
    assert [error["pointer"] for error in errors] == ["/ifActive"]


def authorization(value):
    return [("Authorization", value)]


@pytest.mark.parametrize("headers", [
    [], authorization(""), authorization("Bearer"), authorization("Bearer "), authorization("Bearer wrong"),
    authorization("Basic cnVubmVyOnJ1bm5lcg=="), authorization("Bearer runner-0123456789abcdef "[:-2]),
    authorization("Bearer runner-0123456789abcdefx"), authorization("Bearer RUNNER-0123456789ABCDEF"),
    authorization("Bearer runner-0123456789abcdef") * 2,
    authorization("Bearer wrong") + authorization("Bearer runner-0123456789abcdef")],
    ids=["none", "empty", "word", "blank", "wrong", "basic", "cut", "longer", "upper", "twice", "second"])
@pytest.mark.parametrize("method, path", [("POST", "/runs"), ("GET", ""), ("GET", "/runs")])
def test_token(agent, service, headers, method, path):
    before = len(service.jobs())
    answer = ask(agent.admin, method, service.path + path, headers, b"" if method == "POST" else None)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "0123456789abcdef" not in answer.text
    assert len(service.jobs()) == before


def test_token_is_asked_for_before_anything_is_told(agent):
    for path in ("/v1/services", "/v1/services/no/such", "/v1/deliveries", "/v1/deliveries/x", "/v1/builds",
                 "/v1/builds/b-1", "/v1/builds/b-1/logs", "/v1/services/a/b/runs/c/logs"):
        assert ask(agent.admin, "GET", path).status == 401
    for path in ("/healthz", "/readyz"):
        assert ask(agent.admin, "GET", path).status == 200


def test_viewer_may_look_and_not_run(agent, service):
    before = len(service.jobs())
    assert agent.get(f"{service.path}/runs", token="viewer")["runs"]
    answer = service.force(agent, token="viewer", status=403)
    assert "viewer" in answer.json["detail"]
    assert len(service.jobs()) == before


def test_services_of_one_project(agent, service):
    services = lambda project: [one["name"] for one in agent.get(f"/v1/services?project={project}")["services"]]
    service.place.cluster.kubectl("-n", service.namespace, "label", "cronjob", service.name, "cronwright.io/project=sales")
    eventually(lambda: services("sales") == [service.name], "the project is seen")
    assert services("sale") == []
    assert service.status(agent)["project"] == "sales"


def test_token_of_another_namespace(agent, service):
    before = len(service.jobs())
    service.force(agent, token="stranger", status=403)
    for path in ("", "/runs", f"/runs/{service.jobs()[0]['metadata']['name']}/logs"):
        assert agent.api("GET", service.path + path, token="stranger").status == 403
    assert agent.get("/v1/services", token="stranger")["services"] == []
    assert len(service.jobs()) == before


@pytest.mark.parametrize("path, status", [
    ("/v1/services/{ns}/no-such-service/runs", 404), ("/v1/services/{ns}/UPPER/runs", 404),
    ("/v1/services/{ns}/..%2f..%2fapi/runs", 404), ("/v1/services/kube-system/x/runs", 404),
    ("/v1/services/a%00b/x/runs", (400, 404)), ("/v1/services//x/runs", 404)])
def test_service_that_is_not_there(agent, place, path, status):
    answer = agent.api("POST", path.format(ns=place.namespace), token="admin")
    assert answer.status in (status if isinstance(status, tuple) else (status,)), answer


def test_cronjob_without_the_label_is_no_service(agent, place):
    service = place.service("unmanaged", container=shell("true"))
    service.merge(metadata={"labels": {ANNOTATION + "managed": None}})
    eventually(lambda: agent.api("GET", service.path).status == 404, "it is no service any more")
    service.force(agent, status=404)
    assert not service.jobs()


def test_run_that_is_not_of_this_service(agent, service, long):
    run = long.force(agent).json["name"]
    for path in (f"{service.path}/runs/{run}", f"{service.path}/runs/{run}/logs", f"{service.path}/runs/none"):
        assert agent.api("GET", path).status == 404
    assert agent.api("DELETE", f"{service.path}/runs/{run}", token="runner").status == 404


# --- lists ---

def test_runs_are_listed_newest_first(agent, place):
    service = place.service("listed", container=shell("true")).seen_by(agent)
    names = []
    for _ in range(3):
        names.insert(0, service.force(agent, {"ifActive": "allow"}).json["name"])
        service.ended(agent, names[0])
    runs = agent.get(f"{service.path}/runs")["runs"]
    assert sorted(run["name"] for run in runs) == sorted(names)
    created = [run["created"] for run in runs]
    assert created == sorted(created, reverse=True)
    assert len(agent.get(f"{service.path}/runs?limit=1")["runs"]) == 1
    for limit in ("0", "-1", "x", "100000", ""):
        assert agent.api("GET", f"{service.path}/runs?limit={limit}").status == 400
    shown = service.status(agent)
    assert shown["lastRun"]["state"] == "succeeded" and shown["running"] == []


# --- runs that fail ---

def test_run_that_fails_after_its_retries(agent, place):
    service = place.service("failing", container=shell("echo trying; exit 3"), job={"backoffLimit": 1}).seen_by(agent)
    run = service.force(agent).json["name"]
    ended = service.ended(agent, run)
    assert (ended["state"], ended["exitCode"], ended["reason"], ended["maxAttempts"]) == ("failed", 3, "exit 3", 2)
    assert [(one["attempt"], one["state"], one["exitCode"]) for one in ended["attempts"]] == \
        [(1, "failed", 3), (2, "failed", 3)]
    for attempt in (1, 2):
        answer = agent.api("GET", f"{service.path}/runs/{run}/logs?attempt={attempt}&follow=true")
        assert answer.text == "trying\n"
    assert agent.api("GET", f"{service.path}/runs/{run}/logs?attempt=3").status == 404
    assert service.status(agent)["lastRun"]["reason"] == "exit 3"


def test_run_that_is_out_of_memory(agent, place):
    # Not at once: containerd hears of it only once it watches the container that it has started.
    service = place.service("memory", container=shell("sleep 1; exec /bin/busybox tail /dev/zero",
                                                      resources={"limits": {"memory": "16Mi"}})).seen_by(agent)
    ended = service.ended(agent, service.force(agent).json["name"])
    assert (ended["state"], ended["exitCode"]) == ("failed", 137)
    assert ended["reason"] == "out of memory (16Mi)"


def test_run_whose_image_cannot_be_pulled(agent, place):
    service = place.service("pull", image=f"{place.images}/none:at-all").seen_by(agent)
    run = service.force(agent).json["name"]
    pending = eventually(lambda: next((found for found in [agent.get(f"{service.path}/runs/{run}")]
                                       if "cannot be pulled" in (found["reason"] or "")), None), "it says so")
    assert pending["state"] == "pending"
    service.clear()


def test_run_that_met_its_deadline(agent, place):
    service = place.service("deadline", container=shell("exec /bin/busybox sleep 600"),
                            job={"activeDeadlineSeconds": 2}).seen_by(agent)
    ended = service.ended(agent, service.force(agent).json["name"])
    assert (ended["state"], ended["reason"]) == ("failed", "deadline exceeded")


# --- runs that do not start ---

def waits_for(agent, service, words):
    """The reason that a run is told to wait for, as the one who follows it sees it."""
    run = service.force(agent).json["name"]
    path = f"{service.path}/runs/{run}"

    def told():
        reason = agent.get(path)["reason"] or ""
        return reason if words in reason else None
    reason = eventually(told, f"{run} waits for {words}", 60)
    follower = agent.command("logs", "--follow", "--run", run, service.full_name)
    os.set_blocking(follower.stderr.fileno(), False)
    told = bytearray()

    def is_told():
        told.extend(follower.stderr.read() or b"")
        return words in told.decode(errors="replace")
    eventually(is_told, f"who follows {run} is told {words}", 60)
    agent.cli("cancel", service.full_name, run)
    follower.communicate(timeout=60)
    return reason


def test_volume_that_cannot_be_mounted_is_told(agent, place):
    service = place.service("unmounted", template={
        "containers": [{"name": "main", "image": place.cluster.busybox_image,
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
        "volumes": [{"name": "data", "secret": {"secretName": "there-is-no-such"}}]}).seen_by(agent)
    reason = waits_for(agent, service, 'secret "there-is-no-such" not found')
    assert reason.startswith("a volume cannot be mounted: ")


def test_quota_that_is_used_up_is_told(agent, place):
    service = place.service("quota", template={
        "containers": [{"name": "main", "image": place.cluster.busybox_image,
                        "resources": {"limits": {"memory": "64Gi"}}}]}).seen_by(agent)
    place.cluster.kubectl("create", "quota", "small", "-n", place.namespace, "--hard=limits.memory=63Gi")
    try:
        eventually(lambda: "used" in place.cluster.kubectl("get", "quota", "small", "-n", place.namespace, "-o",
                                                           "jsonpath={.status}"), "the quota counts")
        assert waits_for(agent, service, "exceeded quota: small").startswith("no pod can be made: ")
    finally:
        place.cluster.kubectl("delete", "quota", "small", "-n", place.namespace)
