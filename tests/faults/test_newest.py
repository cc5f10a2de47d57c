"""The newest commit wins: whatever the order in which pushes happen, are told and are built."""

import collections
import concurrent.futures
import contextlib

from agents import HELPER, Agent, push_of
from ledger import Watch
from quick_builds import Outcome, QuickBuilds, at_once, failing, held
from repositories import git
from shuffles import History, Polite, Seen, Shuffle, in_order, wrongs
from waiting import eventually

# Shuffles in all, and at once; seconds between sweeps, of which each asks for all that are played; builds at once: few,
# so that most wait, and are superseded while they do.
QUICK = 24, 24, 5, 6
FULL = 1000, 60, 30, 12


def settings_of(quick, sweep, places=4):
    builds = {**quick.settings()["builds"], "maxConcurrent": places, "timeout": "10m", "ttl": "10m"}
    return {"builds": builds, "sweep": {"interval": f"{sweep}s"}, "git": {"maxConcurrent": 6}, "log": {"level": "info"}}


@contextlib.contextmanager
def watched(cluster, place):
    """What becomes of Jobs and images, from now on."""
    seen = Seen(place.namespace)
    watches = [Watch(cluster, "cronjobs", place.namespace, seen.note_cronjob),
               Watch(cluster, "jobs", place.builds_namespace, seen.note_job)]
    seen.catch_up = lambda: [watch.catch_up() for watch in watches]
    yield seen
    for watch in watches:
        watch.ended.set()


class Table:
    """Shuffles that go on at the same time, on one agent."""

    def __init__(self, seed, sweep, place, agent, seen):
        self.seed, self.sweep, self.place, self.agent, self.seen = seed, sweep, place, agent, seen
        self.shuffles = {}  # by repository
        self.totals = collections.Counter()

    def decide(self, build):
        return self.shuffles[build.repository].decide(build)

    def play(self, number):
        """What is wrong with it, or None."""
        shuffle = Shuffle(History(self.seed, number), self.place, self.agent)
        self.shuffles[shuffle.identity] = shuffle
        try:
            shuffle.make_services()
            eventually(shuffle.are_seen, "the agent sees the services", 60, every=0.5)
            shuffle.play()
            shuffle.settle(self.seen, self.sweep)
            found = wrongs(shuffle, self.seen)
            assert not found, found
        except Exception as error:  # told with all that is known of it
            told = f"{error!r}\nseed {self.seed}, {shuffle.transcript(self.seen)}"
            print(told, flush=True)
            return told
        shuffle.remove()
        self.totals.update(shuffles=1, events=len(shuffle.history.events), deliveries=len(shuffle.sent),
                           builds=len(shuffle.builds()), jobs=len(self.seen.jobs_of(shuffle.identity)))
        if self.totals["shuffles"] % 50 == 0:
            print(dict(self.totals), flush=True)
        return None


def test_shuffles_end_at_the_head(cluster, new_place, request, full):
    place = new_place("newest")
    seed = request.config.option.seed
    count, together, sweep, places = FULL if full else QUICK
    with watched(cluster, place) as seen, QuickBuilds(cluster) as quick, \
            Agent(place, place.directory, **settings_of(quick, sweep, places)) as agent:
        table = Table(seed, sweep, place, Polite(agent), seen)
        quick.decide = table.decide
        with concurrent.futures.ThreadPoolExecutor(together) as pool:
            results = list(pool.map(table.play, range(count)))
        seen.catch_up()
    print(dict(table.totals))
    bad = [result for result in results if result]
    assert not bad, f"{len(bad)} of {len(results)} went wrong:\n" + "\n\n".join(bad[:5])


def push(agent, repository, text):
    commit = repository.push({"Dockerfile": "FROM scratch\n", "text": text})
    return commit, tell(agent, repository, commit)


def tell(agent, repository, commit):
    return agent.accept(push_of(repository, commit))


def force(repository, commit, branch="main"):
    """Without a webhook."""
    git(repository.bare, "update-ref", f"refs/heads/{branch}", commit)


def test_a_branch_that_is_pushed_more_often_than_a_build_lasts_deploys(cluster, new_place, full):
    place = new_place("restless")
    repository = place.repository("restless")
    service = place.service("restless", repository=repository)
    with watched(cluster, place) as seen, QuickBuilds(cluster, lambda _: Outcome(3)) as quick, \
            Agent(place, place.directory, **quick.settings()) as agent:
        service.seen_by(agent)
        heads, deployed = [], []
        while len(deployed) < (8 if full else 3):
            for _ in range(10):
                commit, delivery = push(agent, repository, str(len(heads)))
                heads.append(commit)
            deployed = [commit for commit, _ in seen.images[service.name] if commit]
            assert len(heads) < 600, "it never deploys"
        agent.outcome_of(delivery, "deployed", 120)
        assert service.annotation("commit") == heads[-1]
        seen.catch_up()
        commits = [commit for commit, _ in seen.images[service.name] if commit]
        assert in_order(commits, heads), (commits, heads)
        jobs = [job["cancelled"] for job in seen.jobs.values()]
        assert not any(one and other for one, other in zip(jobs, jobs[1:])), jobs
        # One build at a time, however many pushes: most never started.
        superseded = [build for build in agent.builds_of(repository) if build["reason"] == "superseded"]
        names = {job["name"] for job in seen.jobs.values()}
        assert superseded and not names & {build["job"] for build in superseded}


def test_a_build_is_cancelled_for_a_newer_one_but_not_the_next_too(cluster, new_place):
    place = new_place("cancelled")
    repository = place.repository("cancelled")
    service = place.service("cancelled", repository=repository)
    with QuickBuilds(cluster, held) as quick, Agent(place, place.directory, **quick.settings()) as agent:
        service.seen_by(agent)
        first, _ = push(agent, repository, "first")
        agent.build_reaches(repository, first, "running")
        quick.await_running(first)
        second, _ = push(agent, repository, "second")
        assert agent.build_reaches(repository, first, "superseded")["reason"] == "cancelled"
        agent.build_reaches(repository, second, "running")
        running = quick.await_running(second)
        third, _ = push(agent, repository, "third")
        agent.build_reaches(repository, third, "waiting")
        fourth, delivery = push(agent, repository, "fourth")
        assert agent.build_reaches(repository, third, "superseded")["reason"] == "superseded"
        waits = lambda: agent.build_reaches(repository, fourth, "waiting")["detail"] or ""
        eventually(lambda: "before it" in waits(), "the fourth says what it waits for")
        quick.decide = at_once
        quick.release(running)
        agent.build_reaches(repository, second, "done")
        agent.outcome_of(delivery, "deployed")
        assert service.annotation("commit") == fourth
        assert [len(quick.of(commit)) for commit in (first, second, third, fourth)] == [1, 1, 0, 1]


def test_a_branch_that_is_forced_back_and_forth_follows_each_time(cluster, new_place):
    """An image that was live before is written again: nobody else changes it."""
    place = new_place("back")
    repository = place.repository("back")
    service = place.service("back", repository=repository)
    with QuickBuilds(cluster) as quick, Agent(place, place.directory, **quick.settings()) as agent:
        service.seen_by(agent)
        commits = []
        for text in ("one", "other"):
            commit, delivery = push(agent, repository, text)
            agent.outcome_of(delivery, "deployed")
            commits.append(commit)
        for commit in commits * 5:
            force(repository, commit)
            agent.outcome(tell(agent, repository, commit))
            eventually(lambda: service.annotation("commit") == commit, "it is back")
        assert len(quick.builds) == 2


def test_what_no_webhook_told_is_built(cluster, new_place):
    """A branch that is made, one that comes back to what once failed, and one that is deleted and made again."""
    place = new_place("untold")
    repository = place.repository("untold")
    service = place.service("untold", repository=repository)
    with QuickBuilds(cluster) as quick, Agent(place, place.directory, **settings_of(quick, 3)) as agent:
        def missed(times):
            lines = [line for line in agent.log_text().splitlines() if "branch-missing" in line]
            return len(lines) >= times
        eventually(lambda: missed(1), "the agent sees that there is no branch")
        first = repository.push({"Dockerfile": "FROM scratch\n"})
        eventually(lambda: service.annotation("commit") == first, "a branch that was made is built", 60)

        quick.decide = failing
        second, delivery = push(agent, repository, "fails")
        agent.outcome_of(delivery, "build-failed")
        force(repository, first)
        eventually(lambda: agent.outcome(tell(agent, repository, first))["detail"].startswith(first[:12]), "it is back")
        quick.decide = at_once
        force(repository, second)
        eventually(lambda: service.annotation("commit") == second, "what failed is tried once more", 60)
        assert [build.state for build in quick.of(second)] == ["failed", "succeeded"]

        git(repository.bare, "update-ref", "-d", "refs/heads/main")
        eventually(lambda: missed(2), "the agent sees that the branch is gone")
        assert service.annotation("commit") == second
        force(repository, first)
        eventually(lambda: service.annotation("commit") == first, "it is made again", 60)
        assert len(quick.of(first)) == 1


def test_what_is_asked_for_again_has_all_its_attempts_again(cluster, new_place):
    """A registry that is away for a moment is no reason to give up, however often the commit failed before."""
    place = new_place("attempts")
    repository = place.repository("attempts")
    service = place.service("attempts", repository=repository)
    with QuickBuilds(cluster, failing) as quick, Agent(place, place.directory, **quick.settings()) as agent:
        service.seen_by(agent)
        commit, delivery = push(agent, repository, "fails")
        for _ in range(3):
            agent.outcome_of(delivery, "build-failed")
            delivery = tell(agent, repository, commit)
        agent.outcome_of(delivery, "build-failed")
        away = Outcome(exit_code=1, message=f"error pushing image: failed to push to destination {service.destination}: "
                                            "dial tcp 10.0.0.1:443: connect: connection refused")
        quick.decide = lambda build: Outcome() if build.job.endswith("-6") else away
        agent.outcome_of(tell(agent, repository, commit), "deployed")
        assert [build.job.rpartition("-")[2] for build in quick.of(commit)] == list("123456")


# Packs no build context of a repository while there is a file that says so; asks for heads all the same.
BROKEN_HELPER = """#!/bin/sh
request=$(cat)
case $request in *broken*'"commit"'*|*'"commit"'*broken*) if [ -e {barrier} ]; then
    echo '{{"event": "error", "code": "unavailable", "text": "the disk of the remote burns"}}'
    exit 1
fi ;; esac
exec {helper} <<END
$request
END
"""


def test_a_build_that_is_tried_again_leaves_its_place_to_others(cluster, new_place):
    place = new_place("places")
    barrier, helper = place.directory / "barrier", place.directory / "cronwright-git"
    helper.write_text(BROKEN_HELPER.format(barrier=barrier, helper=HELPER))
    helper.chmod(0o755)
    barrier.touch()
    broken, sound = place.repository("broken"), place.repository("sound")
    services = [place.service("place", repository=repository) for repository in (broken, sound)]
    with QuickBuilds(cluster) as quick:
        settings = quick.settings()
        settings["builds"]["maxConcurrent"] = 1
        with Agent(place, place.directory, **settings, git={"helper": str(helper)}) as agent:
            for service in services:
                service.seen_by(agent)
            commit, waits = push(agent, broken, "waits")
            eventually(lambda: [build for build in agent.builds_of(broken) if build["state"] == "waiting" and
                                "burns" in (build["detail"] or "")], "the build says why it is tried again")
            for text in ("first", "second"):
                agent.outcome_of(push(agent, sound, text)[1], "deployed")
            assert agent.get(f"/v1/deliveries/{waits.id}")["pending"]
            barrier.unlink()
            agent.outcome_of(waits, "deployed")
            assert services[0].annotation("commit") == commit
