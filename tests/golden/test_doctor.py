"""doctor: what is wrong stands out, with what to do about it; without an agent that is what is wrong."""

import threading

from agent import Answer, problem


def check(name, text, state="good", fix=None):
    return {"check": name, "state": state, "text": text, "fix": fix}


def findings(*groups, version="0.1.0"):
    checks = [each for _, group in groups for each in group]
    count = lambda state: sum(each["state"] == state for each in checks)
    return {"groups": [{"group": name, "checks": group} for name, group in groups], "problems": count("problem"),
            "warnings": count("warning"), "seconds": 0.8, "version": version, "time": "2026-11-24T09:12:00Z"}


def ill():
    return findings(
        ("kubernetes", [check("version", "v1.34.4"), check("watches", "watches live"),
                        check("rights", 'may not create jobs in "sales"', "problem",
                              "kubectl apply -f deploy/manifests/rbac.yaml")]),
        ("webhooks", [check("self-delivery", "signed deliveries arrive (github)"),
                      check("refused", "14 refused of github, the last 3 min ago: 401 signature matches no secret "
                                       "(from 203.0.113.9)", "warning",
                            "the hook's secret must be one of those in webhooks.github.secretFiles")]),
        ("git", [check("remotes", "github.com"), check("remotes", "github.com"), check("remotes", "git.example")]),
        ("registry", []),
        ("builds", [check("push-secrets", 'push secret "push" not looked for: may not get secrets in "builds"', "skipped",
                          "to have it looked for: deploy/manifests/rbac-check-references.yaml")]),
        ("sweep", [check("age", "last sweep 41s ago, oldest check 47s ago")]))


def test_doctor(shell, agent, golden):
    agent.get("/v1/doctor", ill())
    golden("doctor",
           shell.terminal("cronwright doctor"),
           shell.files("LC_ALL=C cronwright doctor"),
           shell.files("cronwright doctor -o wide"),
           shell.files("cronwright doctor -o json"),
           shell.files("cronwright doctor -o name"))


def test_all_is_well(shell, agent, golden):
    """Warnings are no failure."""
    agent.get("/v1/doctor", findings(("git\x1b[1m", [check("remotes", "git.example\x1b[31m")])))
    well = shell.files("cronwright doctor")
    agent.get("/v1/doctor", findings(("settings", [check("allow", "allow is empty: nothing is built", "warning",
                                                         "add an entry to allow")]), version="0.0.9"))
    golden("doctor-well", well, shell.files("LC_ALL=C cronwright doctor"))


def test_in_colour(shell, agent, golden):
    agent.get("/v1/doctor", ill())
    golden("doctor-in-colour", shell.terminal("NO_COLOR= cronwright doctor"))


def test_agent_that_cannot_be_asked(shell, agent, golden, tmp_path):
    (tmp_path / "token").write_text("not-the-token\n")
    (tmp_path / "wrong.yaml").write_text("sweeep: {}\nbuilds: {namespaces: a}\ngit: {helper: /bin/sh}\n")
    agent.get("/v1/doctor", problem(401, "wrong token"))
    results = [shell.files("cronwright doctor"), shell.files("cronwright doctor --token-file token")]
    agent.get("/v1/doctor", problem(403, "token \"ana\" is a viewer; this needs an admin"))
    results.append(shell.files("cronwright doctor --token-file token"))
    agent.get("/v1/doctor", problem(404, "there is no /v1/doctor"))
    results.append(shell.files("cronwright doctor"))
    agent.get("/v1/doctor", problem(503, "somebody else is having everything looked at"))
    results.append(shell.files("cronwright doctor -o json"))
    agent.stop()
    shell.changes.append((r"after \d+ ms", "after 0 ms"))
    results.append(shell.files("cronwright doctor"))
    results.append(shell.files("cronwright doctor --config wrong.yaml"))
    agent.start()
    golden("doctor-without-agent", *results)


def test_who_waits_is_told_why(shell, agent):
    """After two seconds, in a line that goes when the answer is there."""
    said = threading.Event()

    def answer(*_):
        assert said.wait(30)
        return Answer(200, findings(("git", [check("remotes", "git.example")])))

    agent.get("/v1/doctor", answer)
    result = shell.terminal("cronwright doctor", on_output=lambda text, _: "looks at everything" in text and said.set())
    assert result.status == 0 and "looks at everything" not in result.out
    assert result.out.startswith("agent       ✔ http://127.0.0.1:8081 answers\n"), result.out
