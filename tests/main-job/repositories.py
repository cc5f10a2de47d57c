"""Git repositories on the test cluster's Git server."""

import os
import pathlib
import subprocess

ENVIRONMENT = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
               "GIT_TERMINAL_PROMPT": "0",
               "GIT_AUTHOR_NAME": "Ana", "GIT_AUTHOR_EMAIL": "ana@example.com",
               "GIT_COMMITTER_NAME": "Ana", "GIT_COMMITTER_EMAIL": "ana@example.com"}


def git(directory, *words):
    done = subprocess.run(["git", *words], cwd=directory, env=ENVIRONMENT, text=True, capture_output=True)
    assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
    return done.stdout.strip()


class Repository:
    """A bare repository that is served, and a work tree beside it. `name` is its path there."""

    def __init__(self, name, directory):
        self.bare = pathlib.Path(os.environ["GIT_ROOT"]) / f"{name}.git"
        self.url = f"{os.environ['GIT_URL']}/{name}.git"
        self.work = directory / "work" / name
        self.pushed_to = None  # where pushes go when that is not the URL
        self.bare.mkdir(parents=True)
        self.work.mkdir(parents=True)
        git(self.bare, "init", "-q", "--bare", "-b", "main")
        git(self.bare, "config", "http.receivepack", "true")
        git(self.work, "init", "-q", "-b", "main")

    def write(self, files):
        """Path → text, or bytes. The mode of what exists is kept."""
        for path, content in files.items():
            target = self.work / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, files=None, message="Change the report"):
        self.write(files or {})
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "--allow-empty", "-m", message)
        return git(self.work, "rev-parse", "HEAD")

    def push(self, files=None, message="Change the report", branch="main"):
        """Commits and pushes; gives the commit."""
        commit = self.commit(files, message)
        remote = self.pushed_to or (str(self.bare) if "/private/" in self.url else self.url)
        git(self.work, "push", "-q", "-f", remote, f"HEAD:refs/heads/{branch}")
        return commit

    def commit_of_head(self):
        return git(self.work, "rev-parse", "HEAD")
