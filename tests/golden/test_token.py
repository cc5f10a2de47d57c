"""`cronwright token`: what it prints, and that the hash is that of the token."""

import hashlib
import json
import re
import stat

import pytest

HEX = r"[0-9a-f]{64}"


def hash_of(token):
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()


def test_token_once_and_its_entry(shell, golden, tmp_path):
    result = shell.files("cronwright token --name ana --role runner --namespaces reports,sales")
    token = result.out.strip()
    assert result.status == 0 and re.fullmatch(HEX, token)
    assert f"hash: {hash_of(token)}\n" in result.err and token not in result.err
    assert shell.files("cronwright token").out != shell.files("cronwright token").out
    # YAML has quotes around one that begins with a digit.
    shell.changes = [(rf'token: "({HEX})"', r"token: \1"), (HEX, "…64 hex digits…")]
    golden("token", *(shell.files(f"cronwright token {line}") for line in (
        "", "--name ana --role runner --namespaces reports,sales", "--name ana -o json", "-o yaml",
        "--name ci --out ci.token", "--out ci.token", "--out other.token -o json", "--out third.token -o name",
        "--out nowhere/token")))


def test_token_in_a_file(shell, tmp_path):
    result = shell.files("cronwright token --out ana.token")
    file = tmp_path / "ana.token"
    token = file.read_text().strip()
    assert result.status == 0 and result.out == ""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"hash: {hash_of(token)}\n" in result.err
    again = shell.files("cronwright token --out ana.token")
    assert again.status == 1 and file.read_text().strip() == token


def test_as_data(shell):
    answer = json.loads(shell.files("cronwright token --name ci --namespaces a -o json").out)
    assert answer["entry"] == {"name": "ci", "hash": hash_of(answer["token"]), "role": "viewer", "namespaces": ["a"]}


@pytest.mark.parametrize("wrong", ["--name 'a b'", "--role boss", "--namespaces ''", "--namespaces a,", "--namespaces A",
                                   "-o name", "x"])
def test_wrong_usage(shell, wrong):
    result = shell.files(f"cronwright token {wrong}")
    assert result.status == 2 and result.out == ""
