"""A scripted admin API: fixed answers, to test how the command line renders them."""

import http.server
import json
import socket
import threading
import time
import urllib.parse

CUT = object()  # in a stream: the connection breaks here


class Answer:
    def __init__(self, status=200, body=None, kind="application/json"):
        self.status = status
        self.body = body
        self.kind = kind


class Stream:
    """A chunked answer: bytes to send, seconds to wait, threading.Events to wait for, CUT, or calls."""

    def __init__(self, *steps, headers=()):
        self.steps, self.headers = steps, dict(headers)


def problem(status, detail, **more):
    return Answer(status, {"type": "about:blank", "title": "", "status": status, "detail": detail, **more},
                  "application/problem+json")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.server.agent.answer(self.command, self.path, self.headers, body)
        if isinstance(answer, Stream):
            self.send_stream(answer)
            return
        content = answer.body
        if not isinstance(content, bytes):
            content = b"" if content is None else json.dumps(content).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_DELETE = do_GET

    def send_stream(self, stream):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        for name, value in stream.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        for step in stream.steps:
            if step is CUT:
                return
            if isinstance(step, bytes):
                try:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(step), step))
                except OSError:  # the client has had enough
                    return
            elif isinstance(step, threading.Event):
                step.wait(30)
            elif callable(step):
                step()
            else:
                time.sleep(step)
        self.wfile.write(b"0\r\n\r\n")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        super().server_bind()

    def handle_error(self, *_):  # a client that went away
        pass


class Agent:
    """Answers by method and path without query; a list of answers is used one after the other, the
    last one for ever. An answer may be a call with (query, headers, body)."""

    def __init__(self):
        self.answers = {}
        self.requests = []  # (method, path with query, headers, body)
        self.lock = threading.Lock()
        self.port = 0
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.agent = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        """From now on connections are refused."""
        self.server.shutdown()
        self.server.server_close()

    def on(self, method, path, *answers):
        self.answers[(method, path)] = [answer if callable(answer) or isinstance(answer, (Answer, Stream))
                                        else Answer(200, answer) for answer in answers]

    def get(self, path, *answers):
        self.on("GET", path, *answers)

    def asked(self, method, path):
        """The queries with which a path was asked."""
        return [urllib.parse.urlsplit(target).query for verb, target, *_ in self.requests
                if verb == method and urllib.parse.urlsplit(target).path == path]

    def answer(self, method, target, headers, body):
        parts = urllib.parse.urlsplit(target)
        with self.lock:
            self.requests.append((method, target, headers, body))
            answers = self.answers.get((method, parts.path))
            if not answers:
                return problem(404, f"there is no {parts.path}")
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if not isinstance(answer, (Answer, Stream)):
            answer = answer(dict(urllib.parse.parse_qsl(parts.query)), headers, body)
        return answer
