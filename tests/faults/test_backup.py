"""`cronwright backup`: a copy of the database of a running agent, and an agent that is started on it."""

import contextlib
import os
import signal
import stat
import subprocess

from offline import NEWEST, Crowd, agent, is_whole, make_database  # noqa: F401
from waiting import eventually

SENDERS = 4
BIG = {"deliveries": 50_000, "builds": 2_000, "patches": 60}  # whose copy takes a while


class Senders(Crowd):
    """They send deliveries as fast as they can; `acknowledged` grows."""

    def __init__(self, agent):
        self.acknowledged = []
        super().__init__(*[lambda number=number: self.acknowledged.append(agent.push(number))
                           for number in range(1, SENDERS + 1)])


def size_of(path):
    with contextlib.suppress(FileNotFoundError):  # it has another name by now
        return path.stat().st_size
    return 0


def restore(agent, file):
    """As the manual page says."""
    for path in agent.state.glob("cronwright.db*"):
        path.unlink()
    agent.database.write_bytes(file.read_bytes())
    return agent.start()


def test_backup_under_load(agent, tmp_path, chance, full):
    """What was acknowledged before a backup is in it; the agent that starts on it knows it and goes on."""
    agent.start()
    backups = []
    with Senders(agent) as senders:
        for number in range(20 if full else 4):
            enough = len(senders.acknowledged) + chance.randrange(1, 100)
            eventually(lambda: len(senders.acknowledged) >= enough or senders.failed, "deliveries pour in")
            before = list(senders.acknowledged)
            file = tmp_path / f"backup-{number}"
            agent.run("backup", str(file), check=0)
            backups.append((file, before))
    agent.stop()
    for file, before in backups:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600 and is_whole(file)
    file, before = chance.choice(backups)
    restore(agent, file)
    for delivery in before:
        assert agent.get(f"/v1/deliveries/{delivery}")["reason"] == "accepted"
    agent.push(1)
    agent.stop()
    assert is_whole(agent.database)


def test_backup_of_a_stopped_agent(agent, tmp_path):
    """Also when it was killed, and the last of it is in the WAL."""
    agent.start()
    delivery = agent.push(1)
    agent.kill()
    agent.run("backup", str(tmp_path / "copy"), check=0)
    restore(agent, tmp_path / "copy")
    assert agent.get(f"/v1/deliveries/{delivery}")["reason"] == "accepted"


def test_a_file_that_is_there_stays(agent, tmp_path):
    make_database(agent.database, NEWEST)
    file = tmp_path / "taken"
    file.write_text("somebody's")
    done = agent.run("backup", str(file), check=1)
    assert "is there already" in done.stderr and file.read_text() == "somebody's"
    assert agent.run("backup", str(tmp_path / "no/such/directory"), check=1).stderr.startswith("cronwright: ")
    agent.run("backup", check=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent", "taken"]


def test_no_database_no_backup(agent, tmp_path):
    assert agent.run("backup", str(tmp_path / "copy"), check=1).stderr
    assert not (tmp_path / "copy").exists()


def test_interrupted(agent, tmp_path, chance):
    """Ctrl-C leaves nothing behind, however far it had come."""
    make_database(agent.database, NEWEST, **BIG)
    places = tmp_path / "places"
    places.mkdir()
    interrupted = 0
    for _ in range(3):
        process = subprocess.Popen([*agent.program(), "backup", str(places / "copy"), "--config",
                                    str(agent.settings())], stderr=subprocess.PIPE, text=True,
                                   env={**os.environ, "LC_ALL": "C.UTF-8"})
        enough = chance.randrange(1, 2_000_000)
        eventually(lambda: any(size_of(path) > enough for path in places.iterdir()), "it is being copied", 60)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
        if process.returncode == 130:
            assert "interrupted" in said
            interrupted += 1
        else:
            assert process.returncode == 0
            (places / "copy").unlink()
        assert list(places.iterdir()) == []
    assert interrupted
