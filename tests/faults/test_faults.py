"""Each fault of the tables: seen for what it is while it lasts, and got over without a restart."""

import pytest

import kubernetes
from faults import STAGES, World, attempt
from own_cluster import why_not_ours
from quick_builds import QuickBuilds, held

FAULTS = [*kubernetes.FAULTS]


def row(fault):
    return pytest.param(fault, id=fault.name, marks=[pytest.mark.disruptive] if fault.disruptive else [])


@pytest.fixture(scope="module")
def world(cluster, new_place):
    place = new_place("faults")
    with QuickBuilds(cluster, decide=held) as quick:
        world = World(place, quick, place.directory)
        yield world
        world.finish()


def test_names_and_stages_of_the_table():
    names = [fault.name for fault in FAULTS]
    assert len(names) == len(set(names))
    assert {fault.stage for fault in FAULTS} == set(STAGES)


@pytest.mark.parametrize("fault", [row(fault) for fault in FAULTS])
def test_fault(fault, world, full):
    if fault.full and not full:
        pytest.skip("takes long: with --full")
    if fault.disruptive and (why := why_not_ours()):
        pytest.skip(f"disturbs the whole cluster, and {why}")
    attempt(fault, world, full)
