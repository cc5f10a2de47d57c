"""Logs of runs: not a line lost or repeated, through waiting, retries, broken connections and restarts."""

import http.client
import random
import re
import signal
import subprocess

import pytest

from agents import Agent, ask
from places import shell
from forwarders import Forwarder
from waiting import eventually


# Lines of all lengths, also none, a long one, not ASCII, not even UTF-8.
LINES = 120
SCRIPT = r"""
i=0
while [ $i -lt LINES ]; do
    i=$((i + 1))
    case $((i % 6)) in
    0) echo ;;
    1) echo "line $i" ;;
    2) printf 'line %d: größe ж 雪 \t\033[31mred\033[0m \r end\n' $i ;;
    3) printf 'line %d \377\376 raw\n' $i ;;
    4) printf 'line %d %02000d\n' $i $i ;;
    5) echo "line $i on stderr" >&2 ;;
    esac
    sleep PAUSE
done
echo 'the end'
"""


def script(lines=LINES, pause=0):
    return SCRIPT.replace("LINES", str(lines)).replace("sleep PAUSE", f"sleep {pause}" if pause else ":")


def expected(lines=LINES):
    kinds = ["\n", "line {i}\n", "line {i}: größe ж 雪 \t\033[31mred\033[0m \r end\n",
             "line {i} \udcff\udcfe raw\n", "line {i} {i:02000d}\n", "line {i} on stderr\n"]
    text = "".join(kinds[i % 6].format(i=i) for i in range(1, lines + 1)) + "the end\n"
    return text.encode(errors="surrogateescape")


@pytest.fixture(scope="module")
def log_place(new_place):
    return new_place("logs")


@pytest.fixture(scope="module")
def talker(log_place):
    """An agent of this module's own, since it is restarted."""
    with Agent(log_place, log_place.directory) as agent:
        yield agent


@pytest.fixture(scope="module")
def whole(talker, log_place):
    """(service, run, its log): a run that is over."""
    service = log_place.service("whole", container=shell(script())).seen_by(talker)
    run = service.force(talker).json["name"]
    log = talker.api("GET", f"{service.path}/runs/{run}/logs?follow=true")
    assert log.status == 200 and log.headers["Content-Type"] == "text/plain; charset=utf-8"
    return service, run, log.body


def slow_service(log_place, talker, word, lines=60):
    """Writes for about three seconds."""
    return log_place.service(word, container=shell(script(lines, 0.05))).seen_by(talker)


def test_log_is_what_was_written(talker, whole):
    """Each line once, and those of standard output in order: the kubelet mixes in the others as they come."""
    service, run, log = whole
    got, wanted = (text.splitlines(keepends=True) for text in (log, expected()))
    assert sorted(got) == sorted(wanted)
    assert [line for line in got if b"stderr" not in line] == [line for line in wanted if b"stderr" not in line]
    service.ended(talker, run)
    assert talker.api("GET", f"{service.path}/runs/{run}/logs").body == log
    assert talker.get(f"{service.path}/runs/{run}")["log"] == "complete"


def test_last_line_is_not_ended(talker, log_place):
    service = log_place.service("open", container=shell("echo first; printf 'the end'")).seen_by(talker)
    run = service.force(talker).json["name"]
    assert talker.api("GET", f"{service.path}/runs/{run}/logs?follow=true").body == b"first\nthe end\n"


def test_offsets_give_the_rest(talker, whole):
    service, run, log = whole
    chance = random.Random(3)
    for offset in [0, 1, len(log) - 1, len(log)] + [chance.randrange(len(log)) for _ in range(12)]:
        answer = talker.api("GET", f"{service.path}/runs/{run}/logs?follow=true&offset={offset}")
        assert answer.status == 200 and answer.body == log[offset:], offset
    beyond = talker.api("GET", f"{service.path}/runs/{run}/logs?offset={len(log) + 1}")
    assert (beyond.status, beyond.json["detail"]) == (400, "the log ended before the offset")
    for offset in ("-1", "x", "", "99999999999999999999"):
        assert talker.api("GET", f"{service.path}/runs/{run}/logs?offset={offset}").status == 400


def test_lines_by_their_numbers(talker, whole):
    """From a line on, so many; what is told of the first and of all of them, also for a tail."""
    service, run, log = whole
    lines = [line + b"\n" for line in log.split(b"\n")[:-1]]
    path = f"{service.path}/runs/{run}/logs"
    for query, first, wanted in (("line=1", 1, lines), ("line=100", 100, lines[99:]), ("tail=3", 119, lines[-3:]),
                                 ("line=5&count=7", 5, lines[4:11]), ("line=121&count=9", 121, lines[120:]),
                                 ("line=122", 122, []), ("line=9999", 122, []), ("tail=5&count=2", 117, lines[-5:-3]),
                                 ("line=4&count=1&follow=true", 4, lines[3:4])):
        answer = talker.api("GET", f"{path}?{query}")
        assert answer.status == 200 and answer.body == b"".join(wanted), query
        assert (answer.headers["Log-Line"], answer.headers["Log-Lines"]) == (str(first), "121"), query
    assert "Log-Line" not in talker.api("GET", path).headers
    assert talker.api("GET", f"{path}?count=2").body == b"".join(lines[:2])
    for query in ("line=0", "line=x", "count=0", "line=1&tail=1", "line=1&offset=0", "line=1&since=1h",
                  "limit=5", "ignoreCase=true"):
        assert talker.api("GET", f"{path}?{query}").status == 400, query


def test_search(talker, whole):
    """Exactly the text, by the agent; long lines are cut around it."""
    service, run, log = whole
    lines = log.decode(errors="replace").split("\n")
    find = lambda query: talker.get(f"{service.path}/runs/{run}/logs?{query}")
    having = lambda text: [number for number, line in enumerate(lines, 1) if text in line]
    numbers = lambda answer: [match["line"] for match in answer["matches"]]
    answer = find("search=on+stderr")
    assert numbers(answer) == having("on stderr") and len(answer["matches"]) == 20
    assert (answer["lines"], answer["more"]) == (121, False)
    assert all(match["text"] == lines[match["line"] - 1] for match in answer["matches"])
    assert numbers(find("search=%E9%9B%AA")) == having("雪")
    assert find("search=ON+STDERR")["matches"] == []
    assert find("search=ON+STDERR&ignoreCase=true") == answer
    some = find("search=line&limit=3")
    assert numbers(some) == having("line")[:3] and some["more"]
    assert numbers(find(f"search=line&line={numbers(some)[-1] + 1}&limit=2")) == having("line")[3:5]
    assert find("search=.*")["matches"] == []  # it is no pattern
    [match] = find("search=line+10+0")["matches"]
    assert match["text"].endswith("0…") and len(match["text"]) <= 1001
    for query in ("search=", "search=" + 257 * "x", "search=x&tail=1", "search=x&limit=0", "search=x&limit=1001"):
        assert talker.api("GET", f"{service.path}/runs/{run}/logs?{query}").status == 400, query
    shown = talker.cli("logs", service.full_name, "--search", "ON STDERR", "--ignore-case")[0]
    assert shown == "".join(f"{number}:{lines[number - 1]}\n" for number in having("on stderr"))
    assert talker.cli("logs", service.full_name, "--search", "nowhere", status=1)[0] == ""


def test_timestamps(talker, whole):
    service, run, log = whole
    stamped = talker.api("GET", f"{service.path}/runs/{run}/logs?timestamps=true").body
    stamps = [line.split(b" ", 1) for line in stamped.split(b"\n")[:-1]]
    assert all(re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", stamp) for stamp, _ in stamps)
    assert b"".join(line + b"\n" for _, line in stamps) == log


def test_following_through_cut_connections(talker, log_place):
    """Each reconnect asks for what it has not got yet, in mid-line, in mid-character."""
    service = slow_service(log_place, talker, "cut")
    run = service.force(talker).json["name"]
    way, chance, received = Forwarder(talker.admin), random.Random(5), b""
    cuts = [chance.randrange(300, 4000) for _ in range(12)]
    for budget in cuts + [None]:
        if budget is not None:
            way.cut_after.append(budget)
        received += follow_until_cut(way.address, f"{service.path}/runs/{run}/logs?follow=true&offset={len(received)}")
    way.close()
    assert way.cuts >= 5
    complete = talker.api("GET", f"{service.path}/runs/{run}/logs?follow=true").body
    assert received == complete and b"the end" in complete


def follow_until_cut(address, path):
    """The bytes of the body that came, however it ended."""
    connection = http.client.HTTPConnection(address, timeout=60)
    got = b""
    try:
        connection.request("GET", path, headers={"Authorization": "Bearer admin-0123456789abcdef"})
        response = connection.getresponse()
        assert response.status == 200, response.read()
        while chunk := response.read1(1000):
            got += chunk
    except (OSError, http.client.HTTPException):
        pass  # what it has of a part is none of the body
    finally:
        connection.close()
    return got


def test_following_from_before_there_is_a_pod(talker, log_place):
    """Asked for at once: the answer waits for the container."""
    service = log_place.service("early", container=shell("sleep 1; echo here"), template={
        "initContainers": [{"name": "init", "image": log_place.cluster.busybox_image,
                            "command": ["/bin/busybox", "sleep", "2"]}]}).seen_by(talker)
    run = service.force(talker).json["name"]
    assert talker.api("GET", f"{service.path}/runs/{run}/logs?follow=true").text == "here\n"


def test_many_readers_of_one_log(talker, log_place):
    service = slow_service(log_place, talker, "readers")
    run = service.force(talker).json["name"]
    commands = [talker.command("logs", "--follow", "--run", run, service.full_name) for _ in range(6)]
    logs = {process.communicate(timeout=60)[0] for process in commands}
    assert len(logs) == 1
    assert logs == {talker.api("GET", f"{service.path}/runs/{run}/logs").body}


def test_log_is_kept_for_the_agent_alone(talker, log_place):
    service = log_place.service("gone", container=shell("echo kept")).seen_by(talker)
    run = service.force(talker).json["name"]
    assert talker.api("GET", f"{service.path}/runs/{run}/logs?follow=true").text == "kept\n"
    service.ended(talker, run)
    [pod] = service.pods_of(run)
    [job] = service.jobs()
    kept = talker.directory / "state/logs/runs" / service.namespace / job["metadata"]["uid"]
    name = f"{pod['metadata']['name']}.main.log.gz"
    eventually(lambda: [file.name for file in kept.iterdir()] == [name], "it is compressed")
    assert all(file.stat().st_mode & 0o077 == 0 for file in kept.iterdir())


# --- by the command line ---

def test_command_follows_through_cut_connections(talker, log_place):
    service = slow_service(log_place, talker, "command")
    way, chance = Forwarder(talker.admin), random.Random(7)
    way.cut_after = [chance.randrange(200, 3000) for _ in range(15)]
    out, err = run_command(talker, service, url=f"http://{way.address}")
    way.close()
    assert way.cuts > 3
    check_whole(talker, service, out)
    assert "succeeded" in err


@pytest.mark.parametrize("end", [Agent.stop, Agent.kill], ids=["restart", "crash"])
def test_command_follows_beyond_the_end_of_the_agent(talker, log_place, end):
    """In mid-log, and started again at the same address."""
    service = slow_service(log_place, talker, "ended", lines=80)
    process = talker.command("run", "--follow", service.full_name)
    first = process.stdout.readline() + process.stdout.readline()
    end(talker)
    talker.start()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    check_whole(talker, service, first + out)


def run_command(talker, service, **more):
    process = talker.command("run", "--follow", service.full_name, **more)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    return out, err.decode()


def check_whole(talker, service, out):
    """Every line once, in order, as the finished log has it."""
    [job] = service.jobs()
    log = talker.api("GET", f"{service.path}/runs/{job['metadata']['name']}/logs?follow=true").body
    assert out == log and log.endswith(b"the end\n")
    numbers = [int(number) for number in re.findall(rb"^line (\d+)\b", log, re.MULTILINE)]
    assert sorted(numbers) == [i for i in range(1, max(numbers) + 1) if i % 6]


def test_command_follows_through_retries(talker, log_place):
    """Each attempt's lines, once; the exit status is the container's."""
    service = log_place.service("retries", container=shell("echo one; echo two; exit 5"),
                                job={"backoffLimit": 1}).seen_by(talker)
    out, err = talker.cli("run", "--follow", service.full_name, status=5)
    assert out == "one\ntwo\n" * 2
    assert "attempt 1 of 2" in err and "attempt 2 of 2" in err and "exit 5" in "".join(err.splitlines()[-2:])
    # Afterwards: the latest attempt, or the one asked for.
    assert talker.cli("logs", "--failed", service.full_name)[0] == "one\ntwo\n"
    assert talker.cli("logs", "--attempt", "1", service.full_name)[0] == "one\ntwo\n"


def test_interrupted_command_detaches(talker, log_place):
    service = log_place.service("detach", container=shell("echo begun; exec /bin/busybox sleep 600")).seen_by(talker)
    process = talker.command("run", "--follow", service.full_name)
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130 and "detached" in err.decode(), err
    [job] = service.jobs()
    eventually(lambda: talker.get(f"{service.path}/runs/{job['metadata']['name']}")["state"] == "running", "it still runs")
    out, _ = talker.cli("cancel", service.full_name)
    eventually(lambda: not service.pods_of(job["metadata"]["name"]) and not service.jobs(), "the run is gone")


def test_reader_that_goes_away_ends_the_command(talker, log_place):
    service = slow_service(log_place, talker, "pipe", 200)
    process = talker.command("run", "--follow", service.full_name)
    process.stdout.readline()
    process.stdout.close()
    try:
        assert process.wait(20) in (1, 141, 128 + signal.SIGPIPE, -signal.SIGPIPE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    process.stderr.close()
    eventually(lambda: ask(talker.admin, "GET", "/healthz").status == 200, "the agent lives")
    service.ended(talker, service.jobs()[0]["metadata"]["name"])
