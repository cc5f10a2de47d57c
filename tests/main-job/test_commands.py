"""The command line on real data: what it says is what is. (How it looks is the golden tests' business.)"""

import re

import pytest

import forges
from agents import Agent, push_of
from places import report, shell


@pytest.fixture(scope="module")
def office(new_place):
    """An agent with one service that was built and run, one that fails, one whose push failed."""
    place = new_place("office")
    agent = Agent(place, place.directory).start()
    agent.repository = place.repository("report")
    agent.built = place.service("report", repository=agent.repository).seen_by(agent)
    agent.failing = place.service("failing", container=shell("echo to fail; exit 4")).seen_by(agent)
    agent.broken = place.repository("broken")
    agent.unrun = place.service("broken", repository=agent.broken).seen_by(agent)
    agent.broken_commit = agent.broken.push({"Dockerfile": f"FROM {place.cluster.busybox_image}\n"
                                                           'RUN ["/bin/busybox", "false"]\n'})
    agent.commit = agent.repository.push(report(place.cluster, "4211 rows read"), "Add VAT column")
    sent = {name: agent.accept(push_of(repository, commit))
            for name, repository, commit in (("broken", agent.broken, agent.broken_commit),
                                             ("report", agent.repository, agent.commit))}
    agent.sent = {name: agent.outcome(delivery) for name, delivery in sent.items()}
    assert agent.deliver(forges.github(b"{}", "a wrong secret", delivery_id="guess-1")).status == 401
    yield agent
    agent.finish()


def row(out, word):
    [line] = [line for line in out.splitlines() if word in line]
    return line


def test_run_follow_prints_the_log_alone(office):
    out, err = office.cli("run", "--follow", office.built.full_name)
    assert out == "4211 rows read\n"
    assert office.commit[:7] in err and "succeeded" in err


def test_run_follow_exits_as_the_container(office):
    out, err = office.cli("run", "--follow", "-n", office.place.namespace, office.failing.name, status=4)
    assert out == "to fail\n" and "exit 4" in err


def test_run_prints_the_name(office):
    out, _ = office.cli("run", "--if-active", "allow", office.built.full_name)
    run = out.strip()
    assert office.built.ended(office, run)["state"] == "succeeded"
    assert office.cli("logs", "--run", run, office.built.full_name)[0] == "4211 rows read\n"


def test_run_with_a_key(office):
    runs = [office.cli("run", "--if-active", "allow", "--idempotency-key", "once", office.built.full_name)[0]
            for _ in range(2)]
    assert runs[0] == runs[1]
    office.built.ended(office, runs[0].strip())


def test_services(office):
    out, _ = office.cli("services", "--no-headers")
    assert len([line for line in out.splitlines() if line.startswith(office.place.namespace + "/")]) == 3
    assert office.commit[:7] in row(out, office.built.full_name)
    assert "exit 4" in row(out, office.failing.full_name)
    assert "never run" in row(out, office.unrun.full_name)
    results = {service["name"]: (service["lastRun"] or {}).get("state")
               for service in office.cli_json("services")["services"]}
    assert results == {office.built.name: "succeeded", office.failing.name: "failed", office.unrun.name: None}


def test_show(office):
    out, _ = office.cli("show", office.built.full_name)
    for word in (office.commit[:7], "Add VAT column", "Ana", "main", "Dockerfile"):
        assert word in out
    assert office.cli_json("show", office.built.full_name)["status"]["live"]["commit"] == office.commit


def test_runs(office):
    out, _ = office.cli("runs", office.failing.full_name)
    [run] = office.cli_json("runs", office.failing.full_name)["runs"]
    assert "exit 4" in row(out, run["name"]) and "forced" in row(out, run["name"])


def test_logs(office):
    assert office.cli("logs", office.failing.full_name)[0] == "to fail\n"
    assert office.cli("logs", "--failed", office.failing.full_name)[0] == "to fail\n"
    out, err = office.cli("logs", "--failed", office.built.full_name, status=1)
    assert out == "" and "no failed run" in err
    stamped = office.cli("logs", "--timestamps", office.failing.full_name)[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z to fail\n", stamped)


def test_deliveries(office):
    out, _ = office.cli("deliveries")
    assert office.commit[:7] in row(out, "deployed") and office.built.full_name in row(out, "deployed")
    assert "build-failed" in out
    assert "401" in row(out, "refused")
    found = office.cli_json("deliveries")
    assert {one["reason"] for one in found["deliveries"]} == {"deployed", "build-failed"}
    assert [one["delivery"] for one in found["refused"]] == ["guess-1"]
    assert office.cli_json("deliveries", "--reason", "deployed")["deliveries"][0]["commit"] == office.commit
    out, _ = office.cli("deliveries", office.sent["report"]["delivery"])
    assert office.sent["report"]["build"] in out and "deployed" in out


def test_builds(office):
    builds = {build["commit"]: build for build in office.cli_json("builds")["builds"]}
    assert builds[office.commit]["state"] == "done" and builds[office.broken_commit]["state"] == "failed"
    out, _ = office.cli("builds")
    assert office.commit[:7] in row(out, builds[office.commit]["build"] + " ")
    failed = builds[office.broken_commit]["build"]
    assert "RUN" in row(out, failed + " ")
    out, _ = office.cli("builds", builds[office.commit]["build"])
    assert office.built.full_name in out and builds[office.commit]["digest"] in out
    out, err = office.cli("logs", "--build", failed)
    assert "busybox" in out and "RUN" in err
    only = office.cli_json("builds", "--repository", office.repository.url)["builds"]
    assert [build["commit"] for build in only] == [office.commit]


def test_log_of_a_build_is_followed(office):
    slow = 'RUN ["/bin/busybox", "sh", "-c", "echo slowly; /bin/busybox sleep 2; echo done"]'
    commit = office.repository.push(report(office.place.cluster, "4212 rows read", slow))
    delivery = office.accept(push_of(office.repository, commit))
    build = office.build_reaches(office.repository, commit, "waiting", "fetching", "running")["build"]
    out, err = office.cli("logs", "--follow", "--build", build)
    assert "slowly" in out and out.index("slowly") < out.index("done\n")
    office.outcome_of(delivery, "deployed")
    assert office.cli("logs", "--build", build)[0] == out


@pytest.mark.parametrize("words", [("show", "no-such/service"), ("runs", "no-such/service"), ("run", "no-such/service"),
                                   ("logs", "no-such/service"), ("logs", "--build", "b-9999"), ("builds", "b-9999"),
                                   ("deliveries", "no-such-delivery")])
def test_what_is_not_there(office, words):
    out, err = office.cli(*words, status=1)
    assert out == "" and err.startswith("cronwright")


def test_wrong_token(office):
    office.secret_file("bad").write_text("not-one-of-the-tokens")
    for status, *words in ((1, "services"), (1, "run", office.built.full_name),
                           (125, "run", "--follow", office.built.full_name)):
        out, err = office.cli(*words, token="bad", status=status)
        assert out == "" and "token" in err and "not-one-of-the-tokens" not in err


def test_role_that_is_not_enough(office):
    out, err = office.cli("run", office.built.full_name, token="viewer", status=1)
    assert out == "" and "viewer" in err
    assert office.cli("services", token="viewer")[0]


def test_agent_that_is_not_there(office):
    out, err = office.cli("services", url="http://127.0.0.1:9", status=1)
    assert out == "" and "127.0.0.1:9" in err


def test_sign_that_is_refused(office):
    office.secret_file("bad").write_text("not the secret")
    out, err = office.cli("sign", "--secret-file", str(office.secret_file("bad")), "--repository",
                          office.repository.url, f"http://{office.webhooks}", status=1)
    assert out == "" and "401" in err
    out, err = office.cli("sign", "--unsigned", "--repository", office.repository.url,
                          f"http://{office.webhooks}/webhooks/github", status=1)
    assert out == "" and "401" in err


@pytest.mark.parametrize("event, reason", [("ping", "ignored"), ("tag", "ignored"), ("delete", "ignored")])
def test_sign_other_events(office, event, reason):
    out, _ = office.cli("sign", "--event", event, "--secret-file", str(office.secret_file("github")),
                        "--repository", office.repository.url, f"http://{office.webhooks}")
    assert office.get(f"/v1/deliveries/{out.strip()}")["reason"] == reason


def test_check_of_the_settings(office):
    config = str(office.directory / "cronwright.yaml")
    out, _ = office.cli("agent", "--check", "--config", config)
    assert "good" in out
