"""Faults of Kubernetes: its API server, what lies before that, etcd, the node and the build's pod."""

import contextlib
import datetime
import json
import re
import urllib.request

from faults import Fault, make_builds_namespace
from own_cluster import paused, restarted, stopped
from places import report
from proxy import (Broken, answer, certificate, change, change_lines, cut_body, hang, hang_in_body, refusal, reset,
                   stream, then, trickle)
from quick_builds import Outcome
from waiting import eventually

NAMESPACE = "/namespaces/[^/]+"
MAKE_JOB = {"method": "POST", "path": NAMESPACE + r"/jobs\?"}
MAKE_SECRET = {"method": "POST", "path": NAMESPACE + r"/secrets\?"}
READ = {"method": "GET", "path": NAMESPACE + r"/(jobs/|pods\?labelSelector=batch)"}  # of a build's Job
READ_PODS = {"method": "GET", "path": NAMESPACE + r"/pods\?labelSelector=batch"}
JOB_NAME = "batch.kubernetes.io/job-name"
PATCH = {"method": "PATCH", "path": "/cronjobs/"}
WATCH = {"method": "GET", "path": r"[?&]watch=1"}
LIST = {"method": "GET", "path": r"\?limit="}

AWAY = "503 .*kubernetes.*connect"
TIME = re.compile(rb'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z"')


def event(word, **content):
    return json.dumps({"type": word, "object": content}) + "\n"


EXPIRED = event("ERROR", kind="Status", code=410, reason="Expired", message="too old resource version: 1 (2)")


# --- ways in which a fault comes ---

def by_rule(action, count=None, **where):
    @contextlib.contextmanager
    def inject(case):
        with case.proxy.rule(action, count=count, **where) as rule:
            yield
            case.comes(lambda: rule.hits >= (count or 1), "it has met the fault")
    return inject


def to_watches(action):
    """Those that run are cut, and the next ones meet it."""
    @contextlib.contextmanager
    def inject(case):
        with case.proxy.rule(action, **WATCH):
            case.proxy.cut()
            yield
    return inject


def to_lists(action):
    """The watches are told to list again, and the lists meet it."""
    @contextlib.contextmanager
    def inject(case):
        with case.proxy.rule(stream(EXPIRED), **WATCH), case.proxy.rule(action, **LIST):
            case.proxy.cut()
            yield
    return inject


@contextlib.contextmanager
def away(case):
    """Nobody listens at the API server's address."""
    case.proxy.close()
    yield
    case.proxy.open()


def away_at(answered=False, **where):
    """From the first such request on; `answered`: it is done, but its answer is lost."""
    @contextlib.contextmanager
    def inject(case):
        def action(exchange):
            if answered:
                exchange.ask().read()
            case.proxy.close()
            raise Broken
        with case.proxy.rule(action, count=1, **where) as rule:
            yield
            case.comes(lambda: rule.hits, "it has met the fault")
        case.proxy.open()
    return inject


@contextlib.contextmanager
def cut(case):
    case.proxy.cut()
    yield


@contextlib.contextmanager
def silent(case):
    """Connections stay, and nothing comes through them any more; new ones are taken."""
    case.proxy.flowing.clear()
    case.proxy.quiet.set()
    yield
    case.proxy.quiet.clear()
    case.proxy.flowing.set()


def needs_login(login):
    """Refuses all who come with another token than the one that `login(case)` puts where the agent finds it."""
    @contextlib.contextmanager
    def inject(case):
        new = case.place.account.token(case.cluster)

        def action(exchange):
            if exchange.handler.headers["Authorization"] == f"Bearer {new}":
                exchange.relay()
            else:
                refusal(401, "Unauthorized", "Unauthorized")(exchange)
        with case.proxy.rule(action):
            case.proxy.cut()
            yield
            login(case, new)
            # Nothing of before is good for anything.
            case.agent.await_ready(case.fault.within)
            case.holds()
    return inject


def into_token_file(case, token):
    case.world.token_file.write_text(token)


def into_kubeconfig(case, token):
    case.world.write_kubeconfig({"token": token})


def with_literal_token(case):
    case.world.write_kubeconfig({"token": case.place.account.user["token"]})
    case.agent.restart()


@contextlib.contextmanager
def other_certificate(case):
    case.proxy.show(certificate(case.agent.directory, "127.0.0.1", name="stranger"))
    case.proxy.cut()
    yield
    case.proxy.show(case.world.certificate)


@contextlib.contextmanager
def other_authority(case):
    """The new one's certificate is in the kubeconfig by and by."""
    new = certificate(case.agent.directory, "127.0.0.1", name="successor")
    case.proxy.show(new)
    case.proxy.cut()
    yield
    case.world.write_kubeconfig({"tokenFile": str(case.world.token_file)}, new.authority)
    case.agent.await_ready(case.fault.within)


def forbidden(verb, resource, group="batch"):
    return refusal(403, "Forbidden", f'{resource} is forbidden: User "system:serviceaccount:cronwright:cronwright" cannot '
                   f'{verb} resource "{resource}" in API group "{group}" in the namespace "cronwright-builds"')


def torn(*lines):
    """A stream that ends after these, well by HTTP."""
    def action(exchange):
        exchange.head(200, [("Content-Type", "application/json")])
        for line in lines:
            exchange.write(line.encode())
        exchange.end()
    return action


def shifted(seconds):
    """All times that the API server tells are so much off."""
    def shift(match):
        when = datetime.datetime.fromisoformat(match[1].decode()) + datetime.timedelta(seconds=seconds)
        return b'"' + when.isoformat(timespec="seconds").encode() + (match[2] or b"") + b'Z"'

    def action(exchange):
        if "watch=1" in exchange.path:
            change_lines(lambda line: [TIME.sub(shift, line)])(exchange)
        else:
            change(lambda body: TIME.sub(shift, body))(exchange)

    @contextlib.contextmanager
    def inject(case):
        with case.proxy.rule(action):
            case.proxy.cut()
            yield
            case.holds()
    return inject


# --- what more must hold ---

def waited_as_told(case):
    """Retry-After was one second."""
    times = [one.at for one in case.proxy.requests(**MAKE_JOB)]
    assert len(times) == 4 and all(later - earlier > 0.9 for earlier, later in zip(times, times[1:])), times


def asked_with_patience(case):
    """Of a server that says 429 for ever without Retry-After: not more than once a second."""
    assert len(case.proxy.requests(**MAKE_JOB)) < 30


# --- the node and the pod ---

def killed(case, build):
    """As the kubelet tells of a pod that is being deleted."""
    case.quick.put_status(build, "Failed", {"terminated": {"exitCode": 137, "reason": "Error"}})


@contextlib.contextmanager
def evicted(case):
    [build] = case.quick.of(case.commit)
    case.cluster.call("POST", f"/api/v1/namespaces/{build.namespace}/pods/{build.pod}/eviction",
                      {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": build.pod}})
    killed(case, build)
    eventually(lambda: len(case.quick.of(case.commit)) == 2, "another pod takes its place")
    yield


@contextlib.contextmanager
def pod_deleted(case):
    [pod] = eventually(lambda: case.cluster.list("pods", case.namespace, f"{JOB_NAME}={case.build['job']}"),
                       "the build has a pod")
    case.cluster.delete("pods", case.namespace, pod["metadata"]["name"])
    yield


@contextlib.contextmanager
def job_deleted(case):
    case.cluster.delete("jobs", case.namespace, case.build["job"])
    eventually(lambda: len(case.quick.of(case.commit)) == 2, "another Job takes its place")
    yield


def ends_with(**outcome):
    @contextlib.contextmanager
    def inject(case):
        case.quick.release(case.quick.await_running(case.commit), Outcome(**outcome))
        yield
    return inject


@contextlib.contextmanager
def unschedulable(case):
    put = lambda value: case.quick.call("PATCH", f"/api/v1/nodes/{case.quick.name}", {"spec": {"unschedulable": value}},
                                        "application/merge-patch+json")
    put(True)
    yield
    put(None)


def slow(seconds):
    """A build that takes so long."""
    def prepare(case):
        case.files = report(case.cluster, case.fault.name, f'RUN ["/bin/busybox", "sleep", "{seconds}"]')
    return prepare


def kaniko_of_its_own(world):
    return {"builds": {"kanikoImage": f"{world.place.images}/kaniko:late"}}


@contextlib.contextmanager
def image_that_is_late(case):
    """Kaniko's own."""
    yield
    ask = lambda method, path, body=None, **headers: urllib.request.urlopen(urllib.request.Request(
        f"http://{case.cluster.registry}/v2/{path}", body, {key.replace("_", "-"): value for key, value in headers.items()},
        method=method))
    name, _, tag = case.cluster.kaniko_image.split("/", 1)[1].rpartition(":")
    own = f"{case.place.namespace}/kaniko"
    with ask("GET", f"{name}/manifests/{tag}", Accept="application/vnd.oci.image.manifest.v1+json, "
             "application/vnd.docker.distribution.manifest.v2+json") as answered:
        manifest, kind = answered.read(), answered.headers["Content-Type"]
    for blob in [json.loads(manifest)["config"], *json.loads(manifest)["layers"]]:
        ask("POST", f"{own}/blobs/uploads/?mount={blob['digest']}&from={name}", b"").close()
    ask("PUT", f"{own}/manifests/late", manifest, Content_Type=kind).close()


def obstacle(kind, spec, is_there=lambda found: True):
    """An object in the namespace of builds that stands in the pod's way."""
    @contextlib.contextmanager
    def inject(case):
        body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "obstacle"}, "spec": spec}
        words = [kind, "obstacle", "-n", case.namespace]
        case.cluster.kubectl("create", "-n", case.namespace, "-f", "-", stdin=json.dumps(body))
        eventually(lambda: is_there(json.loads(case.cluster.kubectl("get", *words, "-o", "json"))), f"the {kind} counts")
        yield
        case.cluster.kubectl("delete", *words)
    return inject


@contextlib.contextmanager
def secret_that_is_late(case):
    yield
    case.cluster.create("secrets", case.namespace, {
        "metadata": {"name": "login"}, "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": '{"auths": {}}'}})


@contextlib.contextmanager
def namespace_remade(case):
    """Something in it keeps it for a while, and then it is made again."""
    guard = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "guard", "finalizers": ["example.com/guard"]}}
    case.cluster.kubectl("create", "-n", case.namespace, "-f", "-", stdin=json.dumps(guard))
    case.cluster.delete("namespaces", None, case.namespace)
    yield
    case.cluster.kubectl("patch", "configmap", "guard", "-n", case.namespace, "--type=merge", "-p",
                         '{"metadata": {"finalizers": null}}')
    eventually(lambda: case.cluster.get("namespaces", None, case.namespace) is None, "the namespace is gone", 60)
    make_builds_namespace(case.place)


def while_part(how, part):
    @contextlib.contextmanager
    def inject(case):
        with how(part):
            yield
    return inject


FAULTS = [
    # --- the API server is away, at each stage ---
    Fault("away-idle", "idle", away, {"readyz": AWAY}, full_lasts=60),
    Fault("away-at-delivery", "delivery", away, {"readyz": AWAY, "delivery": "pending"}, full_lasts=60),
    Fault("away-while-fetching", "fetch", away, {"readyz": AWAY, "build": "waiting .*connect"}, full_lasts=60),
    Fault("away-before-the-job", "delivery", away_at(**MAKE_JOB), {"readyz": AWAY, "build": "waiting .*connect"},
          full_lasts=60),
    Fault("away-after-the-job", "delivery", away_at(answered=True, **MAKE_JOB),
          {"readyz": AWAY, "build": "waiting .*connect"}, full_lasts=60),
    Fault("away-while-kaniko-runs", "kaniko", away, {"readyz": AWAY, "build": "running .*connect"}, full_lasts=60),
    Fault("away-at-the-end", "end", away, {"readyz": AWAY, "build": "running .*connect"}, full_lasts=60),
    Fault("away-before-the-patch", "end", away_at(**PATCH), {"readyz": AWAY, "build": "pushed .*connect"},
          full_lasts=60),
    Fault("away-after-the-patch", "end", away_at(answered=True, **PATCH), {"readyz": AWAY}, full_lasts=60),

    # --- while the Job is made ---
    Fault("job-500", "delivery", by_rule(refusal(500, "InternalError"), **MAKE_JOB), {"build": "waiting .*500"}),
    Fault("job-503", "delivery", by_rule(refusal(503, "ServiceUnavailable"), **MAKE_JOB), {"build": "waiting .*503"}),
    # One that was made is found by the watch in a moment, and joined.
    Fault("job-504-although-made", "delivery", by_rule(then(refusal(504, "Timeout")), count=2, **MAKE_JOB),
          {"log": "create the build's job: 504"}),
    Fault("job-500-although-made", "delivery", by_rule(then(refusal(500, "InternalError")), count=2, **MAKE_JOB),
          {"log": "create the build's job: 500"}),
    Fault("job-reset", "delivery", by_rule(reset, **MAKE_JOB), {"build": "waiting .*127.0.0.1"}),
    Fault("job-reset-although-made", "delivery", by_rule(then(reset), count=1, **MAKE_JOB)),
    Fault("job-never-answered", "delivery", by_rule(then(hang), count=1, **MAKE_JOB),
          {"log": "create the build's job: 127.0.0.1"}, full=True),
    Fault("job-half-answered", "delivery", by_rule(cut_body(100), count=1, **MAKE_JOB),
          {"log": "create the build's job: 127.0.0.1"}),
    Fault("job-409-of-one-that-is-gone", "delivery", by_rule(refusal(409, "AlreadyExists"), **MAKE_JOB),
          {"build": "waiting .*404"}),
    Fault("job-422", "delivery", by_rule(refusal(422, "Invalid", 'Job.batch "x" is invalid: spec: told by a test',
                                                 details={"causes": [{"field": "spec"}]}), **MAKE_JOB),
          {"build": "failed kubernetes .*told by a test", "delivery": "final kubernetes .*told by a test"},
          redelivered=True, attempts=2),
    Fault("job-403-by-admission", "delivery",
          by_rule(refusal(403, "Forbidden", 'admission webhook "x" denied the request: told by a test'), **MAKE_JOB),
          {"build": "failed kubernetes .*told by a test", "delivery": "final kubernetes .*told by a test"},
          redelivered=True, attempts=2),
    Fault("job-403-by-rights", "delivery", by_rule(forbidden("create", "jobs"), **MAKE_JOB),
          {"build": "waiting .*cannot create resource"}),
    Fault("job-404-of-the-namespace", "delivery",
          by_rule(refusal(404, "NotFound", 'namespaces "cronwright-builds" not found'), **MAKE_JOB),
          {"build": 'waiting .*namespaces "cronwright-builds" not found'}),
    Fault("job-429-retry-after", "delivery", by_rule(refusal(429, "TooManyRequests", Retry_After="1"), count=3, **MAKE_JOB),
          after=waited_as_told),
    Fault("job-429-for-long", "delivery", by_rule(refusal(429, "TooManyRequests", Retry_After="3600"), **MAKE_JOB),
          {"build": "waiting .*429"}, after=asked_with_patience),
    Fault("secret-500", "delivery", by_rule(refusal(500, "InternalError"), **MAKE_SECRET), {"build": "fetching .*500"}),
    Fault("secret-reset-although-made", "delivery", by_rule(then(reset), count=1, **MAKE_SECRET)),

    # --- while the build runs ---
    Fault("read-403", "end", by_rule(forbidden("get", "jobs"), **READ), {"build": "running .*cannot get resource"}),
    Fault("read-pods-403", "end", by_rule(forbidden("list", "pods", ""), **READ_PODS),
          {"build": "running .*cannot list resource"}),
    Fault("read-404-of-a-gateway", "end", by_rule(answer(404, "default backend"), **READ),
          {"build": "running .*default backend"}),
    Fault("read-page-instead", "end", by_rule(answer(200, "<html>sign in</html>", Content_Type="text/html"), **READ),
          {"build": "running .*JSON"}),
    Fault("read-nothing", "end", by_rule(answer(200), **READ), {"build": "running .*JSON"}),
    Fault("read-half", "end", by_rule(cut_body(50), **READ), {"build": "running .*127.0.0.1"}),
    Fault("read-half-json", "end", by_rule(change(lambda body: body[:50]), **READ), {"build": "running .*JSON"}),
    Fault("read-too-much", "end", by_rule(answer(200, " " * (33 << 20)), **READ), {"build": "running .*(larger|more)"}),
    Fault("read-reset", "end", by_rule(reset, **READ), {"build": "running .*127.0.0.1"}),
    Fault("read-hangs", "end", by_rule(hang, **READ), {"build": "running .*(time|answer)"}, full=True),
    Fault("read-hangs-half-way", "end", by_rule(hang_in_body(20), **READ), {"build": "running .*(time|answer)"},
          full=True),
    Fault("read-slowly", "end", by_rule(trickle(400, 0.1), **READ)),
    Fault("cut-off", "end", cut),
    Fault("half-open", "end", silent, {"build": "running .*(time|answer)"}, full_lasts=60),
    Fault("skew-back", "idle", shifted(-3600)),
    Fault("skew-forward", "idle", shifted(3600)),

    # --- at the patch ---
    Fault("patch-500", "end", by_rule(refusal(500, "InternalError"), **PATCH), {"build": "pushed .*500"}),
    Fault("patch-403-by-rights", "end", by_rule(forbidden("patch", "cronjobs"), **PATCH),
          {"build": "done patch-failed .*cannot patch resource", "delivery": "final patch-failed"}, redelivered=True),
    Fault("patch-409", "end", by_rule(refusal(409, "Conflict", "the object has been modified"), count=1, **PATCH)),
    Fault("patch-422-of-a-test-that-failed", "end", by_rule(refusal(422, "Invalid"), count=1, **PATCH)),
    Fault("patch-reset-although-done", "end", by_rule(then(reset), count=1, **PATCH)),
    Fault("patch-504-although-done", "end", by_rule(then(refusal(504, "Timeout")), count=1, **PATCH)),
    # It is done all the same, which is found at once: the build says so for a moment only.
    Fault("patch-never-answered", "end", by_rule(then(hang), count=1, **PATCH), {"log": "cannot be patched .*timed out"},
          full=True),

    # --- who we are, and who they are ---
    Fault("401-token-file", "end", needs_login(into_token_file), {"readyz": "503 .*401", "build": "running .*401"}),
    Fault("401-kubeconfig", "end", needs_login(into_kubeconfig), {"readyz": "503 .*401", "build": "running .*401"},
          prepare=with_literal_token),
    Fault("stranger-s-certificate", "end", other_certificate, {"readyz": "503 .*certificate", "build": "running .*certificate"}),
    Fault("other-authority", "end", other_authority, {"readyz": "503 .*certificate", "build": "running .*certificate"},
          full=True, within=180),

    # --- watches ---
    Fault("watch-403", "end", to_watches(forbidden("watch", "jobs")), {"readyz": "503 .*cannot watch resource"}),
    Fault("watch-410", "end", to_watches(refusal(410, "Expired", "too old resource version")), {"readyz": "503 .*410"}),
    Fault("watch-410-in-the-stream", "end", to_watches(stream(EXPIRED)), {"readyz": "503 .*410"}),
    Fault("watch-429", "end", to_watches(refusal(429, "TooManyRequests", Retry_After="1")), {"readyz": "503 .*429"}),
    Fault("watch-500", "end", to_watches(refusal(500, "InternalError")), {"readyz": "503 .*500"}),
    Fault("watch-reset", "end", to_watches(reset), {"log": "watch .*failed"}),
    Fault("watch-garbage", "end", to_watches(stream("garbage\n")), {"log": "watch .*failed.*JSON"}),
    Fault("watch-page-instead", "end", to_watches(answer(200, "<html>\n", Content_Type="text/html")), {"log": "watch .*failed.*JSON"}),
    Fault("watch-half-an-event", "end", to_watches(torn('{"type": "ADDED", "obj')), {"log": "watch .*failed.*ended by the server"}),
    Fault("watch-event-of-nothing", "end", to_watches(stream(event("ADDED"))), {"log": "watch .*failed.*without type or version"}),
    Fault("watch-stale", "end", to_watches(stream()), {"delivery": "final deployed", "log": "watch .*failed"}, full=True, within=300),
    Fault("list-410", "end", to_lists(refusal(410, "Expired")), {"readyz": "503 .*410"}),

    # --- the build's pod, its Job and its node ---
    Fault("pod-evicted", "kaniko", evicted),
    Fault("pod-deleted", "kaniko", pod_deleted, attempts=2, prepare=slow(5), kaniko=True),
    Fault("job-deleted", "kaniko", job_deleted, attempts=2),
    Fault("out-of-memory", "end", ends_with(exit_code=137, reason="OOMKilled"),
          {"build": "failed out-of-memory", "delivery": "final out-of-memory"}, redelivered=True, attempts=2),
    Fault("unschedulable", "delivery", unschedulable, {"build": "running unschedulable .*unschedulable"}, alone=True),
    Fault("image-pull", "delivery", image_that_is_late, {"build": "running image-pull "}, kaniko=True,
          settings=kaniko_of_its_own),
    Fault("secret-missing", "delivery", secret_that_is_late, {"build": "running mount "}, kaniko=True, own_builds=True,
          settings={"builds": {"pushSecret": "login"}}),
    Fault("quota", "delivery", obstacle("ResourceQuota", {"hard": {"pods": "0"}}, lambda found: "used" in found["status"]),
          {"build": "running quota "}, kaniko=True, own_builds=True),
    Fault("quota-of-jobs", "delivery", obstacle("ResourceQuota", {"hard": {"count/jobs.batch": "0"}},
                                                lambda found: "used" in found["status"]),
          {"build": "waiting .*exceeded quota"}, kaniko=True, own_builds=True),
    Fault("limit-range", "delivery", obstacle("LimitRange", {"limits": [{"type": "Container", "min": {"memory": "1Gi"}}]}),
          {"build": "running pod-refused .*minimum memory"}, kaniko=True, own_builds=True),
    Fault("namespace-terminating", "kaniko", namespace_remade, {"build": "waiting .*being terminated"}, attempts=2,
          prepare=slow(15), kaniko=True, own_builds=True),

    # --- parts of the cluster, really ---
    Fault("api-server-paused", "delivery", while_part(paused, "kube-apiserver"), {"build": "waiting .*(time|answer)"},
          full_lasts=60, disruptive=True, full=True),
    Fault("api-server-restarted", "end", while_part(stopped, "kube-apiserver"), {"readyz": "503 .*Empty reply"}, full_lasts=60,
          disruptive=True),
    Fault("etcd-restarted", "end", while_part(restarted, "etcd"), disruptive=True),
    Fault("etcd-paused", "delivery", while_part(paused, "etcd"), {"build": "waiting .*(time|answer|50.)"},
          full_lasts=60, disruptive=True, full=True),
    Fault("etcd-stopped", "delivery", while_part(stopped, "etcd"), {"build": "waiting .*(time|answer|50.)"},
          full_lasts=60, disruptive=True, full=True),
    Fault("scheduler-stopped", "delivery", while_part(stopped, "kube-scheduler"),
          {"build": "running starting .*waits for its node"}, full_lasts=60, disruptive=True, full=True),
    Fault("controllers-stopped", "delivery", while_part(stopped, "kube-controller-manager"),
          {"build": "running no-pod .*no pod yet"}, full_lasts=60, disruptive=True, full=True),
    Fault("kubelet-restarted", "kaniko", while_part(restarted, "kubelet"), prepare=slow(5), kaniko=True, disruptive=True),
    Fault("node-not-ready", "kaniko", while_part(stopped, "kubelet"), {"build": "running node-lost "}, prepare=slow(5),
          kaniko=True, disruptive=True, full=True, within=150),
]
