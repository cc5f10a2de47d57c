"""Golden tests: the real program against a scripted admin API, compared with transcripts/*.txt.
After a change of what is printed: pytest tests/golden --update, and read the diff."""

import os
import pathlib

import pytest

from agent import Agent
from clock import Clock
from shell import Shell

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = os.environ.get("CRONWRIGHT", HERE.parents[1] / "out/test/agent/cronwright")


def pytest_addoption(parser):
    parser.addoption("--update", action="store_true", help="write the transcripts anew")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def agent():
    agent = Agent()
    yield agent
    agent.stop()


@pytest.fixture
def shell(agent, clock, tmp_path):
    assert os.access(PROGRAM, os.X_OK), f"build the program first: {PROGRAM}"
    return Shell(os.path.abspath(PROGRAM), agent, clock, tmp_path)


@pytest.fixture
def golden(request):
    def check(name, *results):
        path = HERE / "transcripts" / f"{name}.txt"
        text = "\n".join(result.transcript() for result in results)
        if request.config.getoption("--update"):
            path.write_text(text, errors="surrogateescape")
        assert text == path.read_text(errors="surrogateescape")
    return check
