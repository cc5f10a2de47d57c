"""`cronwright schedule`, which asks no agent."""

import json

BERLIN = "--time-zone Europe/Berlin --from 2026-03-28T00:00:00Z"


def test_right(shell, agent, golden):
    results = [shell.terminal(f"cronwright schedule {line}") for line in (
        f"'30 2 * * *' {BERLIN} --count 2",
        f"'*/7 9-17 1,15 * mon-fri' {BERLIN} --count 3",
        "'0 2 * * *' --time-zone Australia/Lord_Howe --from 2026-03-28T00:00:00Z --count 1",
        "'@every 45s' --from 2026-03-28T00:00:10Z --count 2",
        f"'0 0 31 2 *' {BERLIN}",
        "'0 0 29 2 *' --time-zone UTC --from 2035-01-01T00:00:00Z")]
    results.append(shell.files(f"LC_ALL=C cronwright schedule '30 2 * * *' {BERLIN} --count 1"))
    results.append(shell.terminal(f"NO_COLOR= cronwright schedule '30 2 * * *' {BERLIN} --count 1"))
    assert {result.status for result in results} == {0} and agent.requests == []
    golden("schedule", *results)


def test_wrong(shell, golden):
    results = [shell.terminal(f"cronwright schedule {line}") for line in (
        f"'0 3 * * 7' {BERLIN}", f"'0 3 * * 1,monday' {BERLIN}", f"'0 3 * *' {BERLIN}", f"@reboot {BERLIN}",
        f"'0 0 15W * *' {BERLIN}", f"'\u00e9\u4e2d\u6587 25,26 * * *' {BERLIN}", f"'0\t3\u202e * * 7' {BERLIN}",
        f"'{'0 ' * 200}' {BERLIN}", f"'' {BERLIN}", "'0 3 * * *' --time-zone Berlin",
        "'0 25 * * *' --time-zone Europe/Berlln")]
    assert {result.status for result in results} == {1}
    golden("schedule-wrong", *results)


def test_as_json(shell, golden):
    golden("schedule-as-json",
           shell.terminal(f"cronwright schedule '30 2 * * *' {BERLIN} --count 1 -o json"),
           shell.files(f"cronwright schedule '30 2 * * *' {BERLIN} --count 1 -o json"),
           shell.files("cronwright schedule '0 25 * * *' --time-zone Berlin -o json"))


def test_files(shell, golden, tmp_path):
    (tmp_path / "schedules").write_bytes(b"# nightly\n0 3 * * 1-5\n\n  \t\n @daily\n@daily\r\n0 3 * * 7")
    (tmp_path / "right").write_text("0 3 * * 1-5\n")
    (tmp_path / "nothing").write_text("")
    (tmp_path / "binary").write_bytes(b"0 3 * * *\0\n")
    (tmp_path / "large").write_bytes(b"# " * (1 << 19) + b"\n")
    options = f"{BERLIN} --count 1"
    results = [shell.terminal(f"cronwright schedule --file schedules {options}"),
               shell.files(f"cronwright schedule --file schedules {options} -o json")]
    results += [shell.files(f"cronwright schedule --file {name} {options}")
                for name in ("right", "nothing", "binary", "large", "missing", ".", "-")]
    golden("schedule-files", *results)
    rows = json.loads(results[1].out)
    assert [(row["line"], "errors" in row) for row in rows] == [(2, False), (5, True), (6, False), (7, True)]
