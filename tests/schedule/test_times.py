"""`cronwright schedule` beside the library that Kubernetes' CronJob controller uses: the same
expressions taken and refused, the same next times, above all where clocks change."""

import datetime
import json
import os
import pathlib
import random
import subprocess
import zoneinfo

import pytest
from expressions import NASTY, Expressions

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = os.environ.get("CRONWRIGHT", HERE.parents[1] / "out/test/agent/cronwright")
UTC = datetime.timezone.utc
COUNT = 10
GROUPS = 8  # of each zone
SIZE = 60   # random expressions of a group
SINCE = 2012  # Samoa's missing day, 2011, is where the library goes round for ever
ZONES = ["Europe/Berlin", "Europe/London", "Europe/Dublin", "America/New_York", "America/Sao_Paulo", "America/Havana",
         "America/Asuncion", "America/Santiago", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca",
         "Africa/Cairo", "Asia/Beirut", "Asia/Kathmandu", "Asia/Gaza", "Pacific/Apia", "Pacific/Chatham",
         "Antarctica/Troll", "Atlantic/Azores", "UTC"]


def changes(zone):
    """Moments shortly before the clocks change, or any ones where they do not."""
    place = zoneinfo.ZoneInfo(zone)
    day = datetime.datetime(SINCE, 1, 1, tzinfo=UTC)
    found = []
    while day.year < 2037:
        following = day + datetime.timedelta(days=1)
        if day.astimezone(place).utcoffset() != following.astimezone(place).utcoffset():
            found.append(day)
        day = following
    return found or [datetime.datetime(2026, 3, 28, tzinfo=UTC)]


@pytest.fixture(scope="session")
def reference():
    built = subprocess.run([HERE / "build"], check=True, stdout=subprocess.PIPE, text=True)
    program = built.stdout.strip()

    def ask(expressions, zone, start):
        lines = "".join(json.dumps({"expression": text, "timeZone": zone, "from": start, "count": COUNT}) + "\n"
                        for text in expressions)
        answered = subprocess.run([program], input=lines, check=True, stdout=subprocess.PIPE, text=True, timeout=60)
        return [json.loads(line) for line in answered.stdout.splitlines()]

    return ask


def ours(expressions, zone, start):
    ended = subprocess.run([PROGRAM, "schedule", "--file", "-", "-o", "json", "--time-zone", zone, "--from", start,
                            "--count", str(COUNT)], input="\n".join(expressions), stdout=subprocess.PIPE, text=True,
                           stderr=subprocess.DEVNULL, timeout=60)
    assert ended.returncode in (0, 1)
    answers = json.loads(ended.stdout)
    assert [answer["expression"] for answer in answers] == expressions
    return answers


def compare(reference, expressions, zone, start):
    """How many the library takes."""
    wrong, taken = [], 0
    for theirs, answer in zip(reference(expressions, zone, start), ours(expressions, zone, start), strict=True):
        expected = None if "error" in theirs else [time for time in theirs["times"] if time < "2038"]
        times = None if "errors" in answer else [time["utc"] for time in answer["times"]]
        taken += expected is not None
        if times != expected:
            wrong.append((answer["expression"], zone, start, expected or theirs, times or answer))
    assert not wrong, f"{len(wrong)} differ, such as {wrong[:3]}"
    return taken


@pytest.mark.parametrize("zone", ZONES)
def test_random_expressions(reference, zone):
    source = Expressions(zone)
    chance = random.Random(zone)
    near = changes(zone)
    taken = 0
    for _ in range(GROUPS):
        start = chance.choice(near) + datetime.timedelta(seconds=chance.randint(-2 * 86400, 2 * 86400))
        taken += compare(reference, source.many(SIZE), zone, start.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert GROUPS * SIZE * 0.5 < taken < GROUPS * SIZE * 0.95


@pytest.mark.parametrize("zone", ZONES)
def test_nasty_expressions(reference, zone):
    for day in changes(zone)[:6]:
        compare(reference, NASTY, zone, day.strftime("%Y-%m-%dT%H:%M:%SZ"))


def test_far_times(reference):
    """The bounds of --from, and offsets that are no whole minutes."""
    for zone, start in (("Europe/Berlin", "1970-01-01T00:00:00Z"), ("America/New_York", "2037-06-01T00:00:00Z"),
                        ("UTC", "2037-12-31T23:59:59Z"), ("Africa/Monrovia", "1972-01-05T12:00:00Z")):
        compare(reference, NASTY + Expressions(start).many(SIZE), zone, start)


@pytest.mark.parametrize("wrong", ["", " ", "#", "0 3 * * *\n", "0 3 * * *\r\n", "# 0 3 * * *"])
def test_what_no_line_holds(reference, wrong):
    ended = subprocess.run([PROGRAM, "schedule", wrong, "-o", "json", "--from", "2026-03-28T00:00:00Z"],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60)
    answer = json.loads(ended.stdout)
    theirs = reference([wrong], "UTC", "2026-03-28T00:00:00Z")[0]
    assert ("errors" in answer) == ("error" in theirs) == (ended.returncode == 1)


def test_a_missing_day_is_passed(tmp_path):
    """Where the library would not come back."""
    answers = ours(["0 0 31 12 *", "0 0 30 12 *"], "Pacific/Apia", "2011-12-20T00:00:00Z")
    assert [answer["times"][0]["local"] for answer in answers] == ["2011-12-31T00:00:00+14:00",
                                                                   "2012-12-30T00:00:00+14:00"]
