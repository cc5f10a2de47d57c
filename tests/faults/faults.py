"""What a fault of the world is, and the one way in which each is tried: a push is on its way, the fault comes at its
stage, what a person can see says so, the fault goes, and the push is deployed, once, by the same agent.

A row says what is peculiar to a fault; rows are in lists: kubernetes.FAULTS and others that test_faults.py joins."""

import base64
import dataclasses
import json
import re
import stat
import time
import typing

from agents import HELPER, Agent, merged, push_of
from places import RBAC
from proxy import Proxy, certificate
from quick_builds import Outcome
from waiting import eventually

# When the fault comes:
STAGES = (
    "idle",      # nothing is under way; the push comes when it is over
    "delivery",  # before the push is delivered. What strikes one request only, strikes when that is made
    "fetch",     # while the Git child packs the context
    "kaniko",    # the build runs, and goes on when it is over
    "end",       # the build runs, and ends meanwhile
)

# Does nothing while there is a file that says so, if it is to pack a context.
HELD_HELPER = """#!/bin/sh
request=$(cat)
case $request in *'"commit"'*)
    [ ! -e {barrier} ] || : >{barrier}.reached
    while [ -e {barrier} ]; do sleep 0.05; done ;;
esac
exec {helper} <<END
$request
END
"""


@dataclasses.dataclass(frozen=True)
class Fault:
    name: str
    stage: str
    inject: typing.Callable        # of a Case: a context manager, inside which the fault lasts
    seen: dict = dataclasses.field(default_factory=dict)  # where (see Case.look) → pattern of what is to be seen there
    lasts: float = 0               # at least, in seconds; as long as it takes to be seen in any case
    full_lasts: float = 0          # with --full
    ends: str = "deployed"         # the delivery's reason
    attempts: int = 1              # Jobs, each with a name of its own
    redelivered: bool = False      # the push was given up, with the reason seen; delivered once more it is deployed
    prepare: typing.Callable | None = None  # of a Case, before its service is made; see Case
    after: typing.Callable | None = None    # of a Case, when all is over: more that must hold
    settings: dict | typing.Callable = dataclasses.field(default_factory=dict)  # of its agent; or of its World
    variables: typing.Callable | None = None  # of its agent's directory: more of its environment
    kaniko: bool = False           # built by Kaniko on the real node, not by QuickBuilds
    own_builds: bool = False       # in a namespace for builds of its own; with kaniko only
    full: bool = False             # with --full alone
    alone: bool = False            # while no other is tried
    disruptive: bool = False       # disturbs others on the cluster: only on one of our own
    within: float = 60             # seconds until it is over and done


class World:
    """A place whose agent asks Kubernetes through a proxy, with the token in a file. Its contexts can be held back."""

    def __init__(self, place, quick, directory):
        self.place, self.cluster, self.quick, self.directory = place, place.cluster, quick, directory
        host, port = self.cluster.endpoint
        self.certificate = certificate(directory, "127.0.0.1")
        self.proxy = Proxy(f"https://{host}:{port}", self.cluster.context, self.certificate)
        self.token_file = directory / "token"
        self.token_file.write_text(place.account.user["token"])
        self.kubeconfig = directory / "kubeconfig"
        self.write_kubeconfig({"tokenFile": str(self.token_file)})
        self.barrier = directory / "barrier"
        helper = directory / "cronwright-git"
        helper.write_text(HELD_HELPER.format(barrier=self.barrier, helper=HELPER))
        helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
        self.helper = str(helper)

    def write_kubeconfig(self, user, authority=None):
        entry = lambda kind, content: [{"name": "test", kind: content}]
        content = json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": entry("cluster", {"server": self.proxy.url, "certificate-authority-data":
                                          base64.b64encode(
                                              (authority or self.certificate.authority).encode()).decode()}),
            "users": entry("user", user), "contexts": entry("context", {"cluster": "test", "user": "test"})})
        new = self.kubeconfig.with_suffix(".new")
        new.write_text(content)
        new.replace(self.kubeconfig)

    def agent(self, fault):
        """One for each fault: none begins with what another's has left in back-offs."""
        agent = Agent(self.place, self.directory, kubernetes={"kubeconfig": str(self.kubeconfig)},
                      git={"helper": self.helper}, sweep={"interval": "1h"})
        agent.config["allow"][0].update(repositories=["*"], images=["*"])
        own = fault.settings(self) if callable(fault.settings) else fault.settings
        for changes in ({} if fault.kaniko else self.quick.settings(), own):
            agent.config = merged(agent.config, changes)
        agent.variables = fault.variables(self.directory) if fault.variables else {}
        return agent

    def finish(self):
        self.proxy.finish()


class Case:
    """One fault being tried. What `prepare` may change: `destination` of the image, `repository.url`, `files`."""

    def __init__(self, world, fault, agent):
        self.world, self.fault, self.agent, self.place = world, fault, agent, world.place
        self.cluster, self.proxy, self.quick = world.cluster, world.proxy, world.quick
        self.repository = self.place.repository(fault.name)
        self.name = self.place.name(fault.name)
        self.destination = f"{self.place.images}/{self.name}"
        self.files = {"Dockerfile": "FROM scratch\nCOPY text /text\n", "text": fault.name}
        self.namespace = self.place.builds_namespace
        if fault.prepare:
            fault.prepare(self)
        self.service = self.place.service(fault.name, repository=self.repository, destination=self.destination)
        self.service.seen_by(agent)
        self.commit = self.repository.push(self.files)
        self.delivery = self.new_delivery()
        self.delivered, self.log_from, self.began = False, 0, time.monotonic()

    def new_delivery(self):
        return push_of(self.repository, self.commit)

    # --- what a person can see ---

    @property
    def build(self):
        return next((build for build in self.agent.builds_of(self.repository) if build["commit"] == self.commit), None)

    def look(self, where):
        """A text of what is to be seen there now."""
        if where == "readyz":
            answer = self.agent.api("GET", "/readyz", token=None)
            return f"{answer.status} {answer.text}"
        if where == "log":  # since the fault came
            return self.agent.log_text(self.log_from)
        if where == "build":
            found = self.build
            return found and f"{found['state']} {found['reason']} {found['detail']}" or ""
        if where == "delivery":
            found = self.agent.get(f"/v1/deliveries/{self.delivery.id}")
            return f"{'pending' if found['pending'] else 'final'} {found['reason']} {found['detail']}"
        assert where == "service", where
        return json.dumps(self.service.status(self.agent))

    def sees(self, where, pattern):
        last = [""]

        def there():
            last[0] = self.look(where)
            return re.search(pattern, last[0])
        try:
            self.comes(there, f"{where} says {pattern}")
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{where} says: {last[0][-2000:]}") from None

    # --- its way ---

    def deliver(self):
        self.delivered = True
        self.agent.accept(self.delivery)

    def hold_fetch(self):
        self.world.barrier.touch()
        self.deliver()
        reached = self.world.barrier.with_suffix(".reached")
        eventually(reached.exists, "the context is being packed")
        reached.unlink()

    def runs(self):
        """Until its build runs."""
        self.deliver()
        self.agent.build_reaches(self.repository, self.commit, "running")
        if not self.fault.kaniko:
            return self.quick.await_running(self.commit)
        return None

    def goes_on(self):
        """Builds that are held end well."""
        if self.fault.kaniko:
            return
        for build in self.quick.of(self.commit):
            if build.state == "running" and build.outcome is None:
                self.quick.release(build, Outcome())

    def meanwhile(self):
        """What happens while the fault lasts."""
        if self.fault.stage in ("delivery", "end"):
            self.goes_on()

    def comes(self, condition, what):
        """While the fault lasts."""
        eventually(lambda: self.meanwhile() or condition(), what, self.fault.within)

    def ended(self):
        """What became of the push, while builds end as they come."""
        def final():
            self.goes_on()
            found = self.agent.get(f"/v1/deliveries/{self.delivery.id}")
            return None if found["pending"] else found
        return eventually(final, f"the push is {self.fault.ends}", self.fault.within)

    def holds(self):
        """What must hold when all is over."""
        if self.fault.stage == "idle" and not self.delivered:
            self.deliver()
        if self.fault.redelivered:
            self.delivery = self.new_delivery()
            self.deliver()
        found = self.ended()
        assert found["reason"] == self.fault.ends, found
        build = self.build
        names = sorted(job["metadata"]["name"] for job in self.place.build_jobs(self.repository))
        assert build["attempt"] == self.fault.attempts, build
        if self.fault.ends == "deployed":
            assert self.service.image() == f"{build['image']}@{build['digest']}"
            assert self.service.annotation("commit") == self.commit
            patches = self.agent.get(f"/v1/builds/{build['build']}")["patches"]
            assert [patch["newImage"] for patch in patches] == [self.service.image()], patches
            assert self.service.get()["metadata"]["generation"] == 2  # made, and patched once
            assert build["job"] in names and len(names) <= self.fault.attempts, names
        self.agent.await_ready(self.fault.within)
        if self.fault.after:
            self.fault.after(self)

    def remove(self):
        self.goes_on()
        self.service.delete()


def attempt(fault, place, quick, full):
    """The whole way of one fault, in a world and with an agent of its own."""
    if fault.own_builds:
        place.builds_namespace = place.namespace.replace("mainjob-", "builds-")
        make_builds_namespace(place)
    world = World(place, quick, place.directory)
    agent = world.agent(fault)
    try:
        with agent:
            case = Case(world, fault, agent)
            try:
                strike(case, full and fault.full_lasts or fault.lasts)
                case.holds()
            finally:
                case.remove()
    except BaseException as failure:
        raise AssertionError(f"{failure}\nthe end of its agent's log:\n{agent.log_text()[-4000:]}") from failure
    finally:
        world.finish()
        if fault.own_builds:
            place.cluster.delete("namespaces", None, place.builds_namespace)


def make_builds_namespace(place):
    """One in which the agent has its rights."""
    cluster, name = place.cluster, place.builds_namespace
    cluster.create("namespaces", None, {"metadata": {"name": name}})
    of_builds = [part for part in RBAC.read_text().split("\n---\n") if "namespace: cronwright-builds" in part]
    cluster.kubectl("apply", "-f", "-", stdin="\n---\n".join(of_builds).replace("namespace: cronwright-builds",
                                                                                f"namespace: {name}"))
    eventually(lambda: cluster.kubectl("get", "serviceaccounts", "-n", name, "-o", "name"), "there is an account")


def strike(case, lasts):
    fault = case.fault
    if fault.stage == "fetch":
        case.hold_fetch()
    elif fault.stage in ("kaniko", "end"):
        case.runs()
    case.log_from = case.agent.log.stat().st_size
    until = time.monotonic() + lasts
    with fault.inject(case):
        if fault.stage == "delivery":
            case.deliver()
        elif fault.stage == "fetch":
            case.world.barrier.unlink()
        for where, pattern in fault.seen.items():
            case.sees(where, pattern)
        eventually(lambda: time.monotonic() >= until, "it has lasted", lasts + 60)
