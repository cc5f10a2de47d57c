"""Faults of Git remotes, of the mirrors and the Git child on this side, and of registries. Each has a repository, an
image and a service of its own, so that all are tried at once by one agent: none may disturb another."""

import base64
import concurrent.futures
import contextlib
import copy
import dataclasses
import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import tarfile
import urllib.parse

import servers
from agents import HELPER, Agent, merged, push_of
from faults import Case, Fault
from proxy import Certificate, Proxy, answer, change, cut_body, hang, hang_in_body, hold, reset, trickle
from quick_builds import Outcome, digest_of
from repositories import git
from waiting import eventually

GIT_TIMEOUT = 8   # seconds
WITHIN = 240      # seconds, for each thing that is waited for: a machine may be slow with so many at once
AT_ONCE = 24      # rows
PAUSE = 0.5       # between two looks, since many look at once
NOISE = 400_000   # bytes of a repository that do not compress, so that a pack can break off in the middle
WHERE_IN_PACK = 200_000
NOBODYS = "1" * 40  # a commit that nobody has

# The Git child's requests pass it. A file of the repository's name says what it does in the child's place.
HELPER_SCRIPT = """#!/bin/sh
request=$(cat)
child() {{ printf '%s' "$request" | {helper}; }}
name=$(printf '%s' "$request" | sed -n 's/.*"url": *"[^"]*\\/\\([^"\\/]*\\)\\.git".*/\\1/p')
case $request in *'"commit"'*) asked=pack ;; *) asked=head ;; esac
[ -n "$name" ] && [ -e {scripts}/$name ] && . {scripts}/$name
child
"""


@dataclasses.dataclass(frozen=True)
class Remote(Fault):
    """As a Fault, where a fault of the stage `fetch` comes with a push of its own. A push that ends for another reason
    than `deployed` is found later and deployed all the same, unless `lost`; `commits` are deployed in all; `alone`: it
    disturbs the others, and comes after them."""
    lost: bool = False
    commits: int = 1
    alone: bool = False
    within: float = WITHIN


class Field:
    """One agent that reaches the Git server and some registries through proxies."""

    def __init__(self, place, quick, directory):
        self.place, self.cluster, self.quick, self.directory = place, place.cluster, quick, directory
        host, real = self.cluster.host_address, f"http://{self.cluster.registry}"
        self.proxy = self.git = Proxy(os.environ["GIT_URL"], host=host)
        self.registries = {name: Proxy(real, host=host) for name in ("shared", "emptied", "away")}
        self.empty = PlainRegistry(directory / "empty", host).start()
        self.read_only = PlainRegistry(directory / "read-only", host).start()
        authority = servers.Authority(directory, "house")
        certificate, key = authority.issue(host)
        both = directory / "git.pem"
        both.write_text(certificate.read_text() + key.read_text())
        self.tls = Proxy(os.environ["GIT_URL"], host=host,
                         certificate=Certificate(authority.certificate.read_text(), str(both)))
        self.lost = Proxy(os.environ["GIT_URL"], host=host)  # for the row whose packets get lost
        self.ssh = servers.SshServer(directory / "ssh", host).start()
        self.ssh.admit(self.ssh.new_key("agent"))
        self.outcomes = {}  # name of a case → how its builds end, oldest first
        self.scripts = directory / "scripts"
        self.scripts.mkdir()
        helper = directory / "cronwright-git"
        helper.write_text(HELPER_SCRIPT.format(helper=HELPER, scripts=self.scripts))
        helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
        self.agent = Agent(place, directory, sweep={"interval": "15s"}, builds={"maxConcurrent": 100},
                           git={"helper": str(helper), "timeout": f"{GIT_TIMEOUT}s", "maxConcurrent": 64,
                                "caFile": str(authority.certificate)})
        self.agent.config["git"]["credentials"].append({
            "url": f"ssh://{self.ssh.user}@{self.ssh.address}/", "sshKeyFile": str(self.ssh.directory / "agent"),
            "knownHostsFile": str(self.ssh.known_hosts(directory / "known_hosts"))})
        addresses = [proxy.address for proxy in self.registries.values()] + [self.read_only.address]
        self.agent.config["registries"] += [{"host": address, "plainHttp": True} for address in addresses]
        self.agent.config["allow"][0].update(repositories=["*"], images=["*"])
        if quick:
            quick.decide = self.decide
            self.agent.config = merged(self.agent.config, quick.settings())
        self.agent.start()

    def decide(self, build):
        rest = next((rest for name, rest in self.outcomes.items() if f"/{name}:" in build.image), None)
        return rest.pop(0) if rest else Outcome()

    def finish(self):
        self.agent.finish()
        for proxy in [self.git, self.tls, self.lost, *self.registries.values()]:
            proxy.finish()
        for server in (self.empty, self.read_only, self.ssh):
            server.stop()


class PlainRegistry(servers.Server):
    """A real one that may be for reading only."""

    def command(self):
        config = self.directory / "registry.yml"
        config.write_text(json.dumps({
            "version": 0.1, "log": {"level": "warn"}, "http": {"addr": self.address},
            "storage": {"filesystem": {"rootdirectory": str(self.directory / "images")},
                        "maintenance": {"readonly": {"enabled": self.locked}}}}))
        return ["docker-registry", "serve", config]

    locked = False

    def lock(self, locked):
        self.stop()
        self.locked = locked
        self.start()


class RemoteCase(Case):
    """One row being tried, on a thread of its own."""

    def __init__(self, field, fault):
        super().__init__(field, fault, field.agent)

    def reached_by(self, url):
        """Pushes go to the files."""
        self.repository.pushed_to, self.repository.url = str(self.repository.bare), url

    @property
    def listed(self):
        """The repository as builds name it: without a user, and by SSH without a port."""
        parts, found = urllib.parse.urlsplit(self.repository.url), copy.copy(self.repository)
        if parts.scheme == "ssh":
            found.url = f"ssh://{parts.hostname}{parts.path}"
        return found

    @property
    def build(self):
        return next((build for build in self.agent.builds_of(self.listed) if build["commit"] == self.commit), None)

    @property
    def path(self):
        return urllib.parse.urlsplit(self.repository.url).path

    @property
    def bare_name(self):
        return self.repository.bare.name.removesuffix(".git")

    @property
    def mirror(self):
        name = hashlib.sha256(self.repository.url.encode()).hexdigest()[:32]
        return self.agent.directory / "state/mirrors" / name

    def await_that(self, condition, what):
        return eventually(condition, f"{self.fault.name}: {what}", self.fault.within, PAUSE)

    def sees(self, where, pattern):
        pattern = pattern.replace("NAME", re.escape(self.bare_name))
        last = [""]

        def there():
            last[0] = self.look(where)
            return re.search(pattern, last[0])
        try:
            self.await_that(there, f"{where} says {pattern}")
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{where} says: {last[0][-2000:]}") from None

    def push(self, files=None, message="Change the report"):
        """The next commit, whose delivery is the one that counts then."""
        self.commit = self.repository.push(files or {"text": f"{self.fault.name}, the next"}, message)
        self.again()

    def again(self):
        """The same push, told anew."""
        self.delivery = push_of(self.repository, self.commit)

    def deploy(self):
        """What is pushed already, while all is well."""
        self.deliver()
        found = self.await_that(self.final, "the first push is deployed")
        assert found["reason"] == "deployed", found

    def final(self):
        found = self.agent.get(f"/v1/deliveries/{self.delivery.id}")
        return None if found["pending"] else found

    def done(self):
        build = self.build
        return build if build["state"] == "done" else None

    def is_live(self):
        return self.service.annotation("commit") == self.commit

    def holds(self):
        found = self.await_that(self.final, "the push comes to an end")
        assert found["reason"] == self.fault.ends, found
        if self.fault.after:
            self.fault.after(self)
        if self.fault.lost:
            assert self.service.annotation("commit") is None and "cronwright-not-built" in self.service.image()
            return
        self.await_that(self.is_live, "what was pushed is live")
        build = self.await_that(self.done, "its build is done")
        # The branch may have been told before the fault came, since a new service asks for it at once.
        attempts = self.fault.attempts + (self.fault.ends != "deployed")
        assert build["attempt"] <= attempts, build
        assert self.service.image() == f"{build['image']}@{build['digest']}"
        assert self.service.get()["metadata"]["generation"] == 1 + self.fault.commits  # made, and patched so often
        names = [job["metadata"]["name"] for job in self.place.build_jobs(self.listed)]
        assert build["job"] in names and len(names) <= attempts + self.fault.commits - 1, names
        if self.quick and not self.fault.kaniko:
            self.context_is_right(build)

    def context_is_right(self, build):
        """The build's own, byte by byte."""
        secret = self.cluster.get("secrets", self.namespace, build["job"])
        packed = base64.b64decode(secret["data"]["context.tar.gz"])
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            files = {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isfile()}
        names = git(self.repository.work, "ls-tree", "-r", "--name-only", self.commit).splitlines()
        show = lambda name: subprocess.run(["git", "show", f"{self.commit}:{name}"], cwd=self.repository.work,
                                           check=True, capture_output=True).stdout
        of_each = {name: digest_of(content) for name, content in files.items()}
        assert of_each == {name: digest_of(show(name)) for name in names}


def attempt(field, fault):
    case = RemoteCase(field, fault)
    try:
        case.log_from = field.agent.log.stat().st_size
        with fault.inject(case):
            if fault.stage == "delivery":
                case.deliver()
            for where, pattern in fault.seen.items():
                case.sees(where, pattern)
        if fault.stage == "idle":
            case.deliver()
        case.holds()
    finally:
        case.service.delete()


class Crowd:
    """Tries many at once. Those that are to be alone are tried when they are asked for, after the others."""

    def __init__(self, field, faults):
        self.field, self.threads = field, concurrent.futures.ThreadPoolExecutor(AT_ONCE, "remote")
        together = [fault for fault in faults if not fault.alone]
        self.attempts = {fault.name: self.threads.submit(attempt, field, fault) for fault in together}

    def result(self, fault):
        if fault.alone:
            concurrent.futures.wait(self.attempts.values())
            attempt(self.field, fault)
        else:
            self.attempts[fault.name].result()

    def finish(self):
        self.threads.shutdown()


# --- ways to servers, made before the service ---

def noisy(case):
    """Through the proxy; so much of it does not compress that its pack has a middle."""
    case.reached_by(case.world.git.url + case.path)
    case.files = {"Dockerfile": "FROM scratch\nCOPY text /text\n", "text": case.fault.name,
                  "noise": random.Random(case.fault.name).randbytes(NOISE)}


def renamed(case):
    case.reached_by(f"{case.world.git.url}/renamed{case.path}")


def by_tls(case):
    case.reached_by(case.world.tls.url + case.path)


def by_lost_packets(case):
    case.reached_by(case.world.lost.url + case.path)


def by_ssh(case):
    case.reached_by(case.world.ssh.url_of(case.repository))


def to_registry(name):
    def prepare(case):
        case.destination = f"{case.world.registries[name].address}/{case.place.namespace}/{case.name}"
    return prepare


# --- ways in which a fault comes ---

def at_git(action, what, **more):
    return lambda case: case.world.git.rule(action, path=f"{re.escape(case.path)}/{what}", **more)


def at_registry(action, name="shared", what="manifests/sha256", method="GET", **more):
    return lambda case: case.world.registries[name].rule(action, path=f"/{case.name}/{what}", method=method, **more)


def in_child(script):
    """Run by the Git child's shell before it does what it is asked; $asked is head or pack."""
    @contextlib.contextmanager
    def inject(case):
        path = case.world.scripts / case.bare_name
        path.write_text(script.replace("FLAG", str(path) + ".flag"))
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    return inject


def damaged(harm):
    """What is done to the mirror of what was deployed before the push that counts."""
    @contextlib.contextmanager
    def inject(case):
        case.deploy()
        assert case.mirror.is_dir()
        harm(case)
        case.push()
        yield
    return inject


def flipped(kind):
    def harm(case):
        chance = random.Random(case.fault.name)
        for path in case.mirror.rglob(f"*.{kind}"):
            path.chmod(0o600)
            content = bytearray(path.read_bytes())
            for _ in range(20):
                content[chance.randrange(len(content))] ^= 1 + chance.randrange(255)
            path.write_bytes(content)
    return harm


def shell(command):
    """In the mirror's own directory."""
    return lambda case: subprocess.run(["sh", "-ec", command], cwd=case.mirror, check=True)


# --- what a remote may answer ---

def garbled(body):
    changed = bytearray(body)
    for at in range(WHERE_IN_PACK, WHERE_IN_PACK + 5):
        changed[at] ^= 0x55
    return bytes(changed)


def around(exchange):
    exchange.answer(301, "", [("Location", exchange.path)])


def elsewhere(exchange):
    exchange.answer(301, "", [("Location", f"http://git.invalid{exchange.path}")])


def other_path(exchange):
    """To where it really is."""
    exchange.answer(301, "", [("Location", exchange.path.replace("/renamed/", "/"))])


def endless(exchange):
    """A list of refs that does not end; not too quickly."""
    response = exchange.ask()
    exchange.head(200, response.getheaders())
    exchange.write(response.read()[:-4])
    number = 0
    while not exchange.rule.released.wait(0.05):
        lines = [b"%040x refs/heads/x%d\n" % (number + at, number + at) for at in range(100)]
        exchange.write(b"".join(b"%04x%s" % (len(line) + 4, line) for line in lines))
        number += len(lines)


def other_commit(chance):
    """In the place of the branch's, another each time, which nobody has."""
    return change(lambda body: re.sub(rb"[0-9a-f]{40}(?=[ \0])", lambda _: b"%040x" % chance.getrandbits(160), body))


def slowly(pause):
    return trickle(2000, pause)


# --- rows of Git remotes ---

# A remote whose branch cannot be told: the push comes to an end that says why, and the sweep finds it afterwards.
def refs(name, action, reason, text, **more):
    return Remote(f"refs-{name}", "delivery", at_git(action, "info/refs"), {"delivery": f"final {reason} .*{text}"},
                  ends=reason, prepare=noisy, **more)


# One that tells its branch, and then gives no pack, or a bad one: the build waits and says so.
def pack(name, action, text, **more):
    return Remote(f"pack-{name}", "delivery", at_git(action, "git-upload-pack$"), {"build": text}, prepare=noisy, **more)


SILENT = f"did not answer within {GIT_TIMEOUT} s \\(git.timeout\\)"


@contextlib.contextmanager
def packets_lost(case):
    """Nobody answers to a connection's first packet: the queue of those that are not accepted is full."""
    proxy = case.world.lost
    proxy.close()
    with contextlib.ExitStack() as held:
        held.enter_context(socket.create_server((proxy.host, proxy.port), backlog=0))
        for _ in range(4):
            filling = held.enter_context(socket.socket())
            filling.setblocking(False)
            filling.connect_ex((proxy.host, proxy.port))
        yield
    proxy.open()


@contextlib.contextmanager
def handshake_silent(case):
    case.world.tls.quiet.set()
    yield
    case.world.tls.quiet.clear()


@contextlib.contextmanager
def repository_gone(case):
    """Deleted, and later made again under the same name with another history."""
    bare, away = case.repository.bare, case.repository.bare.with_suffix(".away")
    bare.rename(away)
    yield
    bare.mkdir()
    git(bare, "init", "-q", "--bare", "-b", "main")
    shutil.rmtree(case.repository.work / ".git")
    git(case.repository.work, "init", "-q", "-b", "main")
    case.commit = case.repository.commit({"text": "of another history"})
    git(case.repository.work, "push", "-q", str(bare), "HEAD:refs/heads/main")


@contextlib.contextmanager
def branch_gone(case):
    git(case.repository.bare, "update-ref", "-d", "refs/heads/main")
    yield
    git(case.repository.bare, "update-ref", "refs/heads/main", case.commit)


@contextlib.contextmanager
def branch_in_capitals(case):
    git(case.repository.bare, "update-ref", "refs/heads/Main", case.commit)
    with branch_gone(case):
        yield


@contextlib.contextmanager
def branch_leads_nowhere(case):
    (case.repository.bare / "refs/heads/main").write_text(NOBODYS + "\n")
    yield
    git(case.repository.bare, "update-ref", "refs/heads/main", case.commit)


@contextlib.contextmanager
def rewritten_meanwhile(case):
    """Between refs and pack the branch is replaced by another history, and what was there is thrown away."""
    with at_git(hold, "git-upload-pack$")(case) as rule:
        case.deliver()
        rule.await_hit(seconds=WITHIN)
        git(case.repository.work, "checkout", "-q", "--orphan", "other")
        case.push({"text": "rewritten"}, "Another beginning")
        git(case.repository.bare, "reflog", "expire", "--expire=now", "--all")
        git(case.repository.bare, "gc", "-q", "--prune=now")
    yield


@contextlib.contextmanager
def mirror_gone_meanwhile(case):
    with at_git(slowly(0.5), "git-upload-pack$")(case):
        case.deliver()
        case.await_that(lambda: list(case.mirror.glob("objects/pack/pack_git2_*")), "half a pack is there")
        shutil.rmtree(case.mirror)
    yield


@contextlib.contextmanager
def mirrors_cleared(case):
    """By a person who wants room."""
    case.deploy()
    for name in ("mirrors", "contexts", "ssh"):
        path = case.agent.directory / "state" / name
        assert path.exists()
        # The agent may remove something of it meanwhile.
        eventually(lambda: shutil.rmtree(path, ignore_errors=True) or not path.exists(), f"{name} is gone")
    case.push()
    yield


@contextlib.contextmanager
def sshd_stopped(case):
    os.kill(case.world.ssh.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(case.world.ssh.process.pid, signal.SIGCONT)


@contextlib.contextmanager
def ssh_silent(case):
    """Whoever has logged in hears nothing."""
    forced = case.world.ssh.directory / "forced"
    text = forced.read_text()
    forced.write_text(text.replace("#!/bin/sh\n", "#!/bin/sh\nexec sleep 600\n"))
    try:
        yield
    finally:
        forced.write_text(text)


GIT_REMOTES = [
    refs("hang", hang, "repository-timeout", SILENT),
    refs("hang-in-body", hang_in_body(40), "repository-timeout", SILENT),
    refs("slow", trickle(1, 1), "repository-timeout", SILENT, full=True),
    refs("endless", endless, "repository-timeout", SILENT),
    refs("reset", reset, "repository-unavailable", "reset by peer"),
    refs("cut", cut_body(60), "repository-protocol", "ended at an unexpected time", full=True),
    refs("truncated", change(lambda body: body[:len(body) // 2]), "repository-unavailable", "early EOF"),
    refs("empty", change(lambda body: b""), "repository-unavailable", "early EOF", full=True),
    refs("garbage", change(lambda body: random.Random(1).randbytes(3000)), "repository-unavailable", "bad packet length"),
    refs("html", answer(200, "<html>sign in", Content_Type="text/html"), "repository-protocol", "text/html"),
    refs("401", answer(401, WWW_Authenticate="Basic realm=x"), "repository-login", "needs a login"),
    refs("403", answer(403), "repository-login", "needs a login", full=True),
    refs("404", answer(404), "repository-missing", "there is no repository at"),
    refs("429", answer(429, Retry_After="7"), "repository-unavailable", "429"),
    refs("500", answer(500), "repository-unavailable", "500", full=True),
    refs("503", answer(503, Retry_After="7"), "repository-unavailable", "503"),
    refs("circle", around, "repository-redirect", "redirects again and again"),
    refs("other-host", elsewhere, "repository-redirect", "to git.invalid, which is not followed"),
    pack("hang", hang, f"(fetching|waiting) .*{SILENT}"),
    pack("hang-in-the-middle", hang_in_body(WHERE_IN_PACK), f"(fetching|waiting) .*{SILENT}"),
    pack("slow", slowly(1), f"(fetching|waiting) .*{SILENT}", full=True),
    pack("reset", reset, "(fetching|waiting) .*reset by peer"),
    pack("cut", cut_body(WHERE_IN_PACK), "(fetching|waiting) .*NAME.git: "),
    pack("truncated", change(lambda body: body[:WHERE_IN_PACK]), "(fetching|waiting) .*early EOF", full=True),
    pack("broken", change(garbled), "(fetching|waiting) .*NAME.git sends a broken pack"),
    pack("empty", change(lambda body: b""), "(fetching|waiting) .*early EOF", full=True),
    pack("html", answer(200, "<html>", Content_Type="text/html"), "(fetching|waiting) .*text/html", full=True),
    pack("500", answer(500), "(fetching|waiting) .*500", full=True),
    pack("429", answer(429), "(fetching|waiting) .*429"),
    # The head decides: the build goes, and the next one gets what this was refused, or the one after that
    # when a sweep's turn comes at once.
    pack("401", answer(401, WWW_Authenticate="Basic realm=x"), "superseded .*needs a login", attempts=3),
    pack("404", answer(404), "superseded .*there is no repository", attempts=3),
    pack("circle", around, "superseded .*redirects whoever asks for a pack", attempts=3, full=True),
    # Some tell their refs to those whom they give nothing: that is told in the end, until somebody asks again.
    Remote("pack-403-for-long", "delivery", at_git(answer(403), "git-upload-pack$"),
           {"delivery": "final repository-login .*needs a login"}, ends="repository-login", attempts=4, prepare=noisy,
           after=lambda case: case.again() or case.deliver()),
    Remote("refs-of-nobodys-commit", "delivery", at_git(change(lambda body: re.sub(rb"[0-9a-f]{40}(?=[ \0])",
                                                                                    NOBODYS.encode(), body)), "info/refs"),
           {"log": "NAME.*(not our ref|early EOF)"}, prepare=noisy),
    Remote("refs-of-another-commit-each-time", "delivery",
           at_git(other_commit(random.Random(2)), "info/refs"), {"log": "NAME.*(not our ref|early EOF|no longer leads)"},
           prepare=noisy, full=True),
    Remote("moved", "delivery", at_git(other_path, ""), {"delivery": "final deployed"}, prepare=renamed),
    Remote("gone-and-made-again", "delivery", repository_gone, {"delivery": "final repository-missing"},
           ends="repository-missing", prepare=noisy),
    Remote("branch-deleted", "delivery", branch_gone, {"delivery": 'final branch-missing .*has no branch "main"'},
           ends="branch-missing", prepare=noisy),
    Remote("branch-in-capitals", "delivery", branch_in_capitals,
           {"delivery": 'final branch-missing .*has no branch "main"'}, ends="branch-missing", prepare=noisy, full=True),
    Remote("branch-leads-nowhere", "delivery", branch_leads_nowhere, {"delivery": "pending .*(not our ref|early EOF)"},
           prepare=noisy, full=True),
    Remote("rewritten-meanwhile", "idle", rewritten_meanwhile, prepare=noisy),
    Remote("connect-lost", "delivery", packets_lost, {"delivery": f"final repository-timeout .*{SILENT}"},
           ends="repository-timeout", prepare=by_lost_packets),
    Remote("tls-handshake-silent", "delivery", handshake_silent, {"delivery": f"final repository-timeout .*{SILENT}"},
           ends="repository-timeout", prepare=by_tls),
    Remote("sshd-stopped", "delivery", sshd_stopped, {"delivery": f"final repository-timeout .*{SILENT}"},
           ends="repository-timeout", prepare=by_ssh),
    Remote("ssh-silent", "delivery", ssh_silent, {"delivery": f"final repository-timeout .*{SILENT}"},
           ends="repository-timeout", prepare=by_ssh, full=True, alone=True),
]

# --- rows of mirrors ---


def mirror(name, harm, **more):
    return Remote(f"mirror-{name}", "idle", damaged(harm), commits=2, prepare=noisy, **more)


MIRRORS = [
    mirror("pack-flipped", flipped("pack")),
    mirror("index-flipped", flipped("idx")),
    mirror("pack-truncated", shell("truncate -s 200 objects/pack/*.pack"), full=True),
    mirror("objects-missing", shell("rm -f objects/pack/*"), full=True),
    mirror("refs-garbled", shell("for ref in $(find refs/cronwright -type f); do echo x >$ref; done"), full=True),
    mirror("locks-left", shell("touch config.lock HEAD.lock $(find refs/cronwright -type f).lock "
                               "objects/pack/pack_git2_left")),
    mirror("configuration-garbled", shell("printf '[core\\nx' >config"), full=True),
    mirror("closed", shell("chmod -R 0 ."), full=True),
    mirror("gone", lambda case: shutil.rmtree(case.mirror), full=True),
    mirror("a-file-in-its-place", lambda case: shutil.rmtree(case.mirror) or case.mirror.write_text("x")),
    mirror("a-directory-for-its-lock", lambda case: case.mirror.with_suffix(".lock").unlink() or
           case.mirror.with_suffix(".lock").mkdir()),
    Remote("mirror-gone-meanwhile", "fetch", mirror_gone_meanwhile, prepare=noisy),
    Remote("mirrors-cleared", "idle", mirrors_cleared, commits=2, prepare=noisy, alone=True),
]

# --- rows of the Git child ---

WHILE_PACKING = """
[ $asked = pack ] && {
    printf '%s' "$request" | HELPER &
    child=$!
    while [ ! -e FLAG ] && kill -0 $child; do sleep 0.1; done
    kill -SIGNAL $child
    wait $child
    exit $?
}
"""


def killed_in_the_pack(name):
    """By hand, when half of the pack has come."""
    @contextlib.contextmanager
    def inject(case):
        flag = case.world.scripts / f"{case.bare_name}.flag"
        script = WHILE_PACKING.replace("SIGNAL", name).replace("HELPER", HELPER)
        with in_child(script)(case), at_git(hang_in_body(WHERE_IN_PACK), "git-upload-pack$")(case):
            case.deliver()
            case.await_that(lambda: list(case.mirror.glob("objects/pack/pack_git2_*")), "half a pack is there")
            flag.touch()
            yield
    return inject


def child(name, script, text, **more):
    """At the head: what it did ends the delivery, and the sweep deploys."""
    return Remote(f"child-{name}", "delivery", in_child(script), {"delivery": f"final fetch-failed .*({text})"},
                  ends="fetch-failed", prepare=noisy, **more)


def packing_child(name, script, text, **more):
    return Remote(f"child-{name}", "delivery", in_child(f"[ $asked = pack ] && {{ {script}; }}"),
                  {"build": f"(fetching|waiting) .*({text})"}, prepare=noisy, **more)


LIE = r"""
        printf '{"event":"fetched","commit":"%040d","bytes":0,"ms":1}\n' 1
        printf '{"event":"context","path":"/x","bytes":9,"sha256":"%064d","files":1,"ignored":0,"ms":1,' 1
        printf '"tree":"%040d","subject":"","author":""}\n' 1
        exit 0"""

CHILDREN = [
    child("crashes-at-the-head", "kill -SEGV $$", "ended by signal 11"),
    child("killed-at-the-head", "kill -KILL $$", "ended by signal 9", full=True),
    child("says-nonsense", "echo nonsense; exit 0", "what is no JSON"),
    child("says-too-much", "exec yes", "wrote too much|answered", full=True),
    child("fails-after-its-answer", "child; exit 3", "status 3 and its answer does not count", full=True),
    child("says-nothing", "exit 0", "status 0 and no answer", full=True),
    packing_child("crashes-at-the-pack", "kill -SEGV $$", "ended by signal 11"),
    packing_child("has-no-memory", "ulimit -v 20000; child; exit 1", "Git child|memory", full=True),
    packing_child("stands-still", "kill -STOP $$", "no answer within its deadline"),
    packing_child("lies-about-its-context", LIE, "No such file", full=True),
    Remote("child-speaks-after-its-end", "delivery",
           in_child("""(sleep 2; echo '{"event":"error","code":"io","text":"too late"}') & """),
           {"delivery": "final deployed"}, prepare=noisy),
    Remote("child-crashes-in-the-pack", "fetch", killed_in_the_pack("BUS"),
           {"build": "(fetching|waiting) .*the mirror is damaged and will be made anew"}, prepare=noisy),
    Remote("child-killed-in-the-pack", "fetch", killed_in_the_pack("KILL"), {"build": "(fetching|waiting) .*ended by signal 9"},
           prepare=noisy, full=True),
]

# --- rows of registries ---


def confirm(name, action, text, **more):
    """Asked whether it has what was pushed to it."""
    return Remote(f"confirm-{name}", "delivery", at_registry(action), {"build": f"running .*({text})"},
                  prepare=to_registry("shared"), **more)


OTHER_DIGEST = "sha256:" + "2" * 64


@contextlib.contextmanager
def registry_away(case):
    """From when the image is pushed until it is seen."""
    registry = case.world.registries["away"]

    def action(exchange):
        exchange.relay()
        registry.close()
    with registry.rule(action, method="PUT", path=f"/{case.name}/manifests/", count=1):
        yield
    registry.open()


@contextlib.contextmanager
def registry_emptied(case):
    """Between push and look: another one, without anything, is at its address from then on."""
    registry = case.world.registries["emptied"]

    def action(exchange):
        exchange.relay()
        registry.target = urllib.parse.urlsplit(f"http://{case.world.empty.address}")
        case.quick.registry.repositories.clear()
    with registry.rule(action, method="PUT", path=f"/{case.name}/manifests/", count=1):
        yield


def said_but_not_pushed(case):
    to_registry("shared")(case)
    case.world.outcomes[case.name] = [Outcome(pushes=False) for _ in range(3)]


def gone_later(case):
    """Two builds; then the first one's image is deleted, and nobody can go back to it."""
    first = case.build
    case.push()
    case.deploy()
    with case.world.registries["shared"].rule(answer(404), path=f"/{case.name}/manifests/{first['digest']}") as rule:
        asked = case.agent.api("POST", f"{case.service.path}/rollback", {"to": first["build"]})
        assert asked.status == 409 and f"{first['digest']} no more" in asked.json["detail"], asked
        assert rule.hits == 1
    with at_registry(change(lambda body: body + b" "))(case):
        asked = case.agent.api("POST", f"{case.service.path}/rollback", {"to": first["build"]})
        assert asked.status == 409 and "it gives what has the digest" in asked.json["detail"], asked


REGISTRIES = [
    confirm("hang", hang, "no answer|timed out|Timeout"),
    confirm("slow", trickle(10, 1), "no answer|timed out|Timeout", full=True),
    confirm("reset", reset, "reset", full=True),
    confirm("cut", cut_body(20), "transfer closed", full=True),
    confirm("429", answer(429, Retry_After="5"), "it answers 429"),
    confirm("500", answer(500), "it answers 500", full=True),
    confirm("503", answer(503), "it answers 503"),
    confirm("login-expired", answer(401, WWW_Authenticate='Basic realm="x"'), "a login is needed"),
    confirm("redirect", answer(307, Location="https://elsewhere.invalid/v2/"), "to go to https://elsewhere.invalid/v2/"),
    confirm("garbage", answer(200, "<html>sign in", Content_Type="text/html"), "it gives what has the digest"),
    confirm("oversize", answer(200, " " * (5 << 20)), "body|too large", full=True),
    confirm("no-header-and-other-bytes", change(lambda body: body.replace(b"{", b"{ ", 1), docker_content_digest=""),
            "asked for sha256:.*, it (gives|speaks)"),
    confirm("other-bytes", change(lambda body: body + b" "), "it gives what has the digest", full=True),
    confirm("other-header", change(lambda body: body, docker_content_digest=OTHER_DIGEST), "it speaks of sha256:2222"),
    confirm("late", answer(404), "there is no sha256:"),
    Remote("confirm-away", "delivery", registry_away, {"build": "running .*(connect|refused)"},
           prepare=to_registry("away")),
    # The tag is there, and yet nothing of that digest: it was never pushed, or is lost. Built anew, and given up.
    Remote("confirm-never-pushed", "delivery", lambda case: contextlib.nullcontext(), {"build": "there is no sha256:"},
           ends="digest-unconfirmed", attempts=3, lost=True, prepare=said_but_not_pushed),
    Remote("confirm-lies-for-good", "delivery", at_registry(change(lambda body: body + b" ")),
           {"delivery": "final digest-unconfirmed .*it gives what has the digest"}, ends="digest-unconfirmed",
           attempts=3, lost=True, prepare=to_registry("shared"), full=True),
    Remote("emptied", "delivery", registry_emptied, {"build": "there is no sha256:"}, attempts=2,
           prepare=to_registry("emptied")),
    Remote("image-deleted-later", "delivery", lambda case: contextlib.nullcontext(), {"delivery": "final deployed"},
           prepare=to_registry("shared"), commits=2, after=gone_later),
]

# --- rows of registries when Kaniko pushes to them ---


@contextlib.contextmanager
def not_there(case):
    case.world.registries["away"].close()
    yield
    case.world.registries["away"].open()


@contextlib.contextmanager
def for_reading_only(case):
    """A real one in its maintenance mode."""
    case.world.read_only.lock(True)
    yield
    case.world.read_only.lock(False)


def to_read_only(case):
    case.destination = f"{case.world.read_only.address}/{case.place.namespace}/{case.name}"


def kaniko_push(name, inject, text, prepare=to_registry("shared"), **more):
    """What passes is tried again after a rest; for the rest somebody must ask again."""
    return Remote(f"push-{name}", "delivery", inject, {"build": text}, prepare=prepare, kaniko=True, attempts=2, **more)


def ask_again(case):
    case.again()
    case.deliver()


UPLOADS = {"what": "blobs/uploads", "method": "POST"}
KANIKO = [
    kaniko_push("away", not_there, "waiting retrying push to .*connection refused", to_registry("away")),
    kaniko_push("read-only", for_reading_only, "waiting retrying push to .*(UNSUPPORTED|405)", to_read_only),
    kaniko_push("429", at_registry(answer(429), **UPLOADS), "waiting retrying push to .*(429|TOOMANYREQUESTS)", full=True),
    kaniko_push("503", at_registry(answer(503), **UPLOADS), "waiting retrying push to .*503", full=True),
    kaniko_push("login-expired", at_registry(answer(401, WWW_Authenticate='Basic realm="x"'), **UPLOADS),
                "failed build-failed push to .*(UNAUTHORIZED|401)", ends="build-failed", after=ask_again, full=True),
    kaniko_push("hang", at_registry(hang, **UPLOADS), "failed deadline .*(Pushing|push|deadline)", ends="deadline",
                after=ask_again, full=True),
]

FAULTS = [*GIT_REMOTES, *MIRRORS, *CHILDREN, *REGISTRIES, *KANIKO]
