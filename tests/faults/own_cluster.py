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


@contextlib.contextmanager
def paused(part):
    """It lives, and does nothing: its connections stay open."""
    disturb("pause", part)
    try:
        yield
    finally:
        disturb("resume", part)


@contextlib.contextmanager
def stopped(part):
    disturb("stop", part)
    try:
        yield
    finally:
        disturb("start", part)


@contextlib.contextmanager
def restarted(part):
    """When it answers again."""
    disturb("stop", part)
    disturb("start", part)
    yield
