"""A repository of 200 MB with 20,000 files and 2,000 commits: fetched, packed, brought to the pod and built."""

import contextlib
import pathlib
import random
import subprocess
import threading

import pytest

from agents import Agent, push_of
from images import push_program
from test_contexts import listener
from repositories import ENVIRONMENT

FILES, COMMITS = 20_000, 2_000
FILE_BYTES = 10_500  # of each, most of which do not compress
MIB = 1 << 20


def history(dockerfile):
    """For git fast-import: all files but a few in the first commit, then one new and one changed in each."""
    chance = random.Random(20_000)
    content = lambda: chance.randbytes(FILE_BYTES - 500) + b"a line that is in every file\n" * 17
    path = lambda number: b"part%02d/folder%03d/file%05d" % (number % 40, number % 600, number)
    first = FILES - COMMITS + 1

    def data(body):
        return b"data %d\n%s\n" % (len(body), body)

    def change(name, body):
        return b"M 100644 inline %s\n" % name + data(body)
    for number in range(COMMITS):
        stamp = b"Ana <ana@example.com> %d +0000\n" % (1_700_000_000 + number)
        yield b"commit refs/heads/main\ncommitter " + stamp + data(b"Change %d" % number)
        if number == 0:
            yield change(b"Dockerfile", dockerfile.encode())
            for each in range(first - 1):
                yield change(path(each), content())
        else:
            yield change(path(first + number - 2), content())
            yield change(path(number), content())
    yield b"done\n"


def fill(repository, dockerfile):
    importer = subprocess.Popen(["git", "-c", "core.compression=1", "-c", "fastimport.unpackLimit=0", "fast-import",
                                 "--quiet", "--done"], cwd=repository.bare, env=ENVIRONMENT, stdin=subprocess.PIPE)
    with importer.stdin as stream:
        for piece in history(dockerfile):
            stream.write(piece)
    assert importer.wait() == 0
    run = lambda *words: subprocess.run(["git", *words], cwd=repository.bare, env=ENVIRONMENT, check=True,
                                        capture_output=True, text=True).stdout.strip()
    files = len(run("ls-tree", "-r", "--name-only", "main").splitlines())
    size = sum(path.stat().st_size for path in (repository.bare / "objects").rglob("*") if path.is_file())
    return run("rev-parse", "main"), int(run("rev-list", "--count", "main")), files, size


class Peak(threading.Thread):
    """The most memory that a program started by a process has had, in bytes."""

    def __init__(self, parent, name):
        super().__init__(daemon=True)
        self.parent, self.name_wanted, self.bytes, self.ended = parent, name, 0, threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.05):
            for child in pathlib.Path(f"/proc/{self.parent}/task").glob("*/children"):
                with contextlib.suppress(OSError):  # the thread has ended
                    for pid in child.read_text().split():
                        self.look(pathlib.Path(f"/proc/{pid}/status"))

    def look(self, status):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except OSError:
            return  # it has ended
        if fields["Name"].startswith(self.name_wanted[:15]) and "VmHWM" in fields:
            self.bytes = max(self.bytes, int(fields["VmHWM"].split()[0]) * 1024)

    def stop(self):
        self.ended.set()
        self.join()
        return self.bytes


@pytest.fixture(scope="module")
def place(new_place):
    return new_place("large")


def test_a_large_repository_is_built(place, tmp_path, record_testsuite_property):
    image = push_program(f"{place.cluster.registry}/cronwright-program:large", tmp_path)
    dockerfile = f"FROM {place.cluster.busybox_image}\nCOPY . /all\n"
    repository = place.repository("large")
    commit, commits, files, size = fill(repository, dockerfile)
    assert (commits, files) == (COMMITS, FILES) and 200 * 10**6 < size < 260 * 10**6
    with Agent(place, place.directory, context=listener(place, image), git={"timeout": "10m"},
               builds={"timeout": "20m"}) as agent:
        service = place.service("large", repository=repository).seen_by(agent)
        peak = Peak(agent.process.pid, "cronwright-git")
        delivery = push_of(repository, commit)
        found = agent.outcome_of(agent.accept(delivery), "deployed", 900)
        build = agent.get(f"/v1/builds/{found['build']}")
        assert "@sha256:" in service.image() and build["notes"] == []
        figures = {"repository MB": round(size / 10**6), "child's peak MiB": round(peak.stop() / MIB),
                   **{step: build[step] for step in ("fetchSeconds", "contextSeconds", "kanikoSeconds")}}
        for name, value in figures.items():
            record_testsuite_property(name, value)
        print(figures)
        # The next push brings what is new, and no more.
        commit = next_commit(repository)
        delivery = push_of(repository, commit)
        found = agent.outcome_of(agent.accept(delivery), "deployed", 900)
        again = agent.get(f"/v1/builds/{found['build']}")
        print({step: again[step] for step in ("fetchSeconds", "contextSeconds", "kanikoSeconds")})
        assert again["fetchSeconds"] < build["fetchSeconds"]


def next_commit(repository):
    stream = (b"commit refs/heads/main\ncommitter Ana <ana@example.com> 1800000000 +0000\ndata 4\nNext\n"
              b"from refs/heads/main^0\nM 100644 inline next\ndata 2\nx\n\ndone\n")
    subprocess.run(["git", "fast-import", "--quiet", "--done"], cwd=repository.bare, env=ENVIRONMENT, input=stream,
                   check=True)
    return subprocess.run(["git", "rev-parse", "main"], cwd=repository.bare, env=ENVIRONMENT, check=True,
                          capture_output=True, text=True).stdout.strip()
