"""Webhook requests as GitHub and GitLab send them. Signed here, independently of the product."""

import base64
import hashlib
import hmac
import json
import time
import urllib.parse
import uuid

ZEROS = "0" * 40


class Delivery:
    """A request to a webhook address. Headers are (name, value) pairs, so that one may come twice."""

    def __init__(self, forge, delivery_id, headers, body):
        self.path, self.id, self.headers, self.body = f"/webhooks/{forge}", delivery_id, headers, body

    def with_headers(self, *changes):
        """A copy with these headers instead of those of the same names; None leaves one out."""
        names = {name.lower() for name, _ in changes}
        kept = [pair for pair in self.headers if pair[0].lower() not in names]
        return Delivery(self.path.rsplit("/", 1)[1], self.id, kept + [pair for pair in changes if pair[1] is not None],
                        self.body)

    def head(self, *more):
        """The head of its request as bytes; `more` are whole header lines, such as that of the length."""
        lines = [f"POST {self.path} HTTP/1.1", "Host: localhost", *more]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    def request(self):
        return self.head(f"Content-Length: {len(self.body)}") + self.body

    def with_body(self, body):
        return Delivery(self.path.rsplit("/", 1)[1], self.id, list(self.headers), body)


def names_of(url):
    path = urllib.parse.urlsplit(url).path.strip("/").removesuffix(".git")
    return path, path.rsplit("/", 1)[-1]


def commit_of(url, commit):
    return {"id": commit, "tree_id": "f" * 40, "distinct": True, "message": "Change the report\n\nAt length.",
            "timestamp": "2026-11-24T08:01:00+01:00", "url": f"{url}/commit/{commit}",
            "author": {"name": "Ana", "email": "ana@example.com"},
            "committer": {"name": "Ana", "email": "ana@example.com"},
            "added": [], "removed": [], "modified": ["report.sh"]}


# --- GitHub ---

def github_push(url, after, ref="refs/heads/main", before=ZEROS):
    full_name, name = names_of(url)
    deleted = after == ZEROS
    commits = [] if deleted else [commit_of(url, after)]
    return {"ref": ref, "before": before, "after": after,
            "repository": {"id": 35129377, "name": name, "full_name": full_name, "private": True,
                           "html_url": url.removesuffix(".git"), "clone_url": url,
                           "ssh_url": f"git@{urllib.parse.urlsplit(url).hostname}:{full_name}.git",
                           "owner": {"name": "acme", "login": "acme"}, "default_branch": "main"},
            "pusher": {"name": "ana", "email": "ana@example.com"}, "sender": {"login": "ana", "id": 21031067},
            "created": before == ZEROS, "deleted": deleted, "forced": False, "base_ref": None,
            "compare": f"{url}/compare/{before[:12]}...{after[:12]}", "commits": commits,
            "head_commit": commits[0] if commits else None}


def github_ping(url):
    return {"zen": "Keep it logically awesome.", "hook_id": 30, "hook": {"type": "Repository", "id": 30},
            "repository": github_push(url, ZEROS)["repository"]}


def github_signature(secret, body, algorithm="sha256"):
    return f"{algorithm}=" + hmac.new(secret.encode(), body, algorithm).hexdigest()


def github(payload, secret, event="push", form=False, delivery_id=None):
    """`payload` may be bytes: the body as it is."""
    delivery_id = delivery_id or str(uuid.uuid4())
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    content_type = "application/json"
    if form:
        content_type = "application/x-www-form-urlencoded"
        body = b"payload=" + urllib.parse.quote_plus(body).encode()
    return Delivery("github", delivery_id,
                    [("User-Agent", "GitHub-Hookshot/044aadd"), ("Content-Type", content_type),
                     ("X-GitHub-Hook-ID", "30"), ("X-GitHub-Event", event), ("X-GitHub-Delivery", delivery_id),
                     ("X-Hub-Signature", github_signature(secret, body, "sha1")),
                     ("X-Hub-Signature-256", github_signature(secret, body))], body)


# --- GitLab ---

def gitlab_push(url, after, ref="refs/heads/main", before=ZEROS, kind="push"):
    full_name, name = names_of(url)
    deleted = after == ZEROS
    return {"object_kind": kind, "event_name": kind, "before": before, "after": after, "ref": ref,
            "checkout_sha": None if deleted else after, "message": None, "user_id": 4, "user_name": "Ana",
            "user_username": "ana", "user_email": "", "project_id": 15,
            "project": {"id": 15, "name": name, "web_url": url.removesuffix(".git"),
                        "git_ssh_url": f"git@{urllib.parse.urlsplit(url).hostname}:{full_name}.git",
                        "git_http_url": url, "path_with_namespace": full_name, "default_branch": "main"},
            "commits": [] if deleted else [commit_of(url, after)], "total_commits_count": 0 if deleted else 1,
            "repository": {"name": name, "url": url, "git_http_url": url, "visibility_level": 0}}


def gitlab_signature(signing_token, delivery_id, timestamp, body):
    key = base64.b64decode(signing_token.removeprefix("whsec_"))
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def gitlab(payload, token=None, signing_token=None, event="Push Hook", delivery_id=None, timestamp=None):
    delivery_id = delivery_id or str(uuid.uuid4())
    timestamp = str(int(time.time()) if timestamp is None else timestamp)
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    headers = [("User-Agent", "GitLab/18.5.0"), ("Content-Type", "application/json"), ("X-Gitlab-Event", event),
               ("Idempotency-Key", delivery_id), ("X-Gitlab-Webhook-UUID", str(uuid.uuid4())),
               ("X-Gitlab-Event-UUID", str(uuid.uuid4())), ("X-Gitlab-Instance", "https://gitlab.example.com")]
    if token:
        headers.append(("X-Gitlab-Token", token))
    if signing_token:
        headers += [("webhook-id", delivery_id), ("webhook-timestamp", timestamp),
                    ("webhook-signature", gitlab_signature(signing_token, delivery_id, timestamp, body))]
    return Delivery("gitlab", delivery_id, headers, body)


# --- Gitea and Forgejo: GitHub's payload, signed before it is put into a form ---

def gitea(payload, secret, event="push", form=False, delivery_id=None, name="Gitea"):
    """`name` is whose headers lead: "Forgejo" sends its own beside Gitea's. No secret: headers without digits."""
    delivery_id = delivery_id or str(uuid.uuid4())
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    digits = github_signature(secret, body).removeprefix("sha256=") if secret else ""
    content_type = "application/x-www-form-urlencoded" if form else "application/json"
    headers = [("Content-Type", content_type), ("X-GitHub-Event", event), ("X-GitHub-Delivery", delivery_id)]
    for prefix in dict.fromkeys((name, "Gitea", "Gogs")):
        headers += [(f"X-{prefix}-Delivery", delivery_id), (f"X-{prefix}-Event", event),
                    (f"X-{prefix}-Signature", digits)]
    headers.append(("X-Hub-Signature-256", f"sha256={digits}"))
    if form:
        body = urllib.parse.urlencode({"payload": body.decode()}).encode()
    return Delivery("gitea", delivery_id, headers, body)


# --- Bitbucket ---

def bitbucket_cloud_push(url, *changes):
    """`changes` are (branch, commit); a commit of None is a deletion."""
    full_name, name = names_of(url)
    ref = lambda branch, commit: {"type": "branch", "name": branch, "target": {
        "type": "commit", "hash": commit, "message": "Change the report\n", "date": "2026-11-24T08:01:00+00:00"}}
    return {"actor": {"type": "user", "display_name": "Ana"},
            "repository": {"type": "repository", "name": name, "full_name": full_name, "scm": "git",
                           "links": {"html": {"href": url.removesuffix(".git")}}},
            "push": {"changes": [{"new": ref(branch, commit) if commit else None, "old": ref(branch, "a" * 40),
                                  "created": False, "closed": not commit, "forced": False, "truncated": False}
                                 for branch, commit in changes]}}


def bitbucket_server_push(url, *changes, ssh="ssh://git@bitbucket.example:7999/acme/report.git"):
    return {"eventKey": "repo:refs_changed", "date": "2026-11-24T08:01:00+0000",
            "actor": {"name": "ana", "displayName": "Ana", "type": "NORMAL"},
            "repository": {"slug": names_of(url)[1], "scmId": "git", "links": {
                "clone": [{"href": ssh, "name": "ssh"}, {"href": url, "name": "http"}]}},
            "changes": [{"ref": {"id": f"refs/heads/{branch}", "displayId": branch, "type": "BRANCH"},
                         "refId": f"refs/heads/{branch}", "fromHash": "a" * 40, "toHash": commit or ZEROS,
                         "type": "UPDATE" if commit else "DELETE"} for branch, commit in changes]}


def bitbucket(payload, secret, event="repo:push", delivery_id=None):
    delivery_id = delivery_id or str(uuid.uuid4())
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    headers = [("User-Agent", "Bitbucket-Webhooks/2.0"), ("Content-Type", "application/json; charset=utf-8"),
               ("X-Event-Key", event)]
    if event == "repo:push":
        headers += [("X-Request-UUID", delivery_id), ("X-Hook-UUID", str(uuid.uuid4()))]
    else:
        headers.append(("X-Request-Id", delivery_id))
    if secret:
        headers.append(("X-Hub-Signature", github_signature(secret, body)))
    return Delivery("bitbucket", delivery_id, headers, body)
