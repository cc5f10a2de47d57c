"""Build contexts that are too large for a Secret: what the pod fetches, from whom, and what goes wrong."""

import json
import random
import socket
import subprocess
import time

import pytest

import forges
from agents import FORGE_SECRETS, Agent
from images import push_program
from places import report
from waiting import eventually

MIB = 1 << 20
BUILDS = "cronwright-builds"


def push_of(repository, commit):
    return forges.github(forges.github_push(repository.url, commit), FORGE_SECRETS["github"])


@pytest.fixture(scope="session")
def program_image(cluster, tmp_path_factory):
    return push_program(f"{cluster.registry}/cronwright-program:test", tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def here(new_place):
    return new_place("contexts")


def free_port(host):
    with socket.socket() as chosen:
        chosen.bind((host, 0))
        return chosen.getsockname()[1]


@pytest.fixture(scope="module")
def large_agent(here, program_image):
    with Agent(here, here.directory, context=context_settings(here, program_image)) as agent:
        yield agent


def context_settings(place, image, port=None, **more):
    host = place.cluster.host_address
    port = port or free_port(host)
    return {"listen": f"{host}:{port}", "address": f"https://{host}:{port}", "image": image, **more}


def noise(size, seed=1):
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def large_files(place, text, size=3 * MIB, **more):
    return {**report(place.cluster, text, "COPY noise /noise"), "noise": noise(size), **more}


def job_of(place, repository):
    return eventually(lambda: place.build_jobs(repository), "the build has a Job")[-1]


def test_a_large_context_is_fetched(large_agent, here):
    repository = here.repository("fetched")
    service = here.service("fetched", repository=repository).seen_by(large_agent)
    commit = repository.push(large_files(here, "from a large context"))
    large_agent.outcome_of(large_agent.accept(push_of(repository, commit)), "deployed", 180)
    assert "@sha256:" in service.image()
