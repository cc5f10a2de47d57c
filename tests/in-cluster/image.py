"""The agent's image, made by its recipe: a base image of the machine's own Debian, and Kaniko in the cluster.

Debian's archive is reached from pods through a caching proxy on this machine, so that the recipe's
apt-get works there as it does elsewhere. What was fetched and the base are kept once per machine.
"""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import socket
import subprocess
import time

from agents import AS_ROOT, TOP
from repositories import git
from waiting import eventually

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "cronwright"
RECIPE = "deploy/image/Dockerfile"
PARTS = ["CMakeLists.txt", ".dockerignore", "agent", "webhooks", "build", "deploy", "systemd",
         ":!deploy/manifests"]
BUILDER = {  # as builds are: root inside, no more rights than making files needs
    "allowPrivilegeEscalation": False, "seccompProfile": {"type": "RuntimeDefault"},
    "capabilities": {"drop": ["ALL"], "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETUID", "SETGID",
                                              "SETFCAP", "KILL"]}}
# As Debian's own slim images: no documents, no translations.
SLIM = [f"--dpkgopt=path-exclude=/usr/share/{kind}/*" for kind in ("doc", "man", "locale", "info")]


def files():
    """What goes into the image, as it stands in the work tree."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *PARTS],
                            cwd=TOP, check=True, capture_output=True, text=True).stdout
    return [name for name in listed.split("\0") if name and (TOP / name).exists()]


def release():
    fields = dict(line.split("=", 1) for line in pathlib.Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return fields["VERSION_CODENAME"].strip('"')


def free_port(address):
    """apt-cacher-ng takes none above 32767, so the kernel cannot choose."""
    for port in range(25080, 25180):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((address, port))
            return port
    raise AssertionError(f"no port of {address} is free")


class Recipe:
    """`say` tells how far it is."""

    def __init__(self, cluster, directory, say):
        self.cluster, self.directory, self.say = cluster, directory, say
        self.base = f"{cluster.registry}/debian:{release()}"

    def tag(self):
        """Changes with what goes in: an image that is there already is not built again."""
        content = hashlib.sha256()
        for name in files():
            content.update(f"{name}\0{(TOP / name).stat().st_mode}\0".encode() + (TOP / name).read_bytes() + b"\0")
        return content.hexdigest()[:12]

    def image(self):
        """host:port/name:tag@digest, built unless it is there."""
        name = f"{self.cluster.registry}/cronwright:{self.tag()}"
        digest = self.digest_of(name)
        if not digest:
            with self.archive() as proxy:
                self.push_base(proxy)
                digest = self.build(name, self.push_tree(), proxy)
        return f"{name}@{digest}"

    def digest_of(self, name):
        path = name.removeprefix(self.cluster.registry + "/").replace(":", "/manifests/")
        asked = subprocess.run(["curl", "-sfI", "-H", "Accept: application/vnd.oci.image.manifest.v1+json",
                                "-H", "Accept: application/vnd.docker.distribution.manifest.v2+json",
                                f"http://{self.cluster.registry}/v2/{path}"], capture_output=True, text=True)
        headers = dict(line.lower().split(": ", 1) for line in asked.stdout.splitlines() if ": " in line)
        return headers.get("docker-content-digest")

    @contextlib.contextmanager
    def archive(self):
        """The caching proxy, while it is needed; one at a time on the machine."""
        kept = CACHE / "debian"
        kept.mkdir(parents=True, exist_ok=True)
        address = self.cluster.host_address
        with open(kept / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            port = free_port(address)
            log = (self.directory / "archive.log").open("wb")
            process = subprocess.Popen(
                ["/usr/sbin/apt-cacher-ng", "ForeGround=1", f"BindAddress={address}", f"Port={port}",
                 f"CacheDir={kept / 'archive'}", f"LogDir={kept / 'log'}", "PidFile=", "ReportPage=",
                 f"SocketPath={self.directory / 'archive.socket'}"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            try:
                def answers():
                    assert process.poll() is None, (self.directory / "archive.log").read_text()
                    with contextlib.suppress(OSError), socket.create_connection((address, port), 1):
                        return True
                eventually(answers, "the proxy to Debian's archive answers")
                yield f"http://{address}:{port}"
            finally:
                process.terminate()
                process.wait(30)

    def push_base(self, proxy):
        """Debian with nothing but apt; its archive is that of the machine's mmdebstrap."""
        layer = CACHE / "debian" / f"{release()}.tar"
        if not layer.exists():
            self.say(f"making a base image of Debian {release()}, once for this machine")
            unfinished = layer.with_suffix(".new.tar")
            subprocess.run([*AS_ROOT, "mmdebstrap", "--quiet", "--variant=minbase", "--aptopt=Acquire::Languages none",
                            f'--aptopt=Acquire::http::Proxy "{proxy}"', *SLIM,
                            # Only for making it: in the cluster the proxy is the build's matter.
                            "--customize-hook=rm -f $1/etc/apt/apt.conf.d/99mmdebstrap",
                            release(), str(unfinished)], check=True)
            unfinished.rename(layer)
        subprocess.run([TOP / "tests/cluster/push-image", self.base, "--uncompressed", "--env",
                        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "--cmd", "bash",
                        "--layer", str(layer)], check=True, capture_output=True)

    def push_tree(self):
        """The work tree as a repository on the Git server; gives its address for Kaniko."""
        served = pathlib.Path(os.environ["GIT_ROOT"]) / "in-cluster" / "cronwright.git"
        work = self.directory / "tree"
        for name in files():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, work / name)
        git(work, "init", "-q", "-b", "main")
        git(work, "add", "-A")
        git(work, "commit", "-q", "-m", "The tree as it stands")
        shutil.rmtree(served, ignore_errors=True)
        served.mkdir(parents=True)
        git(served, "init", "-q", "--bare", "-b", "main")
        git(work, "push", "-q", str(served), "main")
        return os.environ["GIT_URL"].replace("http://", "git://") + "/in-cluster/cronwright.git#refs/heads/main"

    def job(self, name, context, proxy):
        container = {
            "name": "kaniko", "image": self.cluster.kaniko_image, "securityContext": BUILDER,
            "args": [f"--context={context}", f"--dockerfile={RECIPE}", f"--destination={name}",
                     f"--build-arg=BASE={self.base}", f"--build-arg=http_proxy={proxy}", "--insecure",
                     "--insecure-pull", "--force", "--snapshot-mode=redo", "--log-format=text", "--compression=zstd",
                     "--digest-file=/dev/termination-log"],
            # The test's Git server speaks HTTP.
            "env": [{"name": "GIT_PULL_METHOD", "value": "http"}]}
        return {"metadata": {"generateName": "agent-image-"},
                "spec": {"backoffLimit": 0, "activeDeadlineSeconds": 1800, "ttlSecondsAfterFinished": 600,
                         "template": {"spec": {"restartPolicy": "Never", "automountServiceAccountToken": False,
                                               "containers": [container]}}}}

    def build(self, name, context, proxy):
        """Builds and pushes; gives the digest."""
        begin = time.monotonic()
        job = self.cluster.create("jobs", "default", self.job(name, context, proxy))["metadata"]["name"]
        pod = eventually(lambda: self.cluster.list("pods", "default", f"batch.kubernetes.io/job-name={job}"),
                         "the build has a pod")[0]["metadata"]["name"]
        status = lambda: self.cluster.get("pods", "default", pod)["status"]
        eventually(lambda: status()["phase"] != "Pending", "the build's pod runs", 120)
        lines = []
        with subprocess.Popen([self.cluster.kubectl_program, "logs", "-n", "default", "-f", pod], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as log:
            for line in log.stdout:
                lines.append(line)
                if any(word in line for word in ("msg=\"RUN", "msg=\"COPY", "msg=\"Pushing", "Taking snapshot")):
                    text = line.split('msg="', 1)[-1].strip().strip('"')[:90]
                    self.say(f"{time.monotonic() - begin:6.0f}s  {text}")
        ended = eventually(lambda: status()["containerStatuses"][0]["state"].get("terminated"), "the build has ended")
        assert ended["exitCode"] == 0, "".join(lines[-40:])
        self.say(f"{time.monotonic() - begin:6.0f}s  {name}")
        return ended["message"].strip()
