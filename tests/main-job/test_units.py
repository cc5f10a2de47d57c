"""The agent as systemd runs it: restricted, watched, with sockets that outlive it."""

import http.client
import select
import signal
import socket
import threading

import pytest

import forges
from agents import FORGE_SECRETS, Agent, ask, push_of
from places import report
from units import ActivatedAgent, Notifications, RestrictedAgent
from waiting import eventually

GITHUB = FORGE_SECRETS["github"]
SENDERS = 16
RESTARTS = 3


@pytest.fixture(scope="module")
def own_place(new_place):
    return new_place("units")


def ping():
    return forges.github(forges.github_ping("https://example.com/a/b.git"), GITHUB, event="ping")


# --- restrictions ---

@pytest.fixture(scope="module")
def restricted(own_place, tmp_path_factory):
    with RestrictedAgent(own_place, tmp_path_factory.mktemp("restricted")) as agent:
        yield agent


def test_main_job_under_the_restrictions_of_the_unit(restricted, own_place):
    """A call that the unit forbids would end the agent, or its Git child."""
    repository = own_place.repository("restricted")
    service = own_place.service("restricted", repository=repository).seen_by(restricted)
    for text in ("one", "two"):
        commit = repository.push(report(own_place.cluster, text))
        restricted.outcome_of(restricted.accept(push_of(repository, commit)),
                              "deployed")
        assert service.annotation("commit") == commit
    run = service.force(restricted).json["name"]
    assert service.ended(restricted, run)["state"] == "succeeded"
    assert "two" in restricted.cli("logs", service.full_name)[0]
    restricted.restart()
    assert restricted.get(f"{service.path}/runs/{run}")["state"] == "succeeded"


def test_restrictions_hold(restricted):
    """So that the test above means something."""
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{restricted.process.pid}/status").read().splitlines())
    assert (status["CapEff"], status["CapBnd"]) == ("0" * 16, "0" * 16)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    mounts = open(f"/proc/{restricted.process.pid}/mounts").read().splitlines()
    options = {fields[1]: fields[3].split(",") for fields in map(str.split, mounts)}
    assert "ro" in options["/"] and "rw" in options[str(restricted.directory / "state")]


# --- notifications ---

@pytest.fixture
def watched(own_place, tmp_path):
    """An agent whose secrets are credentials, and what it tells."""
    agent = Agent(own_place, tmp_path)
    notifications = Notifications(tmp_path)
    agent.variables = {**notifications.variables(), "CREDENTIALS_DIRECTORY": str(tmp_path)}
    agent.config["webhooks"]["github"]["secretFiles"] = ["${CREDENTIALS_DIRECTORY}/github.secret"]
    yield agent, notifications
    agent.finish()
    notifications.close()


def test_notifications(watched):
    agent, told = watched
    agent.start()
    told.await_line("READY=1")
    told.await_line("STATUS=ready")
    agent.accept(ping(), "ignored")  # by a secret that is a credential
    eventually(lambda: told.count("WATCHDOG=1") >= 3, "the watchdog is told again and again", 60)
    assert "STOPPING=1" not in told.all()
    agent.stop()
    told.await_line("STOPPING=1")
    lines = told.all()
    assert lines.count("READY=1") == lines.count("STOPPING=1") == 1
    assert lines.index("READY=1") < lines.index("WATCHDOG=1") < lines.index("STOPPING=1")


def test_agent_that_cannot_start_is_not_ready(watched):
    agent, told = watched
    with socket.create_server(("127.0.0.1", 0)) as taken:
        agent.config["webhooks"]["listen"] = "127.0.0.1:%d" % taken.getsockname()[1]
        with pytest.raises(AssertionError, match="cannot start"):
            agent.start()
        assert agent.process.wait(60) == 1
        agent.process = None
    assert "READY=1" not in told.all()


# --- sockets that are handed over ---

class Sender(threading.Thread):
    """Sends deliveries until told to end, on one connection or on a new one each time; every one must be taken."""

    def __init__(self, address, anew):
        super().__init__(daemon=True)
        self.address, self.anew, self.enough = address, anew, threading.Event()
        self.accepted, self.faults = [], []
        self.start()

    def run(self):
        connection = None
        while not self.enough.is_set() and not self.faults:
            delivery = ping()
            connection = self.fresh(connection)
            try:
                connection.request("POST", delivery.path, delivery.body, dict(delivery.headers))
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException) as fault:
                self.faults.append(repr(fault))
                break
            if response.status == 202:
                self.accepted.append(delivery.id)
            else:
                self.faults.append(f"{response.status} {body}")

    def fresh(self, connection):
        """A connection that the server has not closed."""
        if connection and (self.anew or connection.sock is None or select.select([connection.sock], [], [], 0)[0]):
            connection.close()
            connection = None
        if connection is None:
            connection = http.client.HTTPConnection(self.address, timeout=120)
            connection.connect()
        return connection


def stored_ids(agent):
    """Of all deliveries."""
    found, before = set(), {}
    while True:
        page = agent.deliveries(**before)["deliveries"]
        if not page:
            return found
        found |= {delivery["delivery"] for delivery in page}
        before = {"before": page[-1]["seq"]}


@pytest.fixture
def activated(own_place, tmp_path):
    agent = ActivatedAgent(own_place, tmp_path, retention={"deliveries": 10000000})
    yield agent
    agent.finish()


def test_restarts_under_load_refuse_nobody(activated):
    """Each request is answered 202 by the agent before or by the one after, and is stored."""
    activated.start()
    assert activated.admin == "%s:%d" % activated.sockets["admin"].getsockname()
    senders = [Sender(activated.webhooks, anew=number % 2 == 0) for number in range(SENDERS)]
    accepted = lambda: sum(len(sender.accepted) for sender in senders)
    for _ in range(RESTARTS):
        already = accepted()
        eventually(lambda: accepted() > already + 20 * SENDERS or any(sender.faults for sender in senders),
                   "there is load", 120)
        activated.stop()
        activated.start(until_ready=False)
    activated.await_ready()
    for sender in senders:
        sender.enough.set()
    for sender in senders:
        sender.join(120)
        assert not sender.is_alive()
    assert [sender.faults for sender in senders if sender.faults] == []
    assert stored_ids(activated) == {delivery for sender in senders for delivery in sender.accepted}


def test_who_connects_between_two_agents_waits(activated):
    activated.start()
    activated.stop()
    early = ping()
    with socket.create_connection(activated.sockets["webhooks"].getsockname(), timeout=120) as connection:
        connection.sendall(early.request())
        activated.start()
        assert connection.recv(12) == b"HTTP/1.1 202"
    assert activated.get(f"/v1/deliveries/{early.id}")["reason"] == "ignored"


# --- SIGTERM while requests arrive ---

class Half:
    """A delivery of which the last byte is kept back."""

    def __init__(self, agent, delivery):
        self.delivery = delivery
        host, port = agent.webhooks.split(":")
        self.connection = socket.create_connection((host, int(port)), timeout=120)
        self.connection.sendall(delivery.request()[:-1])

    def complete(self):
        self.connection.sendall(self.delivery.body[-1:])

    def answer(self):
        response = http.client.HTTPResponse(self.connection)
        response.begin()
        body = response.read()
        return response.status, response.headers, body


def test_sigterm_while_requests_arrive(own_place, tmp_path):
    """One that arrives before the deadline is taken; one that does not is answered all the same."""
    with Agent(own_place, tmp_path) as agent:
        quick, slow = Half(agent, ping()), Half(agent, ping())
        assert ask(agent.webhooks, "GET", "/healthz").status == 200  # after it both have begun
        agent.process.send_signal(signal.SIGTERM)
        eventually(lambda: refuses_connections(agent), "it listens no more")
        quick.complete()
        status, headers, _ = quick.answer()
        assert (status, headers["Connection"].lower()) == (202, "close")
        status, headers, body = slow.answer()
        assert status == 503 and headers["Retry-After"] and b"stops" in body
        agent.stop()
        agent.start()
        assert agent.get(f"/v1/deliveries/{quick.delivery.id}")["reason"] == "ignored"
        assert agent.api("GET", f"/v1/deliveries/{slow.delivery.id}").status == 404


def refuses_connections(agent):
    try:
        host, port = agent.webhooks.split(":")
        socket.create_connection((host, int(port)), timeout=30).close()
        return False
    except ConnectionRefusedError:
        return True
