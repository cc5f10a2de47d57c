"""The shape of the tree: what stands at the top, who includes whom, one adapter per library."""

import gzip
import os
import pathlib
import re
import shutil
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]


def tracked(*patterns):
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
                            cwd=TOP, check=True, capture_output=True, text=True).stdout
    return [TOP / name for name in listed.splitlines() if (TOP / name).exists()]


SOURCES = [path for path in tracked("*.c", "*.h")]
PRODUCT = [path for path in SOURCES if not path.is_relative_to(TOP / "tests")]

ALLOWED_AT_TOP = {"CMakeLists.txt", "agent", "webhooks", "build", "deploy", "tests", "systemd",
                  "README.md", "LICENSE"}

# A part of the tree → the parts it may include besides itself.
ARROWS = {
    "agent/base": set(),
    "webhooks": {"agent/base"},
    "deploy/kube": {"agent/base"},
    "deploy": {"agent/base", "deploy/kube"},
    "build/git": {"agent/base"},
    "build": {"agent/base", "deploy/kube", "build/git"},
    "agent/store": {"agent/base"},
    "agent/cli": {"agent/base", "webhooks", "deploy", "agent"},
    "agent": {"agent/base", "agent/store", "agent/cli", "webhooks", "deploy/kube", "deploy", "build"},
}

# The one file that may include a foreign library's header. libgit2 and libarchive have a program of
# their own instead.
ADAPTERS = {
    "microhttpd.h": {"agent/server.c"},
    "sqlite3.h": {"agent/store/db.c"},
    "curl/curl.h": {"agent/base/http.c"},
    "yaml.h": {"agent/base/yaml.c"},
    "systemd/sd-daemon.h": {"agent/base/systemd.c"},
    "yajl/yajl_parse.h": {"webhooks/payload.c"},
    "glib.h": {"agent/base/zone.c"},
    "zlib.h": {"agent/base/gzip.c"},
    "libssh2.h": {"build/git/hostkey.c"},
}


def part_of(name):
    return max((part for part in ARROWS if name.startswith(part + "/")), key=len, default=None)


def includes(path, opening, closing):
    pattern = rf'^#include {opening}([^{closing}]+){closing}'
    return re.findall(pattern, path.read_text(), re.MULTILINE)


def test_top_level_is_fixed():
    names = {path.relative_to(TOP).parts[0] for path in tracked()}
    extra = {name for name in names if not name.startswith(".")} - ALLOWED_AT_TOP
    assert not extra


def test_arrows_go_one_way():
    wrong = []
    for path in PRODUCT:
        name = str(path.relative_to(TOP))
        own = part_of(name)
        for included in includes(path, '"', '"'):
            other = part_of(included)
            if other is None and (path.parent / included).exists():
                continue
            if other != own and other not in ARROWS[own]:
                wrong.append(f"{name} includes {included}")
    assert not wrong


def test_one_adapter_per_library():
    wrong = []
    for path in PRODUCT:
        name = str(path.relative_to(TOP))
        for header in includes(path, "<", ">"):
            if header in ADAPTERS and name not in ADAPTERS[header]:
                wrong.append(f"{name} includes <{header}>")
            if header in ("git2.h", "archive.h", "archive_entry.h") and not name.startswith("build/git/"):
                wrong.append(f"{name} includes <{header}>")
    assert not wrong


def test_no_catch_all_files():
    assert not [path for path in SOURCES if re.search(r"(util|misc|helper|common)", path.stem)]


def test_formatting():
    subprocess.run(["clang-format", "--dry-run", "--Werror", *map(str, SOURCES)], check=True)


def test_scripts():
    scripts = [path for path in tracked() if path.is_file() and path.suffix in ("", ".sh")
               and path.read_bytes()[:64].startswith((b"#!/usr/bin/env bash", b"#!/bin/sh"))]
    assert scripts
    subprocess.run(["shellcheck", "-x", *map(str, scripts)], cwd=TOP, check=True)


def test_the_page_fits_its_types():
    """What its modules take and give, as their comments say it; nothing is unused."""
    modules = sorted((TOP / "agent/web").glob("*.js"))
    assert modules
    subprocess.run(["tsc", "--noEmit", "--allowJs", "--checkJs", "--noUnusedLocals", "--noFallthroughCasesInSwitch",
                    "--target", "es2022", "--module", "es2022", "--lib", "es2022,dom,dom.iterable", *map(str, modules)],
                   check=True)


def test_the_page_is_small():
    """Compressed, as it is served; the first view takes all of it."""
    files = [path for path in (TOP / "agent/web").iterdir() if path.suffix in (".html", ".css", ".js", ".svg")]
    assert files
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < 100_000


@pytest.fixture
def run_tests(tmp_path):
    """tests/run in a tree of its own, where each program it calls ends as it is told to."""
    (tmp_path / "tests/cluster").mkdir(parents=True)
    for name in ("run", "results"):
        shutil.copy(TOP / "tests" / name, tmp_path / "tests" / name)

    def stand_in(path, status):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\nexit {status}\n")
        path.chmod(0o755)

    def run(*parts, **statuses):
        for name in ("setup", "cluster/up", "cluster/down", "cluster/test"):
            stand_in(tmp_path / "tests" / name, statuses.get(pathlib.Path(name).name, 0))
        for name in ("cmake", "ctest"):
            stand_in(tmp_path / "bin" / name, statuses.get(name, 0))
        (tmp_path / "out/cluster").mkdir(parents=True, exist_ok=True)
        (tmp_path / "out/cluster/env").touch()
        ended = subprocess.run([tmp_path / "tests/run", *parts], capture_output=True, text=True,
                               env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"})
        return ended.returncode, ended.stdout.splitlines()[-1]

    return run


def test_run_passes_what_builds(run_tests):
    assert run_tests("clang") == (0, "1 passed, 0 failed, 0 skipped")


@pytest.mark.parametrize("part", ["unit", "clang", "layout", "golden", "schedule", "cluster", "main-job",
                                  "in-cluster", "faults", "api"])
def test_run_fails_when_nothing_builds(run_tests, part):
    assert run_tests(part, cmake=1) == (1, "0 passed, 1 failed, 0 skipped")


@pytest.mark.parametrize("failing", ["up", "test", "ctest"])
def test_run_fails_without_a_cluster(run_tests, failing):
    assert run_tests("clang", "cluster", **{failing: 1}) == (1, "1 passed, 1 failed, 0 skipped")


def test_cmake_refuses_the_source_folder_build():
    answer = subprocess.run(["cmake", "-S", TOP, "-B", TOP / "build"], capture_output=True, text=True)
    for left in ("CMakeCache.txt", "CMakeFiles"):
        path = TOP / "build" / left
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    assert answer.returncode != 0 and "cmake -B out" in answer.stderr


@pytest.mark.parametrize("name", [
    "usr/bin/cronwright", "usr/libexec/cronwright-git", "usr/lib/systemd/system/cronwright.service",
    "usr/lib/systemd/system/cronwright.socket", "usr/lib/systemd/system/cronwright-admin.socket",
    "usr/lib/sysusers.d/cronwright.conf",
    "usr/share/man/man1/cronwright.1", "usr/share/man/man5/cronwright.yaml.5",
    "usr/share/man/man7/cronwright-metrics.7",
    "usr/share/doc/cronwright/cronwright.example.yaml"])
def test_install_puts(installed, name):
    assert (installed / name).is_file()


def test_alert_rules(installed):
    folder = TOP / "deploy/prometheus"
    subprocess.run(["promtool", "check", "config", folder / "prometheus.yml"], check=True, stdout=subprocess.DEVNULL)
    page = (installed / "usr/share/man/man7/cronwright-metrics.7").read_text()
    known = set(re.findall(r"^\.B (\w+)$", page, re.MULTILINE))
    used = re.findall(r"cronwright_\w+", (folder / "rules.yml").read_text())
    assert used and not [name for name in used if name not in known and name.removesuffix("_bucket") not in known]


def test_units_verify(installed, tmp_path):
    # The unit names the installed program, which systemd-analyze wants to see.
    unit = (installed / "usr/lib/systemd/system/cronwright.service").read_text()
    program = re.search(r"^ExecStart=(\S+)", unit, re.MULTILINE).group(1)
    for name in ("cronwright.service", "cronwright.socket"):
        text = (installed / "usr/lib/systemd/system" / name).read_text()
        (tmp_path / name).write_text(text.replace(program, str(installed / "usr/bin/cronwright")))
    subprocess.run(["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
                   check=True)


def test_usual_build_has_no_crash_points(tmp_path):
    """Only the tests' own build can be told where to die."""
    subprocess.run(["cmake", "-S", TOP, "-B", tmp_path, "-G", "Ninja", "-DCRONWRIGHT_TESTS=OFF"], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", tmp_path, "--target", "base", "store"], check=True, stdout=subprocess.DEVNULL)
    libraries = [tmp_path / "agent/base/libbase.a", tmp_path / "agent/libstore.a"]
    content = b"".join(path.read_bytes() for path in libraries)
    assert b"store_open" in content
    assert b"crash_point" not in content and b"CRASH_AT" not in content


def test_each_crash_point_is_there_once():
    names = [name for path in PRODUCT for name in re.findall(r'\bCRASH_POINT\("(.*?)"\)', path.read_text())]
    assert len(names) > 50 and len(set(names)) == len(names)
    assert all(re.fullmatch(r"(before|after)(-[a-z]+)+", name) for name in names)
