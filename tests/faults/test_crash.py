"""The agent is killed by SIGKILL at every named step and at random moments, while everything goes on. What it has
acknowledged is there afterwards, with its reason; each branch's services have the head's image; nothing was done
twice."""

import datetime
import re
import signal
import subprocess

import pytest

from agents import TOP
from crash_world import World
from ledger import Ledger, jobs_made_once, patched_once
from quick_builds import QuickBuilds

STEP_SECONDS = 90   # until a step is reached
RANDOM_KILLS = 12   # in the quick form
FULL_KILLS = 520    # those at steps included
FULL_DELIVERIES = 10000
# Steps of the first start with a new state directory, or with one that another state directory came before.
FIRST_STEPS = ("before-migration", "after-migration", "before-met-job-passed-by", "after-met-job-passed-by")


def steps():
    """The names stand where the steps are."""
    found = [name for path in sorted((TOP / "agent").rglob("*.c"))
             for name in re.findall(r'CRASH_POINT\("([a-z-]+)"\)', path.read_text())]
    assert found
    return found


@pytest.fixture
def place(new_place):
    return new_place("crash")


@pytest.fixture
def world(place, cluster, chance):
    with Ledger(place) as ledger, QuickBuilds(cluster) as quick:
        world = World(place, quick, chance)
        world.ledger = ledger
        yield world
        world.finish()


def dies(agent, where, seconds=STEP_SECONDS):
    try:
        status = agent.process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"not reached within {seconds} s: {where}") from None
    agent.process = None
    agent.check_log()
    assert status == -signal.SIGKILL, (where, status, agent.log_text()[-3000:])


def kill_at_steps(world, chance, names):
    for name in names:
        world.agent.launch(crash_at=name)
        dies(world.agent, name)
        world.check_workers()


def kill_at_random(world, chance, count):
    for _ in range(count):
        world.agent.launch()
        with pytest.raises(subprocess.TimeoutExpired):
            world.agent.process.wait(chance.uniform(0.02, 2.0))
        world.agent.kill()
        world.check_workers()


def test_killed_at_each_step_and_at_random(world, chance, full):
    """Nothing that was acknowledged is lost, nothing is done twice, the newest commit is live."""
    began = datetime.datetime.now(datetime.timezone.utc)
    world.begin()
    names = [name for name in steps() if name not in FIRST_STEPS]
    world.agent.kill()
    kills, acknowledged = 1, 0
    while True:
        chance.shuffle(names)
        kill_at_steps(world, chance, names)
        kill_at_random(world, chance, RANDOM_KILLS if not full else len(names))
        kills += len(names) + (RANDOM_KILLS if not full else len(names))
        acknowledged = sum(sent.acknowledged for sent in world.sent.values())
        print(f"{kills} kills, {acknowledged} acknowledged deliveries")
        if not full or (kills >= FULL_KILLS and acknowledged >= FULL_DELIVERIES):
            break
    world.agent.start()
    world.settle()
    acknowledged = world.check_deliveries()
    world.check_heads()
    world.check_forced()
    world.check_nothing_left()
    jobs, patches = jobs_made_once(world.ledger), patched_once(world.ledger)
    assert jobs > 0 and patches > 0
    took = datetime.datetime.now(datetime.timezone.utc) - began
    print(f"{began:%Y-%m-%d %H:%M} UTC: {kills} kills, {acknowledged} acknowledged deliveries, {jobs} Jobs, "
          f"{patches} patches, {len(world.forced)} forced runs, {took.total_seconds():.0f} s")
