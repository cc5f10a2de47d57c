"""The disk under the state directory is full, may only be read, does not sync, writes less than it is asked to, or tears a
write in two; or the power is cut. What was acknowledged is there afterwards, and what cannot be kept is refused."""

import os
import signal
import subprocess
import sys

import pytest

import forges
from agents import FORGE_SECRETS, PROGRAM, Agent, push_of
from failing_disk import FailingDisk
from quick_builds import QuickBuilds
from waiting import eventually

GITHUB = FORGE_SECRETS["github"]


def ping():
    return forges.github(forges.github_ping("https://example.com/acme/report.git"), GITHUB, event="ping")


@pytest.fixture(scope="module")
def place(new_place):
    return new_place("disk")


class Witness:
    """An agent on a failing disk, and what it has acknowledged."""

    def __init__(self, place, directory, **settings):
        self.agent = Agent(place, directory, **settings)
        self.disk = FailingDisk(directory, directory / "state")
        self.agent.variables.update(self.disk.variables)
        self.acknowledged = []

    def start(self):
        self.disk.has("none")
        self.agent.start()
        return self

    def sends(self, count=20):
        for _ in range(count):
            self.acknowledged.append(self.agent.accept(ping(), "ignored").id)

    def is_refused(self, count=5):
        for _ in range(count):
            answer = self.agent.deliver(ping())
            assert answer.status == 503, answer
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.json["reason"] == "not-stored"

    def cut(self):
        """The power; the next thing that is written meets it."""
        self.disk.has("cut")
        with pytest.raises(OSError):
            self.agent.deliver(ping())
        self.dies()

    def dies(self):
        assert self.agent.process.wait(60) == -signal.SIGKILL
        self.agent.process = None
        self.agent.check_log()

    def knows_all(self):
        for delivery in self.acknowledged:
            found = self.agent.get(f"/v1/deliveries/{delivery}")
            assert (found["reason"], found["pending"]) == ("ignored", False)


@pytest.fixture
def witness(place):
    directory = place.directory / place.name("disk")
    directory.mkdir()
    witness = Witness(place, directory).start()
    yield witness
    witness.disk.has("none")
    witness.agent.finish()


def is_unready(agent, *words):
    answer = agent.api("GET", "/readyz", token=None)
    return answer.status == 503 and all(word in answer.text for word in words)


@pytest.mark.parametrize("fault, words", [("full", "database or disk is full"), ("sync", "disk I/O error"),
                                          ("read-only", "disk I/O error")])
def test_what_cannot_be_kept_is_refused(witness, fault, words):
    """It says why, and goes on by itself when the fault is gone, though nobody sends anything."""
    witness.sends()
    witness.disk.has(fault)
    witness.is_refused()
    eventually(lambda: is_unready(witness.agent, "store", words), "readyz says why")
    witness.disk.has("none")
    witness.agent.await_ready()
    witness.sends()
    witness.knows_all()
    witness.agent.kill()
    witness.start()
    witness.knows_all()


@pytest.mark.parametrize("fault", ["full", "sync", "read-only"])
def test_killed_while_the_disk_fails(witness, fault):
    witness.sends()
    witness.disk.has(fault)
    witness.is_refused()
    witness.agent.kill()
    witness.start()
    witness.sends()
    witness.knows_all()


def test_writes_that_do_a_part_are_gone_on_with(witness):
    witness.disk.has("short")
    witness.sends()
    assert witness.disk.times > 0
    witness.agent.kill()
    witness.start()
    witness.knows_all()


def test_torn_write(witness):
    """Of the write that a delivery is in, a part came to the disk."""
    for _ in range(5):
        witness.sends(5)
        witness.disk.has("torn")
        with pytest.raises(OSError):
            witness.agent.deliver(ping())
        witness.dies()
        witness.start()
        witness.knows_all()


def test_power_cut(witness, chance):
    """What an fsync has not brought to the disk is gone: none of it was acknowledged."""
    for _ in range(5):
        witness.sends(chance.randint(1, 30))
        witness.cut()
        witness.start()
        witness.knows_all()


def test_power_cut_after_an_fsync_has_failed(witness, chance):
    """The kernel tells once that it failed, and what it was for never comes to the disk; all the same it is read, also
    by the next agent. What is acknowledged later must not hang on it."""
    for _ in range(3):
        witness.sends(chance.randint(1, 30))
        witness.disk.has("sync")
        witness.is_refused(chance.randint(1, 3))
        witness.agent.kill()
        witness.start()
        witness.sends(chance.randint(1, 30))
        witness.cut()
        witness.start()
        witness.knows_all()
        witness.disk.has("sync")
        witness.is_refused(chance.randint(1, 3))
        witness.disk.has("none")
        witness.agent.await_ready()
        witness.sends(chance.randint(1, 5))
        witness.cut()
        witness.start()
        witness.knows_all()


READ = """
import sqlite3, sys
reader = sqlite3.connect(sys.argv[1], isolation_level=None)
reader.execute("BEGIN")
print(reader.execute("SELECT count(*) FROM deliveries").fetchone(), flush=True)
sys.stdin.read()
"""


def test_power_cut_after_an_fsync_has_failed_while_somebody_reads(witness, chance):
    """A backup, say, that began before the agent did: it keeps nothing up, and what is acknowledged beside it is safe."""
    for _ in range(3):
        witness.sends(chance.randint(1, 30))
        witness.disk.has("sync")
        witness.is_refused(chance.randint(1, 3))
        witness.agent.kill()
        database = f"{witness.agent.config['stateDirectory']}/cronwright.db"
        with subprocess.Popen([sys.executable, "-c", READ, database], text=True, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as reader:
            assert reader.stdout.readline()
            witness.start()
            witness.sends(chance.randint(1, 30))
            witness.cut()
            reader.kill()
        witness.start()
        witness.knows_all()


@pytest.mark.parametrize("fault", ["full", "sync", "read-only"])
def test_push_is_deployed_after_the_disk_has_failed(place, cluster, fault):
    """It was acknowledged before: what failed on the way to its image is tried again."""
    directory = place.directory / place.name("disk")
    directory.mkdir()
    repository = place.repository(fault)
    service = place.service(fault, repository=repository)
    with QuickBuilds(cluster, decide=lambda build: None) as quick:
        witness = Witness(place, directory, **quick.settings()).start()
        try:
            service.seen_by(witness.agent)
            commit = repository.push({"Dockerfile": "FROM scratch\n"})
            delivery = witness.agent.accept(push_of(repository, commit))
            build = quick.await_running(commit)
            witness.agent.build_reaches(repository, commit, "running")
            witness.disk.has(fault)
            quick.release(build)
            eventually(lambda: is_unready(witness.agent, "store"), "the store fails")
            witness.disk.has("none")
            witness.agent.outcome_of(delivery, "deployed")
            assert service.annotation("commit") == commit
            assert len(witness.agent.builds_of(repository)) == 1
        finally:
            witness.disk.has("none")
            witness.agent.finish()


# --- a directory that really may only be read ---

class Sealed(Agent):
    """Its state directory is mounted so that it may only be read."""

    def program(self):
        script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
        as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        return ["unshare", *as_root, "--mount", "sh", "-c", script, "sh", self.config["stateDirectory"], PROGRAM]


def test_started_on_a_directory_that_may_only_be_read(place):
    """It does not start, says why, and starts when that is mended; nothing is lost."""
    directory = place.directory / place.name("sealed")
    directory.mkdir()
    with Agent(place, directory) as agent:
        delivery = agent.accept(ping(), "ignored")
        agent.kill()
        settings = directory / "cronwright.yaml"
        done = subprocess.run([*Sealed.program(agent), "agent", "--config", str(settings)], text=True,
                              capture_output=True, timeout=60)
        assert done.returncode == 1 and "cannot start" in done.stderr, done
        assert "Read-only file system" in done.stderr or "readonly database" in done.stderr, done
        agent.start()
        assert agent.get(f"/v1/deliveries/{delivery.id}")["reason"] == "ignored"
