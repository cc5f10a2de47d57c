"""Who may build what, with which credential and Secrets: two namespaces with one agent."""

import json
import os

import pytest

from agents import Agent, push_of
from places import SCHEDULE, container_of, report
from repositories import git
from waiting import eventually


def entry(place, repositories, images, **more):
    return {"namespaces": [place.namespace], "repositories": repositories, "images": images, **more}


@pytest.fixture(scope="module")
def one(new_place):
    return new_place("one")


@pytest.fixture(scope="module")
def two(new_place):
    return new_place("two")


@pytest.fixture(scope="module")
def secrets(one):
    """Logins to push with: the registry asks for none, but each is mounted."""
    names = [f"push-{one.namespace}-{word}" for word in ("one", "two")]
    for name in names:
        one.cluster.create("secrets", one.builds_namespace, {
            "metadata": {"name": name}, "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": json.dumps({"auths": {"unused.example": {"auth": "dTpw"}}})}})
    yield names
    for name in names:
        one.cluster.delete("secrets", one.builds_namespace, name)


@pytest.fixture(scope="module")
def agent(one, two, secrets, tmp_path_factory):
    """The first may use the good login, the second only a wrong one; both may push where the first does."""
    agent = Agent(one, tmp_path_factory.mktemp("rights"))
    agent.secret_file("wrong").write_text("not the password")
    agent.secret_file("tenant").write_text("tenant-0123456789abcdef")
    login = {"url": one.private_git_url, "username": os.environ["GIT_USERNAME"]}
    agent.config["git"]["credentials"] = [
        {**login, "name": "one", "passwordFile": os.environ["GIT_PASSWORD_FILE"]},
        {**login, "name": "two", "passwordFile": str(agent.secret_file("wrong"))},
        {**login, "name": "three", "passwordFile": str(agent.secret_file("wrong"))}]
    agent.config["kubernetes"]["namespaces"] = [one.namespace, two.namespace]
    agent.config["admin"]["tokens"].append({
        "name": "tenant", "tokenFile": str(agent.secret_file("tenant")), "role": "admin",
        "namespaces": [two.namespace]})
    shared = one.images + "/shared"
    agent.config["allow"] = [
        entry(one, [one.private_git_url + "/nobody"], [one.images], gitCredential="three"),
        entry(one, [one.private_git_url], [one.images], gitCredential="one"),
        entry(two, [one.private_git_url], [shared], gitCredential="two"),
        entry(one, [one.git_url], [one.images], pushSecret=secrets[0], pullSecret="pull-one"),
        entry(two, [one.git_url + "/open"], [shared], pushSecret=secrets[1]),
    ]
    with agent:
        yield agent


def tenant(agent, method, path, body=None):
    return agent.api(method, path, body, token="tenant-0123456789abcdef")


def git_source(url):
    return {"git": {"repository": url, "branch": "main"}}


def drafts_of(agent, namespace):
    return {service["name"] for service in agent.get(f"/v1/services?namespace={namespace}")["services"]}


def test_what_one_may_and_the_other_may_not(agent, one, two):
    """A push builds for the one that the table has, and nothing for the other."""
    repository = one.repository("mine")
    allowed = one.service("mine", repository=repository).seen_by(agent)
    denied = two.service("mine", repository=repository, destination=f"{one.images}/shared/mine").seen_by(agent)
    before = denied.get()
    commit = repository.push(report(one.cluster, "mine"))
    agent.outcome_of(agent.accept(push_of(repository, commit)), "deployed")
    assert allowed.annotation("commit") == commit
    assert denied.get()["spec"] == before["spec"] and denied.annotation("commit") is None
    assert len(one.build_jobs(repository)) == 1
    assert "other repositories" in denied.status(agent)["problem"]


@pytest.mark.parametrize("repository, image, lacks", [
    ("{git}/closed", "{images}/shared/x", "other repositories"),
    ("{git}/openly/x", "{images}/shared/x", "other repositories"),
    ("{git}/open/../closed", "{images}/shared/x", "\"..\""),
    ("{git}/open/%2e%2e/closed", "{images}/shared/x", "\"..\""),
    ("{git}/open/x", "{images}/other", "other images"),
    ("{git}/open/x", "{images}/shared-too/x", "other images"),
    ("{git}/open/x", "{images}/shared/../other", None),
    ("{git}/open/x", "{images}/Shared/x", None),
    ("{private}/../x", "{images}/shared/x", "\"..\""),
    ("https://git.example/x", "{images}/shared/x", "other repositories")])
def test_nobody_asks_himself_into_the_table(agent, one, two, repository, image, lacks):
    """By annotation nothing is built, and `create` and `adopt` refuse, whatever way a name is written."""
    names = {"git": one.git_url, "private": one.private_git_url, "images": one.images}
    repository, image = repository.format(**names), image.format(**names)
    body = {"name": two.name("asks"), "namespace": two.namespace, "schedule": SCHEDULE,
            "source": git_source(repository), "image": image}
    refused = tenant(agent, "POST", "/v1/services", body)
    plain = two.service("plain", image=two.cluster.busybox_image)
    two.cluster.merge("cronjobs", two.namespace, plain.name, {"metadata": {"labels": {"cronwright.io/managed": None}}})
    adopted = tenant(agent, "POST", "/v1/services:adopt", {
        "name": plain.name, "namespace": two.namespace, "source": git_source(repository), "image": image})
    service = two.service("notes", image=two.cluster.busybox_image, annotations={
        "repository": repository, "branch": "main", "image": image}).seen_by(agent)
    problem = service.status(agent)["problem"]
    if lacks and lacks.startswith("other"):
        for answer in (refused, adopted):
            assert (answer.status, answer.json["reason"]) == (403, "not-allowed"), answer
            assert lacks in answer.json["detail"]
        assert lacks in problem
        built = tenant(agent, "POST", service.path + "/build")
        assert (built.status, built.json["reason"]) == (403, "not-allowed")
    else:  # it is no name at all
        assert refused.status == 400 and adopted.status == 400 and problem
        assert tenant(agent, "POST", service.path + "/build").status == 409
    assert body["name"] not in drafts_of(agent, two.namespace)
    assert plain.get()["metadata"]["labels"].get("cronwright.io/managed") is None
    service.delete()
    plain.delete()


def test_copy_to_where_it_may_not_be(agent, one, two):
    repository = one.repository("copied", report(one.cluster, "copied"))
    service = one.service("copied", repository=repository).seen_by(agent)
    answer = agent.api("POST", service.path + "/copy", {"namespace": two.namespace})
    assert (answer.status, answer.json["reason"]) == (403, "not-allowed")
    assert service.name not in drafts_of(agent, two.namespace)


def test_login_that_only_one_may_use(agent, one, two):
    """Both follow one branch of a private repository into one image; the second's login is refused by the server.
    It gets neither the image that the first one's login built, nor sees the build."""
    repository = one.repository("private", below=one.private_git_url)
    destination = f"{one.images}/shared/private"
    first = one.service("private", repository=repository, destination=destination).seen_by(agent)
    second = two.service("private", repository=repository, destination=destination).seen_by(agent)
    for round_ in range(2):  # the second time the first one's mirror and build are there
        commit = repository.push(report(one.cluster, f"private {round_}"), message="Nobody else reads this")
        delivery = agent.accept(push_of(repository, commit))
        eventually(lambda: first.annotation("commit") == commit, "the first is deployed", 90)
        found = agent.outcome(delivery)
        assert found["reason"] == "repository-login", found
        assert second.annotation("commit") is None and "not-built" in second.image()
    builds = agent.builds_of(repository)
    assert {build["subject"] for build in builds} == {"Nobody else reads this"}
    for build in builds:
        for path in (f"/v1/builds/{build['build']}", f"/v1/builds/{build['build']}/logs"):
            assert tenant(agent, "GET", path).status == 404
    assert tenant(agent, "GET", "/v1/builds?limit=200").json["builds"] == []
    assert tenant(agent, "GET", f"/v1/deliveries/{delivery.id}").json["builds"] == []
    # Nor by naming the build as its own.
    done = next(build for build in builds if build["state"] == "done")
    two.cluster.merge("cronjobs", two.namespace, second.name, {"metadata": {"annotations": {
        "cronwright.io/build": done["build"], "cronwright.io/commit": done["commit"]}}})
    second.set_image(second.image().replace("not-built", "never-built"))
    eventually(lambda: tenant(agent, "GET", second.path).json["status"]["live"], "the agent sees it")
    eventually(lambda: len(tenant(agent, "GET", second.path + "/images").json["images"]) > 0, "its history is there")
    for path in (second.path, second.path + "/images", f"/v1/deliveries/{delivery.id}", "/v1/services"):
        assert "Nobody else" not in tenant(agent, "GET", path).text
    assert "Nobody else" in agent.api("GET", first.path).text
    second.merge(metadata={"annotations": {"cronwright.io/build": None, "cronwright.io/commit": None}})
    second.set_image(second.image().replace("never-built", "not-built"))
    # Nor when it asks for a build, or a branch of the same commits.
    assert tenant(agent, "POST", second.path + "/build").status == 202
    git(repository.work, "push", "-q", str(repository.bare), "HEAD:refs/heads/next")
    other = two.service("next", repository=repository, branch="next", destination=destination).seen_by(agent)
    asked = tenant(agent, "POST", other.path + "/build").json["delivery"]
    eventually(lambda: agent.get(f"/v1/deliveries/{asked}")["reason"] == "repository-login", "it is refused", 90)
    for service in (second, other):
        assert service.annotation("commit") is None and "not-built" in service.image()


def test_logins_that_are_all_refused(agent, one, two):
    """Each is asked once, and the delivery ends."""
    repository = one.repository("nobody/x", report(one.cluster, "never"), below=one.private_git_url)
    for place in (one, two):
        place.service("nobody", repository=repository, destination=f"{one.images}/shared/nobody").seen_by(agent)
    before = len(agent.log_text())
    agent.outcome_of(agent.accept(push_of(repository, repository.commit_of_head())), "repository-login")
    other = one.repository("meanwhile")
    one.service("meanwhile", repository=other).seen_by(agent)
    commit = other.push(report(one.cluster, "meanwhile"))
    agent.outcome_of(agent.accept(push_of(other, commit)), "deployed")
    told = [line for line in agent.log_text(before).splitlines() if "cannot be told" in line and "/nobody/x" in line]
    assert 1 <= len(told) <= 4, told


def test_secrets_to_push_and_pull_with(agent, one, two, secrets):
    """Each namespace's builds mount the Secret of its entry and are not shared; a draft gets the one to pull with."""
    repository = one.repository("open/tool", report(one.cluster, "tool"))
    destination = f"{one.images}/shared/tool"
    services = [place.service("tool", repository=repository, destination=destination).seen_by(agent)
                for place in (one, two)]
    commit = repository.push(report(one.cluster, "tool"))
    agent.outcome_of(agent.accept(push_of(repository, commit)), "deployed")
    mounted = [volume["secret"]["secretName"] for job in one.build_jobs(repository)
               for volume in job["spec"]["template"]["spec"]["volumes"]
               if volume.get("secret", {}).get("secretName") in secrets]
    assert sorted(mounted) == sorted(secrets)
    assert [service.annotation("commit") for service in services] == [commit] * 2
    assert services[0].image() != services[1].image()
    assert all("imagePullSecrets" not in pod_of(service.get()) for service in services)  # written into nothing

    name = one.name("pulls")
    body = {"name": name, "namespace": one.namespace, "schedule": SCHEDULE, "image": f"{one.images}/pulls",
            "source": git_source(one.git_url + "/pulls")}
    assert agent.api("POST", "/v1/services", body).json["container"]["pullSecret"] == "pull-one"
    made = one.cluster.get("cronjobs", one.namespace, name)
    assert pod_of(made)["imagePullSecrets"] == [{"name": "pull-one"}]
    assert agent.api("POST", "/v1/services", body).status == 200  # the same again
    own = {**body, "name": one.name("pulls"), "container": {"pullSecret": "mine"}}
    assert agent.api("POST", "/v1/services", own).json["container"]["pullSecret"] == "mine"
    image = {**body, "name": one.name("pulls"), "source": {"image": f"{one.images}/pulls:1"}}
    del image["image"]
    assert agent.api("POST", "/v1/services", image).json["container"]["pullSecret"] == "pull-one"
    elsewhere = {**image, "name": one.name("pulls"), "source": {"image": one.cluster.busybox_image}}
    assert not agent.api("POST", "/v1/services", elsewhere).json["container"].get("pullSecret")


def pod_of(cronjob):
    assert container_of(cronjob)
    return cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
