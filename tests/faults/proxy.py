"""An HTTP/1.1 proxy in front of a real server (an API server, a registry, a Git server), which does to chosen requests
what a script says. What no rule is about passes unchanged, streams as they come.

    proxy = Proxy("https://10.0.0.1:443", context=cluster.context, certificate=certificate(directory, "127.0.0.1"))
    with proxy.rule(answer(503, "later"), method="POST", path="/jobs"):
        …
"""

import contextlib
import dataclasses
import http.client
import http.server
import json
import re
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import time
import typing
import urllib.parse

from waiting import eventually

STREAM_BYTES = 65536
HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "proxy-connection"}


class Broken(Exception):
    """The connection to the client is to end now, without a word."""


def linger_not(connection):
    """Its close will be a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def lingers_not(connection):
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == struct.pack("ii", 1, 0)


class Certificate(typing.NamedTuple):
    authority: str  # PEM of who trusts it
    file: str       # certificate and key


def certificate(directory, host, days=2, name="proxy"):
    """Signs itself."""
    key, crt, both = (directory / f"{name}.{end}" for end in ("key", "crt", "pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", crt, "-days", str(days), "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName=IP:{host}"], check=True, capture_output=True)
    both.write_text(crt.read_text() + key.read_text())
    return Certificate(crt.read_text(), str(both))


@dataclasses.dataclass
class Passed:
    method: str
    path: str
    status: int  # as the client was told; 0: it was told nothing
    at: float    # monotonic, of the request's arrival
    seconds: float


@dataclasses.dataclass
class Rule:
    """Applies `action(exchange)` to requests of `method` whose path (with its query) `path` is found in: to the `nth`
    of them and those after it, `count` of them (None: for as long as the rule is there)."""
    action: typing.Callable
    method: str | None = None
    path: str = ""
    nth: int = 1
    count: int | None = None
    seen: int = 0
    hits: int = 0
    released: threading.Event = dataclasses.field(default_factory=threading.Event)

    def takes(self, method, path):
        if self.method not in (None, method) or not re.search(self.path, path):
            return False
        self.seen += 1
        if self.seen < self.nth or (self.count is not None and self.hits >= self.count):
            return False
        self.hits += 1
        return True

    def await_hit(self, times=1, seconds=60):
        eventually(lambda: self.hits >= times, f"{self.method or 'a request'} {self.path} comes", seconds)


class Exchange:
    """One request on its way. Actions call these."""

    def __init__(self, handler, proxy, rule, body):
        self.handler, self.proxy, self.rule, self.body = handler, proxy, rule, body
        self.method, self.path = handler.command, handler.path
        self.upstream = None
        self.status = 0

    def ask(self):
        """The real server's answer, of which nothing has been read but the head."""
        target = self.proxy.target
        kind = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
        more = {"context": self.proxy.context} if target.scheme == "https" else {}
        self.upstream = kind(target.hostname, target.port, timeout=600, **more)
        self.upstream.putrequest(self.method, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.handler.headers.items():
            if name.lower() not in HOP | {"content-length"}:
                self.upstream.putheader(name, value)
        if self.body or self.method in ("POST", "PUT", "PATCH"):
            self.upstream.putheader("Content-Length", str(len(self.body)))
        self.upstream.endheaders(self.body or None)
        return self.upstream.getresponse()

    def head(self, status, headers, length=None):
        """`length` None: the body follows in chunks, as it comes."""
        self.status = status
        self.handler.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP | {"content-length"}:
                self.handler.send_header(name, value)
        if length is not None:
            self.handler.send_header("Content-Length", str(length))
        elif status not in (204, 304):
            self.handler.send_header("Transfer-Encoding", "chunked")
        self.handler.end_headers()
        self.chunked = length is None and self.method != "HEAD" and status not in (204, 304)

    def write(self, data):
        self.proxy.flowing.wait()
        self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data)

    def end(self):
        if self.chunked:
            self.handler.wfile.write(b"0\r\n\r\n")

    def answer(self, status, body=b"", headers=()):
        body = body if isinstance(body, bytes) else body.encode()
        self.head(status, headers, len(body))
        if self.method != "HEAD":
            self.write(body)

    def relay_head(self, response):
        length = response.getheader("Content-Length")
        self.head(response.status, response.getheaders(), int(length) if length else None)

    def relay(self, response=None):
        response = response or self.ask()
        self.relay_head(response)
        if self.method != "HEAD":
            while data := response.read1(STREAM_BYTES):
                self.write(data)
        self.end()

    def reset(self):
        """The client finds its connection reset, not ended well."""
        linger_not(self.handler.connection)
        raise Broken

    def await_release(self):
        self.rule.released.wait()


# --- what can be done to a request ---

def answer(status, body="", **headers):
    """Answers in the server's place, which hears nothing. Headers: Retry_After="3"."""
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return lambda exchange: exchange.answer(status, body, named)


def refusal(status, reason, message="told so by a test", **headers):
    """As the Kubernetes API refuses."""
    body = json.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
                       "reason": reason, "code": status})
    return answer(status, body, **{"Content_Type": "application/json", **headers})


def then(action):
    """Does it after the server has done what it was asked: only its answer is lost."""
    def after(exchange):
        exchange.ask().read()
        action(exchange)
    return after


def reset(exchange):
    exchange.reset()


def hang(exchange):
    """Says nothing until the rule is gone, and then ends the connection."""
    exchange.await_release()
    raise Broken


def hold(exchange):
    """Waits until the rule is gone, and then goes on."""
    exchange.await_release()
    exchange.relay()


def hang_in_body(after=0):
    """Head and so many bytes, then nothing."""
    def action(exchange):
        response = exchange.ask()
        exchange.relay_head(response)
        if after:
            exchange.write(response.read(after))
        exchange.await_release()
        raise Broken
    return action


def cut_body(after):
    """Head and so many bytes, then the connection ends."""
    def action(exchange):
        response = exchange.ask()
        exchange.relay_head(response)
        exchange.write(response.read(after))
        raise Broken
    return action


def trickle(size, pause):
    """So many bytes at a time, with a pause of so many seconds after each, until the rule is gone."""
    def action(exchange):
        response = exchange.ask()
        exchange.relay_head(response)
        while data := response.read(size):
            exchange.write(data)
            exchange.rule.released.wait(pause)
        exchange.end()
    return action


def change(function, **headers):
    """The whole body, as `function` makes it of the real one. Headers replace those of the same name."""
    def action(exchange):
        response = exchange.ask()
        named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        kept = [(name, value) for name, value in response.getheaders() if name.lower() not in named]
        exchange.answer(response.status, function(response.read()), kept + list(named.items()))
    return action


def change_lines(function):
    """Each line of a stream, as it comes: `function(line)` gives the lines that take its place."""
    def action(exchange):
        response = exchange.ask()
        exchange.head(response.status, response.getheaders())
        while line := response.readline():
            for changed in function(line):
                exchange.write(changed)
        exchange.end()
    return action


def stream(*lines):
    """A stream of these lines, which goes on without a word until the rule is gone."""
    def action(exchange):
        exchange.head(200, [("Content-Type", "application/json")])
        for line in lines:
            exchange.write(line.encode())
        exchange.await_release()
        raise Broken
    return action


# --- the server ---

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def read_body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def handle_expect_100(self):
        self.send_response_only(100)
        self.end_headers()
        return True

    def one(self):
        proxy = self.server.proxy
        began = time.monotonic()
        body = self.read_body()
        rule = proxy.find(self.command, self.path)
        exchange = Exchange(self, proxy, rule, body)
        try:
            rule.action(exchange) if rule else exchange.relay()
        except (Broken, OSError, http.client.HTTPException):
            self.close_connection = True
        finally:
            if exchange.upstream:
                exchange.upstream.close()
            proxy.record(Passed(self.command, self.path, exchange.status, began, time.monotonic() - began))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = one


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, proxy):
        self.proxy = proxy
        super().__init__(address, Handler)

    def server_bind(self):  # as HTTPServer's, without its look-up of a host name
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def get_request(self):
        connection, address = super().get_request()
        if self.proxy.tls:  # shakes hands in the connection's own thread
            connection = self.proxy.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.proxy.connected(connection)
        return connection, address

    def process_request_thread(self, request, client_address):
        self.proxy.at_connect(request)
        super().process_request_thread(request, client_address)

    def shutdown_request(self, request):
        self.proxy.disconnected(request)
        if lingers_not(request):
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request, client_address):
        pass  # of a connection that was reset; what that means is for the test to see


class Proxy:
    """`target` is an URL without a path. With a certificate it speaks TLS to its clients."""

    def __init__(self, target, context=None, certificate=None, host="127.0.0.1"):
        self.target, self.context, self.host = urllib.parse.urlsplit(target), context, host
        self.lock = threading.Lock()
        self.rules, self.passed, self.connections = [], [], set()
        self.flowing = threading.Event()  # else all streams stand still, and nobody is told
        self.flowing.set()
        self.quiet = threading.Event()    # new connections are taken, and nothing is said on them
        self.tls = None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.show(certificate)
        self.port, self.server = 0, None
        self.open()

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://{self.address}"

    def show(self, certificate):
        """To new connections."""
        self.tls.load_cert_chain(certificate.file)

    def open(self):
        self.server = Server((self.host, self.port), self)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        """Ends all connections and refuses new ones, until it is opened again."""
        server, self.server = self.server, None
        server.shutdown()
        server.server_close()
        self.cut()

    def finish(self):
        self.clear()
        self.flowing.set()
        self.quiet.clear()
        if self.server:
            self.close()

    def cut(self):
        """Ends the connections there are; new ones may come."""
        with self.lock:
            connections = list(self.connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # below TLS, which would say goodbye

    # --- rules ---

    @contextlib.contextmanager
    def rule(self, action, **more):
        rule = self.add(action, **more)
        try:
            yield rule
        finally:
            self.remove(rule)

    def add(self, action, **more):
        rule = Rule(action, **more)
        with self.lock:
            self.rules.append(rule)
        return rule

    def remove(self, rule):
        """What it holds back goes on."""
        with self.lock:
            if rule in self.rules:
                self.rules.remove(rule)
        rule.released.set()

    def clear(self):
        for rule in list(self.rules):
            self.remove(rule)

    def find(self, method, path):
        with self.lock:
            return next((rule for rule in self.rules if rule.takes(method, path)), None)

    # --- what came ---

    def record(self, passed):
        with self.lock:
            self.passed.append(passed)

    def requests(self, method=None, path="", since=0.0):
        with self.lock:
            return [one for one in self.passed
                    if method in (None, one.method) and re.search(path, one.path) and one.at >= since]

    def connected(self, connection):
        with self.lock:
            self.connections.add(connection)

    def disconnected(self, connection):
        with self.lock:
            self.connections.discard(connection)

    def at_connect(self, connection):
        while self.quiet.is_set() and connection in self.connections:
            time.sleep(0.05)
