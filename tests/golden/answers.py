"""Answers of the admin API, as in the mock-ups."""

import copy

A41 = "a41f09c2d1e07b3f8a6a5a1d3c9be8f7164c20de"
C81 = "c81d5aa90b7c0d21f1d1bb9e6a1c0f5e2d3b4a59"
B77 = "77b2e10c4f1e5d6a7b8c9d0e1f2a3b4c5d6e7f80"
D09 = "09de4c1f6b7a8c9d0e1f2a3b4c5d6e7f8091a2b3"
E90 = "e90ab77f6b7a8c9d0e1f2a3b4c5d6e7f8091a2b3"
C0F = "c0ffee1f6b7a8c9d0e1f2a3b4c5d6e7f8091a2b3"
RUNS = "/v1/services/reports/nightly-report/runs"
FORCED = "nightly-report-f-3kq9"
FAILED = "nightly-report-29924760"


def run(clock, name=FORCED, kind="forced", state="succeeded", ago="2m40s", seconds=151, **more):
    """`ago`: when it was made; it takes 2 s to start."""
    ended = state in ("succeeded", "failed")
    value = {"name": name, "namespace": "reports", "service": "nightly-report", "kind": kind,
             "requestedBy": "ana" if kind == "forced" else None, "commit": A41,
             "image": "registry.example/acme/report:b-51", "state": state, "reason": None,
             "exitCode": 0 if state == "succeeded" else None, "created": clock.ago(ago),
             "started": None if state == "pending" else clock.ago(ago),
             "finished": clock.ago(ago) if ended else None,
             "durationSeconds": seconds if ended else None, "attempts": [], "maxAttempts": 4,
             "concurrency": "Forbid", "log": "complete" if ended else "following"}
    value.update(more)
    return value


def attempt(clock, number=1, state="running", reason=None, code=None):
    return {"attempt": number, "pod": f"{FORCED}-{number}", "container": "main", "state": state,
            "reason": reason, "exitCode": code,
            "started": None if state == "pending" else clock.ago("1m"),
            "finished": clock.ago("30s") if state in ("succeeded", "failed") else None}


def service(clock, name="nightly-report", namespace="reports", state="started", commit=A41, **more):
    value = {"namespace": namespace, "name": name, "project": None, "state": state,
             "repository": "github.com/acme/report", "branch": "main", "dockerfile": "Dockerfile",
             "context": ".", "image": f"registry.example/acme/{name}:b-51@sha256:" + "ab" * 32,
             "live": {"commit": commit, "build": "b-51", "patched": clock.ago("2h10m"),
                      "subject": "Add VAT column", "author": "Ana"} if commit else None,
             "pinned": False, "schedule": "0 3 * * *", "timeZone": "Europe/Berlin",
             "concurrency": "Forbid", "owner": None, "suspend": state != "started", "lastScheduleTime": clock.ago("7h12m"),
             "lastSuccessfulTime": clock.ago("2d8h"), "lastRun": None, "running": [], "problem": None,
             "next": clock.ahead("16h48m30s", "Europe/Berlin") if state == "started" else None,
             "starting": False, "usualSeconds": 230.5, "sentence": "Every day at 03:00, Europe/Berlin"}
    value.update(more)
    return value


SETTINGS = {
    "name": "nightly-report", "namespace": "reports", "project": "sales",
    "source": {"git": {"repository": "https://github.com/acme/report", "branch": "main",
                       "dockerfile": "Dockerfile", "context": "."}},
    "image": "registry.example/acme/report", "container": {"name": "main"},
    "schedule": "0 3 * * *", "timeZone": "Europe/Berlin", "history": {"failed": 1, "succeeded": 3},
    "restarts": 3, "maxDurationSeconds": 600, "concurrency": "Forbid", "missed": "skip",
    "firstRun": "never", "restartPolicy": "Never",
    "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
    "env": [{"name": "MODE", "value": "full"},
            {"name": "TOKEN", "secret": {"name": "report", "key": "token"}}],
}


def document(clock, settings=None, **status):
    """As GET of one service answers; None takes a setting out."""
    row = service(clock, **{"missing": [], "notChecked": [], "lastBuild": None, **status})
    merged = {**copy.deepcopy(SETTINGS), **(settings or {}), "status": row}
    return {key: value for key, value in merged.items() if value is not None}


def failed_run(clock, **more):
    return run(clock, FAILED, "scheduled", "failed", "7h12m", 252, reason="exit 3", exitCode=3, commit=C81,
               **more)


def services(clock):
    ok = {"kind": "scheduled", "state": "succeeded", "commit": B77}
    return {"services": [
        service(clock, lastRun=failed_run(clock)),
        service(clock, "ledger-sync", commit=B77, schedule="*/15 * * * *", timeZone=None,
                next=clock.ahead("3m30s"), project="ledger",
                lastRun=run(clock, "ledger-sync-1", ago="12m30s", seconds=38, **ok),
                running=["ledger-sync-2"]),
        service(clock, "export", "sales", commit=D09, pinned=True, schedule="0 1 * * *", timeZone="UTC",
                next=clock.ahead("15h48m30s"),
                lastRun=run(clock, "export-1", ago="8h30m", seconds=121, **ok)),
        service(clock, "new-import", "sales", "draft", commit=None, schedule="0 5 * * 1",
                problem="two containers, and cronwright.io/container names none"),
    ], "refused": {"count": 0, "last": None}, "webhooks": {"listen": "0.0.0.0:8080"}}


def runs(clock):
    return {"runs": [
        run(clock, "nightly-report-f-9x2m", state="running", ago="2h5m30s"),
        run(clock, FORCED, state="failed", ago="3h", reason="out of memory (256Mi)", exitCode=137),
        failed_run(clock),
        {"name": None, "kind": "scheduled", "state": "missed", "scheduledFor": clock.ago("1d7h12m"),
         "reason": "stopped", "since": clock.ago("1d16h")},
        run(clock, "nightly-report-29923320", "scheduled", ago="2d1h", seconds=900, slow=True),
        run(clock, "nightly-report-29923319", "scheduled", state="unknown", ago="2d2h", log="lost",
            reason="its Job was deleted while the agent was away"),
        run(clock, "nightly-report-29921880", "scheduled", ago="2d7h12m", seconds=228, commit=C81),
    ]}


def delivery(clock, ago, identity, **more):
    value = {"delivery": identity, "seq": 7, "forge": "github", "event": "push",
             "received": clock.ago(ago), "repository": "github.com/acme/report", "ref": "refs/heads/main",
             "branch": "main", "commit": A41, "pusher": "ana", "reason": "deployed",
             "detail": "reports/nightly-report", "pending": False, "build": "b-51",
             "finished": clock.ago(ago), "bodySha256": "cd" * 32}
    value.update(more)
    return value


def deliveries(clock):
    return {"deliveries": [
        delivery(clock, "1m10s", "d-4", reason="accepted", detail=None, pending=True, build=None),
        delivery(clock, "2h10m46s", "d-3", reason="repeated", detail="same id as d-1", build=None),
        delivery(clock, "2h10m50s", "d-1"),
        delivery(clock, "1d3h", "d-0", forge="gitlab", ref="refs/tags/v1", branch=None, build=None,
                 reason="ignored", detail="a tag, not a branch"),
    ], "refused": [
        {"time": clock.ago("2h11m58s"), "since": clock.ago("3h"), "count": 12, "peer": "203.0.113.9",
         "forge": "github", "delivery": "d-9", "status": 401, "reason": "signature matches no secret"},
        {"time": clock.ago("5h"), "since": clock.ago("5h"), "count": 1, "peer": "203.0.113.9",
         "forge": "gitlab", "delivery": None, "status": 408, "reason": "too slow"},
    ]}


def build(clock, number, **more):
    value = {"build": f"b-{number}", "repository": "github.com/acme/report", "branch": "main",
             "commit": A41, "subject": "Add VAT column", "author": "Ana", "attempt": 1, "state": "done",
             "reason": "deployed", "detail": "reports/nightly-report", "job": "build-5f0c",
             "image": "registry.example/acme/report:b-51", "digest": "sha256:" + "ab" * 32,
             "created": clock.ago("2h10m50s"), "started": clock.ago("2h10m50s"),
             "finished": clock.ago("2h9m19s"), "fetchSeconds": 0.4, "contextSeconds": 0.2,
             "kanikoSeconds": 87.25, "patchSeconds": 0.1, "services": 1}
    if more.get("state", "done") in ("waiting", "fetching", "running", "pushed"):
        value.update({"reason": None, "detail": None})
    value.update(more)
    return value


def builds(clock):
    nothing = {"fetchSeconds": None, "contextSeconds": None, "kanikoSeconds": None, "patchSeconds": None}
    return {"builds": [
        build(clock, 54, state="waiting", commit=B77, **nothing, reason="queued",
              detail="not until fewer than 4 builds are under way (builds.maxConcurrent)"),
        build(clock, 53, state="running", commit=B77, **nothing, reason="unschedulable",
              detail="no node takes the pod: 0/3 nodes are available: 3 Insufficient memory."),
        build(clock, 52, state="fetching", commit=B77, **nothing),
        build(clock, 51),
        build(clock, 50, state="superseded", commit=E90, detail="superseded by b-51", **nothing),
        build(clock, 49, state="failed", commit=C0F, reason="build-failed", detail="RUN pip: exit 1",
              **nothing),
    ]}
