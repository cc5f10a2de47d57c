"""A validating admission webhook of the API server. It holds a chosen write back until it is told to let it through,
so that a test can act at the very moment between the agent's request and its answer; or it forbids writes."""

import base64
import http.server
import json
import secrets
import ssl
import subprocess
import threading

WAIT_SECONDS = 30     # that the API server may be kept waiting
ARRIVAL_SECONDS = 90  # until what is to be held is written: a whole build may come before


class Held:
    """One write that is to be held."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.arrived, self.released = threading.Event(), threading.Event()

    def await_arrival(self):
        assert self.arrived.wait(ARRIVAL_SECONDS), "the write did not come"

    def release(self):
        self.released.set()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        allowed = self.server.gatekeeper.look(review["request"])
        answer = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {
            "uid": review["request"]["uid"], "allowed": allowed, "status": {"message": "not while tested"}}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


class Gatekeeper:
    def __init__(self, cluster, namespaces, directory):
        self.cluster, self.held, self.lock = cluster, [], threading.Lock()
        self.forbidden = set()  # names of CronJobs that must not be changed
        certificate, key = directory / "gatekeeper.crt", directory / "gatekeeper.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=gatekeeper",
                        "-addext", f"subjectAltName=IP:{cluster.host_address}"], check=True, capture_output=True)
        self.server = http.server.ThreadingHTTPServer((cluster.host_address, 0), Handler)
        self.server.daemon_threads = True
        self.server.gatekeeper = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.name = f"mainjob-{secrets.token_hex(3)}"
        url = f"https://{cluster.host_address}:{self.server.server_address[1]}/"
        rule = lambda resource, operation: {"apiGroups": ["batch"], "apiVersions": ["v1"], "resources": [resource],
                                            "operations": [operation]}
        cluster.create("validatingwebhookconfigurations", None, {
            "metadata": {"name": self.name},
            "webhooks": [{"name": "gatekeeper.cronwright.io", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                          "failurePolicy": "Ignore", "timeoutSeconds": WAIT_SECONDS,
                          "clientConfig": {"url": url, "caBundle": self.bundle(certificate)},
                          "namespaceSelector": {"matchExpressions": [{
                              "key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces}]},
                          "rules": [rule("jobs", "CREATE"), rule("cronjobs", "UPDATE")]}]})

    @staticmethod
    def bundle(certificate):
        return base64.b64encode(certificate.read_bytes()).decode()

    def finish(self):
        self.cluster.delete("validatingwebhookconfigurations", None, self.name)
        for held in self.held:
            held.release()
        self.server.shutdown()
        self.server.server_close()

    def hold(self, resource, note, value):
        """Holds the next write to an object of this kind with this annotation."""
        held = Held((resource, note, value))
        with self.lock:
            self.held.append(held)
        return held

    def look(self, request):
        with self.lock:
            found = next((held for held in self.held if not held.arrived.is_set() and self.fits(held, request)), None)
            if found:
                found.arrived.set()
        if found:
            found.released.wait(WAIT_SECONDS)
        return request["name"] not in self.forbidden

    @staticmethod
    def fits(held, request):
        resource, note, value = held.wanted
        notes = request["object"]["metadata"].get("annotations", {})
        return request["resource"]["resource"] == resource and notes.get(note) == value
