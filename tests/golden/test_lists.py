"""Lists and details, on a terminal, in a file, without UTF-8, without colour, as JSON."""

import answers
from agent import Answer, problem


def test_services(shell, agent, clock, golden):
    agent.get("/v1/services", answers.services(clock))
    golden("services",
           shell.terminal("cronwright services"),
           shell.files("cronwright services"),
           shell.files("cronwright services --no-headers"),
           shell.files("cronwright services -o wide"),
           shell.files("LC_ALL=C cronwright services"))


def test_long_reasons_do_not_widen_the_list(shell, agent, clock, golden):
    """Of what the cluster said only the beginning is in the table, all of it in the wide one."""
    long = "image cannot be pulled: Back-off pulling image \"registry.example/acme/report:b-51\": not found"
    agent.get("/v1/services", {"services": [
        answers.service(clock, lastRun={**answers.failed_run(clock), "reason": long}),
        answers.service(clock, "waits", running=[answers.FORCED], waiting=long),
        answers.service(clock, "both", running=[answers.FORCED, answers.FAILED], waiting=long)]})
    golden("services-long-reasons", shell.files("cronwright services"), shell.files("cronwright services -o wide"))


def test_services_in_colour(shell, agent, clock, golden):
    agent.get("/v1/services", answers.services(clock))
    coloured = shell.terminal("NO_COLOR= cronwright services")
    golden("services-in-colour", coloured)
    assert "\\e[31m" in coloured.out
    assert "\\e" not in shell.terminal("NO_COLOR=1 cronwright services").out
    assert "\\e" not in shell.terminal("NO_COLOR= TERM=dumb cronwright services").out
    assert "\x1b" not in shell.files("NO_COLOR= cronwright services").out


def test_services_as_json(shell, agent, clock, golden):
    agent.get("/v1/services", {"services": [answers.service(clock)], "webhooks": {"listen": "0.0.0.0:8080"}})
    golden("services-as-json",
           shell.terminal("cronwright services -o json"),
           shell.files("cronwright services -o json"))


def test_services_are_chosen(shell, agent, clock):
    agent.get("/v1/services", {"services": []})
    result = shell.files("cronwright services -n reports --project 'a & b'")
    assert agent.asked("GET", "/v1/services") == ["namespace=reports&project=a%20%26%20b"]
    assert result.status == 0 and result.out == ""
    assert result.err == "No such services. All: cronwright services\n"


def test_first_contact(shell, agent, golden):
    agent.get("/v1/services", {"services": [], "refused": {"count": 2, "last": {
        "reason": "signature matches no secret"}}, "webhooks": {"listen": "0.0.0.0:8080"}})
    golden("first-contact", shell.terminal("cronwright services"))


def test_wide_and_wild_characters(shell, agent, clock, golden):
    agent.get("/v1/builds", {"builds": [
        answers.build(clock, 53, branch="zażółć", services=2),
        answers.build(clock, 52, branch="日本語"),
        answers.build(clock, 51, branch="x\x1b[31mred\u202etxt"),
        answers.build(clock, 50, state="failed", detail="line one\nline two"),
    ]})
    golden("wide-and-wild", shell.terminal("cronwright builds"))


def test_show(shell, agent, clock, golden):
    path = "/v1/services/reports/nightly-report"
    agent.get("/v1/builds/b-51", answers.build(clock, 51))
    agent.get(path, answers.document(clock, lastRun=answers.failed_run(clock), running=[answers.FORCED]))
    agent.get(f"{answers.RUNS}/{answers.FAILED}/logs",
              Answer(200, b"connecting\n4 rows\nTraceback\n\nOperationalError: connection refused\n",
                     "text/plain"))
    failed = shell.terminal("cronwright show reports/nightly-report")
    agent.get(path, answers.document(
        clock, {"timeZone": None, "project": None, "resources": None,
                "source": {"git": {**answers.SETTINGS["source"]["git"], "context": "jobs/report",
                                   "target": "slim", "paths": ["report/**", "lib/*.py"],
                                   "buildArgs": {"EDITION": "full"}}}},
        sentence="Every day at 03:00", timeZone=None, pinned=True, state="stopped",
        owner="Helm release report", lastRun=answers.run(clock)))
    good = shell.terminal("cronwright show -n reports nightly-report")
    agent.get(path, answers.document(
        clock, commit=None, state="draft", missing=["the image is not built yet: cronwright build",
                                                    "Secret report does not exist: kubectl create secret"],
        warnings=["no time zone is set"], notChecked=["whether the Secret registry exists"],
        starting=True, sentence="Every day at 03:00",
        lastBuild={"build": "b-52", "state": "failed", "reason": "build-failed", "commit": answers.C0F,
                   "detail": "RUN pip: exit 1"}))
    golden("show", failed, good, shell.files("LC_ALL=C cronwright show reports/nightly-report"))


def test_show_says_everything_that_is_set(shell, agent, clock, golden):
    agent.get("/v1/services/reports/nightly-report", answers.document(clock, {
        "source": {"image": "registry.example/acme/report:1.4"}, "image": None,
        "container": {"name": "main", "command": ["python", "-m", "report"], "args": ["--all", "a b"],
                      "workingDir": "/srv", "pullSecret": "registry"},
        "startingDeadlineSeconds": 200, "firstRun": "onStart", "missed": "run",
        "env": [{"name": "MODE", "value": "two\nlines \x1b[31m"},
                {"name": "TOKEN", "secret": {"name": "report", "key": "token"}},
                {"name": "REGION", "configMap": {"name": "site", "key": "region"}}],
        "ports": [{"name": "metrics", "port": 9090, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}],
        "healthChecks": {"liveness": {"http": {"path": "/", "port": 9090}}, "startup": {"tcp": {"port": 53}}},
        "security": {"runAsNonRoot": True, "runAsUser": 1000, "dropCapabilities": ["ALL"]},
        "volumes": [{"name": "data", "mountPath": "/data", "secret": "report-data", "readOnly": True},
                    {"name": "site", "mountPath": "/site", "configMap": "site", "subPath": "a"},
                    {"name": "keep", "mountPath": "/keep", "claim": "report"},
                    {"name": "tmp", "mountPath": "/tmp", "emptyDir": {}}],
        "podLabels": {"team": "sales"}, "nodeSelector": {"disk": "fast"}, "serviceAccount": "report",
    }, commit=None))
    golden("show-everything", shell.files("cronwright show reports/nightly-report"))


def test_runs(shell, agent, clock, golden):
    agent.get(answers.RUNS, answers.runs(clock))
    listed = shell.terminal("cronwright runs reports/nightly-report")
    plain = shell.files("LC_ALL=C cronwright runs --limit 4 reports/nightly-report")
    assert agent.asked("GET", answers.RUNS) == ["limit=20", "limit=4"]
    wide = shell.files("cronwright runs -o wide reports/nightly-report")
    agent.get(answers.RUNS, {"runs": []})
    golden("runs", listed, plain, wide, shell.files("cronwright runs reports/nightly-report"))


def test_deliveries(shell, agent, clock, golden):
    agent.get("/v1/deliveries", answers.deliveries(clock))
    agent.get("/v1/deliveries/d-1", {**answers.delivery(clock, "2h10m50s", "d-1"),
                                     "builds": [answers.build(clock, 51)]})
    golden("deliveries",
           shell.terminal("cronwright deliveries"),
           shell.files("LC_ALL=C cronwright deliveries"),
           shell.terminal("cronwright deliveries d-1"))


def test_deliveries_are_chosen(shell, agent):
    agent.get("/v1/deliveries", {"deliveries": [], "refused": []})
    shell.files("cronwright deliveries --repository git@github.com:Acme/Report.git --reason no-match")
    shell.files("cronwright deliveries --before 120 --limit 5")
    shell.files("cronwright deliveries --commit 3fa9c1d")
    assert agent.asked("GET", "/v1/deliveries") == [
        "reason=no-match&limit=20&repository=github.com%2Facme%2Freport", "before=120&limit=5",
        "commit=3fa9c1d&limit=20"]


def test_builds(shell, agent, clock, golden):
    agent.get("/v1/builds", answers.builds(clock))
    agent.get("/v1/builds/b-51", {**answers.build(clock, 51), "patches": [
        {"namespace": "reports", "name": "nightly-report", "at": clock.ago("2h9m19s"),
         "oldImage": "registry.example/acme/report:b-48", "newImage": "registry.example/acme/report:b-51"}]})
    agent.get("/v1/builds/b-49", {**answers.build(clock, 49, state="failed", reason="build-failed", digest=None,
                                                  detail="RUN pip install -r requirements.txt: exit 1: ERROR: 404"),
                                  "patches": [], "lastLines": ["Collecting numbers", "\x1b[31mERROR: 404\x1b[0m"]})
    golden("builds",
           shell.terminal("cronwright builds"),
           shell.files("LC_ALL=C cronwright builds"),
           shell.terminal("cronwright builds b-51"),
           shell.terminal("cronwright builds b-49"))


def test_builds_are_chosen(shell, agent):
    agent.get("/v1/builds", {"builds": []})
    shell.files("cronwright builds --repository https://github.com/acme/report --branch main --before b-51")
    shell.files("cronwright builds --commit 3fa9c1d")
    assert agent.asked("GET", "/v1/builds") == [
        "branch=main&limit=20&before=51&repository=github.com%2Facme%2Freport", "commit=3fa9c1d&limit=20"]


def test_cancel(shell, agent, clock, golden):
    agent.get(answers.RUNS, answers.runs(clock))
    agent.on("DELETE", f"{answers.RUNS}/nightly-report-f-9x2m", Answer(202))
    agent.get(f"{answers.RUNS}/{answers.FAILED}", answers.failed_run(clock))
    only = shell.terminal("cronwright cancel reports/nightly-report")
    ended = shell.terminal(f"cronwright cancel reports/nightly-report {answers.FAILED}")
    agent.get(answers.RUNS, {"runs": [answers.run(clock, f"r-{n}", state="running") for n in "ab"]})
    several = shell.terminal("cronwright cancel reports/nightly-report")
    agent.get(answers.RUNS, {"runs": []})
    golden("cancel", only, ended, several, shell.terminal("cronwright cancel reports/nightly-report"))


def test_errors(shell, agent, clock, golden, tmp_path):
    (tmp_path / "token").write_text("not-the-token\n")
    (tmp_path / "empty").write_text("")
    agent.get("/v1/services", problem(401, "wrong token"))
    results = [shell.files("cronwright services"), shell.files("cronwright services --token-file token")]
    agent.get("/v1/services", problem(403, "the token \"ana\" may not see namespace sales"))
    results += [shell.files("cronwright services --token-file token"),
                shell.files("cronwright services --token-file gone"),
                shell.files("cronwright services --token-file empty"),
                shell.files("cronwright services --url 127.0.0.1:8081")]
    agent.get("/v1/services", Answer(200, b"<html>", "text/html"))
    results.append(shell.files("cronwright services"))
    agent.get("/v1/services", answers.services(clock))
    results.append(shell.files("cronwright runs reports/nightly-reprot"))
    results.append(shell.files("cronwright runs sales/nightly-report"))
    agent.get("/v1/services/reports/bare", problem(404, "CronJob reports/bare is no service", reason="not-managed"))
    results.append(shell.files("cronwright show reports/bare"))
    agent.stop()
    shell.changes.append((r"after \d+ ms", "after 0 ms"))
    results.append(shell.files("cronwright services"))
    agent.start()
    golden("errors", *results)


def test_the_token_is_sent(shell, agent, tmp_path):
    (tmp_path / "token").write_text("s3cret\n")
    agent.get("/v1/services", {"services": []})
    shell.files("CRONWRIGHT_TOKEN_FILE=token cronwright services")
    assert agent.requests[0][2]["Authorization"] == "Bearer s3cret"
