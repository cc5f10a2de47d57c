"""`cronwright sign` against a scripted webhook address, with the signatures computed here again."""

import base64
import hashlib
import hmac
import json
import urllib.parse

import pytest
from agent import Answer, problem

REPOSITORY = "https://github.com/acme/report.git"
SIGN = f"cronwright sign --secret-file secret --repository {REPOSITORY}"
KEY = base64.b64encode(b"0123456789abcdef01234567").decode()


@pytest.fixture
def hook(agent, tmp_path):
    (tmp_path / "secret").write_text("It's a Secret to Everybody\n")
    for path in ("/webhooks/github", "/webhooks/gitlab", "/webhooks/gitea", "/webhooks/bitbucket"):
        agent.on("POST", path, lambda query, headers, body: Answer(202, {
            "delivery": headers.get("X-GitHub-Delivery") or headers.get("Idempotency-Key") or
            headers.get("X-Request-UUID") or headers.get("X-Request-Id"),
            "reason": "accepted"}))
    return agent


def sent(hook):
    _, path, headers, body = hook.requests[-1]
    return path, headers, body


@pytest.mark.parametrize("scheme", ["json", "form"])
def test_github(shell, hook, scheme):
    result = shell.files(f"{SIGN} --scheme github-{scheme} --branch release/1 --commit {'a1' * 20} "
                         f"--delivery d-1 {hook.url}")
    path, headers, body = sent(hook)
    assert result.status == 0 and result.out == "d-1\n"
    assert path == "/webhooks/github" and headers["X-GitHub-Event"] == "push"
    mac = hmac.new(b"It's a Secret to Everybody", body, hashlib.sha256).hexdigest()
    assert headers["X-Hub-Signature-256"] == f"sha256={mac}"
    if scheme == "form":
        body = urllib.parse.parse_qs(body.decode())["payload"][0]
    push = json.loads(body)
    assert push["ref"] == "refs/heads/release/1" and push["after"] == "a1" * 20


def test_gitlab_token(shell, hook, tmp_path):
    shell.files(f"{SIGN} --event tag --tag v2 {hook.url}/webhooks/gitlab")
    path, headers, body = sent(hook)
    assert path == "/webhooks/gitlab" and headers["X-Gitlab-Token"] == "It's a Secret to Everybody"
    assert json.loads(body)["ref"] == "refs/tags/v2"


def test_gitlab_signing(shell, hook, tmp_path):
    """Found out from the secret's form: it must never be sent as it is."""
    (tmp_path / "secret").write_text(f"whsec_{KEY}\n")
    shell.files(f"{SIGN} --event delete {hook.url}/webhooks/gitlab")
    _, headers, body = sent(hook)
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = hmac.new(base64.b64decode(KEY), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()
    assert headers["X-Gitlab-Token"] is None
    assert json.loads(body)["checkout_sha"] is None


@pytest.mark.parametrize("scheme", ["json", "form"])
def test_gitea(shell, hook, scheme):
    """It signs the JSON, inside a form too."""
    where = hook.url if scheme == "form" else f"{hook.url}/webhooks/gitea"
    words = "--scheme gitea-form" if scheme == "form" else ""  # else by the path
    result = shell.files(f"{SIGN} {words} --delivery d-1 {where}")
    path, headers, body = sent(hook)
    assert result.status == 0 and result.out == "d-1\n" and path == "/webhooks/gitea"
    if scheme == "form":
        body = urllib.parse.parse_qs(body.decode())["payload"][0].encode()
    mac = hmac.new(b"It's a Secret to Everybody", body, hashlib.sha256).hexdigest()
    assert headers["X-Gitea-Signature"] == mac and headers["X-Hub-Signature-256"] == f"sha256={mac}"
    assert headers["X-Gitea-Event"] == "push" and json.loads(body)["ref"] == "refs/heads/main"


@pytest.mark.parametrize("scheme,event", [("cloud", "repo:push"), ("server", "repo:refs_changed")])
def test_bitbucket(shell, hook, scheme, event):
    where = hook.url if scheme == "server" else f"{hook.url}/webhooks/bitbucket"
    words = "--scheme bitbucket-server" if scheme == "server" else ""
    shell.files(f"{SIGN} {words} --branch release/1 --delivery d-1 {where}")
    path, headers, body = sent(hook)
    mac = hmac.new(b"It's a Secret to Everybody", body, hashlib.sha256).hexdigest()
    assert path == "/webhooks/bitbucket" and headers["X-Event-Key"] == event
    assert headers["X-Hub-Signature"] == f"sha256={mac}"
    push = json.loads(body)
    if scheme == "server":
        assert push["changes"][0]["refId"] == "refs/heads/release/1" and headers["X-Request-Id"] == "d-1"
    else:
        assert push["push"]["changes"][0]["new"]["name"] == "release/1" and headers["X-Request-UUID"] == "d-1"


def test_unsigned(shell, hook):
    shell.files(f"cronwright sign --unsigned --event ping --repository {REPOSITORY} {hook.url}/")
    path, headers, _ = sent(hook)
    assert path == "/webhooks/github" and headers["X-Hub-Signature-256"] is None
    assert headers["X-GitHub-Event"] == "ping"


def test_print_is_what_would_be_sent(shell, hook):
    result = shell.files(f"{SIGN} --print -o json")
    request = json.loads(result.out)
    mac = hmac.new(b"It's a Secret to Everybody", request["body"].encode(), hashlib.sha256).hexdigest()
    assert request["headers"]["X-Hub-Signature-256"] == f"sha256={mac}"
    assert request["url"] == "/webhooks/github" and hook.requests == []


def test_transcript(shell, agent, hook, golden):
    shell.changes += [(r"after \d+ ms", "after 0 ms"), (r"=[0-9a-f]{64}", "=5f0c..."),
                      (r'\{"ref.*\}', '{"ref":"refs/heads/main",...}')]
    accepted = shell.terminal(f"{SIGN} --delivery d-1 {hook.url}")
    agent.on("POST", "/webhooks/github", Answer(202, {"delivery": "d-1", "reason": "repeated",
                                                      "detail": "same id as 08:01:10"}))
    results = [accepted, shell.terminal(f"{SIGN} --delivery d-1 {hook.url}")]
    agent.on("POST", "/webhooks/github", problem(401, "the signature matches no secret"))
    results += [shell.terminal(f"{SIGN} {hook.url}"), shell.files(f"{SIGN} {hook.url} -o json")]
    results.append(shell.terminal(f"{SIGN} --delivery d-1 --print"))
    for wrong in ("--scheme gitlab-signing --print", "--scheme gitlab-token --event ping --print",
                  "--branch a..b --print", "--commit 12 --print", "--tag v1 --event push --print", ""):
        results.append(shell.files(f"{SIGN} {wrong}"))
    results.append(shell.files(f"cronwright sign --repository {REPOSITORY} {hook.url}"))
    for result in results:
        result.command = result.command.replace(hook.url, "http://127.0.0.1:8080")
    golden("sign", *results)
