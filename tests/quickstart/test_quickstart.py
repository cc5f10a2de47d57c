"""The README's first command, run as a newcomer would, in a copy of the checkout: what it shows, what it leaves
for `source`, that it cleans up however it ends, and that it says what failed."""

import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import urllib.request

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
ENVIRONMENT = {name: value for name, value in os.environ.items()
               if name in ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TERM", "XDG_CACHE_HOME", "SUDO_USER",
                           "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")}
VARIABLES = ["CRONWRIGHT_URL", "CRONWRIGHT_TOKEN_FILE", "WEBHOOK_URL", "GITHUB_SECRET_FILE", "GITLAB_TOKEN_FILE",
             "GITLAB_SIGNING_TOKEN_FILE", "STATE_DIR", "AGENT_PID", "CRONWRIGHT", "CONFIG", "KUBECONFIG", "KUBECTL",
             "REGISTRY", "NAMESPACE", "CRONJOB", "REPOSITORY", "REPOSITORY_DIR"]


def eventually(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)
    return found


class Checkout:
    def __init__(self, directory):
        self.directory = directory
        self.state = directory / "out/quickstart"
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=TOP,
                                check=True, capture_output=True, text=True).stdout
        for name in filter(None, listed.split("\0")):
            if (TOP / name).exists():
                (directory / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(TOP / name, directory / name)
        self.keep_schedule_away()

    def keep_schedule_away(self):
        """At a time that comes in the middle of a test, the sample's own run would be active."""
        sample = self.directory / "deploy/sample/cronjob.yaml"
        far = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=12)).hour
        changed, count = re.subn(r'schedule: "0 3 \* \* \*"', f'schedule: "0 {far} * * *"', sample.read_text())
        assert count == 1
        sample.write_text(changed)

    def start(self, *words):
        # What is started in the background of a script ignores interrupts, and so would all that it starts.
        return subprocess.Popen(["./deploy/quickstart", *words], cwd=self.directory, env=ENVIRONMENT, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                start_new_session=True,
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def run(self, *words, status=0):
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=600)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            out, err = process.communicate()
        assert process.returncode == status, f"exit {process.returncode}\n{out}\n{err}"
        return out, err

    def traces(self):
        """What a quickstart or cluster of this directory could leave on the machine."""
        found = [str(path) for path in (self.state, self.directory / "out/cluster") if path.exists()]
        for process in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = pathlib.Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                if str(self.directory) in words + " " + os.readlink(f"/proc/{process}/exe"):
                    found.append(f"process {process}: {words[:200]}")
            except OSError:  # it has ended, or is a kernel thread
                pass
        with open("/proc/mounts") as mounts:
            found += [f"mount {line.split()[1]}" for line in mounts if str(self.directory) in line]
        return found


def links():
    listed = json.loads(subprocess.run(["ip", "-j", "link"], check=True, capture_output=True).stdout)
    return {link["ifname"] for link in listed}


def links_go(before):
    """Those of pods go with their namespaces, a little later than all else."""
    eventually(lambda: links() <= before, "no link is left", 10)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    checkout = Checkout(tmp_path_factory.mktemp("checkout"))
    yield checkout
    for script in ("deploy/quickstart", "tests/cluster/down"):
        words = [f"./{script}"] + (["--down"] if script == "deploy/quickstart" else [])
        subprocess.run(words, cwd=checkout.directory, env=ENVIRONMENT, check=True, capture_output=True)


class Kept:
    """A quickstart that was left running."""

    def __init__(self, checkout):
        self.checkout = checkout
        self.links_before = links()
        self.out, self.err = checkout.run("--keep")
        shown = subprocess.run(["bash", "-c", "source out/quickstart/env && exec /usr/bin/env -0"],
                               cwd=checkout.directory, env=ENVIRONMENT, check=True, capture_output=True, text=True)
        self.environment = dict(line.split("=", 1) for line in shown.stdout.split("\0") if line)

    def shell(self, script, status=0):
        done = subprocess.run(["bash", "-euc", script], cwd=self.checkout.directory, env=self.environment,
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == status, f"exit {done.returncode}: {script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def steps(self):
        """(seconds, word, text) of each line that shows a step."""
        return [(float(found[1]), found[2], found[3])
                for found in re.finditer(r"^ *(\d+\.\d)s  (\w*) +(.*)$", self.out, re.MULTILINE)]


@pytest.fixture(scope="module")
def kept(checkout):
    kept = Kept(checkout)
    yield kept
    checkout.run("--down")


# --- the whole, kept ---

def test_each_step_is_shown_with_its_time(kept):
    steps = kept.steps()
    chain = ["push", "delivery", "build", "digest", "patched", "run"]
    order = ["agent", "repository", "service", *chain, *chain, "end"]
    words = [word for _, word, _ in steps if word]
    assert words[0] == "program" and "cluster" in words and words[-len(order):] == order
    times = [seconds for seconds, _, _ in steps][-len(order):]
    assert times == sorted(times) and times[-1] > 0


def test_the_page_is_where_it_says(kept):
    url, token = re.search(r"The page: (http://\S+/) \(the admin token to sign in with: cat (\S+)\)", kept.out).groups()
    assert url == kept.environment["CRONWRIGHT_URL"] + "/"
    page = kept.shell(f"curl --fail --silent {url}")
    assert page.startswith("<!DOCTYPE html>") and "main.js" in page
    signed_in = kept.shell(f"""printf '{{"token": "%s"}}' "$(cat {token})" |
        curl --fail --silent --header 'Content-Type: application/json' --header 'Cronwright-Page: 1' --data @- {url}v1/session""")
    assert '"role":"admin"' in signed_in.replace(": ", ":")


def test_runs_print_what_was_pushed(kept):
    runs = re.findall(r"^ +\| (.*)$", kept.out, re.MULTILINE)
    assert runs == ["nightly report, edition 1", "4211 rows read", "nightly report, edition 2", "4211 rows read"]


def test_shown_ids_are_real(kept):
    shown = {word: text for _, word, text in kept.steps()}  # of the second push
    image = kept.shell("$KUBECTL -n $NAMESPACE get cronjob $CRONJOB "
                       "-o 'jsonpath={.spec.jobTemplate.spec.template.spec.containers[0].image}'")
    assert shown["patched"] == image and image.endswith("@" + shown["digest"])
    builds = json.loads(kept.shell("$CRONWRIGHT builds -o json"))["builds"]
    assert [build["reason"] for build in builds] == ["deployed", "deployed"]
    assert shown["build"].startswith(builds[0]["build"] + " ") and builds[0]["job"] in shown["build"]
    assert builds[0]["commit"][:7] in shown["push"] and builds[0]["digest"] == shown["digest"]
    deliveries = json.loads(kept.shell("$CRONWRIGHT deliveries -o json"))["deliveries"]
    assert deliveries[0]["delivery"] in shown["delivery"]


def test_environment_is_complete(kept):
    assert [name for name in VARIABLES if not kept.environment.get(name)] == []
    files = ["CRONWRIGHT_TOKEN_FILE", "GITHUB_SECRET_FILE", "GITLAB_TOKEN_FILE", "GITLAB_SIGNING_TOKEN_FILE",
             "CONFIG", "KUBECONFIG"]
    assert all(pathlib.Path(kept.environment[name]).is_file() for name in files)
    assert all(pathlib.Path(kept.environment[name]).is_dir() for name in ("STATE_DIR", "REPOSITORY_DIR"))
    secrets = [pathlib.Path(kept.environment[name]) for name in files if name != "CONFIG"]
    assert [str(file) for file in secrets if file.stat().st_mode & 0o077] == []
    assert os.readlink(f"/proc/{kept.environment['AGENT_PID']}/exe") == kept.environment["CRONWRIGHT"]
    with urllib.request.urlopen(kept.environment["CRONWRIGHT_URL"] + "/readyz", timeout=10) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(kept.environment["WEBHOOK_URL"] + "/healthz", timeout=10) as answer:
        assert answer.status == 200


def test_what_it_says_to_try_works(kept):
    """The printed commands, as they stand."""
    said = kept.out[kept.out.index("It runs."):]
    commands = [line.strip() for line in said.splitlines() if line.startswith("  cronwright")]
    assert len(commands) >= 5
    for command in commands:
        kept.shell(f"shopt -s expand_aliases; alias cronwright=$CRONWRIGHT\n{command}")


def test_a_push_of_ones_own(kept):
    kept.shell('cd "$REPOSITORY_DIR"; sed -i "s/edition 2/edition 3/" report.sh; git commit -qam "Third"; git push -q')
    commit = kept.shell('git -C "$REPOSITORY_DIR" rev-parse HEAD').strip()
    delivery = kept.shell("$CRONWRIGHT sign --secret-file $GITHUB_SECRET_FILE --repository $REPOSITORY "
                          "--branch main $WEBHOOK_URL/webhooks/github").strip()

    def outcome():
        found = json.loads(kept.shell(f"$CRONWRIGHT deliveries {delivery} -o json"))
        return None if found["pending"] else found
    found = eventually(outcome, "the push is deployed")
    assert (found["reason"], found["builds"][0]["commit"]) == ("deployed", commit)
    out = kept.shell("$CRONWRIGHT run --follow $NAMESPACE/$CRONJOB")
    assert out == "nightly report, edition 3\n4211 rows read\n"


@pytest.mark.parametrize("scheme, secret", [("github-form", "GITHUB_SECRET_FILE"),
                                            ("gitlab-signing", "GITLAB_SIGNING_TOKEN_FILE")])
def test_other_secrets_are_good_too(kept, scheme, secret):
    kept.shell(f"$CRONWRIGHT sign --scheme {scheme} --secret-file ${secret} --repository $REPOSITORY $WEBHOOK_URL")


def test_second_one_beside_it_is_refused(kept):
    out, err = kept.checkout.run(status=1)
    assert out == "" and "out/quickstart/env" in err and "--down" in err
    assert kept.shell("$CRONWRIGHT services")


def test_down_leaves_nothing(kept):
    kept.checkout.run("--down")
    assert kept.checkout.traces() == []
    links_go(kept.links_before)
    kept.checkout.run("--down")  # with nothing to do


# --- how it ends otherwise ---

def test_ctrl_c_cleans_up(checkout):
    """In the middle, when all the parts run. Nobody else takes them down."""
    before = links()
    process = checkout.start()
    for line in process.stdout:
        if re.match(r" *[\d.]+s  push ", line):
            break
    for words in ([], ["--down"]):
        out, err = checkout.run(*words, status=1)
        assert out == "" and "another one is at work" in err
    assert process.poll() is None and (checkout.state / "agent.pid").exists()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "taking everything down" in err
    assert checkout.traces() == []
    links_go(before)


@pytest.fixture(scope="module")
def cluster(checkout):
    """One of the caller's own, for --kubeconfig."""
    subprocess.run(["tests/cluster/up"], cwd=checkout.directory, env=ENVIRONMENT, check=True, capture_output=True)
    shown = subprocess.run(["bash", "-c", ". out/cluster/env && echo $KUBECONFIG $REGISTRY $KUBECTL"], check=True,
                           cwd=checkout.directory, env=ENVIRONMENT, capture_output=True, text=True).stdout.split()
    yield dict(zip(("kubeconfig", "registry", "kubectl"), shown))
    subprocess.run(["tests/cluster/down"], cwd=checkout.directory, env=ENVIRONMENT, check=True, capture_output=True)


def names(cluster, kind):
    listed = subprocess.run([cluster["kubectl"], "--kubeconfig", cluster["kubeconfig"], "get", kind, "-o", "name"],
                            check=True, capture_output=True, text=True).stdout.split()
    return [name for name in listed if "cronwright" in name]


def test_cluster_of_the_callers_own(checkout, cluster):
    out, _ = checkout.run("--kubeconfig", cluster["kubeconfig"], "--registry", cluster["registry"])
    assert "| nightly report, edition 2\n" in out and cluster["registry"] in out
    assert not checkout.state.exists()
    for kind in ("namespaces", "clusterroles", "clusterrolebindings"):
        eventually(lambda: not names(cluster, kind), f"no {kind} are left")


@pytest.mark.parametrize("kind, name", [("namespace", "cronwright"), ("namespace", "cronwright-builds"),
                                        ("clusterrole", "cronwright")])
def test_installation_of_the_callers_own_is_not_touched(checkout, cluster, kind, name):
    kubectl = [cluster["kubectl"], "--kubeconfig", cluster["kubeconfig"]]
    more = ["--verb=get", "--resource=pods"] if kind == "clusterrole" else []
    subprocess.run([*kubectl, "create", kind, name, *more], check=True)
    ask = lambda: subprocess.run([*kubectl, "get", kind, name, "-o", "json"], check=True, capture_output=True).stdout
    before = json.loads(ask())["metadata"]
    try:
        _, err = checkout.run("--kubeconfig", cluster["kubeconfig"], "--registry", cluster["registry"], status=1)
        assert f"{kind}/{name}" in err
        checkout.run("--down")
        after = json.loads(ask())["metadata"]
        assert (after["uid"], after["resourceVersion"]) == (before["uid"], before["resourceVersion"])
        assert sum(len(names(cluster, kind)) for kind in ("namespaces", "clusterroles", "clusterrolebindings")) == 1
    finally:
        subprocess.run([*kubectl, "delete", kind, name], check=True)


def test_failure_says_what_failed(checkout, cluster):
    """A build that fails: its reason, the agent's last lines, and all is taken down."""
    sample = checkout.directory / "deploy/sample/Dockerfile"
    good = sample.read_text()
    sample.write_text(good + 'RUN ["/bin/busybox", "sh", "-c", "exit 9"]\n')
    try:
        out, err = checkout.run("--kubeconfig", cluster["kubeconfig"], "--registry", cluster["registry"], status=1)
    finally:
        sample.write_text(good)
    assert re.search(r"the build failed: build-failed: .*RUN", err), err
    assert "last lines of the agent's log" in err and "build ended" in err
    assert " patched " not in out
    assert not checkout.state.exists()


def test_component_that_cannot_start(checkout, cluster, tmp_path):
    """A kubeconfig of a cluster that does not answer."""
    nowhere = tmp_path / "kubeconfig"
    config = pathlib.Path(cluster["kubeconfig"]).read_text()
    nowhere.write_text(re.sub(r"server: .*", "server: https://127.0.0.1:9", config))
    out, err = checkout.run("--kubeconfig", str(nowhere), "--registry", cluster["registry"], status=1)
    assert err.strip() and "service" not in out
    assert not checkout.state.exists()


@pytest.mark.parametrize("words", [["--help"], ["-h"]])
def test_help(checkout, words):
    out, _ = checkout.run(*words)
    assert out.startswith("Usage") and "--keep" in out and "--down" in out


@pytest.mark.parametrize("words", [["--nonsense"], ["--kubeconfig", "/dev/null"], ["--registry", "x:1"], ["extra"]])
def test_wrong_usage(checkout, words):
    out, err = checkout.run(*words, status=2)
    assert out == "" and err
    assert not checkout.state.exists()
