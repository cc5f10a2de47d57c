"""Two agents with state directories of their own that serve the same namespaces, for tests of what they must share."""

import signal

from agents import FORGE_SECRETS, Agent
from forges import github, github_push
from ledger import jobs_made_once, patched_once
from repositories import git
from waiting import eventually

CRASH_VARIABLE = "CRONWRIGHT_CRASH_AT"


class Twin(Agent):
    """One of the two. It can be stopped in the middle of whatever it does, and go on as if no time had passed."""

    def __init__(self, place, name, **changes):
        directory = place.directory / name
        directory.mkdir()
        super().__init__(place, directory, **changes)
        self.name, self.frozen = name, False

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)
        self.frozen = False

    def finish(self):
        if self.process and self.frozen:
            self.thaw()
        super().finish()

    def kill(self):
        self.frozen = False
        super().kill()

    def dies_at(self, point):
        """The next start has it killed there."""
        self.variables = {CRASH_VARIABLE: point}

    def await_death(self, seconds=60):
        eventually(lambda: self.process.poll() is not None, f"{self.name} has died", seconds)
        assert self.process.returncode == -signal.SIGKILL, self.log_text()[-2000:]
        self.process, self.variables = None, {}

    def told_of(self, repository, commit, branch="main"):
        payload = github_push(repository.url, commit, ref=f"refs/heads/{branch}")
        return self.accept(github(payload, FORGE_SECRETS["github"]))

    def build_of(self, repository, commit):
        return next((build for build in self.builds_of(repository) if build["commit"] == commit), None)


def quick_push(repository, text, branch="main"):
    """A push straight into the bare repository: no Git server in between."""
    commit = repository.commit({"Dockerfile": "FROM scratch\n", "text": text})
    git(repository.work, "push", "-q", "-f", str(repository.bare), f"HEAD:refs/heads/{branch}")
    return commit


def force_back(repository, commit):
    git(repository.work, "reset", "-q", "--hard", commit)
    git(repository.work, "push", "-q", "-f", str(repository.bare), "HEAD:refs/heads/main")


def nothing_twice(ledger, again=()):
    """(Jobs, patches)"""
    return jobs_made_once(ledger), patched_once(ledger, again)


def same_truth(agents, repository, service, commit):
    """Both say the same of what is deployed, whichever of them did it."""
    def told():
        found = [agent.build_of(repository, commit) for agent in agents]
        return found if all(build and build["state"] == "done" for build in found) else None
    builds = eventually(told, f"both say that {commit} is deployed", 60)
    for agent, build in zip(agents, builds):
        assert build["reason"] == "deployed" and service.image() == f"{build['image']}@{build['digest']}", build
        live = service.status(agent)["live"]
        assert (live["commit"], live["build"]) == (commit, build["build"]), (live, build)
    assert len({build["job"] for build in builds}) == 1, builds
    return builds


