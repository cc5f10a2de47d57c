"""Faults of Kubernetes: its API server, what lies before that, etcd, the node and the build's pod."""

import contextlib

from faults import Fault
from proxy import Broken, refusal, then

JOBS = r"/namespaces/cronwright-builds/jobs"
MAKE_JOB = {"method": "POST", "path": JOBS + r"\?"}
MAKE_SECRET = {"method": "POST", "path": r"/namespaces/cronwright-builds/secrets\?"}
READ_JOB = {"method": "GET", "path": JOBS + r"/"}
READ_PODS = {"method": "GET", "path": r"/namespaces/cronwright-builds/pods\?labelSelector=batch"}
PATCH = {"method": "PATCH", "path": r"/cronjobs/"}
WATCH = {"method": "GET", "path": r"[?&]watch=1"}
LIST = {"method": "GET", "path": r"\?limit="}

GONE = "503 .*kubernetes.*(Could ?n.t|Failed to|Unable to) connect"


# --- ways in which a fault comes ---

def by_rule(action, **where):
    return lambda case: case.proxy.rule(action, **where)


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
            rule.await_hit()
        case.proxy.open()
    return inject


FAULTS = [
    # --- the API server is away, at each stage ---
    Fault("away-idle", "idle", away, {"readyz": GONE}, full_lasts=60),
    Fault("away-at-delivery", "delivery", away, {"readyz": GONE, "delivery": "pending"}, full_lasts=60),
    Fault("away-while-fetching", "fetch", away, {"readyz": GONE, "build": "fetching .*connect"}, full_lasts=60),
    Fault("away-before-the-job", "delivery", away_at(**MAKE_JOB), {"readyz": GONE, "build": "fetching .*connect"},
          full_lasts=60),
    Fault("away-after-the-job", "delivery", away_at(answered=True, **MAKE_JOB),
          {"readyz": GONE, "build": "fetching .*connect"}, full_lasts=60),
    Fault("away-while-kaniko-runs", "kaniko", away, {"readyz": GONE, "build": "running .*connect"}, full_lasts=60),
    Fault("away-at-the-end", "end", away, {"readyz": GONE, "build": "running .*connect"}, full_lasts=60),
    Fault("away-before-the-patch", "end", away_at(**PATCH), {"readyz": GONE, "build": "pushed .*connect"},
          full_lasts=60),
    Fault("away-after-the-patch", "end", away_at(answered=True, **PATCH), {"readyz": GONE}, full_lasts=60),
    # --- requests that are answered with an error, or not at all ---
    Fault("job-500", "delivery", by_rule(refusal(500, "InternalError"), **MAKE_JOB), {"build": "fetching .*500"}),
    Fault("job-503", "delivery", by_rule(refusal(503, "ServiceUnavailable"), **MAKE_JOB), {"build": "fetching .*503"}),
    Fault("job-504-although-made", "delivery", by_rule(then(refusal(504, "Timeout")), **MAKE_JOB, count=2),
          {"build": "fetching .*504"}),
    Fault("job-500-although-made", "delivery", by_rule(then(refusal(500, "InternalError")), **MAKE_JOB, count=2),
          {"build": "fetching .*500"}),
    Fault("patch-500", "end", by_rule(refusal(500, "InternalError"), **PATCH), {"build": "pushed .*500"}),
]
