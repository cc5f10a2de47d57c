"""Namespaces of the tests' own, and the services in them."""

import json
import os
import pathlib
import secrets
import shutil
import subprocess
import threading
import urllib.parse

from agents import TOP
from repositories import Repository
from waiting import eventually

RBAC = TOP / "deploy/manifests/rbac.yaml"
SCHEDULE = "0 0 1 1 *"  # never while a test runs
ANNOTATION = "cronwright.io/"


class Account:
    """The agent's own rights in the cluster, those of the manifest and no more."""

    def __init__(self, cluster, directory):
        cluster.kubectl("apply", "-f", str(RBAC))
        token = eventually(lambda: self.token(cluster), "the service account has a token")
        self.cluster, self.user = cluster, {"token": token}
        self.kubeconfig = self.write(directory / "kubeconfig", cluster.server)

    @staticmethod
    def token(cluster):
        return cluster.kubectl("create", "token", "cronwright", "-n", "cronwright", "--duration=6h").strip()

    def write(self, path, server, **more):
        entry = lambda kind, content: [{"name": "test", kind: content}]
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": entry("cluster", {"server": server, "certificate-authority-data": self.cluster.authority,
                                          **more}),
            "users": entry("user", self.user),
            "contexts": entry("context", {"cluster": "test", "user": "test"})}))
        return path


class Place:
    """A namespace for services, with names of repositories and images that nobody else uses."""

    def __init__(self, account, directory, word):
        self.cluster, self.kubeconfig = account.cluster, account.kubeconfig
        self.account, self.directory = account, directory
        self.builds_namespace = "cronwright-builds"
        self.namespace = f"mainjob-{word}-{secrets.token_hex(3)}"
        self.git_url = f"{os.environ['GIT_URL']}/{self.namespace}"
        # Below /private a login is needed: the agent has one for the first of these.
        self.private_git_url = f"{os.environ['GIT_URL']}/private/{self.namespace}"
        self.locked_git_url = f"{os.environ['GIT_URL']}/private/locked-{self.namespace}"
        self.images = f"{self.cluster.registry}/{self.namespace}"
        self.lock = threading.Lock()
        self.names = 0
        self.cluster.create("namespaces", None, {"metadata": {"name": self.namespace}})
        # Pods are refused until the namespace has its default account.
        eventually(lambda: self.cluster.kubectl("get", "serviceaccounts", "-n", self.namespace, "-o", "name"),
                   "the namespace has an account")

    def name(self, word):
        with self.lock:
            self.names += 1
            return f"{word}-{self.names}"

    def repository(self, word, files=None, below=None):
        """A repository; with `files`, its first commit is pushed. `below` is one of the other URLs."""
        folder = (below or self.git_url).removeprefix(os.environ["GIT_URL"] + "/")
        repository = Repository(f"{folder}/{self.name(word)}", self.directory)
        if files is not None:
            repository.push(files)
        return repository

    def service(self, word, **more):
        return Service(self, self.name(word), **more)

    def push_image(self, reference):
        """An image from nothing."""
        subprocess.run([TOP / "tests/cluster/push-image", reference, "dir:/data=0755"], check=True, capture_output=True)

    def build_jobs(self, repository):
        """The Kaniko Jobs there are for a repository."""
        identity = repository.url.split("//")[1].removesuffix(".git")
        return [job for job in self.cluster.list("jobs", self.builds_namespace)
                if job["metadata"].get("annotations", {}).get(ANNOTATION + "repository") == identity]

    def unfinished_build_jobs(self, repository):
        """A cancelled one is kept, too, but has failed."""
        return [job for job in self.build_jobs(repository)
                if not any(condition["type"] in ("Complete", "Failed") and condition["status"] == "True"
                           for condition in job["status"].get("conditions", []))]

    def own_build_jobs(self):
        """Name → repository of the Kaniko Jobs for repositories of this place."""
        prefixes = tuple(url.split("//")[1] + "/" for url in (self.git_url, self.private_git_url, self.locked_git_url))
        found = {job["metadata"]["name"]: job["metadata"].get("annotations", {}).get(ANNOTATION + "repository", "")
                 for job in self.cluster.list("jobs", self.builds_namespace)}
        return {name: repository for name, repository in found.items() if repository.startswith(prefixes)}

    def live_pods(self):
        """Pods of services and of builds that are not yet over."""
        found = []
        for job, repository in self.own_build_jobs().items():
            pods = self.cluster.live_pods(self.builds_namespace, f"batch.kubernetes.io/job-name={job}")
            found += [f"{pod} building {repository}" for pod in pods]
        return found + self.cluster.live_pods(self.namespace)

    def left_running(self):
        """What still runs although nobody wants it any more. A pod's end is told a moment late."""
        try:
            eventually(lambda: not self.live_pods(), "no pod is left")
            return []
        except AssertionError:
            return self.live_pods()

    def remove(self):
        """Begins to take everything away."""
        for job in self.own_build_jobs():
            self.cluster.delete("jobs", self.builds_namespace, job)
        self.cluster.delete("namespaces", None, self.namespace)
        for url in (self.git_url, self.private_git_url, self.locked_git_url):
            path = pathlib.Path(os.environ["GIT_ROOT"]) / url.removeprefix(os.environ["GIT_URL"] + "/")
            shutil.rmtree(path, ignore_errors=True)

    def await_gone(self):
        eventually(lambda: self.cluster.get("namespaces", None, self.namespace) is None,
                   f"namespace {self.namespace} is gone", 300)
        eventually(lambda: not self.own_build_jobs(), "the builds' Jobs are gone")


class Service:
    """A CronJob. With a repository it is built by cronwright; otherwise it runs `image`."""

    def __init__(self, place, name, repository=None, branch="main", image=None, annotations=None, template=None,
                 job=None, container=None, destination=None, spec=None):
        self.place, self.cluster, self.name, self.namespace = place, place.cluster, name, place.namespace
        self.repository = repository
        self.destination = destination or f"{place.images}/{name}"
        notes = dict(annotations or {})
        if repository:
            notes = {"repository": repository.url, "branch": branch, "image": self.destination, **notes}
        if repository and not image:
            image = f"{self.destination}:cronwright-not-built"
        body = {
            "apiVersion": "batch/v1", "kind": "CronJob",
            "metadata": {"name": name, "labels": {ANNOTATION + "managed": "true", "team": "reports"},
                         "annotations": {ANNOTATION + key: value for key, value in notes.items()
                                         if value is not None}},
            "spec": {"schedule": SCHEDULE, "timeZone": "Etc/UTC", "concurrencyPolicy": "Forbid",
                     "startingDeadlineSeconds": 100, **(spec or {}),
                     "jobTemplate": {
                         "metadata": {"labels": {"app": name}, "annotations": {"example.com/note": "of the template"}},
                         "spec": {"backoffLimit": 0, **(job or {}),
                                  "template": {"spec": {
                                      "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
                                      "containers": [{"name": "main", "image": image or self.cluster.busybox_image,
                                                      **(container or {})}], **(template or {})}}}}}}
        self.made = self.cluster.create("cronjobs", self.namespace, body)

    @property
    def path(self):
        return f"/v1/services/{self.namespace}/{self.name}"

    @property
    def full_name(self):
        return f"{self.namespace}/{self.name}"

    def get(self):
        return self.cluster.get("cronjobs", self.namespace, self.name)

    def image(self):
        return container_of(self.get())["image"]

    def annotation(self, key):
        return self.get()["metadata"].get("annotations", {}).get(ANNOTATION + key)

    def merge(self, **body):
        return self.cluster.merge("cronjobs", self.namespace, self.name, body)

    def set_image(self, image):
        """As `kubectl set image` does."""
        self.cluster.kubectl("-n", self.namespace, "set", "image", f"cronjob/{self.name}", f"main={image}")

    def events(self):
        """What cronwright has told of it."""
        query = urllib.parse.urlencode({"fieldSelector": f"involvedObject.uid={self.made['metadata']['uid']}"})
        found = self.cluster.call("GET", f"/api/v1/namespaces/{self.namespace}/events?{query}")["items"]
        return [event for event in found if event["source"].get("component") == "cronwright"]

    def jobs(self):
        uid = self.made["metadata"]["uid"]
        return [job for job in self.cluster.list("jobs", self.namespace)
                if any(owner["uid"] == uid for owner in job["metadata"].get("ownerReferences", []))]

    def pods_of(self, run):
        return self.cluster.list("pods", self.namespace, f"batch.kubernetes.io/job-name={run}")

    def clear(self):
        """Ends and removes every run, and waits until its pods are gone."""
        for job in self.jobs():
            self.cluster.delete("jobs", self.namespace, job["metadata"]["name"], "Foreground")
        eventually(lambda: not self.jobs(), f"the runs of {self.name} are gone", 240)

    def delete(self):
        self.cluster.delete("cronjobs", self.namespace, self.name)

    # --- through the agent ---

    def seen_by(self, agent):
        """Waits until the agent knows of it."""
        def known():
            services = agent.get(f"/v1/services?namespace={self.namespace}")["services"]
            return [service for service in services if service["name"] == self.name]
        eventually(known, f"the agent sees {self.name}")
        return self

    def status(self, agent):
        return agent.get(self.path)["status"]

    def force(self, agent, body=None, token="runner", status=201, headers=()):
        answer = agent.api("POST", f"{self.path}/runs", body, token=token, headers=headers)
        assert answer.status == status, answer
        return answer

    def ended(self, agent, run, seconds=60):
        """The run, once it is over."""
        def over():
            found = agent.get(f"{self.path}/runs/{run}")
            return found if found["state"] in ("succeeded", "failed") else None
        return eventually(over, f"run {run} is over", seconds)


def container_of(cronjob):
    return cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]


def shell(script, **more):
    """Settings of a container that runs this."""
    return {"command": ["/bin/busybox", "sh", "-c", script], **more}


def dockerfile(cluster, *lines):
    """Of an image that has busybox and runs /report.sh."""
    return "\n".join([f"FROM {cluster.busybox_image}", "COPY report.sh /report.sh", *lines,
                      'ENTRYPOINT ["/bin/busybox", "sh", "/report.sh"]', ""])


def report(cluster, text, *lines):
    """Files of a repository whose image prints `text`."""
    return {"Dockerfile": dockerfile(cluster, *lines), "report.sh": f"echo '{text}'\n"}

