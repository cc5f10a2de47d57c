"""What the program says about itself and about wrong command lines."""

import pathlib
import re
import subprocess

import pytest

COMMANDS = ["agent", "services", "show", "create", "edit", "adopt", "copy", "start", "stop", "delete", "build",
            "images", "rollback", "resume", "completion", "run", "runs", "logs", "cancel", "deliveries", "builds",
            "schedule", "doctor", "sign", "token", "backup", "help"]


def test_wrong_command_lines(shell, golden):
    results = [shell.files(f"cronwright {line}") for line in (
        "servces", "-o json services", "run", "run a/b c", "run --folow a/b", "run -x a/b", "run a",
        "run A/b", "run -n x a/b", "run --follow=yes a/b", "run --if-active alow a/b", "runs --limit 0 a/b",
        "runs --limit", "services -o xml", "services -n ''", "help servces", "logs", "logs --build b-1 a/b",
        "logs --build b-1 --failed", "logs --failed --run r a/b", "builds --before x",
        "deliveries --repository ftp://x/y", "agent --cofig x", "run -- a/b", "run --env A a/b",
        "run --env A=1 --env A=2 a/b", "create", "create -f x a/b", "create -f x --image y", "create a",
        "create a/b --restarts -1", "create a/b --max-duration 99999999999", "create a/b --concurrency forbid",
        "create a/b --env =x", "edit", "edit a/b", "edit -f x a/b c", "delete a/b", "delete --if-active allow a/b",
        "copy a/b", "copy a/b c", "copy -n a b C", "adopt a", "completion tcsh", "completion",
        "schedule", "schedule x --file y", "schedule '* * * * *' --from now", "schedule x --from 2038-01-01T00:00:00Z",
        "schedule x --count 1001")]
    assert {result.status for result in results} == {2}
    assert {result.out for result in results} == {""}
    golden("wrong-usage", *results)


def test_help(shell, golden):
    golden("help", shell.files("cronwright --help"))
    assert shell.files("cronwright help").out == shell.files("cronwright -h").out
    nothing = shell.files("cronwright")
    assert nothing.status == 2 and nothing.out == "" and nothing.err == shell.files("cronwright help").out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(shell, golden, command):
    result = shell.files(f"cronwright {command} --help")
    assert result.status == 0 and result.err == ""
    assert result.out == shell.files(f"cronwright help {command}").out
    assert result.out == shell.files(f"cronwright {command} -h extra --whatever").out
    if command != "agent":  # which ends with the settings, a table of its own
        golden(f"help-{command}", result)


def test_version(shell):
    result = shell.files("cronwright --version")
    assert re.fullmatch(r"cronwright \d+\.\d+\.\d+\n", result.out) and result.status == 0


def test_manual_page(shell, tmp_path):
    """Made by the build, from the same table."""
    source = pathlib.Path(shell.program).with_name("cronwright.1").read_text()
    (tmp_path / "cronwright.1").write_text(source)
    for command in COMMANDS:
        assert f".SS cronwright {command} " in source
    checked = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", "cronwright.1"], cwd=tmp_path,
                             capture_output=True, text=True)
    assert checked.returncode == 0 and checked.stderr == ""
