"""A registry of a test's own beside the cluster's: plain HTTP, and a login if one is given."""

import re
import secrets
import subprocess

from waiting import eventually

USER, PASSWORD = "ana", "let-me-push"
PASSWORD_HASH = "$2b$05$abcdefghijklmnopqrstuuDCOyDNlCkTxAYmncphlemP3YSRvUTnW"  # bcrypt of PASSWORD


class LockedRegistry:
    def __init__(self, host, directory):
        self.log = directory / "registry.log"
        logins = directory / "registry.htpasswd"
        logins.write_text(f"{USER}:{PASSWORD_HASH}\n")
        settings = directory / "registry.yml"
        settings.write_text(f"""
version: 0.1
log: {{level: info}}
storage: {{filesystem: {{rootdirectory: "{directory}/images"}}}}
http: {{addr: "{host}:0", secret: {secrets.token_hex(16)}}}
auth: {{htpasswd: {{realm: test, path: "{logins}"}}}}
""")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", str(settings)], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        self.address = eventually(self.listening, "the registry listens")

    def listening(self):
        assert self.process.poll() is None, self.log.read_text()
        found = re.search(r'"listening on ([\d.]+:\d+)"', self.log.read_text())
        return found and found.group(1)

    def finish(self):
        self.process.terminate()
        self.process.wait(30)
