"""The agent, the cluster and the namespaces are those of tests/main-job."""

import importlib.util
import pathlib
import sys

MAIN_JOB = pathlib.Path(__file__).resolve().parents[1] / "main-job"
sys.path.insert(0, str(MAIN_JOB))
spec = importlib.util.spec_from_file_location("main_job_fixtures", MAIN_JOB / "conftest.py")
main_job = importlib.util.module_from_spec(spec)
spec.loader.exec_module(main_job)

cluster, account, new_place = main_job.cluster, main_job.account, main_job.new_place
pytest_runtest_makereport = main_job.pytest_runtest_makereport
