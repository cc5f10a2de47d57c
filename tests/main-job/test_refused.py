"""Bad input: each request is answered with a clear error, nothing of it is stored and nothing starts."""

import base64
import hashlib
import hmac
import json
import socket
import time
import uuid

import pytest

import forges
from agents import FORGE_SECRETS, ask
from places import report

GITHUB, SIGNING = FORGE_SECRETS["github"], FORGE_SECRETS["gitlab-signing"]
COMMIT = "9" * 40
BODY_MAX = 25 << 20


@pytest.fixture(scope="module")
def repository(agent, place):
    """A repository that a service follows: what is accepted would be built."""
    repository = place.repository("refused", report(place.cluster, "never built"))
    place.service("refused", repository=repository).seen_by(agent)
    return repository


@pytest.fixture
def refused(agent, repository):
    """Sends a delivery that must be refused, and looks that nothing came of it."""
    def check(delivery, status, says=""):
        before = agent.deliveries()
        answer = agent.deliver(delivery)
        assert answer.status == status, answer
        check_problem(answer, status, says)
        after = agent.deliveries()
        assert after["deliveries"] == before["deliveries"]
        assert agent.api("GET", f"/v1/deliveries/{delivery.id}").status == 404
        newest = after["refused"][0]
        assert (newest["status"], newest["forge"]) == (status, delivery.path.rsplit("/", 1)[1])
        assert newest["peer"] == "127.0.0.1" and newest["reason"] == answer.json["detail"]
        claims = [value for name, value in delivery.headers if name in ("X-GitHub-Delivery", "Idempotency-Key")]
        assert newest["delivery"] == claims[0]
        assert not agent.builds_of(repository)
    return check


def check_problem(answer, status, says=""):
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["status"] == status and answer.json["title"] and answer.json["detail"]
    assert says in answer.json["detail"], answer
    for secret in FORGE_SECRETS.values():
        assert secret not in answer.text


def github(repository, **more):
    return forges.github(forges.github_push(repository.url, COMMIT), GITHUB, **more)


def gitlab(repository, **more):
    return forges.gitlab(forges.gitlab_push(repository.url, COMMIT), signing_token=SIGNING, **more)


def resigned(delivery, signature):
    return delivery.with_headers(("X-Hub-Signature-256", signature))


# --- signatures ---

GITHUB_SIGNATURES = {
    "missing": (lambda good: [None], "X-Hub-Signature-256 is needed"),
    "empty": (lambda good: [""], "X-Hub-Signature-256 is needed"),
    "wrong": (lambda good: ["sha256=" + "0" * 64], "matches no"),
    "one-bit-off": (lambda good: [good[:-1] + ("0" if good[-1] != "0" else "1")], "matches no"),
    "truncated": (lambda good: [good[:-1]], "64 lower-case hex"),
    "too-long": (lambda good: [good + "0"], "64 lower-case hex"),
    "prefix-alone": (lambda good: ["sha256="], "64 lower-case hex"),
    "without-prefix": (lambda good: [good.removeprefix("sha256=")], "64 lower-case hex"),
    "upper-case-hex": (lambda good: ["sha256=" + good.removeprefix("sha256=").upper()], "64 lower-case hex"),
    "upper-case-prefix": (lambda good: [good.replace("sha256", "SHA256")], "64 lower-case hex"),
    "duplicated": (lambda good: [good, good], "twice"),
    "right-then-wrong": (lambda good: [good, "sha256=" + "0" * 64], "twice"),
    "wrong-then-right": (lambda good: ["sha256=" + "0" * 64, good], "twice"),
}


@pytest.mark.parametrize("which", GITHUB_SIGNATURES)
def test_github_signature(repository, refused, which):
    good = github(repository)
    values, says = GITHUB_SIGNATURES[which]
    signature = dict(good.headers)["X-Hub-Signature-256"]
    refused(good.with_headers(*[("X-Hub-Signature-256", value) for value in values(signature)]), 401, says)


def test_github_no_signature_at_all(repository, refused):
    unsigned = github(repository).with_headers(("X-Hub-Signature-256", None), ("X-Hub-Signature", None))
    refused(unsigned, 401, "has the hook a secret?")


def test_github_sha1_signature_alone(repository, refused):
    refused(github(repository).with_headers(("X-Hub-Signature-256", None)), 401, "SHA-1")


def test_github_sha1_digest_under_the_newer_name(repository, refused):
    good = github(repository)
    refused(resigned(good, forges.github_signature(GITHUB, good.body, "sha1")), 401)


def test_github_secret_of_someone_else(repository, refused):
    refused(forges.github(forges.github_push(repository.url, COMMIT), "another secret"), 401, "matches no")


def test_github_empty_secret(repository, refused):
    refused(forges.github(forges.github_push(repository.url, COMMIT), ""), 401, "matches no")


def test_github_signature_over_reserialised_json(repository, refused):
    good = github(repository)
    again = json.dumps(json.loads(good.body), separators=(",", ":")).encode()
    assert again != good.body
    refused(good.with_body(again), 401, "matches no")
    refused(resigned(good, forges.github_signature(GITHUB, again)), 401, "matches no")


def test_github_form_signed_over_its_payload(repository, refused):
    """GitHub signs the whole form."""
    good = github(repository, form=True)
    inner = json.dumps(forges.github_push(repository.url, COMMIT)).encode()
    refused(resigned(good, forges.github_signature(GITHUB, inner)), 401, "matches no")


def test_gitlab_request_signed_as_github(repository, refused):
    body = json.dumps(forges.gitlab_push(repository.url, COMMIT)).encode()
    delivery = forges.gitlab(body).with_headers(("X-Hub-Signature-256", forges.github_signature(GITHUB, body)))
    refused(delivery, 401, "webhook-signature")


def standard(delivery, **changes):
    """The delivery with other values of what Standard Webhooks send, signed again with them."""
    values = {"id": delivery.id, "timestamp": str(int(time.time())), "token": SIGNING, **changes}
    signature = changes.get("signature", forges.gitlab_signature(values["token"], values["id"], values["timestamp"],
                                                                 delivery.body))
    return delivery.with_headers(("webhook-id", values["id"]), ("webhook-timestamp", values["timestamp"]),
                                 ("webhook-signature", signature))


GITLAB_SIGNATURES = {
    "missing": (lambda d: d.with_headers(("webhook-signature", None)), "no webhook-signature"),
    "empty": (lambda d: standard(d, signature=""), "no webhook-signature"),
    "wrong": (lambda d: standard(d, signature="v1," + base64.b64encode(bytes(32)).decode()), "matches"),
    "other-key": (lambda d: standard(d, token="whsec_" + base64.b64encode(b"x" * 24).decode()), "matches"),
    "unknown-version": (lambda d: standard(d, signature="v1a," + "A" * 44), "no v1 signature"),
    "without-version": (lambda d: standard(d, signature=dict(d.headers)["webhook-signature"][3:]), "no v1 signature"),
    "truncated": (lambda d: standard(d, signature=dict(d.headers)["webhook-signature"][:-1]), "matches"),
    "upper-case": (lambda d: standard(d, signature=dict(d.headers)["webhook-signature"].upper()), "no v1 signature"),
    "hex": (lambda d: standard(d, signature="v1," + hmac.new(base64.b64decode(SIGNING[6:]), d.body,
                                                             hashlib.sha256).hexdigest()), "matches"),
    "key-not-decoded": (lambda d: standard(d, token="whsec_" + base64.b64encode(SIGNING[6:].encode()).decode()),
                        "matches"),
    "duplicated": (lambda d: d.with_headers(*[("webhook-signature", dict(d.headers)["webhook-signature"])] * 2),
                   "twice"),
    "id-missing": (lambda d: d.with_headers(("webhook-id", None)), "no webhook-id"),
    "id-of-another": (lambda d: d.with_headers(("webhook-id", str(uuid.uuid4()))), "matches"),
    "timestamp-missing": (lambda d: d.with_headers(("webhook-timestamp", None)), "no webhook-timestamp"),
    "timestamp-of-another": (lambda d: d.with_headers(("webhook-timestamp", str(int(time.time()) - 100))), "matches"),
    "timestamp-stale": (lambda d: standard(d, timestamp=str(int(time.time()) - 310)), "in the past"),
    "timestamp-future": (lambda d: standard(d, timestamp=str(int(time.time()) + 310)), "in the future"),
    "timestamp-fraction": (lambda d: standard(d, timestamp=f"{time.time():.3f}"), "Unix seconds"),
    "timestamp-words": (lambda d: standard(d, timestamp="now"), "Unix seconds"),
    "timestamp-negative": (lambda d: standard(d, timestamp="-1"), "Unix seconds"),
    "timestamp-huge": (lambda d: standard(d, timestamp="9" * 30), "Unix seconds"),
    "reserialised": (lambda d: d.with_body(json.dumps(json.loads(d.body), indent=1).encode()), "matches"),
}


@pytest.mark.parametrize("which", GITLAB_SIGNATURES)
def test_gitlab_signature(repository, refused, which):
    change, says = GITLAB_SIGNATURES[which]
    refused(change(gitlab(repository)), 401, says)


def test_gitlab_token_is_not_enough_where_a_signing_token_is_configured(repository, refused):
    payload = forges.gitlab_push(repository.url, COMMIT)
    refused(forges.gitlab(payload, token=FORGE_SECRETS["gitlab-token"]), 401, "webhook-signature")


def test_gitlab_signing_token_sent_as_token(repository, refused):
    refused(forges.gitlab(forges.gitlab_push(repository.url, COMMIT), token=SIGNING), 401)


def test_signature_goes_before_parsing(refused):
    """What is wrong in the body is not told to someone without the secret."""
    refused(forges.github(b"not json", "another secret"), 401, "matches no")


# --- bodies, well signed ---

def push_with(from_repository, **changes):
    return {**forges.github_push(from_repository.url, COMMIT), **changes}


def text_of(repository, old, new):
    return json.dumps(forges.github_push(repository.url, COMMIT)).encode().replace(old, new)


BODIES = {
    "empty": lambda r: b"",
    "words": lambda r: b"hello",
    "half": lambda r: json.dumps(forges.github_push(r.url, COMMIT)).encode()[:-30],
    "two-documents": lambda r: b"{}{}",
    "list": lambda r: b"[]",
    "text": lambda r: b'"push"',
    "null": lambda r: b"null",
    "number": lambda r: b"1e999",
    "empty-object": lambda r: b"{}",
    "byte-order-mark": lambda r: b"\xef\xbb\xbf" + json.dumps(forges.github_push(r.url, COMMIT)).encode(),
    "deep-lists": lambda r: b'{"ref": ' + b"[" * 100000 + b"]" * 100000 + b"}",
    "deep-objects": lambda r: b'{"a":' * 100000 + b"1" + b"}" * 100000,
    "duplicate-ref": lambda r: text_of(r, b'{"ref":', b'{"ref": "refs/heads/other", "ref":'),
    "duplicate-url": lambda r: text_of(r, b'"clone_url":', b'"clone_url": "https://example.com/a/b.git", "clone_url":'),
    "duplicate-by-escape": lambda r: text_of(r, b'{"ref":', b'{"\\u0072ef": "refs/heads/other", "ref":'),
    "invalid-utf8": lambda r: text_of(r, b"refs/heads/main", b"refs/heads/m\xff\xfen"),
    "overlong-utf8": lambda r: text_of(r, b"refs/heads/main", b"refs/heads/m\xc0\xafn"),
    "lone-surrogate": lambda r: text_of(r, b"refs/heads/main", b"refs/heads/m\\ud800n"),
    "invalid-utf8-elsewhere": lambda r: text_of(r, b"Change the report", b"Change \xff report"),
    "nul-in-ref": lambda r: text_of(r, b"refs/heads/main", b"refs/heads/main\\u0000evil"),
    "nul-in-url": lambda r: text_of(r, b'.git", "ssh_url"', b'.git\\u0000", "ssh_url"'),
    "raw-nul": lambda r: text_of(r, b"refs/heads/main", b"refs/heads/main\x00"),
    "ref-missing": lambda r: {k: v for k, v in push_with(r).items() if k != "ref"},
    "ref-null": lambda r: push_with(r, ref=None),
    "ref-number": lambda r: push_with(r, ref=1),
    "ref-object": lambda r: push_with(r, ref={"name": "refs/heads/main"}),
    "ref-too-long": lambda r: push_with(r, ref="refs/heads/" + "a" * 4000),
    "after-missing": lambda r: {k: v for k, v in push_with(r).items() if k != "after"},
    "after-not-hex": lambda r: push_with(r, after="z" * 40),
    "after-short": lambda r: push_with(r, after="abc"),
    "deleted-text": lambda r: push_with(r, deleted="no"),
    "repository-missing": lambda r: {k: v for k, v in push_with(r).items() if k != "repository"},
    "repository-text": lambda r: push_with(r, repository=r.url),
    "repository-without-url": lambda r: push_with(r, repository={"name": "x"}),
    "repository-url-of-a-file": lambda r: push_with(r, repository={"clone_url": "file:///etc"}),
    "repository-url-option": lambda r: push_with(r, repository={"clone_url": "--upload-pack=touch /tmp/x"}),
    "repository-url-parent": lambda r: push_with(r, repository={"clone_url": "https://example.com/a/../../b"}),
}


@pytest.mark.parametrize("which", BODIES)
def test_body(repository, refused, which):
    refused(forges.github(BODIES[which](repository), GITHUB), 400)


GITLAB_BODIES = {
    "empty-object": lambda r: b"{}",
    "list": lambda r: b"[1]",
    "without-project": lambda r: {k: v for k, v in forges.gitlab_push(r.url, COMMIT).items() if k != "project"},
    "ref-missing": lambda r: {k: v for k, v in forges.gitlab_push(r.url, COMMIT).items() if k != "ref"},
    "kind-number": lambda r: {**forges.gitlab_push(r.url, COMMIT), "object_kind": 7, "event_name": None},
    "deep": lambda r: b'{"object_kind":"push","x":' + b"[" * 100000 + b"]" * 100000 + b"}",
    "nul": lambda r: json.dumps({**forges.gitlab_push(r.url, COMMIT), "ref": "refs/heads/a\x00b"}).encode(),
}


@pytest.mark.parametrize("which", GITLAB_BODIES)
def test_gitlab_body(repository, refused, which):
    refused(forges.gitlab(GITLAB_BODIES[which](repository), signing_token=SIGNING), 400)


FORMS = {
    "without-payload": b"other=%7B%7D",
    "empty": b"",
    "payload-empty": b"payload=",
    "payload-twice": b"payload=%7B%7D&payload=%7B%7D",
    "payload-not-json": b"payload=hello",
    "broken-escape": b"payload=%7",
    "nul": b"payload=%00",
}


@pytest.mark.parametrize("which", FORMS)
def test_form(repository, refused, which):
    good = github(repository, form=True)
    refused(resigned(good.with_body(FORMS[which]), forges.github_signature(GITHUB, FORMS[which])), 400)


HOSTILE_REFS = ["refs/heads/a..b", "refs/heads/../../etc/passwd", "refs/heads/a\nb", "refs/heads/a\x1b[31m",
                "refs/heads/a b", "refs/heads/-upload-pack=x", "refs/heads/", "refs/heads//a", "refs/heads/a.lock",
                "refs/heads/a~1", "refs/heads/a^", "refs/heads/a:b", "refs/heads/a*", "refs/heads/a[b",
                "refs/heads/a\\b", "refs/heads/a@{b", "refs/heads/.a", "refs/heads/a.", "refs/heads/HEAD", "", "/"]


@pytest.mark.parametrize("ref", HOSTILE_REFS)
def test_hostile_ref(repository, refused, ref):
    refused(forges.github(forges.github_push(repository.url, COMMIT, ref=ref), GITHUB), 400)
    refused(forges.gitlab(forges.gitlab_push(repository.url, COMMIT, ref=ref), signing_token=SIGNING), 400)


@pytest.mark.parametrize("change", [("X-GitHub-Event", None), ("X-GitHub-Event", ""), ("X-GitHub-Delivery", "a b"),
                                    ("X-GitHub-Delivery", "../../x"), ("X-GitHub-Delivery", "x" * 500)])
def test_headers(agent, repository, change):
    delivery = github(repository).with_headers(change)
    answer = agent.deliver(delivery)
    check_problem(answer, 400)
    assert not agent.builds_of(repository)


def test_hook_of_the_other_forge_is_told_its_path(agent, repository):
    delivery = github(repository)
    delivery.path = "/webhooks/gitlab"
    answer = agent.deliver(delivery)
    assert answer.status in (400, 401)
    check_problem(answer, answer.status, "/webhooks/github")


# --- the request itself ---

@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
def test_method(agent, method):
    answer = ask(agent.webhooks, method, "/webhooks/github", body=b"" if method in ("PUT", "PATCH") else None)
    assert answer.status == 405
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/", "/webhooks", "/webhooks/", "/webhooks/github/x", "/webhooks/sourcehut",
                                  "/v1/services", "/webhooks/../healthz", "/webhooks/%2e%2e"])
def test_path(agent, repository, path):
    delivery = github(repository)
    answer = ask(agent.webhooks, "POST", path, delivery.headers, delivery.body)
    assert answer.status == 404
    check_problem(answer, 404)


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", "application/jsonx", "", None])
def test_content_type(repository, refused, content_type):
    refused(github(repository).with_headers(("Content-Type", content_type)), 415)


def test_gitlab_form(repository, refused):
    refused(gitlab(repository).with_headers(("Content-Type", "application/x-www-form-urlencoded")), 415)


def read_status(connection):
    """The status line of an answer that may come while the request is still being sent."""
    return connection.makefile("rb").readline().decode().split(" ", 2)[1]


def connect(agent):
    host, port = agent.webhooks.split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def test_too_large_by_content_length(agent, repository):
    """Told by the header alone: not one byte of the body is waited for."""
    with connect(agent) as connection:
        connection.sendall(github(repository).head(f"Content-Length: {BODY_MAX + 1}"))
        assert read_status(connection) == "413"
    assert agent.deliveries()["refused"][0]["status"] == 413


def test_too_large_without_content_length(agent, repository):
    chunk = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
    with connect(agent) as connection:
        connection.sendall(github(repository).head("Transfer-Encoding: chunked"))
        try:
            for _ in range((BODY_MAX >> 20) + 1):
                connection.sendall(chunk)
        except OSError:
            pass  # it has said enough
        assert read_status(connection) == "413"


def test_chunked_body_is_as_good_as_any(agent, repository):
    delivery = forges.github(forges.github_ping(repository.url), GITHUB, event="ping")
    middle = len(delivery.body) // 2
    with connect(agent) as connection:
        connection.sendall(delivery.head("Transfer-Encoding: chunked"))
        for part in (delivery.body[:middle], delivery.body[middle:], b""):
            connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        assert read_status(connection) == "202"


@pytest.mark.parametrize("raw", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"POST\r\n\r\n",
    b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n",
    b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /webhooks/github HTTP/1.1\r\nX: " + b"a" * 100000 + b"\r\n\r\n"],
    ids=["tls", "no-target", "content-length", "smuggling", "header-too-long"])
def test_malformed_request(agent, raw):
    """A 4xx, or the connection is closed; and the agent goes on."""
    with connect(agent) as connection:
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(100)
        except OSError:  # it has closed the connection already
            answer = b""
    assert answer == b"" or answer.split()[1].startswith(b"4"), answer
    assert ask(agent.webhooks, "GET", "/healthz").status == 200


# What a proxy before the agent could have read as one request and the agent as two, or the other way round.
SMUGGLING = {
    "length-and-chunked": ("Content-Length: {length}", "Transfer-Encoding: chunked", b"0\r\n\r\n"),
    "chunked-and-length": ("Transfer-Encoding: chunked", "Content-Length: {length}", b"0\r\n\r\n"),
    "two-lengths": ("Content-Length: 2", "Content-Length: {length}", b"{}"),
    "same-length-twice": ("Content-Length: 2", "Content-Length: 2", b"{}"),
    "list-of-lengths": ("Content-Length: 2, {length}", "X: y", b"{}"),
    "length-with-a-sign": ("Content-Length: +2", "X: y", b"{}"),
    "negative-length": ("Content-Length: -1", "X: y", b""),
    "chunked-twice": ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", b"0\r\n\r\n"),
    "other-encoding": ("Transfer-Encoding: gzip, chunked", "X: y", b"0\r\n\r\n"),
    "unknown-encoding": ("Transfer-Encoding: xchunked", "X: y", b"0\r\n\r\n"),
    "space-before-colon": ("Content-Length : 2", "X: y", b"{}"),
    "chunk-of-a-sign": ("Transfer-Encoding: chunked", "X: y", b"-1\r\n\r\n"),
    "chunk-too-large": ("Transfer-Encoding: chunked", "X: y", b"fffffffffffffffff\r\n\r\n"),
}


@pytest.mark.parametrize("which", SMUGGLING)
def test_smuggled_request(agent, repository, which):
    """Neither is anything of the first taken, nor is the second, which is well signed, ever looked at."""
    *headers, body = SMUGGLING[which]
    inner = github(repository)
    second = inner.request()
    headers = [header.format(length=len(body) + len(second)) for header in headers]
    outer = github(repository).with_body(body)
    with connect(agent) as connection:
        try:
            connection.sendall(outer.head(*headers) + body + second)
            connection.shutdown(socket.SHUT_WR)
            answers = connection.makefile("rb").read()
        except OSError:  # it has closed the connection already
            answers = b""
    lines = [line for line in answers.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    assert all(line.split()[1].startswith(b"4") for line in lines), answers
    for delivery in (inner, outer):
        assert agent.api("GET", f"/v1/deliveries/{delivery.id}").status == 404


def test_request_that_never_ends_holds_nobody_up(agent, repository):
    with connect(agent) as slow:
        slow.sendall(github(repository).head("Content-Length: 1000") + b"{")
        assert ask(agent.webhooks, "GET", "/healthz").status == 200
        assert agent.deliver(github(repository).with_headers(("X-Hub-Signature-256", None))).status == 401


# --- nothing came of all that ---

def test_nothing_was_built(agent, place, repository):
    assert not agent.builds_of(repository)
    assert not place.build_jobs(repository)


def test_only_who_sees_all_namespaces_sees_refused_requests(agent, refused, repository):
    refused(resigned(github(repository), "sha256=" + "1" * 64), 401)
    answer = agent.get("/v1/deliveries", token="runner")
    assert answer["refused"] == []
