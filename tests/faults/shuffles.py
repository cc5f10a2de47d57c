"""Histories of pushes drawn at random, played on real repositories: what is pushed, when, what the webhooks tell of it
and when, how long each build takes and whether it fails. A history is drawn whole before it is played, from its own
number and the seed."""

import collections
import random
import subprocess
import threading
import time

from agents import FORGE_SECRETS
from forges import ZEROS, github, github_push
from places import ANNOTATION, container_of
from quick_builds import FAILED, Outcome
from repositories import ENVIRONMENT
from waiting import eventually

BRANCHES = ("main", "next")
LONGEST_PAUSE = 1.5  # seconds between two events
LONGEST_BUILD = 2.0
ALWAYS = 1000  # fails so often
SETTLES = 900  # seconds at most

Commit = collections.namedtuple("Commit", "mark parent fails")  # parent: a mark, or None
# `what` is for people. `commit` is the branch's head then, None without one. `fate` is what becomes of the webhook.
Event = collections.namedtuple("Event", "pause branch what commit fate later")
FATES = ["told"] * 11 + ["lost"] * 4 + ["late"] * 4 + ["repeated"] * 3 + ["late and repeated"] * 2


class History:
    def __init__(self, seed, number):
        self.seed, self.number = seed, number
        self.chance = chance = random.Random(f"{seed} shuffle {number}")
        self.commits, self.events = [], []
        self.heads = {}
        branches = BRANCHES if chance.random() < 0.4 else BRANCHES[:1]
        for branch in branches:  # a service that is new waits for a push: that one is told
            self.add(branch, "made", self.new_commit(None), fate="told")
        for _ in range(chance.randint(2, 7)):
            self.draw(chance.choice(branches))
        # Recipes of services: (branch, build argument, how many services have it).
        self.services = [(branch, "", 1 + (chance.random() < 0.15)) for branch in branches]
        if chance.random() < 0.3:
            self.services.append(("main", "other", 1))

    def new_commit(self, parent):
        chance = self.chance
        fails = 0 if parent is None and not self.commits else chance.choice([0] * 8 + [1, ALWAYS])
        self.commits.append(Commit(len(self.commits) + 1, parent and parent.mark, fails))
        return self.commits[-1]

    def add(self, branch, what, commit, fate=None):
        chance = self.chance
        pause = chance.choice((0, 0, chance.uniform(0, LONGEST_PAUSE)))
        self.events.append(Event(pause, branch, what, commit, fate or chance.choice(FATES), chance.randint(1, 4)))
        self.heads[branch] = commit

    def draw(self, branch):
        chance, head = self.chance, self.heads[branch]
        others = [commit for commit in self.commits if commit != head]
        if head is None:
            old = others and chance.random() < 0.5
            self.add(branch, "made again", chance.choice(others) if old else self.new_commit(None))
            return
        draw = chance.random()
        if draw < 0.5:
            self.add(branch, "pushed", self.new_commit(head))
        elif draw < 0.65 and others:
            self.add(branch, "forced back to", chance.choice(others))
        elif draw < 0.78:
            self.add(branch, "forced to the unrelated", self.new_commit(None))
        elif draw < 0.88:
            self.add(branch, "deleted", None)
        else:
            self.add(branch, "told once more of", head, fate="told")


class Polite:
    """An agent that is asked so much at once and no more: it refuses too many connections of one address."""

    def __init__(self, agent, most=16):
        self.agent, self.free = agent, threading.BoundedSemaphore(most)

    def __getattr__(self, name):
        asks = getattr(self.agent, name)

        def in_turn(*words, **more):
            with self.free:
                return asks(*words, **more)
        return in_turn


class Shuffle:
    """One history on one repository."""

    def __init__(self, history, place, agent):
        self.history, self.place, self.agent = history, place, agent
        self.log, self.began = [], time.monotonic()
        self.repository = place.repository(f"shuffle{history.number}")
        self.identity = self.repository.url.split("//")[1].removesuffix(".git")
        self.commits = self.make_commits()  # mark → object id
        self.marks = {commit: history.commits[mark - 1] for mark, commit in self.commits.items()}
        self.heads = {branch: [] for branch in BRANCHES}  # object ids, and None, in the order in which they were heads
        self.sent, self.late = [], []
        self.failed = collections.Counter()  # (commit, image) → builds that failed
        self.services = []
        self.restless = ""  # why it was not settled, when last looked at

    def note(self, text):
        self.log.append(f"{time.monotonic() - self.began:7.2f} s  {text}")

    # --- the repository ---

    def make_commits(self):
        lines = []
        for commit in self.history.commits:
            message = f"{commit.mark} of shuffle {self.history.number}"
            lines += [f"commit refs/made/{commit.mark}", f"mark :{commit.mark}",
                      f"committer Ana <ana@example.com> {1700000000 + commit.mark} +0000",
                      f"data {len(message)}", message]
            if commit.parent:
                lines.append(f"from :{commit.parent}")
            content = "FROM scratch\nARG WHICH\n"
            lines += ["M 100644 inline Dockerfile", f"data {len(content)}", content,
                      "M 100644 inline text", f"data {len(message)}", message, ""]
        self.git("fast-import", "--quiet", stdin="\n".join(lines))
        refs = self.git("for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/made").splitlines()
        self.git("update-ref", "--stdin", stdin="".join(f"delete refs/made/{ref.split()[0]}\n" for ref in refs))
        return {int(mark): commit for mark, commit in (ref.split() for ref in refs)}

    def git(self, *words, stdin=None):
        done = subprocess.run(["git", *words], cwd=self.repository.bare, env=ENVIRONMENT, input=stdin, text=True,
                              capture_output=True)
        assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def head(self, branch):
        return self.heads[branch][-1] if self.heads[branch] else None

    def is_bad(self, commit):
        return self.marks[commit].fails == ALWAYS

    # --- the services ---

    def make_services(self):
        for at, (branch, argument, count) in enumerate(self.history.services):
            notes = {"build-args": f'{{"WHICH": "{argument}"}}'} if argument else {}
            destination = f"{self.place.images}/s{self.history.number}-{at}"
            self.services += [self.place.service(f"s{self.history.number}", repository=self.repository, branch=branch,
                                                 destination=destination, annotations=notes) for _ in range(count)]

    def are_seen(self):
        return all(self.agent.api("GET", service.path).status == 200 for service in self.services)

    @staticmethod
    def branch_of(service):
        return service.made["metadata"]["annotations"][ANNOTATION + "branch"]

    # --- playing it ---

    def play(self):
        for event in self.history.events:
            time.sleep(event.pause)  # a part of the history: nothing is awaited
            self.move(event)
            self.deliver_late(1)
        self.history.chance.shuffle(self.late)
        self.deliver_late(ALWAYS)

    def move(self, event):
        commit = event.commit and self.commits[event.commit.mark]
        before = self.head(event.branch)
        if commit != before:
            self.heads[event.branch].append(commit)  # before anybody can know
            ref = f"refs/heads/{event.branch}"
            self.git("update-ref", *([ref, commit] if commit else ["-d", ref]))
        fails = {0: "", 1: ", whose first build fails", ALWAYS: ", whose builds fail"}[event.commit.fails if commit else 0]
        self.note(f"{event.branch} {event.what} {commit[:12] if commit else ''}{fails}; its webhook is {event.fate}")
        delivery = self.push_of(event.branch, commit, before)
        if event.fate in ("told", "repeated"):
            self.deliver(delivery)
        if event.fate in ("late", "repeated", "late and repeated"):
            self.late.append([event.later, delivery])
        if event.fate == "late and repeated":
            self.late.append([event.later + 1, delivery])

    def push_of(self, branch, commit, before=None):
        payload = github_push(self.repository.url, commit or ZEROS, f"refs/heads/{branch}", before or ZEROS)
        return github(payload, FORGE_SECRETS["github"])

    def deliver(self, delivery):
        answer = self.agent.deliver(delivery)
        assert answer.status == 202, answer
        self.note(f"  delivered {delivery.id}: {answer.json['reason']}")
        self.sent.append(delivery)

    def deliver_late(self, events):
        for waiting in self.late:
            waiting[0] -= events
        due = [delivery for left, delivery in self.late if left <= 0]
        self.late = [waiting for waiting in self.late if waiting[0] > 0]
        for delivery in due:
            self.deliver(delivery)

    # --- its builds ---

    def decide(self, build):
        """Of the commit and the recipe, so that a replay has the same."""
        key = build.commit, build.image.rpartition(":")[0]
        mark, recipe = self.marks[build.commit].mark, key[1].rpartition("-")[2]
        chance = random.Random(f"{self.history.seed} build {self.history.number} {mark} {recipe}")
        takes = chance.choice((0, chance.uniform(0, LONGEST_BUILD)))
        fails = self.failed[key] < self.marks[build.commit].fails
        self.failed[key] += fails
        self.note(f"  {build.job} of {build.commit[:12]} for {build.branch} starts, takes {takes:.1f} s"
                  f"{' and fails' if fails else ''}")
        return Outcome(takes, int(fails), FAILED if fails else None)

    # --- what became of it ---

    def builds(self):
        return self.agent.builds_of(self.repository)

    def deliveries(self):
        return self.agent.deliveries(repository=self.identity)["deliveries"]

    def final(self, delivery):
        found = self.agent.get(f"/v1/deliveries/{delivery.id}")
        return None if found["pending"] else found

    def unsettled(self, seen):
        """Why it is not as it must be in the end, or None. A head whose first build failed is pushed again."""
        builds = self.builds()
        unfinished = [build for build in builds if build["state"] in ("waiting", "fetching", "running", "pushed")]
        if unfinished:
            return f"{[(build['build'], build['state']) for build in unfinished]} go on"
        pending = [found["delivery"] for found in self.deliveries() if found["pending"]]
        if pending:
            return f"deliveries are pending: {pending}"
        for service in self.services:
            head = self.head(self.branch_of(service))
            if head is None:
                continue
            of_head = [build for build in builds if build["commit"] == head and
                       build["image"].rpartition(":")[0] == service.destination]
            if not of_head:
                return f"the head {head[:12]} was not built for {service.name}"
            newest = of_head[0]
            if newest["state"] == "failed" and not self.is_bad(head):
                self.note(f"{head[:12]} is pushed again")
                self.deliver(self.push_of(self.branch_of(service), head))
                return f"{head[:12]} is pushed again"
            if self.is_bad(head):
                if (newest["state"], newest["reason"]) != ("failed", "build-failed"):
                    return f"the build of the bad head is {newest}"
            elif seen.commit(service) != head or seen.image(service) != f"{newest['image']}@{newest['digest']}":
                return (f"{service.name} has {seen.image(service)} of {seen.commit(service)}, "
                        f"the head is {head[:12]}: {newest}")
        return None

    def settle(self, seen, sweep):
        """It comes to rest as it must be, and stays so while the branches are looked at once more."""
        rests = [None]

        def settled():
            why = self.unsettled(seen)
            if why != self.restless:
                self.note(f"  rests: {why or 'as it must be'}")
            self.restless = why
            rests[0] = None if why else rests[0] or time.monotonic()
            return rests[0] and time.monotonic() - rests[0] > 1.5 * sweep
        eventually(settled, "it rests", SETTLES, every=0.5)
        for branch, heads in self.heads.items():
            if heads and heads[-1] is None:
                delivery = self.push_of(branch, heads[-2])
                self.deliver(delivery)
                outcome = eventually(lambda: self.final(delivery), "it is final", SETTLES, every=0.5)
                assert outcome["reason"] == "branch-missing", outcome

    def transcript(self, seen):
        lines = [f"shuffle {self.history.number}: {self.repository.url}", *self.log, "builds, newest first:"]
        lines += [f"  {build['build']} {build['commit'][:12]} {build['branch']} {build['job']} {build['state']} "
                  f"{build['reason']} {build['detail']}" for build in self.builds()]
        lines.append("deliveries, newest first:")
        lines += [f"  {found['delivery']} {found['branch']} {found['reason']} {found['detail']}"
                  for found in self.deliveries()]
        for service in self.services:
            lines.append(f"{service.name} ({self.branch_of(service)}) had " +
                         ", ".join(f"{commit and commit[:12]}" for commit, _ in seen.images[service.name]))
        return "\n".join(lines)

    def remove(self):
        for service in self.services:
            service.delete()


class Seen:
    """What two watches, begun before the first push, told of Jobs and images."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.images = collections.defaultdict(list)  # service → (commit, image) as they came
        self.jobs = {}  # uid → facts, in the order in which they were made

    def note_cronjob(self, _, cronjob):
        meta, image = cronjob["metadata"], container_of(cronjob)["image"]
        had = self.images[meta["name"]]
        if not had or had[-1][1] != image:
            had.append((meta.get("annotations", {}).get(ANNOTATION + "commit"), image))

    def note_job(self, _, job):
        meta = job["metadata"]
        notes = {key.removeprefix(ANNOTATION): value for key, value in meta.get("annotations", {}).items()}
        if f"/{self.namespace}/" not in notes.get("repository", ""):
            return
        facts = self.jobs.setdefault(meta["uid"], {"name": meta["name"], "cancelled": False, **notes})
        conditions = job.get("status", {}).get("conditions", [])
        over = any(condition["status"] == "True" for condition in conditions)
        if "cancelled" in notes and not over:
            facts["cancelled"] = True

    def commit(self, service):
        return self.images[service.name][-1][0] if self.images[service.name] else None

    def image(self, service):
        return self.images[service.name][-1][1] if self.images[service.name] else None

    def jobs_of(self, repository):
        return [facts for facts in list(self.jobs.values()) if facts["repository"] == repository]


def in_order(commits, heads):
    """Whether the commits came in an order in which they were heads."""
    heads = iter(heads)
    return all(any(head == commit for head in heads) for commit in commits)


def wrongs(shuffle, seen):
    """What must never happen, and did."""
    found = []
    jobs = seen.jobs_of(shuffle.identity)
    names = collections.Counter(job["name"] for job in jobs)
    found += [f"Job {name} was made {count} times" for name, count in names.items() if count > 1]
    found += [f"{build['build']} of {build['commit'][:12]} never was to start, but had the Job {build['job']}"
              for build in shuffle.builds() if build["state"] == build["reason"] == "superseded" and build["job"] in names]
    for recipe in {job["recipe"] for job in jobs}:
        cancelled = [job["cancelled"] for job in jobs if job["recipe"] == recipe]
        if any(one and other for one, other in zip(cancelled, cancelled[1:])):
            found.append(f"two Jobs in a row were cancelled: {[job for job in jobs if job['recipe'] == recipe]}")
    for service in shuffle.services:
        commits = [commit for commit, _ in seen.images[service.name] if commit]
        heads = shuffle.heads[shuffle.branch_of(service)]
        if not in_order(commits, heads):
            found.append(f"{service.name} had {[commit[:12] for commit in commits]}, the heads were "
                         f"{[head and head[:12] for head in heads]}")
        found += [f"{service.name} had an image of {commit[:12]}, which cannot be built" for commit in commits
                  if shuffle.is_bad(commit)]
    told = {found["delivery"] for found in shuffle.deliveries()}
    found += [f"delivery {delivery.id} is gone" for delivery in shuffle.sent if delivery.id not in told]
    return found
