"""What an account's rights are, and what it asked of the API server, by that server's own record."""

import collections
import json
import os

import yaml

# `namespace` is None for a ClusterRole; `resource` has its subresource.
Right = collections.namedtuple("Right", "role namespace group resource verb")
Use = collections.namedtuple("Use", "namespace group resource verb allowed")


def rights(path):
    found = set()
    for document in yaml.safe_load_all(path.read_text()):
        if document["kind"] in ("Role", "ClusterRole"):
            about = document["metadata"]
            found |= {Right(about["name"], about.get("namespace"), group, resource, verb)
                      for rule in document["rules"] for group in rule["apiGroups"]
                      for resource in rule["resources"] for verb in rule["verbs"]}
    return found


def text(right):
    where = f"Role {right.role} in {right.namespace}" if right.namespace else f"ClusterRole {right.role}"
    return f"{where}: {right.verb} {'/'.join(part for part in (right.group, right.resource) if part)}"


def uses(pods):
    """What the pods of these uids asked, as set of Use. A watch stands in the record when it begins."""
    found = set()
    with open(os.environ["AUDIT_LOG"]) as log:
        for line in log:
            event = json.loads(line)
            of_pod = event["user"].get("extra", {}).get("authentication.kubernetes.io/pod-uid", [None])[0]
            about = event.get("objectRef")
            if of_pod in pods and about:
                resource = "/".join(about[key] for key in ("resource", "subresource") if key in about)
                found.add(Use(about.get("namespace"), about.get("apiGroup", ""), resource, event["verb"],
                              event["annotations"]["authorization.k8s.io/decision"] == "allow"))
    return found


def is_used(right, found, own_namespaces):
    """A right that holds everywhere counts where no Role gives it too."""
    return any((use.group, use.resource, use.verb) == right[2:] and use.allowed and
               (use.namespace == right.namespace if right.namespace else use.namespace not in own_namespaces)
               for use in found)
