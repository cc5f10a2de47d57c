"""Completion, in the shells themselves."""

import shutil
import subprocess

import pytest

import answers

# What is typed, and what can follow.
CASES = [
    (["se"], ["services"]),
    (["del"], ["delete", "deliveries"]),
    (["show", "reports/n"], ["reports/nightly-report"]),
    (["edit", ""], ["reports/nightly-report", "reports/ledger-sync", "sales/export", "sales/new-import"]),
    (["run", "--fo"], ["--follow"]),
    (["run", "--if-active", ""], ["refuse", "allow", "replace"]),
    (["create", "--concurrency", "F"], ["Forbid"]),
    (["delete", "--if-active", ""], ["refuse", "cancel"]),
    (["help", "roll"], ["rollback"]),
    (["completion", ""], ["bash", "zsh", "fish"]),
    (["create", "-f", "s"], ["svc.yaml"]),
    (["create", "--schedule", ""], []),
    (["services", ""], []),
]


@pytest.fixture
def complete(shell, agent, clock, tmp_path):
    """What a shell offers after some words."""
    agent.get("/v1/services", answers.services(clock))
    (tmp_path / "svc.yaml").write_text("")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/cronwright").symlink_to(shell.program)
    environment = {**shell.variables, "PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": str(tmp_path)}

    def run(name, script, *arguments):
        program = shutil.which(name)
        assert program, f"{name} is not installed: tests/setup test"
        (tmp_path / "completion").write_text(shell.files(f"cronwright completion {name}").out)
        done = subprocess.run([program, *script, *arguments], cwd=tmp_path, env=environment, text=True,
                              capture_output=True, timeout=60)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        return [line.split("\t")[0] for line in done.stdout.splitlines()]
    return run


BASH = """
source ./completion
COMP_WORDS=(cronwright "$@") COMP_CWORD=$#
compopt() { :; }  # which only works while bash completes
complete -p cronwright > /dev/null && _cronwright
((${#COMPREPLY[@]} == 0)) || printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize("words, offered", CASES)
def test_bash(complete, words, offered):
    assert sorted(complete("bash", ["--norc", "-c", BASH, "bash"], *words)) == sorted(offered)


FISH = "source ./completion; complete -C \"cronwright $argv\""


@pytest.mark.parametrize("words, offered", CASES)
def test_fish(complete, words, offered):
    line = " ".join(words)
    assert sorted(complete("fish", ["--no-config", "-c", FISH], line)) == sorted(offered)


# zsh completes only in its line editor, so compadd is one of ours that prints what it is given.
ZSH = """
compdef() { :; }
_files() { compgen=(s*(N)); print -l -- $compgen }
compadd() { shift; local w; for w in "$@"; do [[ $w == $words[CURRENT]* ]] && print -r -- $w; done; true }
source ./completion
words=(cronwright "$@") CURRENT=$#words
_cronwright
"""


@pytest.mark.parametrize("words, offered", CASES)
def test_zsh(complete, words, offered):
    assert sorted(complete("zsh", ["-f", "-c", ZSH, "zsh"], *words)) == sorted(offered)
