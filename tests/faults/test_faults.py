"""Each fault of the tables: seen for what it is while it lasts, and got over without a restart. Most of the time they
wait, so that a few are tried at once, each in a namespace and with an agent of its own."""

import concurrent.futures

import pytest

import kubernetes
import machine
from faults import STAGES, attempt
from own_cluster import why_not_ours
from quick_builds import QuickBuilds, held

AT_ONCE = 4
FAULTS = [*kubernetes.FAULTS, *machine.FAULTS]


def is_alone(fault):
    return fault.alone or fault.disruptive


def row(fault):
    marks = [pytest.mark.disruptive] * fault.disruptive + [pytest.mark.full] * fault.full
    return pytest.param(fault, id=fault.name, marks=marks)


def why_not(fault):
    return f"disturbs the whole cluster, and {why_not_ours()}" if fault.disruptive and why_not_ours() else None


@pytest.fixture(scope="module")
def tries(cluster, new_place, request, full):
    """fault → what became of it; those that bear company have begun."""
    with QuickBuilds(cluster, decide=held) as quick, concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        def begin(fault):
            return pool.submit(lambda: attempt(fault, new_place(fault.name), quick, full))
        chosen = [item.callspec.params["fault"] for item in request.session.items if item.function is test_fault]
        begun = {fault.name: begin(fault) for fault in chosen if not is_alone(fault) and not why_not(fault)}

        def result(fault):
            if is_alone(fault):
                concurrent.futures.wait(begun.values())
                begun[fault.name] = begin(fault)
            return begun[fault.name].result()
        yield result
        pool.shutdown(cancel_futures=True)


def test_names_and_stages_of_the_table():
    names = [fault.name for fault in FAULTS]
    assert len(names) == len(set(names))
    assert {fault.stage for fault in FAULTS} == set(STAGES)


@pytest.mark.parametrize("fault", [row(fault) for fault in sorted(FAULTS, key=is_alone)])
def test_fault(fault, tries):
    if why := why_not(fault):
        pytest.skip(why)
    tries(fault)
