"""Runs the real program as a person (on a terminal) or a script (into files) would, and writes down
what a shell session would look like."""

import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import termios
import threading
import time

COLUMNS = 100


def on_terminal(raw):
    """What a terminal shows in the end: lines that were drawn over are gone. Colours stay, as \\e[…m."""
    lines = [""]
    for part in re.split(r"(\r\n|\r|\n|\x1b\[\?7[lh]|\x1b\[K)", raw):
        if part in ("\r\n", "\n"):
            lines.append("")
        elif part == "\x1b[K":
            lines[-1] = ""  # the program only erases from the line's start
        elif part != "\r" and not part.startswith("\x1b[?7"):
            lines[-1] += part
    return "\n".join(lines).replace("\x1b", "\\e")


def hear_interrupts():
    """What is started in the background of a script ignores them, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Result:
    def __init__(self, command, status, out, err=None):
        self.command, self.status, self.out, self.err = command, status, out, err

    def transcript(self):
        if self.err is None:
            tail = f"$ echo $?\n{self.status}\n" if self.status else ""
            return f"$ {self.command}\n{self.out}{tail}"
        text = f"$ {self.command} > out 2> err; echo $?\n{self.status}\n"
        for name, content in (("out", self.out), ("err", self.err)):
            if content:
                text += f"$ cat {name}\n{content}"
        return text


class Shell:
    def __init__(self, program, agent, clock, directory):
        self.program, self.agent, self.clock, self.directory = program, agent, clock, directory
        self.changes = []  # (regular expression, replacement) for what differs from run to run
        self.variables = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": clock.tz,
                          "CRONWRIGHT_URL": agent.url, "TERM": "xterm", "NO_COLOR": "1",
                          "ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1"}

    def start(self, command, **streams):
        """`command` may begin with variables, as in a shell."""
        words = shlex.split(command)
        variables = dict(self.variables)
        while "=" in words[0]:
            name, value = words.pop(0).split("=", 1)
            variables[name] = value
        assert words[0] == "cronwright"
        streams.setdefault("preexec_fn", hear_interrupts)
        self.process = subprocess.Popen([self.program, *words[1:]], cwd=self.directory, env=variables, **streams)
        return self.process

    def text(self, raw):
        text = raw.decode(errors="surrogateescape").replace(self.agent.url, "http://127.0.0.1:8081")
        text = re.sub(rf"\b{self.agent.port}\b", "8081", text)
        for pattern, replacement in self.changes:
            text = re.sub(pattern, replacement, text)
        return self.clock.pretend(text)

    def files(self, command, while_running=None):
        """With standard output and error in files."""
        process = self.start(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             start_new_session=True)
        if while_running:
            while_running(process)
        out, err = process.communicate(timeout=60)
        return Result(command, process.returncode, self.text(out), self.text(err))

    def terminal(self, command, on_output=None):
        """On a terminal. `on_output(text so far, write to the keyboard)` is called as text comes."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))

        def take_terminal():
            hear_interrupts()
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        process = self.start(command, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=take_terminal)
        os.close(theirs)
        raw = b""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 0.1)[0]:
                continue
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # the last to have it open has ended
                break
            raw += chunk
            if on_output:
                on_output(raw.decode(errors="replace"), lambda keys: os.write(ours, keys))
        else:
            process.kill()
            raise AssertionError(f"{command} did not end: {raw!r}")
        os.close(ours)
        self.raw = raw
        return Result(command, process.wait(10), on_terminal(self.text(raw)))


def interrupt(process):
    process.send_signal(signal.SIGINT)


def after(seconds, call):
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
