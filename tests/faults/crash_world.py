"""Everything that the agent has to do, going on at once while it is killed again and again: signed deliveries of four
forges, real pushes, builds that fail or are taken away, forced and first runs, drafts. What was acknowledged is kept."""

import collections
import datetime
import functools
import http.client
import http.server
import json
import os
import random
import secrets
import subprocess
import threading

import forges
from agents import FORGE_SECRETS, SANITIZERS, Agent, merged
from places import ANNOTATION, shell
from quick_builds import FAILED, LABEL, Outcome
from repositories import git
from waiting import eventually

SENDERS = 3
LONGEST = 0.02  # seconds between two deliveries of one sender
RECENT = 500    # deliveries that may be sent again: a signature holds for some minutes
HURRY = 10      # times as often
FIRST_RUNS = 1  # of the branches: its service is run with each image
DRAFTS = 3      # and this one's gets new ones beside it
CONNECTION = (OSError, http.client.HTTPException)


class Mortal(Agent):
    """It may die at any moment, and where it is told to."""

    def launch(self, crash_at=None):
        """Starts it, and waits for nothing."""
        self.settings_file.write_text(json.dumps(self.config, indent=1))
        variables = {"CRONWRIGHT_CRASH_AT": crash_at} if crash_at else {}
        self.logged = self.log.stat().st_size  # by those before it
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*self.program(), "agent", "--config", str(self.settings_file)],
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            env={**os.environ, **SANITIZERS, **self.variables, **variables})

    def takes(self, delivery):
        """Whether it acknowledged it; it may not listen yet."""
        try:
            return self.deliver(delivery).status == 202
        except CONNECTION:
            return False

    @property
    def settings_file(self):
        return self.directory / "cronwright.yaml"


class Forge(http.server.BaseHTTPRequestHandler):
    """Takes every commit status. Who sends one may die of it."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            pass

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


class Sent:
    """What became of the requests of one delivery."""

    def __init__(self, delivery, kind):
        self.delivery, self.kind = delivery, kind
        self.sent = self.acknowledged = 0


def signed(chance, url, commit, branch="main"):
    """A push, as one of the forges tells it."""
    ref = f"refs/heads/{branch}"
    return chance.choice([
        lambda: forges.github(forges.github_push(url, commit, ref), FORGE_SECRETS["github"]),
        lambda: forges.gitlab(forges.gitlab_push(url, commit, ref), signing_token=FORGE_SECRETS["gitlab-signing"]),
        lambda: forges.gitea(forges.github_push(url, commit, ref), FORGE_SECRETS["gitea"]),
        lambda: forges.bitbucket(forges.bitbucket_cloud_push(url, (branch, commit)), FORGE_SECRETS["bitbucket"])])()


class Worker(threading.Thread):
    """Does something again and again, after pauses, until it is told to end; oftener while one of the steps of these
    words is waited for. A fault of it fails the test."""

    def __init__(self, world, chance, step, pause, *words):
        super().__init__(daemon=True)
        self.world, self.chance, self.step, self.pause, self.words = world, chance, step, pause, words
        self.fault = None

    def longest(self):
        hurried = any(word in self.world.awaited for word in self.words)
        return self.pause / HURRY if hurried else self.pause

    def run(self):
        try:
            while not self.world.ending.wait(self.chance.uniform(0, self.longest())):
                self.step(self.chance)
        except BaseException as fault:
            self.fault = fault


class World:
    def __init__(self, place, quick, chance):
        self.place, self.quick, self.cluster = place, quick, place.cluster
        self.ending, self.lock = threading.Event(), threading.Lock()
        self.sent, self.order = {}, []  # by id; the ids, to be sent again
        self.forced = collections.defaultdict(set)  # idempotency key → names that were answered
        self.forge = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forge)
        self.forge.daemon_threads = True
        threading.Thread(target=self.forge.serve_forever, daemon=True).start()
        self.agent = self.make_agent()
        self.make_services()
        quick.decide = self.outcome
        self.luck = random.Random(chance.random())
        self.awaited = ""  # the step at which the agent is to die
        step = lambda work, *more: Worker(self, random.Random(chance.random()), work, *more)
        self.workers = [step(self.send, LONGEST) for _ in range(SENDERS)]
        self.workers += [step(functools.partial(self.push, own), 0.8, "first-run") for own in self.shares()]
        self.workers += [step(self.force, 0.3), step(self.renew_draft, 0.5, "draft"),
                         step(self.take_build, 2.0, "attempt"), step(self.make_noise, 4.0, "evicted"),
                         step(self.rival, 2.0, "head-again")]

    def make_agent(self):
        place = self.place
        file = place.directory / "statuses.token"
        file.write_text("of the robot\n")
        host, port = self.forge.server_address
        agent = Mortal(place, place.directory, **merged(self.quick.settings(), {"builds": {"maxConcurrent": 8}}),
                       git={"maxTotalBytes": "1MiB", "maxRepositoryBytes": "1MiB"}, logs={"maxTotalBytes": "64KiB"},
                       retention={"deliveries": 1000000, "builds": 100000, "runs": 3},
                       statuses=[{"url": place.git_url, "forge": "gitea", "api": f"http://{host}:{port}",
                                  "tokenFile": str(file)}])
        return agent

    def make_services(self):
        place = self.place
        # On the node of the quick builds nothing runs: a run there ends by its deadline.
        idle = {"template": {"nodeSelector": {LABEL: self.quick.name},
                             "tolerations": [{"key": LABEL, "operator": "Exists"}]},
                "job": {"activeDeadlineSeconds": 1}, "spec": {"concurrencyPolicy": "Allow"}}
        self.idle = idle
        self.repositories = [place.repository(f"crash-{number}") for number in range(4)]
        self.branches = [(repository, "main") for repository in self.repositories]
        self.branches.append((self.repositories[0], "next"))
        self.heads, self.services = {}, collections.defaultdict(list)
        for repository, branch in self.branches:
            self.heads[repository, branch] = self.commit(repository, branch)
            first = self.branches[FIRST_RUNS] == (repository, branch)
            self.follow(repository, branch, annotations={"first-run": "onImage"} if first else {})
        twin = self.services[self.branches[0]][0]
        self.follow(*self.branches[0], destination=twin.destination)
        self.gone = f"{place.git_url}/there-is-none.git"
        self.lost = place.service("lost", annotations={"repository": self.gone, "branch": "main",
                                                       "image": f"{place.images}/lost"})
        self.forced_service = place.service("forced", **idle)
        self.noisy = place.service("noisy", container=shell("head -c 90000 /dev/urandom | base64"))
        self.draft = None

    def follow(self, repository, branch, annotations=None, **more):
        service = self.place.service("crash", repository=repository, branch=branch,
                                     annotations={"context": "app", **(annotations or {})}, **self.idle, **more)
        self.services[repository, branch].append(service)

    # --- Git ---

    def commit(self, repository, branch):
        files = {"app/Dockerfile": "FROM scratch\n", "app/text": secrets.token_hex(8)}
        if not (repository.work / "ballast").exists():
            files["ballast"] = secrets.token_bytes(400000)  # some mirrors have to go
        return repository.push(files, branch=branch)

    def rewrite(self, repository, branch):
        """The head's commit is not on the branch any more."""
        git(repository.work, "commit", "-q", "--amend", "--allow-empty", "-m", secrets.token_hex(8))
        git(repository.work, "push", "-q", "-f", repository.url, f"HEAD:refs/heads/{branch}")
        return repository.commit_of_head()

    def shares(self):
        """The branches, for two people: no repository is both's."""
        return [[branch for branch in self.branches if self.repositories.index(branch[0]) % 2 == half]
                for half in range(2)]

    def push(self, own, chance):
        """Sometimes several in a row, so that builds are superseded."""
        first_runs = self.branches[FIRST_RUNS]
        repository, branch = first_runs if "first-run" in self.awaited and first_runs in own else chance.choice(own)
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            change = self.rewrite if chance.random() < 0.3 else self.commit
            commit = self.heads[repository, branch] = change(repository, branch)
            self.deliver(signed(chance, repository.url, commit, branch), "push", persistent=True)

    # --- deliveries ---

    def send(self, chance):
        kind = chance.choices(["ignored", "no-match", "again", "unchanged", "gone"], [40, 20, 20, 18, 2])[0]
        if kind == "again" and self.order:
            with self.lock:
                sent = self.sent[chance.choice(self.order[-RECENT:])]
            self.deliver(sent.delivery, sent.kind)
        elif kind == "no-match":
            url = f"https://example.com/acme/nobodys-{chance.randrange(50)}.git"
            self.deliver(signed(chance, url, f"{chance.getrandbits(160):040x}"), kind)
        elif kind == "unchanged":
            (repository, branch), commit = chance.choice(list(self.heads.items()))
            self.deliver(signed(chance, repository.url, commit, branch), kind)
        elif kind == "gone":
            self.deliver(signed(chance, self.gone, "1" * 40), kind)
        else:
            url = f"https://example.com/acme/pings-{chance.randrange(50)}.git"
            self.deliver(chance.choice([
                lambda: forges.github(forges.github_ping(url), FORGE_SECRETS["github"], event="ping"),
                lambda: forges.gitlab(forges.gitlab_push(url, "2" * 40, "refs/tags/v1", kind="tag_push"),
                                      signing_token=FORGE_SECRETS["gitlab-signing"], event="Tag Push Hook"),
                lambda: forges.gitea(forges.github_push(url, "2" * 40, "refs/tags/v1"), FORGE_SECRETS["gitea"])])(),
                "ignored")

    def deliver(self, delivery, kind, persistent=False):
        """`persistent`: it is sent again until it is acknowledged, as a person would have it."""
        with self.lock:
            sent = self.sent.setdefault(delivery.id, Sent(delivery, kind))
        while not self.ending.is_set() or persistent:
            with self.lock:
                sent.sent += 1
            try:
                answer = self.agent.deliver(delivery)
            except CONNECTION:
                if not persistent:
                    return
                continue
            assert answer.status in (202, 503), answer
            if answer.status == 202:
                with self.lock:
                    sent.acknowledged += 1
                    if sent.acknowledged == 1:
                        self.order.append(delivery.id)
                return

    # --- runs ---

    def force(self, chance):
        """With one key, until it is answered."""
        key = f"{chance.getrandbits(64):x}"
        while not self.ending.is_set():
            try:
                answer = self.agent.api("POST", f"{self.forced_service.path}/runs", {"ifActive": "allow"},
                                        headers=[("Idempotency-Key", key)])
            except CONNECTION:
                continue
            if answer.status in (200, 201):
                with self.lock:
                    self.forced[key].add(answer.json["name"])
                return
            assert answer.status in (404, 409, 503), answer  # services are not known yet

    def make_noise(self, _chance):
        """A run whose log makes the logs before it go."""
        try:
            self.agent.api("POST", f"{self.noisy.path}/runs", {"ifActive": "allow"})
        except CONNECTION:
            pass

    # --- services and builds ---

    def renew_draft(self, _chance):
        """A draft that starts as soon as it has its image; then another of its name."""
        repository, branch = self.branches[DRAFTS]
        if self.draft is None:
            template = self.services[repository, branch][0]
            self.draft = self.place.service("draft", repository=repository, branch=branch,
                                            destination=template.destination,
                                            annotations={"context": "app", "state": "starting"},
                                            template=self.idle["template"], job=self.idle["job"],
                                            spec={"suspend": True})
        elif self.draft.annotation("state") is None:
            self.draft.delete()
            self.draft = None

    def outcome(self, _build):
        with self.lock:
            fails = self.luck.random() < 0.1
            return Outcome(self.luck.uniform(0, 0.5), int(fails), FAILED if fails else None)

    def take_build(self, chance):
        """Somebody deletes the Job of a build that runs."""
        try:
            running = [build for build in self.agent.get("/v1/builds?limit=50")["builds"]
                       if build["state"] == "running"]
        except (*CONNECTION, AssertionError):
            return
        if running:
            self.cluster.delete("jobs", self.place.builds_namespace, chance.choice(running)["job"])

    def rival(self, chance):
        """Another agent, which heard of another head, says that it was here last."""
        service = chance.choice(self.services[chance.choice(self.branches)])
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        service.merge(metadata={"annotations": {ANNOTATION + "commit": "f" * 40,
                                                ANNOTATION + "patched-at": now.replace("+00:00", "Z")}})

    # --- life ---

    def begin(self):
        """The agent gets its addresses; then everything begins."""
        self.agent.start()
        for worker in self.workers:
            worker.start()

    def check_workers(self):
        for worker in self.workers:
            if worker.fault:
                raise worker.fault

    def settle(self):
        """An end: what is sent stops, each branch gets a last commit whose build succeeds, and all that was
        acknowledged becomes final. The agent lives."""
        self.ending.set()
        for worker in self.workers:
            worker.join(120)
            assert not worker.is_alive()
        self.check_workers()
        self.quick.decide = lambda _build: Outcome()
        for repository, branch in self.branches:
            commit = self.heads[repository, branch] = self.commit(repository, branch)
            self.deliver(signed(self.luck, repository.url, commit, branch), "push", persistent=True)
        self.await_final()

    def await_final(self, seconds=600):
        def pending():
            return self.agent.get("/v1/deliveries?reason=accepted&limit=1")["deliveries"]
        eventually(lambda: not pending(), "no delivery is pending", seconds)

    def finish(self):
        self.ending.set()
        for worker in self.workers:
            if worker.ident:
                worker.join(60)
        self.agent.finish()
        self.forge.shutdown()
        self.forge.server_close()

    # --- what must hold ---

    def stored(self):
        """Every delivery that the agent knows, by id."""
        found, before = collections.defaultdict(list), ""
        while page := self.agent.get(f"/v1/deliveries?limit=500{before}")["deliveries"]:
            for row in page:
                found[row["delivery"]].append(row)
            before = f"&before={page[-1]['seq']}"
        return found

    def check_deliveries(self):
        """Gives how many were acknowledged. One that failed may be opened again by the next of its id; every other one
        has a row of its own."""
        found, acknowledged = self.stored(), 0
        for sent in self.sent.values():
            rows = found[sent.delivery.id]
            acknowledged += sent.acknowledged
            assert all(not row["pending"] and row["reason"] not in ("", "accepted") for row in rows), rows
            assert len(rows) <= sent.sent, (sent.kind, sent.sent, rows)
            least = sent.acknowledged if sent.kind == "ignored" else min(sent.acknowledged, 1)
            assert len(rows) >= least, f"lost: {sent.kind} {sent.delivery.id}: {sent.acknowledged}, {rows}"
        return acknowledged

    def check_heads(self):
        for branch, commit in self.heads.items():
            for service in self.services[branch]:
                assert service.annotation("commit") == commit, (service.full_name, commit)
                assert service.image().startswith(f"{service.destination}:{commit[:12]}"), service.image()

    def check_forced(self):
        """However often one was asked for."""
        assert all(len(names) == 1 for names in self.forced.values()), self.forced
        assert len({name for names in self.forced.values() for name in names}) == len(self.forced)

    def check_nothing_left(self):
        """No build goes on that nobody waits for."""
        def live():
            return [job for job in self.place.own_build_jobs()
                    if not (found := self.cluster.get("jobs", self.place.builds_namespace, job)) or
                    not any(condition["type"] in ("Complete", "Failed") and condition["status"] == "True"
                            for condition in found["status"].get("conditions", []))]
        eventually(lambda: not live(), "no Job of a build goes on", 60)
