"""A thousand repositories, each followed by two services: what a sweep over them costs."""

import http.server
import multiprocessing
import os
import pathlib
import subprocess
import tempfile
import threading
import time

from figures import row, second_agent
from many import Api, make, service

REPOSITORIES = int(os.environ.get("BENCH_REPOSITORIES", 1000))
SERVICES_EACH = 2
INTERVAL = 60  # seconds
PATIENCE = 5 * INTERVAL
COMPARED = 20  # heads asked for by git itself
COMMIT = b"5d0c1f3b7a9e2468ace013579bdf02468ace1357"


def packet(text):
    return b"%04x%s" % (len(text) + 4, text)


ADVERTISED = (packet(b"# service=git-upload-pack\n") + b"0000" +
              packet(COMMIT + b" HEAD\0multi_ack thin-pack ofs-delta symref=HEAD:refs/heads/main\n") +
              packet(COMMIT + b" refs/heads/main\n") + b"0000")


class Forge(http.server.BaseHTTPRequestHandler):
    """Has every repository, and in it one branch, whose head stays."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        with self.server.asked.get_lock():
            self.server.asked.value += 1
        self.send_response(200)
        self.send_header("Content-Type", "application/x-git-upload-pack-advertisement")
        self.send_header("Content-Length", str(len(ADVERTISED)))
        self.end_headers()
        self.wfile.write(ADVERTISED)


def serve(asked, port):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forge)
    server.asked = asked
    port.value = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Event().wait()


def processor_seconds(pid):
    """Of the agent, and of its children that have ended."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own, children = sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
    tick = os.sysconf("SC_CLK_TCK")
    return own / tick, children / tick


def of_forge(port):
    def one(number):
        made = service(number)
        made["metadata"]["annotations"]["cronwright.io/repository"] = \
            f"http://127.0.0.1:{port}/bench/{number // SERVICES_EACH}"
        return made
    return one


def await_requests(asked, count, seconds):
    deadline = time.monotonic() + seconds
    while asked.value < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"{asked.value} of {count} heads were asked for within {seconds} s")
        time.sleep(0.01)
    return time.monotonic()


def by_git(port):
    """Processor seconds of one `git ls-remote`."""
    before = os.times()
    for number in range(COMPARED):
        subprocess.run(["git", "ls-remote", "-q", f"http://127.0.0.1:{port}/bench/{number}", "refs/heads/main"],
                       check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return (after.children_user + after.children_system - before.children_user - before.children_system) / COMPARED


def measure_round(agent, asked, port):
    await_requests(asked, REPOSITORIES, PATIENCE)  # of the sweep at the start
    before = processor_seconds(agent.process.pid)
    began = await_requests(asked, REPOSITORIES + 1, PATIENCE)
    ended = await_requests(asked, 2 * REPOSITORIES, PATIENCE)
    time.sleep(INTERVAL / 6)  # it does nothing else, and nothing comes twice
    own, children = (after - start for after, start in zip(processor_seconds(agent.process.pid), before))
    row(f"sweep over {REPOSITORIES} repositories", f"{ended - began:.1f} s",
        f"its turns are spread over {INTERVAL / 10:.0f} s; {REPOSITORIES * SERVICES_EACH} services")
    row("  requests to the forge", asked.value - REPOSITORIES, "one for each repository")
    row("  processor time of the agent", f"{own:.2f} s", f"{own / REPOSITORIES * 1000:.2f} ms for each repository")
    row("  processor time of the Git programs", f"{children:.2f} s",
        f"{children / REPOSITORIES * 1000:.2f} ms for each; git ls-remote: {by_git(port) * 1000:.2f} ms")


def measure():
    asked, port = multiprocessing.Value("q", 0), multiprocessing.Value("i", 0)
    forge = multiprocessing.Process(target=serve, args=(asked, port), daemon=True)
    forge.start()
    while not port.value:
        time.sleep(0.01)
    namespace = "cronwright-bench-sweep"
    with tempfile.TemporaryDirectory() as directory:
        api = Api(directory)
    try:
        make(api, namespace, REPOSITORIES * SERVICES_EACH, of_forge(port.value))
        everything = [{"namespaces": [namespace], "repositories": ["*"], "images": ["*"]}]
        with second_agent(kubernetes__namespaces=[namespace], sweep__interval=f"{INTERVAL}s", allow=everything) as agent:
            agent.start()
            measure_round(agent, asked, port.value)
    finally:
        api.local = threading.local()  # connections that nobody used for so long are closed by now
        api.send("DELETE", f"/api/v1/namespaces/{namespace}")
        forge.terminate()
