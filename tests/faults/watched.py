"""Other builds of the programs than the tests' own, and the tools that watch what they do."""

import subprocess

from agents import TOP, Agent

SUPPRESSIONS = TOP / "tests/faults/valgrind.supp"


def build(name, *options, targets=("cronwright", "cronwright-git")):
    """The directory of a build of that name, brought up to date."""
    directory = TOP / "out" / name
    for command in (["cmake", "-S", str(TOP), "-B", str(directory), "-G", "Ninja", *options],
                    ["cmake", "--build", str(directory), *(["--target", *targets] if targets else [])]):
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout[-4000:]
    return directory


class Other(Agent):
    """An agent of another build."""

    def __init__(self, build, place, directory, **changes):
        self.build = build
        super().__init__(place, directory, **changes)
        self.config["git"]["helper"] = str(self.helper())

    def agent_program(self):
        return str(self.build / "agent/cronwright")

    def helper(self):
        return self.build / "build/cronwright-git"

    def program(self):
        return [self.agent_program()]


class Watched(Other):
    """Every process of it writes a report of its own into `reports`."""

    def __init__(self, build, place, directory, **changes):
        self.reports = directory / "reports"
        self.reports.mkdir()
        super().__init__(build, place, directory, **changes)

    def script(self, name, line):
        path = self.directory / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)
        return path

    def texts(self):
        return [path.read_text(errors="replace") for path in self.reports.iterdir()]


class UnderThreadSanitizer(Watched):
    def __init__(self, build, place, directory, **changes):
        super().__init__(build, place, directory, **changes)
        self.variables = {"TSAN_OPTIONS": self.options()}

    def options(self):
        return f"log_path={self.reports}/race exitcode=66"

    def helper(self):
        return self.script("cronwright-git", f"TSAN_OPTIONS='{self.options()}' exec {super().helper()}")

    def check(self):
        assert not self.texts(), "\n".join(self.texts())[:8000]


class UnderValgrind(Watched):
    """Its children and the command line's commands too."""

    def valgrind(self):
        return ["/usr/bin/valgrind", "--leak-check=full", "--errors-for-leak-kinds=definite", "--error-exitcode=66", "--quiet",
                f"--suppressions={SUPPRESSIONS}", f"--log-file={self.reports}/%p"]

    def program(self):
        return [*self.valgrind(), self.agent_program()]

    def helper(self):
        return self.script("cronwright-git", f"exec {' '.join(self.valgrind())} {super().helper()}")

    def command_line(self, *words):
        """Of a command that ends well."""
        variables = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "NO_COLOR": "1",
                     "CRONWRIGHT_URL": f"http://{self.admin}", "CRONWRIGHT_TOKEN_FILE": str(self.secret_file("admin"))}
        done = subprocess.run([*self.valgrind(), self.agent_program(), *words], env=variables, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def check(self):
        """Quiet, it writes errors alone, and that it does not know pidfd_open()."""
        found = [text for text in self.texts() if "==" in text]
        assert not found, "\n".join(found)[:8000]
