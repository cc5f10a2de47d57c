"""Parts of the cluster that tests/cluster/up started, to be stopped and started again. Nobody else's cluster is
disturbed."""

import contextlib
import os
import pathlib
import subprocess

CLUSTER = pathlib.Path(__file__).resolve().parents[1] / "cluster"
DIRECTORY = pathlib.Path(os.environ.get("CLUSTER_DIR") or CLUSTER.parents[1] / "out/cluster").resolve()


def why_not_ours():
    """None when the cluster in use is our own."""
    if os.environ.get("KUBECONFIG") == str(DIRECTORY / "kubeconfig"):
        return None
    return "the cluster is not one that tests/cluster/up has started here"


def disturb(action, part):
    done = subprocess.run([CLUSTER / "disturb", action, part], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


def bring_back(action, part):
    """Those that ask it would wait on in back-offs of their own, which are not what is tried."""
    disturb(action, part)
    if part in ("etcd", "kube-apiserver"):
        for other in ("kube-controller-manager", "kube-scheduler"):
            disturb("restart", other)


@contextlib.contextmanager
def paused(part):
    """It lives, and does nothing: its connections stay open."""
    disturb("pause", part)
    try:
        yield
    finally:
        bring_back("resume", part)


@contextlib.contextmanager
def stopped(part):
    disturb("stop", part)
    try:
        yield
    finally:
        bring_back("start", part)


@contextlib.contextmanager
def restarted(part):
    """When it answers again."""
    disturb("stop", part)
    bring_back("start", part)
    yield
