"""Editing: an editor and the difference, on a terminal and without, and everything that can go wrong."""

import copy
import json
import os
import signal
import threading

import pytest
import yaml

import answers
from agent import Answer, problem

PATH = "/v1/services/reports/nightly-report"
EDIT = "cronwright edit reports/nightly-report"


class Service:
    """A service as the agent keeps it: merge patches change it, and each change its tag."""

    def __init__(self, agent, clock, **settings):
        self.clock, self.tag, self.patches = clock, 7, []
        self.now = {**copy.deepcopy(answers.SETTINGS), **settings}
        self.warnings = []
        agent.on("GET", PATH, lambda *_: self.whole())
        agent.on("PATCH", PATH, self.patch)

    def whole(self, settings=None, **more):
        document = answers.document(self.clock, {**dict.fromkeys(answers.SETTINGS), **(settings or self.now)})
        return Answer(200, {**document, **more}, ETag=f'"{self.tag}"')

    def patch(self, query, headers, body):
        patch = json.loads(body)
        assert headers["Content-Type"] == "application/merge-patch+json"
        if headers["If-Match"] != f'"{self.tag}"':
            return problem(409, "changed meanwhile", reason="changed", current=self.whole().body)
        wanted = merge(self.now, patch)
        if wanted["schedule"] == "0 3 * * 7":
            return problem(400, "1 error", reason="invalid", errors=[
                {"pointer": "/schedule", "detail": "day of week is 0-6; Sunday is 0"}])
        if query.get("dryRun") == "true":
            return self.whole(wanted, changed=["/schedule"], warnings=self.warnings, dryRun=True)
        self.now, self.tag = wanted, self.tag + 1
        self.patches.append(patch)
        return self.whole(changed=[f"/{name}" for name in patch])


def merge(target, patch):
    """RFC 7386, as it writes it."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = merge(target.get(name), value)
    return target


@pytest.fixture
def service(agent, clock):
    return Service(agent, clock)


@pytest.fixture
def editor(shell, tmp_path):
    """Makes EDITOR a script; `$1` is the file."""
    (tmp_path / "tmp").mkdir()
    shell.variables["TMPDIR"] = str(tmp_path / "tmp")
    shell.changes.append((r"/\S*/tmp/cronwright-\w{6}", "/tmp/cronwright-x2k9ab"))

    def use(script):
        (tmp_path / "editor").write_text(f"#!/bin/sh -e\n{script}\n")
        (tmp_path / "editor").chmod(0o755)
        shell.variables["EDITOR"] = f"{tmp_path}/editor"
    use.kept = lambda: list((tmp_path / "tmp").glob("*/*"))
    return use


def replying(keys):
    """Answers each question by the next of `keys`."""
    waiting = list(keys)

    def on_output(text, type_keys):
        questions = text.count("[y/N]") + text.count("[Y/n]")
        if waiting and questions > len(keys) - len(waiting):
            type_keys(waiting.pop(0))
    return on_output


NOON = "sed -i 's/0 3 \\* \\* \\*/0 12 * * */; /^maxDuration/d; s/256Mi/512Mi/' \"$1\""


def test_edit(shell, service, editor, golden):
    editor(NOON)
    service.warnings = ["a run at 12:00 is while people work"]
    applied = shell.terminal(EDIT, replying([b"y\n"]))
    assert service.patches == [{"schedule": "0 12 * * *", "maxDurationSeconds": None,
                                "resources": {"limits": {"memory": "512Mi"}}}]
    assert editor.kept() == []
    unchanged = shell.terminal(EDIT)
    editor("sed -i s/12/13/ \"$1\"")
    declined = shell.terminal(EDIT, replying([b"n\n"]))
    assert len(service.patches) == 1 and len(editor.kept()) == 1
    golden("edit", applied, unchanged, declined)


def test_edit_in_colour(shell, service, editor):
    editor(NOON)
    result = shell.terminal(f"NO_COLOR= {EDIT} --dry-run")
    assert '\\e[31m-schedule: "0 3 * * *"\\e[0m' in result.out
    assert '\\e[32m+schedule: "0 12 * * *"\\e[0m' in result.out and service.patches == []


def test_the_editor_gets_the_document_alone(shell, service, editor, tmp_path):
    editor(f'cp -p "$1" {tmp_path}/given; stat -c %a "$1" > {tmp_path}/mode; exit 0')
    shell.terminal(EDIT)
    assert yaml.safe_load((tmp_path / "given").read_text()) == answers.SETTINGS
    assert (tmp_path / "mode").read_text() == "600\n"


def test_visual_goes_first_and_may_have_arguments(shell, service, editor):
    editor("exit 1")
    shell.variables["VISUAL"] = "sed -i 's/0 3/0 4/'"
    assert shell.files(f"{EDIT} --yes").status == 0
    assert service.patches == [{"schedule": "0 4 * * *"}]


def test_what_is_wrong_can_be_written_anew(shell, service, editor, golden, tmp_path):
    script = f"if [ ! -e {tmp_path}/once ]; then touch {tmp_path}/once; sed -i 's/0 3 . . ./0 3 * * 7/' \"$1\"; " \
             "else sed -i 's/0 3 . . 7/0 4 * * 0/' \"$1\"; fi"
    editor(script)
    righted = shell.terminal(EDIT, replying([b"\n", b"y\n"]))
    assert service.patches == [{"schedule": "0 4 * * 0"}] and editor.kept() == []
    editor("echo 'a: [' >> \"$1\"")
    given_up = shell.terminal(EDIT, replying([b"n\n"]))
    [kept] = editor.kept()
    assert kept.read_text().endswith("a: [\n")
    golden("edit-wrong", righted, given_up)


def test_an_editor_that_fails_changes_nothing(shell, service, editor, golden):
    editor("exit 3")
    failed = shell.terminal(EDIT)
    assert editor.kept() == []  # nothing was written
    editor("echo x >> \"$1\"; exit 1")
    written = shell.terminal(EDIT)
    assert len(editor.kept()) == 1
    editor("kill -9 $$")
    killed = shell.terminal(EDIT)
    shell.variables["EDITOR"] = "/nowhere/editor"
    golden("edit-editor-fails", failed, written, killed, shell.files(f"{EDIT} --yes"))
    assert service.patches == []


def test_a_change_by_someone_else_is_never_overwritten(shell, service, editor, golden, tmp_path):
    editor(f"{NOON}; touch {tmp_path}/written; while [ -e {tmp_path}/written ]; do sleep 0.05; done")

    def meanwhile():
        while not (tmp_path / "written").exists():
            pass
        service.now["restarts"], service.tag = 0, 8
        (tmp_path / "written").unlink()

    threading.Thread(target=meanwhile, daemon=True).start()
    result = shell.terminal(EDIT)
    assert result.status == 1 and service.patches == []
    [kept] = editor.kept()
    assert "0 12 * * *" in kept.read_text()
    golden("edit-conflict", result)


def test_a_change_while_it_is_asked(shell, service, editor):
    editor(NOON)

    def on_output(text, type_keys):
        if "[y/N]" in text and service.tag == 7:
            service.now["restarts"], service.tag = 0, 8
            type_keys(b"y\n")

    result = shell.terminal(EDIT, on_output)
    assert result.status == 1 and "changed by someone else meanwhile" in result.out
    assert "+restarts: 0" in result.out and service.patches == []


def test_ctrl_c_leaves_nothing_half_done(shell, service, editor, golden):
    editor(NOON)
    asked = shell.terminal(EDIT, replying([b"\x03"]))
    assert asked.status == 130 and service.patches == [] and len(editor.kept()) == 1
    golden("edit-ctrl-c", asked)


def test_ctrl_c_in_the_editor_is_the_editors(shell, service, editor, tmp_path):
    editor(f"trap 'sed -i \"s/0 3/0 5/\" \"$1\"; exit 0' INT; touch {tmp_path}/ready\n"
           "while :; do sleep 0.05; done")

    def interrupt(process):
        while not (tmp_path / "ready").exists():
            pass
        os.killpg(process.pid, signal.SIGINT)

    result = shell.files(f"{EDIT} --yes", interrupt)
    assert result.status == 0, result.err
    assert service.patches == [{"schedule": "0 5 * * *"}]


def test_ctrl_c_while_the_agent_is_asked(shell, service, editor, agent):
    """The answer is waited for, so that it is known what became of it."""
    editor(NOON)
    patch = service.patch
    threads = []

    def slow(query, headers, body):
        if "dryRun" not in query:
            threads.append(os.kill(shell.process.pid, signal.SIGINT))
        return patch(query, headers, body)

    agent.on("PATCH", PATH, slow)
    result = shell.files(f"{EDIT} --yes")
    assert threads and result.status == 0 and "changed: " in result.out and len(service.patches) == 1


def test_edit_by_a_file(shell, service, editor, golden, tmp_path):
    file = dict(answers.SETTINGS, schedule="0 12 * * *")
    del file["maxDurationSeconds"], file["namespace"]
    (tmp_path / "svc.yaml").write_text(json.dumps(file))
    dry = shell.files("cronwright edit -f svc.yaml -n reports --dry-run")
    assert service.patches == []
    applied = shell.files("cronwright edit -f svc.yaml -n reports --yes")
    again = shell.files("cronwright edit -f svc.yaml --yes reports/nightly-report")
    (tmp_path / "svc.yaml").write_text(json.dumps(dict(file, schedule="0 3 * * 7"), indent=1))
    wrong = shell.files("cronwright edit -f svc.yaml -n reports --yes")
    nameless = shell.files("cronwright edit -f svc.yaml --yes")
    asked = shell.terminal("cronwright edit -f svc.yaml reports/nightly-reprot")
    golden("edit-by-file", dry, applied, again, wrong, nameless, asked)
    assert service.patches == [{"schedule": "0 12 * * *", "maxDurationSeconds": None}] and editor.kept() == []


def test_without_a_program_for_differences(shell, service, editor, golden):
    editor(NOON.replace("sed", "/usr/bin/sed"))
    shell.variables["PATH"] = "/nowhere"
    golden("edit-without-diff", shell.files(f"{EDIT} --dry-run"))


def test_edit_as_data(shell, service, editor):
    editor(NOON)
    result = shell.files(f"{EDIT} --yes -o name")
    assert result.out == "reports/nightly-report\n" and "+schedule" in result.err
