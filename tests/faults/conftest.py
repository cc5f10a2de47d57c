"""What goes wrong in the world, and what must hold all the same. The agent, the cluster and the namespaces are those of
tests/main-job."""

import pathlib
import random
import secrets
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "main-job"))

from fixtures import account, cluster, new_place, pytest_runtest_makereport  # noqa: E402, F401


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="the full numbers: takes hours, not minutes")
    parser.addoption("--seed", type=int, help="of all that is random; without it, one that nobody had")


def pytest_configure(config):
    if config.option.seed is None:
        config.option.seed = secrets.randbelow(2**32)
    config.addinivalue_line("markers", "disruptive: disturbs whatever else uses the cluster")
    config.addinivalue_line("markers", "full: takes long; no part of the quick form")


def pytest_collection_modifyitems(config, items):
    long = [] if config.option.full else [item for item in items if item.get_closest_marker("full")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


def pytest_report_header(config):
    return f"seed: {config.option.seed}{' (full)' if config.option.full else ''}"


def pytest_terminal_summary(terminalreporter, config):
    terminalreporter.write_line(f"To replay: --seed {config.option.seed}")


@pytest.fixture(scope="session")
def full(request):
    return request.config.option.full


@pytest.fixture
def chance(request):
    """A source of randomness of each test's own: the seed replays it, whatever other tests are run."""
    return random.Random(f"{request.config.option.seed} {request.node.nodeid}")
