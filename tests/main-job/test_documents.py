"""Services as documents: created as drafts, read, changed, copied and deleted, with all errors at once."""

import copy
import threading
import time

import pytest

from agents import Agent
from places import ANNOTATION, SCHEDULE, Service, container_of, report
from waiting import eventually


class Draft(Service):
    """A service that was made through the agent."""

    def __init__(self, place, name):
        self.place, self.cluster, self.name, self.namespace = place, place.cluster, name, place.namespace
        self.made = self.get()


@pytest.fixture(scope="module")
def other(new_place):
    """A second environment."""
    return new_place("other")


@pytest.fixture(scope="module")
def strict(new_place):
    """Where Pod Security admits what is restricted only."""
    place = new_place("strict")
    place.cluster.kubectl("label", "namespace", place.namespace, "pod-security.kubernetes.io/enforce=restricted")
    return place


@pytest.fixture(scope="module")
def tight(new_place):
    """Where quota wants limits, and gives little memory."""
    place = new_place("tight")
    place.cluster.kubectl("-n", place.namespace, "create", "quota", "small", "--hard=limits.memory=64Mi,count/cronjobs.batch=3")
    return place


@pytest.fixture(scope="module")
def home(new_place):
    return new_place("documents")


@pytest.fixture(scope="module")
def agent(home, other, strict, tight, tmp_path_factory):
    places = [home, other, strict, tight]
    agent = Agent(home, tmp_path_factory.mktemp("documents"),
                  kubernetes={"namespaces": [place.namespace for place in places]},
                  allow=[{"namespaces": [home.namespace, other.namespace], "repositories": [home.git_url],
                          "images": [home.images]}])
    tokens = agent.config["admin"]["tokens"]
    agent.secret_file("other").write_text("other-0123456789abcdef\n")
    tokens.append({"name": "other", "tokenFile": str(agent.secret_file("other")), "role": "admin",
                   "namespaces": [other.namespace]})
    agent.start()
    yield agent
    agent.finish()


OTHER = "other-0123456789abcdef"


# Ends as soon as it is told to.
LONG = ["/bin/busybox", "sh", "-c", "trap 'exit 0' TERM; /bin/busybox sleep 600 & wait"]


def document(place, word, **more):
    """Of an image that is there, and runs never by itself."""
    return {"name": place.name(word), "namespace": place.namespace, "schedule": SCHEDULE, "timeZone": "Etc/UTC",
            "source": {"image": place.cluster.busybox_image},
            "container": {"command": ["/bin/busybox", "sh", "-c", "echo done"]}, **more}


def post(agent, body, status=201, query="", **more):
    answer = agent.api("POST", "/v1/services" + query, body, **more)
    assert answer.status == status, answer.text
    return answer


def create(agent, place, body):
    post(agent, body)
    return Draft(place, body["name"])


def change(agent, service, patch, status=200, query="", **more):
    answer = agent.api("PATCH", service.path + query, patch, **more)
    assert answer.status == status, answer.text
    return answer


def errors(answer):
    """Pointer → detail."""
    assert answer.status == 400 and answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["reason"] == "invalid"
    return {error["pointer"]: error["detail"] for error in answer.json["errors"]}


def names(place):
    return {cronjob["metadata"]["name"] for cronjob in place.cluster.list("cronjobs", place.namespace)}


# --- create ---

def test_draft_from_an_image(agent, home):
    given = document(home, "image", project="sales", env=[{"name": "MODE", "value": "full"}])
    answer = post(agent, given)
    assert answer.headers["Location"] == f"/v1/services/{home.namespace}/{given['name']}"
    made = answer.json
    assert (made["status"]["state"], made["status"]["next"], made["status"]["starting"]) == ("draft", None, False)
    assert made["source"] == given["source"] and made["env"] == given["env"] and made["project"] == "sales"
    assert (made["restarts"], made["concurrency"], made["restartPolicy"]) == (3, "Forbid", "Never")
    assert made["history"] == {"failed": 1, "succeeded": 3} and made["missed"] == "skip"
    service = Draft(home, given["name"])
    cronjob = service.get()
    assert cronjob["spec"]["suspend"] is True and cronjob["spec"]["concurrencyPolicy"] == "Forbid"
    assert cronjob["metadata"]["labels"][ANNOTATION + "managed"] == "true"
    assert service.annotation("state") == "draft"
    template = cronjob["spec"]["jobTemplate"]
    assert template["metadata"]["labels"][ANNOTATION + "managed"] == "true"
    assert template["spec"]["template"]["metadata"]["labels"][ANNOTATION + "managed"] == "true"
    assert (template["spec"]["backoffLimit"], template["spec"]["template"]["spec"]["restartPolicy"]) == (3, "Never")
    read = agent.api("GET", service.path)
    assert read.json == {key: value for key, value in made.items() if key != "warnings"}
    assert read.headers["ETag"] == answer.headers["ETag"]
    service.seen_by(agent)
    [row] = [row for row in agent.get("/v1/services?project=sales")["services"] if row["name"] == service.name]
    assert row.items() <= read.json["status"].items() and read.json["status"]["missing"] == []
    run = service.force(agent, token="admin").json["name"]
    assert service.ended(agent, run)["state"] == "succeeded"


def test_draft_from_git_is_built_and_does_not_run(agent, home):
    repository = home.repository("built", report(home.cluster, "of a draft"))
    given = document(home, "git", source={"git": {"repository": repository.url}}, container={})
    given["image"] = f"{home.images}/{given['name']}"
    made = post(agent, given).json
    assert made["source"]["git"] == {"repository": repository.url, "branch": "main", "dockerfile": "Dockerfile",
                                     "context": "."}
    service = Draft(home, given["name"])
    assert service.image() == given["image"] + ":cronwright-not-built"
    done = lambda: (service.status(agent)["lastBuild"] or {}).get("state") == "done"
    eventually(done, "the first build is done", 120)
    status = service.status(agent)
    assert status["lastBuild"]["reason"] == "deployed" and status["lastBuild"]["commit"] == status["live"]["commit"]
    assert status["state"] == "draft" and service.get()["spec"]["suspend"] is True and not service.jobs()
    assert status["image"].startswith(given["image"] + ":") and "@sha256:" in status["image"]
    assert post(agent, given, status=200).json["status"]["image"] == status["image"]


def test_failed_first_build_shows_in_the_draft(agent, home):
    repository = home.repository("broken", {"Dockerfile": "FROM scratch\nCOPY none /none\n"})
    given = document(home, "broken", source={"git": {"repository": repository.url}}, container={})
    given["image"] = f"{home.images}/{given['name']}"
    post(agent, given)
    service = Draft(home, given["name"])
    failed = lambda: (service.status(agent)["lastBuild"] or {}).get("state") == "failed"
    eventually(failed, "the first build has failed", 120)
    build = service.status(agent)["lastBuild"]
    assert build["reason"] == "build-failed" and build["detail"]


def everything(home, name):
    return {
        "name": name, "namespace": home.namespace, "project": "sales",
        "source": {"image": home.cluster.busybox_image},
        "container": {"name": "job", "command": ["/bin/busybox"], "args": ["true", ""], "pullSecret": "login",
                      "workingDir": "/tmp"},
        "schedule": "30 2 1 1 *", "timeZone": "Europe/Berlin", "history": {"failed": 0, "succeeded": 5}, "restarts": 0,
        "maxDurationSeconds": 600, "concurrency": "Replace", "startingDeadlineSeconds": 200, "missed": "run",
        "firstRun": "onStart", "restartPolicy": "OnFailure",
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "0.5Gi"}},
        "env": [{"name": "MODE", "value": ""}, {"name": "TOKEN", "secret": {"name": "report", "key": "token"}},
                {"name": "REGION", "configMap": {"name": "site", "key": "region"}}, {"name": "odd name/1", "value": "x"}],
        "ports": [{"name": "metrics", "port": 9090, "protocol": "TCP"}],
        "healthChecks": {"startup": {"exec": {"command": ["true"]}, "delaySeconds": 1, "periodSeconds": 2,
                                     "timeoutSeconds": 3, "failures": 4, "successes": 1},
                         "liveness": {"http": {"path": "/live", "port": 9090, "scheme": "HTTPS"}, "delaySeconds": 0,
                                      "periodSeconds": 10, "timeoutSeconds": 1, "failures": 3, "successes": 1},
                         "readiness": {"tcp": {"port": "metrics"}, "delaySeconds": 0, "periodSeconds": 10,
                                       "timeoutSeconds": 1, "failures": 3, "successes": 2}},
        "security": {"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000,
                     "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "dropCapabilities": ["ALL"],
                     "addCapabilities": ["NET_BIND_SERVICE"], "seccomp": "RuntimeDefault"},
        "volumes": [{"name": "a", "mountPath": "/a", "readOnly": False, "secret": "s"},
                    {"name": "b", "mountPath": "/b", "readOnly": True, "configMap": "c"},
                    {"name": "c", "mountPath": "/c", "readOnly": False, "subPath": "x", "claim": "p"},
                    {"name": "d", "mountPath": "/d", "readOnly": False, "emptyDir": {}}],
        "podLabels": {"team": "sales"}, "nodeSelector": {"disk": "ssd"}, "serviceAccount": "default", "overrides": "runner"}


def test_everything_comes_back(agent, home):
    """Whatever the API server makes of it, it is the same document."""
    given = everything(home, home.name("everything"))
    made = post(agent, given).json
    status = made.pop("status")
    made.pop("warnings", None)
    assert made.pop("resources")["limits"] == {"memory": "512Mi"}
    assert made == {key: value for key, value in given.items() if key != "resources"}
    assert status["sentence"]
    assert post(agent, given, status=200).json["status"]["state"] == "draft"


def test_dry_run_leaves_nothing(agent, home):
    given = document(home, "dry")
    answer = post(agent, given, status=200, query="?dryRun=true")
    assert answer.json["dryRun"] is True and answer.json["restarts"] == 3
    assert given["name"] not in names(home)


def test_twice_the_same_changes_nothing(agent, home):
    given = document(home, "twice", resources={"limits": {"cpu": "1000m"}})
    service = create(agent, home, given)
    before = service.get()
    same = post(agent, {**given, "resources": {"limits": {"cpu": 1}}}, status=200)
    assert same.json["name"] == service.name and service.get() == before
    again = agent.get(service.path)
    post(agent, again, status=200)  # what GET gave can be posted
    assert service.get() == before


def test_another_one_with_the_name(agent, home):
    service = create(agent, home, document(home, "taken"))
    before = service.get()
    given = {**document(home, "taken"), "name": service.name, "restarts": 1, "timeZone": None}
    for query in ("", "?dryRun=true"):
        answer = post(agent, given, status=409, query=query)
        assert answer.json["reason"] == "exists"
        assert {one["pointer"]: (one["yours"], one["theirs"]) for one in answer.json["difference"]} == {
            "/restarts": (1, 3), "/timeZone": (None, "Etc/UTC")}
    assert service.get() == before


def test_name_of_a_cronjob_that_is_no_service(agent, home):
    service = home.service("plain")
    service.merge(metadata={"labels": {ANNOTATION + "managed": None}})
    answer = post(agent, {**document(home, "x"), "name": service.name}, status=409)
    assert answer.json["reason"] == "exists" and "adopt" in answer.json["detail"]
    answer = change(agent, service, {"restarts": 1}, status=404)
    assert answer.json["reason"] == "not-managed" and "adopt" in answer.json["detail"]


def test_two_requests_at_once_make_one(agent, home):
    given = document(home, "race")
    answers = []
    make = lambda: answers.append(agent.api_in_turn("POST", "/v1/services", given))
    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in answers) == [200] * 5 + [201]


# --- bad input ---

BAD = [  # what is wrong, where, and a part of the sentence
    ({"name": "n" * 53}, "/name", "at most 52"),
    ({"name": "Report"}, "/name", "lower-case"),
    ({"timezone": "UTC"}, "/timezone", 'did you mean "timeZone"?'),
    ({"schedule": "0 0 30 2 *"}, "/schedule", "never fires"),
    ({"schedule": "0 3 * * 7"}, "/schedule", "Sunday is 0"),
    ({"timeZone": "Mars/Olympus"}, "/timeZone", "Mars/Olympus"),
    ({"restarts": -1}, "/restarts", "0 to 1000"),
    ({"maxDurationSeconds": 10 ** 18}, "/maxDurationSeconds", "1 to 31536000"),
    ({"resources": {"limits": {"memory": "100mb"}}}, "/resources/limits/memory", "did you mean 100M or 100Mi?"),
    ({"healthChecks": {"liveness": {"http": {"port": 9090}}}}, "/healthChecks/liveness/http/port", "not declared"),
    ({"source": {"image": "registry.example/Acme/Report"}}, "/source/image", "registry.example/acme/report"),
    ({"source": {"image": "a b"}}, "/source/image", "space"),
    ({"env": [{"name": "A=B", "value": "x"}]}, "/env/0/name", '"="'),
    ({"source": {"image": "a", "git": {"repository": "https://g/a"}}, "image": "a"}, "/source", "only one"),
    # Kubernetes' own words, at the field.
    ({"nodeSelector": {"a": "b"}, "volumes": [{"name": "a", "mountPath": "/a", "emptyDir": {}}],
      "serviceAccount": "nobody"}, "/serviceAccount", "nobody"),
]


@pytest.mark.parametrize("more, pointer, words", BAD)
def test_bad_input(agent, home, more, pointer, words):
    before = names(home)
    found = errors(post(agent, {**document(home, "bad"), **more}, status=400))
    assert list(found) == [pointer] and words in found[pointer]
    assert names(home) == before


def test_all_errors_at_once(agent, home):
    found = errors(post(agent, {"namespace": home.namespace, "schedule": "x", "restarts": "3", "timezone": 1,
                                "env": [{"name": "A"}]}, status=400))
    assert set(found) == {"/name", "/source", "/schedule", "/restarts", "/timezone", "/env/0"}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"name": "a", "name": "b"}', b"{\"name\": \"\xff\"}",
                                  b"[" * 100000])
def test_what_is_no_document(agent, home, body):
    before = names(home)
    assert agent.api("POST", "/v1/services", body).status == 400
    assert names(home) == before


def test_body_that_is_too_large(agent):
    assert agent.api("POST", "/v1/services", b" " * (2 << 20)).status == 413


def test_namespace_that_is_not_watched(agent, home):
    for answer in (post(agent, {**document(home, "away"), "namespace": "kube-system"}, status=404),
                   agent.api("GET", "/v1/services/kube-system/x"), agent.api("DELETE", "/v1/services/kube-system/x")):
        assert (answer.status, answer.json["reason"]) == (404, "not-watched")


def test_source_that_is_not_allowed(agent, home):
    given = document(home, "forbidden", source={"git": {"repository": "https://git.example/else"}}, container={},
                     image=f"{home.images}/x")
    answer = post(agent, given, status=403)
    assert answer.json["reason"] == "not-allowed" and "allow" in answer.json["detail"]
    service = create(agent, home, document(home, "allowed"))
    patch = {"source": {"image": None, "git": {"repository": home.git_url + "/x"}}, "image": "elsewhere.example/x"}
    assert change(agent, service, patch, status=403).json["reason"] == "not-allowed"
    assert given["name"] not in names(home) and service.annotation("repository") is None


def test_roles(agent, home, other):
    given = document(home, "roles")
    for token in ("viewer", "runner", OTHER):
        post(agent, given, status=403, token=token)
    assert agent.api("POST", "/v1/services", given, token=None).status == 401
    post(agent, {"restarts": "x"}, status=403, token="viewer")
    post(agent, {"restarts": "x"}, status=400, token=OTHER)
    service = create(agent, home, given)
    before = service.get()
    for token in ("viewer", "runner", OTHER):
        change(agent, service, {"restarts": 1}, status=403, token=token)
        assert agent.api("DELETE", service.path, token=token).status == 403
        assert agent.api("POST", service.path + "/copy", {"name": "x"}, token=token).status == 403
    assert agent.api("GET", service.path, token="viewer").status == 200
    assert agent.api("GET", service.path, token=OTHER).status == 403
    assert service.get() == before


# --- what Kubernetes says ---

def test_pod_security_refuses(agent, strict):
    given = document(strict, "secure")
    found = errors(post(agent, given, status=400))
    assert list(found) == ["/security"] and "runAsNonRoot" in found["/security"]
    assert given["name"] not in names(strict)
    given["security"] = {"runAsNonRoot": True, "runAsUser": 1000, "allowPrivilegeEscalation": False,
                         "dropCapabilities": ["ALL"], "seccomp": "RuntimeDefault"}
    service = create(agent, strict, given)
    found = errors(change(agent, service, {"security": {"runAsNonRoot": None}}, status=400))
    assert list(found) == ["/security"]
    assert agent.get(service.path)["security"]["runAsNonRoot"] is True


def test_warnings_are_passed_on(agent, strict):
    """Pod Security only warns of CronJobs, which the pod's dry run then tells as an error; other warnings stay."""
    given = document(strict, "warned", env=[{"name": "A", "value": "1"}], timeZone=None, security={
        "runAsNonRoot": True, "runAsUser": 1000, "allowPrivilegeEscalation": False, "dropCapabilities": ["ALL"],
        "seccomp": "RuntimeDefault"})
    strict.cluster.kubectl("label", "namespace", strict.namespace, "--overwrite",
                           "pod-security.kubernetes.io/enforce=privileged", "pod-security.kubernetes.io/warn=restricted")
    try:
        eventually(lambda: agent.api("POST", "/v1/services?dryRun=true", {**given, "security": {}}).status == 200,
                   "the label counts")
        warned = post(agent, {**given, "security": {}}).json["warnings"]
    finally:
        strict.cluster.kubectl("label", "namespace", strict.namespace, "--overwrite",
                               "pod-security.kubernetes.io/enforce=restricted")
    assert any("would violate PodSecurity" in text for text in warned)
    assert any("no time zone is set" in text for text in warned)


def test_quota_refuses(agent, tight):
    given = document(tight, "quota")
    found = errors(post(agent, given, status=400))
    assert list(found) == ["/resources"] and "limits.memory" in found["/resources"]
    found = errors(post(agent, {**given, "resources": {"limits": {"memory": "1Gi"}}}, status=400))
    assert list(found) == ["/resources"] and "exceeded quota" in found["/resources"]
    assert given["name"] not in names(tight)
    post(agent, {**given, "resources": {"limits": {"memory": "32Mi"}}})


@pytest.fixture
def modest(home, tmp_path):
    """An agent whose account may not ask for pods, not even as a dry run."""
    on = lambda *words: home.cluster.kubectl("-n", home.namespace, "create", *words)
    on("serviceaccount", "modest")
    on("role", "modest", "--verb=get,list,watch,create,patch", "--resource=cronjobs.batch")
    on("rolebinding", "modest", "--role=modest", f"--serviceaccount={home.namespace}:modest")
    account = copy.copy(home.account)
    account.user = {"token": on("token", "modest").strip()}
    kubeconfig = account.write(tmp_path / "kubeconfig", home.cluster.server)
    agent = Agent(home, tmp_path, kubernetes={"kubeconfig": str(kubeconfig)}).start(until_ready=False)
    yield agent
    agent.finish()


def test_what_could_not_be_asked_is_told(modest, home):
    given = document(home, "unasked", resources={"limits": {"memory": "1Mi"}})
    answer = post(modest, given).json
    [sentence] = answer["notChecked"]
    assert "admission, quota and Pod security were not asked" in sentence and "pods" in sentence
    assert Draft(home, given["name"]).made["spec"]["suspend"] is True


# --- change ---

CHANGES = [  # each group of fields
    {"project": "books"}, {"container": {"args": ["--all"], "workingDir": "/tmp", "pullSecret": "login"}},
    {"schedule": "5 4 1 1 *"}, {"timeZone": "Europe/Berlin"}, {"history": {"failed": 5, "succeeded": 0}},
    {"restarts": 0}, {"maxDurationSeconds": 60}, {"concurrency": "Replace"}, {"startingDeadlineSeconds": 60},
    {"missed": "run"}, {"firstRun": "onStart"}, {"restartPolicy": "OnFailure"},
    {"resources": {"requests": {"cpu": "10m"}, "limits": {"memory": "64Mi"}}},
    {"env": [{"name": "B", "value": "2"}, {"name": "T", "secret": {"name": "s", "key": "k"}},
             {"name": "R", "configMap": {"name": "c", "key": "k"}}]},
    {"ports": [{"name": "web", "port": 80, "protocol": "TCP"}]},
    {"healthChecks": {"liveness": {"exec": {"command": ["true"]}, "delaySeconds": 1, "periodSeconds": 2,
                                   "timeoutSeconds": 3, "failures": 4, "successes": 1}}},
    {"security": {"runAsUser": 1000, "fsGroup": 1000, "dropCapabilities": ["ALL"], "seccomp": "RuntimeDefault"}},
    {"volumes": [{"name": "v", "mountPath": "/v", "readOnly": True, "configMap": "c"}]},
    {"podLabels": {"team": "x"}}, {"nodeSelector": {"disk": "ssd"}}, {"serviceAccount": "default"},
    {"overrides": "runner"},
]


def added(base, patch):
    return {**base, **{key: added(base.get(key, {}), value) if isinstance(value, dict) else value
                       for key, value in patch.items()}}


def test_each_group_of_fields_is_changed_and_changed_back(agent, home):
    service = create(agent, home, document(home, "groups"))
    plain = agent.get(service.path)
    plain.pop("status")
    for patch in CHANGES:
        answer = change(agent, service, patch).json
        status, warnings, pointers = answer.pop("status"), answer.pop("warnings", []), answer.pop("changed")
        assert answer == added(plain, patch), patch
        assert pointers and all(pointer.split("/")[1] in patch for pointer in pointers)
        assert status["state"] == "draft" and not warnings
        back = {key: plain.get(key) for key in patch}
        back = {key: {**dict.fromkeys(patch[key]), **value} if isinstance(value, dict) else value
                for key, value in back.items()}
        answer = change(agent, service, back).json
        assert {key: answer[key] for key in plain} == plain, patch
        assert set(answer) - set(plain) <= {"status", "changed", "warnings"}, patch
    assert change(agent, service, {}).json["changed"] == []
    assert service.get()["spec"]["suspend"] is True


@pytest.mark.parametrize("patch, pointer", [
    ({"name": "other"}, "/name"), ({"namespace": "other"}, "/namespace"), ({"restarts": -1}, "/restarts"),
    ({"source": None}, "/source"), ({"schedul": "* * * * *"}, "/schedul"), ({"container": {"name": "none"}}, "/container/name"),
    ({"env": [{"name": "", "value": "x"}]}, "/env/0/name"), ({"serviceAccount": "nobody"}, "/serviceAccount")])
def test_bad_change(agent, home, patch, pointer):
    service = create(agent, home, document(home, "bad-change"))
    before = service.get()
    assert list(errors(change(agent, service, patch, status=400))) == [pointer]
    assert service.get() == before


def test_a_change_needs_a_body(agent, home):
    service = create(agent, home, document(home, "no-body"))
    answer = change(agent, service, None, status=400)
    assert "a JSON Merge Patch is needed" in answer.json["detail"]


def test_change_as_a_dry_run(agent, home):
    service = create(agent, home, document(home, "dry-change"))
    before = service.get()
    answer = change(agent, service, {"restarts": 1}, query="?dryRun=true").json
    assert (answer["dryRun"], answer["changed"], answer["restarts"]) == (True, ["/restarts"], 1)
    assert service.get() == before


HAND = {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["db"]}],
        "tolerations": [{"key": "batch", "operator": "Exists"}],
        "volumes": [{"name": "pod", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]}


def test_what_is_unknown_is_preserved(agent, home):
    service = home.service("hand", template=HAND, annotations={"container": "main"}, job={"ttlSecondsAfterFinished": 600}, container={
        "imagePullPolicy": "IfNotPresent", "volumeMounts": [{"name": "pod", "mountPath": "/pod"}],
        "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "A", "value": "1"},
                {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}}]})
    pod = service.get()["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    service.merge(spec={"jobTemplate": {"spec": {"template": {"spec": {"containers": pod["containers"] + [
        {"name": "side", "image": home.cluster.busybox_image, "command": ["/bin/busybox", "true"]}]}}}}})
    before = service.get()
    shown = agent.get(service.path)
    assert shown["env"] == [{"name": "A", "value": "1"}, {"name": "S", "secret": {"name": "s", "key": "k"}}]
    change(agent, service, {"restarts": 2, "env": [{"name": "A", "value": "2"}, {"name": "N", "value": "n"},
                                                   {"name": "S", "secret": {"name": "s", "key": "k2"}}],
                            "volumes": [{"name": "tmp", "mountPath": "/tmp", "emptyDir": {}}]})
    after = service.get()
    assert container_of(after)["env"] == [
        {"name": "POD", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}, {"name": "A", "value": "2"},
        {"name": "N", "value": "n"}, {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k2", "optional": True}}}]
    # Put back by hand, nothing else is left of the change.
    container_of(after)["env"] = container_of(before)["env"]
    template = lambda cronjob: cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert template(after)["volumes"].pop() == {"name": "tmp", "emptyDir": {}}
    assert container_of(after)["volumeMounts"].pop() == {"name": "tmp", "mountPath": "/tmp"}
    assert after["spec"]["jobTemplate"]["spec"].pop("backoffLimit") == 2
    before["spec"]["jobTemplate"]["spec"].pop("backoffLimit")
    assert after["spec"] == before["spec"]
    for kind in ("labels", "annotations"):
        assert after["metadata"][kind] == before["metadata"][kind]


def test_two_containers_and_no_choice(agent, home):
    side = {"name": "side", "image": home.cluster.busybox_image + "-else"}
    service = home.service("two")
    containers = service.get()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    service.merge(spec={"jobTemplate": {"spec": {"template": {"spec": {"containers": containers + [side]}}}}})
    shown = agent.get(service.path)
    assert "name" not in shown["container"] and "containers" in shown["status"]["problem"]
    found = errors(change(agent, service, {"restarts": 1}, status=400))
    assert list(found) == ["/container/name"] and "main, side" in found["/container/name"]
    change(agent, service, {"container": {"name": "side"}})
    assert service.annotation("container") == "side"
    change(agent, service, {"container": {"args": ["x"]}})
    assert service.get()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][1]["args"] == ["x"]


def test_edit_by_somebody_else_meanwhile(agent, home):
    service = create(agent, home, document(home, "meanwhile"))
    etag = agent.api("GET", service.path).headers["ETag"]
    match = lambda tag: [("If-Match", tag)]
    service.merge(spec={"startingDeadlineSeconds": 77})
    answer = change(agent, service, {"restarts": 1}, status=409, headers=match(etag))
    assert answer.json["reason"] == "changed" and answer.json["current"]["startingDeadlineSeconds"] == 77
    assert agent.get(service.path)["restarts"] == 3
    done = change(agent, service, {"restarts": 1}, headers=match(answer.headers["ETag"]))
    assert done.json["restarts"] == 1 and done.json["startingDeadlineSeconds"] == 77
    assert change(agent, service, {"restarts": 2}, headers=match(done.headers["ETag"])).json["restarts"] == 2
    change(agent, service, {"restarts": 3}, status=409, headers=match(etag))
    change(agent, service, {"restarts": 3}, headers=match("*"))


def test_what_runs_and_deploys_is_no_edit(agent, home):
    """A tag holds while only the status, or an image that was built, has changed."""
    repository = home.repository("tagged", report(home.cluster, "tagged"))
    given = document(home, "tagged", source={"git": {"repository": repository.url}}, container={})
    given["image"] = f"{home.images}/{given['name']}"
    etag = post(agent, given).headers["ETag"]
    service = Draft(home, given["name"])
    eventually(lambda: service.status(agent)["live"], "it is built", 120)
    change(agent, service, {"restarts": 1}, headers=[("If-Match", etag)])


def test_edits_at_once_are_both_made(agent, home):
    service = create(agent, home, document(home, "both"))
    patches = [{"restarts": 1}, {"maxDurationSeconds": 60}, {"project": "x"}, {"missed": "run"}]
    threads = [threading.Thread(target=lambda patch=patch: change(agent, service, patch)) for patch in patches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown = agent.get(service.path)
    assert all(shown[key] == value for patch in patches for key, value in patch.items())


def test_run_that_goes_on_is_not_touched(agent, home):
    service = create(agent, home, document(home, "goes-on", container={
        "command": LONG}))
    run = service.force(agent, token="admin").json["name"]
    eventually(lambda: agent.get(f"{service.path}/runs/{run}")["state"] == "running", "it runs")
    job, [pod] = home.cluster.get("jobs", home.namespace, run), service.pods_of(run)
    change(agent, service, {"env": [{"name": "MODE", "value": "new"}], "maxDurationSeconds": 1, "restarts": 0,
                            "source": {"image": home.cluster.busybox_image + "x"}, "concurrency": "Replace"})
    same, [still] = home.cluster.get("jobs", home.namespace, run), service.pods_of(run)
    assert same["spec"] == job["spec"] and still["metadata"]["uid"] == pod["metadata"]["uid"]
    assert still["status"]["phase"] == "Running" and "deletionTimestamp" not in still["metadata"]
    service.clear()


def due_since_long(service):
    """As one whose time has passed since it was made."""
    service.merge(spec={"suspend": False})
    return service


def test_new_schedule_skips_what_was_missed(agent, home):
    """The controller looks back to the last run, or to when it was made; by default that fires nothing."""
    hour = (time.gmtime().tm_hour + 12) % 24  # not now
    skips = due_since_long(create(agent, home, document(home, "skips")))
    runs = due_since_long(create(agent, home, document(home, "runs", missed="run")))
    for service in (skips, runs):
        home.cluster.call("PATCH", f"/apis/batch/v1/namespaces/{home.namespace}/cronjobs/{service.name}/status",
                          {"status": {"lastScheduleTime": "2026-01-01T00:00:00Z"}}, "application/merge-patch+json")
        change(agent, service, {"schedule": f"0 {hour} * * *"})
        change(agent, service, {"restarts": 0})  # after a new schedule alone the controller waits for its next time
    eventually(runs.jobs, "the one that asks for it runs what was missed", 60)
    assert not skips.jobs()
    assert skips.get()["status"]["lastScheduleTime"] > "2026-01-02"
    status = skips.status(agent)
    assert status["state"] == "started" and status["next"].endswith(f"T{hour:02}:00:00.000Z")
    runs.clear()


def test_owner_is_named(agent, home):
    service = create(agent, home, document(home, "owned"))
    service.merge(metadata={"annotations": {"meta.helm.sh/release-name": "web"}})
    answer = change(agent, service, {"restarts": 1}).json
    for warnings in (answer["warnings"], agent.get(service.path)["status"]["warnings"]):
        assert any("Helm release web" in text for text in warnings)


# --- copy ---

def test_copy_to_another_environment(agent, home, other):
    given = document(home, "original", project="sales", env=[{"name": "A", "value": "1"}])
    service = create(agent, home, given)
    service.merge(spec={"suspend": False, "jobTemplate": {"spec": {"template": {"spec": {"hostAliases": HAND["hostAliases"]}}}}},
                  metadata={"annotations": {ANNOTATION + "state": None}})
    answer = agent.api("POST", service.path + "/copy", {"namespace": other.namespace})
    assert answer.status == 201, answer.text
    assert answer.headers["Location"] == f"/v1/services/{other.namespace}/{service.name}"
    copy = Draft(other, service.name)
    assert answer.json["status"]["state"] == "draft" and copy.get()["spec"]["suspend"] is True
    original = agent.get(service.path)
    for key in set(original) - {"namespace", "status"}:
        assert answer.json[key] == original[key]
    assert copy.get()["spec"]["jobTemplate"]["spec"] == service.get()["spec"]["jobTemplate"]["spec"]
    assert agent.api("POST", service.path + "/copy", {"namespace": other.namespace}).status == 200
    change(agent, copy, {"restarts": 0})
    answer = agent.api("POST", service.path + "/copy", {"namespace": other.namespace})
    assert (answer.status, answer.json["reason"]) == (409, "exists")
    assert [one["pointer"] for one in answer.json["difference"]] == ["/restarts"]


def test_copy_of_what_was_built_is_built_anew(agent, home, other):
    repository = home.repository("copied", report(home.cluster, "copied"))
    given = document(home, "copied", source={"git": {"repository": repository.url}}, container={})
    given["image"] = f"{home.images}/{given['name']}"
    post(agent, given)
    service = Draft(home, given["name"])
    eventually(lambda: service.status(agent)["live"], "it is built", 120)
    answer = agent.api("POST", service.path + "/copy", {"namespace": other.namespace, "name": "copied"})
    assert answer.status == 201, answer.text
    copy = Draft(other, "copied")
    eventually(lambda: copy.status(agent)["live"], "the copy has the image", 120)
    assert copy.image() == service.image() and not copy.jobs()


@pytest.mark.parametrize("body, status", [({}, 400), ({"name": "UP"}, 400), ({"nam": "x"}, 400), ({"name": 5}, 400),
                                          ({"namespace": "kube-system"}, 404)])
def test_bad_copy(agent, home, body, status):
    service = create(agent, home, document(home, "bad-copy"))
    answer = agent.api("POST", service.path + "/copy", body)
    assert answer.status == status, answer.text
    itself = agent.api("POST", service.path + "/copy", {"name": service.name})
    assert (itself.status, itself.json["errors"][0]["pointer"]) == (400, "/name")


# --- delete ---

def has_log(agent, service, run):
    return any((agent.directory / "state/logs/runs" / service.namespace).glob(f"*/{run}-*"))


@pytest.mark.parametrize("logs", ["keep", "delete"])
def test_delete(agent, home, logs):
    service = create(agent, home, document(home, f"gone-{logs}"))
    run = service.force(agent, token="admin").json["name"]
    service.ended(agent, run)
    assert agent.api("GET", f"{service.path}/runs/{run}/logs?follow=true").text == "done\n"
    assert has_log(agent, service, run)
    answer = agent.api("DELETE", f"{service.path}?logs={logs}")
    assert answer.status == 200, answer.text
    assert answer.json == {"namespace": home.namespace, "name": service.name, "deleted": True,
                           "logs": {"keep": "kept", "delete": "deleted"}[logs]}
    assert has_log(agent, service, run) is (logs == "keep")
    assert service.get() is None and agent.api("GET", service.path).status == 404
    eventually(lambda: not service.jobs() and not service.pods_of(run), "its runs are gone")
    assert agent.api("GET", f"{service.path}/runs/{run}/logs").status == (200 if logs == "keep" else 404)
    assert agent.api("DELETE", service.path).status == 404


def test_delete_with_an_active_run(agent, home):
    service = create(agent, home, document(home, "active", container={"command": LONG}))
    run = service.force(agent, token="admin").json["name"]
    answer = agent.api("DELETE", service.path)
    assert (answer.status, answer.json["reason"], answer.json["run"]) == (409, "active-run", run)
    assert service.get() and service.jobs()
    assert agent.api("DELETE", service.path + "?ifActive=cancel").status == 200
    eventually(lambda: not service.jobs() and not service.pods_of(run), "run and pods are gone")
    assert service.get() is None


def test_delete_in_wrong_words(agent, home):
    service = create(agent, home, document(home, "words"))
    for query in ("ifActive=yes", "logs=none"):
        assert agent.api("DELETE", f"{service.path}?{query}").status == 400
    assert service.get()
