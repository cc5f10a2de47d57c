"""Each right of the manifests is used, and none is missing: what the agent's pods do here is compared with
what the API server has on record. It stands alone, so that a right is never used by accident."""

import json
import os

import pytest

import audit
import forges
from agents import FORGE_SECRETS
from places import report, shell
from pod import MANIFESTS
from waiting import eventually

RBAC = [MANIFESTS / "rbac.yaml", MANIFESTS / "rbac-check-references.yaml"]


class Life:
    """Everything that an agent does in a cluster, once."""

    def __init__(self, agent):
        self.agent, self.place, self.cluster = agent, agent.place, agent.place.cluster

    def post(self, path, body=None, status=200):
        answer = self.agent.api("POST", path, body)
        assert answer.status == status, answer
        return answer.json

    def push(self, service, *lines):
        commit = service.repository.push(report(self.cluster, "of a life", *lines))
        payload = forges.github_push(service.repository.url, commit)
        return commit, self.agent.accept(forges.github(payload, FORGE_SECRETS["github"]))

    def draft_from_a_document(self):
        name = self.place.name("draft")
        self.post("/v1/services", {"name": name, "namespace": self.place.namespace, "schedule": "0 0 1 1 *",
                                   "source": {"image": self.cluster.busybox_image},
                                   "container": {"command": ["/bin/busybox", "true"]}}, 201)
        path = f"/v1/services/{self.place.namespace}/{name}"
        assert self.agent.api("PATCH", path, {"schedule": "1 0 1 1 *"}).status == 200
        self.post(f"{path}/start")
        self.post(f"{path}/stop")
        assert self.agent.api("DELETE", path).status in (200, 204)

    def start_of_a_service_that_missed_a_run(self):
        """Without startingDeadlineSeconds the controller would run it at once."""
        service = self.place.service("missed", annotations={"state": "draft"}, container=shell("true"),
                                     spec={"suspend": True, "startingDeadlineSeconds": None})
        service.seen_by(self.agent)
        self.post(f"{service.path}/start")
        assert not service.jobs()

    def build_and_runs(self):
        repository = self.place.repository("life")
        service = self.place.service("life", repository=repository).seen_by(self.agent)
        _, delivery = self.push(service)
        self.agent.outcome_of(delivery, "deployed")
        build = self.agent.builds_of(repository)[0]["build"]
        assert self.agent.api("GET", f"/v1/builds/{build}/logs").status == 200
        run = service.force(self.agent).json["name"]
        assert self.agent.api("GET", f"{service.path}/runs/{run}/logs?follow=true").text == "of a life\n"
        service.ended(self.agent, run)
        return service

    def cancelled_run(self):
        service = self.place.service("cancelled", container=shell("sleep 600")).seen_by(self.agent)
        run = service.force(self.agent).json["name"]
        assert service.force(self.agent, status=409).json["run"] == run
        assert self.agent.api("DELETE", f"{service.path}/runs/{run}").status in (200, 202, 204)
        eventually(lambda: not service.jobs(), "the cancelled run's Job is gone", 90)

    def cancelled_builds(self, service):
        """A newer push ends a build that runs; of the second one the record is there already."""
        for edition in ("third", "fifth"):
            first, _ = self.push(service, f"LABEL before={edition}", 'RUN ["/bin/busybox", "sleep", "30"]')
            self.agent.build_reaches(service.repository, first, "running")
            _, second = self.push(service, f"LABEL edition={edition}")
            self.agent.outcome_of(second, "deployed")

    def build_that_waits(self, service):
        """For a pod that the namespace's quota does not admit at first: only an event says so."""
        builds = self.place.builds_namespace
        self.cluster.kubectl("create", "quota", "no-pods", "-n", builds, "--hard=pods=0")
        try:
            counts = lambda: "used" in self.cluster.kubectl("get", "quota", "no-pods", "-n", builds, "-o", "json")
            eventually(counts, "the quota counts")
            commit, delivery = self.push(service, "LABEL edition=fourth")
            reason = lambda: [build["reason"] for build in self.agent.builds_of(service.repository)
                              if build["commit"] == commit] == ["quota"]
            eventually(reason, "the agent tells of the quota", 60)
        finally:
            self.cluster.kubectl("delete", "quota", "no-pods", "-n", builds)
        self.agent.outcome_of(delivery, "deployed")

    def run_that_waits(self):
        """For a volume: again only an event says so."""
        service = self.place.service("unmounted", container={"volumeMounts": [{"name": "data", "mountPath": "/data"}]},
                                     template={"volumes": [{"name": "data", "secret": {"secretName": "no-such"}}]})
        run = service.seen_by(self.agent).force(self.agent).json["name"]
        path = f"{service.path}/runs/{run}"
        eventually(lambda: 'secret "no-such" not found' in (self.agent.get(path)["reason"] or ""),
                   "the agent tells of the volume", 60)
        assert self.agent.api("DELETE", path).status in (200, 202, 204)

    def pushes_that_are_refused(self):
        """An Event tells of it, and a later one is added to that."""
        service = self.place.service("refused", repository=self.place.repository("refused"),
                                     destination="registry.example/not/allowed").seen_by(self.agent)

        def added():
            _, delivery = self.push(service)
            self.agent.outcome_of(delivery, "not-allowed")
            return max((event["count"] for event in service.events()), default=0) > 1
        eventually(added, "an Event has another push added", 60)

    def references(self):
        """What a service names is looked for, where the optional ClusterRole is bound as its comment says."""
        namespace = self.place.namespace
        self.cluster.kubectl("apply", "-f", str(RBAC[1]))
        self.cluster.kubectl("-n", namespace, "create", "rolebinding", "cronwright-check-references",
                             "--clusterrole=cronwright-check-references", "--serviceaccount=cronwright:cronwright")
        eventually(lambda: self.may_get("secrets", namespace), "the right is there")
        service = self.place.service("references", template={
            "serviceAccountName": "nobody", "imagePullSecrets": [{"name": "login"}],
            "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": "none"}},
                        {"name": "map", "configMap": {"name": "none"}}]}).seen_by(self.agent)
        missing = " ".join(service.status(self.agent)["missing"])
        for word in ("service account", "pull secret", "ConfigMap", "PersistentVolumeClaim"):
            assert f'{word} "' in missing, missing

    def may_get(self, kind, namespace):
        """Whether the API server lets the agent's account; who asks is somebody else."""
        review = self.cluster.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {
            "spec": {"user": "system:serviceaccount:cronwright:cronwright",
                     "resourceAttributes": {"namespace": namespace, "verb": "get", "resource": kind}}})
        return review["status"]["allowed"]

    def doctor(self):
        """It asks what it may do, and looks only where it may."""
        findings = self.agent.get("/v1/doctor")
        rights = [check for group in findings["groups"] for check in group["checks"] if check["check"] == "rights"]
        assert [(check["state"], check["text"]) for check in rights] == [("good", "all rights")]


@pytest.fixture(scope="module")
def found(request):
    if not os.environ.get("AUDIT_LOG"):
        pytest.skip("no AUDIT_LOG: this cluster's API server keeps no record that can be read here")
    agent = request.getfixturevalue("agent")
    life = Life(agent)
    life.draft_from_a_document()
    life.start_of_a_service_that_missed_a_run()
    service = life.build_and_runs()
    life.cancelled_run()
    life.cancelled_builds(service)
    life.build_that_waits(service)
    life.run_that_waits()
    life.pushes_that_are_refused()
    life.references()
    life.doctor()
    return audit.uses(agent.pods)


@pytest.mark.parametrize("path", RBAC, ids=lambda path: path.stem)
def test_each_right_is_used(found, path):
    own = {right.namespace for right in audit.rights(path) if right.namespace}
    unused = sorted(audit.text(right) for right in audit.rights(path) if not audit.is_used(right, found, own))
    assert not unused, "rights that nothing here has used: " + json.dumps(unused, indent=1)


def test_no_right_is_missing(found):
    refused = sorted(str(use) for use in found if not use.allowed)
    assert not refused, "not allowed by the manifests: " + json.dumps(refused, indent=1)
