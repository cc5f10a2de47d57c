"""The life of a service on the page: from the form over the draft's review to a forced run's log, for both sources;
what is wrong is said at its field; stopping, rolling back, deleting; and every tab."""

import re

import pytest
from playwright.sync_api import expect

from agents import push_of
from places import report, shell
from waiting import eventually

BUILT = 120_000  # milliseconds that Kaniko may take


def fill(page, **fields):
    for label, text in fields.items():
        page.tab.get_by_label(label.replace("_", " "), exact=True).fill(text)


def press(page, name, **more):
    page.tab.get_by_role("button", name=name, exact=True, **more).click()


def heading(page, name):
    return page.tab.get_by_role("heading", name=name, exact=True)


def force(page):
    page.tab.get_by_role("group", name="Actions").get_by_role("button", name="Force run CronJob").click()
    page.tab.get_by_role("dialog").get_by_role("button", name="Force run CronJob").click()
    page.tab.wait_for_url(re.compile("#/runs/"))


def test_from_an_image_to_a_run(page, agent, place):
    name = place.name("image")
    page.tab.get_by_role("link", name="New service").first.click()
    expect(heading(page, "New service")).to_be_visible()
    page.check()
    fill(page, Name=name, Namespace=place.namespace, Project="sales", Image=place.cluster.busybox_image,
         Command="/bin/busybox\necho\nit works", Expression="0 3 * * 1-5", Time_zone="Europe/Berlin")
    expect(page.tab.locator(".explanation")).to_contain_text("03:00")
    press(page, "Create draft")
    expect(heading(page, name)).to_be_visible()
    expect(page.tab.get_by_text("Nothing is missing")).to_be_visible()
    page.check()
    fill(page, Memory_at_most="64Mi")
    press(page, "Add variable")
    page.tab.get_by_label("Name", exact=True).first.fill("MODE")
    page.tab.get_by_label("Value, or NAME/KEY").fill("full")
    page.tab.locator(".buttons").get_by_role("button", name="Start").click()
    expect(heading(page, "From image to run")).to_be_visible()
    document = agent.get(f"/v1/services/{place.namespace}/{name}")
    assert document["status"]["state"] == "started"
    assert document["resources"]["limits"]["memory"] == "64Mi"
    assert document["env"] == [{"name": "MODE", "value": "full"}]
    force(page)
    expect(page.tab.get_by_role("region", name="Lines of the log")).to_contain_text("it works")
    expect(page.tab.locator(".log-state")).to_contain_text("The end: 1 line")
    expect(page.tab.get_by_role("region", name="The run")).to_contain_text("succeeded")
    page.check()


def test_from_a_repository_to_a_run(page, agent, place):
    name, repository = place.name("built"), place.repository("built")
    repository.push(report(place.cluster, "first words"), "First")
    page.go("#/create?source=git")
    fill(page, Name=name, Namespace=place.namespace, Repository=repository.url, Expression="@daily")
    page.tab.get_by_label("Push the image to").fill(f"{place.images}/{name}")
    press(page, "Create draft")
    expect(page.tab.locator("main")).to_contain_text(re.compile("Its image:|Nothing is missing"), timeout=BUILT)
    page.tab.locator(".buttons").get_by_role("button", name="Start").click()
    expect(heading(page, "From push to run")).to_be_visible()
    expect(page.tab.locator(".title")).to_contain_text("started", timeout=BUILT)
    commit = repository.push(report(place.cluster, "second words"), "Second")
    agent.accept(push_of(repository, commit))
    expect(page.tab.locator(".chain")).to_contain_text(commit[:7], timeout=BUILT)
    live = lambda: agent.get(f"/v1/services/{place.namespace}/{name}")["status"]["live"]
    eventually(lambda: (live() or {}).get("commit") == commit,
               "it is live", 120)
    force(page)
    expect(page.tab.get_by_role("region", name="Lines of the log")).to_contain_text("second words")
    roll_back(page, agent, place, name, commit)


def test_a_build_that_fails_is_seen_on_the_page_of_its_service(page, agent, place):
    """Although nothing of the CronJob changes."""
    repository = place.repository("broken")
    service = place.service("broken", repository=repository).seen_by(agent)
    first = repository.push(report(place.cluster, "well"), "Well")
    agent.outcome_of(agent.accept(push_of(repository, first)), "deployed", 120)
    page.go(f"#/services/{service.namespace}/{service.name}/overview")
    expect(page.tab.locator(".chain")).to_contain_text(first[:7])
    second = repository.push(report(place.cluster, "never", 'RUN ["/bin/busybox", "false"]'), "Broken")
    agent.accept(push_of(repository, second))
    expect(page.tab.locator(".chain")).to_contain_text(second[:7], timeout=BUILT)
    expect(page.tab.locator(".chain")).to_contain_text("failed", timeout=BUILT)
    page.check()


def roll_back(page, agent, place, name, newest):
    page.go(f"#/services/{place.namespace}/{name}/images")
    page.tab.get_by_role("button", name=re.compile("^Roll back to")).first.click()
    page.tab.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(page.tab.locator(".title")).to_contain_text("pinned")
    page.tab.get_by_role("group", name="Actions").get_by_role("button", name="Roll back").click()
    page.tab.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    eventually(lambda: agent.get(f"/v1/services/{place.namespace}/{name}")["status"]["live"]["commit"] == newest,
               "it is back at the newest one", 60)
    page.go(f"#/services/{place.namespace}/{name}/builds")
    page.tab.get_by_role("link", name=re.compile(r"^b-\d+$")).first.click()
    expect(page.tab.get_by_role("region", name="Lines of the log")).to_contain_text("Pushing image")
    expect(page.tab.get_by_role("region", name="The build")).to_contain_text(f"{place.namespace}/{name}")
    page.check()


def test_what_is_wrong_is_said_at_its_field(page, place):
    page.go("#/create")
    fill(page, Name="Not A Name", Namespace=place.namespace, Image=place.cluster.busybox_image, Expression="0 3 * * 7")
    expect(page.tab.locator(".explanation")).to_contain_text("day of week")
    press(page, "Create draft")
    expect(page.tab.get_by_label("Name", exact=True)).to_be_focused()
    for label in ("Name", "Expression"):
        expect(page.tab.get_by_label(label, exact=True)).to_have_attribute("aria-invalid", "true")
    page.check()


@pytest.fixture(scope="module")
def service(place, agent):
    service = place.service("tabs", container=shell("echo one\necho two")).seen_by(agent)
    for _ in range(3):
        assert service.ended(agent, service.force(agent).json["name"])["state"] == "succeeded"
    return service


TABS = {"overview": "From image to run", "runs": "How long runs took", "images": "came with the CronJob",
        "schedule": "Forced runs do not count", "settings": "Cron settings", "manifest": "kind: CronJob"}


@pytest.mark.parametrize("tab", TABS)
def test_each_tab_has_an_address(page, service, tab):
    page.go(f"#/services/{service.namespace}/{service.name}/{tab}")
    expect(page.tab.locator("main")).to_contain_text(re.compile(re.escape(TABS[tab]), re.IGNORECASE))
    page.check()


def test_settings_are_changed_and_conflicts_shown(page, agent, service):
    container = agent.get(service.path)["container"]
    page.go(f"#/services/{service.namespace}/{service.name}/settings")
    fill(page, Maximum_seconds="77")
    press(page, "Save changes")
    expect(page.tab.locator("#said")).to_contain_text("Saved")
    assert agent.get(service.path)["maxDurationSeconds"] == 77
    save = page.tab.get_by_role("button", name="Save changes")
    fill(page, Maximum_seconds="78")
    save.focus()
    page.tab.keyboard.press("Enter")
    eventually(lambda: agent.get(service.path)["maxDurationSeconds"] == 78, "it is saved by keyboard")
    expect(save).to_be_enabled()
    expect(save).to_be_focused()
    assert agent.get(service.path)["container"] == container, "a command of several lines stays as it is"
    fill(page, Maximum_seconds="88")
    assert agent.api("PATCH", service.path, {"maxDurationSeconds": 99}).status == 200
    press(page, "Save changes")
    expect(page.tab.get_by_role("button", name="Show theirs")).to_be_visible()
    expect(page.tab.get_by_role("table", name="What they changed")).to_contain_text("99")
    press(page, "Show theirs")
    expect(page.tab.get_by_label("Maximum seconds")).to_have_value("99")


def test_stopped_and_deleted(page, agent, place):
    service = place.service("gone").seen_by(agent)
    page.go(f"#/services/{service.namespace}/{service.name}")
    press(page, "Stop")
    page.tab.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.tab.locator(".title")).to_contain_text("stopped")
    press(page, "Delete")
    dialog = page.tab.get_by_role("dialog")
    dialog.get_by_role("button", name="Delete service").click()
    expect(dialog).to_contain_text(f"Type {service.name}")
    dialog.get_by_label("Its name, to be sure").fill(service.name)
    dialog.get_by_role("button", name="Delete service").click()
    expect(heading(page, "Services")).to_be_visible()
    eventually(lambda: service.get() is None, "it is gone")


def test_screenshots(pictures, agent, service, place):
    where = f"#/services/{service.namespace}/{service.name}"
    for tab, text in TABS.items():
        if tab != "overview":
            there = re.compile(re.escape(text), re.IGNORECASE)
            pictures(agent, tab, f"{where}/{tab}",
                     lambda page, there=there: expect(page.tab.locator("main")).to_contain_text(there))
    pictures(agent, "create", "#/create", lambda page: expect(heading(page, "New service")).to_be_visible())
