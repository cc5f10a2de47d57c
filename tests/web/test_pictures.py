"""The main views with something to see in them: the pictures of the README are taken from here."""

import concurrent.futures

import pytest
from playwright.sync_api import expect

from agents import push_of
from places import Service, report, shell

LABEL = "cronwright.io/project"
RUNS = 8
# name, project, schedule, zone, script
SERVICES = [
    ("ledger-sync", "finance", "15 * * * *", "Etc/UTC", "sleep $(($$ % 3)); echo 211 entries"),
    ("invoice-export", "finance", "30 2 * * *", "Europe/Berlin",
     "echo connecting; echo 'ORA-12541: no listener' >&2; exit 3"),
    ("stock-levels", "warehouse", "*/20 6-20 * * 1-6", "Europe/Berlin", "sleep 1; echo 9,120 articles"),
    ("price-import", "warehouse", "0 5 * * 1", "Europe/London", "sleep 2; echo 388 prices"),
]


def service(place, name, project, schedule, zone, script=None, **more):
    made = Service(place, name, spec={"schedule": schedule, "timeZone": zone, **more.pop("spec", {})},
                   container=shell(script) if script else None, **more)
    made.merge(metadata={"labels": {LABEL: project}})
    return made


@pytest.fixture(scope="module")
def report_service(place, agent):
    """Built from a repository; two pushes have come, each with runs."""
    repository = place.repository("report")
    made = service(place, "nightly-report", "finance", "0 3 * * *", "Europe/Berlin", repository=repository,
                   job={"activeDeadlineSeconds": 600}).seen_by(agent)
    for subject, text in (("First edition", "4211 rows read"), ("Add VAT column", "4212 rows read")):
        commit = repository.push(report(place.cluster, text), subject)
        delivery = push_of(repository, commit)
        agent.outcome_of(agent.accept(delivery), "deployed", 120)
        for _ in range(3):
            made.ended(agent, made.force(agent).json["name"])
    return made


@pytest.fixture(scope="module")
def scene(place, agent, report_service):
    services = [service(place, *each).seen_by(agent) for each in SERVICES]
    service(place, "archive-2019", "warehouse", "@yearly", "Etc/UTC", "true", spec={"suspend": True}).seen_by(agent)

    def run(each):
        for _ in range(RUNS):
            each.ended(agent, each.force(agent, {"ifActive": "allow"}).json["name"], 120)  # its own times pass, too
    with concurrent.futures.ThreadPoolExecutor(len(services)) as workers:
        list(workers.map(run, services))
    going = service(place, "reindex", "warehouse", "0 4 * * 0", "Europe/Berlin", "while :; do sleep 1; done")
    going.seen_by(agent)
    going.force(agent)
    yield {each.name: each for each in [report_service, *services, going]}
    going.clear()


def test_screenshots(pictures, agent, scene):
    made = scene["nightly-report"]
    where = f"#/services/{made.namespace}/{made.name}"
    pictures(agent, "services", "#/services",
             lambda page: expect(page.row(scene["reindex"])).to_contain_text("running"))
    pictures(agent, "overview", where,
             lambda page: expect(page.tab.get_by_role("heading", name="From push to run")).to_be_visible())
    pictures(agent, "durations", f"{where}/runs",
             lambda page: expect(page.tab.get_by_text("How long runs took").first).to_be_visible())
    pictures(agent, "timeline", "#/timeline",
             lambda page: expect(page.tab.get_by_role("region", name="Timeline")).to_contain_text(made.name))
