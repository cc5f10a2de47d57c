"""The main job: a signed push becomes the image of a CronJob, for each forge and each scheme."""

import copy
import re

import pytest

import forges
from agents import FORGE_SECRETS, Agent
from places import ANNOTATION, container_of, report
from registry import Image

# annotations that a patch writes
OURS = {"commit", "build", "recipe", "patched-at", "patched-by", "patched-image"}


@pytest.fixture(scope="module")
def token_agent(new_place):
    """One whose GitLab hooks have a secret token and no signing token."""
    place = new_place("token")
    with Agent(place, place.directory, webhooks={"gitlab": {"signingTokenFiles": []}}) as agent:
        yield agent


SCHEMES = {
    "github-json": lambda url, commit: forges.github(forges.github_push(url, commit), FORGE_SECRETS["github"]),
    "github-form": lambda url, commit: forges.github(forges.github_push(url, commit), FORGE_SECRETS["github"],
                                                     form=True),
    "gitlab-token": lambda url, commit: forges.gitlab(forges.gitlab_push(url, commit),
                                                      token=FORGE_SECRETS["gitlab-token"]),
    "gitlab-signing": lambda url, commit: forges.gitlab(forges.gitlab_push(url, commit),
                                                        signing_token=FORGE_SECRETS["gitlab-signing"]),
}


class Push:
    """A service, and one push to its repository that was delivered."""

    def __init__(self, scheme, agent):
        place = agent.place
        self.agent = agent
        self.repository = place.repository(scheme)
        self.service = place.service(scheme, repository=self.repository).seen_by(agent)
        self.before = self.service.get()
        self.commit = self.repository.push(report(place.cluster, f"read by {scheme}"), "Read the numbers\n\nAll.")
        self.delivery = agent.accept(SCHEMES[scheme](self.repository.url, self.commit))


@pytest.fixture(scope="module")
def pushes(agent, token_agent):
    """All at once, since builds wait for the cluster most of the time."""
    return {scheme: Push(scheme, token_agent if scheme == "gitlab-token" else agent) for scheme in SCHEMES}


@pytest.fixture(params=SCHEMES)
def push(request, pushes):
    push = pushes[request.param]
    push.outcome = push.agent.outcome(push.delivery)
    return push


def test_push_becomes_the_image(push):
    assert push.outcome["reason"] == "deployed", push.outcome
    image = push.service.image()
    assert re.fullmatch(re.escape(push.service.destination) + r":[\w.-]+@sha256:[0-9a-f]{64}", image)
    assert "/report.sh" in Image(image).entries()
    assert push.service.annotation("commit") == push.commit
    assert push.service.annotation("patched-image") == image


def test_chain_is_followed_by_ids(push):
    delivery = push.agent.get(f"/v1/deliveries/{push.delivery.id}")
    [build] = delivery["builds"]
    assert delivery["build"] == build["build"] == push.service.annotation("build")
    assert (delivery["branch"], delivery["commit"]) == ("main", push.commit)
    assert (build["commit"], build["state"], build["attempt"]) == (push.commit, "done", 1)
    assert (build["subject"], build["author"]) == ("Read the numbers", "Ana")
    image = f"{build['image']}@{build['digest']}"
    assert push.service.image() == image
    [patch] = push.agent.get(f"/v1/builds/{build['build']}")["patches"]
    assert (patch["namespace"], patch["name"]) == (push.service.namespace, push.service.name)
    assert (patch["oldImage"], patch["newImage"]) == (container_of(push.before)["image"], image)
    for step in ("fetch", "context", "kaniko", "patch"):
        assert 0 <= build[f"{step}Seconds"] < 120
    seen = push.service.status(push.agent)
    assert (seen["image"], seen["live"]["commit"], seen["live"]["build"]) == (image, push.commit, build["build"])
    assert seen["live"]["subject"] == "Read the numbers" and seen["problem"] is None and seen["pinned"] is False


def test_lists_of_a_commit(push):
    """Of the whole id or of its beginning, in any letter case."""
    for wanted in (push.commit, push.commit[:7], push.commit[:12].upper()):
        deliveries = push.agent.get(f"/v1/deliveries?commit={wanted}")["deliveries"]
        assert push.delivery.id in [each["delivery"] for each in deliveries]
        builds = push.agent.get(f"/v1/builds?commit={wanted}")["builds"]
        assert {each["commit"] for each in [*deliveries, *builds]} == {push.commit}
        assert push.service.annotation("build") in [each["build"] for each in builds]
    nobody = "0123456789" * 4
    assert push.agent.get(f"/v1/deliveries?commit={nobody}")["deliveries"] == []
    assert push.agent.get(f"/v1/builds?commit={nobody}")["builds"] == []
    for wrong in ("", push.commit[:6], push.commit + "0", "g234567"):
        assert push.agent.api("GET", f"/v1/deliveries?commit={wrong}").status == 400
        assert push.agent.api("GET", f"/v1/builds?commit={wrong}").status == 400


def test_builds_and_deliveries_are_shown_to_whose_service_it_is(push):
    build = push.outcome["build"]
    for path in (f"/v1/deliveries/{push.delivery.id}", f"/v1/builds/{build}", f"/v1/builds/{build}/logs"):
        assert push.agent.api("GET", path, token="viewer").status == 200
        assert push.agent.api("GET", path, token="stranger").status == 404
    for kind in ("deliveries", "builds"):
        assert push.agent.get(f"/v1/{kind}", token="viewer")[kind]
        assert push.agent.get(f"/v1/{kind}", token="stranger")[kind] == []


def test_nothing_else_of_the_cronjob_changes(push):
    now, before = push.service.get(), copy.deepcopy(push.before)
    for cronjob in (now, before):
        for key in ("managedFields", "resourceVersion", "generation"):
            cronjob["metadata"].pop(key)
        container_of(cronjob).pop("image")
        for key in OURS:
            cronjob["metadata"]["annotations"].pop(ANNOTATION + key, None)
    assert now == before


def test_one_job_with_no_rights_builds_it(push):
    [job] = push.service.place.build_jobs(push.repository)
    pod = job["spec"]["template"]["spec"]
    [kaniko] = pod["containers"]
    assert job["spec"]["backoffLimit"] == 0 and job["spec"]["ttlSecondsAfterFinished"] > 0
    assert pod["automountServiceAccountToken"] is False
    assert kaniko["securityContext"]["allowPrivilegeEscalation"] is False
    assert kaniko["securityContext"]["capabilities"]["drop"] == ["ALL"]
    secret = push.service.cluster.get("secrets", job["metadata"]["namespace"], job["metadata"]["name"])
    assert secret["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]


def test_the_image_runs(push):
    run = push.service.force(push.agent).json["name"]
    ended = push.service.ended(push.agent, run)
    assert (ended["state"], ended["exitCode"], ended["commit"]) == ("succeeded", 0, push.commit)
    log = push.agent.api("GET", f"{push.service.path}/runs/{run}/logs?follow=true")
    assert log.text == f"read by {push.service.name.rpartition('-')[0]}\n"


def test_token_alone_while_hooks_are_moved_to_signing(new_place):
    """webhooks.gitlab.acceptUnsigned: either is good then, a wrong one of each is not."""
    place = new_place("moving")
    agent = Agent(place, place.directory, webhooks={"gitlab": {"acceptUnsigned": True}}).start()
    try:
        payload = forges.gitlab_push("https://gitlab.com/acme/report.git", "1" * 40)
        agent.accept(forges.gitlab(payload, token=FORGE_SECRETS["gitlab-token"]), reason="no-match")
        agent.accept(forges.gitlab(payload, signing_token=FORGE_SECRETS["gitlab-signing"]), reason="no-match")
        assert agent.deliver(forges.gitlab(payload, token="another")).status == 401
        assert agent.deliver(forges.gitlab(payload)).status == 401
        both = forges.gitlab(payload, token=FORGE_SECRETS["gitlab-token"],
                             signing_token=FORGE_SECRETS["gitlab-signing"])
        assert agent.deliver(both.with_headers(("webhook-signature", "v1," + "A" * 43 + "="))).status == 401
    finally:
        agent.finish()


def test_system_hook_is_told_by_its_payload(agent, pushes):
    push = pushes["gitlab-signing"]
    agent.outcome(push.delivery)
    delivery = agent.accept(forges.gitlab(forges.gitlab_push(push.repository.url, push.commit), event="System Hook",
                                          signing_token=FORGE_SECRETS["gitlab-signing"]))
    assert agent.outcome(delivery)["build"] == push.service.annotation("build")
    assert len(agent.builds_of(push.repository)) == 1


@pytest.mark.parametrize("request_of", [
    lambda url, commit: forges.github(forges.github_push(url, commit), FORGE_SECRETS["github-next"]),
    lambda url, commit: forges.gitlab(forges.gitlab_push(url, commit),
                                      signing_token=FORGE_SECRETS["gitlab-signing-next"])],
    ids=["github", "gitlab"])
def test_next_secret_is_good_beside_the_old_one(agent, pushes, request_of):
    push = pushes["github-json"]
    agent.outcome(push.delivery)
    found = agent.outcome(agent.accept(request_of(push.repository.url, push.commit)))
    assert (found["reason"], found["build"]) == ("unchanged", push.service.annotation("build"))


@pytest.mark.parametrize("scheme, secret", [("github-json", "github"), ("github-form", "github"),
                                            ("gitlab-token", "gitlab-token"), ("gitlab-signing", "gitlab-signing")])
def test_command_sign_is_accepted(pushes, scheme, secret):
    push = pushes[scheme]
    push.agent.outcome(push.delivery)
    out, _ = push.agent.cli("sign", "--scheme", scheme, "--secret-file", str(push.agent.secret_file(secret)),
                            "--repository", push.repository.url, "--commit", push.commit,
                            f"http://{push.agent.webhooks}")
    found = push.agent.outcome(forges.Delivery("any", out.strip(), [], b""))
    assert (found["reason"], found["branch"], found["commit"]) == ("unchanged", "main", push.commit)
