"""The systemd units, as far as they can be judged without a systemd that runs."""

import re
import subprocess

import pytest

UNITS = ("cronwright.service", "cronwright.socket", "cronwright-admin.socket")
MOST_EXPOSURE = 20  # tenths: 2.0 of 10.0


@pytest.fixture(scope="module")
def units(installed, tmp_path_factory):
    """A directory with the units, which name the program where this installation has put it."""
    directory = tmp_path_factory.mktemp("units")
    folder = installed / "usr/lib/systemd/system"
    [program] = {line.split()[0] for line in values(folder / "cronwright.service", "ExecStart")}
    for name in UNITS:
        text = (folder / name).read_text()
        (directory / name).write_text(text.replace(program, str(installed / "usr/bin/cronwright")))
    return directory


def values(unit, key):
    return re.findall(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE)


def test_units_verify(units):
    subprocess.run(["systemd-analyze", "verify", "--man=no", *[str(units / name) for name in UNITS]], check=True)


def test_exposure(units):
    subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSURE}",
                    str(units / "cronwright.service")], check=True, stdout=subprocess.DEVNULL)


def test_exposure_of_a_lax_unit_is_told(units, tmp_path):
    """So that the test above means something."""
    lax = tmp_path / "cronwright.service"
    lines = (units / "cronwright.service").read_text().splitlines()
    lax.write_text("\n".join(line for line in lines if not re.match(r"(SystemCall|Restrict|CapabilityB)", line)))
    answer = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                             f"--threshold={MOST_EXPOSURE}", str(lax)], stdout=subprocess.DEVNULL)
    assert answer.returncode != 0


def test_service_is_what_the_agent_expects(units):
    service = units / "cronwright.service"
    assert values(service, "Type") == ["notify"]
    assert values(service, "StateDirectory") == ["cronwright"]
    assert values(service, "ExecReload")[-1] == "/bin/kill -HUP $MAINPID"
    seconds = {key: int(values(service, key)[0].removesuffix("s")) for key in ("WatchdogSec", "TimeoutStopSec")}
    # While it drains it does not tell that it lives.
    assert seconds["WatchdogSec"] > seconds["TimeoutStopSec"] > 30


@pytest.mark.parametrize("socket, name", [("cronwright.socket", "webhooks"), ("cronwright-admin.socket", "admin")])
def test_sockets_have_the_names_the_agent_looks_for(units, socket, name):
    assert values(units / socket, "FileDescriptorName") == [name]
