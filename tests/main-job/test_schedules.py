"""Schedules and time zones: what the API server takes as a CronJob's, the program takes, and what it
refuses, the program refuses. Nothing is created: the API server is asked by dry runs."""

import concurrent.futures
import http.client
import json
import pathlib
import subprocess
import sys
import threading

import pytest

from agents import PROGRAM

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "schedule"))
from expressions import NASTY, Expressions  # noqa: E402

RANDOM = 3000
THREADS = 8
ZONES = [
    "UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "America/Argentina/ComodRivadavia", "Etc/GMT+12",
    "Etc/GMT-14", "Asia/Kathmandu", "GMT0", "GMT", "EST", "CET", "US/Eastern", "Zulu", "Factory", "EST5EDT",
    "Local", "local", "LOCAL", "utc", "europe/berlin", "Europe/berlin", "Europe/Berlln", "Berlin", "CEST", "UTC+1",
    "GMT+1", "+01:00", "Europe", "Europe/", "/Europe/Berlin", "Europe//Berlin", "./UTC", "../UTC", "Europe/../UTC",
    "Europe/./Berlin", "Europe\\Berlin", " UTC", "UTC ", "Europe/Berlin ", "-UTC", "Etc/-UTC", "zone1970.tab",
    "tzdata.zi", "leapseconds", ".", "..", "/", "A" * 14, "A" * 15, "A/" * 40 + "A", "Z\u00fcrich",
]


class ApiServer:
    """Dry runs over one connection for each thread."""

    def __init__(self, cluster):
        self.cluster, self.local = cluster, threading.local()

    def takes(self, **spec):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPSConnection(*self.cluster.endpoint, timeout=60,
                                                                context=self.cluster.context)
        headers = {"Content-Type": "application/json"}
        if self.cluster.token:
            headers["Authorization"] = f"Bearer {self.cluster.token}"
        pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "none"}]}
        body = {"metadata": {"name": "tried"},
                "spec": {"jobTemplate": {"spec": {"template": {"spec": pod}}}, **spec}}
        connection = self.local.connection
        connection.request("POST", "/apis/batch/v1/namespaces/default/cronjobs?dryRun=All", json.dumps(body), headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        # The library panics at "TZ=" without a space after it: that is a 500.
        assert response.status in (201, 422, 500), answer
        if response.status == 422:
            causes = {cause["field"] for cause in answer["details"]["causes"]}
            assert causes <= {"spec.schedule", "spec.timeZone"}, answer
        return response.status == 201

    def takes_each(self, specs):
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(lambda spec: self.takes(**spec), specs))


@pytest.fixture(scope="module")
def api_server(cluster):
    return ApiServer(cluster)


def program_takes(*words, stdin=None):
    ended = subprocess.run([PROGRAM, "schedule", "-o", "json", "--count", "1", *words], input=stdin, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60)
    assert ended.returncode in (0, 1)
    answer = json.loads(ended.stdout)
    if isinstance(answer, dict):
        assert ("errors" in answer) == (ended.returncode == 1)
        return "errors" not in answer
    return ["errors" not in one for one in answer]


def test_expressions(api_server):
    expressions = NASTY + Expressions("API server").many(RANDOM)
    theirs = api_server.takes_each([{"schedule": text} for text in expressions])
    ours = program_takes("--file", "-", stdin="\n".join(expressions))
    assert len(ours) == len(expressions)
    differ = [(text, f"API server: {taken}") for text, taken, own in zip(expressions, theirs, ours) if taken != own]
    assert not differ
    assert len(expressions) * 0.4 < sum(theirs) < len(expressions) * 0.95


def test_expressions_with_a_zone(api_server):
    """A schedule with a zone is read by another way, which must not take more or less."""
    expressions = NASTY + Expressions("with a zone").many(200)
    theirs = api_server.takes_each([{"schedule": text, "timeZone": "Europe/Berlin"} for text in expressions])
    ours = program_takes("--file", "-", "--time-zone", "Europe/Berlin", stdin="\n".join(expressions))
    assert theirs == ours


def test_zones(api_server):
    theirs = api_server.takes_each([{"schedule": "0 3 * * *", "timeZone": zone} for zone in ZONES])
    ours = [program_takes("0 3 * * *", "--time-zone", zone) for zone in ZONES]
    differ = [(zone, f"API server: {taken}") for zone, taken, own in zip(ZONES, theirs, ours) if taken != own]
    assert not differ
    assert 10 < sum(theirs) < len(ZONES) - 10
