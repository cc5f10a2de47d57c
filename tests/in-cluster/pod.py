"""The agent as deploy/manifests installs it: example/ copied and filled in, as the README says."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import threading

import yaml

from agents import TOP, Agent, merged
from forwarders import Forwarder
from waiting import eventually

MANIFESTS = TOP / "deploy/manifests"
NAMESPACE, POD = "cronwright", "cronwright-0"
CLAIM = f"state-{POD}"
SHARED = {"Namespace", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


class Directory:
    """One of the node, for the volume that the test cluster does not provision."""

    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        self.parent = "/var/lib/cronwright-tests"
        self.path = f"{self.parent}/{name}"

    def on_node(self, command):
        """Runs as root, in the directory above it."""
        pod = {"metadata": {"generateName": "directory-"},
               "spec": {"restartPolicy": "Never", "automountServiceAccountToken": False,
                        "volumes": [{"name": "above", "hostPath": {"path": self.parent, "type": "DirectoryOrCreate"}}],
                        "containers": [{"name": "main", "image": self.cluster.busybox_image,
                                        "command": ["/bin/busybox", *command], "workingDir": "/above",
                                        "volumeMounts": [{"name": "above", "mountPath": "/above"}]}]}}
        name = self.cluster.create("pods", "default", pod)["metadata"]["name"]
        phase = lambda: self.cluster.get("pods", "default", name)["status"]["phase"]
        eventually(lambda: phase() in ("Succeeded", "Failed"), f"{command} has run on the node", 60)
        assert phase() == "Succeeded", command
        self.cluster.delete("pods", "default", name)

    def make(self):
        self.on_node(["mkdir", self.name])

    def remove(self):
        self.on_node(["rm", "-rf", self.name])


class PodAgent(Agent):
    """Asked as the other agents of tests are: webhooks at the pod's address, the admin API through
    kubectl port-forward."""

    def __init__(self, place, directory, image, **changes):
        # What the Service does: in the test cluster nothing routes to it.
        self.context = Forwarder("127.0.0.1:1", place.cluster.host_address)
        self.image, self.overlay = image, directory / "overlay"
        super().__init__(place, directory, **changes)
        self.state = Directory(place.cluster, place.namespace)
        self.forward = None
        self.pods = set()  # uids of all it has been

    def default_config(self):
        """Files by the names they have beside the settings; the rest is the defaults'."""
        config = super().default_config()
        for key in ("stateDirectory", "kubernetes"):
            del config[key]
        del config["webhooks"]["listen"], config["admin"]["listen"], config["git"]["helper"]
        shutil.copy(os.environ["GIT_PASSWORD_FILE"], self.secret_file("git-password"))
        config["git"]["credentials"][0]["passwordFile"] = str(self.secret_file("git-password"))
        config = json.loads(json.dumps(config).replace(f'"{self.directory}/', '"'))
        return {**config, "kubernetes": {"namespaces": [self.place.namespace]},
                "metrics": {"listen": "0.0.0.0:8082"},
                "context": {"listen": "0.0.0.0:8443", "address": f"https://{self.context.address}", "image": self.image}}

    # --- the installation ---

    def write_overlay(self):
        shutil.rmtree(self.overlay, ignore_errors=True)
        shutil.copytree(MANIFESTS / "example", self.overlay)
        (self.overlay / "cronwright.yaml").write_text(yaml.safe_dump(self.config))
        secrets = sorted(path.name for path in self.directory.glob("*.secret"))
        for name in secrets:
            shutil.copy(self.directory / name, self.overlay / name)
        with self.edited("kustomization.yaml") as content:
            content["resources"] = [os.path.relpath(MANIFESTS, self.overlay), *content["resources"][1:], "volume.yaml"]
            name, _, digest = self.image.partition("@")
            content["images"][0] = {"name": "cronwright", "newName": name.rpartition(":")[0], "digest": digest}
            content["secretGenerator"][0]["files"] = [*secrets, "admin.token=admin.secret"]
        with self.edited("builds-egress.yaml") as policy:
            host, _, port = self.place.cluster.registry.partition(":")
            policy["spec"]["egress"] = [{"to": [{"ipBlock": {"cidr": f"{host}/32"}}],
                                         "ports": [{"protocol": "TCP", "port": int(port)}]}]
        with self.edited("volume.yaml") as volume:
            volume["metadata"]["name"] = self.place.namespace
            volume["spec"]["local"]["path"] = self.state.path
            [node] = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
            node["matchExpressions"][0]["values"] = [self.place.cluster.kubectl(
                "get", "nodes", "-o", r"jsonpath={.items[0].metadata.labels.kubernetes\.io/hostname}")]

    @contextlib.contextmanager
    def edited(self, name):
        path = self.overlay / name
        content = yaml.safe_load(path.read_text())
        yield content
        path.write_text(yaml.safe_dump(content))

    def apply(self):
        self.write_overlay()
        self.place.cluster.kubectl("apply", "--warnings-as-errors", "-k", str(self.overlay))

    def start(self, until_ready=True):
        self.state.make()
        self.apply()
        self.await_pod()
        return self

    def pod(self):
        return self.place.cluster.get("pods", NAMESPACE, POD)

    def is_up(self):
        """The pod's address, once it is Ready and not about to go."""
        pod = self.pod() or {}
        conditions = {condition["type"]: condition["status"] for condition in pod.get("status", {}).get("conditions", [])}
        if conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]:
            return pod["status"]["podIP"]
        return None

    def await_pod(self):
        try:
            self.address = eventually(self.is_up, "the pod is Ready", 120)
        except AssertionError as late:
            told = self.place.cluster.kubectl("describe", "pod", "-n", NAMESPACE, POD)
            raise AssertionError(f"{late}\n{told}\n{self.log_text()}") from None
        self.pods.add(self.pod()["metadata"]["uid"])
        self.webhooks = f"{self.address}:8080"
        self.context.target = (self.address, 8443)
        self.connect()

    def connect(self):
        self.disconnect()
        self.forward = subprocess.Popen([self.place.cluster.kubectl_program, "port-forward", "-n", NAMESPACE,
                                         f"pod/{POD}", ":8081"], stdout=subprocess.PIPE, text=True)
        line = self.forward.stdout.readline()
        # It writes a line for each connection, and stands still when nobody takes them.
        self.drain = threading.Thread(target=self.forward.stdout.read, daemon=True)
        self.drain.start()
        self.admin = re.match(r"Forwarding from (127\.0\.0\.1:\d+) ", line).group(1)

    def disconnect(self):
        if self.forward:
            self.forward.terminate()
            self.forward.wait(30)
            self.drain.join(30)
            self.forward.stdout.close()
            self.forward = None

    def log_text(self, offset=0):
        done = subprocess.run([self.place.cluster.kubectl_program, "logs", "-n", NAMESPACE, POD],
                              capture_output=True, text=True)
        return (done.stdout + done.stderr)[offset:]

    def exec(self, *words):
        """A command line inside the pod."""
        return self.place.cluster.kubectl("exec", "-n", NAMESPACE, POD, "--", *words)

    def restart(self):
        """Deletes the pod, as an eviction does; gives how its container ended, and the end of its log."""
        kubectl = [self.place.cluster.kubectl_program, "-n", NAMESPACE]
        uid = self.pod()["metadata"]["uid"]
        self.disconnect()
        with subprocess.Popen([*kubectl, "logs", "-f", POD], stdout=subprocess.PIPE, text=True) as log, \
                subprocess.Popen([*kubectl, "get", "pod", POD, "-w", "-o", "json", "--output-watch-events"],
                                 stdout=subprocess.PIPE, text=True) as watch:
            watch.stdout.readline()
            self.place.cluster.kubectl("delete", "pod", "-n", NAMESPACE, POD, "--wait=false")
            text = log.stdout.read()
            ended = exit_of(uid, watch.stdout)
            watch.terminate()
        self.await_pod()
        return ended, text

    def change(self, **settings):
        """Applies other settings, and waits for the pod that has them."""
        before = self.pod()["metadata"]["uid"]
        self.config = merged(self.config, settings)
        self.apply()
        eventually(lambda: (self.pod() or {"metadata": {"uid": before}})["metadata"]["uid"] != before,
                   "the pod is another one", 120)
        self.await_pod()

    def finish(self):
        """Takes away what the test has added to the namespaces, which other tests use too."""
        cluster = self.place.cluster
        self.disconnect()
        self.context.close()
        made = [document for document in yaml.safe_load_all(cluster.kubectl("kustomize", str(self.overlay)))
                if document["kind"] not in SHARED]
        # Not waiting: the volume goes when the claim has gone, and that when the pod has.
        cluster.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=yaml.safe_dump_all(made))
        # Those of earlier settings too.
        cluster.kubectl("delete", "configmaps,secrets", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=cronwright")
        cluster.kubectl("delete", "persistentvolumeclaim", "-n", NAMESPACE, CLAIM, "--ignore-not-found",
                        "--timeout=2m")
        eventually(lambda: self.pod() is None, "the pod is gone", 90)
        self.state.remove()


def exit_of(uid, events):
    """The exit code of the container of the pod of this uid, read from a watch."""
    text, decoder = "", json.JSONDecoder()
    for line in events:
        text += line
        with contextlib.suppress(json.JSONDecodeError):
            event, end = decoder.raw_decode(text.lstrip())
            text = text.lstrip()[end:]
            [status] = event["object"]["status"].get("containerStatuses", [{}])
            if event["object"]["metadata"]["uid"] == uid and "terminated" in status.get("state", {}):
                return status["state"]["terminated"]["exitCode"]
    raise AssertionError("the watch ended before the pod")
