"""Long life: requests of every kind and builds without end, while little is kept. Memory, descriptors, threads and the
state directory grow until retention sets in, and then no more."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import statistics
import subprocess


import forges
from agents import FORGE_SECRETS, TOKENS, TOP, Agent, Metrics, merged, push_of
from quick_builds import QuickBuilds
from waiting import eventually
from watched import Other, build

TRAFFIC = TOP / "out/test/tests/traffic"
PLACEHOLDER = "@@@@@@@@-@@@@-@@@@-@@@@-@@@@@@@@@@@@"
ROUNDS = 16
REPOSITORIES = 8
CONNECTIONS, ADMIN_CONNECTIONS = 32, 4
ADMIN_SHARE = 20  # one request in so many is asked of the admin listener
PATIENCE = 300
KEPT = {"deliveries": 500, "builds": 20, "images": 3, "runs": 2}
# What may be more in the last quarter of the rounds than in the one before: a share, and an amount that is noise.
BOUNDS = {"heap": (0.02, 256 << 10), "resident": (0.03, 2 << 20), "descriptors": (0, 8), "threads": (0, 4),
          "disk": (0.05, 256 << 10), "wal": (0, 4 << 20), "files": (0.05, 16)}
SANITIZED = {"resident": (0.05, 24 << 20)}  # its allocator gives nothing back


# --- what is asked ---

def signed(url, commit):
    """Each forge's push, as it is sent."""
    secret, token, key = (FORGE_SECRETS[name] for name in ("github", "gitlab-token", "gitlab-signing"))
    return [forges.github(forges.github_push(url, commit), secret, delivery_id=PLACEHOLDER),
            forges.github(forges.github_push(url, commit), secret, form=True, delivery_id=PLACEHOLDER),
            forges.github(forges.github_ping(url), secret, event="ping", delivery_id=PLACEHOLDER),
            forges.gitlab(forges.gitlab_push(url, commit), token=token, delivery_id=PLACEHOLDER),
            forges.gitlab(forges.gitlab_push(url, commit), signing_token=key),  # the same again and again
            forges.gitea(forges.github_push(url, commit), FORGE_SECRETS["gitea"], delivery_id=PLACEHOLDER),
            forges.gitea(forges.github_push(url, commit), FORGE_SECRETS["gitea"], name="Forgejo", delivery_id=PLACEHOLDER),
            forges.bitbucket(forges.bitbucket_cloud_push(url, ("main", commit), ("side", commit)),
                             FORGE_SECRETS["bitbucket"], delivery_id=PLACEHOLDER)]


def refused(url, commit):
    wrong = [forges.github(forges.github_push(url, commit), "wrong", delivery_id=PLACEHOLDER),
             forges.gitlab(forges.gitlab_push(url, commit), token="wrong", delivery_id=PLACEHOLDER),
             forges.gitea(forges.github_push(url, commit), "wrong", delivery_id=PLACEHOLDER),
             forges.bitbucket(forges.bitbucket_cloud_push(url, ("main", commit)), "wrong", delivery_id=PLACEHOLDER)]
    malformed = [forges.github(body, FORGE_SECRETS["github"], delivery_id=PLACEHOLDER)
                 for body in (b"{", b"[]", b'{"ref": 1}', b'{"ref": "' + b"x" * 20000, b"[" * 5000)]
    return wrong + malformed


def broken(good):
    """Bytes that are no good request, and what becomes of a good one on a bad line."""
    text = good.request().decode()
    yield from ({"send": bad} for bad in (
        "GARBAGE\r\n\r\n", "GET /webhooks/github HTTP/1.1\r\nHost: x\r\n\r\n", "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n",
        "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        f"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nX-Long: {'y' * 60000}\r\n\r\n"))
    yield {"send": good.head("Transfer-Encoding: chunked").decode() + f"{len(good.body):x}\r\n{good.body.decode()}\r\n0\r\n\r\n"}
    yield {"send": text, "end": "pause"}
    for share in (0.1, 0.5, 0.9, 1):
        yield {"send": text[:int(len(text) * share)], "end": "close"}


def webhook_requests(url, followed, commit):
    plain = [{"send": delivery.request().decode()} for delivery in signed(url, commit)]
    mixed = plain * 3 + [{"send": delivery.request().decode()} for delivery in refused(url, commit)]
    mixed += broken(forges.github(forges.github_push(url, commit), FORGE_SECRETS["github"], delivery_id=PLACEHOLDER))
    mixed += [{"send": delivery.request().decode()} for delivery in signed(followed, commit)]
    return mixed


def admin_requests(service):
    paths = ("/v1/services", service.path, f"{service.path}/runs", "/v1/deliveries?limit=50", "/v1/builds?limit=20", "/metrics",
             "/healthz", "/readyz", "/openapi.json", "/", "/v1/nothing", "/v1/deliveries?limit=x",
             "/v1/schedule?expression=0+3+*+*+1-5&timeZone=Europe/Berlin")
    head = f"HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKENS['admin']}\r\n\r\n"
    return [{"send": f"GET {path} {head}"} for path in paths]


class Traffic:
    """Sends a set of requests, on and on."""

    def __init__(self, address, connections, file, requests):
        self.port, self.connections, self.file = address.rsplit(":", 1)[1], connections, file
        file.write_text(json.dumps(requests))

    def send(self, count):
        done = subprocess.run([str(TRAFFIC), self.port, str(self.connections), str(count), str(self.file)], text=True,
                              capture_output=True)
        assert done.returncode == 0, done.stderr
        answered = json.loads(done.stdout)
        answered.pop("seconds")
        return answered


# --- what it costs ---

def sizes(directory):
    """Of what retention is about: mirrors are as large as what they mirror, and the write-ahead log as its busiest moment."""
    found = {path: path.stat().st_blocks * 512 for path in directory.rglob("*")
             if "mirrors" not in path.parts and path.is_file()}
    wal = found.pop(directory / "cronwright.db-wal", 0)
    return {"disk": sum(found.values()), "wal": wal, "files": len(found)}


def sample(agent):
    process = pathlib.Path(f"/proc/{agent.process.pid}")
    status = (process / "status").read_text()
    number = lambda name: int(re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE).group(1))
    return {**eventually(lambda: try_sizes(agent), "the state directory can be measured"),
            "heap": Metrics(agent).told("heap_bytes"), "resident": number("VmRSS") << 10, "threads": number("Threads"),
            "descriptors": descriptors(process)}


def descriptors(process):
    """Without build logs that are being followed: no kubelet ever gives those of quick builds, so that each is asked for
    until it is given up after its minute, or trimmed."""
    open_files = []
    for number in os.listdir(process / "fd"):
        with contextlib.suppress(FileNotFoundError):
            open_files.append(os.readlink(process / "fd" / number))
    return sum("/logs/builds/" not in name for name in open_files)


def try_sizes(agent):
    try:
        return sizes(pathlib.Path(agent.config["stateDirectory"]))
    except FileNotFoundError:  # it went meanwhile
        return None


def at_rest(agent):
    """Nothing is pending, nobody is asked for a head, and what is kept is no more than may be."""
    metrics = Metrics(agent)
    return (metrics.told("deliveries_pending") == 0 and
            all(metrics.told(f'git_children{{state="{state}"}}') == 0 for state in ("running", "waiting")) and
            len(agent.get("/v1/builds?limit=200")["builds"]) <= KEPT["builds"] + REPOSITORIES)


def check_flat(samples, bounds):
    """The last quarter beside the one before."""
    quarter = len(samples) // 4
    before, after = samples[-2 * quarter:-quarter], samples[-quarter:]
    grown = {}
    for what, (share, noise) in bounds.items():
        was, now = (statistics.median(each[what] for each in part) for part in (before, after))
        if now > was * (1 + share) + noise:
            grown[what] = (was, now)
    assert not grown, (grown, samples)


# --- the test ---

class Pusher:
    """Pushes to one repository, each time waiting until that is deployed."""

    def __init__(self, agent, place):
        self.agent, self.repository = agent, place.repository("soak")
        self.service = place.service("soak", repository=self.repository).seen_by(agent)
        self.number = 0

    def push(self, times):
        for _ in range(times):
            self.number += 1
            commit = self.repository.push({"Dockerfile": "FROM scratch\n", "text": str(self.number)})
            delivery = push_of(self.repository, commit)
            self.agent.accept(delivery)
            eventually(lambda: self.service.annotation("commit") == commit, f"{commit} is deployed", PATIENCE)


def soak(agent, place, directory, requests, pushes):
    pushers = [Pusher(agent, place) for _ in range(REPOSITORIES)]
    url, followed = f"{place.git_url}/nobody-follows-it.git", pushers[0].repository.url
    webhooks = Traffic(agent.webhooks, CONNECTIONS, directory / "webhooks.json", webhook_requests(url, followed, "c" * 40))
    admin = Traffic(agent.admin, ADMIN_CONNECTIONS, directory / "admin.json", admin_requests(pushers[0].service))
    samples, answered = [], {}
    with concurrent.futures.ThreadPoolExecutor(REPOSITORIES + 2) as pool:
        for _ in range(ROUNDS):
            asked = [pool.submit(webhooks.send, requests // ROUNDS), pool.submit(admin.send, requests // ROUNDS // ADMIN_SHARE)]
            pushed = [pool.submit(pusher.push, -(-pushes // ROUNDS // REPOSITORIES)) for pusher in pushers]
            for answers in asked:
                for status, count in answers.result().items():
                    answered[status] = answered.get(status, 0) + count
            for push in pushed:
                push.result()
            eventually(lambda: at_rest(agent), "it is at rest", PATIENCE)
            samples.append(sample(agent))
    return samples, answered, sum(pusher.number for pusher in pushers)


def test_nothing_grows_for_ever(cluster, new_place, full):
    requests, pushes = (1_050_000, 3_072) if full else (50_000, 128)
    place = new_place("soak")
    bounds = BOUNDS if full else {**BOUNDS, **SANITIZED}
    with QuickBuilds(cluster) as quick:
        changes = merged(quick.settings(), {
            "builds": {"ttl": "10s", "maxConcurrent": REPOSITORIES}, "retention": KEPT, "sweep": {"interval": "2s"},
            "log": {"level": "info"},
            "webhooks": {"maxConnectionsPerAddress": 128, "maxBody": "128KiB", "requestTimeout": "5s"}})
        agent = (Other(build("release", "-DCRONWRIGHT_TESTS=OFF"), place, place.directory, **changes) if full
                 else Agent(place, place.directory, **changes))
        agent.variables = {"ASAN_OPTIONS": "quarantine_size_mb=1:abort_on_error=0"}  # or what is freed counts
        with agent:
            samples, answered, pushed = soak(agent, place, place.directory, requests, pushes)
    print(json.dumps(samples))
    print(json.dumps({"first": samples[0], "last": samples[-1], "answered": answered, "pushed": pushed}))
    assert pushed >= pushes
    assert {"200", "202", "400", "401", "413", "404"} <= set(answered), answered
    check_flat(samples, bounds)
