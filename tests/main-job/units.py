"""What systemd does for the agent's unit: sockets that outlive it, notifications, restrictions of its process."""

import fcntl
import os
import re
import socket
import subprocess
import sys

from agents import HELPER, TOP, Agent
from waiting import eventually

UNIT = TOP / "systemd/cronwright.service.in"
RESTRICTED = TOP / "tests/main-job/restricted.py"
WATCHDOG_SECONDS = 2
WITHOUT_LEAK_CHECK = "detect_leaks=0:abort_on_error=0"  # it traces threads, which the unit forbids
FIRST_FREE = 10  # descriptors from here on are out of the way of those that are handed over


def settings_of_unit():
    """Key → its values, one for each line."""
    found = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


class Notifications:
    """The socket where a service tells how it is."""

    def __init__(self, directory):
        self.path = str(directory / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.told = []

    def variables(self):
        return {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": str(WATCHDOG_SECONDS * 1000000)}

    def all(self):
        try:
            while True:
                self.told += self.socket.recv(4096).decode().splitlines()
        except BlockingIOError:
            return self.told

    def count(self, line):
        return self.all().count(line)

    def await_line(self, line, seconds=60):
        eventually(lambda: line in self.all(), f"{line} is told", seconds)

    def close(self):
        self.socket.close()


class ActivatedAgent(Agent):
    """Its listening sockets are handed over, and stay open when it ends."""

    def __init__(self, place, directory, **changes):
        super().__init__(place, directory, **changes)
        self.sockets = {name: socket.create_server(("127.0.0.1", 0), backlog=4096) for name in ("admin", "webhooks")}
        self.descriptors = tuple(fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE) for each in self.sockets.values())
        self.variables = {"LISTEN_FDS": str(len(self.sockets)), "LISTEN_FDNAMES": ":".join(self.sockets)}

    def program(self):
        moves = " ".join(f"{3 + at}<&{kept} {kept}<&-" for at, kept in enumerate(self.descriptors))
        return ["/bin/bash", "-c", f'exec {moves}; LISTEN_PID=$$ exec "$@"', "bash", *super().program()]

    def finish(self):
        super().finish()
        for each in self.sockets.values():
            each.close()
        for each in self.descriptors:
            os.close(each)


class RestrictedAgent(Agent):
    """Under what the unit allows: system calls, socket families, capabilities, writable directories."""

    def __init__(self, place, directory, **changes):
        helper = directory / "cronwright-git"
        helper.write_text(f'#!/bin/sh\nASAN_OPTIONS={WITHOUT_LEAK_CHECK} exec {HELPER}\n')
        helper.chmod(0o755)
        super().__init__(place, directory, **{**changes, "git": {"helper": str(helper)}})
        self.variables = {"ASAN_OPTIONS": WITHOUT_LEAK_CHECK}

    def program(self):
        return [sys.executable, "-B", str(RESTRICTED), str(self.directory / "state"), *super().program()]


def calls_of(group):
    """System calls of a set, "@system-service", with those of the sets in it."""
    listed = subprocess.run(["systemd-analyze", "syscall-filter", group], check=True, capture_output=True, text=True,
                            env={**os.environ, "SYSTEMD_COLORS": "0"}).stdout
    found = set()
    for line in listed.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            found |= calls_of(word)
        elif re.fullmatch(r"\w+", word):
            found.add(word)
    return found


def allowed_calls():
    """Those that the unit's SystemCallFilter= lines leave, read in order as systemd does."""
    allowed = calls_of("@default")
    for line in settings_of_unit()["SystemCallFilter"]:
        names = set()
        for word in line.removeprefix("~").split():
            names |= calls_of(word) if word.startswith("@") else {word}
        allowed = allowed - names if line.startswith("~") else allowed | names
    return allowed
