"""`cronwright doctor --repair`: state directories with real damage, and what is whole again afterwards."""

import os
import secrets
import shutil
import sqlite3
import subprocess

import pytest

from offline import NEWEST, agent, is_whole, make_database, rows, version_of  # noqa: F401

PAGE = 4096
ROWS = {"deliveries": 3000, "builds": 300, "patches": 3}
SCHEMA_PAGES = "SELECT pageno FROM dbstat WHERE name = 'sqlite_schema'"


def of(found, part):
    return [(finding["state"], finding["text"]) for finding in found["findings"] if finding["part"] == part]


def works(agent):
    """The agent starts on what is there, and takes deliveries."""
    agent.start()
    fresh = agent.push(7)
    agent.stop()
    assert version_of(agent.database) == NEWEST and is_whole(agent.database)
    assert agent.rows(f"SELECT pending FROM deliveries WHERE id = '{fresh}'") == [(1,)]


def test_nothing_is_wrong(agent):
    found = agent.repair()  # nor is anything there
    assert found["good"] and {finding["state"] for finding in found["findings"]} == {"good"}
    works(agent)
    found = agent.repair()
    assert found["good"] and {finding["state"] for finding in found["findings"]} == {"good"}
    said = agent.run("doctor", "--repair", check=0).stdout
    assert "good    database: nothing is wrong\n" in said


def test_refused_while_an_agent_runs(agent):
    agent.start()
    found = agent.repair(check=1)
    assert not found["good"] and "another agent uses this directory: stop it first" in str(of(found, "database"))
    done = agent.run("doctor", "--repair", check=1)
    assert "stop it first" in done.stderr and "stop it first" not in done.stdout  # said once
    agent.push(1)


def test_older_schema_is_upgraded(agent):
    make_database(agent.database, 1)
    assert ("mended", f"upgraded from schema 1 to {NEWEST}") in of(agent.repair(), "database")
    works(agent)


def test_flipped_pages(agent, chance, full):
    """What can be read is saved; the damaged file is kept."""
    for _ in range(50 if full else 3):
        shutil.rmtree(agent.state, ignore_errors=True)
        make_database(agent.database, NEWEST, **ROWS)
        roots = [page - 1 for (page,) in agent.rows(f"SELECT rootpage FROM sqlite_schema UNION {SCHEMA_PAGES}")]
        content = bytearray(agent.database.read_bytes())
        pages = [page for page in range(len(content) // PAGE) if page not in roots]
        for page in chance.sample(pages, chance.randrange(1, 6)):
            content[page * PAGE:(page + 1) * PAGE] = chance.randbytes(PAGE)
        agent.database.write_bytes(content)
        found = agent.repair()
        assert found["good"] and of(found, "database")
        works(agent)
        kept = [path for path in agent.state.glob("cronwright.db.damaged-*") if not path.name.endswith("-wal")]
        if any(state == "lost" for state, _ in of(found, "database")):
            assert [path.read_bytes() == content for path in kept] == [True]
            # What other pages hold is there.
            assert agent.rows("SELECT count(*) FROM deliveries")[0][0] > ROWS["deliveries"] / 2
        else:
            assert not kept
        again = agent.repair()
        assert {state for state, _ in of(again, "database")} == {"good"}


def test_damaged_schema(agent, chance):
    """The tables that are told of before the damage are saved."""
    make_database(agent.database, NEWEST, **ROWS)
    [*_, (last,)] = agent.rows(f"{SCHEMA_PAGES} ORDER BY path")
    content = bytearray(agent.database.read_bytes())
    content[(last - 1) * PAGE:last * PAGE] = chance.randbytes(PAGE)
    agent.database.write_bytes(content)
    found = of(agent.repair(), "database")
    assert "it is damaged" in found[0][1]
    works(agent)
    assert agent.rows("SELECT count(*) FROM deliveries") == [(ROWS["deliveries"] + 1,)]
    assert agent.rows("SELECT count(*) FROM builds") == [(ROWS["builds"],)]


def test_no_room_for_what_is_saved(agent, chance):
    """What was damaged stays as it is until there is room."""
    make_database(agent.database, NEWEST, **{**ROWS, "deliveries": 30000})  # more than SQLite keeps in memory
    content = bytearray(agent.database.read_bytes())
    for page in range(20, 25):
        content[page * PAGE:(page + 1) * PAGE] = chance.randbytes(PAGE)
    agent.database.write_bytes(content)
    done = subprocess.run(["env", "--ignore-signal=XFSZ", "prlimit", f"--fsize={1 << 20}", *agent.program(), "doctor",
                           "--repair", "--config", str(agent.settings())], capture_output=True, text=True)
    assert done.returncode == 1 and "cronwright.db.salvaged: " in done.stderr, done
    assert agent.database.read_bytes() == content and not list(agent.state.glob("*.damaged-*"))
    assert agent.repair()["good"]
    works(agent)


@pytest.mark.parametrize("keep", [0, 50, PAGE, 20 * PAGE + 77])
def test_truncated(agent, keep):
    make_database(agent.database, NEWEST, **ROWS)
    with agent.database.open("r+b") as file:
        file.truncate(keep)
    assert agent.repair()["good"]
    works(agent)


def test_no_database_at_all(agent, chance):
    make_database(agent.database, NEWEST)
    agent.database.write_bytes(chance.randbytes(10 * PAGE))
    found = agent.repair()
    assert "nothing of it can be read" in of(found, "database")[0][1]
    assert len(list(agent.state.glob("cronwright.db.damaged-*"))) == 1
    works(agent)


def test_lost_wal(agent):
    """What was in it alone is gone, and the rest is whole."""
    connection = sqlite3.connect(make_database(agent.database, NEWEST))
    connection.execute("UPDATE deliveries SET reason = 'in the WAL'")
    connection.commit()
    before = agent.database.read_bytes()
    wal = agent.database.with_name("cronwright.db-wal")
    assert wal.stat().st_size > 0
    connection.close()
    agent.database.write_bytes(before)
    wal.unlink(missing_ok=True)
    assert {state for state, _ in of(agent.repair(), "database")} == {"good"}
    assert agent.rows("SELECT count(*) FROM deliveries WHERE reason = 'in the WAL'") == [(0,)]
    works(agent)


def test_indexes_are_made_anew(agent):
    make_database(agent.database, NEWEST)
    connection = sqlite3.connect(agent.database)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_schema SET sql = replace(sql, 'pending = 1', 'pending = 0') "
                       "WHERE name = 'deliveries_pending'")
    connection.commit()
    connection.close()
    connection = sqlite3.connect(agent.database)
    connection.execute("REINDEX deliveries_pending")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_schema SET sql = replace(sql, 'pending = 0', 'pending = 1') "
                       "WHERE name = 'deliveries_pending'")
    connection.commit()
    connection.close()
    assert not is_whole(agent.database)
    [(state, text)] = of(agent.repair(), "database")
    assert state == "mended" and text.startswith("its indexes were made anew: ")
    assert is_whole(agent.database) and agent.rows("SELECT count(*) FROM deliveries") == [(20,)]
    works(agent)


def test_rows_that_nobody_understands(agent):
    make_database(agent.database, NEWEST)
    connection = sqlite3.connect(agent.database)
    connection.execute("UPDATE builds SET state = 'pondering' WHERE id = 3")
    connection.execute("DELETE FROM builds WHERE id = 4")  # without its patches
    connection.execute("INSERT INTO images VALUES (1, 'u', 'i', 'o', '', '', '', 1, '', 'dreamt')")
    connection.commit()
    connection.close()
    texts = [text for _, text in of(agent.repair(), "database")]
    assert [text.split(" ", 2)[:2] for text in texts] == [["1", "patches"], ["1", "builds"], ["1", "images"]]
    assert agent.rows("SELECT state FROM builds WHERE id = 3") == [("superseded",)]
    assert agent.rows("SELECT kind FROM images") == [("given",)]
    assert is_whole(agent.database)
    works(agent)


def test_orphans_are_removed(agent):
    make_database(agent.database, NEWEST)
    keep = ["logs/builds/b-1"]
    go = ["logs/builds/b-77", f"logs/runs/reports/{secrets.token_hex(16)}", "contexts/job.tar.gz"]
    for name in keep + go:
        (agent.state / name).mkdir(parents=True)
        (agent.state / name / "pod.log").write_text("said\n")
    found = agent.repair()
    assert ("mended", "2 that belong to no build or run were removed") in of(found, "logs")
    assert [name for name in keep + go if (agent.state / name).exists()] == keep
    works(agent)


def test_logs_stay_when_rows_are_lost(agent):
    make_database(agent.database, NEWEST).write_bytes(b"")
    log = agent.state / "logs/builds/b-1"
    log.mkdir(parents=True)
    agent.database.write_bytes(b"no database" * 1000)
    assert agent.repair()["good"] and log.exists()


def test_logs_stay_when_the_version_is_lost(agent):
    """Then nobody knows of any table that it was there."""
    content = bytearray(make_database(agent.database, NEWEST, **ROWS).read_bytes())
    content[60:64] = bytes(4)  # the user version: sqlite.org/fileformat.html
    content[20 * PAGE:40 * PAGE] = bytes(20 * PAGE)
    agent.database.write_bytes(content)
    log = agent.state / "logs/builds/b-1"
    log.mkdir(parents=True)
    assert agent.repair()["good"] and log.exists()
    works(agent)


def git(directory, *words):
    subprocess.run(["git", *words], cwd=directory, check=True, capture_output=True,
                   env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "Ana",
                        "GIT_AUTHOR_EMAIL": "ana@example.com", "GIT_COMMITTER_NAME": "Ana",
                        "GIT_COMMITTER_EMAIL": "ana@example.com"})


@pytest.fixture
def mirror(agent, tmp_path):
    """A mirror with one pack, at any name."""
    work = tmp_path / "work"
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    for number in range(20):
        (work / f"file-{number}").write_bytes(os.urandom(3000))
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "All of it")

    def make(name):
        path = agent.state / "mirrors" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        git(tmp_path, "clone", "-q", "--bare", f"file://{work}", str(path))
        git(path, "repack", "-q", "-a", "-d")
        path.with_name(f"{name}.lock").touch()
        return path
    return make


def test_damaged_mirrors_go(agent, mirror, chance):
    good, flipped, cut, empty = (mirror(letter * 32) for letter in "abcd")
    [pack] = flipped.glob("objects/pack/*.pack")
    pack.chmod(0o600)
    content = bytearray(pack.read_bytes())
    for _ in range(20):
        content[chance.randrange(20, len(content) - 20)] ^= 1 + chance.randrange(255)
    pack.write_bytes(content)
    [pack] = cut.glob("objects/pack/*.pack")
    pack.chmod(0o600)
    with pack.open("r+b") as file:
        file.truncate(1000)
    shutil.rmtree(empty / "objects")
    lonely = good.with_name("e" * 32 + ".lock")
    lonely.touch()
    found = of(agent.repair(), "mirrors")
    assert [state for state, _ in found] == ["mended"] * 3
    assert [path.exists() for path in (good, flipped, cut, empty, lonely)] == [True] + [False] * 4
    assert {state for state, _ in of(agent.repair(), "mirrors")} == {"good"}


def test_mirrors_stay_when_nobody_can_look(agent, mirror):
    """A helper that does not run says nothing of them."""
    path = mirror("a" * 32)
    agent.config["git"]["helper"] = "/bin/false"
    found = agent.repair(check=1)
    assert [state for state, _ in of(found, "mirrors")] == ["failed"] and path.exists()


def test_interrupted_repair(agent, chance):
    """Killed anywhere, it is done the next time."""
    make_database(agent.database, NEWEST, **ROWS)
    content = bytearray(agent.database.read_bytes())
    for page in range(20, 40):
        content[page * PAGE:(page + 1) * PAGE] = chance.randbytes(PAGE)
    agent.database.write_bytes(content)
    for _ in range(3):
        process = subprocess.Popen([*agent.program(), "doctor", "--repair", "--config", str(agent.settings())],
                                   stdout=subprocess.PIPE)
        for _ in range(chance.randrange(1, 4)):
            process.stdout.readline()
        process.kill()
        process.communicate()
    assert agent.repair()["good"]
    works(agent)
    assert rows(agent.database, "SELECT count(*) FROM deliveries")[0][0] > ROWS["deliveries"] / 4
