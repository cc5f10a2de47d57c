"""Verified requests that are no push to a followed branch: accepted, since a forge gives up on a hook that
refuses; told in the deliveries; and nothing starts."""

import hashlib
import json

import pytest

import forges
from agents import FORGE_SECRETS
from places import report

GITHUB, SIGNING = FORGE_SECRETS["github"], FORGE_SECRETS["gitlab-signing"]
COMMIT = "8" * 40


@pytest.fixture(scope="module")
def repository(agent, place):
    repository = place.repository("ignored", report(place.cluster, "never built"))
    place.service("ignored", repository=repository).seen_by(agent)
    return repository


def github(payload, event="push", **more):
    return forges.github(payload, GITHUB, event=event, **more)


def gitlab(payload, event="Push Hook"):
    return forges.gitlab(payload, signing_token=SIGNING, event=event)


IGNORED = {
    "github-ping": lambda r: github(forges.github_ping(r.url), "ping"),
    "github-ping-of-organisation": lambda r: github({"zen": "x", "hook_id": 1}, "ping"),
    "github-ping-form": lambda r: github(forges.github_ping(r.url), "ping", form=True),
    "github-tag": lambda r: github(forges.github_push(r.url, COMMIT, ref="refs/tags/v1.0")),
    "github-tag-deleted": lambda r: github(forges.github_push(r.url, forges.ZEROS, ref="refs/tags/v1.0")),
    "github-branch-deleted": lambda r: github(forges.github_push(r.url, forges.ZEROS, before=COMMIT)),
    "github-other-ref": lambda r: github(forges.github_push(r.url, COMMIT, ref="refs/pull/7/head")),
    "github-issue": lambda r: github({"action": "opened", "repository": {"clone_url": r.url}}, "issues"),
    "gitlab-tag": lambda r: gitlab(forges.gitlab_push(r.url, COMMIT, ref="refs/tags/v1.0", kind="tag_push"),
                                   "Tag Push Hook"),
    "gitlab-branch-deleted": lambda r: gitlab(forges.gitlab_push(r.url, forges.ZEROS, before=COMMIT)),
    "gitlab-issue": lambda r: gitlab({"object_kind": "issue", "project": {"git_http_url": r.url}}, "Issue Hook"),
    "gitlab-system-user": lambda r: gitlab({"event_name": "user_create", "email": "x@example.com"}, "System Hook"),
    "gitlab-system-tag": lambda r: gitlab(forges.gitlab_push(r.url, COMMIT, ref="refs/tags/v2", kind="tag_push"),
                                          "System Hook"),
    "gitlab-system-repository": lambda r: gitlab({"event_name": "repository_update",
                                                  "project": {"git_http_url": r.url}}, "System Hook"),
}


@pytest.mark.parametrize("which", IGNORED)
def test_ignored(agent, repository, which):
    delivery = agent.accept(IGNORED[which](repository), reason="ignored")
    found = agent.get(f"/v1/deliveries/{delivery.id}")
    assert found["reason"] == "ignored" and found["detail"] and not found["pending"]
    assert found["builds"] == [] and found["finished"]
    again = agent.deliver(delivery)
    assert (again.status, again.json["reason"]) == (202, "repeated")
    assert not agent.builds_of(repository)


@pytest.mark.parametrize("push", [
    lambda r: forges.github_push(r.url, COMMIT, ref="refs/heads/nobody-follows-this"),
    lambda r: forges.github_push(r.url, COMMIT, ref="refs/heads/Main"),
    lambda r: forges.github_push(r.url.replace(".git", "-other.git"), COMMIT),
    lambda r: forges.github_push("https://github.com/someone/else.git", COMMIT)],
    ids=["branch", "letter-case", "repository", "host"])
def test_push_that_nobody_follows(agent, repository, push):
    delivery = agent.accept(github(push(repository)), reason="no-match")
    found = agent.get(f"/v1/deliveries/{delivery.id}")
    assert (found["reason"], found["pending"], found["builds"]) == ("no-match", False, [])
    assert delivery.id in [one["delivery"] for one in agent.deliveries(reason="no-match")["deliveries"]]
    assert not agent.builds_of(repository)


def test_gitea_signs_what_is_inside_its_form(agent):
    """It speaks GitHub's headers and payload, but signs the JSON even where it sends a form."""
    payload = json.dumps(forges.github_push("https://gitea.example/acme/report.git", COMMIT)).encode()
    delivery = github(payload, form=True).with_headers(
        ("X-Hub-Signature-256", forges.github_signature(GITHUB, payload)), ("X-Hub-Signature", None),
        ("X-Gitea-Event", "push"), ("X-Gitea-Event-Type", "push"),
        ("X-Gitea-Signature", forges.github_signature(GITHUB, payload).removeprefix("sha256=")))
    agent.accept(delivery, reason="no-match")


def test_body_is_not_kept_but_its_hash(agent, repository):
    delivery = agent.accept(github(forges.github_ping(repository.url), "ping"), reason="ignored")
    assert agent.get(f"/v1/deliveries/{delivery.id}")["bodySha256"] == hashlib.sha256(delivery.body).hexdigest()


def test_nothing_was_built(agent, place, repository):
    assert not agent.builds_of(repository) and not place.build_jobs(repository)
