"""The cluster as its administrator sees it, asked by Kubernetes' own HTTP API."""

import base64
import http.client
import json
import os
import ssl
import subprocess
import urllib.parse

GROUPS = {"cronjobs": "/apis/batch/v1", "jobs": "/apis/batch/v1", "pods": "/api/v1", "secrets": "/api/v1",
          "namespaces": "/api/v1",
          "validatingwebhookconfigurations": "/apis/admissionregistration.k8s.io/v1"}


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status}: {body.get('message', body)}")
        self.status = status


def path_of(kind, namespace=None, name=None, **query):
    path = GROUPS[kind]
    if namespace:
        path += f"/namespaces/{namespace}"
    path += f"/{kind}"
    if name:
        path += f"/{name}"
    return path + ("?" + urllib.parse.urlencode(query) if query else "")


class Cluster:
    """The environment is out/cluster/env's."""

    def __init__(self, directory):
        self.kubectl_program = os.environ.get("KUBECTL") or "kubectl"
        view = json.loads(self.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        self.server = view["clusters"][0]["cluster"]["server"]
        self.authority = view["clusters"][0]["cluster"]["certificate-authority-data"]
        user = view["users"][0]["user"]
        self.token = user.get("token")
        self.context = ssl.create_default_context(cadata=base64.b64decode(self.authority).decode())
        if "client-certificate-data" in user:
            files = []
            for key in ("client-certificate-data", "client-key-data"):
                files.append(directory / key)
                files[-1].write_bytes(base64.b64decode(user[key]))
            self.context.load_cert_chain(*files)
        self.registry = os.environ["REGISTRY"]
        self.kaniko_image = os.environ["KANIKO_IMAGE"]
        self.busybox_image = os.environ["BUSYBOX_IMAGE"]
        self.host_address = os.environ["HOST_ADDRESS"]

    def kubectl(self, *words, stdin=None):
        done = subprocess.run([self.kubectl_program, *words], input=stdin, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def endpoint(self):
        parts = urllib.parse.urlsplit(self.server)
        return parts.hostname, parts.port or 443

    def call(self, method, path, body=None, content_type="application/json"):
        connection = http.client.HTTPSConnection(*self.endpoint, timeout=60, context=self.context)
        headers = {"Content-Type": content_type}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            answer = json.loads(response.read() or b"{}")
        finally:
            connection.close()
        if response.status >= 400:
            raise Refused(response.status, answer)
        return answer

    def get(self, kind, namespace, name):
        """None when there is none."""
        try:
            return self.call("GET", path_of(kind, namespace, name))
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def list(self, kind, namespace, selector=None):
        query = {"labelSelector": selector} if selector else {}
        return self.call("GET", path_of(kind, namespace, **query))["items"]

    def create(self, kind, namespace, body):
        return self.call("POST", path_of(kind, namespace), body)

    def merge(self, kind, namespace, name, body):
        return self.call("PATCH", path_of(kind, namespace, name), body, "application/merge-patch+json")

    def delete(self, kind, namespace, name, propagation="Background"):
        try:
            self.call("DELETE", path_of(kind, namespace, name), {"propagationPolicy": propagation})
        except Refused as refused:
            if refused.status != 404:
                raise

    def delete_all(self, kind, namespace):
        self.call("DELETE", path_of(kind, namespace), {"propagationPolicy": "Background"})

    def live_pods(self, namespace, selector=None):
        """Pods that hold on to something: not yet over."""
        return [pod["metadata"]["name"] for pod in self.list("pods", namespace, selector)
                if pod["status"].get("phase") not in ("Succeeded", "Failed")]
