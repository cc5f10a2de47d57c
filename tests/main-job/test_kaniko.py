"""Kaniko as people use it: stages, arguments, labels, caches, mirrors, file attributes, where and how many builds run."""

import json
import os
import stat
import subprocess

import pytest

from agents import Agent, push_of
from places import ANNOTATION, report
from registry import Image
from waiting import eventually

# Gives a file CAP_NET_RAW, as setcap(8) does.
SETCAP = """#include <linux/capability.h>
#include <sys/xattr.h>
int main(int count, char **words)
{
    struct vfs_cap_data data = {.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
                                .data = {{.permitted = 1 << CAP_NET_RAW}}};
    return count < 2 || setxattr(words[1], "security.capability", &data, sizeof data, 0) != 0;
}
"""
CAP_NET_RAW = b"\x01\x00\x00\x02\x00\x20\x00\x00" + bytes(12)


def deployed(agent, repository, commit, **more):
    return agent.outcome_of(agent.accept(push_of(repository, commit, **more)), "deployed", 150)


def built(agent, repository, files):
    """(the outcome of a push of them, the build's log)"""
    found = deployed(agent, repository, repository.push(files))
    return found, agent.api("GET", f"/v1/builds/{found['build']}/logs?follow=true").text


@pytest.fixture
def agent_with(new_place):
    """Makes an agent whose builds have settings of their own; `settings` gets its place."""
    agents = []

    def make(word, settings):
        place = new_place(word)
        agents.append(Agent(place, place.directory, builds=settings(place)))
        return agents[-1].start()
    yield make
    for agent in agents:
        agent.finish()


# --- what is built ---

def test_stages_target_arguments_and_labels(agent, place):
    arguments = {"PRICE": "$5 ${PRICE} $(PRICE) $$", "TITLE": 'a "quoted" and \'quoted\' title',
                 "PAIR": "key=value=more", "NAME": "zażółć 日本", "EMPTY": ""}
    repository = place.repository("stages")
    service = place.service("stages", repository=repository, annotations={
        "target": "wanted", "build-args": json.dumps(arguments)}).seen_by(agent)
    declared = [line for name in arguments for line in (f"ARG {name}", f'ENV {name}="${name}"')]
    commit = repository.push({"tool.txt": "made in the first stage", "Dockerfile": "\n".join([
        f"FROM {place.cluster.busybox_image} AS tools", "COPY tool.txt /tool.txt",
        'RUN ["/bin/sh", "-c", "cp /tool.txt /made.txt"]',
        f"FROM {place.cluster.busybox_image} AS wanted", "COPY --from=tools /made.txt /made.txt", *declared,
        'LABEL com.example.title="$TITLE"',
        "FROM wanted AS last", "ENV LAST=yes", ""])})
    deployed(agent, repository, commit)
    image = Image(service.image())
    assert "/made.txt" in image.entries() and "/tool.txt" not in image.entries()
    environment = dict(pair.split("=", 1) for pair in image.config["config"]["Env"])
    assert {name: environment[name] for name in arguments} == arguments
    assert "LAST" not in environment
    labels = image.config["config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == commit
    assert labels["org.opencontainers.image.source"] == repository.url
    assert labels["com.example.title"] == arguments["TITLE"]


def test_setgid_sticky_and_file_capabilities(agent, place):
    source = place.directory / "setcap.c"
    source.write_text(SETCAP)
    subprocess.run(["cc", "-Os", "-static", "-s", "-o", place.directory / "setcap", source], check=True)
    repository = place.repository("attributes")
    service = place.service("attributes", repository=repository).seen_by(agent)
    repository.write({"setcap": (place.directory / "setcap").read_bytes()})
    (repository.work / "setcap").chmod(0o755)
    script = ("mkdir /shared /tmp2 && chmod 2775 /shared && chmod 1777 /tmp2 && cp /bin/busybox /ping && "
              "chmod 4755 /ping && chown 7:8 /shared && /setcap /ping")
    deployed(agent, repository, repository.push(report(
        place.cluster, "of attributes", "COPY setcap /setcap", f'RUN ["/bin/sh", "-c", {json.dumps(script)}]')))
    entries = Image(service.image()).entries()
    assert stat.S_IMODE(entries["/shared"].mode) == 0o2775
    assert (entries["/shared"].uid, entries["/shared"].gid) == (7, 8)
    assert stat.S_IMODE(entries["/tmp2"].mode) == 0o1777
    assert stat.S_IMODE(entries["/ping"].mode) == 0o4755
    capability = entries["/ping"].pax_headers["SCHILY.xattr.security.capability"]
    assert capability.encode("utf-8", "surrogateescape") == CAP_NET_RAW


def test_second_build_takes_layers_from_the_cache(agent_with):
    agent = agent_with("cache", lambda place: {"cache": True, "cacheRepository": f"{place.images}/cache"})
    place = agent.place
    repository = place.repository("cache")
    service = place.service("cache", repository=repository).seen_by(agent)
    expensive = 'RUN ["/bin/sh", "-c", "echo expensive > /expensive"]'
    files = {"Dockerfile": "\n".join([f"FROM {place.cluster.busybox_image}", expensive, "COPY report.sh /report.sh",
                                      'CMD ["/bin/sh", "/report.sh"]', ""])}
    _, first = built(agent, repository, {**files, "report.sh": "echo one\n"})
    assert "Pushing layer" in first and "Using caching version" not in first
    _, second = built(agent, repository, {**files, "report.sh": "echo two\n"})
    assert "Using caching version of cmd: RUN" in second and "Running: [/bin/sh" not in second
    assert {"/expensive", "/report.sh"} <= set(Image(service.image()).entries())


def test_base_images_come_from_mirrors(agent_with):
    """One of Docker Hub, and one of another registry; neither can be reached from here."""
    agent = agent_with("mirror", lambda place: {
        "registryMirrors": [f"{place.images}/hub"], "registryMaps": {"quay.io": f"{place.images}/quay"},
        "extraArgs": ["--skip-default-registry-fallback"]})
    place = agent.place
    for image in ("hub/library/tools:1", "quay/acme/base:2"):
        place.push_image(f"{place.images}/{image}")
    repository = place.repository("mirror")
    service = place.service("mirror", repository=repository).seen_by(agent)
    built(agent, repository, {"Dockerfile": "FROM tools:1 AS tools\nFROM quay.io/acme/base:2\n"
                                            "COPY --from=tools /data /copied\nCMD []\n"})
    assert {"/data", "/copied"} <= set(Image(service.image()).entries())


def test_extra_options_and_those_that_are_refused(agent_with):
    agent = agent_with("options", lambda place: {"extraArgs": ["--single-snapshot", "--snapshot-mode=redo"]})
    repository = agent.place.repository("options")
    service = agent.place.service("options", repository=repository).seen_by(agent)
    touch = 'RUN ["/bin/sh", "-c", "echo x > /x"]'
    built(agent, repository, report(agent.place.cluster, "single", touch, touch.replace("/x", "/y")))
    base = len(Image(agent.place.cluster.busybox_image.rpartition(":")[0] + "@latest").manifest["layers"])
    assert len(Image(service.image()).manifest["layers"]) == base + 1
    agent.stop()
    agent.config["builds"]["extraArgs"] = ["--tar-path=/tmp/x", "--destination=registry.example/mine"]
    settings = agent.directory / "wrong.yaml"
    settings.write_text(json.dumps(agent.config))
    _, err = agent.cli("agent", "--config", str(settings), status=1)
    assert "--tar-path is not to be given" in err and "--destination is not to be given" in err
    agent.config["builds"]["extraArgs"] = []
    agent.start()


# --- where ---

@pytest.fixture
def priority(cluster):
    name = f"builds-{os.getpid()}"
    cluster.kubectl("create", "priorityclass", name, "--value=-10")
    yield name
    cluster.kubectl("delete", "priorityclass", name)


def test_placement_platform_resources_and_marks(agent_with, priority):
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    toleration = {"key": "example.com/builds", "operator": "Exists"}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "Exists"}]}]}}}
    resources = {"requests": {"cpu": "10m", "memory": "32Mi", "ephemeral-storage": "64Mi"},
                 "limits": {"memory": "1Gi", "ephemeral-storage": "2Gi"}}
    agent = agent_with("placement", lambda place: {
        "nodeSelector": {"kubernetes.io/os": "linux"}, "tolerations": [toleration], "affinity": affinity,
        "priorityClass": priority, "platform": f"linux/{machine}", "resources": resources,
        "labels": {"team": "platform", ANNOTATION + "build": "not this one"},
        "annotations": {"example.com/note": "of the settings"}})
    place = agent.place
    repository = place.repository("placement")
    service = place.service("placement", repository=repository).seen_by(agent)
    built(agent, repository, report(place.cluster, "placed"))
    [job] = place.build_jobs(repository)
    [pod] = place.cluster.list("pods", place.builds_namespace, f"{ANNOTATION}build={job['metadata']['name']}")
    spec = pod["spec"]
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux", "kubernetes.io/arch": machine}
    assert toleration in spec["tolerations"] and spec["affinity"] == affinity
    assert (spec["priorityClassName"], spec["priority"]) == (priority, -10)
    assert spec["containers"][0]["resources"] == resources
    assert pod["metadata"]["labels"]["team"] == "platform"
    assert pod["metadata"]["annotations"]["example.com/note"] == "of the settings"
    image = Image(service.image())
    assert (image.config["os"], image.config["architecture"]) == ("linux", machine)


# --- how many ---

class Held:
    """Builds that run until they are let go: they wait for a file in the cluster's registry."""

    def __init__(self, place):
        self.place = place

    def files(self, word):
        url = f"http://{self.place.cluster.registry}/v2/{self.place.namespace}/let-go-{word}/tags/list"
        script = f"until wget -q -O /dev/null {url}; do sleep 1; done"
        return report(self.place.cluster, word, f'RUN ["/bin/sh", "-c", {json.dumps(script)}]')

    def let_go(self, *words):
        for word in words:
            self.place.push_image(f"{self.place.images}/let-go-{word}:1")


def test_builds_wait_for_their_turn_and_a_busy_repository_for_itself(agent_with):
    agent = agent_with("turns", lambda place: {"maxConcurrent": 2, "maxConcurrentPerRepository": 1})
    place, held, repositories, commits = agent.place, Held(agent.place), {}, {}

    def push(word, repository, branch):
        place.service(word, repository=repository, branch=branch).seen_by(agent)
        commits[word] = repository.push(held.files(word), branch=branch)
        repositories[word] = repository
        agent.accept(push_of(repository, commits[word], branch))

    def reaches(word, *states):
        return agent.build_reaches(repositories[word], commits[word], *states, seconds=120)

    def waits(word, setting, before=""):
        def told():
            build = reaches(word, "waiting")
            return build if (build["detail"] or "").endswith(f"({setting}){before}") else None
        build = eventually(told, f"{word} waits for {setting}")
        assert build["reason"] == "queued"
        assert build["detail"] in agent.cli("builds")[0]

    busy, other, third = (place.repository(word) for word in ("busy", "other", "third"))
    push("a", busy, "a")
    reaches("a", "running")
    push("b", busy, "b")
    waits("b", "builds.maxConcurrentPerRepository")
    push("c", busy, "c")
    waits("c", "builds.maxConcurrentPerRepository", "; 1 came before it")
    push("other", other, "main")  # goes past those two
    reaches("other", "running")
    push("third", third, "main")
    waits("third", "builds.maxConcurrent", "; 2 came before it")
    # The one of the other repository ends: the two of the busy one have no use for its place.
    held.let_go("other")
    reaches("third", "running")
    assert reaches("b", "waiting")["reason"] == "queued"
    # Its own ends: then the first of them starts, and the second waits on.
    held.let_go("a")
    reaches("b", "running")
    waits("c", "builds.maxConcurrentPerRepository")
    # After a restart as well.
    agent.restart()
    held.let_go("b", "c", "third")
    for word in commits:
        reaches(word, "done")
    started = {word: reaches(word, "done")["started"] for word in commits}
    assert sorted(started, key=started.get) == ["a", "other", "third", "b", "c"]
