"""Real servers beside the cluster's own, with TLS, logins and keys of the tests' own making."""

import getpass
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import urllib.error
import urllib.request

from waiting import eventually

GIT_ROOT = pathlib.Path(os.environ.get("GIT_ROOT", "/nonexistent"))
GIT_HTTP_BACKEND = "/usr/lib/git-core/git-http-backend"
# Where the node's containerd looks up how to reach a registry, at each pull.
NODE_REGISTRIES = GIT_ROOT.parent / "etc/registries"


def run(*words, **more):
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True, **more).stdout


def free_port(address):
    with socket.create_server((address, 0)) as taken:
        return taken.getsockname()[1]


class Authority:
    """A certificate authority that nobody trusts unless told to."""

    def __init__(self, directory, name):
        self.directory, self.name, self.count = directory, name, 0
        self.key, self.certificate = directory / f"{name}.key", directory / f"{name}.pem"
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", self.key, "-out", self.certificate)

    def issue(self, address):
        """(certificate, key) of a server at a numeric address."""
        self.count += 1
        stem = self.directory / f"{self.name}-{self.count}"
        key, request, extensions, certificate = (stem.with_suffix(f".{kind}") for kind in ("key", "csr", "ext", "crt"))
        run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={address}", "-keyout", key, "-out", request)
        # As a name too: the Git child's TLS (Mbed TLS 2) knows no addresses in certificates.
        extensions.write_text(f"subjectAltName=IP:{address},DNS:{address}\nbasicConstraints=CA:FALSE\n")
        run("openssl", "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-days", "2",
            "-CAcreateserial", "-extfile", extensions, "-out", certificate)
        return certificate, key


class Server:
    """A program in the foreground, from start() to stop()."""

    def __init__(self, directory, address):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.host, self.port, self.process = directory, address, free_port(address), None
        self.output = directory / "output"

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def command(self):
        raise NotImplementedError

    def answers(self):
        with socket.socket() as connection:
            return connection.connect_ex((self.host, self.port)) == 0

    def start(self):
        with self.output.open("ab") as output:
            self.process = subprocess.Popen([str(word) for word in self.command()], stdin=subprocess.DEVNULL,
                                            stdout=output, stderr=output, cwd=self.directory)
        eventually(self.is_up, f"{self.command()[0]} answers")
        return self

    def is_up(self):
        assert self.process.poll() is None, self.output.read_text()
        return self.answers()

    def stop(self):
        process, self.process = self.process, None
        if process:
            process.terminate()
            process.wait(30)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class GitServer(Server):
    """The cluster's repositories again, by lighttpd: with TLS by an authority, and for `users` alone.

    /moved/… redirects to the same path here, /elsewhere/… to another host, /port/… to `neighbour` on this one."""

    def __init__(self, directory, address, authority, users, neighbour="127.0.0.1:1"):
        super().__init__(directory, address)
        certificate, key = authority.issue(address)
        logins, self.access_log = directory / "users", directory / "access"
        logins.write_text("".join(f"{name}:{password}\n" for name, password in users.items()))
        (directory / "uploads").mkdir()
        environment = {"GIT_PROJECT_ROOT": GIT_ROOT, "GIT_HTTP_EXPORT_ALL": 1, "GIT_CONFIG_COUNT": 1,
                       "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*", "HOME": directory,
                       "PATH": "/usr/bin:/bin"}
        pairs = ", ".join(f'"{name}" => "{value}"' for name, value in environment.items())
        self.config = directory / "lighttpd.conf"
        self.config.write_text(f'''
server.modules = ("mod_openssl", "mod_redirect", "mod_auth", "mod_authn_file", "mod_alias", "mod_setenv", "mod_cgi",
                  "mod_accesslog")
server.document-root = "{GIT_ROOT}"
server.bind = "{address}"
server.port = {self.port}
server.upload-dirs = ("{directory / "uploads"}")
accesslog.filename = "{self.access_log}"
accesslog.format = "%u %r %s"
ssl.engine = "enable"
ssl.pemfile = "{certificate}"
ssl.privkey = "{key}"
url.redirect = ("^/moved/(.*)$" => "https://{self.address}/$1", "^/elsewhere/(.*)$" => "https://git.invalid/$1",
                "^/port/(.*)$" => "https://{neighbour}/$1")
url.redirect-code = 301
alias.url = ("/" => "{GIT_HTTP_BACKEND}/")
cgi.assign = ("" => "")
setenv.set-environment = ({pairs})
$HTTP["url"] !~ "^/(moved|elsewhere|port)/" {{
    auth.backend = "plain"
    auth.backend.plain.userfile = "{logins}"
    auth.require = ("/" => ("method" => "basic", "realm" => "git", "require" => "valid-user"))
}}
''')

    def command(self):
        return ["/usr/sbin/lighttpd", "-D", "-f", self.config]

    def url_of(self, repository, below=""):
        return repository.url.replace(os.environ["GIT_URL"], f"https://{self.address}{below}")

    def requests(self, begins, holds=""):
        """Those of "user method path protocol status", written down a moment late, that begin so and hold that."""
        lines = self.access_log.read_text().splitlines() if self.access_log.exists() else []
        return [line for line in lines if line.startswith(begins) and holds in line]


class SshServer(Server):
    """The same repositories by OpenSSH, for those who have a key. `url_of` is a repository's URL there."""

    def __init__(self, directory, address):
        super().__init__(directory, address)
        self.user = getpass.getuser()
        if os.geteuid() == 0:
            pathlib.Path("/run/sshd").mkdir(exist_ok=True)  # sshd parts its rights there
        self.host_key = self.new_key("host")
        self.other_host_key = self.new_key("other-host", kind="ecdsa")  # in nobody's known_hosts
        self.authorized = directory / "authorized"
        self.authorized.touch()
        forced = directory / "forced"
        forced.write_text(f'''#!/bin/sh
path=${{SSH_ORIGINAL_COMMAND#git-upload-pack \\'}}
path=${{path%\\'}}
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
exec git-upload-pack "{GIT_ROOT}/${{path#/}}"
''')
        forced.chmod(0o755)
        self.config = directory / "sshd_config"
        self.config.write_text(f'''
ListenAddress {address}
Port {self.port}
HostKey {self.other_host_key}
HostKey {self.host_key}
PidFile none
AuthorizedKeysFile {self.authorized}
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
ForceCommand {forced}
''')

    def new_key(self, name, passphrase="", kind="ed25519"):
        path = self.directory / name
        path.unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", name, "-f", path)
        return path

    def change_host_key(self):
        self.stop()
        self.new_key("host")  # and the other is still nobody's
        self.start()

    def admit(self, key):
        with self.authorized.open("a") as keys:
            keys.write(key.with_suffix(".pub").read_text())

    def known_hosts(self, path):
        kind, key = self.host_key.with_suffix(".pub").read_text().split()[:2]
        path.write_text(f"# of the tests\n[{self.host}]:{self.port} {kind} {key}\n")
        return path

    def fingerprints(self):
        return [run("ssh-keygen", "-lf", key.with_suffix(".pub")).split()[1]
                for key in (self.host_key, self.other_host_key)]

    def command(self):
        return ["/usr/sbin/sshd", "-D", "-e", "-f", self.config]

    def url_of(self, repository):
        return repository.url.replace(os.environ["GIT_URL"], f"ssh://{self.user}@{self.address}")


class Proxy(Server):
    """tinyproxy; with `login` ("user:password") for nobody else."""

    def __init__(self, directory, address, login=None):
        super().__init__(directory, address)
        self.url, self.log = f"http://{self.address}", directory / "log"
        self.config = directory / "tinyproxy.conf"
        lines = [f"Listen {address}", f"Port {self.port}", f'LogFile "{self.log}"', "LogLevel Connect", "Timeout 60",
                 "MaxClients 20"]
        lines += ["BasicAuth " + login.replace(":", " ")] if login else []
        self.config.write_text("\n".join(lines) + "\n")

    def command(self):
        return ["/usr/bin/tinyproxy", "-d", "-c", self.config]

    def passed(self, address):
        """Whether it has connected somebody to that server."""
        return f"CONNECT {address}" in self.log.read_text() if self.log.exists() else False


class TlsRegistry(Server):
    """A registry with TLS by an authority, for one login; the node knows it while it runs."""

    def __init__(self, directory, address, authority, username, password):
        super().__init__(directory, address)
        certificate, key = authority.issue(address)
        self.authority, self.username, self.password = authority, username, password
        users = directory / "users"
        users.write_text(run("htpasswd", "-Bbn", username, password))
        self.config = directory / "registry.yml"
        self.config.write_text(f'''
version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {directory / "images"}}}}}
http:
  addr: {self.address}
  tls: {{certificate: {certificate}, key: {key}}}
auth: {{htpasswd: {{realm: images, path: {users}}}}}
''')
        self.hosts = NODE_REGISTRIES / self.address

    def command(self):
        return ["docker-registry", "serve", self.config]

    def answers(self):
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        try:
            urllib.request.urlopen(f"https://{self.address}/v2/", timeout=5, context=context)
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False
        return False

    def start(self):
        self.hosts.mkdir()
        (self.hosts / "hosts.toml").write_text(
            f'server = "https://{self.address}"\n[host."https://{self.address}"]\n'
            f'  capabilities = ["pull", "resolve"]\n  ca = "{self.authority.certificate}"\n')
        return super().start()

    def stop(self):
        super().stop()
        shutil.rmtree(self.hosts, ignore_errors=True)
