"""cronwright doctor: each thing that a user may have wrong is broken for real, and has its line; a good installation has
none."""

import base64
import contextlib
import copy
import dataclasses
import email.utils
import http.server
import json
import os
import re
import signal
import subprocess
import threading
import time
import types

import pytest
import yaml

import forges
import servers
from agents import AS_ROOT, FORGE_SECRETS, Agent
from forwarders import Forwarder
from places import RBAC, report
from waiting import eventually

MIB = 1 << 20
PASSWORD, WRONG = "pass of ana: 55c1", "not-what-they-know-1f"
LOOK_FOR = {"apiGroups": [""], "resources": ["secrets", "serviceaccounts", "namespaces"], "verbs": ["get"]}


class Rights:
    """An account of the agent's own, whose rights can be taken away one by one."""

    def __init__(self, account, services, builds):
        self.cluster, self.namespaces = account.cluster, {"services": services, "builds": builds}
        self.account, self.name = copy.copy(account), "doctor"
        roles = [role for role in yaml.safe_load_all(RBAC.read_text()) if role["kind"] in ("ClusterRole", "Role")]
        self.rules = {"services": roles[0]["rules"] + [LOOK_FOR], "builds": roles[1]["rules"] + [LOOK_FOR]}
        self.cluster.kubectl("-n", services, "create", "serviceaccount", self.name)
        self.give()
        token = self.cluster.kubectl("-n", services, "create", "token", self.name, "--duration=6h").strip()
        self.account.user = {"token": token}

    def give(self, without=(None, None, None)):
        """All of them, but for a (place, resource, verb)."""
        for place, namespace in self.namespaces.items():
            rules = []
            for rule in self.rules[place]:
                for resource in rule["resources"]:
                    verbs = [verb for verb in rule["verbs"] if (place, resource, verb) != without]
                    rules += [{**rule, "resources": [resource], "verbs": verbs}] if verbs else []
            about = {"name": self.name, "namespace": namespace}
            role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": about, "rules": rules}
            binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": about,
                       "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": self.name},
                       "subjects": [{"kind": "ServiceAccount", "name": self.name,
                                     "namespace": self.namespaces["services"]}]}
            self.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(
                {"apiVersion": "v1", "kind": "List", "items": [role, binding]}))

    def take(self):
        """All of them, until they are given again."""
        for namespace in self.namespaces.values():
            self.cluster.kubectl("-n", namespace, "delete", "rolebinding", self.name)


class SmallDisk:
    """A file system of its own for the state directory, where the tests may make one."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        subprocess.run([*AS_ROOT, "mount", "-t", "tmpfs", "-o", f"size=256m,mode=0700,uid={os.getuid()}", "tmpfs",
                        str(directory)], check=True, capture_output=True)

    def remove(self):
        subprocess.run([*AS_ROOT, "umount", "-l", str(self.directory)], check=True)

    @contextlib.contextmanager
    def full(self):
        about = os.statvfs(self.directory)
        ballast = self.directory / "ballast"
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, about.f_bavail * about.f_frsize - 20 * MIB)
        try:
            yield
        finally:
            ballast.unlink()


class World:
    """A whole installation: Git and a registry with TLS and logins, Secrets, rights, an agent with a context
    listener behind a forwarder."""

    def __init__(self, place, builds, directory):
        self.place, self.cluster, self.directory = place, place.cluster, directory
        self.host = self.cluster.host_address
        self.rights = Rights(place.account, place.namespace, builds.namespace)
        place.builds_namespace = self.builds = builds.namespace
        place.kubeconfig = self.rights.account.write(directory / "kubeconfig", self.cluster.server)
        place.kubeconfig.chmod(0o600)
        authority = servers.Authority(directory, "clinic")
        self.git = servers.GitServer(directory / "git", self.host, authority, {"ana": PASSWORD}).start()
        self.registry = servers.TlsRegistry(directory / "registry", self.host, authority, "builder", PASSWORD).start()
        self.disk = SmallDisk(directory / "small")
        self.password = self.secret("git-password", PASSWORD)
        self.auth = self.secret("auth.json", self.login(PASSWORD))
        for namespace, name in ((self.builds, "push"), (place.namespace, "pull")):
            self.make_secret(namespace, name)
        self.cluster.kubectl("-n", self.builds, "create", "serviceaccount", "builder")
        listen = f"{self.host}:{servers.free_port(self.host)}"
        self.forwarder = Forwarder(listen, self.host)
        self.agent = Agent(
            place, directory, stateDirectory=str(self.disk.directory / "state"),
            git={"caFile": str(authority.certificate), "credentials": [
                {"url": f"https://{self.git.address}", "username": "ana", "passwordFile": str(self.password)}]},
            registries=[{"host": self.cluster.registry, "plainHttp": True},
                        {"host": self.registry.address, "caFile": str(authority.certificate),
                         "authFile": str(self.auth)}],
            builds={"pushSecret": "push", "serviceAccount": "builder"},
            context={"listen": listen, "address": f"https://{self.forwarder.address}", "image": "registry.example/x"},
            allow=[{"namespaces": [place.namespace], "repositories": ["*"],
                    "images": [place.images, self.registry.address]}])
        for name in FORGE_SECRETS | {"admin": "", "runner": "", "viewer": "", "stranger": ""}:
            self.agent.secret_file(name).chmod(0o600)
        self.agent.start()
        self.repository = place.repository("good", report(self.cluster, "good"))
        self.repository.url = self.git.url_of(self.repository)
        self.service = self.built("good", self.repository, f"{self.registry.address}/acme/good",
                                  template={"imagePullSecrets": [{"name": "pull"}]})
        self.agent.accept(forges.github(forges.github_push(self.repository.url, self.repository.commit_of_head(),
                                                           "refs/tags/v1"), FORGE_SECRETS["github"]), "ignored")

    def secret(self, name, text):
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def login(self, password):
        login = base64.b64encode(f"builder:{password}".encode()).decode()
        return json.dumps({"auths": {self.registry.address: {"auth": login}}})

    def make_secret(self, namespace, name):
        self.cluster.create("secrets", namespace, {
            "metadata": {"name": name}, "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": self.login(PASSWORD)}})

    def built(self, word, repository, destination, **more):
        """A service that has the image of the repository's head, as far as its annotations say."""
        image = f"{destination}:made-by-hand"
        notes = {"commit": repository.commit_of_head(), "patched-image": image, "state": "started"}
        return self.place.service(word, repository=repository, destination=destination, image=image,
                                  annotations=notes, **more).seen_by(self.agent)

    def doctor(self, status=0, *words, **more):
        out, _ = self.agent.cli("doctor", "-o", "json", *words, status=status, **more)
        return json.loads(out)

    def read_settings(self):
        before = self.agent.log.stat().st_size
        self.agent.process.send_signal(signal.SIGHUP)
        eventually(lambda: "settings reloaded" in self.agent.log_text(before), "the settings are read")

    def finish(self):
        self.agent.finish()
        self.forwarder.close()
        self.git.stop()
        self.registry.stop()
        self.disk.remove()


@pytest.fixture(scope="module")
def world(new_place, tmp_path_factory):
    made = World(new_place("doctor"), new_place("doctor-builds"), tmp_path_factory.mktemp("doctor"))
    yield made
    made.finish()


def checks(answer, group, state):
    [found] = [each["checks"] for each in answer["groups"] if each["group"] == group]
    return [check for check in found if check["state"] == state]


def bad(answer):
    return [check for group in answer["groups"] for check in group["checks"] if check["state"] in ("problem", "warning")]


def test_good_installation(world):
    answer = world.doctor()
    assert bad(answer) == []
    assert (answer["problems"], answer["warnings"]) == (0, 0)
    assert [group["group"] for group in answer["groups"]] == [
        "agent", "settings", "kubernetes", "webhooks", "git", "registry", "builds", "store", "sweep", "clock",
        "services"]
    assert answer["seconds"] < 30
    skipped = [check for group in answer["groups"] for check in group["checks"] if check["state"] == "skipped"]
    assert skipped == []
    out, err = world.agent.cli("doctor")
    assert out.endswith("✔ all is well\n") and "✗" not in out and "⚠" not in out and not err, out
    for said in ("all rights", "signed deliveries arrive (github, gitlab-signing, gitea, bitbucket)",
                 world.git.address, world.registry.address, "push secret push", "service account", "context listener",
                 "the API server"):
        assert said in out, out


def test_its_own_deliveries_are_marked_and_do_not_pile_up(world):
    """They push nobody's out of what is remembered, however often somebody looks."""
    for _ in range(2):
        world.doctor()
    own = [row for row in world.agent.deliveries()["deliveries"] if row["delivery"].startswith("cronwright-doctor-")]
    assert sorted(row["forge"] for row in own) == ["bitbucket", "gitea", "github", "gitlab"]
    assert {(row["reason"], row["detail"]) for row in own} == {
        ("ignored", "From cronwright doctor, to see whether deliveries arrive.")}


# --- what can be wrong ---

@dataclasses.dataclass(frozen=True)
class Ill:
    name: str
    cause: object  # gives a context in which the world has it
    group: str
    says: str  # regular expressions
    fix: str
    state: str = "problem"


ILLS = []


def ill(group, says, fix, state="problem"):
    """What follows the `yield` of a cause mends it."""
    def add(cause):
        @contextlib.contextmanager
        def context(world):
            steps = cause(world)
            next(steps)
            try:
                yield
            finally:
                next(steps, None)
        ILLS.append(Ill(cause.__name__.replace("_", " "), context, group, says, fix, state))
    return add


@ill("kubernetes", 'may not create jobs in "mainjob-doctor-', r"kubectl apply -f deploy/manifests/rbac\.yaml, and bind")
def right_of_services_taken_away(world):
    world.rights.give(without=("services", "jobs", "create"))
    yield
    world.rights.give()


@ill("kubernetes", 'may not create secrets in "mainjob-doctor-builds-', r"^kubectl apply -f \S+rbac\.yaml$")
def right_of_builds_taken_away(world):
    world.rights.give(without=("builds", "secrets", "create"))
    yield
    world.rights.give()


@ill("kubernetes", "2 more rights are missing", r"^kubectl apply -f \S+rbac\.yaml$")
def all_rights_taken_away(world):
    world.rights.take()
    yield
    world.rights.give()


@ill("registry", "the login is refused", "authFile")
def wrong_login_at_the_registry(world):
    world.auth.write_text(world.login(WRONG))
    world.read_settings()
    yield
    world.auth.write_text(world.login(PASSWORD))
    world.read_settings()


@ill("registry", "[Cc]onnect|refused", "is it up")
def registry_stopped(world):
    world.registry.stop()
    yield
    world.registry.start()


@ill("git", "refuses the login", r"git\.credentials")
def wrong_password_at_the_git_server(world):
    world.password.write_text(WRONG)
    world.read_settings()
    yield
    world.password.write_text(PASSWORD)
    world.read_settings()


@ill("git", r"asked for mainjob-doctor-\w+/good-\d", "can this machine reach it")
def git_server_stopped(world):
    world.git.stop()
    yield
    world.git.start()


@ill("builds", 'there is no push secret "push"', "create secret docker-registry push")
def push_secret_missing(world):
    world.cluster.delete("secrets", world.builds, "push")
    yield
    world.make_secret(world.builds, "push")


@ill("builds", r'good-\d: there is no pull secret "pull"', "create secret docker-registry pull")
def pull_secret_missing(world):
    world.cluster.delete("secrets", world.place.namespace, "pull")
    yield
    world.make_secret(world.place.namespace, "pull")


@ill("builds", 'there is no service account "builder"', "create serviceaccount builder")
def account_of_builds_missing(world):
    world.cluster.kubectl("-n", world.builds, "delete", "serviceaccount", "builder")
    yield
    world.cluster.kubectl("-n", world.builds, "create", "serviceaccount", "builder")


@ill("builds", "Kaniko needs root", "kubectl label --overwrite namespace")
def namespace_of_builds_restricted(world):
    label = "pod-security.kubernetes.io/enforce"
    world.cluster.kubectl("label", "namespace", world.builds, f"{label}=restricted")
    yield
    world.cluster.kubectl("label", "namespace", world.builds, f"{label}-")


@ill("builds", "the context listener is not reached", r"context\.address")
def context_listener_not_reached(world):
    world.forwarder.close()
    yield
    world.forwarder.open()


@ill("builds", "there is no image", r"builds\.kanikoImage")
def no_such_kaniko(world):
    world.agent.config["builds"]["kanikoImage"] += "-not-pushed"
    write(world)
    yield
    world.agent.config["builds"]["kanikoImage"] = world.cluster.kaniko_image
    write(world)


@ill("store", "MiB are left on the disk", "make room")
def disk_nearly_full(world):
    with world.disk.full():
        yield


@ill("store", "every user of this machine can look into", "chmod o= ", "warning")
def state_directory_open_to_all(world):
    directory = world.disk.directory / "state"
    directory.chmod(0o755)
    yield
    directory.chmod(0o700)


@ill("clock", r"the clock here is 1\d\d s ahead of that of", "timedatectl")
def clock_of_a_git_host_is_wrong(world):
    class Late(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.send_error(404)

        do_HEAD = do_GET

        def date_time_string(self, timestamp=None):
            return email.utils.formatdate(time.time() - 130, usegmt=True)

    server = http.server.ThreadingHTTPServer((world.host, 0), Late)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    repository = types.SimpleNamespace(url=f"http://{world.host}:{server.server_port}/late.git")
    service = world.place.service("late", repository=repository).seen_by(world.agent)
    yield
    service.delete()
    server.shutdown()
    server.server_close()


@ill("services", "not allowed|no entry", "cronwright show")
def service_not_allowed(world):
    service = world.place.service("elsewhere", repository=world.repository,
                                  destination="registry.example/not/allowed").seen_by(world.agent)
    yield
    service.delete()


@ill("services", "pinned: pushes do not change its image", "cronwright resume", "warning")
def service_pinned(world):
    service = world.built("pinned", world.repository, f"{world.registry.address}/acme/pinned")
    service.set_image(world.cluster.busybox_image)
    eventually(lambda: service.status(world.agent)["pinned"], "it is known as pinned")
    yield
    service.delete()


@ill("services", "never built", "cronwright build", "warning")
def service_never_built(world):
    service = world.place.service("never", repository=world.repository).seen_by(world.agent)
    yield
    service.delete()


@ill("services", "no time zone", "timeZone", "warning")
def no_time_zone(world):
    service = world.place.service("no-zone", spec={"timeZone": None}).seen_by(world.agent)
    yield
    service.delete()


@ill("settings", r'cronwright\.yaml:\d+:\d+: unknown key "sweeep"', "cronwright agent --check")
def settings_broken_since(world):
    world.agent.config["sweeep"] = {}
    (world.directory / "cronwright.yaml").write_text(json.dumps(world.agent.config, indent=1))
    yield
    del world.agent.config["sweeep"]
    write(world)


@ill("settings", "was changed since it was read", "systemctl reload cronwright", "warning")
def settings_not_reloaded(world):
    (world.directory / "cronwright.yaml").write_text(json.dumps(world.agent.config))
    yield
    world.read_settings()


@ill("settings", r"every user of this machine can read \S+github\.secret \(webhooks\.github\.secretFiles\)", "chmod o= ",
     "warning")
def secret_open_to_all(world):
    world.agent.secret_file("github").chmod(0o644)
    yield
    world.agent.secret_file("github").chmod(0o600)


@ill("settings", "allow is empty", "add an entry to allow", "warning")
def nothing_allowed(world):
    allow, world.agent.config["allow"] = world.agent.config["allow"], []
    write(world)
    yield
    world.agent.config["allow"] = allow
    write(world)


# The last: it is remembered for an hour.
@ill("webhooks", r"3 refused of github, the last 0 min ago: 401 .*\(from 127\.0\.0\.1\)", r"webhooks\.github\.secretFiles",
     "warning")
def wrong_secret_in_a_hook(world):
    for _ in range(3):
        push = forges.github_push(world.repository.url, "1" * 40)
        assert world.agent.deliver(forges.github(push, WRONG)).status == 401
    yield


def write(world):
    (world.directory / "cronwright.yaml").write_text(json.dumps(world.agent.config, indent=1))
    world.read_settings()


@pytest.mark.parametrize("ill", ILLS, ids=lambda ill: ill.name)
def test_ill(world, ill):
    before = len(bad(world.doctor()))
    with ill.cause(world):
        def seen():
            answer = world.agent.get("/v1/doctor")
            found = [check for check in checks(answer, ill.group, ill.state) if re.search(ill.says, check["text"])]
            return found and (answer, found[0])
        answer, check = eventually(seen, f"doctor says: {ill.says}")
        assert re.search(ill.fix, check["fix"]), check
        status = 1 if answer["problems"] else 0
        assert status == 1 or ill.state == "warning"
        mark = {"problem": "✗", "warning": "⚠"}[ill.state]
        out, _ = world.agent.cli("doctor", status=status)
        lines = out.splitlines()
        [at] = [number for number, line in enumerate(lines) if re.search(f"{mark} .*{ill.says}", line)]
        assert lines[at + 1].strip() == f"fix: {check['fix']}"
        assert WRONG not in out and PASSWORD not in out
    if ill is not ILLS[-1]:
        eventually(lambda: len(bad(world.agent.get("/v1/doctor"))) == before, "it is well again")


# --- the client's own side ---

def test_token_that_is_not_enough(world):
    for token, says in (("viewer", "token \"viewer\""), ("stranger", "token \"stranger\"")):
        [problem] = bad(world.doctor(1, token=token))
        assert says in problem["text"] and "admin.tokens" in problem["fix"], problem
    (world.directory / "guess.secret").write_text("a-token-nobody-has\n")
    [problem] = bad(world.doctor(1, token="guess"))
    assert "does not know the token" in problem["text"], problem


def test_agent_that_does_not_run(world, tmp_path):
    """What can be looked at without it is looked at: its settings."""
    nobody = f"http://127.0.0.1:{servers.free_port('127.0.0.1')}"
    [problem] = bad(world.doctor(1, url=nobody))
    assert f"no answer from the agent at {nobody}" in problem["text"], problem
    assert "systemctl status cronwright" in problem["fix"]
    good = world.directory / "cronwright.yaml"
    [problem] = bad(world.doctor(1, "--config", str(good), url=nobody))
    host, _, port = world.agent.admin.rpartition(":")
    assert f"its settings say that it listens at {host} port {port}" in problem["fix"], problem
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text('stateDirectory: /var/lib/cronwright\nsweeep: {}\nbuilds: {namespaces: a}\n')
    _, first, second, *_ = bad(world.doctor(1, "--config", str(wrong), url=nobody))
    assert first["text"] == f'{wrong}:2:1 unknown key "sweeep"; did you mean "sweep"?'
    assert second["text"].startswith(f'{wrong}:3:10 builds: unknown key "namespaces"')
    assert first["fix"].endswith(f"cronwright agent --check -c {wrong}")
