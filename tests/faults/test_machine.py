"""What the machine denies the agent beside what the table has: readers of its log, and memory."""

import contextlib
import json
import os
import pathlib
import re
import resource
import select
import socket
import subprocess

import pytest

import forges
from agents import FORGE_SECRETS, SANITIZERS, Agent, ask
from waiting import eventually
from watched import Other, build

GITHUB = FORGE_SECRETS["github"]
PIPE = 64 << 10  # bytes that nobody reads
CHUNK = 1 << 16


def ping():
    return forges.github(forges.github_ping("https://example.com/a/b.git"), GITHUB, event="ping")


def free_address():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return "%s:%d" % server.getsockname()


class Deaf(Agent):
    """Its log goes where the test says, and its addresses are known before."""

    def __init__(self, place, directory, **changes):
        super().__init__(place, directory, **changes)
        self.webhooks, self.admin = free_address(), free_address()
        self.config["webhooks"]["listen"], self.config["admin"]["listen"] = self.webhooks, self.admin
        self.config["metrics"].pop("listen")
        self.wrapper = []

    def start_with(self, **streams):
        path = self.directory / "cronwright.yaml"
        path.write_text(json.dumps(self.config))
        self.process = subprocess.Popen([*self.wrapper, *self.program(), "agent", "--config", str(path)],
                                        env={**os.environ, **SANITIZERS}, **streams)

    def is_ready(self):
        try:
            return super().is_ready()
        except OSError:
            return False


def read_all(fd):
    """What is in the pipe now."""
    text = b""
    while select.select([fd], [], [], 0)[0] and (more := os.read(fd, CHUNK)):
        text += more
    return text.decode()


def test_log_that_nobody_reads(new_place):
    """journald stands still: every delivery is taken all the same, and later it is told how many lines were lost."""
    place = new_place("unread")
    agent = Deaf(place, place.directory)
    reader, writer = os.pipe()
    agent.start_with(stdout=writer, stderr=writer, stdin=subprocess.DEVNULL)
    os.close(writer)
    try:
        agent.await_ready(60)
        read_all(reader)
        sent = 0
        while sent * len("delivery stored") < PIPE / 4:
            agent.accept(ping(), reason="ignored")
            sent += 1
        assert len(agent.deliveries()["deliveries"]) == 200
        kept = read_all(reader)
        assert kept.count("delivery stored") < sent
        agent.accept(ping(), reason="ignored")
        told = [kept]

        def lost():
            told.append(read_all(reader))
            return re.search(r"log lines were lost: nobody took them.* count=(\d+)", "".join(told))
        said = eventually(lost, "it says what was lost")
        assert int(said.group(1)) >= sent - kept.count("delivery stored")
    finally:
        os.close(reader)
        agent.stop()


def test_closed_standard_streams(new_place):
    """What it opens does not come in their place, so that nothing is written into that."""
    place = new_place("closed")
    agent = Deaf(place, place.directory)
    agent.wrapper = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    agent.start_with()
    try:
        agent.await_ready(60)
        links = [os.readlink(f"/proc/{agent.process.pid}/fd/{fd}") for fd in range(3)]
        assert links == ["/dev/null"] * 3
        agent.accept(ping(), reason="ignored")
    finally:
        agent.stop()


def last_word(client, rest):
    """What it is answered when the rest comes as well, or was before."""
    text = b""
    with contextlib.suppress(OSError):
        client.sendall(rest)
    with contextlib.suppress(OSError):
        while more := client.recv(CHUNK):
            text += more
    return text


def use_up_memory(agent):
    """The first words of the answers to more than there is room for."""
    process = agent.process.pid
    used = int(pathlib.Path(f"/proc/{process}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(process, resource.RLIMIT_AS, (used + (16 << 20), resource.RLIM_INFINITY))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(tuple(agent.webhooks.split(":")))) for _ in range(8)]
        for client in clients:
            with contextlib.suppress(OSError):
                client.sendall(ping().head(f"Content-Length: {24 << 20}", "Connection: close"))
                client.sendall(b"x" * (20 << 20))
        return [answer[:13] for client in clients if (answer := last_word(client, b"x" * (4 << 20)))]


@pytest.mark.full
def test_memory_that_ends(new_place):
    """What there is no memory for is refused for now; where it cannot go on without, it ends. Nothing it had taken is lost."""
    place = new_place("memory")
    with Other(build("release", "-DCRONWRIGHT_TESTS=OFF"), place, place.directory,
               webhooks={"maxBody": "25MiB", "maxBytesInFlight": "400MiB"}) as agent:
        taken = [agent.accept(ping(), reason="ignored").id for _ in range(100)]
        answers = use_up_memory(agent)
        assert set(answers) <= {b"HTTP/1.1 503 ", b"HTTP/1.1 401 "}  # there was room for some, whose signature is wrong
        if agent.process.poll() is None:
            assert b"HTTP/1.1 503 " in answers
            resource.prlimit(agent.process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        else:
            assert agent.process.returncode < 0
            agent.process = None
            agent.start()
        agent.accept(ping(), reason="ignored")
        for delivery in taken:
            assert agent.get(f"/v1/deliveries/{delivery}")["delivery"] == delivery
        assert ask(agent.webhooks, "GET", "/healthz").status == 200
