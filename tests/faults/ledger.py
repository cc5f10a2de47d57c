"""Counts what was done, to show that nothing was done twice: each Job that was ever made, and each image that was ever
written into a CronJob. A watch from one resourceVersion on tells every single revision in order, also that of an object
that is gone again a moment later; so nothing is missed, and a Job that is deleted and made again under its name has
another uid. Where a watch cannot be continued the count would not be exact, and the check fails."""

import collections
import http.client
import json
import secrets
import threading

from cluster import path_of
from places import ANNOTATION, SCHEDULE, container_of
from waiting import eventually

WATCH_SECONDS = 120  # then the API server ends it, and it is continued

# `old` and `new` are images. `uid` is that of the CronJob: one that was made anew is another.
Patch = collections.namedtuple("Patch", "namespace name uid commit old new")


class Watch(threading.Thread):
    """All changes of one kind in one namespace, from now on."""

    def __init__(self, cluster, kind, namespace, told):
        super().__init__(daemon=True)
        self.cluster, self.kind, self.namespace, self.told = cluster, kind, namespace, told
        self.fault, self.ended, self.markers = None, threading.Event(), set()
        listed = cluster.call("GET", path_of(kind, namespace))
        self.version = listed["metadata"]["resourceVersion"]
        for found in listed["items"]:
            told("FOUND", found)
        self.start()

    def run(self):
        while not self.ended.is_set() and not self.fault:
            try:
                self.follow()
            except (OSError, http.client.HTTPException, json.JSONDecodeError):
                self.ended.wait(0.2)  # the API server is away: continued where it was cut

    def follow(self):
        connection = http.client.HTTPSConnection(*self.cluster.endpoint, timeout=WATCH_SECONDS + 30,
                                                 context=self.cluster.context)
        try:
            connection.request("GET", path_of(self.kind, self.namespace, watch="1", resourceVersion=self.version,
                                              timeoutSeconds=WATCH_SECONDS),
                               headers={"Authorization": f"Bearer {self.cluster.token}"} if self.cluster.token else {})
            response = connection.getresponse()
            if response.status == 410:
                self.fault = "its revisions are gone"
            if response.status != 200:
                self.ended.wait(0.2)
                return
            while not self.ended.is_set() and (line := response.readline()):
                self.take(json.loads(line))
        finally:
            connection.close()

    def take(self, event):
        found = event["object"]
        if event["type"] == "ERROR":
            if found.get("code") == 410:
                self.fault = f"it was cut off: {found.get('message')}"
            raise OSError(str(found))
        self.version = found["metadata"]["resourceVersion"]
        self.markers.add(found["metadata"]["name"])
        self.told(event["type"], found)

    def marker(self, name):
        pod = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "never.invalid/started"}]}}
        job = {"suspend": True, "template": pod}
        return {"jobs": {"metadata": {"name": name}, "spec": job},
                "cronjobs": {"metadata": {"name": name}, "spec": {"schedule": SCHEDULE, "suspend": True,
                                                                  "jobTemplate": {"spec": job}}}}[self.kind]

    def catch_up(self):
        """Waits until it has told all that was written so far: until it tells of something that is written now."""
        name = f"ledger-{secrets.token_hex(4)}"
        self.cluster.create(self.kind, self.namespace, self.marker(name))
        try:
            eventually(lambda: self.fault or name in self.markers, f"the watch of {self.kind} has caught up", 120)
        finally:
            self.cluster.delete(self.kind, self.namespace, name)
        assert not self.fault, f"the watch of {self.kind} in {self.namespace}: {self.fault}"


class Ledger:
    """Of these places, from now on: make it before the test's first push. `with` ends its watches."""

    def __init__(self, *places):
        self.lock = threading.Lock()
        self.made = collections.defaultdict(set)  # namespace, name of a Job → uids
        self.patches = []                         # in order
        self.live = {}                            # uid of a CronJob → its image
        self.places = places
        own = {place.namespace for place in places}
        cluster = places[0].cluster
        self.watches = [Watch(cluster, "jobs", namespace, self.note_job)
                        for namespace in own | {place.builds_namespace for place in places}]
        self.watches += [Watch(cluster, "cronjobs", namespace, self.note_cronjob) for namespace in own]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for watch in self.watches:
            watch.ended.set()

    def is_ours(self, job):
        """The namespace of builds is shared."""
        about = job["metadata"]
        repository = about.get("annotations", {}).get(ANNOTATION + "repository", "")
        return any(about["namespace"] == place.namespace or
                   (about["namespace"] == place.builds_namespace and f"/{place.namespace}/" in repository)
                   for place in self.places)

    def note_job(self, what, job):
        about = job["metadata"]
        if what != "ADDED" or about["name"].startswith("ledger-") or not self.is_ours(job):
            return
        with self.lock:
            self.made[about["namespace"], about["name"]].add(about["uid"])

    def note_cronjob(self, what, cronjob):
        about = cronjob["metadata"]
        image, notes = container_of(cronjob)["image"], about.get("annotations", {})
        with self.lock:
            before = self.live.get(about["uid"], image)
            self.live[about["uid"]] = image
            # What a person or a GitOps tool writes is not what was patched last.
            if what == "MODIFIED" and image != before and image == notes.get(ANNOTATION + "patched-image"):
                self.patches.append(Patch(about["namespace"], about["name"], about["uid"],
                                          notes.get(ANNOTATION + "commit"), before, image))

    def catch_up(self):
        for watch in self.watches:
            watch.catch_up()


def jobs_made_once(ledger):
    """Each Job was made once: those of builds, whose name is that of commit, recipe and attempt, and those of runs.
    Gives how many there were."""
    ledger.catch_up()
    with ledger.lock:
        twice = {name: len(uids) for name, uids in ledger.made.items() if len(uids) > 1}
        assert not twice, f"made more than once: {twice}"
        return len(ledger.made)


def patched_once(ledger, again=()):
    """Each CronJob got each commit's image at most once; `again` are commits that came to be the head once more.
    Gives how many patches there were."""
    ledger.catch_up()
    with ledger.lock:
        counts = collections.Counter((patch.namespace, patch.name, patch.uid, patch.commit)
                                     for patch in ledger.patches if patch.commit not in again)
        twice = {key: count for key, count in counts.items() if count > 1}
        assert not twice, f"patched more than once: {twice}"
        return len(ledger.patches)
