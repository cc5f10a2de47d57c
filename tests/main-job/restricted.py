"""Starts a program under the restrictions of the agent's unit: restricted.py WRITABLE-DIRECTORY PROGRAM ARGUMENT…

What systemd would answer with an error ends the program here, so that it is seen."""

import ctypes
import errno
import os
import pathlib
import socket
import subprocess
import sys

import seccomp
from seccomp import ALLOW, EQ, ERRNO, KILL_PROCESS, MASKED_EQ, Arg

from units import allowed_calls, settings_of_unit

CLONE_NEWNS, PR_CAPBSET_DROP = 0x00020000, 24
NAMESPACES = 0x7E020080  # the CLONE_NEW… flags
PROT_WRITE, PROT_EXEC = 2, 4
SET_IDS = 0o6000
LIBC = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(*words):
    subprocess.run(["mount", *words], check=True)


def shut_in(writable):
    """ProtectSystem=strict, ProtectProc=invisible, ProcSubset=pid, and no capabilities."""
    check(LIBC.unshare(CLONE_NEWNS))
    mount("--make-rprivate", "/")
    mount("--bind", writable, writable)
    for path in {"/", str(mount_point(pathlib.Path(writable).parent))}:
        mount("-o", "remount,bind,ro", path)
    mount("-t", "proc", "-o", "hidepid=invisible,subset=pid", "proc", "/proc")
    last = int(pathlib.Path("/proc/self/status").read_text().split("CapBnd:")[1].split()[0], 16).bit_length()
    for capability in range(last):
        check(LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0))


def mount_point(path):
    while not os.path.ismount(path):
        path = path.parent
    return path


# Calls that are good for some arguments only: RestrictAddressFamilies=, RestrictNamespaces=,
# MemoryDenyWriteExecute=, RestrictSUIDSGID=.
def conditions():
    families = [getattr(socket, name) for name in settings_of_unit()["RestrictAddressFamilies"][0].split()]
    modes = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "mkdir": 1, "mkdirat": 2, "open": 2, "openat": 3, "creat": 1}
    return {"socket": [[Arg(0, EQ, family)] for family in families],
            "clone": [[Arg(0, MASKED_EQ, NAMESPACES, 0)]],
            "mmap": [[Arg(2, MASKED_EQ, PROT_EXEC, 0)], [Arg(2, MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC)]],
            "mprotect": [[Arg(2, MASKED_EQ, PROT_EXEC, 0)]],
            **{call: [[Arg(at, MASKED_EQ, SET_IDS, 0)]] for call, at in modes.items()}}


def restrict_calls():
    rules = seccomp.SyscallFilter(KILL_PROCESS)
    limited = conditions()
    for call in sorted(allowed_calls() - {"clone3", "pkey_mprotect", "unshare", "setns"}):
        try:
            seccomp.resolve_syscall(seccomp.Arch(), call)
            for rule in limited.get(call, [[]]):
                rules.add_rule(ALLOW, call, *rule)
        except (ValueError, RuntimeError, OSError):
            continue  # of another architecture
    if os.geteuid() == 0:
        rules.add_rule(ERRNO(0), "fchown")  # SQLite asks for it when it is root, which the unit's user is not
    rules.add_rule(ERRNO(errno.ENOSYS), "clone3")  # as systemd does: its flags cannot be looked at
    rules.load()


def main(writable, *program):
    pathlib.Path(writable).mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        shut_in(writable)
    restrict_calls()
    os.execv(program[0], program)


main(*sys.argv[1:])
