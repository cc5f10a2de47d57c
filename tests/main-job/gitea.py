"""A real Gitea with TLS by a private authority, as a forge that tests push to. It ends with the tests."""

import base64
import json
import os
import pathlib
import pwd
import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from agents import TOP
from repositories import ENVIRONMENT, git
from waiting import eventually

OWNER, ROBOT = "ana", "cronwright-robot"


def free_port(address):
    with socket.socket() as listener:
        listener.bind((address, 0))
        return listener.getsockname()[1]


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True)


class Gitea:
    """`address` is where it listens. It refuses to be root, so then it is nobody."""

    def __init__(self, address):
        self.address, self.port = address, free_port(address)
        self.url = f"https://{address}:{self.port}"
        self.password = secrets.token_hex(16)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="gitea-"))
        self.authority = self.directory / "authority.crt"
        self.user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self.process = None

    # --- life ---

    def __enter__(self):
        try:
            self.prepare()
            self.process = subprocess.Popen([self.program, "--config", self.directory / "app.ini", "web"], stdout=self.log, stderr=self.log, **self.as_user())
            self.context = ssl.create_default_context(cafile=self.authority)
            eventually(self.answers, "Gitea answers", 120)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def as_user(self):
        more = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "USER": self.user.pw_name,
                       "GITEA_WORK_DIR": str(self.directory), "LC_ALL": "C.UTF-8"}
        return {"env": environment, "cwd": self.directory, "stdin": subprocess.DEVNULL, **more}

    def prepare(self):
        compiled = subprocess.run([TOP / "tests/cluster/gitea-program"], check=True, stdout=subprocess.PIPE, text=True)
        compiled = pathlib.Path(compiled.stdout.strip())
        self.program = self.directory / "gitea"
        shutil.copy2(compiled / "gitea", self.program)  # the cache is not for everybody to read
        shutil.copytree(compiled / "static", self.directory / "static")
        self.make_certificates()
        (self.directory / "app.ini").write_text(self.settings())
        self.log = (self.directory / "gitea.log").open("ab")
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{self.user.pw_uid}:{self.user.pw_gid}", self.directory], check=True)
        self.command("migrate")
        for user in (OWNER, ROBOT):
            self.command("admin", "user", "create", "--username", user, "--password", self.password,
                         "--email", f"{user}@example.com", "--must-change-password=false",
                         *(["--admin"] if user == OWNER else []))
        self.robot_token = self.new_token()

    def make_certificates(self):
        file = lambda name: str(self.directory / name)
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        openssl("req", "-x509", *key, "-keyout", file("authority.key"), "-out", file("authority.crt"), "-days", "2",
                "-subj", "/CN=authority of the tests")
        openssl("req", *key, "-keyout", file("server.key"), "-out", file("server.csr"), "-subj", "/CN=gitea")
        # libgit2's mbedTLS, as Debian 12 has it, knows no addresses in certificates, but takes one for a name.
        pathlib.Path(file("server.ext")).write_text(f"subjectAltName=IP:{self.address},DNS:{self.address}\n")
        openssl("x509", "-req", "-in", file("server.csr"), "-CA", file("authority.crt"), "-CAkey", file("authority.key"),
                "-days", "2", "-extfile", file("server.ext"), "-out", file("server.crt"))

    def settings(self):
        return f"""APP_NAME = Gitea of the tests
RUN_USER = {self.user.pw_name}
WORK_PATH = {self.directory}
[server]
PROTOCOL = https
CERT_FILE = {self.directory}/server.crt
KEY_FILE = {self.directory}/server.key
HTTP_ADDR = {self.address}
HTTP_PORT = {self.port}
ROOT_URL = {self.url}/
STATIC_ROOT_PATH = {self.directory}/static
APP_DATA_PATH = {self.directory}/data
DISABLE_SSH = true
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
PATH = {self.directory}/gitea.db
[repository]
ROOT = {self.directory}/repositories
[security]
INSTALL_LOCK = true
SECRET_KEY = {secrets.token_hex(32)}
[webhook]
ALLOWED_HOST_LIST = *
[service]
DISABLE_REGISTRATION = true
[log]
MODE = console
LEVEL = warn
"""

    def command(self, *words):
        done = subprocess.run([self.program, "--config", self.directory / "app.ini", *words], text=True,
                              capture_output=True, **self.as_user())
        assert done.returncode == 0, f"gitea {words[0]}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def answers(self):
        assert self.process.poll() is None, (self.directory / "gitea.log").read_text()[-2000:]
        try:
            return self.api("GET", "/version")
        except urllib.error.HTTPError:
            raise
        except OSError:
            return None  # not yet

    def new_token(self, scopes="write:repository"):
        return self.command("admin", "user", "generate-access-token", "--username", ROBOT, "--scopes", scopes,
                            "--token-name", secrets.token_hex(4), "--raw").splitlines()[-1]

    # --- its API, as the owner ---

    def api(self, method, path, body=None):
        login = base64.b64encode(f"{OWNER}:{self.password}".encode()).decode()
        request = urllib.request.Request(f"{self.url}/api/v1{path}", method=method,
                                         data=json.dumps(body).encode() if body is not None else None,
                                         headers={"Content-Type": "application/json", "Authorization": f"Basic {login}"})
        with urllib.request.urlopen(request, timeout=30, context=self.context) as response:
            return json.loads(response.read() or b"null")

    def repository(self, name, directory):
        return Repository(self, name, directory)


class Repository:
    """A private one of the owner's, which the robot may write to."""

    def __init__(self, gitea, name, directory):
        self.gitea, self.name = gitea, name
        self.path = f"/repos/{OWNER}/{name}"
        self.url = f"{gitea.url}/{OWNER}/{name}.git"
        self.work = directory / "work" / name
        gitea.api("POST", "/user/repos", {"name": name, "private": True, "default_branch": "main"})
        gitea.api("PUT", f"{self.path}/collaborators/{ROBOT}", {"permission": "write"})
        self.work.mkdir(parents=True)
        git(self.work, "init", "-q", "-b", "main")

    def add_hook(self, url, secret, content_type="json"):
        self.gitea.api("POST", f"{self.path}/hooks",
                       {"type": "gitea", "active": True, "events": ["push"],
                        "config": {"url": url, "content_type": content_type, "secret": secret}})

    def push(self, files, message="Change the report"):
        """Commits and pushes with the owner's login; gives the commit."""
        for path, content in files.items():
            (self.work / path).write_text(content)
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "-m", message)
        helper = f"!f() {{ echo username={OWNER}; echo password=$PUSH_PASSWORD; }}; f"
        environment = {**ENVIRONMENT, "GIT_SSL_CAINFO": str(self.gitea.authority),
                       "PUSH_PASSWORD": self.gitea.password}
        done = subprocess.run(["git", "-c", f"credential.helper={helper}", "push", "-q", self.url,
                               "HEAD:refs/heads/main"], cwd=self.work, text=True, capture_output=True, env=environment)
        assert done.returncode == 0, done.stderr
        return git(self.work, "rev-parse", "HEAD")

    def statuses(self, commit):
        """All that it was told of a commit, oldest first."""
        query = urllib.parse.urlencode({"sort": "oldest", "limit": 50})
        return self.gitea.api("GET", f"{self.path}/statuses/{commit}?{query}")
