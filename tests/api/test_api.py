"""The document at /openapi.json beside the agent that serves it: a property-based tester makes requests of
every kind that the document describes, and of those that it does not allow, and holds the answers against it."""

import json
import os
import pathlib
import subprocess
import sys

import openapi_spec_validator
import pytest

from agents import TOKENS, Agent
from narrowing import with_names
from places import report
from waiting import eventually

HERE = pathlib.Path(__file__).resolve().parent
TESTER = pathlib.Path(sys.executable).with_name("schemathesis")
SEED = os.environ.get("SEED", "20261126")
EXAMPLES = 10  # of each operation, besides those of the document and its bounds
SECONDS = 300
VICTIMS = 3


@pytest.fixture(scope="module")
def api(new_place):
    place = new_place("api")
    agent = Agent(place, place.directory).start()
    yield agent
    agent.finish()


@pytest.fixture(scope="module")
def document(api):
    answer = api.api("GET", "/openapi.json", token=None)
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"
    return answer.json


@pytest.fixture(scope="module")
def narrowed(api, document):
    """Of what is there: a built service with a run and its log, and others to be changed, run and deleted."""
    place = api.place
    repository = place.repository("told", report(place.cluster, "hello"))
    built = place.service("built", repository=repository)
    plain = place.service("plain")
    # Its runs wait for a node that there is not, so that there may be many of them.
    idle = place.service("idle", template={"nodeSelector": {"nowhere": "true"}})
    place.cluster.kubectl("-n", place.namespace, "create", "serviceaccount", "report")  # of the examples
    victims = [place.service("victim") for _ in range(VICTIMS)]
    for service in (built, plain, idle, *victims):
        service.seen_by(api)
    assert api.api("POST", f"{built.path}/build").status == 202
    eventually(lambda: built.status(api)["live"], "the service is built", 120)
    run = built.force(api).json["name"]
    built.ended(api, run)
    eventually(lambda: api.get(f"{built.path}/runs/{run}")["log"] == "complete", "the log is archived")
    deliveries = [each["delivery"] for each in api.deliveries()["deliveries"]]
    yield with_names(document, place.namespace, [built.name, plain.name], idle.name,
                     [victim.name for victim in victims], [run], deliveries, place.cluster.busybox_image, TOKENS["viewer"])
    idle.clear()


def test_the_document_is_openapi(document):
    assert document["openapi"].startswith("3.1.")
    openapi_spec_validator.validate(document)


# A viewer's documents are refused unread, each of more than a thousand. A stream of updates has no end.
@pytest.mark.parametrize("token, left_out", [("viewer", ["createService", "patchService", "updates"]),
                                             ("admin", ["updates"])], ids=["viewer", "admin"])
def test_answers_are_as_described(api, narrowed, tmp_path, token, left_out):
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(narrowed))
    print(f"seed {SEED}")
    ended = subprocess.run(
        [TESTER, "--config-file", HERE / "schemathesis.toml", "run", path, "--url", f"http://{api.admin}",
         "--header", f"Authorization: Bearer {TOKENS[token]}",
         "--phases", "examples,coverage,fuzzing", "--seed", SEED,
         "--max-examples", str(EXAMPLES), "--generation-database", "none", "--no-shrink", "--continue-on-failure",
         "--request-timeout", "30", "--no-color", "--warnings", "off",
         *(f"--exclude-operation-id={operation}" for operation in left_out)],
        cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS)
    print(ended.stdout, ended.stderr)
    assert ended.returncode == 0
    assert api.is_ready()
