"""What no webhook told is found: each branch is asked for its head once a round, in a turn of its own."""

import collections
import concurrent.futures
import copy
import shutil
import statistics

import pytest

import forges
from agents import FORGE_SECRETS, HELPER, Agent, Metrics
from places import report
from waiting import eventually
from watched import Other, build

INTERVAL = 5  # seconds
SHARE = INTERVAL / 10  # over which the turns are spread
REPOSITORIES, SERVICES_EACH = 24, 2
LOADED = 60  # what a loaded machine may add to a build


def push_of(repository):
    push = forges.github_push(repository.url, repository.commit_of_head())
    return forges.github(push, FORGE_SECRETS["github"])


class CountingGit:
    """In the place of the Git program: writes down when it is asked for which head, and asks it, unless it is held."""

    def __init__(self, directory, helper=HELPER):
        self.program, self.record, self.hold = directory / "git", directory / "asked", directory / "hold"
        self.record.touch()
        self.program.write_text(f"""#!/bin/sh
request=$(cat)
url=${{request#*\\"url\\":\\"}}
case $request in *'"op":"head"'*) echo "$(date +%s.%N) ${{url%%\\"*}}" >>{self.record} ;; esac
while [ -e {self.hold} ]; do sleep 0.05; done
printf '%s' "$request" | exec {helper}
""")
        self.program.chmod(0o755)

    def asked(self):
        """Repository → the times, in seconds."""
        times = collections.defaultdict(list)
        for line in self.record.read_text().splitlines():
            moment, url = line.split()
            times[url].append(float(moment))
        return times


@pytest.fixture(scope="module")
def place(new_place):
    return new_place("sweeping")


def test_push_without_any_webhook(place, tmp_path):
    """With webhooks cut off altogether, a push is asked for within the interval and a tenth of it, and deployed."""
    repository = place.repository("silent", report(place.cluster, "first"))
    service = place.service("silent", repository=repository)
    with Agent(place, tmp_path, sweep={"interval": f"{INTERVAL}s"}, webhooks={"listen": f"unix:{tmp_path / 'cut'}"}) as agent:
        (tmp_path / "cut").unlink()  # nobody finds it any more
        service.seen_by(agent)
        eventually(lambda: Metrics(agent).told("sweeps_total") >= 2, "it has gone round", 2 * INTERVAL + LOADED)
        commit = repository.push(report(place.cluster, "second"))
        eventually(lambda: agent.builds_of(repository), "the push is found", INTERVAL + SHARE + LOADED)
        eventually(lambda: service.annotation("commit") == commit, "the push is deployed", LOADED)
        assert agent.deliveries()["deliveries"] == []
        [build] = agent.builds_of(repository)
        assert build["commit"] == commit


def test_push_while_no_agent_runs(place, tmp_path):
    """The sweep at the start finds it."""
    repository = place.repository("away", {"README": "nothing to build\n"})
    service = place.service("away", repository=repository)
    agent = Agent(place, tmp_path, sweep={"interval": "1d"})
    with agent:
        service.seen_by(agent)
        agent.outcome_of(agent.accept(push_of(repository)), "dockerfile-missing")
    commit = repository.push(report(place.cluster, "second"))
    with agent:
        eventually(lambda: service.annotation("commit") == commit, "the sweep at the start deploys it", LOADED)


def copy_of(place, repository):
    """Its history at an address of its own, for far less than a repository costs."""
    twin = copy.copy(repository)
    twin.bare = repository.bare.with_name(f"{place.name('fleet')}.git")
    twin.url = repository.url.removesuffix(repository.bare.name) + twin.bare.name
    shutil.copytree(repository.bare, twin.bare)
    return twin


def counted(place, directory, full, **changes):
    """An agent and its CountingGit. A thousand Git programs a minute are too much under sanitizers."""
    agent = (Other(build("release", "-DCRONWRIGHT_TESTS=OFF"), place, directory, **changes) if full
             else Agent(place, directory, **changes))
    counting = CountingGit(directory, agent.config["git"]["helper"])
    agent.config["git"]["helper"] = str(counting.program)
    return agent, counting


def test_fleet_is_asked_once_a_round_and_not_at_once(place, tmp_path, full):
    """However many services follow a branch."""
    count, interval = (1000, 60) if full else (REPOSITORIES, INTERVAL)
    first = place.repository("fleet", {"README": "nothing to build\n"})
    repositories = [first, *(copy_of(place, first) for _ in range(count - 1))]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        services = list(pool.map(lambda repository: place.service("fleet", repository=repository),
                                 repositories * SERVICES_EACH))
    agent, counting = counted(place, tmp_path, full, sweep={"interval": f"{interval}s"}, git={"maxConcurrent": 64})
    with agent:
        rounds = 3
        urls = [repository.url for repository in repositories]
        eventually(lambda: Metrics(agent).told("sweeps_total") > rounds, "it has gone round", (rounds + 1) * interval + LOADED)
        # One whose answer is late has its turn in the round after.
        eventually(lambda: all(len(counting.asked().get(url, [])) >= rounds for url in urls), "all are asked",
                   interval + LOADED)
        asked, begun = counting.asked(), Metrics(agent).told("sweeps_total")
        assert Metrics(agent).told("oldest_check_seconds") < interval + interval / 10 + LOADED
    place.cluster.delete_all("cronjobs", place.namespace)  # the end of a namespace takes minutes for so many
    assert all(len(asked[url]) <= begun for url in urls), {url: len(asked[url]) for url in urls}
    # Not all at once: the turns of a round lie apart, if the machine does not hold them all up.
    spreads = [max(turn) - min(turn) for turn in zip(*(asked[url][:rounds] for url in urls))]
    assert statistics.median(spreads) > min(interval / 10, count / 10) / 2, spreads
    assert len(services) == count * SERVICES_EACH


def test_pushes_go_before_the_round(new_place, tmp_path):
    """Where the heads of a host stand in line, those that somebody waits for are asked for first."""
    place = new_place("round")
    first = place.repository("line", {"README": "nothing to build\n"})
    repositories = [first, *(copy_of(place, first) for _ in range(7))]
    services = [place.service("line", repository=repository) for repository in repositories]
    agent, counting = counted(place, tmp_path, False, git={"maxConcurrentPerHost": 1})
    counting.hold.touch()
    with agent:
        for service in services:
            service.seen_by(agent)
        waiting = 'git_children{state="waiting"}'
        eventually(lambda: Metrics(agent).told(waiting) == len(repositories) - 1, "the others stand in line")
        [held] = eventually(counting.asked, "the first is asked")
        pushed = [repository for repository in reversed(repositories) if repository.url != held][:2]
        for repository in pushed:
            agent.accept(push_of(repository))
            # It was woken before the answer.
            eventually(lambda: Metrics(agent).told('queue_depth{queue="pipeline",state="ready"}') == 0 and
                       Metrics(agent).told('queue_depth{queue="pipeline",state="running"}') == 0, "the push is looked at")
        counting.hold.unlink()
        eventually(lambda: len(counting.asked()) == len(repositories), "all are asked", LOADED)
    assert list(counting.asked())[:3] == [held, *(repository.url for repository in pushed)]
