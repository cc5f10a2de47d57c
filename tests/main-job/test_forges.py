"""Webhooks of Gitea, Forgejo and Bitbucket, as they send them. Gitea itself is in test_gitea.py."""

import pytest

import forges
from agents import FORGE_SECRETS
from places import report
from waiting import eventually

GITEA, BITBUCKET, COMMIT = FORGE_SECRETS["gitea"], FORGE_SECRETS["bitbucket"], "c" * 40


@pytest.fixture(scope="module")
def repository(place):
    return place.repository("forges", report(place.cluster, "one"))


def push_of(repository):
    return forges.github_push(repository.url, COMMIT, ref="refs/heads/nobody-follows-this")


@pytest.mark.parametrize("name", ["Gitea", "Forgejo", "Gogs"])
@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
def test_gitea_and_its_kin(agent, repository, name, form):
    delivery = agent.accept(forges.gitea(push_of(repository), GITEA, form=form, name=name), reason="no-match")
    assert agent.get(f"/v1/deliveries/{delivery.id}")["forge"] == "gitea"


def test_push_of_several_branches_wakes_each(agent, place):
    """Bitbucket tells of all refs of a push at once."""
    repository = place.repository("several")
    services = {branch: place.service(f"of-{branch}", repository=repository, branch=branch).seen_by(agent)
                for branch in ("main", "next")}
    commits = {branch: repository.push(report(place.cluster, branch), branch=branch) for branch in services}
    payload = forges.bitbucket_cloud_push(repository.url, ("old", None), *commits.items())
    delivery = agent.accept(forges.bitbucket(payload, BITBUCKET))
    for branch, service in services.items():
        eventually(lambda: service.annotation("commit") == commits[branch], f"{branch} is deployed", 120)
    rows = {one["branch"]: one for one in agent.deliveries()["deliveries"]
            if one["delivery"].split(":")[0] == delivery.id}
    assert {branch: rows[branch]["commit"] for branch in commits} == commits
    assert rows[None]["reason"] == "ignored"  # the branch that was deleted
    assert agent.get(f"/v1/deliveries/{delivery.id}")["branch"] == "main"  # it is known by one that was pushed
    again = agent.deliver(forges.bitbucket(payload, BITBUCKET, delivery_id=delivery.id))
    assert (again.status, again.json["reason"]) == (202, "repeated")


def test_data_center(agent, repository):
    payload = forges.bitbucket_server_push(repository.url, ("nobody-follows-this", COMMIT))
    agent.accept(forges.bitbucket(payload, BITBUCKET, "repo:refs_changed"), reason="no-match")
    agent.accept(forges.bitbucket(b'{"test": true}', BITBUCKET, "diagnostics:ping"), reason="ignored")


def gitea(repository, secret=GITEA, **headers):
    changes = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return forges.gitea(push_of(repository), secret).with_headers(*changes)


def bitbucket(repository, secret=BITBUCKET, event="repo:push", **headers):
    changes = [(name.replace("_", "-"), value) for name, value in headers.items()]
    payload = forges.bitbucket_cloud_push(repository.url, ("main", COMMIT))
    return forges.bitbucket(payload, secret, event).with_headers(*changes)


def sent_to(forge, delivery):
    return forges.Delivery(forge, delivery.id, delivery.headers, delivery.body)


REFUSED = {  # delivery, status, what the answer says
    "gitea-wrong": (lambda r: gitea(r, "wrong"), 401, "matches no configured secret"),
    "gitea-githubs": (lambda r: gitea(r, FORGE_SECRETS["github"]), 401, "matches no configured secret"),
    "gitea-no-secret": (lambda r: gitea(r, None), 401, "has the hook a secret?"),
    "gitea-one-of-them-wrong": (lambda r: gitea(r, X_Gogs_Signature="0" * 64), 401, "matches no configured secret"),
    "gitea-upper-case": (lambda r: gitea(r, X_Gitea_Signature="A" * 64), 401, "lower-case hex digits"),
    "gitea-cut": (lambda r: gitea(r, X_Gitea_Signature="0" * 63), 401, "64 lower-case hex digits"),
    "gitea-not-json": (lambda r: forges.gitea(b"{", GITEA), 400, "not a JSON object"),
    "gitea-at-githubs-path": (lambda r: sent_to("github", gitea(r)), 401, "/webhooks/gitea"),
    "github-at-giteas-path": (lambda r: sent_to("gitea", forges.github(push_of(r), GITEA)), 400, "/webhooks/github"),
    "bitbucket-wrong": (lambda r: bitbucket(r, "wrong"), 401, "matches no configured secret"),
    "bitbucket-no-secret": (lambda r: bitbucket(r, None), 401, "has the hook a secret?"),
    "bitbucket-sha1": (lambda r: bitbucket(r, X_Hub_Signature="sha1=" + "0" * 40), 401, "64 lower-case hex digits"),
    "bitbucket-other-header": (lambda r: bitbucket(r, None, X_Hub_Signature_256="sha256=" + "0" * 64), 401,
                               "no X-Hub-Signature header"),
    "bitbucket-connection-test": (lambda r: forges.bitbucket(b'{"test": true}', None, "diagnostics:ping"), 401,
                                  "does not sign its connection test"),
    "bitbucket-form": (lambda r: bitbucket(r, Content_Type="application/x-www-form-urlencoded"), 415,
                       "not application/json"),
    "bitbucket-bad-branch": (lambda r: forges.bitbucket(
        forges.bitbucket_cloud_push(r.url, ("main", COMMIT), ("a..b", COMMIT)), BITBUCKET), 400, "ref"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(agent, repository, case):
    make, status, says = REFUSED[case]
    before = len(agent.deliveries()["deliveries"])
    answer = agent.deliver(make(repository))
    assert answer.status == status and says in answer.json["detail"], answer
    newest = agent.deliveries()["refused"][0]
    assert (newest["status"], newest["reason"]) == (status, answer.json["detail"])
    assert len(agent.deliveries()["deliveries"]) == before  # nothing is stored
