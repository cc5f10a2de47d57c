"""Creating services: from files, from options, and everything that can be wrong with them."""

import json
import re

import pytest
import yaml

import answers
from agent import Answer, problem

FILE = """\
# a comment
name: nightly-report
namespace: reports
source:
  image: registry.example/acme/report:1.4

schedule: "0 3 * * 7"
env: [{name: MODE, value: full}, {name: 1 2, value: x}]
timezone: Europe/Berlin
"""
ERRORS = problem(400, "4 errors, nothing created", reason="invalid", errors=[
    {"pointer": "/timezone", "detail": 'unknown key "timezone"; did you mean "timeZone"?'},
    {"pointer": "/env/1/name", "detail": "a variable's name has no space"},
    {"pointer": "/schedule", "detail": "day of week is 0-6; Sunday is 0"},
    {"pointer": "/container/name", "detail": "is needed"}])


@pytest.fixture
def file(tmp_path):
    def write(text, name="svc.yaml"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return name
    return write


def created(agent, clock, status=201, settings=None, warnings=None, **more):
    body = answers.document(clock, settings, commit=None, state="draft", **more)
    if warnings:
        body["warnings"] = warnings
    agent.on("POST", "/v1/services", Answer(status, body, ETag='"7"'))


def test_create_from_a_file(shell, agent, clock, golden, file):
    file(FILE)
    created(agent, clock, warnings=["no time zone is set: the cluster's is used, usually UTC"],
            lastBuild={"build": "b-52", "state": "running", "reason": None, "commit": answers.C0F})
    first = shell.terminal("cronwright create -f svc.yaml")
    _, body = agent.sent("POST", "/v1/services")
    assert body == yaml.safe_load(FILE)
    created(agent, clock, 200)
    again = shell.files("cronwright create -f svc.yaml")
    dry = shell.files("cronwright create -f svc.yaml --dry-run")
    assert agent.asked("POST", "/v1/services") == ["", "", "dryRun=true"]
    golden("create", first, again, dry, shell.files("cronwright create -f svc.yaml -o name"))


def test_create_from_standard_input(shell, agent, clock, tmp_path):
    created(agent, clock)
    process = shell.start("cronwright create -f - -n reports", stdin=-1, stdout=-1, stderr=-1)
    out, _ = process.communicate(b'{"name": "x", "schedule": "@daily"}', timeout=30)
    assert process.returncode == 0 and out == b"reports/nightly-report  created, a draft\n"
    assert agent.sent("POST", "/v1/services")[1] == {"name": "x", "namespace": "reports", "schedule": "@daily"}


def test_errors_are_told_by_line_and_column(shell, agent, golden, file):
    file(FILE)
    agent.on("POST", "/v1/services", ERRORS)
    results = [shell.terminal("cronwright create -f svc.yaml"), shell.files("LC_ALL=C cronwright create -f svc.yaml")]
    assert [result.status for result in results] == [1, 1]
    golden("create-errors", *results)


def test_errors_are_told_by_option(shell, agent, golden):
    agent.on("POST", "/v1/services", problem(400, "4 errors, nothing created", reason="invalid", errors=[
        {"pointer": "/schedule", "detail": "day of week is 0-6; Sunday is 0"},
        {"pointer": "/env/1/name", "detail": "a variable's name has no space"},
        {"pointer": "/image", "detail": "is needed with source.git"},
        {"pointer": "", "detail": "exceeded quota: pods"}]))
    golden("create-errors-of-options", shell.files(
        "cronwright create reports/x --repository https://github.com/acme/report --schedule '0 3 * * 7' "
        "--env A=1 --env '1 2=x' -- --all"))
    assert agent.sent("POST", "/v1/services")[1] == {
        "name": "x", "namespace": "reports", "source": {"git": {"repository": "https://github.com/acme/report"}},
        "schedule": "0 3 * * 7", "env": [{"name": "A", "value": "1"}, {"name": "1 2", "value": "x"}],
        "container": {"args": ["--all"]}}


def test_refusals(shell, agent, golden, file):
    file(FILE)
    results = []
    for answer in (
            problem(409, "there is another reports/nightly-report", reason="exists", difference=[
                {"pointer": "/schedule", "yours": "0 3 * * 7", "theirs": "0 3 * * *"},
                {"pointer": "/env/0", "yours": {"name": "MODE", "value": "full"}, "theirs": None}]),
            problem(404, 'the namespace "reports" is not watched', reason="not-watched"),
            problem(403, "reports may not build github.com/acme/report", reason="not-allowed")):
        agent.on("POST", "/v1/services", answer)
        results.append(shell.files("cronwright create -f svc.yaml"))
    assert [result.status for result in results] == [1, 1, 1]
    golden("create-refused", *results)


def test_files_that_cannot_be_read(shell, agent, golden, file, tmp_path):
    bomb = "a: &a [x]\n" + "".join(f"{b}: &{b} [*{a},*{a}]\n" for a, b in zip("abcdefgh", "bcdefghi"))
    with open(tmp_path / "huge.yaml", "wb") as huge:
        huge.truncate(100 << 20)
    names = [file("a: 1\nb: [\n", "cut.yaml"), file(bomb, "bomb.yaml"), file("a: *x\n", "alias.yaml"),
             file("", "empty.yaml"), file("- a\n", "list.yaml"), file("a: 1\na: 2\n", "twice.yaml"),
             file(b"a: \xff\n", "bytes.yaml"), file("a: 1\n---\na: 2\n", "two.yaml"), "huge.yaml", "gone.yaml", "."]
    results = [shell.files(f"cronwright create -f {name}") for name in names]
    file(FILE)
    results.append(shell.files("cronwright create -f svc.yaml -n sales"))
    assert {result.status for result in results} == {1} and agent.requests == []
    golden("create-unreadable", *results)


def test_a_huge_file_is_not_read_whole(shell, tmp_path):
    """Endless input ends at the cap."""
    result = shell.files("cronwright create -f /dev/zero")
    assert result.status == 1 and "more than 1024 KiB, too large" in result.err


def test_the_example_is_complete_and_valid_yaml(shell, agent, clock, file):
    example = shell.files("cronwright create --example").out
    settings = yaml.safe_load(example)
    assert settings["source"]["git"]["branch"] == "main" and settings["env"][1]["secret"]["key"] == "token"
    assert "#healthChecks:\n" in example  # each says one of three, so it can only be told of
    assert max(map(len, example.splitlines())) <= 140
    created(agent, clock)
    assert shell.files(f"cronwright create -f {file(example)}").status == 0
    assert agent.sent("POST", "/v1/services")[1] == settings


def test_what_was_got_can_be_given_back(shell, agent, clock, tmp_path):
    """show -o yaml and -o json give files that create takes."""
    document = answers.document(clock, {"env": [{"name": "ODD", "value": "yes: #\n 012 \x1b\u2028é"}]})
    agent.get("/v1/services/reports/nightly-report", document)
    created(agent, clock)
    for format in ("yaml", "json"):
        shown = shell.files(f"cronwright show -o {format} reports/nightly-report").out
        (tmp_path / "shown").write_text(shown)
        shell.files("cronwright create -f shown")
        got = agent.sent("POST", "/v1/services")[1]
        for part in (got, document):
            part.pop("status", None)
        assert json.dumps(got, sort_keys=True) == json.dumps(document, sort_keys=True)
        assert re.search("ODD", shown)
