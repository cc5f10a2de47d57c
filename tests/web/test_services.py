"""The list of services: what it says, how it is filtered and searched, how a run is forced from it, and that it follows
what happens, also through a lost connection."""

import contextlib
import datetime
import re
import signal
import time

import pytest
from playwright.sync_api import expect

from agents import TOKENS, Agent, push_of
from browsers import updates
from forwarders import Forwarder
from places import report, shell
from waiting import eventually

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
HOSTILE = "<img src=x onerror=alert(1)> \u202eevil\u202c 'quoted'"


def far(months):
    """A schedule whose next time is the first of the month in so many months, and how the page tells that."""
    month = (datetime.datetime.now(datetime.timezone.utc).month - 1 + months) % 12
    return f"0 0 1 {month + 1} *", f"1 {MONTHS[month]}"


@pytest.fixture(scope="module")
def good(place, agent):
    return place.service("good", container=shell("echo well"), spec={"schedule": "30 5 * * 1"}).seen_by(agent)


@pytest.fixture(scope="module")
def bad(place, agent):
    service = place.service("bad", container=shell("echo broken; exit 3")).seen_by(agent)
    service.ended(agent, service.force(agent).json["name"])
    return service


@pytest.fixture(scope="module")
def slow(place, agent):
    service = place.service("slow", container=shell("while :; do sleep 1; done"), job={"activeDeadlineSeconds": 600})
    yield service.seen_by(agent)
    service.clear()


def test_a_row_says_how_a_service_is(page, agent, good, bad):
    assert good.ended(agent, good.force(agent).json["name"])["state"] == "succeeded"
    row = page.row(good)
    expect(row).to_contain_text("started")
    expect(row.locator(".result time")).to_be_visible()
    expect(row.locator(".next time").first).to_be_visible()
    expect(row).to_contain_text("succeeded")
    expect(row.locator(".next")).to_contain_text(re.compile(r"in \d"))
    expect(row.locator(".next")).to_contain_text("Etc/UTC")
    expect(page.row(bad)).to_contain_text("exit 3")
    expect(row.locator("a.strip")).to_have_attribute("aria-label", re.compile("1 succeeded; the newest succeeded"))
    page.check()


def test_failing_services_come_first(page, good, bad):
    expect(page.tab.locator("table.services tbody").first.locator("tr").nth(1)).to_contain_text(bad.name)


def test_counts_filter_and_stay_in_the_address(page, good, bad):
    page.tab.get_by_role("button", name=re.compile("failing")).click()
    expect(page.row(bad)).to_be_visible()
    expect(page.row(good)).to_have_count(0)
    assert "show=failing" in page.tab.url
    page.tab.reload()
    expect(page.row(bad)).to_be_visible()
    expect(page.row(good)).to_have_count(0)
    page.tab.get_by_role("button", name=re.compile("failing")).click()
    expect(page.row(good)).to_be_visible()
    assert "show=" not in page.tab.url


def test_search_as_one_types(page, good, bad):
    expect(page.row(good)).to_be_visible()
    page.tab.keyboard.press("/")
    page.tab.keyboard.type(good.name[:-1].upper())
    expect(page.row(bad)).to_have_count(0)
    expect(page.row(good).locator("mark")).to_have_text(good.name[:-1])
    assert f"q={good.name[:-1].upper()}" in page.tab.url
    page.tab.keyboard.press("ControlOrMeta+a")
    page.tab.keyboard.type("nothing is called so")
    expect(page.tab.get_by_text("No service is like that.")).to_be_visible()
    page.tab.get_by_role("button", name="Show all services").click()
    expect(page.row(bad)).to_be_visible()


def test_force_run_opens_the_log(page, good):
    page.row(good).get_by_role("button", name="Force run").click()
    page.tab.get_by_role("dialog").get_by_role("button", name="Force run CronJob").click()
    page.tab.wait_for_url(re.compile(rf"#/runs/{good.namespace}/{good.name}/{good.name}-f-"))
    expect(page.tab.locator("main")).to_contain_text("well")


def test_an_active_run_gives_a_choice(page, agent, slow):
    first = slow.force(agent).json["name"]
    expect(page.row(slow).locator(".now")).to_be_visible()
    page.row(slow).get_by_role("button", name="Force run").click()
    dialog = page.tab.get_by_role("dialog")
    dialog.get_by_label("Replace it").check()
    dialog.get_by_role("button", name="Force run CronJob").click()
    page.tab.wait_for_url(re.compile("#/runs/"))
    assert first not in page.tab.url
    eventually(lambda: agent.get(f"{slow.path}/runs/{first}")["state"] == "failed", "the first run is cancelled")


def test_variables_of_one_run(page, agent, place):
    service = place.service("variable", container=shell("echo mode=$MODE")).seen_by(agent)
    page.row(service).get_by_role("button", name="Force run").click()
    dialog = page.tab.get_by_role("dialog")
    dialog.get_by_text("Variables and arguments of this run only").click()
    dialog.get_by_label("Variables").fill("no variable")
    dialog.get_by_role("button", name="Force run CronJob").click()
    expect(dialog).to_contain_text("is no NAME=value")
    dialog.get_by_label("Variables").fill("MODE=full")
    dialog.get_by_role("button", name="Force run CronJob").click()
    expect(page.tab.locator("main")).to_contain_text("mode=full")


def test_changes_are_seen_live(page, agent, place):
    service = place.service("later", container=shell("exit 4")).seen_by(agent)
    expect(page.row(service)).to_contain_text("never run")
    service.force(agent)
    expect(page.row(service)).to_contain_text("exit 4")
    assert agent.api("POST", f"{service.path}/stop").status == 200
    expect(page.row(service).locator(".state")).to_contain_text("stopped")
    service.delete()
    expect(page.row(service)).to_have_count(0)


def test_a_push_is_seen_arriving(page, agent, place):
    repository = place.repository("pushed")
    service = place.service("pushed", repository=repository).seen_by(agent)
    expect(page.row(service)).to_contain_text("not built yet")
    commit = repository.push(report(place.cluster, "hello"), "Say hello")
    agent.accept(push_of(repository, commit))
    expect(page.row(service).locator(".live")).to_contain_text(re.compile(r"b-\d+ (waiting|fetching|building)"))
    expect(page.row(service).locator(".live")).to_contain_text(f"{commit[:7]} Say hello", timeout=120_000)


def test_two_browsers_see_the_same(page, open_page, agent, good):
    with open_page(agent, "dark") as other:
        other.sign_in("runner").is_live()
        before = agent.get(f"{good.path}/runs")["runs"][0]["name"]
        page.row(good).get_by_role("button", name="Force run").click()
        page.tab.get_by_role("dialog").get_by_role("button", name="Force run CronJob").click()
        link = other.row(good).locator(".result a").first
        expect(link).not_to_have_attribute("href", re.compile(re.escape(before)))


def test_a_viewer_is_offered_nothing_to_do(open_page, agent, good):
    with open_page(agent) as page:
        page.sign_in("viewer").is_live()
        expect(page.row(good)).to_be_visible()
        expect(page.tab.get_by_role("button", name=re.compile("Force run"))).to_have_count(0)
        expect(page.tab.get_by_role("link", name="New service")).to_have_count(0)
        page.row(good).get_by_role("link", name=good.name, exact=True).click()
        expect(page.tab.get_by_role("heading", name="From image to run")).to_be_visible()
        expect(page.tab.get_by_role("group", name="Actions").get_by_role("button")).to_have_count(0)


def test_a_wrong_token(open_page, agent):
    with open_page(agent) as page:
        page.open()
        page.tab.get_by_label("Admin token").fill("not one of them")
        page.tab.keyboard.press("Enter")
        expect(page.tab.get_by_role("alert")).to_contain_text("No token of the settings is that one")
        page.check()


def test_signing_out_and_in_again_leads_back(page, good):
    page.go(f"#/services?q={good.name}")
    expect(page.row(good)).to_be_visible()
    page.tab.get_by_role("button", name="Sign out").click()
    expect(page.tab.get_by_label("Admin token")).to_be_visible()
    page.sign_in(address=f"#/services?q={good.name}")
    expect(page.row(good)).to_be_visible()


def test_a_cut_connection_is_said_and_made_good(open_page, agent, place):
    (before, first), (after, then) = far(2), far(4)
    service = place.service("cut", spec={"schedule": before}).seen_by(agent)
    line = Forwarder(agent.admin)
    with open_page(agent, url=f"http://{line.address}/") as page:
        page.sign_in().is_live()
        expect(page.row(service).locator(".next")).to_contain_text(first)
        line.close()
        expect(page.tab.locator("#connection")).to_contain_text("reconnecting")
        service.merge(spec={"schedule": after})
        line.open()
        page.is_live()
        expect(page.row(service).locator(".next")).to_contain_text(then)
    line.close()


def test_a_view_that_could_not_be_had_comes_when_the_line_is_back(open_page, agent, place):
    service = place.service("later").seen_by(agent)
    line = Forwarder(agent.admin)
    with open_page(agent, url=f"http://{line.address}/") as page:
        page.sign_in().is_live()
        expect(page.row(service)).to_be_visible()
        line.close()
        expect(page.tab.locator("#connection")).to_contain_text("reconnecting")
        page.go("#/timeline")
        expect(page.tab.get_by_role("heading", name="That did not work")).to_be_visible()
        line.open()
        expect(page.tab.get_by_role("heading", name="Timeline")).to_be_visible()
        page.is_live()
    line.close()


def test_a_session_ends_with_the_agent(open_page, place, tmp_path):
    agent = Agent(place, tmp_path).start()
    try:
        with open_page(agent) as page:
            page.sign_in().is_live()
            agent.kill()
            expect(page.tab.locator("#connection")).to_contain_text("reconnecting")
            agent.start()
            expect(page.tab.get_by_label("Admin token")).to_be_visible()
            page.tab.get_by_label("Admin token").fill(TOKENS["admin"])
            page.tab.keyboard.press("Enter")
            page.is_live()
            assert page.tab.url.endswith("#/services")
    finally:
        agent.finish()


def test_two_agents_on_one_host(page, agent, place, tmp_path):
    """As with two forwarded ports: a browser knows cookies by host alone."""
    with Agent(place, tmp_path) as other:
        tab = page.context.new_page()
        tab.goto(f"http://{other.admin}/")
        tab.get_by_label("Admin token").fill(TOKENS["viewer"])
        tab.keyboard.press("Enter")
        expect(tab.get_by_role("button", name="Sign out")).to_be_visible()
        page.tab.reload()
        page.is_live()
        tab.get_by_role("button", name="Sign out").click()
        expect(tab.get_by_label("Admin token")).to_be_visible()
        page.tab.reload()
        page.is_live()


def test_one_page_too_many_asks_now_and_then(open_page, agent, place):
    (before, first), (after, then) = far(2), far(4)
    service = place.service("asked", spec={"schedule": before}).seen_by(agent)
    with contextlib.ExitStack() as others:
        full = 0
        while full < 10:  # a page that has gone takes its place for a moment yet
            got = others.enter_context(updates(agent, [("Authorization", f"Bearer {TOKENS['viewer']}")]))
            if got.status == 200:
                full = 0
            else:
                full += 1
                time.sleep(0.1)
        with open_page(agent) as page:
            page.sign_in()
            expect(page.tab.locator("#connection")).to_contain_text("every 15 s")
            expect(page.row(service).locator(".next")).to_contain_text(first)
            service.merge(spec={"schedule": after})
            expect(page.row(service).locator(".next")).to_contain_text(then)
            page.check()
            others.close()
            page.is_live()


def test_a_silent_agent_is_noticed(page, agent, place):
    """One that neither answers nor hangs up, as behind a broken network."""
    (before, first), (after, then) = far(2), far(4)
    service = place.service("silent", spec={"schedule": before}).seen_by(agent)
    expect(page.row(service).locator(".next")).to_contain_text(first)
    agent.process.send_signal(signal.SIGSTOP)
    try:
        expect(page.tab.locator("#connection")).to_contain_text("reconnecting", timeout=60_000)
        service.merge(spec={"schedule": after})
    finally:
        agent.process.send_signal(signal.SIGCONT)
    page.is_live()
    expect(page.row(service).locator(".next")).to_contain_text(then)


def test_hostile_texts_are_only_shown(page, agent, place):
    repository = place.repository("hostile")
    service = place.service("hostile", repository=repository).seen_by(agent)
    commit = repository.push(report(place.cluster, "hello"), HOSTILE)
    agent.accept(push_of(repository, commit))
    live = page.row(service).locator(".live")
    expect(live).to_contain_text("<img src=x onerror=alert(1)>", timeout=120_000)
    assert "\u202e" not in live.inner_text()
    expect(page.tab.locator("main img")).to_have_count(0)
    page.check()


def test_what_a_name_hides_is_shown(page):
    shown = page.tab.evaluate("""async texts => {
        const { visible } = await import(document.querySelector("script").src.replace("main.js", "format.js"));
        return texts.map(visible);
    }""", ["a\u202eb", "a\x07b", "a\u200bb", "a\x85b", "tab\tand\nline", "日本 é 👍"])
    assert shown == ["a⟨U+202E⟩b", "a␇b", "a⟨U+200B⟩b", "a⟨U+0085⟩b", "tab\tand\nline", "日本 é 👍"]
