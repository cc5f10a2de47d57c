"""What cronwright doctor asks about is what the manifest gives."""

import pathlib
import re

import yaml

TOP = pathlib.Path(__file__).resolve().parents[2]
ROW = re.compile(r'\{IN_(\w+), "([^"]*)", "([^"]*)", \{([^}]*)\}\}')
ONLY_DOCTORS = {"namespaces", "serviceaccounts"}  # it does without


def test_doctor_asks_for_each_right_of_the_manifest():
    asked = {(where, group, resource, verb)
             for where, group, resource, verbs in ROW.findall((TOP / "agent/doctor/rights.c").read_text())
             for verb in re.findall(r'"(\w+)"', verbs)}
    roles = [role for role in yaml.safe_load_all((TOP / "deploy/manifests/rbac.yaml").read_text())
             if role["kind"] in ("ClusterRole", "Role")]
    given = {({"ClusterRole": "SERVICES", "Role": "BUILDS"}[role["kind"]], group, resource, verb)
             for role in roles for rule in role["rules"] for group in rule["apiGroups"]
             for resource in rule["resources"] for verb in rule["verbs"] if resource not in ONLY_DOCTORS}
    assert asked == given
