"""The Git mirrors on disk: healed after a kill, a full disk and damage, bounded, and gone with their services.

What is large in these repositories is in their .dockerignore, so that the contexts are small."""

import contextlib
import hashlib
import os
import pathlib
import random
import subprocess
import time

import pytest

from agents import AS_ROOT, Agent, push_of
from places import report
from repositories import git
from waiting import eventually

MIB = 1 << 20


def bulky(place, text, size, seed=1):
    return {**report(place.cluster, text), ".dockerignore": "noise\n", "noise": random.Random(seed).randbytes(size)}


def mirror_of(agent, repository):
    name = hashlib.sha256(repository.url.encode()).hexdigest()[:32]
    return agent.directory / "state/mirrors" / name


def service_of(agent, place, word):
    repository = place.repository(word)
    return repository, place.service(word, repository=repository).seen_by(agent)


def deploy(agent, repository, files, seconds=180):
    commit = repository.push(files)
    return agent.outcome_of(agent.accept(push_of(repository, commit)), "deployed", seconds)


def bytes_of(directory):
    """What goes meanwhile does not count."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (pathlib.Path(folder) / name).lstat().st_blocks * 512
    return total


@pytest.fixture(scope="module")
def mirrors(new_place):
    place = new_place("mirrors")
    with Agent(place, place.directory, sweep={"interval": "2s"},
               git={"maxRepositoryBytes": "4MiB", "maxTotalBytes": "6MiB"}) as agent:
        yield agent


def test_a_killed_fetch_leaves_nothing_behind(new_place):
    place = new_place("killed")
    with Agent(place, place.directory) as agent:
        repository, service = service_of(agent, place, "killed")
        commit = repository.push(bulky(place, "killed", 60 * MIB))
        delivery = agent.accept(push_of(repository, commit))
        mirror = mirror_of(agent, repository)
        deadline = time.monotonic() + 60
        while not list(mirror.glob("objects/pack/pack_git2_*")):
            assert time.monotonic() < deadline, agent.builds_of(repository)
            assert not list(mirror.glob("objects/pack/*.idx")), "the fetch was too quick to be killed"
        agent.kill()
        assert list(mirror.glob("objects/pack/pack_git2_*"))
        agent.start()
        agent.outcome_of(delivery, "deployed", 180)
        assert not list(mirror.glob("objects/pack/pack_git2_*"))


def test_a_full_disk_is_told_and_overcome(new_place):
    place = new_place("full")
    agent = Agent(place, place.directory)
    disk = place.directory / "state/mirrors"
    disk.mkdir(parents=True, mode=0o700)
    options = f"size=8m,mode=700,uid={os.geteuid()}"
    subprocess.run([*AS_ROOT, "mount", "-t", "tmpfs", "-o", options, "none", disk], check=True)
    try:
        with agent:
            repository, service = service_of(agent, place, "full")
            commit = repository.push(bulky(place, "full", 20 * MIB))
            delivery = agent.accept(push_of(repository, commit))
            def told():
                builds = agent.builds_of(repository)
                full = builds and builds[0]["state"] == "waiting" and "the disk is full" in (builds[0]["detail"] or "")
                return full and builds[0]
            build = eventually(told, "the build says that the disk is full", 60)
            assert str(disk) in build["detail"], build
            subprocess.run([*AS_ROOT, "mount", "-o", "remount,size=100m", disk], check=True)
            agent.outcome_of(delivery, "deployed", 180)
    finally:
        subprocess.run([*AS_ROOT, "umount", disk], check=True)


@pytest.mark.parametrize("seed", range(3))
def test_changed_bytes_of_a_pack_are_overcome(mirrors, seed):
    place = mirrors.place
    repository, service = service_of(mirrors, place, "damaged")
    deploy(mirrors, repository, bulky(place, "sound", MIB))
    chance = random.Random(seed)
    packs = [path for path in mirror_of(mirrors, repository).rglob("*.pack")]
    assert packs
    for path in packs:
        path.chmod(0o600)
        with path.open("r+b") as pack:
            for _ in range(20):
                pack.seek(chance.randrange(path.stat().st_size))
                pack.write(chance.randbytes(1))
    deploy(mirrors, repository, {**report(place.cluster, "after"), "more": str(seed)})


def test_the_least_used_go_when_there_are_too_many(mirrors):
    place = mirrors.place
    made = [service_of(mirrors, place, "many")[0] for _ in range(3)]
    for number, repository in enumerate(made):
        deploy(mirrors, repository, bulky(place, "many", 5 * MIB // 2, number))
    everything = mirrors.directory / "state/mirrors"
    eventually(lambda: bytes_of(everything) <= 6 * MIB, "there are no more than 6 MiB")
    assert mirror_of(mirrors, made[2]).exists() and mirror_of(mirrors, made[1]).exists()
    eventually(lambda: not mirror_of(mirrors, made[0]).exists(), "the least used is gone")
    deploy(mirrors, made[0], {**report(place.cluster, "again"), "again": "x"})
    eventually(lambda: bytes_of(everything) <= 6 * MIB, "there are no more than 6 MiB again")


def test_a_repository_that_is_too_large_names_its_setting(mirrors):
    place = mirrors.place
    repository, service = service_of(mirrors, place, "toolarge")
    commit = repository.push(bulky(place, "never", 5 * MIB))
    found = mirrors.outcome_of(mirrors.accept(push_of(repository, commit)), "repository-too-large")
    assert "4194304 bytes (git.maxRepositoryBytes)" in found["detail"], found


def test_a_mirror_goes_with_its_last_service(mirrors):
    place = mirrors.place
    repository, service = service_of(mirrors, place, "left")
    second = place.service("left", repository=repository).seen_by(mirrors)
    deploy(mirrors, repository, report(place.cluster, "left"))
    mirror = mirror_of(mirrors, repository)
    assert mirror.exists()
    service.delete()
    offset = mirrors.log.stat().st_size
    other, _ = service_of(mirrors, place, "other")
    deploy(mirrors, other, report(place.cluster, "other"))  # which sweeps the mirrors
    assert mirror.exists() and second.full_name
    second.delete()
    eventually(lambda: not mirror.with_suffix(".lock").exists(), "the mirror is gone, and then its lock", 60)
    assert not mirror.exists() and "no service follows the repository" in mirrors.log_text(offset)


# --- odd repositories ---

def test_what_is_odd_is_reported_by_name(agent, place):
    repository, service = service_of(agent, place, "odd")
    repository.write({**report(place.cluster, "odd"), "sub/keep": "x",
                      "model.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"})
    (repository.work / "secrets").symlink_to("/kaniko/.docker/config.json")
    inner = repository.work / "vendored"
    inner.mkdir()
    git(inner, "init", "-q")
    git(inner, "commit", "-q", "--allow-empty", "-m", "x")
    commit = repository.push()
    found = agent.outcome_of(agent.accept(push_of(repository, commit)), "deployed", 180)
    build = agent.get(f"/v1/builds/{found['build']}")
    assert sorted(build["notes"]) == [
        "model.bin: a Git LFS pointer; the content it stands for is not fetched",
        "secrets: a symbolic link that leads out of the build context, which is left out",
        "vendored: a submodule, which is left out"]
    out, _ = agent.cli("builds", found["build"])
    for note in build["notes"]:
        assert note in out, out


def test_a_dockerfile_that_is_a_pointer_fails_by_name(agent, place):
    repository, service = service_of(agent, place, "pointer")
    commit = repository.push({"Dockerfile": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"})
    found = agent.outcome_of(agent.accept(push_of(repository, commit)), "dockerfile-missing")
    assert "\"Dockerfile\" is a Git LFS pointer" in found["detail"], found


def test_an_image_has_what_dockerignore_leaves(agent, place):
    """Kaniko and cronwright read it the same way: the image is that of the whole context."""
    repository, service = service_of(agent, place, "ignored")
    script = "for file in $(/bin/busybox find /all -type f | /bin/busybox sort); do echo $file; done\n"
    files = {"Dockerfile": f"FROM {place.cluster.busybox_image}\nCOPY . /all\n"
                           'ENTRYPOINT ["/bin/busybox", "sh", "/all/report.sh"]\n',
             "report.sh": script, ".dockerignore": "logs\n!logs/keep\n**/*.tmp\n/docs/**\n",
             "logs/a": "x", "logs/keep": "x", "a.tmp": "x", "src/b.tmp": "x", "src/c": "x", "docs/d/e": "x"}
    deploy(agent, repository, files)
    run = service.force(agent).json["name"]
    service.ended(agent, run, 120)
    log = agent.api("GET", f"{service.path}/runs/{run}/logs").text
    assert log.split() == ["/all/.dockerignore", "/all/Dockerfile", "/all/logs/keep", "/all/report.sh", "/all/src/c"]
