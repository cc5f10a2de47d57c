"""The agent is killed by SIGKILL at every named step and at random moments, while everything goes on. What it has
acknowledged is there afterwards, with its reason; each branch's services have the head's image; nothing was done
twice."""

import datetime
import re
import shutil
import signal
import subprocess

import pytest

import faults
from agents import REPORT, TOP, push_of
from crash_world import Mortal, World
from ledger import Ledger, jobs_made_once, patched_once
from proxy import hold
from quick_builds import QuickBuilds, at_once, failing, held
from waiting import eventually

STEP_SECONDS = 600  # until a step is reached
LATER_SECONDS = 20  # until it is again
QUICK_STEPS = 24    # of the quick form: chance says which
RANDOM_KILLS = 6    # of the quick form
FULL_KILLS = 520    # those at steps included
FULL_DELIVERIES = 10000
# Steps of a start with a new state directory, and those when the directory before it was lost.
FIRST_STEPS = ["before-migration", "after-migration"]
LOST_STEPS = ["before-met-job-passed-by", "after-met-job-passed-by"]


def steps():
    """The names stand where the steps are."""
    found = [name for path in sorted((TOP / "agent").rglob("*.c"))
             for name in re.findall(r'CRASH_POINT\("([a-z-]+)"\)', path.read_text())]
    assert found
    return found


@pytest.fixture(scope="module")
def place(new_place):
    return new_place("crash")


@pytest.fixture(scope="module")
def quick(cluster):
    with QuickBuilds(cluster) as quick:
        yield quick


@pytest.fixture
def ledger(place):
    with Ledger(place) as ledger:
        yield ledger


@pytest.fixture
def world(place, quick, ledger, chance):
    world = World(place, quick, chance)
    world.ledger = ledger
    yield world
    world.finish()


def dies(agent, where, seconds=STEP_SECONDS):
    try:
        status = agent.process.wait(seconds)
    except subprocess.TimeoutExpired as late:
        late.cmd = f"the agent that is to die at {where}"
        raise
    agent.process = None
    assert not REPORT.search(agent.log_text(agent.logged)), agent.log_text(agent.logged)
    assert status == -signal.SIGKILL, (where, status, agent.log_text()[-3000:])


def names_of_steps(world, chance, full):
    """In any order; what leads to them is hurried."""
    names = [name for name in steps() if name not in FIRST_STEPS + LOST_STEPS]
    for world.awaited in chance.sample(names, len(names) if full else QUICK_STEPS):
        yield world.awaited
    world.awaited = ""


def kill_at_steps(world, chance, full):
    kills = 0
    for name in names_of_steps(world, chance, full):
        world.agent.launch(crash_at=name)
        dies(world.agent, name)
        world.check_workers()
        kills += 1
    return kills


def kill_at_later_steps(world, chance):
    """When a step is passed once more; some are not before long, and then at the moment."""
    kills = 0
    for name in names_of_steps(world, chance, full=True):
        world.agent.launch(crash_at=f"{name}:{chance.randint(2, 4)}")
        try:
            dies(world.agent, name, LATER_SECONDS)
        except subprocess.TimeoutExpired:
            world.agent.kill()
        world.check_workers()
        kills += 1
    return kills


def kill_at_random(world, chance, count):
    for _ in range(count):
        world.agent.launch()
        with pytest.raises(subprocess.TimeoutExpired):
            world.agent.process.wait(chance.uniform(0.02, 2.0))
        world.agent.kill()
        world.check_workers()
    return count


def test_killed_at_each_step_and_at_random(world, chance, full):
    """Nothing that was acknowledged is lost, nothing is done twice, the newest commit is live."""
    began = datetime.datetime.now(datetime.timezone.utc)
    world.begin()
    world.agent.kill()
    kills = 1 + kill_at_steps(world, chance, full)
    if full:
        kills += kill_at_later_steps(world, chance)
    kills += kill_at_random(world, chance, FULL_KILLS - kills if full else RANDOM_KILLS)
    world.agent.start()
    world.settle()
    acknowledged = world.check_deliveries()
    assert not full or acknowledged >= FULL_DELIVERIES
    world.check_heads()
    world.check_forced()
    world.check_nothing_left()
    jobs, patches = jobs_made_once(world.ledger), patched_once(world.ledger)
    assert jobs > 0 and patches > 0
    took = datetime.datetime.now(datetime.timezone.utc) - began
    print(f"{began:%Y-%m-%d %H:%M} UTC: {kills} kills, {acknowledged} acknowledged deliveries, {jobs} Jobs, "
          f"{patches} patches, {len(world.forced)} forced runs, {took.total_seconds():.0f} s")


# --- steps that come once ---

def takes_and_dies(agent, delivery, step):
    """Starts it to be killed at that step, which comes after the delivery."""
    agent.launch(crash_at=step)
    eventually(lambda: agent.takes(delivery), "it takes the delivery")
    dies(agent, step)


def make_mortal(place, quick, ledger, **settings):
    directory = place.directory / place.name("mortal")
    directory.mkdir()
    agent = Mortal(place, directory, **quick.settings(), **settings)
    agent.ledger, agent.quick, agent.repository = ledger, quick, place.repository("mortal")
    agent.service = place.service("mortal", repository=agent.repository)
    return agent


@pytest.fixture
def mortal(place, quick, ledger):
    """An agent that was never started, and a service of its."""
    agent = make_mortal(place, quick, ledger)
    yield agent
    agent.finish()


@pytest.fixture
def behind_proxy(new_place, quick, tmp_path):
    """One that asks the API server through `.proxy`, and has nothing else to do."""
    place = new_place("late")
    world = faults.World(place, quick, tmp_path)
    with Ledger(place) as ledger:
        agent = make_mortal(place, quick, ledger, kubernetes={"kubeconfig": str(world.kubeconfig)})
        agent.proxy = world.proxy
        yield agent
        agent.finish()
    world.finish()


def push(agent):
    commit = agent.repository.push({"Dockerfile": "FROM scratch\n"})
    return commit, push_of(agent.repository, commit)


def only_the_new_one_is_built(agent, new, delivery):
    """Of the Jobs there are; then it is deployed, and nothing was done twice."""
    jobs = lambda: agent.place.unfinished_build_jobs(agent.repository)
    eventually(lambda: [job["metadata"]["annotations"]["cronwright.io/commit"] for job in jobs()] == [new],
               "the old Job is ended", 60)
    agent.quick.release(agent.quick.await_running(new))
    agent.outcome_of(delivery, "deployed")
    assert agent.service.annotation("commit") == new
    jobs_made_once(agent.ledger)
    assert patched_once(agent.ledger) == 1


def test_killed_while_the_store_is_made(mortal):
    """It comes wholly or not at all."""
    for step in FIRST_STEPS:
        mortal.launch(crash_at=step)
        dies(mortal, step)
    mortal.start()
    mortal.service.seen_by(mortal)
    assert mortal.deliveries()["deliveries"] == []


@pytest.mark.parametrize("step", LOST_STEPS)
def test_killed_after_the_state_directory_was_lost(mortal, step):
    """The Jobs of before are there still: none of their names is used again."""
    mortal.quick.decide = failing
    mortal.start()
    commit, delivery = push(mortal)
    mortal.service.seen_by(mortal)
    mortal.outcome_of(mortal.accept(delivery), "build-failed")
    mortal.stop()
    shutil.rmtree(mortal.directory / "state")
    mortal.quick.decide = at_once
    takes_and_dies(mortal, delivery, step)
    mortal.start()
    mortal.outcome_of(delivery, "deployed")
    assert mortal.service.annotation("commit") == commit
    [build] = mortal.builds_of(mortal.repository)
    assert build["attempt"] == 2
    jobs_made_once(mortal.ledger)
    assert patched_once(mortal.ledger) == 1


def test_job_of_a_dead_agent_does_not_outlive_its_commit(mortal):
    """It was made, nobody had written that down, and then the branch moved on."""
    mortal.quick.decide = held
    mortal.start()
    mortal.service.seen_by(mortal)
    mortal.kill()
    _, delivery = push(mortal)
    takes_and_dies(mortal, delivery, "after-job-created")
    new, delivery = push(mortal)
    mortal.start()
    mortal.accept(delivery)
    only_the_new_one_is_built(mortal, new, delivery)


@pytest.mark.parametrize("step, told", [("before-patch-recorded", 1), ("after-patch-recorded", 0)])
def test_a_patch_is_told_of_at_most_once(mortal, step, told):
    """It is told of when it is recorded: a death in between leaves it untold."""
    mortal.quick.decide = at_once
    mortal.start()
    mortal.service.seen_by(mortal)
    mortal.stop()
    commit, delivery = push(mortal)
    takes_and_dies(mortal, delivery, step)
    mortal.start()
    mortal.outcome_of(delivery, "deployed")
    assert mortal.service.annotation("commit") == commit
    assert mortal.log_text().count(" image patched ") == told
    patched = lambda: [event.get("count", 1) for event in mortal.service.events() if event["reason"] == "ImagePatched"]
    eventually(lambda: patched() == [1] * told, "it is told of")
    assert patched_once(mortal.ledger) == 1


def test_job_that_comes_when_nobody_waits_for_it_any_more_is_ended(behind_proxy):
    """A dead agent had asked for it, and the API server made it after the next one had looked."""
    agent = behind_proxy
    agent.quick.decide = held
    agent.start()
    agent.service.seen_by(agent)
    with agent.proxy.rule(hold, method="POST", path=r"/jobs(\?|$)", count=1) as late:
        old, delivery = push(agent)
        agent.accept(delivery)
        late.await_hit()
        agent.kill()
        new, delivery = push(agent)
        agent.start()
        agent.accept(delivery)
        agent.quick.await_running(new)
        assert agent.builds_of(agent.repository)[-1]["reason"] == "superseded"
    eventually(lambda: agent.quick.of(old), "it is made all the same")
    only_the_new_one_is_built(agent, new, delivery)
