"""Running and following: waiting, retries, lost connections, a restart of the agent, Ctrl-C, a reader
that goes away."""

import re
import subprocess
import threading

import answers
from agent import CUT, Answer, Stream, problem
from answers import FORCED, RUNS, attempt
from shell import after, interrupt

RUN = f"{RUNS}/{FORCED}"
LOGS = f"{RUN}/logs"
FOLLOW = "cronwright run --follow reports/nightly-report"


class Log:
    """A log served from the byte the client asks for; each request gets up to the next of `stops`,
    where the connection breaks, and the last one the rest."""

    def __init__(self, content, *stops):
        self.content, self.stops, self.offsets = content, list(stops), []

    def __call__(self, query, *_):
        assert query["follow"] == "true"
        offset = int(query["offset"])
        self.offsets.append(offset)
        if self.stops:
            return Stream(self.content[offset:self.stops.pop(0)], CUT)
        return Stream(self.content[offset:]) if offset < len(self.content) else Stream()


def start(agent, clock, **more):
    agent.on("POST", RUNS, Answer(201, answers.run(clock, state="pending", reason="pulling image",
                                                   nextScheduled=clock.ahead("16h48m30s", "Europe/Berlin"),
                                                   besideSchedule=True, **more)))
    agent.get("/v1/services/reports/nightly-report", answers.document(clock))


def running(clock, *attempts, **more):
    return answers.run(clock, state="running", attempts=list(attempts), **more)


def ended(clock, *attempts, **more):
    return answers.run(clock, attempts=list(attempts), **more)


def succeeding(agent, clock, log):
    """A run of one attempt: looked at while it runs, then when it has ended."""
    start(agent, clock)
    over = ended(clock, attempt(clock, 1, "succeeded"))
    agent.get(RUN, running(clock, attempt(clock)), over)
    agent.get(LOGS, log)


def test_run(shell, agent, clock, golden):
    start(agent, clock)
    started = shell.files("cronwright run reports/nightly-report")
    headers, body = agent.sent("POST", RUNS)
    assert body == {"ifActive": "refuse"} and re.fullmatch("[0-9a-f]{32}", headers["Idempotency-Key"])
    on_terminal = shell.terminal("cronwright run -n reports nightly-report")
    agent.on("POST", RUNS, Answer(200, answers.run(clock, state="running", concurrency="Allow")))
    again = shell.files("cronwright run --if-active allow --idempotency-key k1 reports/nightly-report")
    headers, body = agent.sent("POST", RUNS)
    assert body == {"ifActive": "allow"} and headers["Idempotency-Key"] == "k1"
    agent.on("POST", RUNS, problem(409, "a run is active", reason="active-run", run="nightly-report-1"))
    golden("run", started, on_terminal, again, shell.files("cronwright run reports/nightly-report"))
    assert shell.files(FOLLOW).status == 125


def test_run_with_variables_and_arguments(shell, agent, clock):
    start(agent, clock)
    shell.files("cronwright run --env DAY=23 --env MODE= reports/nightly-report -- --all '' --env")
    assert agent.sent("POST", RUNS)[1] == {
        "ifActive": "refuse", "env": {"DAY": "23", "MODE": ""}, "args": ["--all", "", "--env"]}
    agent.on("POST", RUNS, problem(403, "one-off variables need role admin"))
    refused = shell.files("cronwright run --env DAY=23 reports/nightly-report")
    assert refused.status == 1 and "one-off variables need role admin" in refused.err


def test_run_as_data(shell, agent, clock):
    start(agent, clock)
    assert shell.files("cronwright run -o name reports/nightly-report").out == f"{FORCED}\n"
    assert "kind: forced\n" in shell.files("cronwright run -o yaml reports/nightly-report").out


def test_zone_that_cannot_be_asked_for_keeps_nobody_from_running(shell, agent, clock):
    start(agent, clock)
    agent.get("/v1/services/reports/nightly-report", Stream(CUT))
    result = shell.files("cronwright run reports/nightly-report")
    assert (result.status, result.out) == (0, f"{FORCED}\n")


def test_run_follow(shell, agent, clock, golden):
    """Waits for the image, follows two attempts that fail, and exits as the container did."""
    shell.changes.append((r"waiting \d+s", "waiting 1s"))
    oom = dict(reason="out of memory (256Mi)", code=137)
    states = [
        answers.run(clock, state="pending", reason="pulling image", maxAttempts=2),
        answers.run(clock, state="pending", reason="pulling image", maxAttempts=2,
                    attempts=[attempt(clock, 1, "pending", "pulling image")]),
        running(clock, attempt(clock), maxAttempts=2),
        running(clock, attempt(clock, 1, "failed", **oom), maxAttempts=2),
        running(clock, attempt(clock, 1, "failed", **oom), maxAttempts=2, reason="back-off after a failure"),
        running(clock, attempt(clock, 1, "failed", **oom), attempt(clock, 2), maxAttempts=2),
        answers.run(clock, state="failed", maxAttempts=2, reason="out of memory (256Mi)", exitCode=137,
                    attempts=[attempt(clock, 1, "failed", **oom), attempt(clock, 2, "failed", **oom)]),
    ]
    logs = {"1": Log(b"4211 rows read\n"), "2": Log("4211 rows read\n½ written".encode())}

    def play():
        start(agent, clock)
        agent.get(RUN, *states)
        agent.get(LOGS, lambda query, *rest: logs[query["attempt"]](query, *rest))

    play()
    on_terminal = shell.terminal(FOLLOW)
    assert "\r\x1b[K\x1b[?7l◎ waiting 0s".encode() in shell.raw
    play()
    in_files = shell.files(FOLLOW)
    play()
    words = shell.files(f"LC_ALL=C {FOLLOW}")
    golden("run-follow", on_terminal, in_files, words)
    assert on_terminal.status == in_files.status == words.status == 137


def test_run_follow_as_json(shell, agent, clock, golden):
    succeeding(agent, clock, Log(b"one\ntwo\n"))
    golden("run-follow-as-json", shell.files(f"{FOLLOW} -o json"))


def test_exit_statuses(shell, agent, clock, golden):
    start(agent, clock)
    agent.get(LOGS, Log(b""))
    results = []
    for changes in (
            dict(reason="deadline exceeded", exitCode=None, attempts=[]),
            dict(reason="image cannot be pulled: not found", exitCode=None, started=None,
                 attempts=[attempt(clock, 1, "pending", "image cannot be pulled: not found")]),
            dict(reason="exit 3", exitCode=3, attempts=[attempt(clock, 1, "failed", "exit 3", 3)])):
        agent.get(RUN, answers.run(clock, state="failed", **changes))
        results.append(shell.files(FOLLOW))
    agent.get(RUN, problem(404, "there is no run"))
    results.append(shell.files(FOLLOW))
    golden("exit-statuses", *results)
    assert [result.status for result in results] == [124, 125, 3, 125]


def test_a_broken_connection_loses_and_repeats_nothing(shell, agent, clock, golden):
    text = "".join(f"row {n} of ½ a million\n" for n in range(400)).encode()
    half = text.index("½".encode(), 3000) + 1  # within a character
    log = Log(text, 100, 100, half)
    succeeding(agent, clock, log)
    result = shell.files(FOLLOW)
    assert result.out == text.decode() and result.status == 0
    assert log.offsets[:4] == [0, 100, 100, half]
    result.out = "row 0 of ½ a million\n(all 400 rows, each once)\n"
    golden("broken-connection", result)


def test_the_agent_restarts_meanwhile(shell, agent, clock, golden):
    text = b"before\nwhile it was away\nafter\n"
    shell.changes.append((r"after \d+ ms", "after 0 ms"))

    def restart():
        agent.stop()
        after(1.2, agent.start)

    log = Log(text)
    succeeding(agent, clock, lambda query, *rest:
               Stream(text[:7], restart, CUT) if query["offset"] == "0" else log(query, *rest))
    result = shell.files(FOLLOW)
    assert result.out == text.decode() and result.status == 0
    assert log.offsets[0] == 7
    result.err = re.sub(r"is away: .*;", "is away: ...;", result.err)
    golden("agent-restarts", result)


def test_a_busy_agent_is_asked_again(shell, agent, clock):
    succeeding(agent, clock, Log(b"one\n"))
    agent.answers[("GET", RUN)].insert(0, problem(503, "draining"))
    result = shell.files(FOLLOW)
    assert result.status == 0 and result.out == "one\n"
    assert "the agent is away: it answered with status 503" in result.err
    assert "the agent is back" in result.err


def test_a_silent_end_of_the_answer_is_not_the_end_of_the_log(shell, agent, clock):
    """The agent ends an answer that was silent for long; the log goes on."""
    steps = [b"one\n", b"two\n", b"three\n"]
    start(agent, clock)
    agent.get(RUN, *[running(clock, attempt(clock))] * 3, ended(clock, attempt(clock, 1, "succeeded")))
    offsets = []

    def log(query, *_):
        offsets.append(int(query["offset"]))
        return Stream(steps.pop(0)) if steps else Stream()

    agent.get(LOGS, log)
    assert shell.files(FOLLOW).out == "one\ntwo\nthree\n"
    assert offsets == [0, 4, 8, 14]


def test_the_last_lines_are_waited_for(shell, agent, clock):
    """The attempt has ended, but the agent has not read all of its log yet."""
    start(agent, clock)
    over = attempt(clock, 1, "succeeded")
    agent.get(RUN, ended(clock, over, log="following"), ended(clock, over, log="following"),
              ended(clock, over))
    parts = [b"one\n", b"", b"two\n"]
    agent.get(LOGS, lambda *_: Stream(*filter(None, [parts.pop(0)])) if parts else Stream())
    assert shell.files(FOLLOW).out == "one\ntwo\n"


def test_a_deleted_pod_does_not_cut_its_log(shell, agent, clock):
    """A deadline deletes the pods: the attempt is gone from the run, its log is not."""
    start(agent, clock)
    gone = answers.run(clock, state="failed", reason="deadline exceeded")
    agent.get(RUN, running(clock, attempt(clock)), gone)
    agent.get(LOGS, Log(b"one\ntwo\n", 4))
    result = shell.files(FOLLOW)
    assert result.out == "one\ntwo\n" and result.status == 124


def test_a_reason_is_said_once(shell, agent, clock):
    start(agent, clock)
    reason = "image cannot be pulled: " + "x" * 400
    agent.get(RUN, *[answers.run(clock, state="pending", reason=reason)] * 3,
              answers.run(clock, state="failed", reason=reason, exitCode=None, started=None))
    assert shell.files(FOLLOW).err.count("waiting: image") == 1


def test_what_the_log_lacks_is_said(shell, agent, clock):
    start(agent, clock)
    agent.get(LOGS, Log(b"one\n"))
    for word, sentence in (("truncated", "some of it is missing"), ("lost", "some of the log was lost")):
        agent.get(RUN, ended(clock, attempt(clock, 1, "succeeded"), log=word))
        assert sentence in shell.files(FOLLOW).err


def test_ctrl_c_detaches(shell, agent, clock, golden):
    forever = threading.Event()
    start(agent, clock)
    agent.get(RUN, running(clock, attempt(clock)))
    agent.get(LOGS, Stream(b"4211 rows read\n", forever))
    typed = []

    def type_ctrl_c(text, write):
        if "4211 rows read\r\n" in text and not typed:
            typed.append(write(b"\x03"))

    on_terminal = shell.terminal(FOLLOW, type_ctrl_c)

    def kill(process):
        assert process.stdout.readline() == b"4211 rows read\n"
        interrupt(process)

    in_files = shell.files(FOLLOW, kill)
    agent.get(RUN, answers.run(clock, state="pending", reason="pulling image"))
    typed.clear()

    def while_waiting(text, write):
        if "pulling image" in text and not typed:
            typed.append(write(b"\x03"))

    shell.changes.append((r"waiting \d+s", "waiting 1s"))
    waiting = shell.terminal(FOLLOW, while_waiting)
    forever.set()
    in_files.out = "4211 rows read\n"
    golden("ctrl-c", on_terminal, in_files, waiting)
    assert [result.status for result in (on_terminal, in_files, waiting)] == [130, 130, 130]


def test_a_reader_that_goes_away(shell, agent, clock):
    """As with `| head -1`: a quiet end, at once, even while the log is silent."""
    forever = threading.Event()
    start(agent, clock)
    agent.get(RUN, running(clock, attempt(clock)))
    agent.get(LOGS, Stream(b"first\n", forever))
    process = shell.start(FOLLOW, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"first\n"
    process.stdout.close()
    assert process.wait(10) == 141
    assert b"cronwright:" not in process.stderr.read()
    forever.set()


def test_a_list_whose_reader_went_away(shell, agent, clock):
    agent.get("/v1/services", answers.services(clock))
    process = shell.start("cronwright services", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.wait(10) == 141
    assert b"cronwright:" not in process.stderr.read()


def test_a_slow_reader_gets_everything(shell, agent, clock):
    text = b"".join(b"%07d\n" % n for n in range(500_000))  # more than the client holds
    succeeding(agent, clock, Log(text))
    process = shell.start(FOLLOW, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    received = process.stdout.read(8)
    threading.Event().wait(1)
    received += process.stdout.read()
    assert process.wait(10) == 0 and received == text


def test_output_that_cannot_be_written(shell, agent, clock):
    succeeding(agent, clock, Log(b"one\n"))
    with open("/dev/full", "wb") as full:
        process = shell.start(FOLLOW, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE)
        assert b"writing the log: No space left on device" in process.stderr.read()
        assert process.wait(10) == 1


def test_logs(shell, agent, clock, golden):
    failed = answers.failed_run(clock, attempts=[attempt(clock, n, "failed", "exit 3", 3)
                                                 for n in range(1, 5)])
    latest = ended(clock, attempt(clock, 1, "succeeded"))
    agent.get(RUNS, lambda query, *_: Answer(200, {"runs": [failed if query.get("state") == "failed" else latest]}))
    agent.get(RUN, ended(clock, attempt(clock, 1, "succeeded")))
    agent.get(f"{RUNS}/{answers.FAILED}", failed)
    agent.get(LOGS, Answer(200, b"4211 rows read\ndone", "text/plain"))
    agent.get(f"{RUNS}/{answers.FAILED}/logs",
              lambda query, *_: Answer(200, f"attempt {query['attempt']}\n".encode(), "text/plain"))
    results = [shell.terminal("cronwright logs reports/nightly-report"),
               shell.files("cronwright logs --failed reports/nightly-report"),
               shell.files(f"cronwright logs --run {answers.FAILED} --attempt 2 reports/nightly-report"),
               shell.files("cronwright logs --follow reports/nightly-report")]
    pending = answers.run(clock, state="pending", reason="pulling image")
    agent.get(RUNS, {"runs": [pending]})
    agent.get(RUN, pending)
    agent.get(LOGS, problem(404, "attempt 1 has no pod yet", reason="no-pod-yet"))
    results.append(shell.files("cronwright logs reports/nightly-report"))
    results.append(shell.files("cronwright logs --attempt 2 reports/nightly-report"))
    results.append(shell.files("cronwright logs --container side reports/nightly-report"))
    agent.get(LOGS, Answer(200, b"", "text/plain"))
    results.append(shell.files("cronwright logs reports/nightly-report"))
    agent.get("/v1/services", answers.services(clock))
    agent.get(f"{RUNS}/gone", problem(404, "jobs.batch \"gone\" not found", reason="not-found"))
    results.append(shell.files("cronwright logs --run gone reports/nightly-report"))
    agent.get(RUNS, {"runs": []})
    results.append(shell.files("cronwright logs reports/nightly-report"))
    results.append(shell.files("cronwright logs --failed reports/nightly-report"))
    golden("logs", *results)


def test_part_of_a_log(shell, agent, clock):
    """What chooses the part is asked once; a connection that broke is gone on with where it was."""
    whole = b"".join(b"line %d\n" % i for i in range(1, 101))
    began = whole.index(b"line 91")
    offsets = []

    def log(query, *_):
        offsets.append(query.get("offset"))
        if "offset" in query:
            return Stream(whole[int(query["offset"]):])
        assert (query["tail"], query["since"], query["container"]) == ("10", "1h30m", "side")
        return Stream(whole[began:began + 20], CUT, headers={"Log-Offset": str(began)})
    agent.get(f"{RUNS}/{answers.FORCED}", ended(clock, attempt(clock, 1, "succeeded")))
    agent.get(LOGS, log)
    result = shell.files(f"cronwright logs --run {answers.FORCED} --tail 10 --since 1h30m --container side "
                         "reports/nightly-report")
    assert result.out.encode() == whole[began:]
    assert offsets == [None, str(began + 20)]
    offsets.clear()
    result = shell.files(f"cronwright logs --follow --run {answers.FORCED} --tail 10 --since 1h30m --container side "
                         "reports/nightly-report")
    assert result.out.encode() == whole[began:]
    assert offsets[:2] == [None, str(began + 20)]


def test_search(shell, agent, clock):
    """Each line after its number; what else is said goes to standard error."""
    found = {"matches": [{"line": 7, "text": "4211 rows \x1b[31mlost\x1b[0m"}, {"line": 9000, "text": "lost"}],
             "lines": 9001, "more": True}
    asked = []
    agent.get(f"{RUNS}/{answers.FORCED}", ended(clock, attempt(clock, 1, "succeeded")))
    agent.get(LOGS, lambda query, *_: asked.append(query) or Answer(body=found))
    command = f"cronwright logs --run {answers.FORCED} --search 'rows & lost' --ignore-case reports/nightly-report"
    result = shell.files(command)
    assert (result.status, result.out) == (0, "7:4211 rows \x1b[31mlost\x1b[0m\n9000:lost\n")
    assert "there may be more" in result.err and "first 9001 lines" in result.err
    assert "\x1b[31mlost" not in shell.terminal(command).out
    assert asked[0] == {"attempt": "1", "search": "rows & lost", "ignoreCase": "true"}
    found = {"matches": [], "lines": 9001, "more": False}
    assert shell.files(command).status == 1
    for wrong in ("--search x --tail 1", "--search x --follow", "--ignore-case"):
        assert shell.files(f"cronwright logs {wrong} reports/nightly-report").status != 0


def test_control_sequences(shell, agent, clock):
    """On a terminal they are shown; files and pipes get every byte, and so does whoever asks for it."""
    text = b"\x1b[31mred\x1b[0m \x1b]0;title\x07 over\rwritten \xc2\x9b2J \xff end\r\n"
    agent.get(f"{RUNS}/{answers.FORCED}", ended(clock, attempt(clock, 1, "succeeded")))
    agent.get(LOGS, Answer(200, text, "text/plain"))
    command = f"cronwright logs --run {answers.FORCED} reports/nightly-report"
    shell.terminal(command)
    assert b"red ^[]0;title^G over^Mwritten ?2J ? end\r\n" in shell.raw and b"\x1b]" not in shell.raw
    shell.terminal(command + " --raw")
    assert text.replace(b"\r\n", b"\r\r\n") in shell.raw
    assert shell.files(command).out.encode(errors="surrogateescape") == text


def test_attempt_before(shell, agent, clock):
    agent.get(f"{RUNS}/{answers.FAILED}", answers.failed_run(clock, attempts=[
        attempt(clock, n, "failed", "exit 3", 3) for n in range(1, 3)]))
    agent.get(f"{RUNS}/{answers.FAILED}/logs",
              lambda query, *_: Answer(200, f"attempt {query['attempt']}\n".encode(), "text/plain"))
    run = f"cronwright logs --run {answers.FAILED} --previous reports/nightly-report"
    assert shell.files(run).out == "attempt 1\n"
    result = shell.files(run + " --attempt 1")
    assert result.status == 1 and "has no attempt before its first" in result.err
    assert shell.files(run + " --follow").status == 2


def test_build_logs(shell, agent, clock, golden):
    path = "/v1/builds/b-49"
    failed = answers.build(clock, 49, state="failed", detail="RUN pip: exit 1")
    agent.get(path, failed)
    agent.get(f"{path}/logs", Answer(200, b"INFO Unpacking\nERROR pip: exit 1\n", "text/plain"))
    results = [shell.files("cronwright logs --build b-49")]
    states = [answers.build(clock, 49, state=state) for state in ("waiting", "waiting", "fetching", "running")]
    states.insert(3, answers.build(clock, 49, state="running", reason="unschedulable",
                                   detail="no node takes the pod: 0/3 nodes are available."))
    agent.get(path, *states, answers.build(clock, 49, state="pushed"), answers.build(clock, 49))
    agent.get(f"{path}/logs", Log(b"INFO Unpacking\nINFO Pushed\n", 15))
    results.append(shell.files("cronwright logs --follow --build b-49"))
    golden("build-logs", *results)
