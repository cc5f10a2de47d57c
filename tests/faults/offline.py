"""An agent without a cluster: it takes deliveries, and everything it keeps is on disk. What is asked of its state
directory needs no more."""

import json
import pathlib
import re
import socket
import sqlite3
import subprocess
import threading
import types

import pytest

import forges
from agents import FORGE_SECRETS, HELPER, PROGRAM, SANITIZERS, TOP, Agent

STORE = TOP / "agent/store"
# Files of the versions 1, 2, …
SCHEMAS = re.search(r"^set\(schemas (.*)\)$", (TOP / "agent/CMakeLists.txt").read_text(), re.MULTILINE)[1].split()
REPOSITORY = "https://git.example/acme/report.git"


def kubeconfig(path, server):
    entry = lambda kind, content: [{"name": "test", kind: content}]
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "test",
                                "clusters": entry("cluster", {"server": server}),
                                "users": entry("user", {"token": "of-nobody"}),
                                "contexts": entry("context", {"cluster": "test", "user": "test"})}))
    return path


class OfflineAgent(Agent):
    """`server`: of Kubernetes; without it there is nothing where it should be."""

    def __init__(self, directory, server="http://127.0.0.1:9", **changes):
        directory.mkdir(exist_ok=True)
        self.server = server
        super().__init__(types.SimpleNamespace(namespace="reports"), directory, **changes)

    def default_config(self):
        file = self.secret_file
        return {"stateDirectory": str(self.state),
                "webhooks": {"listen": "127.0.0.1:0", "github": {"secretFiles": [str(file("github"))]}},
                "admin": {"listen": "127.0.0.1:0",
                          "tokens": [{"name": "admin", "tokenFile": str(file("admin")), "role": "admin",
                                      "namespaces": ["*"]}]},
                "metrics": {"listen": "127.0.0.1:0"},
                "kubernetes": {"kubeconfig": str(kubeconfig(self.directory / "kubeconfig", self.server))},
                "git": {"helper": HELPER}}

    def start(self, until_ready=False):
        return super().start(until_ready)

    @property
    def state(self):
        return self.directory / "state"

    @property
    def database(self):
        return self.state / "cronwright.db"

    def settings(self):
        path = self.directory / "cronwright.yaml"
        path.write_text(json.dumps(self.config, indent=1))
        return path

    def push(self, number):
        """A signed delivery; gives its id when it was acknowledged."""
        delivery = forges.github(forges.github_push(REPOSITORY, f"{number:040x}"), FORGE_SECRETS["github"])
        self.accept(delivery)
        return delivery.id

    def run(self, *words, check=None):
        """A command that works on the state directory."""
        done = subprocess.run([*self.program(), *words, "--config", str(self.settings())], text=True,
                              capture_output=True, env={**SANITIZERS, "LC_ALL": "C.UTF-8"})
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        assert check is None or done.returncode == check, (done.returncode, done.stdout, done.stderr)
        return done

    def repair(self, check=0):
        done = self.run("doctor", "--repair", "-o", "json", check=check)
        return json.loads(done.stdout)

    def rows(self, sql):
        return rows(self.database, sql)


@pytest.fixture
def agent(tmp_path):
    agent = OfflineAgent(tmp_path / "agent")
    yield agent
    agent.finish()


def rows(database, sql, *values):
    with sqlite3.connect(database) as connection:
        found = connection.execute(sql, values).fetchall()
    connection.close()
    return found


def version_of(database):
    return rows(database, "PRAGMA user_version")[0][0]


def is_whole(database):
    return rows(database, "PRAGMA integrity_check") == [("ok",)] and not rows(database, "PRAGMA foreign_key_check")


def make_database(path, version, deliveries=20, builds=10, patches=1):
    """As that version of the schema was, with rows that every version has."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    for name in SCHEMAS[:version]:
        connection.executescript((STORE / f"{name}.sql").read_text())
    connection.executemany(
        "INSERT INTO deliveries (forge, id, received, event, repository, ref, branch, object, pusher, body_sha256, "
        "pending, failed, reason, detail, build, finished, repeated) VALUES ('github', ?, ?, 'push', "
        "'git.example/acme/report', 'refs/heads/main', 'main', ?, 'ana', x'00', ?, 0, ?, '', 0, 0, 0)",
        ((f"id-{i}", 1_700_000_000_000 + i, f"{i:040x}", i % 2, "accepted" if i % 2 else "deployed")
         for i in range(deliveries)))
    connection.execute("INSERT INTO branches (repository, branch, head, seq, checked) VALUES "
                       "('git.example/acme/report', 'main', 'aa', 1, 1)" if version < 5 else
                       "INSERT INTO branches (repository, branch, credential, head, seq, checked) VALUES "
                       "('git.example/acme/report', 'main', '', 'aa', 1, 1)")
    connection.executemany(
        "INSERT INTO builds (repository, branch, object, recipe, attempt, job, image, digest, state, reason, detail, "
        "subject, author, created, started, finished, fetch_ms, context_ms, kaniko_ms, patch_ms, patched) VALUES "
        "('git.example/acme/report', 'main', ?, 'recipe', 1, 'job', 'r/i:t', '', ?, 'deployed', '', 'subject', 'ana', "
        "1, 1, 1, 1, 1, 1, 1, 1)", ((f"{i:040x}", "done" if i % 5 else "running") for i in range(builds)))
    connection.executemany(
        "INSERT INTO patches (build, namespace, name, old_image, new_image, at) VALUES (?, 'reports', 'nightly', ?, ?, 1)",
        ((build + 1, f"old-{build}-{i}", f"new-{build}-{i}") for build in range(builds) for i in range(patches)))
    connection.execute(f"PRAGMA user_version = {version}")
    connection.commit()
    connection.close()
    return path


class Crowd:
    """Threads that do something until the block ends; `over` tells them. None of them may fail."""

    def __init__(self, *works):
        self.over, self.failed = threading.Event(), []
        self.threads = [threading.Thread(target=self.go_on, args=(work,)) for work in works]

    def go_on(self, work):
        try:
            while not self.over.is_set():
                work()
        except BaseException as error:
            self.failed.append(error)
            raise

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()
        assert not self.failed, self.failed


class Silent:
    """A server that takes every connection and never says a word."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def close(self):
        self.listener.close()


NEWEST = len(SCHEMAS)
assert pathlib.Path(PROGRAM).exists(), f"build the program first: {PROGRAM}"
