"""The schema of the database: upgraded from each earlier version in one transaction, refused when it is newer."""

import hashlib
import os
import signal
import sqlite3
import subprocess

import pytest

from agents import SANITIZERS
from offline import NEWEST, agent, is_whole, make_database, rows, version_of  # noqa: F401
from waiting import eventually

BIG = {"deliveries": 5_000, "builds": 1_000, "patches": 100}  # whose upgrade takes a while


@pytest.mark.parametrize("version", range(1, NEWEST + 1))
def test_from_each_version(agent, version):
    make_database(agent.database, version)
    agent.start()
    pending = agent.get("/v1/deliveries/id-1")
    assert (pending["reason"], pending["repository"]) == ("accepted", "git.example/acme/report")
    assert agent.get("/v1/deliveries/id-2")["reason"] == "deployed"
    assert {build["state"] for build in agent.get("/v1/builds?limit=100")["builds"]} == {"done", "running"}
    fresh = agent.push(1)
    agent.stop()
    assert version_of(agent.database) == NEWEST and is_whole(agent.database)
    assert agent.rows("SELECT count(*) FROM deliveries WHERE pending = 1") == [(11,)]
    assert agent.rows("SELECT repository, branch, credential, head FROM branches") == [
        ("git.example/acme/report", "main", "", "aa")]
    assert agent.rows(f"SELECT reason FROM deliveries WHERE id = '{fresh}'") == [("accepted",)]


def begin(agent):
    return subprocess.Popen([*agent.program(), "agent", "--config", str(agent.settings())], stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **SANITIZERS})


def schema_of(database):
    return rows(database, "SELECT name, sql FROM sqlite_schema ORDER BY name")


def await_writing(agent, least):
    """The upgrade's pages go to the WAL, which grows until it is committed."""
    wal = agent.database.with_name("cronwright.db-wal")
    eventually(lambda: wal.exists() and wal.stat().st_size > least, "the upgrade is under way", 120)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_ended_in_the_middle(agent, tmp_path, full, chance, how):
    """The version before is as it was, and the next start goes all the way."""
    make_database(agent.database, 1, **BIG)
    before, counts = schema_of(agent.database), rows(agent.database, "SELECT count(*) FROM patches")
    pristine = tmp_path / "pristine.db"
    connection = sqlite3.connect(agent.database)
    connection.execute("VACUUM INTO ?", (str(pristine),))
    connection.close()
    interrupted, tried = 0, 0
    while tried < (40 if full else 3) or (not interrupted and tried < 40):  # it may have come to its end each time
        tried += 1
        process = begin(agent)
        await_writing(agent, chance.randrange(1_000, 1_500_000))
        process.send_signal(how)
        status = process.wait(45)
        assert status == (-how if how == signal.SIGKILL else 0)
        if version_of(agent.database) == 1:
            interrupted += 1
            assert schema_of(agent.database) == before
        else:
            for path in agent.state.glob("cronwright.db*"):
                path.unlink()
            agent.database.write_bytes(pristine.read_bytes())
        assert is_whole(agent.database) and rows(agent.database, "SELECT count(*) FROM patches") == counts
    assert interrupted
    agent.start()
    assert agent.get("/v1/deliveries/id-1")["reason"] == "accepted"
    agent.stop()
    assert version_of(agent.database) == NEWEST and is_whole(agent.database)
    assert rows(agent.database, "SELECT count(*) FROM patches") == counts


def contents(directory):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir() if path.is_file()}


@pytest.mark.parametrize("command", [["agent"], ["doctor", "--repair"]])
def test_newer_version_is_refused(agent, tmp_path, command):
    """By name, and without a byte of it written: also what is in its WAL stays there."""
    make_database(agent.database, NEWEST)
    connection = sqlite3.connect(agent.database)
    connection.execute(f"PRAGMA user_version = {NEWEST + 3}")
    connection.execute("CREATE TABLE later (what TEXT)")
    connection.commit()
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in agent.state.iterdir():  # with a WAL that nobody has folded in
        (copy / path.name).write_bytes(path.read_bytes())
    connection.close()
    for path in copy.iterdir():
        if not path.name.endswith("-shm"):
            (agent.state / path.name).write_bytes(path.read_bytes())
    before = contents(agent.state)
    assert "cronwright.db-wal" in before
    done = agent.run(*command, check=1)
    said = done.stdout + done.stderr
    assert f"schema {NEWEST + 3}, this one knows {NEWEST}" in said and "start that version" in said
    after = contents(agent.state)
    assert {name: after.get(name) for name in before if not name.endswith("-shm")} == {
        name: digest for name, digest in before.items() if not name.endswith("-shm")}
