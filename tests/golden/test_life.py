"""Starting, stopping, deleting, adopting, copying, building, rolling back: what each asks of the agent,
what it says, and what it says when it is refused."""

import functools
import json
import signal
import threading

import yaml

import answers
from agent import Answer, Stream, problem

SERVICE = "/v1/services/reports/nightly-report"
NAME = "reports/nightly-report"
OLD = "registry.example/acme/report:b-49@sha256:" + "cd" * 32
NEW = "registry.example/acme/report:b-51@sha256:" + "ab" * 32


def replying(keys):
    def on_output(text, type_keys, asked=[]):
        if "[y/N]" in text and text not in asked:
            asked.append(text)
            if len(asked) == 1:
                type_keys(keys)
    return on_output


def test_start(shell, agent, clock, golden):
    agent.get(SERVICE, answers.document(clock))
    agent.on("POST", f"{SERVICE}/start", {
        "state": "started", "before": "draft", "after": "started", "firstRun": None,
        "next": clock.ahead("16h48m30s", "Europe/Berlin"), "warnings": ["7 runs a minute are many"],
        "notChecked": ["whether the Secret report exists: the agent may not read Secrets"]})
    started = shell.terminal(f"cronwright start {NAME}")
    assert agent.sent("POST", f"{SERVICE}/start")[1] is None
    agent.on("POST", f"{SERVICE}/start", {
        "state": "started", "before": "started", "after": "started", "next": None,
        "firstRun": {"name": answers.FORCED}})
    again = shell.files(f"LC_ALL=C cronwright start -n reports nightly-report")
    agent.on("POST", f"{SERVICE}/start", {"state": "starting", "before": "draft", "after": "starting",
                                          "next": None, "firstRun": None})
    starting = shell.files(f"cronwright start {NAME}")
    agent.on("POST", f"{SERVICE}/start", problem(409, "it cannot be started: 2 things are missing",
                                                 reason="not-ready", missing=[
        "Secret report does not exist: kubectl create secret generic report -n reports",
        "the schedule never fires: cronwright edit reports/nightly-report"]))
    refused = shell.files(f"cronwright start {NAME}")
    agent.get("/v1/services", answers.services(clock))
    agent.on("POST", "/v1/services/reports/nightly-reprot/start", problem(404, "there is no such service"))
    golden("start", started, again, starting, refused, shell.files("cronwright start reports/nightly-reprot"))
    assert [refused.status, starting.status] == [1, 0]


def test_stop_and_resume(shell, agent, golden):
    agent.on("POST", f"{SERVICE}/stop", {"state": "stopped", "before": "started", "after": "stopped"})
    agent.on("POST", f"{SERVICE}/resume", {"pinned": False, "before": "pinned", "after": "following"})
    results = [shell.files(f"cronwright stop {NAME}"), shell.files(f"cronwright resume {NAME}"),
               shell.files(f"cronwright stop -o name {NAME}"), shell.files(f"cronwright stop -o yaml {NAME}")]
    agent.on("POST", f"{SERVICE}/stop", problem(403, "the token \"bob\" may not change services in reports"))
    golden("stop-and-resume", *results, shell.files(f"cronwright stop {NAME}"))


def test_delete(shell, agent, golden):
    agent.on("DELETE", SERVICE, lambda query, *_: Answer(200, {
        "name": "nightly-report", "namespace": "reports", "deleted": True,
        "logs": "deleted" if query.get("logs") == "delete" else "kept"}))
    kept = shell.terminal(f"cronwright delete {NAME}", replying(b"y\n"))
    gone = shell.files(f"cronwright delete --logs delete --if-active cancel --yes {NAME}")
    assert agent.asked("DELETE", SERVICE) == ["", "ifActive=cancel&logs=delete"]
    declined = [shell.terminal(f"cronwright delete {NAME}", replying(keys)) for keys in (b"n\n", b"\n", b"\x04", b"\x03")]
    assert [result.status for result in declined] == [1, 1, 1, 130]
    assert len(agent.asked("DELETE", SERVICE)) == 2
    agent.on("DELETE", SERVICE, problem(409, "a run is active", reason="active-run", run=answers.FORCED))
    golden("delete", kept, gone, *declined, shell.files(f"cronwright delete -y {NAME}"))


def test_adopt(shell, agent, golden):
    agent.on("POST", "/v1/services:adopt", {
        "name": "nightly-report", "namespace": "reports",
        "before": {"repository": None, "branch": None, "image": None, "container": None},
        "after": {"repository": "https://github.com/acme/report", "branch": "main",
                  "image": "registry.example/acme/report", "container": "main"},
        "warnings": ["Helm release report puts its own image back: set its value image, or uninstall it"]})
    adopted = shell.terminal(f"cronwright adopt {NAME} --repository https://github.com/acme/report --branch main "
                             "--image registry.example/acme/report --container main --project sales")
    assert agent.sent("POST", "/v1/services:adopt")[1] == {
        "namespace": "reports", "name": "nightly-report", "project": "sales",
        "source": {"git": {"repository": "https://github.com/acme/report", "branch": "main"}},
        "image": "registry.example/acme/report", "container": {"name": "main"}}
    shell.files(f"cronwright adopt {NAME} --image registry.example/acme/report")
    assert agent.sent("POST", "/v1/services:adopt")[1] == {
        "namespace": "reports", "name": "nightly-report", "image": "registry.example/acme/report"}
    same = {"repository": "https://github.com/acme/report"}
    agent.on("POST", "/v1/services:adopt", {"before": same, "after": same})
    again = shell.files(f"cronwright adopt {NAME}")
    agent.on("POST", "/v1/services:adopt", problem(400, "1 error", reason="invalid", errors=[
        {"pointer": "/container/name", "detail": "there is no such container; there are app and proxy"}]))
    golden("adopt", adopted, again, shell.files(f"cronwright adopt {NAME} --container main"))


def test_copy(shell, agent, golden):
    agent.on("POST", f"{SERVICE}/copy", Answer(201, {"name": "nightly", "namespace": "prod", "warnings": [
        "the Secret report does not exist in prod"]}))
    copied = shell.terminal(f"cronwright copy {NAME} prod/nightly")
    assert agent.sent("POST", f"{SERVICE}/copy")[1] == {"namespace": "prod", "name": "nightly"}
    shell.files("cronwright copy -n reports nightly-report nightly")
    assert agent.sent("POST", f"{SERVICE}/copy")[1] == {"namespace": "reports", "name": "nightly"}
    agent.on("POST", f"{SERVICE}/copy", problem(409, "there is another prod/nightly", reason="exists", difference=[
        {"pointer": "/schedule", "yours": "0 3 * * *", "theirs": "0 4 * * *"}]))
    again = shell.files(f"cronwright copy {NAME} prod/nightly")
    agent.on("POST", f"{SERVICE}/copy", {"name": "nightly", "namespace": "prod"})
    same = shell.files(f"cronwright copy {NAME} prod/nightly")
    golden("copy", copied, again, same,
           shell.files(f"cronwright copy -o name {NAME} prod/nightly"))


def build_state(number, state="done"):
    return {"build": f"b-{number}", "state": state, "reason": None, "detail": None, "commit": answers.A41}


def seen_to_build(agent, clock, *last_builds):
    """What the service's last build is at each look, the first before the build is asked for."""
    agent.get(SERVICE, *[answers.document(clock, lastBuild=last) for last in last_builds])


def built(agent, clock, number, *states, log=b"RUN pip\n", **end):
    """A build that is in these states, and then done or as `end` says."""
    path = f"/v1/builds/b-{number}"
    agent.get(path, *[answers.build(clock, number, state=state) for state in states],
              answers.build(clock, number, **end))
    agent.get(f"{path}/logs", lambda query, *_: Stream(log[int(query.get("offset", 0)):]))


def test_build(shell, agent, clock, golden):
    agent.on("POST", f"{SERVICE}/build", Answer(202, {"delivery": "d-9", "build": None}))
    asked = shell.files(f"cronwright build {NAME}")
    # Another service of the branch is built as well: the delivery names that build.
    agent.get("/v1/deliveries/d-9", answers.delivery(clock, "1s", "d-9", pending=True, build=None),
              answers.delivery(clock, "1s", "d-9", pending=True, build="b-53"))
    seen_to_build(agent, clock, build_state(51), build_state(51), build_state(52, "waiting"))
    built(agent, clock, 52, "waiting", "running", "pushed")
    followed = shell.files(f"cronwright build --follow {NAME}")
    assert followed.out == "RUN pip\n" and followed.status == 0
    seen_to_build(agent, clock, None, build_state(52, "failed"))
    built(agent, clock, 52, state="failed", detail="RUN pip: exit 1")
    failed = shell.files(f"cronwright build --follow {NAME}")
    seen_to_build(agent, clock, build_state(52, "running"), build_state(52, "running"), build_state(54, "running"))
    built(agent, clock, 52, state="superseded", detail="the branch moved on to b77c3e1")
    built(agent, clock, 54, log=b"RUN gem\n")
    superseded = shell.files(f"cronwright build --follow {NAME}")
    seen_to_build(agent, clock, build_state(54))
    agent.get("/v1/deliveries/d-9", answers.delivery(clock, "1s", "d-9", reason="unchanged", build=None,
                                                     detail="the head of main is built already"))
    nothing = shell.files(f"cronwright build -f {NAME}")
    agent.get("/v1/deliveries/d-9", answers.delivery(clock, "1s", "d-9", reason="fetch-failed", build=None,
                                                     detail="github.com: connection refused"))
    no_head = shell.files(f"cronwright build -f {NAME}")
    assert [failed.status, superseded.status, nothing.status, no_head.status] == [1, 0, 0, 1]
    agent.on("POST", f"{SERVICE}/build", problem(409, "its image is given, not built", reason="no-source"))
    golden("build", asked, followed, failed, superseded, nothing, no_head, shell.files(f"cronwright build {NAME}"))


def test_build_is_detached_from(shell, agent, clock, golden):
    def interrupt(text, _, sent):
        if not sent and ("head of its branch" in text or "RUN pip" in text):
            sent.append(shell.process.send_signal(signal.SIGINT))

    shell.changes.append((r"waiting \d+s", "waiting 1s"))
    agent.on("POST", f"{SERVICE}/build", Answer(202, {"delivery": "d-9", "build": None}))
    agent.get("/v1/deliveries/d-9", answers.delivery(clock, "1s", "d-9", pending=True, build=None))
    seen_to_build(agent, clock, build_state(51))
    early = shell.terminal(f"cronwright build --follow {NAME}", functools.partial(interrupt, sent=[]))
    seen_to_build(agent, clock, build_state(51), build_state(52, "running"))
    agent.get("/v1/builds/b-52", answers.build(clock, 52, state="running"))
    over = threading.Event()
    agent.get("/v1/builds/b-52/logs", Stream(b"RUN pip\n", over))
    late = shell.terminal(f"cronwright build --follow {NAME}", functools.partial(interrupt, sent=[]))
    over.set()
    assert [early.status, late.status] == [130, 130]
    golden("build-detached", early, late)


def test_rollback(shell, agent, clock, golden):
    agent.on("POST", f"{SERVICE}/rollback", {"image": OLD, "commit": answers.C0F, "build": "b-49", "before": NEW,
                                             "after": OLD, "pinned": True})
    back = shell.terminal(f"cronwright rollback {NAME}")
    assert agent.sent("POST", f"{SERVICE}/rollback")[1] == {}
    shell.files(f"cronwright rollback --to b-49 {NAME}")
    assert agent.sent("POST", f"{SERVICE}/rollback")[1] == {"to": "b-49"}
    agent.on("POST", f"{SERVICE}/rollback", {"image": OLD, "commit": None, "build": None, "before": NEW,
                                             "after": OLD, "pinned": True})
    by_hand = shell.files(f"cronwright rollback {NAME}")
    agent.on("POST", f"{SERVICE}/rollback", problem(404, "there is no image before the present one", reason="no-image"))
    agent.get("/v1/services", {"services": [answers.service(clock)]})
    golden("rollback", back, by_hand, shell.files(f"cronwright rollback {NAME}"))


def test_images(shell, agent, clock, golden):
    agent.get(f"{SERVICE}/images", {"images": [
        {"image": OLD, "commit": answers.C0F, "subject": "Read in batches", "author": "Bo", "build": "b-49",
         "at": clock.ago("3m"), "by": "ana", "kind": "rollback", "live": True},
        {"image": NEW, "commit": answers.A41, "subject": "Add VAT column", "author": "Ana", "build": "b-51",
         "at": clock.ago("2h10m"), "by": None, "kind": "built", "live": False},
        {"image": "docker.example/report:1", "commit": None, "subject": None, "author": None, "build": None,
         "at": clock.ago("9d"), "by": None, "kind": "given", "live": False}]})
    listed = shell.terminal(f"cronwright images {NAME}")
    shell.files(f"cronwright images --limit 5 {NAME}")
    assert agent.asked("GET", f"{SERVICE}/images") == ["limit=20", "limit=5"]
    names = shell.files(f"cronwright images -o name {NAME}")
    wide = shell.files(f"LC_ALL=C cronwright images -o wide --no-headers {NAME}")
    agent.get(f"{SERVICE}/images", {"images": []})
    golden("images", listed, names, wide, shell.files(f"cronwright images {NAME}"))


def test_every_list_and_object_as_data(shell, agent, clock):
    """The same four formats for each."""
    agent.get("/v1/services", answers.services(clock))
    agent.get(SERVICE, answers.document(clock))
    agent.get(answers.RUNS, answers.runs(clock))
    agent.get("/v1/builds", answers.builds(clock))
    agent.get("/v1/deliveries", answers.deliveries(clock))
    for command, names in (("services", ["reports/nightly-report", "reports/ledger-sync", "sales/export",
                                         "sales/new-import"]),
                           (f"show {NAME}", [NAME]),
                           (f"runs {NAME}", [run["name"] for run in answers.runs(clock)["runs"] if run["name"]]),
                           ("builds", ["b-54", "b-53", "b-52", "b-51", "b-50", "b-49"]),
                           ("deliveries", ["d-4", "d-3", "d-1", "d-0"])):
        told = {form: shell.files(f"cronwright {command} -o {form}") for form in ("json", "yaml", "name", "wide", "table")}
        assert {result.status for result in told.values()} == {0}
        assert told["name"].out.splitlines() == names
        assert yaml.safe_load(told["yaml"].out) == json.loads(told["json"].out)
        assert all(name.split("/")[-1] in told["wide"].out for name in names)


def test_a_refusal_as_data(shell, agent, golden):
    """The agent's own words on standard output for scripts, the sentence beside it for people."""
    agent.on("POST", f"{SERVICE}/start", problem(409, "it cannot be started: 1 thing is missing", reason="not-ready",
                                                 missing=["Secret report does not exist"]))
    agent.on("POST", "/v1/services", problem(400, "1 error, nothing created", reason="invalid", errors=[
        {"pointer": "/schedule", "detail": "day of week is 0-6; Sunday is 0"}]))
    agent.on("POST", answers.RUNS, problem(409, "a run is active", reason="active-run", run=answers.FORCED))
    agent.get("/v1/services", {"services": []})
    create = f"cronwright create {NAME} --image r.example/x:1 --schedule '0 3 * * 7'"
    refused = [shell.terminal(f"cronwright start -o json {NAME}"), shell.files(f"cronwright start -o name {NAME}"),
               shell.files(f"{create} -o json"), shell.files(f"{create} -o yaml"),
               shell.files(f"cronwright run -o json {NAME}"), shell.files("cronwright stop -o json reports/nothing")]
    assert {result.status for result in refused} == {1}
    assert [json.loads(refused[at].out)["reason"] for at in (2, 4)] == ["invalid", "active-run"]
    assert yaml.safe_load(refused[3].out) == json.loads(refused[2].out)
    agent.stop()
    away = shell.files(f"cronwright stop -o json {NAME}")
    assert (away.out, away.status) == ("", 1)
    golden("refusals-as-data", *refused)
