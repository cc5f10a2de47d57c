"""Each fault of Git remotes, mirrors, the Git child and registries: many at once, by one agent."""

import contextlib

import pytest

import remotes
from quick_builds import QuickBuilds


def chosen(request, kaniko):
    """The rows of this run: they begin together."""
    names = {item.callspec.params["fault"].name for item in request.session.items
             if item.originalname == test_remote.__name__}
    return [fault for fault in remotes.FAULTS if fault.name in names and fault.kaniko == kaniko]


@contextlib.contextmanager
def crowd_of(place, quick, faults):
    field = remotes.Field(place, quick, place.directory)
    try:
        crowd = remotes.Crowd(field, faults)
        yield crowd
        crowd.finish()
    finally:
        field.finish()


@pytest.fixture(scope="module")
def crowds(cluster, new_place, request):
    """Whether Kaniko builds → those who try."""
    with contextlib.ExitStack() as stack:
        crowds = {}
        for kaniko in (True, False):
            faults = chosen(request, kaniko)
            quick = stack.enter_context(QuickBuilds(cluster)) if faults and not kaniko else None
            if faults:
                place = new_place("remotes")
                crowds[kaniko] = stack.enter_context(crowd_of(place, quick, faults))
        yield crowds


def test_names_of_the_table():
    names = [fault.name for fault in remotes.FAULTS]
    assert len(names) == len(set(names))


def row(fault):
    return pytest.param(fault, id=fault.name, marks=[pytest.mark.full] * fault.full)


@pytest.mark.parametrize("fault", [row(fault) for fault in remotes.FAULTS])
def test_remote(fault, crowds):
    crowds[fault.kaniko].result(fault)
