"""Images in the test cluster's registry, read without any tool of theirs."""

import http.client
import io
import json
import tarfile

MANIFESTS = ", ".join(["application/vnd.oci.image.manifest.v1+json",
                       "application/vnd.docker.distribution.manifest.v2+json"])


class Image:
    """`reference` is host:port/name[:tag]@sha256:…"""

    def __init__(self, reference):
        self.host, _, rest = reference.partition("/")
        name, _, self.digest = rest.partition("@")
        self.name = name.rpartition(":")[0] or name
        self.manifest = json.loads(self.fetch(f"manifests/{self.digest}"))
        self.config = json.loads(self.fetch(f"blobs/{self.manifest['config']['digest']}"))

    def fetch(self, what):
        connection = http.client.HTTPConnection(self.host, timeout=30)
        connection.request("GET", f"/v2/{self.name}/{what}", headers={"Accept": MANIFESTS})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        assert response.status == 200, f"{what}: {response.status} {content!r}"
        return content

    def entries(self):
        """Path → tarfile.TarInfo of all layers, the last word of each path."""
        found = {}
        for layer in self.manifest["layers"]:
            with tarfile.open(fileobj=io.BytesIO(self.fetch(f"blobs/{layer['digest']}"))) as archive:
                found.update({"/" + entry.name.strip("/"): entry for entry in archive})
        return found
