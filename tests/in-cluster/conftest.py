"""The agent as a pod. The cluster and the namespaces are those of tests/main-job."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "main-job"))

from fixtures import account, cluster, new_place, pytest_runtest_makereport  # noqa: E402, F401
from image import Recipe  # noqa: E402
from pod import PodAgent  # noqa: E402


@pytest.fixture(scope="session")
def aloud(request):
    """A context in which output is shown at once: for what takes minutes."""
    return request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled


@pytest.fixture(scope="session")
def image(cluster, tmp_path_factory, aloud):
    """host:port/name:tag@digest of the agent's image."""
    def say(text):
        with aloud():
            print(f"image: {text}", flush=True)
    return Recipe(cluster, tmp_path_factory.mktemp("image"), say).image()


@pytest.fixture(scope="session")
def place(new_place):
    return new_place("pod")


@pytest.fixture(scope="session")
def agent(place, image):
    agent = PodAgent(place, place.directory, image)
    try:
        yield agent.start()
    finally:
        agent.finish()
