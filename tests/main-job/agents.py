"""The built program: as a daemon with settings and a state directory of its own, and as a command."""

import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import urllib.parse

import forges
from waiting import eventually

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("CRONWRIGHT", str(TOP / "out/test/agent/cronwright"))
HELPER = os.environ.get("CRONWRIGHT_GIT", str(TOP / "out/test/build/cronwright-git"))
AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
REPORT = re.compile(r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:)")

FORGE_SECRETS = {  # file → text
    "github": "It's a Secret to Everybody", "github-next": "and this is the next one",
    "gitlab-token": "glpat of the hook", "gitlab-token-next": "the token after it",
    "gitlab-signing": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "gitlab-signing-next": "whsec_" + "c2Vjb25kLXNpZ25pbmcta2V5LW9mLTMyLWJ5dGVzISE=",
    "gitea": "Gitea's and Forgejo's", "bitbucket": "Bitbucket's"}
TOKENS = {"admin": "admin-0123456789abcdef", "runner": "runner-0123456789abcdef",
          "viewer": "viewer-0123456789abcdef", "stranger": "stranger-0123456789abcdef"}


def push_of(repository, commit, branch="main", **more):
    """GitHub's delivery of a push to `branch`, signed; `more` is forges.github()'s."""
    return forges.github(forges.github_push(repository.url, commit, ref=f"refs/heads/{branch}"),
                         FORGE_SECRETS["github"], **more)


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


def ask(address, method, path, headers=(), body=None, timeout=60):
    """One request, headers as given and nothing added but Host and Content-Length."""
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def merged(base, changes):
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


class Agent:
    """`place` says namespaces and kubeconfig; `changes` go into the settings, nested as those are."""

    def __init__(self, place, directory, **changes):
        self.place, self.directory = place, directory
        self.process = None
        self.variables, self.descriptors = {}, ()  # more of its environment; open files it inherits
        self.log = directory / "agent.log"
        self.log.touch()
        for name, text in {**FORGE_SECRETS, **TOKENS}.items():
            self.secret_file(name).write_text(text + "\n")
        self.config = merged(self.default_config(), changes)
        self.webhooks = self.admin = self.metrics = None

    def secret_file(self, name):
        return self.directory / f"{name}.secret"

    def default_config(self):
        file, place = self.secret_file, self.place
        token = lambda name, role, namespaces: {"name": name, "tokenFile": str(file(name)), "role": role,
                                                "namespaces": namespaces}
        return {
            "stateDirectory": str(self.directory / "state"),
            "webhooks": {"listen": "127.0.0.1:0",
                         "github": {"secretFiles": [str(file("github")), str(file("github-next"))]},
                         "gitlab": {"tokenFiles": [str(file("gitlab-token")), str(file("gitlab-token-next"))],
                                    "signingTokenFiles": [str(file("gitlab-signing")),
                                                          str(file("gitlab-signing-next"))]},
                         "gitea": {"secretFiles": [str(file("gitea"))]},
                         "bitbucket": {"secretFiles": [str(file("bitbucket"))]}},
            "admin": {"listen": "127.0.0.1:0",
                      "tokens": [token("admin", "admin", ["*"]),
                                 token("runner", "runner", [place.namespace]),
                                 token("viewer", "viewer", [place.namespace]),
                                 token("stranger", "runner", ["somewhere-else"])]},
            "metrics": {"listen": "127.0.0.1:0"},
            "log": {"level": "debug"},
            "kubernetes": {"kubeconfig": str(place.kubeconfig), "namespaces": [place.namespace]},
            "git": {"helper": HELPER, "timeout": "60s",
                    "credentials": [{"url": place.private_git_url,
                                     "username": os.environ["GIT_USERNAME"],
                                     "passwordFile": os.environ["GIT_PASSWORD_FILE"]}]},
            "registries": [{"host": place.cluster.registry, "plainHttp": True}],
            "builds": {"namespace": place.builds_namespace, "kanikoImage": place.cluster.kaniko_image,
                       "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}}, "timeout": "2m"},
            "allow": [{"namespaces": [place.namespace], "images": [place.images],
                       "repositories": [place.git_url, place.private_git_url, place.locked_git_url]}],
        }

    # --- life ---

    def program(self):
        return [PROGRAM]

    def start(self, until_ready=True):
        assert self.process is None
        path = self.directory / "cronwright.yaml"
        path.write_text(json.dumps(self.config, indent=1))  # JSON is YAML
        already = self.log.stat().st_size
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*self.program(), "agent", "--config", str(path)], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, pass_fds=self.descriptors,
                                            env={**os.environ, **SANITIZERS, **self.variables})
        at = eventually(lambda: self.listening(already), "the agent listens")
        self.metrics, self.webhooks, self.admin = at.get("metrics"), at["webhooks"], at["admin"]
        # The same addresses after a restart.
        self.config["webhooks"]["listen"], self.config["admin"]["listen"] = self.webhooks, self.admin
        if until_ready:
            self.await_ready()
        return self

    def listening(self, offset):
        assert self.process.poll() is None, self.log_text(offset)
        line = re.search(r"^.*\blistening\b.*\badmin\b.*$", self.log_text(offset), re.MULTILINE)
        return line and dict(re.findall(r'\b(metrics|webhooks|admin)(?:=|": *")([^\s"]+)', line.group()))

    def log_text(self, offset=0):
        return self.log.read_bytes()[offset:].decode(errors="replace")

    def is_ready(self):
        return ask(self.admin, "GET", "/readyz").status == 200

    def await_ready(self, seconds=30):
        eventually(self.is_ready, "the agent is ready", seconds)

    def check_log(self):
        report = REPORT.search(self.log_text())
        assert not report, self.log_text()[report.start() - 200:report.start() + 4000]

    def stop(self):
        """As systemd does: SIGTERM, and it ends well."""
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        self.check_log()
        assert status == 0, self.log_text()[-2000:]

    def kill(self):
        process, self.process = self.process, None
        process.kill()
        process.wait()

    def restart(self):
        self.stop()
        return self.start()

    def finish(self):
        if self.process:
            self.stop()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.finish()

    # --- the admin API ---

    def api(self, method, path, body=None, token="admin", headers=()):
        headers = list(headers)
        if token:
            headers.append(("Authorization", f"Bearer {TOKENS.get(token, token)}"))
        content = None
        if body is not None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers.append(("Content-Type", "application/json"))
        return ask(self.admin, method, path, headers, content)

    def api_in_turn(self, *what, **more):
        """As api(), again while another request is at work on the same service for seconds."""
        def answered():
            answer = self.api(*what, **more)
            return None if answer.status == 409 and "another request" in answer.json["detail"] else answer
        return eventually(answered, "its turn comes")

    def get(self, path, token="admin"):
        answer = self.api("GET", path, token=token)
        assert answer.status == 200, answer
        assert answer.headers["Content-Type"] == "application/json"
        return answer.json

    def deliveries(self, **query):
        return self.get("/v1/deliveries?" + urllib.parse.urlencode({"limit": 200, **query}))

    def builds_of(self, repository):
        """Newest first."""
        identity = urllib.parse.quote(repository.url.split("//")[1].removesuffix(".git"), safe="")
        return self.get(f"/v1/builds?repository={identity}&limit=200")["builds"]

    # --- webhooks ---

    def deliver(self, delivery):
        return ask(self.webhooks, "POST", delivery.path, delivery.headers, delivery.body)

    def accept(self, delivery, reason="accepted"):
        answer = self.deliver(delivery)
        assert answer.status == 202, answer
        assert answer.headers["Content-Type"] == "application/json"
        assert (answer.json["delivery"], answer.json["reason"]) == (delivery.id, reason)
        return delivery

    def outcome(self, delivery, seconds=90):
        """What became of it, once that is final."""
        def final():
            found = self.get(f"/v1/deliveries/{delivery.id}")
            return found if not found["pending"] else None
        return eventually(final, f"delivery {delivery.id} is final", seconds)

    def outcome_of(self, delivery, reason, seconds=90):
        found = self.outcome(delivery, seconds)
        assert found["reason"] == reason, found
        return found

    def build_reaches(self, repository, commit, *states, seconds=90):
        """The newest build of the commit, as soon as it is in one of these states."""
        def there():
            of_commit = [build for build in self.builds_of(repository) if build["commit"] == commit]
            return of_commit[0] if of_commit and of_commit[0]["state"] in states else None
        return eventually(there, f"a build of {commit} is {' or '.join(states)}", seconds)

    # --- the command line ---

    def command(self, *words, url=None, token="admin", variables=None, **streams):
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "NO_COLOR": "1",
                       "CRONWRIGHT_URL": url or f"http://{self.admin}",
                       "CRONWRIGHT_TOKEN_FILE": str(self.secret_file(token)), **SANITIZERS, **(variables or {})}
        return subprocess.Popen([PROGRAM, *words], env=environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, **streams)

    def cli(self, *words, status=0, timeout=120, **more):
        """(standard output, standard error) of a command that ends with `status`."""
        process = self.command(*words, **more)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"{words} did not end: {out!r} {err!r}") from None
        assert not REPORT.search(err.decode()), err.decode()
        assert process.returncode == status, (process.returncode, out, err)
        return out.decode(), err.decode()

    def cli_json(self, *words, **more):
        return json.loads(self.cli(*words, "-o", "json", **more)[0])


class Metrics:
    """One reading: series as written → value."""

    def __init__(self, agent):
        answer = ask(agent.metrics, "GET", "/metrics")
        assert answer.status == 200, answer
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        self.text = answer.text
        self.values = {name: float(value) for name, value in re.findall(r"^([^#\s]\S*) (\S+)$", self.text, re.MULTILINE)}

    def told(self, series):
        """That must be there."""
        return self.values[f"cronwright_{series}"]

    def __getitem__(self, series):
        return self.values.get(f"cronwright_{series}", 0)

    def sum(self, start):
        return sum(value for name, value in self.values.items() if name.startswith(f"cronwright_{start}"))
