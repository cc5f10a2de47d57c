"""Fixtures of all end-to-end tests: the built program, a real cluster, real Git over HTTP, a real registry."""

import os
import sys

import pytest

from agents import HELPER, PROGRAM, Agent
from cluster import Cluster
from places import Account, Place


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    missing = [name for name in ("KUBECONFIG", "REGISTRY", "GIT_URL", "GIT_ROOT") if not os.environ.get(name)]
    assert not missing, f"no {missing}: run tests/run main-job, or source out/cluster/env"
    for program in (PROGRAM, HELPER):
        assert os.access(program, os.X_OK), f"build the program first: {program}"
    return Cluster(tmp_path_factory.mktemp("cluster"))


@pytest.fixture(scope="session")
def account(cluster, tmp_path_factory):
    return Account(cluster, tmp_path_factory.mktemp("account"))


@pytest.fixture(scope="session")
def new_place(account, tmp_path_factory):
    """Makes namespaces, which are taken away in the end with all that is in them."""
    places = []

    def make(word):
        places.append(Place(account, tmp_path_factory.mktemp(word), word))
        return places[-1]
    yield make
    left = [pod for place in places for pod in place.left_running()]
    for place in places:
        place.remove()
    for place in places:
        place.await_gone()
    assert not left, f"pods that were left running: {left}"


@pytest.fixture(scope="session")
def place(new_place):
    """Where the services of most tests are."""
    return new_place("shared")


@pytest.fixture(scope="session")
def agent(place):
    """The agent that serves most tests: both forges, with every kind of secret."""
    with Agent(place, place.directory) as agent:
        yield agent


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        agents = {id(value): (name, value) for name, value in getattr(item, "funcargs", {}).items()
                  if isinstance(value, Agent)}
        for name, value in agents.values():
            report.sections.append((f"log of {name}", value.log_text()[-4000:]))


sys.dont_write_bytecode = True
