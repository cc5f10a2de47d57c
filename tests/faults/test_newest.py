"""The newest commit wins: whatever the order in which pushes happen, are told and are built."""

import collections
import concurrent.futures
import contextlib
import time

from agents import FORGE_SECRETS, Agent
from forges import github, github_push
from ledger import Watch
from quick_builds import Outcome, QuickBuilds
from shuffles import History, Seen, Shuffle, in_order, wrongs
from waiting import eventually

QUICK, FULL = 24, 1000  # shuffles
AT_ONCE = 24
SWEEP = 5  # seconds


def settings_of(quick):
    """Few places, so that builds wait and are superseded while they do."""
    builds = {**quick.settings()["builds"], "maxConcurrent": 6, "timeout": "10m", "ttl": "10m"}
    return {"builds": builds, "sweep": {"interval": f"{SWEEP}s"}, "git": {"maxConcurrent": 6}, "log": {"level": "info"}}


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

    def __init__(self, seed, place, agent, seen):
        self.seed, self.place, self.agent, self.seen = seed, place, agent, seen
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
            eventually(shuffle.are_seen, "the agent sees the services", 60)
            shuffle.play()
            shuffle.settle(self.seen, SWEEP)
            found = wrongs(shuffle, self.seen)
            assert not found, found
        except Exception as error:  # told with all that is known of it
            return f"{error!r}\nseed {self.seed}, {shuffle.transcript(self.seen)}"
        shuffle.remove()
        self.totals.update(shuffles=1, events=len(shuffle.history.events), deliveries=len(shuffle.sent),
                           builds=len(shuffle.builds()), jobs=len(self.seen.jobs_of(shuffle.identity)))
        return None


def test_shuffles_end_at_the_head(cluster, new_place, request, full):
    place = new_place("newest")
    seed = request.config.option.seed
    with watched(cluster, place) as seen, QuickBuilds(cluster) as quick, \
            Agent(place, place.directory, **settings_of(quick)) as agent:
        table = Table(seed, place, agent, seen)
        quick.decide = table.decide
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            results = list(pool.map(table.play, range(FULL if full else QUICK)))
    print(dict(table.totals))
    bad = [result for result in results if result]
    assert not bad, f"{len(bad)} of {len(results)} went wrong:\n" + "\n\n".join(bad[:5])
