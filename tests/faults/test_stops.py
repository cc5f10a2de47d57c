"""SIGTERM at any moment: the agent is gone within what systemd gives it, and nothing acknowledged is missing."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import threading

import pytest

import forges
from agents import FORGE_SECRETS, SANITIZERS, ask
from offline import Crowd, OfflineAgent, Silent, is_whole
from units import settings_of_unit
from waiting import eventually

LIMIT = int(settings_of_unit()["TimeoutStopSec"][0].removesuffix("s"))
SENDERS = 8


@pytest.fixture
def agent(tmp_path):
    """Its Kubernetes takes connections and never says a word."""
    silent = Silent()
    agent = OfflineAgent(tmp_path / "agent", server=silent.url)
    yield agent
    agent.finish()
    silent.close()


def end(process, how=signal.SIGTERM):
    process.send_signal(how)
    return process.wait(LIMIT)  # the property


def test_during_the_start(agent, chance, full):
    """From the first instruction on: before it is there to hear, the signal does what it always does."""
    for _ in range(100 if full else 3):
        log = agent.log.open("ab")
        process = subprocess.Popen([*agent.program(), "agent", "--config", str(agent.settings())],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   env={**os.environ, **SANITIZERS})
        log.close()
        threading.Event().wait(chance.uniform(0, 0.6))  # the moment is what the seed says
        assert end(process, chance.choice([signal.SIGTERM, signal.SIGINT])) in (0, -signal.SIGTERM, -signal.SIGINT)
        agent.check_log()
    agent.start()
    delivery = agent.push(1)
    assert agent.get(f"/v1/deliveries/{delivery}")["reason"] == "accepted"
    agent.stop()
    assert is_whole(agent.database)


class Load(Crowd):
    """Deliveries and admin requests, some of which wait for Kubernetes, also when the agent is gone."""

    def __init__(self, agent):
        self.agent, self.acknowledged = agent, []
        super().__init__(*[lambda number=number: self.deliver(number) for number in range(1, SENDERS + 1)],
                         *[self.wait_for_kubernetes] * 2)

    def deliver(self, number):
        delivery = forges.github(forges.github_push("https://git.example/acme/report.git", f"{number:040x}"),
                                 FORGE_SECRETS["github"])
        try:
            if self.agent.deliver(delivery).status == 202:
                self.acknowledged.append(delivery.id)
        except (OSError, http.client.HTTPException):
            self.over.wait(0.01)  # nobody listens any more

    def wait_for_kubernetes(self):
        try:
            self.agent.api("POST", "/v1/services", {"name": "a", "namespace": "reports", "schedule": "0 3 * * *",
                                                    "source": {"image": "registry.example/a:1"}})
        except (OSError, http.client.HTTPException):
            self.over.wait(0.01)


@contextlib.contextmanager
def halves(agent):
    """Half a delivery and half an admin request, which nobody goes on with."""
    delivery = forges.github(forges.github_push("https://git.example/acme/report.git", "1" * 40),
                             FORGE_SECRETS["github"])
    with contextlib.ExitStack() as stack:
        for address, half in ((agent.webhooks,
                               delivery.head(f"Content-Length: {len(delivery.body)}") + delivery.body[:9]),
                              (agent.admin, b"GET /v1/services HTTP/1.1\r\nHost: a\r\n")):
            host, port = address.rsplit(":", 1)
            stack.enter_context(socket.create_connection((host, int(port)))).sendall(half)
        assert ask(agent.admin, "GET", "/healthz").status == 200  # by then both have arrived
        yield


def test_under_load(agent, chance, full):
    acknowledged = []
    for _ in range(30 if full else 1):
        agent.start()
        with Load(agent) as load, halves(agent):
            enough = chance.randrange(1, 200)
            eventually(lambda: len(load.acknowledged) >= enough, "deliveries are acknowledged")
            process, agent.process = agent.process, None
            status = end(process)
        assert status == 0, agent.log_text()[-2000:]
        agent.check_log()
        acknowledged += load.acknowledged
    known = {row[0] for row in agent.rows("SELECT id FROM deliveries")}
    assert set(acknowledged) <= known and is_whole(agent.database)


@pytest.mark.full
def test_nobody_reads_its_log(agent):
    """No part waits at its next line: it ends as well as ever."""
    reader, writer = os.pipe()
    process = subprocess.Popen([*agent.program(), "agent", "--config", str(agent.settings())],
                               stdin=subprocess.DEVNULL, stdout=writer, stderr=writer,
                               env={**os.environ, **SANITIZERS})
    said = b""
    while b"listening" not in said:
        said += os.read(reader, 65536)
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"full\n")
    os.set_blocking(writer, True)  # the file's, which the agent shares
    status = end(process)
    os.close(reader)
    os.close(writer)
    assert status == 0
    agent.start()
    agent.push(1)
