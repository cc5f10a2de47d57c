"""What unverified requests may cost: connections, bytes, time. What is refused is remembered, and counted."""

import concurrent.futures
import contextlib
import http.client
import re
import select
import socket

import pytest

import forges
from agents import FORGE_SECRETS, Agent, ask
from waiting import eventually

GITHUB = FORGE_SECRETS["github"]
CONNECTIONS, PER_ADDRESS = 12, 4
BODY_MAX, IN_FLIGHT = 64 << 10, 160 << 10
REQUEST_SECONDS = 10
PATIENCE = 120


@pytest.fixture(scope="module")
def own_place(new_place):
    return new_place("limits")


@pytest.fixture(scope="module")
def limited_agent(own_place):
    with Agent(own_place, own_place.directory,
               webhooks={"maxConnections": CONNECTIONS, "maxConnectionsPerAddress": PER_ADDRESS, "maxBody": BODY_MAX,
                         "maxBytesInFlight": IN_FLIGHT, "requestTimeout": f"{REQUEST_SECONDS}s"}) as agent:
        yield agent


@pytest.fixture
def limited(limited_agent):
    """All its places are free, whatever the test before left."""
    eventually(lambda: send(limited_agent, ping(), "127.0.0.1").status == 202, "it takes deliveries", PATIENCE)
    return limited_agent


def ping():
    return forges.github(forges.github_ping("https://example.com/a/b.git"), GITHUB, event="ping")


def endpoint(agent):
    host, port = agent.webhooks.split(":")
    return host, int(port)


def connect(agent, address):
    return socket.create_connection(endpoint(agent), timeout=PATIENCE, source_address=(address, 0))


class Response:
    """An answer that may come while the request is still being sent."""

    def __init__(self, connection):
        response = http.client.HTTPResponse(connection)
        response.begin()
        self.status, self.headers, self.text = response.status, response.headers, response.read().decode()


def send(agent, delivery, address):
    with connect(agent, address) as connection:
        connection.sendall(delivery.request())
        return Response(connection)


@contextlib.contextmanager
def held(agent, *addresses):
    """Connections from these addresses that stay open: each has been served once."""
    with contextlib.ExitStack() as stack:
        for address in addresses:
            connection = stack.enter_context(connect(agent, address))
            delivery = ping()
            connection.sendall(delivery.request())
            assert Response(connection).status == 202
        yield


def newest_refused(agent):
    return agent.deliveries()["refused"][0]


def assert_busy(answer, says):
    assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json" and says in answer.text


# --- connections ---

def test_connections_of_one_address(limited):
    with held(limited, *["127.0.0.2"] * PER_ADDRESS):
        delivery = ping()
        assert_busy(send(limited, delivery, "127.0.0.2"), "from this address")
        refused = newest_refused(limited)
        assert (refused["peer"], refused["status"], refused["delivery"]) == ("127.0.0.2", 503, delivery.id)
        assert limited.api("GET", f"/v1/deliveries/{delivery.id}").status == 404
        assert send(limited, ping(), "127.0.0.3").status == 202
    eventually(lambda: send(limited, delivery, "127.0.0.2").status == 202, "it has a place again", PATIENCE)


def test_connections_in_all(limited):
    addresses = [f"127.0.1.{number // PER_ADDRESS}" for number in range(CONNECTIONS)]
    with held(limited, *addresses):
        assert_busy(send(limited, ping(), "127.0.0.2"), "Too many connections are open.")
        assert newest_refused(limited)["peer"] == "127.0.0.2"
        # A probe hears all the same that it lives.
        assert ask(limited.webhooks, "GET", "/healthz").status == 200


def test_flood_of_silent_connections(limited):
    """More than are told that they are too many: the rest wait, and those that follow are served in the end."""
    with contextlib.ExitStack() as stack:
        for number in range(200):
            stack.enter_context(connect(limited, f"127.0.2.{number}"))
        late = stack.enter_context(connect(limited, "127.0.0.2"))
        delivery = ping()
        late.sendall(delivery.request())
        assert Response(late).status in (202, 503)
        eventually(lambda: send(limited, ping(), "127.0.0.2").status == 202, "it takes deliveries", PATIENCE)


# --- bytes ---

def begin_large(agent):
    """A connection on which a large body may be sent; None when it is one too many."""
    connection = connect(agent, "127.0.0.2")
    connection.sendall(ping().head(f"Content-Length: {BODY_MAX}", "Expect: 100-continue"))
    told = connection.recv(25, socket.MSG_WAITALL)
    if told == b"HTTP/1.1 100 Continue\r\n\r\n":
        return connection
    connection.close()
    return None


def test_bytes_in_flight(limited):
    body = b"x" * (BODY_MAX - 1)
    with contextlib.ExitStack() as stack:
        halves = [stack.enter_context(eventually(lambda: begin_large(limited), "it has a place", PATIENCE))
                  for _ in range(IN_FLIGHT // BODY_MAX)]
        for half in halves:
            half.sendall(body)
        large = forges.github(b"y" * BODY_MAX, GITHUB)
        answer = eventually(lambda: busy(limited, large), "too much is in flight", PATIENCE)
        assert_busy(answer, "Too much is being received")
        refused = newest_refused(limited)
        assert (refused["peer"], refused["status"]) == ("127.0.0.3", 503)
        # Without Content-Length it is found out while it comes.
        with connect(limited, "127.0.0.3") as chunked:
            chunked.sendall(ping().head("Transfer-Encoding: chunked") + b"%x\r\n" % len(body) + body)
            assert_busy(Response(chunked), "Too much is being received")
        assert send(limited, ping(), "127.0.0.3").status == 202  # a small one has room
        for half in halves:
            half.sendall(b"x")
            assert Response(half).status == 401
    assert busy(limited, large) is None


def busy(agent, delivery):
    answer = send(agent, delivery, "127.0.0.3")
    return answer if answer.status == 503 else None


def resident(agent):
    """Bytes of memory that the process has."""
    with open(f"/proc/{agent.process.pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_many_large_bodies_cost_bounded_memory(own_place, tmp_path):
    """120 clients claim 25 MiB each and send 4 of them: 480 MiB that no signature covers."""
    agent = Agent(own_place, tmp_path, webhooks={"maxBody": "25MiB", "maxBytesInFlight": "32MiB"})
    agent.variables = {"ASAN_OPTIONS": "quarantine_size_mb=1:abort_on_error=0"}  # or what is freed counts
    with agent, contextlib.ExitStack() as stack:
        before = resident(agent)
        clients = [stack.enter_context(connect(agent, "127.0.0.1")) for _ in range(120)]
        most, refused = before, 0
        for client in clients:
            client.sendall(ping().head(f"Content-Length: {25 << 20}"))
            with contextlib.suppress(OSError):  # it was cut off
                client.sendall(b"x" * (4 << 20))
            most = max(most, resident(agent))
        for client in clients:
            if select.select([client], [], [], 0)[0]:
                assert Response(client).status == 503
                refused += 1
        assert refused >= 120 - 32 // 4
        assert most - before < 128 << 20, f"{(most - before) >> 20} MiB"
        assert ask(agent.webhooks, "GET", "/healthz").status == 200
        assert agent.deliver(ping()).status in (202, 503)
    # and nothing of it is left when they have gone: it has ended well


# --- time ---

SLOW = {
    "headers": lambda delivery: delivery.head()[:-2] + b"X-Slow: ",
    "body": lambda delivery: delivery.head("Content-Length: 50000") + delivery.body,
    "chunks": lambda delivery: delivery.head("Transfer-Encoding: chunked") + b"1000\r\n" + delivery.body,
}


@pytest.mark.parametrize("which", SLOW)
def test_drip(limited, which):
    """Each byte is in time; the whole is not."""
    delivery = ping()
    with connect(limited, "127.0.0.2") as connection:
        connection.sendall(SLOW[which](delivery))
        with contextlib.suppress(OSError):
            while not select.select([connection], [], [], 0.1)[0]:
                connection.sendall(b"x")
        answer = Response(connection)
    assert answer.status == 408 and "in time" in answer.text
    refused = eventually(lambda: [each for each in limited.deliveries()["refused"] if each["delivery"] == delivery.id],
                         "it is remembered")[0]
    assert (refused["peer"], refused["status"], refused["forge"]) == ("127.0.0.2", 408, "github")


def test_clients_that_drip_hold_nobody_up(limited):
    """Those of one address have their places, the others have theirs."""
    with contextlib.ExitStack() as stack:
        for _ in range(PER_ADDRESS):
            slow = stack.enter_context(connect(limited, "127.0.0.2"))
            slow.sendall(ping().head("Content-Length: 50000"))
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(lambda number: send(limited, ping(), f"127.0.4.{number}").status, range(100)))
        assert set(statuses) == {202}


# --- what is remembered ---

def test_repeated_refusals_are_counted(limited):
    """A flood of one kind does not push out the rest, and each peer has a part of the ring only."""
    with connect(limited, "127.0.3.1") as connection:
        connection.sendall(b"GET /webhooks/gitlab HTTP/1.1\r\nHost: x\r\n\r\n")
        assert Response(connection).status == 405
    last = None
    for _ in range(100):
        last = ping().with_headers(("X-Hub-Signature-256", "sha256=" + "0" * 64))
        assert send(limited, last, "127.0.3.2").status == 401
    refused = {(each["peer"], each["forge"], each["status"]): each for each in limited.deliveries()["refused"]}
    assert refused["127.0.3.1", "gitlab", 405]["count"] == 1
    flood = refused["127.0.3.2", "github", 401]
    assert flood["count"] == 100 and flood["delivery"] == last.id and flood["since"] <= flood["time"]
    shown = limited.cli("deliveries")[0]
    [line] = [line for line in shown.splitlines() if "127.0.3.2, 100 times since" in line]
    assert "401" in line and "matches no" in line
    assert last.id in limited.cli("deliveries", "-o", "wide")[0]
    told = limited.cli_json("deliveries")["refused"]
    assert [each["count"] for each in told if each["peer"] == "127.0.3.2"] == [100]


def test_hook_with_a_wrong_path_is_remembered(limited):
    delivery = ping()
    delivery.path = "/webhook"
    assert send(limited, delivery, "127.0.3.3").status == 404
    refused = newest_refused(limited)
    assert (refused["peer"], refused["forge"], refused["status"], refused["delivery"]) == (
        "127.0.3.3", "github", 404, delivery.id)


def test_malformed_body_is_remembered(limited):
    delivery = ping()
    with connect(limited, "127.0.3.4") as connection:
        connection.sendall(delivery.head("Transfer-Encoding: chunked") + b"no length\r\n")
        assert connection.recv(12) == b"HTTP/1.1 400"
    refused = eventually(lambda: [each for each in limited.deliveries()["refused"] if each["delivery"] == delivery.id],
                         "it is remembered")[0]
    assert (refused["peer"], refused["status"]) == ("127.0.3.4", 400) and "malformed" in refused["reason"]


# --- the admin API ---

def test_guessed_tokens(limited):
    """They are logged; right ones are good meanwhile."""
    for number in range(25):
        answer = limited.api("GET", "/v1/services", token=f"guess-{number:012}")
        assert answer.status == 401 and answer.headers["WWW-Authenticate"]
        assert limited.api("GET", "/v1/services").status == 200
    eventually(lambda: re.search("wrong admin token.*peer=127.0.0.1", limited.log_text()), "it is logged")
    assert "guess-" not in limited.log_text()


def test_connections_to_the_admin_api(limited):
    """One address cannot have them all."""
    host, port = limited.admin.split(":")
    with contextlib.ExitStack() as stack:
        for _ in range(160):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE,
                                                         source_address=("127.0.0.2", 0)))
        assert limited.api("GET", "/v1/services").status == 200
        answer = eventually(lambda: admin_status(limited, "127.0.0.2"), "it is answered", PATIENCE)
        assert answer == 503


def admin_status(agent, address):
    host, port = agent.admin.split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE, source_address=(address, 0)) as connection:
        connection.sendall(b"GET /v1/services HTTP/1.1\r\nHost: x\r\n\r\n")
        return Response(connection).status
