"""The agent, the cluster and the namespaces are those of tests/main-job."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "main-job"))

from fixtures import account, cluster, new_place, pytest_runtest_makereport  # noqa: E402, F401
