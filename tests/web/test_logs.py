"""The log viewer: earlier lines first and then live ones, search by the agent, links to lines, colours, attempts, and a
log that is far too long for any page."""

import re

import pytest
from playwright.sync_api import expect

from agents import Agent
from places import shell
from waiting import eventually

MANY = 97_000  # lines of 1,000 bytes: with the runtime's words before each, just less than a kubelet rotates


def lines(page):
    return page.tab.get_by_role("region", name="Lines of the log")


def show(page, service, run, **query):
    search = "&".join(f"{key}={value}" for key, value in query.items())
    page.go(f"#/runs/{service.namespace}/{service.name}/{run}{'?' if search else ''}{search}")


@pytest.fixture(scope="module")
def agent(place):
    with Agent(place, place.directory, logs={"maxBytes": "128MiB"}) as agent:
        yield agent


@pytest.fixture(scope="module")
def long(place, agent):
    """(service, run) of a log of 97 MB."""
    script = (f"""awk 'BEGIN {{ for (i = 1; i <= {MANY}; i++) printf "%-998s.\\n", "line " i " of many" }}'; """
              "echo 'last line'")
    service = place.service("long", container=shell(script)).seen_by(agent)
    run = service.force(agent).json["name"]
    assert service.ended(agent, run, 240)["state"] == "succeeded"
    eventually(lambda: agent.get(f"{service.path}/runs/{run}")["log"] == "complete", "its log is complete", 240)
    return service, run


def test_the_end_of_a_long_log_comes_first(page, long):
    show(page, *long)
    expect(lines(page)).to_contain_text("last line")
    expect(page.tab.locator(f"#L{MANY + 1}")).to_be_visible()
    earlier = page.tab.get_by_role("button", name=re.compile("^Earlier lines"))
    earlier.click()
    expect(lines(page)).to_contain_text(f"line {MANY - 2000} of many")
    assert page.tab.locator(".line").count() < 20_000
    page.check()


def test_search_is_exact_and_goes_to_the_line(page, long):
    show(page, *long)
    expect(lines(page)).to_contain_text("last line")
    page.tab.get_by_label("Find in the log").fill("line 1234 of many")
    expect(page.tab.locator(".log-search")).to_contain_text("1 line")
    page.tab.get_by_role("button", name="Next match").click()
    expect(page.tab.locator("#L1234.target")).to_contain_text("line 1234 of many")
    page.tab.get_by_label("Find in the log").fill("no such words")
    expect(page.tab.locator(".log-search")).to_contain_text("none")


def test_a_link_leads_to_its_line(page, long):
    show(page, *long, line=50_000)
    expect(page.tab.locator("#L50000.target")).to_contain_text("line 50000 of many")
    page.tab.locator("#L50003 .number").click()
    assert "line=50003" in page.tab.url


def test_lines_appear_as_they_are_written(page, agent, place):
    service = place.service("live", container=shell(
        "echo begun; while [ ! -e /tmp/never ]; do echo tick; sleep 1; done")).seen_by(agent)
    run = service.force(agent).json["name"]
    show(page, service, run)
    expect(lines(page)).to_contain_text("begun")
    expect(page.tab.locator(".log-state")).to_contain_text("Live")
    expect(page.tab.locator("#L5")).to_be_visible()
    page.tab.get_by_role("button", name="Cancel run").click()
    page.tab.get_by_role("dialog").get_by_role("button", name="Cancel run").click()
    expect(page.tab.locator(".log-state")).to_contain_text("The end")
    expect(page.tab.get_by_role("region", name="The run")).to_contain_text("failed")


def test_attempts_are_told_apart(page, agent, place):
    service = place.service("again", container=shell("echo attempt; exit 3"), job={"backoffLimit": 1}).seen_by(agent)
    run = service.force(agent).json["name"]
    assert service.ended(agent, run, 120)["state"] == "failed"
    show(page, service, run)
    attempts = page.tab.get_by_role("navigation", name="Attempts")
    expect(attempts.get_by_role("link")).to_have_count(2)
    attempts.get_by_role("link").first.click()
    page.tab.wait_for_url(re.compile("attempt=1"))
    expect(lines(page)).to_contain_text("attempt")
    page.check()


def test_hostile_logs(page, agent, place):
    script = (r"printf '<script>alert(1)</script>\n\033[31mred\033[0m \033]0;title\007plain\nturn \342\200\256 here\n"
              r"12%%\r100%%\n'; head -c 1000000 /dev/zero | tr '\0' x; echo; echo after")
    service = place.service("hostile", container=shell(script)).seen_by(agent)
    run = service.force(agent).json["name"]
    service.ended(agent, run)
    show(page, service, run)
    expect(lines(page)).to_contain_text("after")
    expect(lines(page)).to_contain_text("<script>alert(1)</script>")
    expect(page.tab.locator(".line .ink-1")).to_have_text("red")
    expect(lines(page)).to_contain_text("red plain")
    expect(lines(page)).to_contain_text("turn ⟨U+202E⟩ here")
    expect(page.tab.locator("#L4 code")).to_have_text("100%")
    expect(page.tab.get_by_role("button", name=re.compile(r"^all \d+ kB of this line$"))).to_be_visible()
    page.check()


COLOURS = [  # SGR, classes of what is written in it
    ("31", "ink-1"), ("91", "ink-9"), ("44", "paper-4"), ("1;32", "bold ink-2"), ("0", None), ("31;39", None),
    ("38;5;1", "ink-1"), ("38:5:1", "ink-1"), ("38;5;196", "ink-9"), ("48;5;21", "paper-12"), ("38;5;300", None),
    ("38;2;255;0;0", "ink-9"), ("38:2:255:0:0", "ink-9"), ("38:2::255:0:0", "ink-9"), ("38:2:0:255:0:0", "ink-9"),
    ("38;2;255;0;0;4", "underline ink-9"), ("38:2::255:0:0;4", "underline ink-9"), ("38:2:1", None), ("38;2;0", None),
    ("4:3", "underline"), ("4;4:0", None), ("58;2;255;0;0;1", "bold"), ("58:2::255:0:0;3", "italic"), ("38:9:1", None),
    ("?1;2<", None)]


def test_colours(page, agent, place):
    script = "".join(f"printf '\033[{codes}mtext\033[0m.\n'; " for codes, _ in COLOURS)
    service = place.service("rainbow", container=shell(script)).seen_by(agent)
    run = service.force(agent).json["name"]
    service.ended(agent, run)
    show(page, service, run)
    expect(page.tab.locator(f"#L{len(COLOURS)} code")).to_have_text("text.")
    seen = page.tab.evaluate("""count => Array.from({length: count}, (_, at) =>
        document.querySelector(`#L${at + 1} code span`)?.className ?? null)""", len(COLOURS))
    assert dict(zip((codes for codes, _ in COLOURS), seen)) == dict(COLOURS)


def test_screenshots(pictures, agent, place):
    script = (r"printf 'reading \033[1mledger\033[0m\n\033[32m4,211 rows\033[0m read\n"
              r"\033[33mwarning\033[0m: 3 without VAT\n'; exit 3")
    service = place.service("colours", container=shell(script)).seen_by(agent)
    run = service.force(agent).json["name"]
    service.ended(agent, run)
    pictures(agent, "log", f"#/runs/{service.namespace}/{service.name}/{run}",
             lambda page: expect(lines(page)).to_contain_text("3 without VAT"))
