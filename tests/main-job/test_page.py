"""The page's files as the admin listener serves them: to anybody, guarded, and kept by their content."""

import gzip
import pathlib
import re

import pytest

from agents import TOP, ask

WEB = TOP / "agent/web"
FILES = sorted(path.name for path in WEB.iterdir() if path.suffix in (".html", ".css", ".js", ".svg"))
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def fetch(agent, path, **headers):
    return ask(agent.admin, "GET", path, [(name.replace("_", "-"), value) for name, value in headers.items()])


@pytest.fixture(scope="module")
def folder(agent):
    """The address of the files, as the document has it."""
    folders = set(re.findall(r'"(web/[0-9a-f]+/)', fetch(agent, "/").text))
    assert len(folders) == 1
    return "/" + folders.pop()


def assert_guarded(answer):
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_anybody_gets_the_document(agent):
    answer = fetch(agent, "/")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["Cache-Control"] == "no-cache"
    assert_guarded(answer)
    # Relative addresses alone: it may be behind a path's prefix.
    assert not re.search(r'(href|src)="(/|https?:)', answer.text)
    assert ask(agent.admin, "HEAD", "/").status == 200
    assert ask(agent.admin, "POST", "/", body=b"{}").status == 405


def test_the_document_is_not_sent_again(agent):
    tag = fetch(agent, "/").headers["ETag"]
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}'):
        answer = fetch(agent, "/", If_None_Match=known)
        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", tag)
        assert_guarded(answer)
    assert fetch(agent, "/", If_None_Match='W/"other"').status == 200


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_served_as_it_is_written(agent, folder, name):
    path, written = folder + name, (WEB / name).read_bytes()
    plain = fetch(agent, path)
    assert (plain.status, plain.headers["Content-Type"]) == (200, TYPES[pathlib.Path(name).suffix])
    assert plain.body == written.replace(b"web/HASH/", folder[1:].encode())
    assert "immutable" in plain.headers["Cache-Control"] and "max-age=31536000" in plain.headers["Cache-Control"]
    assert_guarded(plain)
    packed = fetch(agent, path, Accept_Encoding="br, gzip")
    assert packed.headers["Content-Encoding"] == "gzip" and gzip.decompress(packed.body) == plain.body
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("accepted, compressed", [
    ("gzip;q=1.0", True), ("identity, GZIP ; q=0.5", True), ("gzip;q=0", False), ("gzip;q=0.000, br", False),
    ("xgzip", False), ("*", False), ("", False)])
def test_who_takes_no_gzip_gets_none(agent, folder, accepted, compressed):
    answer = fetch(agent, folder + "main.js", Accept_Encoding=accepted)
    assert (answer.headers["Content-Encoding"] == "gzip") == compressed


@pytest.mark.parametrize("path", ["/web/0123456789abcdef/main.js", "{folder}other.js", "{folder}..%2fadmin.h",
                                  "{folder}", "{folder}main.js/"])
def test_there_is_nothing_else(agent, folder, path):
    answer = fetch(agent, path.format(folder=folder))
    assert answer.status == 404 and "immutable" not in answer.headers.get("Cache-Control", "")
