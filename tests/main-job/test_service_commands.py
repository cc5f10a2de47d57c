"""A service's whole life by the command line alone: created, reviewed, edited, started, run, rolled back,
copied, stopped, deleted."""

import json

import pytest

from agents import Agent
from places import SCHEDULE, TOP, container_of, report
from waiting import eventually

BUSYBOX = "/bin/busybox"


@pytest.fixture(scope="module")
def desk(new_place):
    place = new_place("desk")
    with Agent(place, place.directory) as agent:
        yield agent


def named(desk, word):
    """A name that nobody has, alone and with its namespace."""
    name = desk.place.name(word)
    return name, f"{desk.place.namespace}/{name}"


def cronjob(desk, name):
    return desk.place.cluster.get("cronjobs", desk.place.namespace, name)


def create(desk, full_name, *more, schedule=SCHEDULE):
    """From busybox, by options."""
    return desk.cli("create", full_name, "--image", desk.place.cluster.busybox_image, "--schedule", schedule,
                    "--time-zone", "UTC", "--restarts", "0", *more)


def written(desk, word, text):
    path = desk.directory / f"{word}.yaml"
    path.write_text(text)
    return str(path)


def editor(desk, script):
    """EDITOR: a script whose $1 is the file."""
    path = desk.directory / "editor"
    path.write_text(f"#!/bin/sh -e\n{script}\n")
    path.chmod(0o755)
    return {"EDITOR": str(path), "TMPDIR": str(desk.directory)}


def status(desk, full_name):
    return desk.cli_json("show", full_name)["status"]


def built(desk, full_name, commit):
    return eventually(lambda: (status(desk, full_name)["live"] or {}).get("commit") == commit,
                      f"{full_name} has the image of {commit[:7]}", 120)


def logged(desk, full_name, *more, **options):
    return desk.cli("run", "--follow", full_name, *more, **options)[0]


# --- from an image ---

def test_from_an_image(desk):
    name, full_name = named(desk, "plain")
    words = ("--env", "WHO=world", "--limit-memory", "64Mi", "--project", "tests", "--command", "--",
             BUSYBOX, "sh", "-c", 'echo "hello $WHO $*"', "sh")
    out, err = create(desk, full_name, *words)
    assert out == f"{full_name}  created, a draft\n" and f"cronwright start {full_name}" in err
    assert cronjob(desk, name)["spec"]["suspend"] is True
    assert create(desk, full_name, *words)[0] == f"{full_name}  is there already, and the same\n"

    page = desk.cli("show", full_name)[0]
    assert page.startswith(f"{full_name}  draft  never run") and "project tests" in page
    assert "env       WHO=world" in page and "limits memory 64Mi" in page and "missing   nothing" in page
    assert f"try       cronwright start {full_name}" in page

    assert desk.cli("start", full_name)[0].startswith(f"{full_name}  draft → started; next 01 Jan 00:00 UTC (in ")
    assert cronjob(desk, name)["spec"]["suspend"] is False
    assert desk.cli("start", full_name)[0].startswith(f"{full_name}  started already")
    assert full_name in desk.cli("services", "-n", desk.place.namespace, "-o", "name")[0].splitlines()
    assert "01 Jan 00:00 UTC" in desk.cli("services", "--project", "tests")[0]

    assert logged(desk, full_name) == "hello world \n"
    assert logged(desk, full_name, "--env", "WHO=you", "--", "and", "me") == "hello you and me\n"
    refused = desk.cli("run", "--env", "WHO=you", full_name, token="runner", status=1)[1]
    assert "403" in refused

    assert desk.cli("stop", full_name)[0] == f"{full_name}  started → stopped\n"
    assert cronjob(desk, name)["spec"]["suspend"] is True
    assert "without a terminal" in desk.cli("delete", full_name, status=2)[1]
    assert desk.cli("delete", "--yes", full_name)[0] == f"{full_name}  deleted; its runs' logs kept\n"
    assert cronjob(desk, name) is None
    assert "there is no service" in desk.cli("show", full_name, status=1)[1]


def test_dry_run_creates_nothing(desk):
    name, full_name = named(desk, "dry")
    assert "nothing created" in create(desk, full_name, "--dry-run")[0]
    assert cronjob(desk, name) is None


def test_the_example_is_taken(desk):
    """But for the names of this place."""
    name, full_name = named(desk, "example")
    text = desk.cli("create", "--example")[0]
    for old, new in (("nightly-report", name), ("namespace: reports", f"namespace: {desk.place.namespace}"),
                     ("https://github.com/acme", desk.place.git_url), ("registry.example/acme", desk.place.images)):
        assert old in text
        text = text.replace(old, new)
    desk.place.cluster.kubectl("-n", desk.place.namespace, "create", "serviceaccount", "report")
    assert "valid; nothing created" in desk.cli("create", "--dry-run", "-f", written(desk, name, text))[0]
    assert cronjob(desk, name) is None


def test_what_is_wrong_is_told_by_its_place(desk):
    name, full_name = named(desk, "wrong")
    file = written(desk, name, f"name: {name}\nnamespace: {desk.place.namespace}\nsource:\n  image: Upper Case\n"
                               "schedule: \"0 3 * * 7\"\ntimezone: Europe/Berlin\nresources:\n  limits:\n"
                               "    memory: 100mb\n")
    err = desk.cli("create", "-f", file, status=1)[1]
    lines = [line.removeprefix(file) for line in err.splitlines()]
    assert [line.split(" ")[0] for line in lines[:4]] == [":4:10", ":5:11", ":6:1", ":9:13"]
    assert 'schedule "0 3 * * 7": ' in lines[1] and 'did you mean "timeZone"?' in lines[2]
    assert "4 errors, nothing created" in lines[4] and cronjob(desk, name) is None

    err = create_wrong(desk, full_name)
    assert "--schedule \"61 * * * *\": " in err and "--time-zone \"Europe/Nowhere\": " in err


def create_wrong(desk, full_name):
    return desk.cli("create", full_name, "--image", "r.example/x:1", "--schedule", "61 * * * *", "--time-zone",
                    "Europe/Nowhere", status=1)[1]


def test_a_name_that_is_taken(desk):
    _, full_name = named(desk, "taken")
    create(desk, full_name)
    err = desk.cli("create", full_name, "--image", desk.place.cluster.busybox_image, "--schedule", "0 4 * * *",
                   status=1)[1]
    assert 'schedule: yours "0 4 * * *", theirs' in err and f"cronwright edit {full_name}" in err
    desk.cli("delete", "-y", full_name)


# --- from a repository ---

def test_from_a_repository(desk):
    place = desk.place
    name, full_name = named(desk, "git")
    repository = place.repository("git")
    first = repository.push(report(place.cluster, "one"), "Say one")
    file = written(desk, name, f"""
name: {name}
namespace: {place.namespace}
source: {{git: {{repository: "{repository.url}"}}}}
image: {place.images}/{name}
schedule: "{SCHEDULE}"
timeZone: Europe/Berlin
restarts: 0
""")
    out, err = desk.cli("create", "-f", file)
    assert out == f"{full_name}  created, a draft\n"
    built(desk, full_name, first)
    page = desk.cli("show", full_name)[0]
    assert f"live      {first[:7]} \"Say one\", Ana" in page and "run: none yet" in page
    desk.cli("start", full_name)
    assert logged(desk, full_name) == "one\n"

    second = repository.push(report(place.cluster, "two"), "Say two")
    assert "b-" in desk.cli("build", "--follow", full_name)[1]
    built(desk, full_name, second)
    assert logged(desk, full_name) == "two\n"

    def images():
        found = desk.cli_json("images", full_name)["images"]
        return found if len(found) == 2 else None
    assert [image["commit"] for image in eventually(images, "both images are listed")] == [second, first]

    out, err = desk.cli("rollback", full_name)
    assert f"of {first[:7]}" in out and "pinned" in err
    assert logged(desk, full_name) == "one\n"
    eventually(lambda: status(desk, full_name)["pinned"], "it is seen to be pinned")
    assert f"cronwright resume {full_name}" in desk.cli("show", full_name)[0]
    assert desk.cli("resume", full_name)[0] == f"{full_name}  pinned → following\n"
    built(desk, full_name, second)
    assert logged(desk, full_name) == "two\n"

    copy, full_copy = named(desk, "copy")
    assert desk.cli("copy", full_name, full_copy)[0] == f"{full_name} → {full_copy}, a draft\n"
    assert desk.cli_json("show", full_copy)["source"] == desk.cli_json("show", full_name)["source"]
    for one in (full_name, full_copy):
        desk.cli("delete", "--logs", "delete", "--if-active", "cancel", "--yes", one)
    assert cronjob(desk, name) is None and cronjob(desk, copy) is None


def test_build_follows_the_build_of_its_own_service(desk):
    """Two services build one branch in different ways."""
    place = desk.place
    slow = "\n".join(["ARG WHO", f'RUN ["{BUSYBOX}", "sh", "-c", "echo log of $WHO; {BUSYBOX} sleep 3; test $WHO != bad"]'])
    repository = place.repository("recipes")
    repository.push(report(place.cluster, "first", slow))
    full_names = {}
    for who in ("one", "two"):
        name, full_names[who] = named(desk, who)
        desk.cli("create", "-f", written(desk, name, json.dumps({
            "name": name, "namespace": place.namespace, "schedule": SCHEDULE, "timeZone": "UTC",
            "source": {"git": {"repository": repository.url, "buildArgs": {"WHO": who}}},
            "image": f"{place.images}/{name}"})))
    for full_name in full_names.values():
        built(desk, full_name, repository.commit_of_head())

    commit = repository.push(report(place.cluster, "second", slow))
    followed = {who: desk.command("build", "--follow", full_name) for who, full_name in full_names.items()}
    for who, process in followed.items():
        out, err = process.communicate(timeout=120)
        other = "two" if who == "one" else "one"
        assert process.returncode == 0, err
        assert f"\nlog of {who}\n".encode() in out and f"\nlog of {other}\n".encode() not in out
        last = status(desk, full_names[who])["lastBuild"]
        assert (last["state"], last["commit"]) == ("done", commit) and f"✔ {last['build']} done: ".encode() in err
    assert "– unchanged: " in desk.cli("build", "--follow", full_names["one"])[1]

    desk.cli("edit", "--yes", full_names["two"], variables=editor(desk, "sed -i 's/WHO: two/WHO: bad/' \"$1\""))
    out, err = desk.cli("build", "--follow", full_names["two"], status=1)
    assert "\nlog of bad\n" in out and "✗ b-" in err
    for full_name in full_names.values():
        desk.cli("delete", "--yes", full_name)


def test_a_start_before_there_is_an_image(desk):
    """It takes effect when the first build has ended."""
    place = desk.place
    name, full_name = named(desk, "early")
    repository = place.repository("early")
    commit = repository.push(report(place.cluster, "early", f'RUN ["{BUSYBOX}", "sleep", "4"]'))
    desk.cli("create", full_name, "--repository", repository.url, "--image", f"{place.images}/early", "--schedule",
             SCHEDULE, "--time-zone", "UTC")
    out, err = desk.cli("start", full_name)
    assert out == f"{full_name}  draft → starting\n" and "it starts when its image is built" in err
    page = desk.cli("show", full_name)[0]
    assert page.startswith(f"{full_name}  starting  never run") and "starts when the image is built" in page
    built(desk, full_name, commit)
    eventually(lambda: desk.cli("show", full_name)[0].startswith(f"{full_name}  started"), "it is started")
    assert cronjob(desk, name)["spec"]["suspend"] is False
    desk.cli("delete", "-y", full_name)


def test_a_start_that_lacks_something(desk):
    _, full_name = named(desk, "lacking")
    place = desk.place
    file = written(desk, "lacking", json.dumps({
        "name": full_name.split("/")[1], "namespace": place.namespace, "schedule": SCHEDULE,
        "source": {"git": {"repository": place.repository("empty").url}}, "image": f"{place.images}/lacking",
        "env": [{"name": "SITE", "configMap": {"name": "not-there", "key": "x"}}]}))
    desk.cli("create", "-f", file)
    assert 'unchecked ConfigMap "not-there"' in desk.cli("show", full_name)[0]
    place.cluster.kubectl("apply", "-f", str(TOP / "deploy/manifests/rbac-check-references.yaml"))
    place.cluster.kubectl("-n", place.namespace, "create", "rolebinding", "check",
                          "--clusterrole=cronwright-check-references", "--serviceaccount=cronwright:cronwright")
    eventually(lambda: any("not-there" in text for text in status(desk, full_name)["missing"]), "the agent may look")
    shown = desk.cli("show", full_name)[0]
    assert 'ConfigMap "not-there" does not exist: kubectl' in shown.partition("\nmissing ")[2]
    err = desk.cli("start", full_name, status=1)[1]
    assert '✗ ConfigMap "not-there" does not exist: kubectl' in err and "(409)" in err
    assert cronjob(desk, full_name.split("/")[1])["spec"]["suspend"] is True
    desk.cli("delete", "-y", full_name)


# --- editing ---

@pytest.fixture(scope="module")
def edited(desk):
    name, full_name = named(desk, "edited")
    create(desk, full_name, "--", "true")
    # What cronwright has no word for.
    desk.place.cluster.merge("cronjobs", desk.place.namespace, name, {"spec": {"jobTemplate": {"spec": {"template": {
        "spec": {"dnsPolicy": "Default", "terminationGracePeriodSeconds": 7}}}}}})
    return name, full_name


def test_edit(desk, edited):
    name, full_name = edited
    script = "sed -i 's/^schedule: .*/schedule: \"30 4 * * *\"/; s/^restarts: .*/restarts: 2/' \"$1\"; " \
             "echo 'env: [{name: MODE, value: full}]' >> \"$1\""
    out, _ = desk.cli("edit", "--yes", full_name, variables=editor(desk, script))
    assert '+schedule: 30 4 * * *' in out.replace('"', "") and f"{full_name}  changed: " in out
    spec = cronjob(desk, name)["spec"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert spec["schedule"] == "30 4 * * *" and spec["jobTemplate"]["spec"]["backoffLimit"] == 2
    assert container_of({"spec": spec})["env"] == [{"name": "MODE", "value": "full"}]
    assert (pod["dnsPolicy"], pod["terminationGracePeriodSeconds"]) == ("Default", 7)
    assert desk.cli("edit", "--yes", full_name, variables=editor(desk, "true"))[0] == f"{full_name}  nothing changed\n"


def test_an_edit_that_is_wrong_or_given_up_changes_nothing(desk, edited):
    name, full_name = edited
    before = cronjob(desk, name)
    for script in ("echo x >> \"$1\"; exit 1", "echo 'restarts: [' >> \"$1\"",
                   "sed -i 's/^schedule: .*/schedule: never/' \"$1\""):
        err = desk.cli("edit", "--yes", full_name, variables=editor(desk, script), status=1)[1]
        assert "what you wrote is kept: " in err
    assert cronjob(desk, name) == before


def test_an_edit_never_overwrites_another(desk, edited):
    name, full_name = edited
    cluster = desk.place.cluster
    ready, go = desk.directory / "ready", desk.directory / "go"
    script = f"sed -i 's/^restarts: .*/restarts: 5/' \"$1\"; touch {ready}; until [ -e {go} ]; do sleep 0.1; done"
    process = desk.command("edit", "--yes", full_name, variables=editor(desk, script))
    eventually(ready.exists, "the editor runs")
    cluster.merge("cronjobs", desk.place.namespace, name, {"spec": {"concurrencyPolicy": "Replace"}})
    eventually(lambda: desk.cli_json("show", full_name)["concurrency"] == "Replace", "the agent sees the change")
    go.touch()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and b"changed by someone else meanwhile" in err
    assert b"+concurrency: Replace" in out
    spec = cronjob(desk, name)["spec"]
    assert spec["jobTemplate"]["spec"]["backoffLimit"] != 5 and spec["concurrencyPolicy"] == "Replace"


def test_edit_by_a_file_that_show_gave(desk, edited):
    name, full_name = edited
    shown = desk.cli("show", "-o", "yaml", full_name)[0]
    file = written(desk, name, shown.replace("concurrency: Replace", "concurrency: Forbid"))
    assert "+concurrency: Forbid" in desk.cli("edit", "-f", file, "--dry-run")[0]
    assert desk.cli("edit", "-f", file, "--yes")[0].endswith("changed: concurrency\n")
    assert cronjob(desk, name)["spec"]["concurrencyPolicy"] == "Forbid"


# --- adopting ---

def by_hand(desk, word, *containers, **labels):
    """A CronJob that cronwright does not manage."""
    name, full_name = named(desk, word)
    desk.place.cluster.create("cronjobs", desk.place.namespace, {
        "metadata": {"name": name, "labels": {"team": "a", **labels}},
        "spec": {"schedule": SCHEDULE, "suspend": True, "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "hostname": "kept",
            "containers": [{"name": container, "image": image} for container, image in containers]}}}}}})
    return name, full_name


def test_adopt(desk):
    place = desk.place
    repository = place.repository("byhand", report(place.cluster, "adopted"))
    name, full_name = by_hand(desk, "byhand", ("main", place.cluster.busybox_image),
                              **{"app.kubernetes.io/managed-by": "Helm"})
    out, err = desk.cli("adopt", full_name, "--repository", repository.url, "--image", f"{place.images}/adopted")
    assert out.startswith(f"{full_name}  adopted\n  managed false → true\n  repository - → ") and "⚠ " in err and "Helm" in err
    assert desk.cli("adopt", full_name, "--repository", repository.url, "--image",
                    f"{place.images}/adopted")[0] == f"{full_name}  adopted already\n"
    found = cronjob(desk, name)
    assert found["metadata"]["labels"]["team"] == "a"
    assert found["spec"]["jobTemplate"]["spec"]["template"]["spec"]["hostname"] == "kept"
    eventually(lambda: full_name in desk.cli("services", "-o", "name")[0].split(), "it is listed")
    desk.cli("build", full_name)
    built(desk, full_name, repository.commit_of_head())
    assert logged(desk, full_name) == "adopted\n"


def test_adopt_wants_a_choice_among_containers(desk):
    place = desk.place
    name, full_name = by_hand(desk, "two", ("app", place.cluster.busybox_image), ("proxy", "r.example/proxy:1"))
    words = ("adopt", full_name, "--repository", place.repository("two").url, "--image", f"{place.images}/two")
    before = cronjob(desk, name)
    err = desk.cli(*words, status=1)[1]
    assert err.startswith("--container: ") and "it has 2 containers" in err and "nothing changed" in err
    assert cronjob(desk, name) == before
    assert "container - → app" in desk.cli(*words, "--container", "app")[0]
