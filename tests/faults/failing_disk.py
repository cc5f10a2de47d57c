"""A disk that fails when the test says so: the library that is made of disk/disk.c, in an agent's LD_PRELOAD."""

import mmap
import os
import struct

from agents import SANITIZERS, TOP
from waiting import eventually

LIBRARY = os.environ.get("CRONWRIGHT_FAULTS_DISK", str(TOP / "out/test/tests/faults-disk.so"))
FAULTS = ("none", "full", "sync", "short", "torn", "read-only", "cut")  # in the order of disk.c's


class FailingDisk:
    """Of one agent's state directory; `variables` are the agent's."""

    def __init__(self, directory, state):
        self.path = directory / "disk"
        self.path.write_bytes(bytes(8))
        with self.path.open("r+b") as file:
            self.control = mmap.mmap(file.fileno(), 8)
        # The library comes before the sanitizer's own, which finds that odd.
        options = SANITIZERS["ASAN_OPTIONS"] + ":verify_asan_link_order=0"
        self.variables = {"LD_PRELOAD": LIBRARY, "DISK_CONTROL": str(self.path),
                          "DISK_DIRECTORY": os.path.realpath(state), "ASAN_OPTIONS": options}
        assert os.access(LIBRARY, os.R_OK), f"build it first: {LIBRARY}"

    def has(self, fault):
        struct.pack_into("II", self.control, 0, FAULTS.index(fault), 0)

    @property
    def times(self):
        """How often something has failed since it was told to."""
        return struct.unpack_from("I", self.control, 4)[0]

    def await_fault(self, what):
        eventually(lambda: self.times, what)
