"""The example of an installation, as it stands there."""

import shutil
import subprocess

import pytest
import yaml

from agents import HELPER, PROGRAM
from pod import MANIFESTS


@pytest.fixture
def copy(tmp_path):
    """Copied as its first line says, with the secrets beside it that it names."""
    shutil.copytree(MANIFESTS, tmp_path / "deploy/manifests")
    copy = shutil.copytree(MANIFESTS / "example", tmp_path / "site")
    for name in yaml.safe_load((copy / "kustomization.yaml").read_text())["secretGenerator"][0]["files"]:
        (copy / name).write_text("a secret of 20 bytes")
    return copy


def test_its_settings_are_good(copy):
    with (copy / "cronwright.yaml").open("a") as settings:
        settings.write(f"git: {{helper: {HELPER}}}\n")  # which the image has in its place
    subprocess.run([PROGRAM, "agent", "--check", "--config", copy / "cronwright.yaml"], check=True)


def test_it_is_whole(cluster, copy):
    """All that the pod names is made, under the names that it uses."""
    made = list(yaml.safe_load_all(cluster.kubectl("kustomize", str(copy))))
    names = {(document["kind"], document["metadata"].get("namespace"), document["metadata"]["name"])
             for document in made}
    [stateful] = [document for document in made if document["kind"] == "StatefulSet"]
    pod = stateful["spec"]["template"]["spec"]
    [settings, secrets] = pod["volumes"][0]["projected"]["sources"]
    assert ("ConfigMap", "cronwright", settings["configMap"]["name"]) in names
    assert ("Secret", "cronwright", secrets["secret"]["name"]) in names
    assert ("ServiceAccount", "cronwright", pod["serviceAccountName"]) in names
    assert pod["containers"][0]["image"] == "registry.example/cronwright:0.1.0"
    context = yaml.safe_load((copy / "cronwright.yaml").read_text())["context"]
    assert context["image"] == pod["containers"][0]["image"]
    host, port = context["address"].removeprefix("https://").split(":")
    [service] = [document for document in made if document["kind"] == "Service"]
    assert host == f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    assert int(port) in [each["port"] for each in service["spec"]["ports"]]
    assert {namespace for _, namespace, _ in names} == {None, "cronwright", "cronwright-builds"}
