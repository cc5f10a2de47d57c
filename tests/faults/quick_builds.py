"""Builds without Kaniko, on the real API server: a Node object that has no kubelet. The scheduler binds the pods of real
Jobs to it, and instead of a kubelet the test says how they end. Before a build succeeds a tiny image is pushed to the
real registry under the Job's own destination, so that the agent finds what it asks for.

    with QuickBuilds(cluster, decide=at_once) as quick:
        with Agent(place, place.directory, **quick.settings()) as agent:
            …

Several may be on one cluster, each with a node of its own, for any number of agents and namespaces of builds."""

import concurrent.futures
import datetime
import hashlib
import http.client
import json
import secrets
import socket
import threading
import time
import traceback
import urllib.parse

from cluster import Refused
from waiting import eventually

LABEL = "tests.cronwright.io/quick-builds"  # of the node and its taint
OURS = "cronwright.io/"
HEARTBEAT = 10  # seconds; the controller takes a node for lost after 40 or 50 of silence
WORKERS = 6
AGAIN = 0.25  # seconds until something that is not there yet is looked for again
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}},
                    sort_keys=True).encode()
MERGE = "application/strategic-merge-patch+json"


class Outcome:
    """How a build ends: after so many seconds, with that exit status. `message` is the end of Kaniko's log when it
    failed, and stands for the digest when it did not: a lie then. `pushes` False: it says a digest, but never pushed."""

    def __init__(self, after=0.0, exit_code=0, message=None, reason=None, pushes=True):
        self.after, self.exit_code, self.message, self.reason, self.pushes = after, exit_code, message, reason, pushes


HOLD = None  # in place of an outcome: until release()
FAILED = "error building image: error building stage: failed to execute command: waiting for process to exit: exit status 1"


def at_once(_build):
    return Outcome()


def held(_build):
    return HOLD


def failing(_build):
    return Outcome(exit_code=1, message=FAILED)


def drawn(chance, longest=1.0, fail=0.0):
    """After delays drawn from `chance`, in the order in which the builds come; so many of them fail."""
    lock = threading.Lock()

    def decide(_build):
        with lock:
            after, fails = chance.uniform(0, longest), chance.random() < fail
        return Outcome(after, int(fails), FAILED if fails else None)
    return decide


class Build:
    """One Job's pod, as it was seen. Times are monotonic."""

    def __init__(self, pod):
        notes = pod["metadata"].get("annotations", {})
        self.pod, self.namespace, self.uid = (pod["metadata"][key] for key in ("name", "namespace", "uid"))
        self.job = pod["metadata"]["labels"][OURS + "build"]
        self.commit, self.repository, self.branch, self.image = (
            notes[OURS + key] for key in ("commit", "repository", "branch", "image"))
        self.secrets = [volume["secret"]["secretName"] for volume in pod["spec"].get("volumes", [])
                        if "secret" in volume]
        self.seen, self.started, self.ended = time.monotonic(), None, None
        self.state = "pending"  # running, succeeded, failed, taken
        self.outcome = HOLD
        self.digest = None

    def __repr__(self):
        return f"<{self.job} {self.commit[:12]} of {self.repository} {self.branch}: {self.state}>"


class Line:
    """Requests over one connection of each thread that is kept open."""

    def __init__(self, connect, headers=None):
        self.connect, self.headers, self.local = connect, headers or {}, threading.local()

    def ask(self, method, path, body=None, headers=None):
        """(status, headers, body). What a kept connection lost is asked again on a new one."""
        for fresh in (False, True):
            kept = getattr(self.local, "connection", None)
            if kept is None or fresh:
                self.local.connection = self.connect()
                fresh = True
            try:
                self.local.connection.request(method, path, body, {**self.headers, **(headers or {})})
                response = self.local.connection.getresponse()
                return response.status, response.headers, response.read()
            except (OSError, http.client.HTTPException):
                self.local.connection.close()
                self.local.connection = None
                if fresh:
                    raise
        raise AssertionError("unreachable")


def api_line(cluster):
    headers = {"Authorization": f"Bearer {cluster.token}"} if cluster.token else {}
    return Line(lambda: http.client.HTTPSConnection(*cluster.endpoint, timeout=60, context=cluster.context), headers)


class Registry:
    """Pushes images of nothing by the registry's own HTTP API."""

    def __init__(self):
        self.lines, self.repositories, self.lock = {}, set(), threading.Lock()

    def line(self, host):
        with self.lock:
            if host not in self.lines:
                self.lines[host] = Line(lambda: http.client.HTTPConnection(host, timeout=60))
            return self.lines[host]

    def push(self, reference, **annotations):
        """The digest of what is at host/name:tag then."""
        host, _, rest = reference.partition("/")
        name, _, tag = rest.rpartition(":")
        line = self.line(host)
        self.push_config(line, host, name)
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "annotations": annotations,
                               "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                                          "digest": digest_of(CONFIG), "size": len(CONFIG)}}, sort_keys=True).encode()
        status, _, answer = line.ask("PUT", f"/v2/{name}/manifests/{tag}", manifest, {"Content-Type": MANIFEST})
        assert status == 201, (reference, status, answer)
        return digest_of(manifest)

    def push_config(self, line, host, name):
        if (host, name) in self.repositories:
            return
        status, headers, answer = line.ask("POST", f"/v2/{name}/blobs/uploads/", b"")
        assert status == 202, (name, status, answer)
        at = urllib.parse.urlsplit(headers["Location"])
        query = "&".join(part for part in (at.query, urllib.parse.urlencode({"digest": digest_of(CONFIG)})) if part)
        status, _, answer = line.ask("PUT", f"{at.path}?{query}", CONFIG, {"Content-Type": "application/octet-stream"})
        assert status == 201, (name, status, answer)
        self.repositories.add((host, name))


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


class QuickBuilds:
    """`decide(build)` gives an Outcome, or HOLD, when a build's pod could start; it is called on a thread of its own,
    and may be replaced at any time. `namespace` is that of the builds."""

    def __init__(self, cluster, decide=at_once, namespace="cronwright-builds"):
        self.cluster, self.decide, self.namespace = cluster, decide, namespace
        self.name = f"quick-{secrets.token_hex(4)}"
        self.api, self.registry = api_line(cluster), Registry()
        self.builds = {}  # uid of the pod → Build, in the order in which they were seen
        self.lock = threading.Lock()
        self.closing, self.quiet = threading.Event(), threading.Event()
        self.faults = []  # of this tool itself
        self.version, self.stream = None, None
        self.pool = concurrent.futures.ThreadPoolExecutor(WORKERS, "quick-builds")
        self.timers = set()
        self.threads = [threading.Thread(target=work, name=f"{self.name} {work.__name__}", daemon=True)
                        for work in (self.beat, self.watch)]

    # --- for the test ---

    def settings(self):
        """To be merged into an agent's."""
        return {"builds": {"namespace": self.namespace, "nodeSelector": {LABEL: self.name},
                           "tolerations": [{"key": LABEL, "operator": "Equal", "value": self.name,
                                            "effect": "NoSchedule"}]}}

    def of(self, commit):
        """The builds of a commit, oldest first."""
        with self.lock:
            return [build for build in self.builds.values() if build.commit == commit]

    def running(self):
        with self.lock:
            return [build for build in self.builds.values() if build.state == "running"]

    def await_running(self, commit, seconds=60):
        def found():
            return next((build for build in self.of(commit) if build.state == "running"), None)
        return eventually(found, f"a build of {commit} runs", seconds)

    def release(self, build, outcome=None):
        """Ends one that is held: well, unless told otherwise."""
        assert build.outcome is HOLD, build
        build.outcome = outcome or Outcome()
        self.after(build.outcome.after, self.end, build)

    def release_all(self):
        """Those that are held now."""
        with self.lock:
            waiting = [build for build in self.builds.values() if build.state == "running" and build.outcome is HOLD]
        for build in waiting:
            self.release(build)

    # --- life ---

    def __enter__(self):
        node = {"metadata": {"name": self.name, "labels": {LABEL: self.name, "kubernetes.io/os": "linux",
                                                           "kubernetes.io/arch": "amd64",
                                                           "kubernetes.io/hostname": self.name}},
                "spec": {"taints": [{"key": LABEL, "value": self.name, "effect": "NoSchedule"}]}}
        made = self.call("POST", "/api/v1/nodes", node)
        try:
            owner = {"apiVersion": "v1", "kind": "Node", "name": self.name, "uid": made["metadata"]["uid"]}
            self.call("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
                      {"metadata": {"name": self.name, "ownerReferences": [owner]},
                       "spec": {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": now()}})
            self.be_ready()
            for thread in self.threads:
                thread.start()
            eventually(self.is_open, "the node takes pods", 60)
        except BaseException:
            self.remove_node()
            raise
        return self

    def __exit__(self, *_):
        """Everything that was to run here is taken away, Jobs too. Nobody makes new ones any more."""
        try:
            eventually(self.take_away, "no pod and no Job is left", 120)
        finally:
            self.closing.set()
            self.end_stream()
            self.remove_node()
        for thread in self.threads:
            thread.join(30)
        with self.lock:
            timers = list(self.timers)
        for timer in timers:
            timer.cancel()
        self.pool.shutdown(cancel_futures=True)
        assert not self.faults, self.faults[0]

    def remove_node(self):
        try:
            self.call("DELETE", f"/api/v1/nodes/{self.name}")
        except Refused as refused:
            if refused.status != 404:
                raise

    def is_open(self):
        """The taints that every new node has are gone."""
        taints = self.call("GET", f"/api/v1/nodes/{self.name}")["spec"].get("taints", [])
        return [taint["key"] for taint in taints] == [LABEL]

    def take_away(self):
        self.quiet.set()
        jobs = [job for job in self.call("GET", f"/apis/batch/v1/namespaces/{self.namespace}/jobs")["items"]
                if job["spec"]["template"]["spec"].get("nodeSelector", {}).get(LABEL) == self.name]
        for job in jobs:
            self.cluster.delete("jobs", self.namespace, job["metadata"]["name"])
        pods = self.call("GET", self.pods_path())["items"]
        for pod in pods:
            self.delete_pod(pod["metadata"]["namespace"], pod["metadata"]["name"])
        return not jobs and not pods

    # --- the node ---

    def be_ready(self):
        room = {"cpu": "1000", "memory": "1000Gi", "pods": "10000", "ephemeral-storage": "1000Gi"}
        condition = lambda kind, status: {"type": kind, "status": status, "reason": "QuickBuilds", "message": "of a test",
                                          "lastHeartbeatTime": now(), "lastTransitionTime": now()}
        self.call("PATCH", f"/api/v1/nodes/{self.name}/status", {"status": {
            "capacity": room, "allocatable": room,
            "conditions": [condition("Ready", "True"), condition("MemoryPressure", "False"),
                           condition("DiskPressure", "False"), condition("PIDPressure", "False")]}}, MERGE)

    def beat(self):
        """The lease is what the controller looks at between changes of the status."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{self.name}"
        while not self.closing.wait(HEARTBEAT):
            try:
                self.call("PATCH", path, {"spec": {"renewTime": now()}}, "application/merge-patch+json")
                if not self.is_open():
                    self.be_ready()  # the API server was away for long
            except (OSError, http.client.HTTPException, Refused):
                continue  # the next beat tells whether it is back

    # --- the pods on it ---

    def pods_path(self, **query):
        return "/api/v1/pods?" + urllib.parse.urlencode({"fieldSelector": f"spec.nodeName={self.name}", **query})

    def watch(self):
        while not self.closing.is_set():
            try:
                if self.version is None:
                    listed = self.call("GET", self.pods_path())
                    for pod in listed["items"]:
                        self.pod_seen(pod)
                    self.version = listed["metadata"]["resourceVersion"]
                self.follow()
            except (OSError, ValueError, AttributeError, http.client.HTTPException, Refused):
                self.version = None  # the API server was away, or its answer broke off
                self.closing.wait(AGAIN)

    def follow(self):
        connection = http.client.HTTPSConnection(*self.cluster.endpoint, timeout=120, context=self.cluster.context)
        try:
            connection.request("GET", self.pods_path(watch="1", resourceVersion=self.version,
                                                     allowWatchBookmarks="1", timeoutSeconds="90"),
                               headers=self.api.headers)
            self.stream = connection.sock
            with connection.getresponse() as response:
                if response.status != 200:
                    raise Refused(response.status, json.loads(response.read()))
                while line := response.readline():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise Refused(event["object"].get("code", 500), event["object"])
                    self.version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] in ("ADDED", "MODIFIED"):
                        self.pod_seen(event["object"])
                    elif event["type"] == "DELETED":
                        self.pod_gone(event["object"])
        finally:
            self.stream = None
            connection.close()

    def end_stream(self):
        stream = self.stream
        if stream:
            try:
                stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended by itself

    def pod_seen(self, pod):
        uid, meta = pod["metadata"]["uid"], pod["metadata"]
        if meta.get("deletionTimestamp"):
            self.submit(self.delete_pod, meta["namespace"], meta["name"])
            return
        with self.lock:
            if uid in self.builds or OURS + "build" not in meta.get("labels", {}):
                return
            build = self.builds[uid] = Build(pod)
        self.submit(self.start, build)

    def pod_gone(self, pod):
        with self.lock:
            build = self.builds.get(pod["metadata"]["uid"])
            if build and build.ended is None:
                build.state, build.ended = "taken", time.monotonic()

    def delete_pod(self, namespace, name):
        """As the kubelet does when all in it has ended."""
        try:
            self.call("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}", {"gracePeriodSeconds": 0})
        except Refused as refused:
            if refused.status not in (404, 409):
                raise

    def start(self, build):
        """A pod waits for its volumes."""
        if build.ended is not None or self.quiet.is_set():
            return
        for secret in build.secrets:
            status, _, _ = self.api.ask("GET", f"/api/v1/namespaces/{build.namespace}/secrets/{secret}")
            if status != 200:
                self.after(AGAIN, self.start, build)
                return
        outcome = self.decide(build)
        build.started = time.monotonic()
        if outcome is HOLD or outcome.after > 0:
            self.put_status(build, "Running", {"running": {"startedAt": now()}})
        with self.lock:
            if build.ended is None:
                build.outcome = outcome
                build.state = "running"
        if outcome is not HOLD:
            self.after(outcome.after, self.end, build)

    def end(self, build):
        if build.ended is not None or self.quiet.is_set():
            return
        outcome, message = build.outcome, build.outcome.message
        if outcome.exit_code == 0:
            digest = self.registry.push(build.image, commit=build.commit, job=build.job) if outcome.pushes else None
            build.digest = message or digest or digest_of(build.job.encode())
            message = build.digest
        state = {"exitCode": outcome.exit_code, "startedAt": now(), "finishedAt": now(),
                 "reason": outcome.reason or ("Error" if outcome.exit_code else "Completed"),
                 **({"message": message} if message else {})}
        with self.lock:  # before the agent can see it
            if build.ended is None:
                build.state, build.ended = "failed" if outcome.exit_code else "succeeded", time.monotonic()
        self.submit(self.put_status, build, "Failed" if outcome.exit_code else "Succeeded", {"terminated": state})

    def put_status(self, build, phase, state):
        started = phase == "Running"
        status = {"phase": phase, "startTime": now(),
                  "conditions": [{"type": kind, "status": str(started), "lastTransitionTime": now()}
                                 for kind in ("Ready", "ContainersReady")],
                  "containerStatuses": [{"name": "kaniko", "image": "kaniko", "imageID": "", "restartCount": 0,
                                         "ready": started, "started": started, "state": state}]}
        path = f"/api/v1/namespaces/{build.namespace}/pods/{build.pod}/status"
        try:
            self.call("PATCH", path, {"metadata": {"uid": build.uid}, "status": status}, MERGE)
        except Refused as refused:
            if refused.status not in (404, 409):  # it was taken away
                raise

    # --- work ---

    def submit(self, work, *what):
        try:
            self.pool.submit(self.do, work, *what)
        except RuntimeError:
            pass  # it is being closed

    def do(self, work, *what):
        """Tried again while the API server or the registry is away."""
        try:
            work(*what)
        except (OSError, http.client.HTTPException):
            self.after(AGAIN, work, *what)
        except Refused as refused:
            if refused.status >= 429:
                self.after(AGAIN, work, *what)
            else:
                self.faults.append(traceback.format_exc())
        except Exception:  # told when it is closed
            self.faults.append(traceback.format_exc())

    def after(self, seconds, work, *what):
        if self.closing.is_set():
            return
        if seconds <= 0:
            self.submit(work, *what)
            return
        timer = threading.Timer(seconds, lambda: (self.timers.discard(timer), self.submit(work, *what)))
        timer.daemon = True
        with self.lock:
            self.timers.add(timer)
        timer.start()

    def call(self, method, path, body=None, content_type="application/json"):
        status, _, answer = self.api.ask(method, path, json.dumps(body) if body is not None else None,
                                         {"Content-Type": content_type})
        try:
            answer = json.loads(answer or b"{}")
        except ValueError:
            answer = {"message": repr(answer)}
        if status >= 400:
            raise Refused(status, answer)
        return answer
