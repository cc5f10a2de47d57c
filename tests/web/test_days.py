"""Deliveries with their reasons and "why did nothing happen?", and the timeline of the past and the coming day."""

import re

import pytest
from playwright.sync_api import expect

import forges
from agents import push_of
from places import report, shell


@pytest.fixture(scope="module")
def pushed(place, agent):
    """(repository, commit) of a push whose build is deployed."""
    repository = place.repository("pushed")
    place.service("pushed", repository=repository).seen_by(agent)
    commit = repository.push(report(place.cluster, "hello"), "Say hello")
    delivery = push_of(repository, commit)
    agent.outcome_of(agent.accept(delivery), "deployed", 120)
    return repository, commit


@pytest.fixture(scope="module")
def busy(place, agent):
    services = [place.service(name, container=shell("sleep 1"), spec={"schedule": schedule}).seen_by(agent)
                for name, schedule in (("hourly", "@hourly"), ("nightly", "30 2 * * *"))]
    for service in services:
        service.ended(agent, service.force(agent, {"ifActive": "allow"}).json["name"])
    return services


def test_deliveries_and_refused_requests(page, agent, pushed):
    repository, commit = pushed
    assert agent.deliver(forges.github(forges.github_push(repository.url, commit), "a wrong secret")).status == 401
    page.go("#/deliveries")
    row = page.tab.get_by_role("row").filter(has_text=commit[:7]).first
    expect(row).to_contain_text("deployed")
    expect(row.get_by_role("link", name=re.compile(r"^b-\d+$"))).to_be_visible()
    expect(page.tab.get_by_role("heading", name="Refused requests")).to_be_visible()
    page.tab.get_by_label("Repository", exact=True).fill("github.com/no/such")
    expect(page.tab.get_by_text("No delivery of github.com/no/such")).to_be_visible()
    page.check()


def test_a_delivery_arrives_while_one_looks(page, agent, place):
    repository = place.repository("live")
    page.go("#/deliveries")
    expect(page.tab.get_by_role("heading", name="Deliveries")).to_be_visible()
    commit = repository.push(report(place.cluster, "never"), "Nobody waits for it")
    agent.accept(push_of(repository, commit), "no-match")
    expect(page.tab.get_by_role("row").filter(has_text=commit[:7])).to_contain_text("no-match")


def test_why_did_nothing_happen(page, pushed):
    _, commit = pushed
    page.go(f"#/deliveries?commit={commit}")
    story = page.tab.locator(".why")
    for words in ("Received", "deployed", "Live now in"):
        expect(story).to_contain_text(words)
    page.tab.get_by_label(re.compile("^Why did nothing happen")).fill("0" * 40)
    expect(story).to_contain_text("No webhook told of")
    page.check()


def test_the_timeline(page, busy):
    page.go("#/timeline")
    picture = page.tab.get_by_role("region", name="Timeline")
    for service in busy:
        expect(picture).to_contain_text(service.name)
    expect(picture.locator(".run.next").first).to_be_visible()
    expect(picture.locator("a .run.succeeded").first).to_be_visible()
    page.tab.get_by_text("As a table").click()
    expect(page.tab.get_by_role("table")).to_contain_text(busy[0].name)
    page.check()


def test_screenshots(pictures, agent, pushed, busy):
    pictures(agent, "deliveries", "#/deliveries",
             lambda page: expect(page.tab.get_by_role("table").first).to_contain_text("deployed"))
