"""Faults of the machine on which the agent runs: its clock, its descriptors, its processes, and that it stands still."""

import contextlib
import os
import resource
import signal
import socket
import struct

import forges
from agents import FORGE_SECRETS, SANITIZERS, TOP, push_of
from faults import Fault
from quick_builds import FAILED, Outcome

LIBRARY = TOP / "out/test/tests/libmachine.so"
HOURS = 3600 * 1000
FULL_SECONDS = 60


def preloaded(directory):
    """The agent's machine is the file's: see machine.c."""
    file = directory / "machine"
    file.write_bytes(struct.pack("qq", 0, 0))
    return {"LD_PRELOAD": str(LIBRARY), "MACHINE_FILE": str(file),
            "ASAN_OPTIONS": f"{SANITIZERS['ASAN_OPTIONS']}:verify_asan_link_order=0"}


def set_machine(case, shift_ms=0, full=False):
    with open(case.agent.variables["MACHINE_FILE"], "r+b") as file:
        file.write(struct.pack("qq", shift_ms, full))


def push_again(case):
    """One more, as if nothing had been."""
    case.commit = case.repository.push({**case.files, "text": "once more"})
    case.delivery = push_of(case.repository, case.commit)
    case.deliver()
    found = case.ended()
    assert found["reason"] == "deployed", found
    assert case.service.annotation("commit") == case.commit


# --- the clock ---

def stepped(shift_ms):
    """It stays so."""
    @contextlib.contextmanager
    def inject(case):
        set_machine(case, shift_ms)
        yield
    return inject


@contextlib.contextmanager
def there_and_back(case):
    """First a day too late, then right again."""
    set_machine(case, 24 * HOURS)
    yield
    set_machine(case)


def then_back(case):
    """All that was written down until now is in the future."""
    set_machine(case, -3 * HOURS)
    push_again(case)


def fails_then_back(case):
    """A build failed at a time that is yet to come: whoever pushes that commit again is heard all the same."""
    case.commit = case.repository.push({**case.files, "text": "fails"})
    deliver = lambda: case.agent.accept(push_of(case.repository, case.commit))
    first = deliver()
    case.quick.release(case.quick.await_running(case.commit), Outcome(exit_code=1, message=FAILED))
    case.agent.outcome_of(first, "build-failed")
    set_machine(case, -3 * HOURS)
    case.delivery = deliver()
    found = case.ended()
    assert (found["reason"], case.build["attempt"]) == ("deployed", 2), found


# --- descriptors, processes ---

@contextlib.contextmanager
def no_descriptors(case):
    """It has those that are open, and gets no other; clients that come wait for to be taken."""
    process = case.agent.process.pid
    before = resource.prlimit(process, resource.RLIMIT_NOFILE)
    resource.prlimit(process, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{process}/fd")), before[1]))
    host, port = case.agent.webhooks.split(":")
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection((host, int(port))))
        if case.fault.stage == "end":
            case.goes_on()
        yield
    resource.prlimit(process, resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def no_processes(case):
    set_machine(case, full=True)
    yield
    set_machine(case)


# --- standing still ---

@contextlib.contextmanager
def stopped(case):
    """As when a machine is suspended, or its disk or its memory is slow beyond measure."""
    case.agent.process.send_signal(signal.SIGSTOP)
    if case.fault.stage == "end":
        case.goes_on()
    yield
    case.agent.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def stopped_while_delivered(case):
    """The sender waits, and is answered when it goes on."""
    case.agent.process.send_signal(signal.SIGSTOP)
    host, port = case.agent.webhooks.split(":")
    with socket.create_connection((host, int(port)), timeout=case.fault.within) as connection:
        connection.sendall(forges.github(forges.github_ping(case.repository.url), FORGE_SECRETS["github"], "ping").request())
        yield
        case.agent.process.send_signal(signal.SIGCONT)
        assert connection.recv(12) in (b"HTTP/1.1 202", b"HTTP/1.1 408")


FAULTS = [
    Fault("clock-forward", "kaniko", stepped(3 * HOURS), lasts=1, after=push_again, variables=preloaded),
    Fault("clock-back", "kaniko", stepped(-3 * HOURS), lasts=1, after=push_again, variables=preloaded),
    Fault("clock-forward-and-back", "fetch", there_and_back, lasts=1, after=push_again, variables=preloaded),
    Fault("clock-back-later", "idle", stepped(0), after=then_back, variables=preloaded),
    Fault("clock-back-after-a-failure", "idle", stepped(0), after=fails_then_back, variables=preloaded),
    Fault("no-descriptors-at-delivery", "idle", no_descriptors, lasts=2, full_lasts=FULL_SECONDS),
    Fault("no-descriptors-while-fetching", "fetch", no_descriptors, lasts=2, full_lasts=FULL_SECONDS),
    Fault("no-descriptors-at-the-end", "end", no_descriptors, lasts=2, full_lasts=FULL_SECONDS),
    Fault("no-processes-at-delivery", "delivery", no_processes, {"log": "Resource temporarily unavailable"}, lasts=2,
          full_lasts=FULL_SECONDS, variables=preloaded),
    Fault("stopped-while-delivered", "idle", stopped_while_delivered, lasts=2, full_lasts=FULL_SECONDS),
    Fault("stopped-while-fetching", "fetch", stopped, lasts=2, full_lasts=FULL_SECONDS),
    Fault("stopped-while-kaniko-runs", "kaniko", stopped, lasts=2, full_lasts=FULL_SECONDS),
    Fault("stopped-at-the-end", "end", stopped, lasts=2, full_lasts=FULL_SECONDS),
]
