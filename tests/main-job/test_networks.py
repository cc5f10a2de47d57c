"""Networks as companies have them: logins and keys, private authorities, proxies, redirects."""

import base64
import copy
import json
import types
import urllib.parse

import pytest

import forges
import servers
from agents import FORGE_SECRETS, Agent
from places import report
from waiting import eventually

PASSWORD, TOKEN, PASSPHRASE = "pass of ana: 9f2c", "glpat-5d3e9a71c0", "phrase of a key 77"
PROXY_PASSWORD, REGISTRY_PASSWORD = "pr0xy-c41b", "regi5try-e02d"
WRONG = "not-what-they-know-b8"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(scope="module")
def authority(directory):
    return servers.Authority(directory, "house")


@pytest.fixture(scope="module")
def stranger(directory):
    """An authority that nobody knows."""
    return servers.Authority(directory, "stranger")


@pytest.fixture(scope="module")
def neighbour(directory, cluster, authority):
    """Another Git server of the same host."""
    with servers.GitServer(directory / "neighbour", cluster.host_address, authority, {"ana": PASSWORD}) as server:
        yield server


@pytest.fixture(scope="module")
def git_server(directory, cluster, authority, neighbour):
    users = {"ana": PASSWORD, "oauth2": TOKEN}  # a token comes with this name, as the forges take it
    with servers.GitServer(directory / "git", cluster.host_address, authority, users, neighbour.address) as server:
        yield server


@pytest.fixture(scope="module")
def ssh_server(directory, cluster):
    with servers.SshServer(directory / "ssh", cluster.host_address) as server:
        yield server


@pytest.fixture(scope="module")
def registry(directory, cluster, authority):
    with servers.TlsRegistry(directory / "registry", cluster.host_address, authority, "builder",
                             REGISTRY_PASSWORD) as server:
        yield server


def docker_config(*logins):
    """Of (registry's address, user, password)."""
    encoded = lambda user, password: base64.b64encode(f"{user}:{password}".encode()).decode()
    return json.dumps({"auths": {address: {"auth": encoded(user, password)} for address, user, password in logins}})


@pytest.fixture(scope="module")
def login_secret(cluster):
    """Makes Secrets with registries' logins, which are taken away in the end."""
    made = []

    def make(namespace, name, config):
        cluster.create("secrets", namespace, {"metadata": {"name": name}, "type": "kubernetes.io/dockerconfigjson",
                                              "stringData": {".dockerconfigjson": config}})
        made.append((namespace, name))
        return name
    yield make
    for namespace, name in made:
        cluster.delete("secrets", namespace, name)


def served(repository, url):
    """The same repository, as it is reached at another URL."""
    other = copy.copy(repository)
    other.url = url
    return other


def push_of(url, commit):
    return forges.github(forges.github_push(url, commit), FORGE_SECRETS["github"])


def check_secrets(agent, *texts):
    """No secret is in what the agent wrote or was seen to say."""
    seen = agent.log_text() + "".join(texts)
    for path in agent.directory.glob("*.key"):
        texts = path.read_text().splitlines()[1:-1]
        assert not [line for line in texts if line in seen], path
    for secret in (PASSWORD, TOKEN, PASSPHRASE, PROXY_PASSWORD, REGISTRY_PASSWORD, WRONG):
        assert secret not in seen
        assert base64.b64encode(secret.encode()).decode() not in seen


def refuse(agent, url, reason, *says):
    """A push to a repository that cannot be fetched ends so, and says why wherever one looks."""
    found = agent.outcome_of(agent.accept(push_of(url, "1" * 40)), reason)
    assert found["builds"] == []
    table = agent.cli("deliveries")[0]
    for text in says:
        assert text in found["detail"], found["detail"]
    check_secrets(agent, json.dumps(found), table, json.dumps(agent.get("/v1/deliveries?limit=200")))
    return found


class Remotes:
    """One repository for each way of reaching it, and the settings of all these ways."""

    def __init__(self, place, directory, git_server, ssh_server, authority, stranger):
        self.place, self.directory = place, directory
        self.git_server, self.ssh_server = git_server, ssh_server
        self.repositories, self.credentials = {}, []
        file = self.file
        key = self.key("admitted", admit=True)
        locked = self.key("locked", PASSPHRASE, admit=True)
        known = str(ssh_server.known_hosts(directory / "known_hosts"))
        password = {"username": "ana", "passwordFile": file("ana", PASSWORD)}
        self.web("password", **password)
        self.web("token", tokenFile=file("token", TOKEN))
        self.web("wrong", username="ana", passwordFile=file("wrong", WRONG))
        self.web("untrusted", **password, caFile=str(stranger.certificate))
        self.web("moved", "/moved", **password)
        self.web("elsewhere", "/elsewhere", **password)
        self.web("port", "/port", **password)
        self.ssh("key", sshKeyFile=key, knownHostsFile=known)
        self.ssh("locked", sshKeyFile=locked, knownHostsFile=known,
                 sshPassphraseFile=file("passphrase", PASSPHRASE))
        self.ssh("passphrase", sshKeyFile=locked, knownHostsFile=known, sshPassphraseFile=file("wrong", WRONG))
        self.ssh("refused", sshKeyFile=self.key("refused"), knownHostsFile=known)
        self.ssh("unknown", sshKeyFile=key, knownHostsFile=file("nobody", "other.example ssh-ed25519 " + "A" * 68))
        self.ssh("keyless")
        self.settings = {"caFile": str(authority.certificate), "credentials": self.credentials}

    def __getitem__(self, word):
        return self.repositories[word]

    def file(self, name, text):
        path = self.directory / f"{name}.text"
        path.write_text(text + "\n")
        return str(path)

    def key(self, name, passphrase="", admit=False):
        made = self.ssh_server.new_key(name, passphrase)
        if admit:
            self.ssh_server.admit(made)
        copied = self.place.directory / f"{name}.key"
        copied.write_text(made.read_text())
        return str(copied)

    def add(self, word, url, **credential):
        self.repositories[word] = served(self.plain, url)
        if credential:
            self.credentials.append({"url": url, **credential})

    def web(self, word, below="", **credential):
        self.plain = self.place.repository(word, {"README": "nothing to build\n"})
        self.add(word, self.git_server.url_of(self.plain, below), **credential)

    def ssh(self, word, **credential):
        self.plain = self.place.repository(word, {"README": "nothing to build\n"})
        self.add(word, self.ssh_server.url_of(self.plain), **credential)

    def push(self, word, files):
        """The commit; pushed to where no login is needed."""
        repository = self[word]
        return served(repository, str(repository.bare)).push(files)


@pytest.fixture(scope="module")
def place(new_place):
    return new_place("networks")


@pytest.fixture(scope="module")
def remotes(place, directory, git_server, ssh_server, authority, stranger):
    return Remotes(place, directory, git_server, ssh_server, authority, stranger)


@pytest.fixture(scope="module")
def agent(place, remotes, registry, authority, login_secret, open_proxy):
    """One that knows all these ways, and a registry with TLS and a login."""
    auth = place.directory / "auth.json"
    auth.write_text(docker_config((registry.address, "builder", REGISTRY_PASSWORD)))
    push = login_secret(place.builds_namespace, f"{place.namespace}-push", auth.read_text())
    images = f"{registry.address}/{place.namespace}"
    with Agent(place, place.directory, git=remotes.settings, builds={"pushSecret": push},
               registries=[{"host": place.cluster.registry, "plainHttp": True},
                           {"host": registry.address, "caFile": str(authority.certificate), "authFile": str(auth),
                            "proxy": open_proxy.url}],
               allow=[{"namespaces": [place.namespace], "repositories": ["*"], "images": [place.images, images]}]
               ) as agent:
        yield agent


# --- the main job over all that ---

def test_private_repository_and_private_registry(agent, place, remotes, registry, login_secret, open_proxy):
    """A push is built, pushed, patched, and pulled for a forced run, with TLS and a login at each step; the agent
    asks the registry through a proxy."""
    pull = login_secret(place.namespace, "pull", docker_config((registry.address, "builder", REGISTRY_PASSWORD)))
    destination = f"{registry.address}/{place.namespace}/private"
    service = place.service("private", repository=remotes["password"], destination=destination,
                            template={"imagePullSecrets": [{"name": pull}]}).seen_by(agent)
    commit = remotes.push("password", report(place.cluster, "read in private"))
    found = agent.outcome_of(agent.accept(push_of(remotes["password"].url, commit)), "deployed", 150)
    assert service.image().startswith(f"{destination}:")
    eventually(lambda: remotes.git_server.requests("ana "), "the Git server has written down its requests")
    assert open_proxy.passed(registry.address)
    run = service.force(agent).json["name"]
    assert service.ended(agent, run, 120)["state"] == "succeeded"
    assert "read in private" in agent.api("GET", f"{service.path}/runs/{run}/logs").text
    check_secrets(agent, json.dumps(found), agent.api("GET", f"/v1/builds/{found['build']}/logs").text,
                  *agent.cli("builds"))


def test_ssh_key_and_the_forge_s_https_url(agent, place, remotes):
    """The forge speaks of the repository's HTTPS URL, the service fetches by SSH: they are one."""
    service = place.service("ssh", repository=remotes["key"]).seen_by(agent)
    commit = remotes.push("key", report(place.cluster, "read by SSH"))
    path = urllib.parse.urlsplit(remotes["key"].url).path
    agent.outcome_of(agent.accept(push_of(f"https://{place.cluster.host_address}{path}", commit)), "deployed", 150)
    assert service.annotation("commit") == commit
    check_secrets(agent)


# --- fetched: there is nothing to build, and it takes the commit's tree to know that ---

@pytest.mark.parametrize("way", ["token", "moved", "locked"])
def test_fetched(agent, place, remotes, way):
    repository = remotes[way]
    place.service(way, repository=repository).seen_by(agent)
    agent.outcome_of(agent.accept(push_of(repository.url, repository.commit_of_head())), "dockerfile-missing")
    check_secrets(agent)
    if way == "token":  # it is sent with a name
        eventually(lambda: remotes.git_server.requests("oauth2 "), "the Git server has written down its requests")


# --- refused, and why ---

REFUSED = {
    "wrong": ("repository-login", ["refuses the login that is configured for it"]),
    "untrusted": ("repository-tls", ["not correctly signed by the trusted CA"]),
    "elsewhere": ("repository-redirect", ["git.invalid", "use the URL that it leads to"]),
    "passphrase": ("repository-login", ["the SSH key that is configured for", "cannot be used"]),
    "refused": ("repository-login", ["refuses the SSH key that is configured for it"]),
    "unknown": ("repository-host-key", ["is not in the known hosts file", "SHA256:"]),
    "keyless": ("repository-login", ["no SSH key for"]),
}


@pytest.mark.parametrize("way", REFUSED)
def test_refused(agent, place, remotes, way):
    reason, says = REFUSED[way]
    repository = remotes[way]
    place.service(way, repository=repository).seen_by(agent)
    found = refuse(agent, repository.url, reason, *says)
    if way == "unknown":
        assert any(fingerprint in found["detail"] for fingerprint in remotes.ssh_server.fingerprints())
        assert f"[{remotes.ssh_server.host}]:{remotes.ssh_server.port}" in found["detail"]


def test_no_login_is_sent_where_it_was_redirected(agent, place, remotes, neighbour):
    place.service("port", repository=remotes["port"]).seen_by(agent)
    refuse(agent, remotes["port"].url, "repository-redirect",
           f"redirects to https://{neighbour.address}, which is not sent the login")
    asked = eventually(lambda: neighbour.requests(""), "the other Git server has written down its requests")
    assert [line for line in asked if " 401" in line] == asked


def test_changed_host_key(agent, place, remotes):
    repository = remotes["locked"]
    place.service("changed", repository=repository).seen_by(agent)
    remotes.ssh_server.change_host_key()
    logged = len(remotes.ssh_server.output.read_text())
    found = refuse(agent, repository.url, "repository-host-key", "has another for it", "this is not that server")
    assert remotes.ssh_server.fingerprints()[0] in found["detail"]
    assert "publickey" not in remotes.ssh_server.output.read_text()[logged:]


# --- proxies ---

@pytest.fixture(scope="module")
def proxy(directory, cluster):
    with servers.Proxy(directory / "proxy", cluster.host_address, f"pia:{PROXY_PASSWORD}") as proxy:
        yield proxy


@pytest.fixture(scope="module")
def open_proxy(directory, cluster):
    with servers.Proxy(directory / "open-proxy", cluster.host_address) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def outlying(new_place, git_server, authority):
    """An agent that can be started with different proxies, and a repository of its own."""
    place = new_place("proxies")
    repository = place.repository("proxied", {"README": "nothing to build\n"})
    repository = served(repository, git_server.url_of(repository))
    agent = Agent(place, place.directory)
    for name, text in {"ana": PASSWORD, "proxy": PROXY_PASSWORD, "wrong": WRONG}.items():
        agent.secret_file(name).write_text(text + "\n")
    agent.config["git"].update({"caFile": str(authority.certificate), "credentials": [
        {"url": repository.url, "username": "ana", "passwordFile": str(agent.secret_file("ana"))}]})
    agent.config["allow"][0]["repositories"] = ["*"]
    place.service("proxied", repository=repository)
    return types.SimpleNamespace(agent=agent, repository=repository, server=git_server)


def fetch_with(outlying, monkeypatch, reason, **settings):
    """How a push ends with these settings of git."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:1")  # nobody asked for that one
    repository, agent = outlying.repository, outlying.agent
    commit = served(repository, str(repository.bare)).push({"README": reason + json.dumps(settings)})
    for key in ("proxy", "proxyUsername", "proxyPasswordFile", "noProxy"):
        agent.config["git"].pop(key, None)
    agent.config["git"].update(settings)
    with agent:
        found = agent.outcome_of(agent.accept(push_of(repository.url, commit)), reason)
        check_secrets(agent, json.dumps(found), *agent.cli("deliveries"))
        return found["detail"]


def login(outlying, name):
    return {"proxyUsername": "pia", "proxyPasswordFile": str(outlying.agent.secret_file(name))}


def test_open_proxy(outlying, monkeypatch, open_proxy):
    fetch_with(outlying, monkeypatch, "dockerfile-missing", proxy=open_proxy.url)
    assert open_proxy.passed(outlying.server.address)


def test_proxy_that_wants_a_login(outlying, monkeypatch, proxy):
    detail = fetch_with(outlying, monkeypatch, "repository-proxy", proxy=proxy.url)
    assert detail == f"the proxy {proxy.url} needs a login"
    detail = fetch_with(outlying, monkeypatch, "repository-proxy", proxy=proxy.url, **login(outlying, "wrong"))
    assert detail == f"the proxy {proxy.url} refuses the login that is configured for it"
    fetch_with(outlying, monkeypatch, "dockerfile-missing", proxy=proxy.url, **login(outlying, "proxy"))
    assert proxy.passed(outlying.server.address)


def test_no_proxy(outlying, monkeypatch, cluster):
    """Neither the one of the settings, where nobody listens, nor the environment's."""
    nobody = f"http://{cluster.host_address}:1"
    detail = fetch_with(outlying, monkeypatch, "repository-proxy", proxy=nobody)
    assert detail.startswith(f"the proxy {nobody} cannot be reached")
    fetch_with(outlying, monkeypatch, "dockerfile-missing", proxy=nobody, noProxy=[outlying.server.host])
    fetch_with(outlying, monkeypatch, "dockerfile-missing")


# --- registries that refuse ---

@pytest.fixture(scope="module")
def refusing(new_place, directory, cluster, authority, stranger, registry, login_secret, open_proxy):
    """An agent whose builds have a wrong login for one registry, do not know the authority of a second, and
    may push to a third, which refuses the agent itself. They reach all three through a proxy."""
    place = new_place("refusing")
    make = lambda word, by: servers.TlsRegistry(directory / word, cluster.host_address, by, "builder",
                                                REGISTRY_PASSWORD)
    with make("untrusted", stranger) as untrusted, make("unread", authority) as unread:
        push = login_secret(place.builds_namespace, f"{place.namespace}-push", docker_config(
            (registry.address, "builder", WRONG), (untrusted.address, "builder", REGISTRY_PASSWORD),
            (unread.address, "builder", REGISTRY_PASSWORD)))
        auth = place.directory / "auth.json"
        auth.write_text(docker_config((unread.address, "builder", WRONG)))
        named = {"denied": registry, "untrusted": untrusted, "unread": unread}
        known = [{"host": server.address, "caFile": str(authority.certificate), "authFile": str(auth)}
                 for server in (registry, unread)]
        with Agent(place, place.directory,
                   builds={"pushSecret": push, "proxy": open_proxy.url, "noProxy": [cluster.registry]},
                   registries=[{"host": cluster.registry, "plainHttp": True}, *known],
                   allow=[{"namespaces": [place.namespace], "repositories": ["*"], "images": ["*"]}]) as agent:
            yield types.SimpleNamespace(agent=agent, place=place, registries=named)


def push_to(refusing, which):
    """The service, and the push that is on its way to a registry."""
    place, agent = refusing.place, refusing.agent
    repository = place.repository(which, report(place.cluster, "never"))
    destination = f"{refusing.registries[which].address}/{place.namespace}/{which}"
    service = place.service(which, repository=repository, destination=destination).seen_by(agent)
    return service, agent.accept(push_of(repository.url, repository.commit_of_head()))


@pytest.mark.parametrize("which, says", [("denied", "unauthorized"),
                                         ("untrusted", "certificate signed by unknown authority")])
def test_registry_that_refuses_a_build(refusing, which, says):
    agent = refusing.agent
    service, delivery = push_to(refusing, which)
    found = agent.outcome_of(delivery, "build-failed", 300)
    [build] = found["builds"]
    assert says in build["detail"].lower() and refusing.registries[which].address in build["detail"], build["detail"]
    assert service.image().endswith(":cronwright-not-built")
    check_secrets(agent, json.dumps(found), *agent.cli("builds"))


def test_registry_that_refuses_the_agent(refusing, open_proxy):
    """That may be an outage: the build waits and says why, and goes on with the right login."""
    agent, address = refusing.agent, refusing.registries["unread"].address
    service, delivery = push_to(refusing, "unread")

    def told():
        builds = agent.get("/v1/builds?limit=200")["builds"]
        return [build for build in builds if "the login is refused" in (build["detail"] or "")]
    [build] = eventually(told, "the build says why it waits", 150)
    assert address in build["detail"] and build["state"] != "failed"
    assert open_proxy.passed(address)
    assert service.image().endswith(":cronwright-not-built")
    check_secrets(agent, json.dumps(build), *agent.cli("builds"))
    (refusing.place.directory / "auth.json").write_text(docker_config((address, "builder", REGISTRY_PASSWORD)))
    agent.restart()
    agent.outcome_of(delivery, "deployed")
