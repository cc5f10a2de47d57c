"""The life of a service: built as a draft, started, stopped, rolled back, followed again, adopted."""

import json
import time

import pytest

import forges
from agents import FORGE_SECRETS, Agent
from places import ANNOTATION, TOP, container_of, report, shell
from waiting import eventually

SLOW = 'RUN ["/bin/busybox", "sleep", "4"]'
EVERY_MINUTE = "* * * * *"
NOT_BUILT = ":cronwright-not-built"
DUE = ANNOTATION + "first-run-due"


@pytest.fixture(scope="module")
def life(new_place):
    return new_place("life")


@pytest.fixture(scope="module")
def agent(life):
    """One of its own, which is killed now and then."""
    with Agent(life, life.directory) as agent:
        yield agent


def draft(place, word, **more):
    """As `create` makes it."""
    annotations = {"state": "draft", **more.pop("annotations", {})}
    return place.service(word, annotations=annotations, spec={"suspend": True, **more.pop("spec", {})}, **more)


def post(agent, service, action, body=None, status=200, token="admin"):
    answer = agent.api("POST", f"{service.path}/{action}", body, token=token)
    assert answer.status == status, answer
    return answer.json


def is_suspended(service):
    return service.get()["spec"].get("suspend", False)


def await_built(service):
    eventually(lambda: not service.image().endswith(NOT_BUILT), f"{service.name} is built", 90)


def await_started(service, seconds=90):
    eventually(lambda: not is_suspended(service), f"{service.name} is started", seconds)


def images(agent, service, count):
    """Newest first, once there are so many: the watch tells of them a moment later."""
    def all_there():
        found = agent.get(f"{service.path}/images")["images"]
        return found if len(found) == count else None
    return eventually(all_there, f"{service.name} has had {count} images")


def push(agent, service, text):
    """A signed push; gives its commit and what became of it."""
    commit = service.repository.push(report(service.cluster, text), text)
    payload = forges.github_push(service.repository.url, commit)
    return commit, agent.outcome(agent.accept(forges.github(payload, FORGE_SECRETS["github"])))


def asked(agent, service):
    """The delivery by which `build` asks for the head."""
    return forges.Delivery("admin", post(agent, service, "build", status=202)["delivery"], [], b"")


def runs_of_kind(service, kind):
    return [job for job in service.jobs() if job["metadata"]["annotations"].get(ANNOTATION + "run-kind") == kind]


# --- nothing fires by surprise: begun here, so that the minute passes while other tests run ---

class Minute:
    """Services whose schedule was due before they are started, and what the real controller makes of them."""

    def __init__(self, place):
        make = lambda word, run=False, **more: place.service(
            word, container=shell("true"), spec={"schedule": EVERY_MINUTE, "suspend": True, **more.pop("spec", {})},
            annotations={**({"missed": "run"} if run else {}), **more})
        self.skipping = make("draft-skips", state="draft")
        self.running = make("draft-runs", run=True, state="draft")
        self.stopped = make("stopped-skips")
        self.untouched = make("untouched", state="draft")
        self.busy = place.service("busy", container=shell("true"), spec={"schedule": EVERY_MINUTE})
        self.made = time.time()

    def await_missed(self):
        """Until all of them have missed a time, early in a minute."""
        eventually(lambda: time.time() // 60 > self.made // 60 and 3 <= time.time() % 60 <= 8, "a minute passes", 130)


def minutes_of(service):
    """The times, in minutes, of its scheduled runs, as the controller names them."""
    return sorted(int(job["metadata"]["name"].rsplit("-", 1)[1]) for job in service.jobs()
                  if job["metadata"]["annotations"].get("cronjob.kubernetes.io/instantiate") != "manual")


@pytest.fixture(scope="module", autouse=True)
def minute(life, agent):
    return Minute(life)


# --- drafts ---

@pytest.fixture(scope="module")
def built(agent, life):
    """A draft with its first image, and the commit of it."""
    repository = life.repository("first")
    commit = repository.push(report(life.cluster, "first"), "First of all")
    service = draft(life, "first", repository=repository)
    await_built(service)
    return service, commit


def test_draft_is_built_at_once(agent, built):
    """Nobody pushed; and it stays a draft."""
    service, commit = built
    assert service.annotation("commit") == commit and service.annotation("state") == "draft"
    assert is_suspended(service)
    assert agent.deliveries()["deliveries"] == []
    [build] = agent.builds_of(service.repository)
    [image] = images(agent, service, 1)
    assert (image["image"], image["commit"], image["build"]) == (service.image(), commit, build["build"])
    assert (image["kind"], image["live"], image["subject"], image["author"]) == ("built", True, "First of all", "Ana")
    assert image["by"] is None and image["at"]


def test_service_made_by_hand_waits_for_a_push(agent, life):
    repository = life.repository("waits", report(life.cluster, "waits"))
    service = life.service("waits", repository=repository).seen_by(agent)
    other = draft(life, "waits-not", repository=life.repository("waits-not", report(life.cluster, "x")))
    await_built(other)
    assert agent.builds_of(repository) == [] and service.image().endswith(NOT_BUILT)


def test_start_and_stop(agent, built):
    service, _ = built
    assert post(agent, service, "start", status=403, token="runner")["detail"]
    before = service.get()
    answer = post(agent, service, "start")
    assert (answer["state"], answer["before"], answer["after"]) == ("started", "draft", "started")
    assert answer["firstRun"] is None and answer["next"].endswith("-01-01T00:00:00.000Z")
    after = service.get()
    assert after["spec"] == {**before["spec"], "suspend": False}
    assert ANNOTATION + "state" not in after["metadata"]["annotations"]
    generation = after["metadata"]["generation"]
    again = post(agent, service, "start")
    assert (again["state"], again["before"]) == ("started", "started")
    assert post(agent, service, "stop") == {"state": "stopped", "before": "started", "after": "stopped"}
    assert is_suspended(service)
    assert post(agent, service, "stop") == {"state": "stopped", "before": "stopped", "after": "stopped"}
    assert post(agent, service, "start")["before"] == "stopped"
    assert service.get()["metadata"]["generation"] == generation + 2
    assert post(agent, service, "start", {"now": True}, status=400)["detail"] == "this takes no body"
    assert service.jobs() == []


def test_start_takes_effect_when_the_build_ends(agent, life):
    repository = life.repository("early", report(life.cluster, "early", SLOW))
    service = draft(life, "early", repository=repository, annotations={"first-run": "onStart"}).seen_by(agent)
    answer = post(agent, service, "start")
    assert (answer["state"], answer["before"], answer["next"], answer["firstRun"]) == ("starting", "draft", None, None)
    assert is_suspended(service) and service.annotation("state") == "starting"
    await_started(service)
    assert not service.image().endswith(NOT_BUILT) and service.annotation("state") is None
    [first] = eventually(lambda: runs_of_kind(service, "first"), "the first run is made")
    ended = service.ended(agent, first["metadata"]["name"])
    assert (ended["state"], ended["kind"], ended["commit"]) == ("succeeded", "first", service.annotation("commit"))
    eventually(lambda: service.annotation("first-run-due") is None, "the mark is gone")


def test_start_is_not_forgotten_by_a_killed_agent(agent, life):
    repository = life.repository("killed", report(life.cluster, "killed", SLOW))
    service = draft(life, "killed", repository=repository).seen_by(agent)
    agent.build_reaches(repository, repository.commit_of_head(), "running")
    assert post(agent, service, "start")["state"] == "starting"
    agent.kill()
    agent.start()
    await_started(service)


def test_start_between_image_and_start(agent, life):
    """As an agent leaves it that dies after the patch of the image."""
    agent.kill()
    image = life.cluster.busybox_image
    service = life.service("between", image=image, container=shell("true"), spec={"suspend": True},
                           annotations={"state": "starting", "patched-image": image, "first-run": "onStart"})
    agent.start()
    await_started(service, 30)
    eventually(lambda: runs_of_kind(service, "first"), "the first run is made")


def test_stop_before_the_start_takes_effect(agent, life):
    repository = life.repository("undone", report(life.cluster, "undone", SLOW))
    service = draft(life, "undone", repository=repository).seen_by(agent)
    assert post(agent, service, "start")["state"] == "starting"
    answer = post(agent, service, "stop")
    assert (answer["before"], answer["after"]) == ("starting", "draft")
    await_built(service)
    agent.restart()  # looks at everything again
    assert is_suspended(service) and service.annotation("state") == "draft"


def test_failed_first_build(agent, life):
    """It is not tried again by itself; the start names it; `build` tries again."""
    repository = life.repository("broken", {"Dockerfile": "FROM scratch\nCOPY none /none\n"})
    commit = repository.commit_of_head()
    service = draft(life, "broken", repository=repository)
    [build] = [agent.build_reaches(repository, commit, "failed")]
    agent.restart()
    answer = post(agent, service, "start", status=409)
    assert answer["reason"] == "not-ready"
    [missing] = answer["missing"]
    assert build["build"] in missing and f"cronwright build {service.full_name}" in missing
    assert len(agent.builds_of(repository)) == 1
    assert post(agent, service, "build", status=403, token="runner")
    delivery = agent.outcome_of(asked(agent, service), "build-failed")
    assert (delivery["forge"], delivery["event"], delivery["pusher"]) == ("admin", "build", "admin")
    assert len(agent.builds_of(repository)) == 2
    fixed = repository.push(report(life.cluster, "fixed"))
    post(agent, service, "build", status=202)
    await_built(service)
    assert service.annotation("commit") == fixed


def test_branch_that_is_not_there(agent, life):
    """There is no build that could say so: the draft does, and it is not started before there is one."""
    repository = life.repository("branchless", report(life.cluster, "branchless"))
    service = draft(life, "branchless", repository=repository, branch="nope")
    missing = eventually(lambda: agent.get(service.path)["status"]["missing"], "it is told", 60)
    assert len(missing) == 1 and '"nope"' in missing[0]
    assert f"cronwright build --follow {service.full_name}" in missing[0]
    assert post(agent, service, "start", status=409)["missing"] == missing
    repository.push(branch="nope")
    post(agent, service, "build", status=202)
    await_built(service)
    assert post(agent, service, "start")["state"] == "started"


def test_build_goes_by_what_was_changed_a_moment_ago(agent, life):
    service = life.service("moved", repository=life.repository("moved")).seen_by(agent)
    for branch in ("main", "next", "main", "next"):
        assert agent.api("PATCH", service.path, {"source": {"git": {"branch": branch}}}).status == 200
        delivery = post(agent, service, "build", status=202)["delivery"]
        assert agent.get(f"/v1/deliveries/{delivery}")["branch"] == branch


def test_build_of_what_cannot_be_built(agent, life):
    plain = life.service("plain", container=shell("true")).seen_by(agent)
    assert post(agent, plain, "build", status=409)["reason"] == "no-source"
    foreign = life.service("foreign", repository=life.repository("foreign"), annotations={
        "repository": "https://git.example/other/one"}, image="x").seen_by(agent)
    assert post(agent, foreign, "build", status=403)["reason"] == "not-allowed"
    assert agent.api("POST", f"/v1/services/{life.namespace}/none/build").status == 404


# --- what is missing ---

def test_start_names_what_is_missing(agent, life):
    life.cluster.kubectl("-n", life.namespace, "create", "configmap", "there", "--from-literal=a=b")
    reference = lambda kind, name, **more: {"name": name.upper(), "valueFrom": {
        f"{kind}KeyRef": {"name": name, "key": "a", **more}}}
    service = draft(
        life, "lacking", spec={"schedule": "0 0 31 2 *"},
        container=shell("true", env=[reference("secret", "no-secret"), reference("secret", "perhaps", optional=True),
                                     reference("configMap", "there"), reference("configMap", "no-map")]),
        template={"imagePullSecrets": [{"name": "no-login"}], "serviceAccountName": "no-account"}).seen_by(agent)
    refused = post(agent, service, "start", status=409)
    # Its own rights do not let it look at Secrets.
    assert [text for text in refused["notChecked"] if '"no-secret"' in text and "may not look" in text]
    assert [text for text in refused["missing"] if "never fires" in text]

    life.cluster.kubectl("apply", "-f", str(TOP / "deploy/manifests/rbac-check-references.yaml"))
    life.cluster.kubectl("-n", life.namespace, "create", "rolebinding", "check",
                         "--clusterrole=cronwright-check-references", "--serviceaccount=cronwright:cronwright")
    answer = eventually(lambda: next((found for found in [post(agent, service, "start", status=409)]
                                      if found["notChecked"] == []), None), "the right is there")
    missing = "\n".join(answer["missing"])
    for name in ("Secret \"no-secret\"", "ConfigMap \"no-map\"", "pull secret \"no-login\"",
                 "service account \"no-account\""):
        assert f"{name} does not exist: kubectl -n {life.namespace} create " in missing
    assert "never fires" in missing and "perhaps" not in missing and "there" not in missing
    assert is_suspended(service) and service.annotation("state") == "draft"


def test_start_asks_the_quota(agent, new_place):
    life = agent.place
    life.cluster.kubectl("-n", life.namespace, "create", "quota", "small", "--hard=limits.memory=1Gi")
    try:
        service = draft(life, "greedy", container=shell("true", resources={"limits": {"memory": "2Gi"}})).seen_by(agent)
        eventually(lambda: service.status(agent)["missing"], "the quota counts")
        [missing] = post(agent, service, "start", status=409)["missing"]
        assert "exceeded quota: small" in missing and "/resources" in missing
    finally:
        life.cluster.kubectl("-n", life.namespace, "delete", "quota", "small")
    assert eventually(lambda: agent.api("POST", f"{service.path}/start").status == 200, "the quota is gone")
    assert not is_suspended(service)


# --- first runs ---

def test_first_run_is_made_once(agent, life):
    """By two agents, and again by one that finds the mark of a run that was made."""
    agent.kill()
    service = life.service("once", container=shell("true"), annotations={"first-run-due": "start"})
    directory = life.directory / "other"
    directory.mkdir()
    other = Agent(life, directory)
    other.start(until_ready=False)
    agent.start()
    other.await_ready()
    eventually(lambda: service.annotation("first-run-due") is None, "the mark is gone")
    [first] = runs_of_kind(service, "first")
    other.finish()
    agent.kill()
    service.merge(metadata={"annotations": {DUE: "start"}})
    agent.start()
    eventually(lambda: service.annotation("first-run-due") is None, "the mark is gone again")
    assert [job["metadata"]["name"] for job in service.jobs()] == [first["metadata"]["name"]]


def test_first_run_of_each_image(agent, life):
    repository = life.repository("each", report(life.cluster, "one"))
    service = draft(life, "each", repository=repository, annotations={"first-run": "onImage"})
    await_built(service)
    assert service.jobs() == []  # a draft
    answer = post(agent, service, "start")
    assert answer["firstRun"]["kind"] == "first"
    service.ended(agent, answer["firstRun"]["name"])
    commit, outcome = push(agent, service, "two")
    assert outcome["reason"] == "deployed"
    eventually(lambda: len(runs_of_kind(service, "first")) == 2, "the new image has its first run")
    commits = {job["metadata"]["annotations"][ANNOTATION + "commit"] for job in service.jobs()}
    assert len(service.jobs()) == 2 and commit in commits
    post(agent, service, "stop")
    assert push(agent, service, "three")[1]["reason"] == "deployed"
    agent.restart()
    assert len(service.jobs()) == 2  # stopped


# --- images ---

def test_roll_back_and_resume(agent, built):
    service, first = built
    second, outcome = push(agent, service, "second")
    assert outcome["reason"] == "deployed"
    newer, older = images(agent, service, 2)
    assert (newer["commit"], older["commit"]) == (second, first)
    assert post(agent, service, "rollback", {"to": "b-99999"}, status=404)["detail"]
    assert post(agent, service, "rollback", {"to": "first"}, status=400)["errors"][0]["pointer"] == "/to"
    assert post(agent, service, "rollback", status=403, token="runner")

    answer = post(agent, service, "rollback")
    assert (answer["image"], answer["commit"], answer["build"]) == (older["image"], first, older["build"])
    assert (answer["before"], answer["after"], answer["pinned"]) == (newer["image"], older["image"], True)
    assert service.image() == older["image"] and service.annotation("pinned") == "admin"
    now = images(agent, service, 3)
    assert [(one["kind"], one["live"], one["by"]) for one in now] == \
        [("rollback", True, "admin"), ("built", False, None), ("built", False, None)]
    assert (now[0]["commit"], now[0]["subject"]) == (first, "First of all")
    eventually(lambda: agent.get(service.path)["status"]["pinned"], "it is shown as pinned")

    third, outcome = push(agent, service, "third")
    assert outcome["reason"] == "pinned" and service.image() == older["image"]
    answer = post(agent, service, "resume")
    assert (answer["pinned"], answer["before"], answer["after"]) == (False, "pinned", "following")
    eventually(lambda: service.annotation("commit") == third, "the head is live again")
    assert service.annotation("pinned") is None
    [image, *_] = images(agent, service, 4)
    assert (image["commit"], image["kind"]) == (third, "built")
    assert post(agent, service, "rollback", {"to": newer["build"]})["commit"] == second
    post(agent, service, "resume")
    eventually(lambda: service.annotation("commit") == third, "the head is live once more")


def test_image_changed_by_hand_pins(agent, life):
    repository = life.repository("hand", report(life.cluster, "hand"))
    service = draft(life, "hand", repository=repository)
    await_built(service)
    by_us, commit = service.image(), service.annotation("commit")
    images(agent, service, 1)
    mine = f"{life.images}/mine:1"
    life.push_image(mine)
    service.set_image(mine)
    hand, earlier = images(agent, service, 2)
    assert (hand["kind"], hand["image"], hand["commit"], earlier["image"]) == ("hand", mine, None, by_us)
    assert service.status(agent)["live"] is None  # nobody knows of which commit it is
    later, outcome = push(agent, service, "later")
    assert outcome["reason"] == "pinned" and service.image() == mine
    post(agent, service, "resume")
    eventually(lambda: service.annotation("commit") == later, "the head is live")
    answer = post(agent, service, "rollback")  # to the image by hand
    assert answer["after"] == mine and answer["commit"] is None
    assert "not checked" in answer["warnings"][0]  # it has no digest
    assert post(agent, service, "rollback", {"to": earlier["build"]})["commit"] == commit


def test_image_undone_by_a_gitops_owner(agent, built):
    """It is put back once: neither is it a person's wish, nor is there a fight."""
    service, first = built
    ours = service.image()
    undo = lambda: service.cluster.call(
        "PATCH", f"/apis/batch/v1/namespaces/{service.namespace}/cronjobs/{service.name}?fieldManager=helm",
        [{"op": "replace", "path": "/spec/jobTemplate/spec/template/spec/containers/0/image", "value": "helm:1"}],
        "application/json-patch+json")
    undo()
    eventually(lambda: service.image() == ours, "it is put back")

    def history():
        found = agent.get(f"{service.path}/images")["images"]
        return found if [one["image"] for one in found[:2]] == [ours, "helm:1"] else None
    undone = eventually(history, "it is known here, too")[1]
    assert undone["by"] == "Helm release"
    undo()
    agent.outcome(asked(agent, service))
    agent.restart()  # looks at everything once more
    agent.outcome(asked(agent, service))
    assert service.image() == "helm:1" and not agent.get(service.path)["status"]["pinned"]
    commit, outcome = push(agent, service, "after helm")
    assert outcome["reason"] == "deployed" and service.annotation("commit") == commit


def test_images_changed_while_no_agent_looked(agent, life):
    service = life.service("unseen", container=shell("true")).seen_by(agent)
    [given] = images(agent, service, 1)
    assert (given["kind"], given["live"]) == ("given", True)
    assert post(agent, service, "rollback", status=409)["reason"] == "no-earlier-image"
    service.set_image(f"{life.images}/seen:1")
    eventually(lambda: images(agent, service, 2)[0]["at"], "it is stored")
    agent.kill()
    service.set_image(f"{life.images}/unseen:1")
    agent.start()
    assert [one["image"].rsplit("/", 1)[1] for one in images(agent, service, 3)][:2] == ["unseen:1", "seen:1"]
    service.set_image(f"{life.images}/last:1")
    found = images(agent, service, 4)
    assert [one["kind"] for one in found] == ["hand", "hand", "hand", "given"]
    assert [one["live"] for one in found] == [True, False, False, False]


def test_no_roll_back_to_what_is_gone(agent, life):
    gone = f"{life.images}/gone:1@sha256:{'0' * 64}"
    service = life.service("gone", image=gone).seen_by(agent)
    service.set_image(life.cluster.busybox_image)
    images(agent, service, 2)
    answer = post(agent, service, "rollback", status=409)
    assert answer["reason"] == "image-gone" and gone in answer["detail"]
    assert service.image() == life.cluster.busybox_image


# --- adopting ---

def foreign(place, word, labels=None, annotations=None, containers=None, **pod):
    """A CronJob that nobody told cronwright of; as `kubectl apply` leaves it."""
    name = place.name(word)
    return place.cluster.create("cronjobs", place.namespace, {
        "metadata": {"name": name, "labels": labels, "annotations": annotations, "finalizers": ["example.com/mine"]},
        "spec": {"schedule": "0 0 1 1 *", "suspend": True, "failedJobsHistoryLimit": 4, "jobTemplate": {
            "metadata": {"labels": {"mine": "yes"}}, "spec": {"template": {"spec": {
                "restartPolicy": "OnFailure", "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["x"]}],
                "containers": containers or [{"name": "job", "image": f"{place.images}/{name}:1"}], **pod}}}}}})


@pytest.fixture
def adopted(life):
    """Takes away what would keep the namespace."""
    made = []
    yield made.append
    for cronjob in made:
        life.cluster.merge("cronjobs", life.namespace, cronjob["metadata"]["name"], {"metadata": {"finalizers": None}})


def adopt(agent, cronjob, status=200, token="admin", **more):
    body = {"namespace": cronjob["metadata"]["namespace"], "name": cronjob["metadata"]["name"], **more}
    answer = agent.api("POST", "/v1/services:adopt", body, token=token)
    assert answer.status == status, answer
    return answer.json


def without_ours(cronjob):
    """All of it that adopting may not change."""
    ours = lambda texts: {key: value for key, value in (texts or {}).items() if not key.startswith(ANNOTATION)}
    metadata = {key: value for key, value in cronjob["metadata"].items() if key not in ("resourceVersion",
                                                                                        "managedFields")}
    return {**cronjob, "metadata": {**metadata, "labels": ours(metadata.get("labels")),
                                    "annotations": ours(metadata.get("annotations"))}}


@pytest.mark.parametrize("metadata", [{}, {"labels": {"a": "b"}, "annotations": {"example.com/c": "d"}}],
                         ids=["bare", "labelled"])
def test_adopting_preserves_everything(agent, life, adopted, metadata):
    before = foreign(life, "adopted", **metadata)
    adopted(before)
    name = before["metadata"]["name"]
    repository = life.repository("adopted", report(life.cluster, "adopted"))
    git = {"repository": repository.url, "branch": "main", "buildArgs": {"B": "2", "A": "1"}, "paths": ["src/**"]}
    assert adopt(agent, before, 403, "runner", source={"git": git})
    answer = adopt(agent, before, project="sales", source={"git": git})
    assert answer["before"]["repository"] is None and answer["after"]["repository"] == repository.url
    assert (answer["before"]["managed"], answer["after"]["managed"]) == (False, True)
    assert answer["status"]["project"] == "sales" and "warnings" not in answer
    after = life.cluster.get("cronjobs", life.namespace, name)
    assert without_ours(after) == without_ours(before)
    assert {key.removeprefix(ANNOTATION): value for key, value in after["metadata"]["annotations"].items()
            if key.startswith(ANNOTATION)} == {"repository": repository.url, "branch": "main",
                                               "build-args": '{"A":"1","B":"2"}', "paths": '["src/**"]'}
    assert after["metadata"]["labels"][ANNOTATION + "managed"] == "true"
    adopt(agent, before, project="sales", source={"git": git})
    assert life.cluster.get("cronjobs", life.namespace, name) == after
    # It is a service now: it can be built and run.
    path = f"/v1/services/{life.namespace}/{name}"
    assert agent.api("POST", f"{path}/build").status == 202
    built = eventually(lambda: next((found for found in [life.cluster.get("cronjobs", life.namespace, name)]
                                     if ANNOTATION + "commit" in found["metadata"]["annotations"]), None), "built", 90)
    assert container_of(built)["image"] != container_of(before)["image"]


def test_adopting_one_of_two_containers(agent, life, adopted):
    before = foreign(life, "two", containers=[{"name": "side", "image": "side:1"}, {"name": "job", "image": "job:1"}],
                     initContainers=[{"name": "before", "image": "job:1"}, {"name": "other", "image": "other:1"}])
    adopted(before)
    refused = adopt(agent, before, 400)
    assert [error["pointer"] for error in refused["errors"]] == ["/container"]
    assert "2 containers" in refused["detail"] and refused["detail"].endswith("side, job, and before them before, other")
    assert adopt(agent, before, 400, container="none")["errors"][0]["pointer"] == "/container"
    assert life.cluster.get("cronjobs", life.namespace, before["metadata"]["name"]) == before
    assert adopt(agent, before, container="job")["after"]["container"] == "job"
    assert adopt(agent, before, container={"name": "other"})["after"]["container"] == "other"  # an init container


def test_containers_of_one_image_move_together(agent, life):
    """Without a choice, since there is none to make."""
    repository = life.repository("together", report(life.cluster, "together"))
    image = f"{life.images}/together{NOT_BUILT}"
    service = draft(life, "together", repository=repository, image=image, destination=f"{life.images}/together",
                    template={"initContainers": [{"name": "before", "image": image},
                                                 {"name": "other", "image": life.cluster.busybox_image}],
                              "containers": [{"name": "main", "image": image}, {"name": "second", "image": image}]})
    await_built(service)
    pod = service.get()["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert {one["image"] for one in pod["containers"]} == {service.image()}
    assert [one["image"] for one in pod["initContainers"]] == [service.image(), life.cluster.busybox_image]


def test_adopting_says_who_will_fight(agent, life, adopted):
    for marks, owner, remedy in [
            ({"annotations": {"meta.helm.sh/release-name": "web"}}, "Helm release web", "helm upgrade"),
            ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "Helm release", "chart"),
            ({"annotations": {"argocd.argoproj.io/tracking-id": "shop:batch/CronJob:a/b"}},
             "Argo CD application shop", "ignoreDifferences"),
            ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "Flux Kustomization apps", "IfNotPresent")]:
        cronjob = foreign(life, "owned", **marks)
        adopted(cronjob)
        answer = adopt(agent, cronjob)
        [warning] = answer["warnings"]
        assert warning.startswith(owner) and remedy in warning
        assert answer["status"]["owner"] == owner
        path = f"/v1/services/{life.namespace}/{cronjob['metadata']['name']}"
        eventually(lambda: agent.api("GET", path).status == 200, "it is seen")
        assert agent.api("POST", f"{path}/start").json["warnings"] == [warning]


def test_owner_is_told_by_its_fields(agent, life, adopted):
    cronjob = foreign(life, "fields", labels={"app.kubernetes.io/instance": "shop"})
    adopted(cronjob)
    name = cronjob["metadata"]["name"]
    life.cluster.call("PATCH", f"/apis/batch/v1/namespaces/{life.namespace}/cronjobs/{name}"
                      "?fieldManager=argocd-controller", {"spec": {"successfulJobsHistoryLimit": 2}},
                      "application/merge-patch+json")
    assert adopt(agent, cronjob)["status"]["owner"] == "Argo CD application shop"


@pytest.mark.parametrize("body, pointers", [
    ({}, ["/namespace", "/name"]), ({"namespace": "{ns}", "name": "x", "sources": {}}, ["/sources"]),
    ({"namespace": "{ns}", "name": "x", "source": {"image": "y"}}, ["/source"]),
    ({"namespace": "{ns}", "name": "x", "project": "a b", "source": {"git": {"branch": 1, "pathes": []}}},
     ["/project", "/source/git/branch", "/source/git/pathes", "/source/git/repository"])])
def test_adopting_with_a_bad_body(agent, life, body, pointers):
    text = json.dumps(body).replace("{ns}", life.namespace)
    answer = agent.api("POST", "/v1/services:adopt", text.encode())
    assert answer.status == 400 and [error["pointer"] for error in answer.json["errors"]] == pointers


def test_what_cannot_be_adopted(agent, life, adopted):
    there = foreign(life, "kept")
    adopted(there)
    git = lambda url: {"git": {"repository": url}}
    assert adopt(agent, there, 403, source=git("https://git.example/other/one"))["reason"] == "not-allowed"
    assert adopt(agent, there, 400, source=git("no url"))["errors"]
    nowhere = {"metadata": {"namespace": life.namespace, "name": "nowhere"}}
    assert adopt(agent, nowhere, 404)["reason"] == "no-cronjob"
    elsewhere = {"metadata": {"namespace": "kube-system", "name": "x"}}
    assert adopt(agent, elsewhere, 404)["reason"] == "not-watched"
    assert life.cluster.get("cronjobs", life.namespace, there["metadata"]["name"]) == there


# --- forced runs of their own ---

def test_variables_and_arguments_of_one_run(agent, life):
    service = life.service("special", container=shell("echo $A $B $C $0 $1", args=["x", "y"], env=[
        {"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "C", "value": "$(A)"}])).seen_by(agent)
    before = service.get()
    body = {"env": {"A": "one", "D": "hidden value"}, "args": ["p", "q"]}
    assert "admin" in service.force(agent, body, status=403).json["detail"]
    run = service.force(agent, body, token="admin").json
    ended = service.ended(agent, run["name"])
    assert ended["state"] == "succeeded"
    assert agent.api("GET", f"{service.path}/runs/{run['name']}/logs?follow=true").text == "one 2 one p q\n"
    job = life.cluster.get("jobs", life.namespace, run["name"])
    assert job["metadata"]["annotations"][ANNOTATION + "overridden"] == "env A, D; args"
    assert "hidden" not in json.dumps(job["metadata"]["annotations"]) and "hidden value" not in agent.log_text()
    assert service.get()["spec"] == before["spec"]
    service.merge(metadata={"annotations": {ANNOTATION + "overrides": "runner"}})
    eventually(lambda: agent.api("POST", f"{service.path}/runs", {"args": [], "ifActive": "allow"},
                                 token="runner").status == 201, "the service consents")
    for wrong, pointer in [({"env": {"A=": "x"}}, "/env/A="), ({"env": {"A": 1}}, "/env/A"), ({"args": "x"}, "/args"),
                           ({"args": ["x", 1]}, "/args/1"), ({"env": []}, "/env"), ({"environment": {}}, "/environment")]:
        assert service.force(agent, wrong, status=400).json["errors"][0]["pointer"] == pointer


# --- the minute that was begun above ---

def test_nothing_fires_by_surprise(agent, minute):
    """Each was due before its start; the next time counts, but for the one that wants missed runs."""
    minute.await_missed()
    now = int(time.time() // 60)
    busy = minute.busy
    eventually(lambda: minutes_of(busy)[-1:] == [now], "it was run by its schedule")
    busy.ended(agent, f"{busy.name}-{now}")
    before = busy.get()["status"]["lastScheduleTime"]
    for service in (minute.skipping, minute.stopped, minute.running):
        answer = post(agent, service, "start")
        assert answer["next"] == time.strftime("%Y-%m-%dT%H:%M:00.000Z", time.gmtime((now + 1) * 60))
    assert eventually(lambda: minutes_of(minute.running), "the missed run is made at once", 45)[-1] == now
    forced = busy.force(agent).json
    assert forced["besideSchedule"] is True and forced["nextScheduled"] == answer["next"]
    busy.ended(agent, forced["name"])
    assert busy.get()["status"]["lastScheduleTime"] == before
    assert time.time() // 60 == now, "too slow to tell"
    # The controller has looked at all of them: each is run by the next time, and never before.
    for service in (minute.skipping, minute.stopped, busy):
        eventually(lambda: now + 1 in minutes_of(service), "it is run at its time", 75)
    assert minutes_of(minute.skipping) == minutes_of(minute.stopped) == [now + 1]
    seen = minutes_of(busy)
    assert seen == list(range(seen[0], now + 2))[-3:]
    assert minute.untouched.jobs() == []
    for service in (minute.skipping, minute.stopped, minute.running, busy):
        post(agent, service, "stop")
