"""From a delivery to an image: what is built, what is shared, what is left alone."""

import json
import tarfile

import pytest

import forges
from agents import FORGE_SECRETS, Agent, push_of
from places import ANNOTATION, dockerfile, report
from registry import Image
from repositories import git
from waiting import eventually

SLOW = 'RUN ["/bin/busybox", "sleep", "4"]'
ENDLESS = 'RUN ["/bin/busybox", "sleep", "100"]'  # for a build that is cancelled


def deployed(agent, repository, commit, **more):
    return agent.outcome_of(agent.accept(push_of(repository, commit, **more)), "deployed")


# --- what is built ---

def test_context_directory_symlinks_and_modes(agent, place):
    """And Dockerfile, target and build arguments, as the annotations have them."""
    repository = place.repository("context")
    arguments = {"GREETING": "hello $(HOME) ${X} 'there'", "EMPTY": ""}
    service = place.service("context", repository=repository, annotations={
        "context": "jobs/report", "dockerfile": "docker/Dockerfile.prod", "target": "wanted",
        "build-args": json.dumps(arguments)}).seen_by(agent)
    repository.write({
        "outside.txt": "not in the context",
        "jobs/report/docker/Dockerfile.prod": f"FROM {place.cluster.busybox_image} AS wanted\nARG GREETING\nARG EMPTY\n"
                                              "ENV GREETING=$GREETING EMPTY=<$EMPTY>\nCOPY . /app\n"
                                              "FROM wanted AS last\nENV LAST=yes\n",
        "jobs/report/run.sh": "#!/bin/busybox sh\n", "jobs/report/data/plain.txt": "plain",
        "jobs/report/data/ünï cödé.txt": "name"})
    (repository.work / "jobs/report/run.sh").chmod(0o755)
    (repository.work / "jobs/report/link").symlink_to("data/plain.txt")
    (repository.work / "jobs/report/dangling").symlink_to("nowhere/at/all")
    deployed(agent, repository, repository.push())
    image = Image(service.image())
    entries = {path: entry for path, entry in image.entries().items() if path.startswith("/app")}
    assert entries["/app/run.sh"].mode & 0o777 == 0o755
    assert entries["/app/data/plain.txt"].mode & 0o777 == 0o644
    assert entries["/app/data"].type == tarfile.DIRTYPE and "/app/data/ünï cödé.txt" in entries
    assert (entries["/app/link"].type, entries["/app/link"].linkname) == (tarfile.SYMTYPE, "data/plain.txt")
    assert (entries["/app/dangling"].type, entries["/app/dangling"].linkname) == (tarfile.SYMTYPE, "nowhere/at/all")
    assert "/app/outside.txt" not in entries and "/app/.git" not in entries
    environment = dict(pair.split("=", 1) for pair in image.config["config"]["Env"])
    assert environment["GREETING"] == arguments["GREETING"] and environment["EMPTY"] == "<>"
    assert "LAST" not in environment


@pytest.mark.parametrize("branch", ["feature/$(touch${IFS}pwned);`id`&&'x'|\"y\"", "größe-ж-雪"])
def test_branch_names_are_data(agent, place, branch):
    """What a shell would take for syntax, and what is not ASCII."""
    repository = place.repository("branch")
    service = place.service("branch", repository=repository, branch=branch).seen_by(agent)
    commit = repository.push(report(place.cluster, "of an odd branch"), branch=branch)
    found = deployed(agent, repository, commit, branch=branch)
    assert (found["branch"], service.annotation("commit")) == (branch, commit)


def test_private_repository_with_a_credential(agent, place):
    repository = place.repository("private", below=place.private_git_url)
    service = place.service("private", repository=repository).seen_by(agent)
    commit = repository.push(report(place.cluster, "private"))
    deployed(agent, repository, commit)
    assert service.annotation("commit") == commit
    [job] = place.build_jobs(repository)
    password = agent.config["git"]["credentials"][0]["passwordFile"]
    with open(password) as file:
        password = file.read().strip()
    assert password not in json.dumps(job) and password not in agent.log_text()


def test_head_of_the_branch_is_built_not_what_a_payload_says(agent, place):
    repository = place.repository("head")
    service = place.service("head", repository=repository).seen_by(agent)
    old = repository.push(report(place.cluster, "old"))
    new = repository.push(report(place.cluster, "new"))
    deployed(agent, repository, old)
    assert service.annotation("commit") == new
    assert [build["commit"] for build in agent.builds_of(repository)] == [new]
    # One that nobody has, and a URL that is not the annotation's: hints, no more.
    made_up = forges.github_push(repository.url, "a" * 40)
    made_up["repository"]["ssh_url"] = "git@elsewhere.example:x/y.git"
    found = agent.outcome(agent.accept(forges.github(made_up, FORGE_SECRETS["github"])))
    assert (found["reason"], found["build"]) == ("unchanged", service.annotation("build"))


def test_ssh_and_other_spellings_are_the_same_repository(agent, place):
    """The identity is host and path: user, scheme and .git do not count, nor does the path's letter case in a hint."""
    repository = place.repository("spelling")
    service = place.service("spelling", repository=repository).seen_by(agent)
    commit = repository.push(report(place.cluster, "spelled"))
    payload = forges.github_push(repository.url, commit)
    payload["repository"]["clone_url"] = repository.url.replace("http://", "http://ana@").removesuffix(".git").upper() \
        .replace("HTTP://ANA@", "http://ana@")
    agent.outcome_of(agent.accept(forges.github(payload, FORGE_SECRETS["github"])), "deployed")
    assert service.annotation("commit") == commit


# --- sharing ---

def test_services_of_one_recipe_share_a_build_and_another_image_gets_its_own(agent, place):
    repository = place.repository("shared")
    one = place.service("one", repository=repository)
    two = place.service("two", repository=repository, destination=one.destination)
    other = place.service("other", repository=repository)
    for service in (one, two, other):
        service.seen_by(agent)
    commit = repository.push(report(place.cluster, "shared"))
    deployed(agent, repository, commit)
    assert one.image() == two.image() != other.image()
    assert other.image().startswith(other.destination + ":")
    builds = {build["image"].rpartition(":")[0]: build for build in agent.builds_of(repository)}
    assert {image: build["services"] for image, build in builds.items()} == {one.destination: 2, other.destination: 1}
    assert len(place.build_jobs(repository)) == 2
    patches = agent.get(f"/v1/builds/{builds[one.destination]['build']}")["patches"]
    assert {patch["name"] for patch in patches} == {one.name, two.name}
    # One that comes later wants what is there: no new build.
    late = place.service("late", repository=repository, destination=one.destination).seen_by(agent)
    agent.outcome(agent.accept(push_of(repository, commit)))
    assert late.image() == one.image()
    assert len(place.build_jobs(repository)) == 2


def test_only_the_named_container_is_patched(agent, place):
    repository = place.repository("containers")
    sidecar = {"name": "sidecar", "image": place.cluster.busybox_image, "command": ["/bin/busybox", "true"]}
    service = place.service("containers", repository=repository, annotations={"container": "main"}, template={
        "containers": [sidecar, {"name": "main", "image": "example.com/old:1"}]}).seen_by(agent)
    deployed(agent, repository, repository.push(report(place.cluster, "second")))
    [first, second] = service.get()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert first["image"] == place.cluster.busybox_image
    assert second["image"].startswith(service.destination + ":")


def test_several_containers_and_no_choice_is_a_problem(agent, place):
    repository = place.repository("choice", report(place.cluster, "never"))
    service = place.service("choice", repository=repository, template={
        "containers": [{"name": "a", "image": "a"}, {"name": "b", "image": "b"}]}).seen_by(agent)
    assert "container" in service.status(agent)["problem"]
    found = agent.outcome(agent.accept(push_of(repository, "1" * 40)))
    assert found["reason"] == "misconfigured" and service.name in found["detail"]
    assert not place.build_jobs(repository)


# --- repeats ---

def test_repeated_delivery_does_nothing_twice(agent, place):
    repository = place.repository("repeat")
    service = place.service("repeat", repository=repository).seen_by(agent)
    commit = repository.push(report(place.cluster, "once"))
    delivery = agent.accept(push_of(repository, commit))
    for _ in range(3):  # while it is under way
        assert agent.deliver(delivery).json["reason"] == "repeated"
    agent.outcome_of(delivery, "deployed")
    patched = service.get()
    agent.accept(delivery, reason="repeated")  # and afterwards
    listed = [found["reason"] for found in agent.deliveries()["deliveries"] if found["delivery"] == delivery.id]
    assert sorted(listed) == ["deployed"] + ["repeated"] * 4
    [build] = agent.builds_of(repository)
    assert len(agent.get(f"/v1/builds/{build['build']}")["patches"]) == 1
    assert len(place.build_jobs(repository)) == 1
    # A delivery of its own for a head that is live changes nothing either.
    found = agent.outcome(agent.accept(push_of(repository, commit)))
    assert (found["reason"], found["build"]) == ("unchanged", build["build"])
    assert service.get()["metadata"]["generation"] == patched["metadata"]["generation"]


def test_redelivery_of_one_that_failed_is_tried_again(agent, place):
    """The Dockerfile is missing at first."""
    repository = place.repository("redelivery")
    service = place.service("redelivery", repository=repository).seen_by(agent)
    first = repository.push({"report.sh": "echo again\n"})
    delivery = agent.accept(push_of(repository, first))
    failed = agent.outcome_of(delivery, "dockerfile-missing")
    assert "Dockerfile" in failed["detail"]
    assert not place.build_jobs(repository)
    second = repository.push({"Dockerfile": dockerfile(place.cluster)})
    agent.accept(delivery)
    agent.outcome_of(delivery, "deployed")
    assert service.annotation("commit") == second


def test_redelivery_builds_the_same_commit_again(agent, place):
    """Its build failed; what was to blame is not in the repository, and gets better."""
    base = f"{place.images}/base"
    repository = place.repository("again")
    service = place.service("again", repository=repository,
                            annotations={"build-args": json.dumps({"BASE": f"{base}:1"})}).seen_by(agent)
    commit = repository.push({"Dockerfile": "ARG BASE\nFROM ${BASE}\nCMD []\n"})
    delivery = agent.accept(push_of(repository, commit))
    failed = agent.outcome(delivery)
    assert failed["reason"] == "build-failed" and base in failed["detail"], failed
    place.push_image(f"{base}:1")
    agent.accept(delivery)
    agent.outcome_of(delivery, "deployed")
    builds = agent.builds_of(repository)
    assert [build["commit"] for build in builds] == [commit] * len(builds)
    assert builds[0]["state"] == "done" and {build["state"] for build in builds[1:]} == {"failed"}
    assert builds[0]["attempt"] > builds[1]["attempt"] and builds[0]["image"] != builds[1]["image"]
    assert service.image().startswith(builds[0]["image"] + "@")


# --- failures, each with a reason ---

def test_build_that_fails_names_the_instruction(agent, place):
    repository = place.repository("broken")
    service = place.service("broken", repository=repository).seen_by(agent)
    before = service.get()["spec"]
    failing = 'RUN ["/bin/busybox", "sh", "-c", "echo about to fail; exit 7"]'
    commit = repository.push(report(place.cluster, "never", failing))
    found = agent.outcome_of(agent.accept(push_of(repository, commit)), "build-failed")
    assert "RUN" in found["detail"] and "7" in found["detail"], found
    [build] = found["builds"]
    assert (build["state"], build["reason"], build["digest"]) == ("failed", "build-failed", None)
    log = agent.api("GET", f"/v1/builds/{build['build']}/logs?follow=true")
    assert log.status == 200 and log.headers["Content-Type"].startswith("text/plain")
    assert "about to fail" in log.text
    assert agent.api("GET", f"/v1/builds/{build['build']}/logs").text == log.text
    offset = len(log.body) // 2
    assert agent.api("GET", f"/v1/builds/{build['build']}/logs?offset={offset}").body == log.body[offset:]
    assert service.get()["spec"] == before


def test_repository_that_is_gone(agent, place):
    repository = place.repository("gone", report(place.cluster, "never"))
    place.service("gone", repository=repository).seen_by(agent)
    repository.bare.rename(repository.bare.with_name("moved.git"))
    found = agent.outcome_of(agent.accept(push_of(repository, "2" * 40)), "repository-missing")
    assert found["detail"] and found["builds"] == []


def test_repository_that_needs_a_login(agent, place):
    repository = place.repository("locked", report(place.cluster, "never"), below=place.locked_git_url)
    place.service("locked", repository=repository).seen_by(agent)
    found = agent.outcome_of(agent.accept(push_of(repository, "3" * 40)), "repository-login")
    assert found["detail"] and found["builds"] == []


def test_repository_with_a_wrong_password(new_place):
    place = new_place("password")
    agent = Agent(place, place.directory, git={"credentials": [{
        "url": place.private_git_url, "username": "builder", "passwordFile": str(place.directory / "wrong.secret")}]})
    agent.secret_file("wrong").write_text("not the password at all")
    repository = place.repository("private", report(place.cluster, "never"), below=place.private_git_url)
    place.service("private", repository=repository)
    agent.start()
    try:
        found = agent.outcome_of(agent.accept(push_of(repository, "3" * 40)), "repository-login")
        assert "not the password at all" not in json.dumps(found) + agent.log_text()
    finally:
        agent.finish()


def test_branch_that_the_remote_has_not(agent, place):
    repository = place.repository("nobranch", report(place.cluster, "never"))
    place.service("nobranch", repository=repository, branch="release").seen_by(agent)
    found = agent.outcome_of(agent.accept(push_of(repository, "4" * 40, branch="release")), "branch-missing")
    assert "release" in found["detail"]


def test_context_directory_that_is_missing(agent, place):
    repository = place.repository("nocontext")
    place.service("nocontext", repository=repository, annotations={"context": "no/such"}).seen_by(agent)
    commit = repository.push(report(place.cluster, "never"))
    agent.outcome_of(agent.accept(push_of(repository, commit)), "context-missing")


def test_context_that_is_too_large(agent, place):
    repository = place.repository("large")
    place.service("large", repository=repository).seen_by(agent)
    noise = b"".join(i.to_bytes(4, "big") * 2 for i in range(0, 2**32, 2999))  # does not compress to 900 KiB
    commit = repository.push({**report(place.cluster, "never"), "noise": noise})
    found = agent.outcome_of(agent.accept(push_of(repository, commit)), "context-too-large")
    assert "900" in found["detail"] or "921600" in found["detail"], found
    assert not place.build_jobs(repository)


@pytest.mark.parametrize("which", ["repository", "image", "image-next-door"])
def test_what_the_settings_do_not_allow(agent, place, which):
    repository = place.repository("forbidden", report(place.cluster, "never"))
    if which == "repository":
        repository.url = repository.url.replace(place.namespace, place.namespace + "-elsewhere")
    destination = {"image": f"{place.cluster.registry}/elsewhere/x",
                   "image-next-door": f"{place.images}-elsewhere/x"}.get(which)
    service = place.service("forbidden", repository=repository, destination=destination).seen_by(agent)
    assert "allow" in service.status(agent)["problem"]
    found = agent.outcome_of(agent.accept(push_of(repository, "5" * 40)), "not-allowed")
    assert service.full_name in found["detail"]
    assert not place.build_jobs(repository)


def test_namespace_that_the_settings_do_not_allow(new_place):
    place = new_place("denied")
    agent = Agent(place, place.directory)
    agent.config["allow"][0]["namespaces"] = ["somewhere-else"]
    repository = place.repository("denied", report(place.cluster, "never"))
    place.service("denied", repository=repository)
    agent.start()
    try:
        found = agent.outcome_of(agent.accept(push_of(repository, "6" * 40)), "not-allowed")
        assert place.namespace in found["detail"]
    finally:
        agent.finish()


# --- what people and pushes do meanwhile ---

def test_service_that_is_seen_just_after_its_push(agent, place):
    repository = place.repository("late")
    commit = repository.push(report(place.cluster, "late"))
    delivery = agent.accept(push_of(repository, commit), reason="no-match")
    place.service("late", repository=repository)
    agent.build_reaches(repository, commit, "done")
    agent.outcome_of(delivery, "deployed")


def test_cronjob_deleted_during_the_build(agent, place):
    repository = place.repository("deleted")
    service = place.service("deleted", repository=repository).seen_by(agent)
    commit = repository.push(report(place.cluster, "never", SLOW))
    delivery = agent.accept(push_of(repository, commit))
    build = agent.build_reaches(repository, commit, "running")
    eventually(lambda: place.cluster.live_pods(place.builds_namespace, f"batch.kubernetes.io/job-name={build['job']}"),
               "Kaniko runs")
    service.delete()
    assert agent.outcome(delivery)["reason"] == "no-match"
    ended = agent.build_reaches(repository, commit, "superseded")
    assert "no service" in ended["detail"]
    eventually(lambda: not place.unfinished_build_jobs(repository), "its Job has ended")
    eventually(lambda: not place.cluster.live_pods(place.builds_namespace,
                                                   f"batch.kubernetes.io/job-name={build['job']}"), "its pod is gone")


def test_image_changed_by_hand_pins_the_service(agent, place):
    """Both between pushes and during a build; the later pushes are built, and the image stays."""
    repository = place.repository("pinned")
    service = place.service("pinned", repository=repository).seen_by(agent)
    deployed(agent, repository, repository.push(report(place.cluster, "one")))
    ours = service.image()
    second = repository.push(report(place.cluster, "two", SLOW))
    delivery = agent.accept(push_of(repository, second))
    agent.build_reaches(repository, second, "running")
    by_hand = place.cluster.busybox_image
    service.set_image(by_hand)
    found = agent.outcome_of(delivery, "pinned")
    assert service.full_name in found["detail"]
    assert service.image() == by_hand and service.status(agent)["pinned"] is True
    third = agent.accept(push_of(repository, repository.push(report(place.cluster, "three"))))
    agent.outcome_of(third, "pinned")
    assert service.image() == by_hand
    service.set_image(ours)  # as it was: cronwright's again
    deployed(agent, repository, repository.push(report(place.cluster, "four")))
    assert service.image() != ours and service.status(agent)["pinned"] is False


def test_newest_push_wins_and_a_restless_branch_still_deploys(agent, place):
    """A running build is cancelled for a newer push, but not twice in a row."""
    repository = place.repository("restless")
    service = place.service("restless", repository=repository).seen_by(agent)
    commits, deliveries = [], []
    for number in range(3):
        commits.append(repository.push(report(place.cluster, f"edition {number}", SLOW if number else ENDLESS)))
        deliveries.append(agent.accept(push_of(repository, commits[-1])))
        agent.build_reaches(repository, commits[-1], *["running"] if number < 2 else ["waiting", "running", "done"])
    first = agent.build_reaches(repository, commits[0], "superseded")
    assert first["reason"] == "cancelled" and commits[1][:12] in first["detail"]
    second = agent.build_reaches(repository, commits[1], "done", "superseded")
    assert (second["state"], second["reason"]) == ("done", "deployed"), second
    agent.outcome_of(deliveries[2], "deployed")
    assert service.annotation("commit") == commits[2]
    third = agent.builds_of(repository)[0]
    patches = [agent.get(f"/v1/builds/{build['build']}")["patches"] for build in (second, third)]
    assert patches[0][0]["newImage"] == patches[1][0]["oldImage"] and patches[1][0]["newImage"] == service.image()
    assert all(not agent.get(f"/v1/deliveries/{delivery.id}")["pending"] for delivery in deliveries)
    cancelled = [job["metadata"]["name"] for job in place.build_jobs(repository)
                 if ANNOTATION + "cancelled" in job["metadata"]["annotations"]]
    assert cancelled == [first["job"]]
    eventually(lambda: not place.unfinished_build_jobs(repository), "the cancelled Job has ended")


def test_two_pushes_at_once_end_with_the_newest(agent, place):
    repository = place.repository("quick")
    service = place.service("quick", repository=repository).seen_by(agent)
    first = repository.push(report(place.cluster, "first"))
    one = agent.accept(push_of(repository, first))
    second = repository.push(report(place.cluster, "second"))
    two = agent.accept(push_of(repository, second))
    agent.outcome(one)
    agent.outcome(two)
    assert service.annotation("commit") == second
    assert {build["commit"] for build in agent.builds_of(repository) if build["state"] == "done"} >= {second}


def test_branch_rewritten_to_an_older_commit(agent, place):
    """A forced push back: the head is what is wanted, whatever was built after it."""
    repository = place.repository("back")
    service = place.service("back", repository=repository).seen_by(agent)
    first = repository.push(report(place.cluster, "first"))
    deployed(agent, repository, first)
    image = service.image()
    deployed(agent, repository, repository.push(report(place.cluster, "second")))
    git(repository.work, "reset", "-q", "--hard", first)
    git(repository.work, "push", "-q", "-f", repository.url, "HEAD:refs/heads/main")
    agent.outcome(agent.accept(push_of(repository, first)))
    assert (service.annotation("commit"), service.image()) == (first, image)
    assert len(agent.builds_of(repository)) == 2  # that of the first was still good


def test_push_that_no_webhook_told_is_found_by_the_sweep(new_place):
    place = new_place("sweep")
    repository = place.repository("sweep", report(place.cluster, "first"))
    service = place.service("sweep", repository=repository)
    agent = Agent(place, place.directory, sweep={"interval": "1s"}).start()
    try:
        agent.outcome(agent.accept(push_of(repository, "7" * 40)))
        commit = repository.push(report(place.cluster, "second"))
        eventually(lambda: service.annotation("commit") == commit, "the sweep deployed it", 60)
        assert len(agent.deliveries()["deliveries"]) == 1
    finally:
        agent.finish()
