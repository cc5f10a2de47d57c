"""The history of runs and their logs, which outlives Jobs, pods and agents."""

import gzip
import json
import re
import time

import pytest
import yaml

from agents import Agent
from places import shell
from waiting import eventually

HISTORY_RUNS = 200
LARGE_LOG = 50_000_000


@pytest.fixture(scope="module")
def history_place(new_place):
    return new_place("history")


@pytest.fixture(scope="module")
def keeper(history_place):
    """An agent of this module's own, since it is stopped and killed."""
    with Agent(history_place, history_place.directory) as agent:
        yield agent


@pytest.fixture(scope="module")
def minutely(keeper, history_place):
    """Started, stopped and looked at: every minute one run is due. Made first, since that takes minutes."""
    service = history_place.service("minutely", container=shell("echo a minute"),
                                    spec={"schedule": "* * * * *", "suspend": True,
                                          "concurrencyPolicy": "Allow"}).seen_by(keeper)
    service.merge(spec={"suspend": False})
    return service


@pytest.fixture(scope="module")
def long_ago(history_place):
    """A CronJob that is no service yet, whose Job ends minutes before it becomes one."""
    service = history_place.service("adopted", container=shell("echo mine"))
    service.merge(metadata={"labels": {"cronwright.io/managed": None}})
    service.cluster.kubectl("-n", service.namespace, "create", "job", "before", f"--from=cronjob/{service.name}")
    return service


def runs_of(agent, service, query="missed=false"):
    return agent.get(f"{service.path}/runs?limit=500&{query}")["runs"]


def row_of(agent, service):
    """As the list of services has it."""
    rows = agent.get(f"/v1/services?namespace={service.namespace}")["services"]
    return next(row for row in rows if row["name"] == service.name)


def log_of(agent, service, run, query=""):
    answer = agent.api("GET", f"{service.path}/runs/{run}/logs?{query}")
    assert answer.status == 200, answer
    return answer.body


def kept(agent, service, run, log="complete"):
    """The run, once it is over and its logs are in the archive."""
    def there():
        found = agent.get(f"{service.path}/runs/{run}")
        logs = [each for attempt in found["attempts"] for each in attempt["logs"] if each["state"] != "lost"]
        packed = all(each["compressedBytes"] for each in logs)  # a moment after it is complete
        over = all(attempt["state"] not in ("pending", "running") for attempt in found["attempts"])
        return found if found["finished"] and over and found["log"] == log and packed else None
    # After 200 runs at once it takes the kubelet minutes to come to new pods.
    return eventually(there, f"run {run} is over and its log {log}", 240)


def remove_job(service, run):
    service.cluster.delete("jobs", service.namespace, run)
    eventually(lambda: not service.pods_of(run) and run not in [job["metadata"]["name"] for job in service.jobs()],
               f"Job and pods of {run} are gone")


# --- what Kubernetes forgets ---

def test_run_outlives_its_job(keeper, history_place, minutely, long_ago):
    service = history_place.service("outlives", container=shell("echo one; echo two >&2; sleep 1; printf three"))
    service.seen_by(keeper)
    run = service.force(keeper).json["name"]
    before = kept(keeper, service, run)
    log = log_of(keeper, service, run)
    assert sorted(log.split(b"\n")) == [b"", b"one", b"three", b"two"] and not before["archived"]
    remove_job(service, run)
    after = eventually(lambda: next((row for row in [keeper.get(f"{service.path}/runs/{run}")] if row["archived"]), None),
                       "the run is in the archive alone")
    assert {**before, "archived": True} == after
    assert runs_of(keeper, service) == [after]
    assert log_of(keeper, service, run) == log
    assert log_of(keeper, service, run, "follow=true") == log
    row = row_of(keeper, service)
    assert row["lastRun"]["name"] == run and row["running"] == [] and row["usualSeconds"] == after["durationSeconds"]
    assert run in keeper.cli("runs", service.full_name)[0]
    assert keeper.cli("logs", service.full_name)[0].encode() == log


def test_parts_of_a_log(keeper, history_place):
    """Of a live and of an archived log."""
    script = "for i in 1 2 3 4 5; do echo early $i; done; sleep 3; for i in 6 7 8; do echo late $i; done; sleep 2"
    service = history_place.service("parts", container=shell(script)).seen_by(keeper)
    run = service.force(keeper).json["name"]
    eventually(lambda: b"late 8" in keeper.api("GET", f"{service.path}/runs/{run}/logs").body, "it has written all")

    def check():
        answer = keeper.api("GET", f"{service.path}/runs/{run}/logs?tail=2")
        assert answer.text == "late 7\nlate 8\n" and answer.headers["Log-Offset"] == str(5 * 8 + 7)
        assert log_of(keeper, service, run, "tail=0") == b""
        whole = log_of(keeper, service, run)
        assert log_of(keeper, service, run, "tail=100") == whole and whole.count(b"\n") == 8
        stamped = log_of(keeper, service, run, "timestamps=true").decode().splitlines()
        since = stamped[5].split()[0][:19] + "Z"
        assert log_of(keeper, service, run, f"since={since}") == b"late 6\nlate 7\nlate 8\n"
        assert log_of(keeper, service, run, f"since={since}&tail=1&timestamps=true").decode() == stamped[7] + "\n"
        assert log_of(keeper, service, run, "since=1h") == whole
        assert log_of(keeper, service, run, "since=0s") == b""
        assert keeper.cli("logs", service.full_name, "--tail", "1")[0] == "late 8\n"
    check()
    kept(keeper, service, run)
    remove_job(service, run)
    check()
    for bad in ("tail=-1", "tail=x", "since=yesterday", "since=", "since=10", "since=9999999999d", "previous=maybe",
                "container=UPPER", "attempt=0"):
        assert keeper.api("GET", f"{service.path}/runs/{run}/logs?{bad}").status == 400, bad
    assert keeper.api("GET", f"{service.path}/runs/{run}/logs?container=other").status == 404
    assert keeper.api("GET", f"{service.path}/runs/{run}/logs?previous=true").status == 404


def test_history_limits_are_the_clusters_alone(keeper, history_place):
    service = history_place.service("limits", container=shell("echo limited"),
                                    spec={"successfulJobsHistoryLimit": 1}).seen_by(keeper)
    runs = []
    for _ in range(3):
        runs.append(service.force(keeper).json["name"])
        service.ended(keeper, runs[-1])
    eventually(lambda: len(service.jobs()) == 1, "the controller removed the older ones", 60)
    rows = eventually(lambda: [row for row in [runs_of(keeper, service)] if sum(one["archived"] for one in row[:]) == 2],
                      "two are in the archive alone")[0]
    assert [row["name"] for row in rows] == runs[::-1]
    assert [row["name"] for row in runs_of(keeper, service, f"missed=false&before={rows[0]['created']}")] == runs[1::-1]
    assert runs_of(keeper, service, "state=failed") == []
    for run in runs:
        kept(keeper, service, run)
        assert log_of(keeper, service, run) == b"limited\n"
    service.delete()
    eventually(lambda: keeper.api("GET", service.path).status == 404, "the service is gone")
    eventually(lambda: all(row["archived"] for row in runs_of(keeper, service)), "all are in the archive alone")
    assert [row["name"] for row in runs_of(keeper, service)] == runs[::-1]
    assert keeper.cli("logs", service.full_name)[0] == "limited\n"
    assert keeper.api("GET", f"{service.path}/runs/no-such-run").status == 404


# --- how runs end ---

def test_deadline_keeps_the_log(keeper, history_place):
    service = history_place.service("deadline", container=shell("i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.2; done"),
                                    job={"activeDeadlineSeconds": 600}).seen_by(keeper)
    run = service.force(keeper).json["name"]
    eventually(lambda: b"tick 4\n" in keeper.api("GET", f"{service.path}/runs/{run}/logs").body, "it has begun", 90)
    service.cluster.merge("jobs", service.namespace, run, {"spec": {"activeDeadlineSeconds": 1}})
    ended = kept(keeper, service, run)
    assert (ended["state"], ended["reason"]) == ("failed", "deadline exceeded")
    eventually(lambda: not service.pods_of(run), "its pods are deleted")
    ticks = log_of(keeper, service, run).decode().splitlines()
    assert len(ticks) > 3 and ticks == [f"tick {i}" for i in range(1, len(ticks) + 1)]
    [attempt] = keeper.get(f"{service.path}/runs/{run}")["attempts"]
    assert attempt["state"] == "failed" and attempt["logs"][0]["state"] == "complete"
    service.merge(spec={"jobTemplate": {"spec": {"activeDeadlineSeconds": 4}}})
    assert keeper.cli("run", "--follow", service.full_name, status=124)


def test_each_attempt_has_its_log(keeper, history_place):
    service = history_place.service("attempts", container=shell("echo in $HOSTNAME; exit 7"),
                                    job={"backoffLimit": 1},
                                    template={"initContainers": [{
                                        "name": "first", "image": history_place.cluster.busybox_image,
                                        **shell("echo before $HOSTNAME")}]}).seen_by(keeper)
    run = service.force(keeper).json["name"]
    ended = kept(keeper, service, run)
    assert (ended["state"], ended["reason"], ended["exitCode"]) == ("failed", "exit 7", 7)
    remove_job(service, run)
    pods = [attempt["pod"] for attempt in ended["attempts"]]
    assert len(set(pods)) == 2
    for number, pod in enumerate(pods, 1):
        assert log_of(keeper, service, run, f"attempt={number}").decode() == f"in {pod}\n"
        assert log_of(keeper, service, run, f"attempt={number}&container=first").decode() == f"before {pod}\n"
    assert log_of(keeper, service, run, "previous=true").decode() == f"in {pods[0]}\n"
    assert keeper.cli("logs", "--failed", "--previous", service.full_name)[0] == f"in {pods[0]}\n"
    assert keeper.api("GET", f"{service.path}/runs/{run}/logs?attempt=3").status == 404
    assert [row["name"] for row in runs_of(keeper, service, "state=failed")] == [run]


def test_reasons(keeper, history_place):
    """In words, also when nothing of it is left."""
    make = lambda word, script="true", **more: history_place.service(word, container=shell(script, **more))
    hungry = make("hungry", "sleep 1; exec /bin/busybox tail /dev/zero", resources={"limits": {"memory": "16Mi"}})
    pull = history_place.service("pull", image=f"{history_place.cluster.registry}/no/such:image")
    nowhere = history_place.service("nowhere", container=shell("true"), template={"nodeSelector": {"no": "such"}})
    wanted = {hungry: "out of memory (16Mi)", pull: "image cannot be pulled", nowhere: "unschedulable: "}
    runs = {service: service.seen_by(keeper).force(keeper).json["name"] for service in wanted}
    for service, reason in wanted.items():
        eventually(lambda: next((row for row in runs_of(keeper, service) if (row["reason"] or "").startswith(reason)), None),
                   f"{service.name} is told to be {reason}", 60)
    assert kept(keeper, hungry, runs[hungry])["exitCode"] == 137
    for service in (pull, nowhere):
        row = row_of(keeper, service)
        assert row["running"] == [runs[service]] and row["waiting"].startswith(wanted[service])
        remove_job(service, runs[service])
        ended = kept(keeper, service, runs[service], "none")
        assert (ended["state"], ended["reason"]) == ("failed", "cancelled: its Job was deleted")
        row = row_of(keeper, service)
        assert row["running"] == [] and row["waiting"] is None
        assert keeper.api("GET", f"{service.path}/runs/{runs[service]}/logs").status == 404


def test_run_that_takes_longer_than_usual(keeper, history_place):
    service = history_place.service("slow", container=shell("echo quick")).seen_by(keeper)
    quick = [kept(keeper, service, service.force(keeper).json["name"]) for _ in range(2)]
    assert not quick[0]["slow"]  # nothing is usual yet
    # Long enough beside what the cluster took for the quick ones.
    seconds = 8 + 2 * round(max(run["durationSeconds"] for run in quick))
    container = {"name": "main", "image": history_place.cluster.busybox_image,
                 **shell(f"exec /bin/busybox sleep {seconds}")}
    patch = {"spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [container]}}}}}}
    service.cluster.kubectl("-n", service.namespace, "patch", "cronjob", service.name, "--type=strategic",
                            "-p", json.dumps(patch))
    run = service.force(keeper).json["name"]
    eventually(lambda: keeper.get(f"{service.path}/runs/{run}")["slow"], "it is slow while it runs", 240)
    assert kept(keeper, service, run)["slow"] is True
    assert row_of(keeper, service)["usualSeconds"] <= max(run["durationSeconds"] for run in quick)
    assert "twice as long as usual" in keeper.cli("runs", service.full_name)[0]


# --- agents come and go ---

COUNTING = "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo line $i; sleep 0.03; done"


def test_killed_agent_loses_and_repeats_no_line(keeper, history_place):
    service = history_place.service("killed", container=shell(COUNTING)).seen_by(keeper)
    run = service.force(keeper).json["name"]
    for wait in (20, 80, 140):
        eventually(lambda: b"line %d\n" % wait in keeper.api("GET", f"{service.path}/runs/{run}/logs").body,
                   f"line {wait} is there")
        keeper.kill()
        keeper.start()
    kept(keeper, service, run)
    assert log_of(keeper, service, run).decode().splitlines() == [f"line {i}" for i in range(1, 201)]
    assert [row["name"] for row in runs_of(keeper, service)] == [run]


def test_run_of_an_absent_agent(keeper, history_place):
    service = history_place.service("absent", container=shell("echo alone")).seen_by(keeper)
    seen = service.force(keeper).json["name"]
    ended = kept(keeper, service, seen)
    slow = history_place.service("absent-slow", container=shell("echo begun; sleep 600")).seen_by(keeper)
    lost = slow.force(keeper).json["name"]
    eventually(lambda: b"begun\n" == keeper.api("GET", f"{slow.path}/runs/{lost}/logs").body, "it has begun")
    keeper.stop()
    service.cluster.kubectl("-n", service.namespace, "create", "job", "alone", f"--from=cronjob/{service.name}")
    eventually(lambda: [job for job in service.jobs() if job["status"].get("succeeded")
                        and job["metadata"]["name"] == "alone"], "it is over")
    remove_job(slow, lost)
    keeper.start()
    eventually(lambda: [row["name"] for row in runs_of(keeper, service)] == ["alone", seen], "it is recorded")
    assert (kept(keeper, service, "alone")["kind"], log_of(keeper, service, "alone")) == ("forced", b"alone\n")
    assert {**ended, "archived": False} == keeper.get(f"{service.path}/runs/{seen}")
    unknown = kept(keeper, slow, lost, "lost")
    assert (unknown["state"], unknown["reason"]) == ("unknown", "its Job was deleted while the agent was away")
    assert unknown["archived"] and log_of(keeper, slow, lost) == b"begun\n"
    assert "the pod was deleted" in unknown["attempts"][0]["logs"][0]["why"]


# --- many, and large ---

def test_large_log(keeper, history_place):
    """Followed, compressed and read again, whole and in part."""
    size = LARGE_LOG // 1000
    script = f"exec /bin/busybox awk 'BEGIN {{ for (i = 1; i <= {size}; i++) printf \"%0999d\\n\", i }}'"
    service = history_place.service("large", container=shell(script)).seen_by(keeper)
    run = service.force(keeper).json["name"]
    kept(keeper, service, run)
    log = log_of(keeper, service, run)
    assert len(log) == LARGE_LOG
    assert all(line == b"%0999d" % i for i, line in enumerate(log.split(b"\n")[:-1], 1))
    assert log_of(keeper, service, run, "tail=2") == log[-2000:]
    assert log_of(keeper, service, run, f"offset={LARGE_LOG - 50}") == log[-50:]
    packed = lambda: keeper.get(f"{service.path}/runs/{run}")["attempts"][0]["logs"][0]["compressedBytes"]
    assert eventually(packed, "it is compressed") < LARGE_LOG // 4
    assert log_of(keeper, service, run, f"line={size - 1}&count=1") == log[-2000:-1000]
    found = keeper.get(f"{service.path}/runs/{run}/logs?search=0012345")
    assert found == {"matches": [{"line": 12345, "text": f"{12345:0999d}"}], "lines": size, "more": False}


def test_many_runs_at_once(keeper, history_place):
    service = history_place.service("many", container=shell("echo $HOSTNAME; sleep 1; echo over"),
                                    spec={"successfulJobsHistoryLimit": HISTORY_RUNS}).seen_by(keeper)
    made = {service.force(keeper, {"ifActive": "allow"}).json["name"] for _ in range(HISTORY_RUNS)}
    whole = lambda: [row for row in runs_of(keeper, service) if row["state"] == "succeeded" and row["log"] == "complete"]
    rows = eventually(lambda: len(whole()) == HISTORY_RUNS and whole(), "all are recorded with their logs", 600)
    assert {row["name"] for row in rows} == made
    for row in rows:
        assert log_of(keeper, service, row["name"]).decode() == f"{row['attempts'][0]['pod']}\nover\n"
    service.clear()


# --- bounds ---

@pytest.fixture
def forgetful(new_place):
    """An agent that keeps little."""
    place = new_place("forgetful")
    agent = Agent(place, place.directory, retention={"runs": 2},
                  logs={"maxBytes": "64KiB", "maxTotalBytes": "64KiB"}).start()
    yield agent
    agent.finish()


def test_bounds(forgetful):
    agent, place = forgetful, forgetful.place
    service = place.service("few", container=shell("echo few"), spec={"successfulJobsHistoryLimit": 0}).seen_by(agent)
    runs = []
    for _ in range(4):
        runs.append(service.force(agent).json["name"])
        kept(agent, service, runs[-1])
    eventually(lambda: [row["name"] for row in runs_of(agent, service)] == runs[:1:-1], "two are remembered")
    files = lambda: sorted(agent.directory.glob("state/logs/runs/*/*/*"))
    eventually(lambda: len(files()) == 2, "and so are their logs")
    assert agent.api("GET", f"{service.path}/runs/{runs[0]}").status == 404

    noise = "exec /bin/busybox head -c 60000 /dev/urandom"
    noisy = place.service("noisy", container=shell(f"{noise} | /bin/busybox base64")).seen_by(agent)
    long = kept(agent, noisy, noisy.force(agent).json["name"], "truncated")
    assert "longer" in long["attempts"][0]["logs"][0]["why"]
    assert 40000 < len(log_of(agent, noisy, long["name"])) < 65536
    second = kept(agent, noisy, noisy.force(agent).json["name"], "truncated")
    lost = kept(agent, noisy, long["name"], "lost")
    assert "logs.maxTotalBytes" in lost["attempts"][0]["logs"][0]["why"]
    refused = agent.api("GET", f"{noisy.path}/runs/{long['name']}/logs")
    assert refused.status == 404 and "logs.maxTotalBytes" in refused.json["detail"]
    assert log_of(agent, noisy, second["name"])
    assert all(gzip.decompress(file.read_bytes()) for file in files())


def test_jobs_of_a_cronjob_that_becomes_a_service(keeper, long_ago):
    """One that ended long ago, and one that has just ended."""
    long_ago.cluster.kubectl("-n", long_ago.namespace, "create", "job", "lately", f"--from=cronjob/{long_ago.name}")
    eventually(lambda: all(job["status"].get("succeeded") for job in long_ago.jobs()), "both are over")
    long_ago.merge(metadata={"labels": {"cronwright.io/managed": "true"}})
    long_ago.seen_by(keeper)
    eventually(lambda: [row["name"] for row in runs_of(keeper, long_ago)] == ["lately", "before"], "its runs are recorded")
    for run in ("before", "lately"):
        kept(keeper, long_ago, run)
        assert log_of(keeper, long_ago, run) == b"mine\n"


# --- what did not happen ---

def test_runs_that_were_missed(keeper, minutely):
    ran = lambda: [row for row in runs_of(keeper, minutely) if row["kind"] == "scheduled" and row["finished"]]
    eventually(ran, "it ran by its schedule", 120)
    eventually(lambda: 2 < time.time() % 60 < 50, "no minute is just passing")
    minutely.merge(spec={"suspend": True})
    eventually(lambda: row_of(keeper, minutely)["state"] == "stopped", "it is stopped")

    def missed():
        found = runs_of(keeper, minutely, "state=missed")
        return found if found and found[0]["scheduledFor"] > ran()[0]["scheduledFor"] else None
    rows = eventually(missed, "a minute passed without a run", 90)
    assert all((row["name"], row["kind"], row["state"], row["reason"]) == (None, "scheduled", "missed", "stopped")
               for row in rows)
    due = rows[0]["scheduledFor"]
    assert re.fullmatch(r".*:00\.000Z", due) and rows[0]["since"] < due
    assert due not in [row["scheduledFor"] for row in ran()]
    both = runs_of(keeper, minutely, "missed=true")
    assert both[0]["state"] == "missed" and [row for row in both if row["name"]]
    times = [row.get("created") or row["scheduledFor"] for row in both]
    assert times == sorted(times, reverse=True)
    assert "not run: stopped" in keeper.cli("runs", minutely.full_name)[0]
    assert keeper.cli("logs", minutely.full_name)[0] == "a minute\n"


# --- pictures of many runs ---

def test_strip_of_the_last_runs(keeper, history_place):
    """As long as it is asked for, the newest last; one that goes on has no length yet."""
    service = history_place.service("strip", container=shell('[ -z "$FAIL" ] && exec /bin/busybox sleep ${LONG:-0}'))
    service.seen_by(keeper)
    strip = lambda marks: next(row for row in keeper.get(f"/v1/services?strip={marks}")["services"]
                               if row["name"] == service.name)["strip"]
    empty = {"results": [], "seconds": [], "names": [], "kinds": [], "times": []}
    assert strip(5) == empty
    names = []
    for more in ({}, {"env": {"FAIL": "1"}}, {"env": {"LONG": "600"}}):
        run = keeper.api("POST", f"{service.path}/runs", {**more, "ifActive": "allow"}).json["name"]
        names.append(run)
        if "LONG" not in more.get("env", {}):
            service.ended(keeper, run)
    shown = eventually(lambda: (lambda told: told if told["results"][-1:] == ["running"] else None)(strip(5)),
                       "the last one runs", 90)
    assert (shown["names"], shown["results"]) == (names, ["succeeded", "failed", "running"])
    assert shown["kinds"] == ["forced"] * 3 and shown["times"] == sorted(shown["times"])
    assert shown["seconds"][2] is None and all(each >= 0 for each in shown["seconds"][:2])
    assert strip(1)["names"] == names[2:]
    assert "strip" not in keeper.get("/v1/services")["services"][0]
    for marks in ("-1", "101", "x"):
        assert keeper.api("GET", f"/v1/services?strip={marks}").status == 400
    service.clear()


def test_timeline(keeper, history_place):
    """What ran and what will: of each service so much, and of none that the token may not see."""
    minute = (time.gmtime().tm_min + 15) % 30  # none of its times passes meanwhile
    service = history_place.service("timeline", container=shell("exit 3"), job={"activeDeadlineSeconds": 77},
                                    spec={"schedule": f"{minute},{minute + 30} * * * *"}).seen_by(keeper)
    busy = history_place.service("busy", spec={"schedule": "* * * * *", "suspend": True}).seen_by(keeper)
    run = service.force(keeper).json["name"]
    service.ended(keeper, run)

    def told(query):
        answer = keeper.get(f"/v1/timeline?{query}")
        return answer, {row["name"]: row for row in answer["services"]}

    answer, rows = told("hours=2")
    row = rows[service.name]
    assert (row["namespace"], row["state"], row["deadlineSeconds"]) == (service.namespace, "started", 77)
    assert (row["usualSeconds"], row["more"]) == (None, False)
    [mark] = row["runs"]
    assert (mark["name"], mark["kind"], mark["result"]) == (run, "forced", "failed") and mark["seconds"] >= 0
    assert answer["from"] <= mark["started"] <= answer["now"]
    assert len(row["next"]) == 4 and row["next"] == sorted(row["next"])
    times = rf".*:({minute:02}|{minute + 30}):00\.000Z"
    assert all(re.fullmatch(times, due) and answer["now"] < due <= answer["to"] for due in row["next"])
    assert rows[busy.name]["next"] == []  # it is stopped
    busy.merge(spec={"suspend": False})
    crowded = eventually(lambda: (lambda found: found if found["next"] else None)(told("hours=168")[1][busy.name]),
                         "it is started")
    assert crowded["more"] and 0 < len(crowded["next"]) <= 200
    busy.merge(spec={"suspend": True})
    for wrong in ("0", "169", "x"):
        assert keeper.api("GET", f"/v1/timeline?hours={wrong}").status == 400


def test_manifest(keeper, history_place):
    """As kubectl would show it, for whoever may see the service."""
    service = history_place.service("manifest", annotations={"note": "ja: nein"}).seen_by(keeper)
    answer = keeper.api("GET", f"{service.path}/manifest")
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/yaml"
    wanted = service.get()
    del wanted["metadata"]["managedFields"]
    assert yaml.safe_load(answer.body) == wanted
    assert keeper.api("GET", f"{service.path}x/manifest").status == 404
