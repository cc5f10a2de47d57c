"""Two agents on one cluster: they share work through Kubernetes alone, and one takes over what the other left."""

import collections
import concurrent.futures
import random
import secrets
import shutil
import threading
import time

import pytest

from agents import HELPER, TOKENS, merged
from cluster import path_of
from gatekeepers import Gatekeeper
from ledger import Ledger
from places import ANNOTATION, Service
from quick_builds import QuickBuilds, Outcome, at_once, failing, held
from two_agents import Twin, force_back, nothing_twice, quick_push, same_truth
from waiting import eventually

PULL_TROUBLE = "error building image: dial tcp 192.0.2.1:443: connect: connection refused"


@pytest.fixture(scope="module")
def quick(cluster):
    with QuickBuilds(cluster) as quick:
        yield quick


@pytest.fixture(scope="module")
def own_place(new_place):
    return new_place("agents")


@pytest.fixture(scope="module")
def pair(own_place, quick):
    """Neither looks by itself: what one does for the other comes from what it sees in the cluster."""
    agents = [Twin(own_place, name, **quick.settings()) for name in ("one", "other")]
    for agent in agents:
        agent.start()
    yield agents
    for agent in agents:
        agent.finish()


@pytest.fixture
def agents(pair, quick):
    """Both live, whatever the test before left; builds end at once."""
    quick.decide = at_once
    quick.release_all()
    for agent in pair:
        agent.variables = {}
        if agent.frozen:
            agent.thaw()
        if agent.process is None:
            agent.start()
    yield pair
    quick.decide = at_once
    quick.release_all()


@pytest.fixture
def gatekeeper(own_place):
    gatekeeper = Gatekeeper(own_place.cluster, [own_place.namespace, own_place.builds_namespace], own_place.directory)
    yield gatekeeper
    gatekeeper.finish()


@pytest.fixture
def book(own_place):
    with Ledger(own_place) as book:
        yield book


class Work:
    def __init__(self, place, agents, word, **more):
        self.place, self.agents, self.head = place, agents, None
        self.repository = place.repository(word)
        self.service = place.service(word, repository=self.repository, **more)
        for agent in agents:
            self.service.seen_by(agent)

    def push(self, text, *told):
        commit = quick_push(self.repository, text)
        return commit, [agent.told_of(self.repository, commit) for agent in told]

    def is_live(self, commit, seconds=120):
        eventually(lambda: self.service.annotation("commit") == commit, f"{commit} is live", seconds)
        return self


# --- the same work ---

def test_both_hear_of_a_push(agents, own_place, book):
    work = Work(own_place, agents, "both")
    commit, deliveries = work.push("both", *agents)
    for agent, delivery in zip(agents, deliveries):
        agent.outcome_of(delivery, "deployed")
    same_truth(agents, work.repository, work.service, commit)
    assert nothing_twice(book) == (1, 1)


def test_one_hears_of_a_push_and_the_other_knows(agents, own_place, book):
    """By its Job; and later by a delivery, when there is no Job any more."""
    one, other = agents
    work = Work(own_place, agents, "told")
    commit, [delivery] = work.push("told", one)
    one.outcome_of(delivery, "deployed")
    same_truth(agents, work.repository, work.service, commit)
    told = {agent.name: agent.log_text().count(f"commit={commit}") for agent in agents}
    assert told["one"] and told["other"], told
    patched = lambda: [event for event in work.service.events() if event["reason"] == "ImagePatched"]
    assert [event.get("count", 1) for event in eventually(patched, "it is told")] == [1]
    other.kill()
    second, [delivery] = work.push("told again", one)
    one.outcome_of(delivery, "deployed")
    for job in own_place.build_jobs(work.repository):
        own_place.cluster.delete("jobs", own_place.builds_namespace, job["metadata"]["name"])
    eventually(lambda: not own_place.build_jobs(work.repository), "their time to live is over")
    other.start(until_ready=False)
    told = other.outcome(other.told_of(work.repository, second))
    assert told["reason"] in ("deployed", "unchanged"), told  # it may have found out by itself before
    same_truth(agents, work.repository, work.service, second)
    assert nothing_twice(book) == (2, 2)


def test_a_passing_failure_is_tried_again_once(agents, own_place, quick, book):
    quick.decide = lambda build: Outcome(exit_code=1, message=PULL_TROUBLE) if build.job.endswith("-1") else Outcome()
    work = Work(own_place, agents, "passing")
    commit, deliveries = work.push("passing", *agents)
    for agent, delivery in zip(agents, deliveries):
        agent.outcome_of(delivery, "deployed")
    assert {build["attempt"] for build in same_truth(agents, work.repository, work.service, commit)} == {2}
    assert nothing_twice(book) == (2, 1)


def test_a_failure_is_not_tried_again_by_the_one_that_hears_late(agents, own_place, quick, book):
    """It takes the verdict on the Job that is there; asked again after that, both are at one next attempt."""
    one, other = agents
    quick.decide = lambda build: Outcome(exit_code=1, message="no such file") if build.job.endswith("-1") else Outcome()
    work = Work(own_place, agents, "failing")
    other.freeze()
    commit, [delivery] = work.push("failing", one)
    one.outcome_of(delivery, "build-failed")
    other.thaw()
    eventually(lambda: (other.build_of(work.repository, commit) or {}).get("state") == "failed", "the other knows", 60)
    assert len(own_place.build_jobs(work.repository)) == 1
    for agent, again in [(agent, agent.told_of(work.repository, commit)) for agent in agents]:
        agent.outcome_of(again, "deployed")
    same_truth(agents, work.repository, work.service, commit)
    assert nothing_twice(book) == (2, 1)


# Asks a replica instead, as long as there is one.
LAGGING_HELPER = """#!/bin/sh
request=$(cat)
[ ! -e {replica} ] || request=$(printf %s "$request" | sed "$(cat {replica})")
exec {helper} <<END
$request
END
"""


@pytest.fixture
def lagging(own_place, quick):
    """Two agents, of which the second asks a replica of the remote that `.replica_of(repository)` makes."""
    directory = own_place.directory / "lagging"
    directory.mkdir()
    script, replica = directory / "cronwright-git", directory / "replica"
    script.write_text(LAGGING_HELPER.format(replica=replica, helper=HELPER))
    script.chmod(0o755)
    one = Twin(own_place, "prompt", **quick.settings())
    other = Twin(own_place, "late", **merged(quick.settings(), {"git": {"helper": str(script)}}))

    def replica_of(repository):
        shutil.copytree(repository.bare, repository.bare.with_name(f"replica-{repository.bare.name}"))
        replica.write_text(f"s#/{repository.bare.name}#/replica-{repository.bare.name}#g")
    other.replica_of, other.catches_up = replica_of, replica.unlink
    for agent in (one, other):
        agent.start()
    yield one, other
    for agent in (one, other):
        agent.finish()


def test_remotes_that_disagree(lagging, own_place, book):
    """Each agent believes its own; neither patches for ever, and they agree when their remotes do."""
    one, other = lagging
    work = Work(own_place, lagging, "replica")
    old, deliveries = work.push("old", *lagging)
    for agent, delivery in zip(lagging, deliveries):
        agent.outcome_of(delivery, "deployed")
    other.replica_of(work.repository)
    new, _ = work.push("new")

    def gives_in():
        for agent in lagging:
            agent.outcome(agent.told_of(work.repository, new))
        return any("a service gets another commit each time" in agent.log_text() for agent in lagging)
    eventually(gives_in, "one of them gives in", 120)
    other.catches_up()
    other.outcome(other.told_of(work.repository, new))
    one.outcome(one.told_of(work.repository, new))
    work.is_live(new)
    book.catch_up()
    assert 2 <= len([patch for patch in book.patches if patch.name == work.service.name]) <= 9, (old, book.patches)


# --- different work ---

def test_the_one_that_has_not_heard_of_the_newer_push(agents, own_place, quick, book):
    """The other cancels the build of both, once; what is built is the newer."""
    quick.decide = held
    one, other = agents
    work = Work(own_place, agents, "newer")
    first, _ = work.push("first", *agents)
    quick.await_running(first)
    for agent in agents:
        agent.build_reaches(work.repository, first, "running")
    second, _ = work.push("second", other)
    build = quick.await_running(second)
    for agent in agents:
        assert agent.build_reaches(work.repository, first, "superseded")["reason"] == "cancelled"
        agent.build_reaches(work.repository, second, "running")
    third, _ = work.push("third", one)
    eventually(lambda: all(agent.build_of(work.repository, third) for agent in agents[:1]), "it heard of the third")
    quick.release(build)  # not cancelled: that would be twice in a row
    for agent in agents:
        agent.build_reaches(work.repository, second, "done")
    quick.release(quick.await_running(third))
    work.is_live(third)
    same_truth(agents, work.repository, work.service, third)
    assert [other.build_of(work.repository, commit)["reason"] for commit in (first, second)] == ["cancelled", "deployed"]
    assert nothing_twice(book) == (3, 2)


def test_an_older_build_never_overwrites_what_another_deployed(agents, own_place, quick, gatekeeper, book):
    """Its patch is on its way while the other deploys a newer commit, which it has not heard of."""
    one, other = agents
    work = Work(own_place, agents, "older")
    other.kill()
    zeroth, [delivery] = work.push("zeroth", one)
    one.outcome_of(delivery, "deployed")
    late = gatekeeper.hold("cronjobs", ANNOTATION + "commit", quick_push(work.repository, "first"))
    first = late.wanted[2]
    one.told_of(work.repository, first)
    late.await_arrival()
    one.freeze()
    second = quick_push(work.repository, "second")
    other.start()  # it asks for the head by itself, and must not find the first
    work.is_live(second)
    late.release()
    one.thaw()
    same_truth(agents, work.repository, work.service, second)
    ended = one.build_reaches(work.repository, first, "done", "superseded")
    assert ended["reason"] == "superseded", ended
    assert nothing_twice(book)[1] == 2 and work.service.annotation("commit") == second


def test_frozen_with_what_is_old_by_now(agents, own_place, quick, book):
    """It thaws with an old head, and a context that it was about to make a Job for."""
    one, other = agents
    work = Work(own_place, agents, "frozen")
    first, _ = work.push("first", *agents)
    work.is_live(first)
    one.told_of(work.repository, quick_push(work.repository, "second"))
    one.freeze()
    third, [delivery] = work.push("third", other)
    other.outcome_of(delivery, "deployed")
    one.thaw()
    same_truth(agents, work.repository, work.service, third)
    nothing_twice(book)


def test_pushed_back_to_a_commit_whose_build_was_cancelled_while_one_was_away(agents, own_place, quick, book):
    """The attempt was made: the one that was away does not make it again."""
    one, other = agents
    work = Work(own_place, agents, "again")
    zeroth, _ = work.push("zeroth", *agents)
    work.is_live(zeroth)
    other.kill()
    quick.decide = held
    first, _ = work.push("first", one)
    quick.await_running(first)
    second, _ = work.push("second", one)
    one.build_reaches(work.repository, first, "superseded")
    build = quick.await_running(second)
    quick.release(build)
    work.is_live(second)
    quick.decide = at_once
    one.kill()
    other.start()
    force_back(work.repository, first)
    other.outcome_of(other.told_of(work.repository, first), "deployed")
    one.start()
    same_truth(agents, work.repository, work.service, first)
    assert other.build_of(work.repository, first)["attempt"] == 2
    assert nothing_twice(book) == (4, 4 - 1)


def test_waiting_build_joins_the_attempt_that_another_is_at(agents, own_place, quick, book):
    """The Job of the one before is gone, and is not made again."""
    one, idle = agents
    idle.kill()
    with Twin(own_place, "busy", **merged(quick.settings(), {"builds": {"maxConcurrent": 1}})) as busy:
        quick.decide = held
        before, work = Work(own_place, [one, busy], "before"), Work(own_place, [one, busy], "further")
        quick.await_running(before.push("before", busy)[0])
        quick.decide = failing
        commit, _ = work.push("further", busy)
        assert busy.build_reaches(work.repository, commit, "waiting")["attempt"] == 1
        busy.freeze()
        one.outcome_of(one.told_of(work.repository, commit), "build-failed")
        quick.decide = held
        one.told_of(work.repository, commit)
        second = quick.await_running(commit)
        [first] = {job["metadata"]["name"] for job in own_place.build_jobs(work.repository)} - {second.job}
        own_place.cluster.delete("jobs", own_place.builds_namespace, first)
        eventually(lambda: len(own_place.build_jobs(work.repository)) == 1, "its time to live is over")
        busy.thaw()
        assert busy.build_reaches(work.repository, commit, "running")["job"] == second.job
        quick.decide = at_once
        quick.release_all()
        same_truth([one, busy], work.repository, work.service, commit)
        before.is_live(before.repository.commit_of_head())
    assert nothing_twice(book) == (3, 2)


# --- taking over ---

STAGES = ["before-job-created", "after-job-created", "after-secret-created", "after-build-running",
          "before-digest-confirmed", "after-build-pushed", "before-image-patched", "after-image-patched"]


def pytest_generate_tests(metafunc):
    if "taken_over_at" in metafunc.fixturenames:
        all_of_them = metafunc.config.option.full
        metafunc.parametrize("taken_over_at", STAGES if all_of_them else STAGES[:2] + STAGES[-2:-1])


def test_what_a_dead_agent_left_is_taken_over(agents, own_place, book, taken_over_at):
    """The other was not told of the push, and does not sweep: it sees the Job. Before there is a Job, its sweep finds
    the push."""
    one, other = agents
    work = Work(own_place, agents, taken_over_at)
    zeroth, _ = work.push("zeroth", *agents)
    work.is_live(zeroth)
    same_truth(agents, work.repository, work.service, zeroth)
    one.stop()
    one.dies_at(taken_over_at)
    one.start()
    if taken_over_at == "before-job-created":
        sweeping(other, "2s")
    other.freeze()  # so that the first has the start of it
    first, _ = work.push("first", one)
    one.await_death()
    other.thaw()
    work.is_live(first)
    if taken_over_at == "before-job-created":
        sweeping(other, "1h")
    one.start()
    same_truth(agents, work.repository, work.service, first)
    assert nothing_twice(book) == (2, 2)


def sweeping(agent, interval):
    agent.stop()
    agent.config["sweep"] = {"interval": interval}
    agent.start()


@pytest.mark.parametrize("stage", ["after-cancel-recorded", "before-job-cancelled", "after-job-cancelled"])
def test_what_a_dead_agent_cancelled(agents, own_place, quick, book, stage):
    """Half done: the other finishes it when it hears of the newer push, or by what the Job says."""
    one, other = agents
    work = Work(own_place, agents, stage)
    one.stop()
    one.dies_at(stage)
    one.start()
    quick.decide = held
    first, _ = work.push("first", *agents)
    quick.await_running(first)
    for agent in agents:
        agent.build_reaches(work.repository, first, "running")
    second = quick_push(work.repository, "second")
    one.told_of(work.repository, second)
    one.await_death()
    quick.decide = at_once
    if stage != "after-job-cancelled":
        other.told_of(work.repository, second)
    work.is_live(second)
    assert other.build_reaches(work.repository, first, "superseded")["reason"] == "cancelled"
    one.start()
    same_truth(agents, work.repository, work.service, second)
    assert nothing_twice(book) == (2, 1)


def test_frozen_while_kaniko_runs(agents, own_place, quick, book):
    """The other deploys; the one that thaws has nothing left to do."""
    quick.decide = held
    one, other = agents
    work = Work(own_place, agents, "stopped")
    commit, [delivery] = work.push("stopped", one)
    build = quick.await_running(commit)
    one.build_reaches(work.repository, commit, "running")
    one.freeze()
    quick.release(build)
    work.is_live(commit)
    one.thaw()
    one.outcome_of(delivery, "deployed")
    same_truth(agents, work.repository, work.service, commit)
    assert nothing_twice(book) == (1, 1)


# --- runs ---

def test_forced_runs_with_one_key_are_one(agents, own_place, book):
    service = own_place.service("forced", template={"nodeSelector": {"tests.cronwright.io/nowhere": "at-all"}})
    for agent in agents:
        service.seen_by(agent)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            key = [("Idempotency-Key", secrets.token_hex(8)), ("Authorization", f"Bearer {TOKENS['runner']}")]
            asked = [pool.submit(agent.api, "POST", f"{service.path}/runs", {"ifActive": "allow"}, None, key)
                     for agent in agents * 4]
            answers = [answer.result() for answer in asked]
            assert sorted(answer.status for answer in answers) == [200] * 7 + [201], answers
            assert len({answer.json["name"] for answer in answers}) == 1
    assert len(service.jobs()) == 5
    nothing_twice(book)
    service.clear()


def test_the_first_run_of_each_image_is_made_once(agents, own_place, book):
    work = Work(own_place, agents, "first-runs", annotations={"first-run": "onImage"},
                spec={"concurrencyPolicy": "Allow"},
                template={"nodeSelector": {"tests.cronwright.io/nowhere": "at-all"}})
    for number in range(3):
        commit, _ = work.push(str(number), *agents)
        work.is_live(commit)
        eventually(lambda: work.service.annotation("first-run-due") is None, "its mark is gone")
    made = [job["metadata"]["annotations"][ANNOTATION + "commit"] for job in work.service.jobs()]
    assert len(made) == len(set(made)) == 3
    nothing_twice(book)
    work.service.clear()


# --- what people and tools do meanwhile ---

def test_rolled_back_by_one_and_resumed_by_the_other(agents, own_place, book):
    one, other = agents
    work = Work(own_place, agents, "pinned")
    first, _ = work.push("first", *agents)
    work.is_live(first)
    image = work.service.image()
    same_truth(agents, work.repository, work.service, first)
    second, _ = work.push("second", *agents)
    work.is_live(second)
    same_truth(agents, work.repository, work.service, second)
    for agent in agents:  # the history of images is of both, in each one's own numbers
        [_, earlier] = agent.get(f"{work.service.path}/images")["images"][:2]
        assert (earlier["image"], earlier["build"]) == (image, agent.build_of(work.repository, first)["build"])
    assert one.api("POST", f"{work.service.path}/rollback", {"to": one.build_of(work.repository, first)["build"]}
                   ).status == 200
    assert work.service.image() == image
    eventually(lambda: work.service.status(other)["pinned"], "the other sees it")
    third, deliveries = work.push("third", *agents)
    for agent, delivery in zip(agents, deliveries):
        agent.outcome_of(delivery, "pinned")
    assert work.service.image() == image
    assert other.api("POST", f"{work.service.path}/resume", {}).status == 200
    work.is_live(third)
    assert work.service.annotation("pinned") is None
    nothing_twice(book, again=(first,))


def test_the_hand_wins_in_mid_build(agents, own_place, quick, book):
    quick.decide = held
    work = Work(own_place, agents, "hand")
    commit, deliveries = work.push("hand", *agents)
    build = quick.await_running(commit)
    for agent in agents:
        agent.build_reaches(work.repository, commit, "running")
    quick.release(build)
    work.is_live(commit)
    second, deliveries = work.push("second", *agents)
    build = quick.await_running(second)
    by_hand = own_place.cluster.busybox_image
    work.service.set_image(by_hand)
    for agent in agents:
        eventually(lambda: work.service.status(agent)["pinned"], "it is seen")
    quick.release(build)
    for agent, delivery in zip(agents, deliveries):
        agent.outcome_of(delivery, "pinned")
    assert work.service.image() == by_hand
    assert nothing_twice(book) == (2, 1)


def test_deleted_and_made_again_in_mid_build(agents, own_place, quick, book):
    """The build of the one that went is ended; the one of the same name is built in an attempt of its own."""
    quick.decide = held
    work = Work(own_place, agents, "remade")
    commit, _ = work.push("remade", *agents)
    quick.await_running(commit)
    for agent in agents:
        agent.build_reaches(work.repository, commit, "running")
    work.service.delete()
    for agent in agents:
        assert "no service" in agent.build_reaches(work.repository, commit, "superseded")["detail"]
    quick.decide = at_once
    work.service = Service(own_place, work.service.name, repository=work.repository)
    for agent, reasons in zip(agents, [{"deployed"}, {"deployed", "unchanged"}]):  # the second may have joined before
        work.service.seen_by(agent)
        assert agent.outcome(agent.told_of(work.repository, commit))["reason"] in reasons
    same_truth(agents, work.repository, work.service, commit)
    assert nothing_twice(book) == (2, 1)


def test_made_again_after_it_was_deployed(agents, own_place, book):
    """It gets the image that is there."""
    work = Work(own_place, agents, "anew")
    commit, _ = work.push("anew", *agents)
    work.is_live(commit)
    same_truth(agents, work.repository, work.service, commit)
    work.service.delete()
    work.service = Service(own_place, work.service.name, repository=work.repository)
    work.is_live(commit)
    assert nothing_twice(book) == (1, 2)


def test_a_gitops_tool_that_puts_the_old_image_back(agents, own_place, book):
    """That is undone once, by either of them, and not fought about."""
    work = Work(own_place, agents, "gitops")
    first, _ = work.push("first", *agents)
    work.is_live(first)
    old = work.service.image()
    second, deliveries = work.push("second", *agents)
    work.is_live(second)
    for agent, delivery in zip(agents, deliveries):
        agent.outcome_of(delivery, "deployed")
    new = work.service.image()
    apply_image(own_place.cluster, work.service, old)
    eventually(lambda: work.service.image() == new, "it is put back", 60)
    apply_image(own_place.cluster, work.service, old)
    third, deliveries = work.push("third", *agents)  # a new image is another matter
    for agent, delivery in zip(agents, deliveries):
        agent.outcome_of(delivery, "deployed")
    work.is_live(third)


def apply_image(cluster, service, image):
    """As a release that writes the whole list, by a manager that is known for that."""
    cluster.call("PATCH", path_of("cronjobs", service.namespace, service.name, fieldManager="helm"),
                 {"spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [
                     {"name": "main", "image": image}]}}}}}}, "application/strategic-merge-patch+json")


# --- upgrade ---

def test_what_an_earlier_version_patched_is_not_built_again(agents, own_place, book):
    """It wrote its own number of the build, and neither the recipe nor who it was."""
    one, other = agents
    works = [Work(own_place, agents, "upgrade") for _ in range(4)]
    other.kill()
    for work in works:
        work.commit, [delivery] = work.push("of before", one)
        one.outcome_of(delivery, "deployed")
    one.kill()
    for work in works:
        work.service.merge(metadata={"annotations": {ANNOTATION + "recipe": None, ANNOTATION + "patched-by": None}})
        for job in own_place.build_jobs(work.repository):
            own_place.cluster.delete("jobs", own_place.builds_namespace, job["metadata"]["name"])
    for agent in agents:
        agent.start()
    for work in works:
        for agent in agents:
            assert agent.outcome(agent.told_of(work.repository, work.commit))["reason"] in ("deployed", "unchanged")
        for agent in agents:
            build = agent.build_of(work.repository, work.commit)
            assert (build["state"], f"{build['image']}@{build['digest']}") == ("done", work.service.image())
    assert nothing_twice(book) == (len(works), len(works))
    for work in works:
        work.commit, _ = work.push("of now", *agents)
    for work in works:
        same_truth(agents, work.repository, work.service, work.commit)
        assert work.service.annotation("recipe") and work.service.annotation("patched-by")
    assert nothing_twice(book) == (2 * len(works), 2 * len(works))


# --- at random ---

class Round:
    """What is done to two agents in one go."""

    def __init__(self, chance, agents, works):
        self.chance, self.agents, self.works = chance, agents, works
        self.totals = collections.Counter()
        self.away = {}  # agent → how many more rounds it is frozen or dead

    def push(self):
        work = self.chance.choice(self.works)
        self.totals["pushes"] += 1
        commit = quick_push(work.repository, str(self.totals["pushes"]))
        work.head = commit
        told = self.chance.choice([self.agents, self.agents[:1], self.agents[1:], []])
        self.totals[f"told {len(told)}"] += 1
        for agent in told:
            if agent.process and not agent.frozen:
                agent.told_of(work.repository, commit)

    def trouble(self):
        agent = self.chance.choice(self.agents)
        if agent in self.away:
            return
        kind = self.chance.choice(["kill", "kill", "freeze", "freeze", "stop", "restart"])
        self.totals[kind] += 1
        {"kill": agent.kill, "freeze": agent.freeze, "stop": agent.stop, "restart": agent.restart}[kind]()
        if kind != "restart":
            self.away[agent] = self.chance.randrange(4)

    def bring_back(self, everyone=False):
        for agent, rounds in list(self.away.items()):
            if rounds > 0 and not everyone:
                self.away[agent] = rounds - 1
                continue
            del self.away[agent]
            if agent.frozen:
                agent.thaw()
            else:
                agent.start()

    def run(self):
        for _ in range(self.chance.randrange(1, 4)):
            self.push()
        if self.chance.random() < 0.4:
            self.trouble()
        if self.chance.random() < 0.3:
            self.force()
        time.sleep(self.chance.choice([0, 0, 0.1, 0.5, 1.5]))  # so that not every push overtakes the one before
        self.bring_back()

    def force(self):
        """One wish, told to whoever hears it, perhaps twice."""
        work = self.chance.choice(self.works)
        key = secrets.token_hex(8)
        names = set()
        for agent in self.chance.choices(self.agents, k=3):
            if not agent.process or agent.frozen or service_not_built(work.service):
                continue
            answer = agent.api("POST", f"{work.service.path}/runs", {"ifActive": "allow"}, token="runner",
                               headers=[("Idempotency-Key", key)])
            assert answer.status in (200, 201), answer
            names.add(answer.json["name"])
        assert len(names) <= 1, names
        self.totals["runs"] += len(names)


def service_not_built(service):
    return ":cronwright-not-built" in service.image()


def settled(rounds):
    """Both live, and everything is as it should be in the end."""
    rounds.bring_back(everyone=True)
    for work in rounds.works:
        if work.head:
            work.is_live(work.head, 240)
    for agent in rounds.agents:
        idle = lambda: not [build for build in agent.get("/v1/builds?limit=200")["builds"]
                            if build["state"] in ("waiting", "fetching", "running", "pushed")]
        eventually(idle, f"{agent.name} has nothing left to do", 240)
        told = lambda: not [delivery for delivery in agent.deliveries()["deliveries"] if delivery["pending"]]
        eventually(told, f"{agent.name} has no delivery left", 240)


def test_whatever_happens_to_either(cluster, new_place, chance, full):
    place = new_place("random")
    luck, lock = random.Random(chance.random()), threading.Lock()

    def trouble(build):
        with lock:
            fails, after = luck.random() < 0.1, luck.uniform(0, 2)
        return Outcome(exit_code=1, message=PULL_TROUBLE) if fails and build.job.endswith("-1") else Outcome(after)
    nowhere = {"nodeSelector": {"tests.cronwright.io/nowhere": "at-all"}}
    number = 400 if full else 12
    with QuickBuilds(cluster, trouble) as quick, Ledger(place) as book:
        agents = [Twin(place, name, sweep={"interval": "3s"}, **quick.settings()) for name in ("one", "other")]
        try:
            for agent in agents:
                agent.start()
            works = [Work(place, agents, f"random{i}", template=nowhere, spec={"concurrencyPolicy": "Allow"},
                          annotations={"first-run": "onImage"} if i == 0 else None) for i in range(4)]
            rounds = Round(chance, agents, works)
            for i in range(number):
                rounds.run()
                if i % 20 == 19 or i == number - 1:
                    settled(rounds)
                    jobs, patches = nothing_twice(book)
                    print(f"after {i + 1} rounds: {dict(rounds.totals)}, {jobs} Jobs, {patches} patches")
            for work in works:
                work.service.clear()
        finally:
            for agent in agents:
                agent.finish()
