"""A thousand services on the page, which is reached through a reverse proxy, below a path of its own."""

import concurrent.futures
import re

import pytest
from playwright.sync_api import expect

from places import Service
from servers import Server
from waiting import eventually

MANY = 1000
PREFIX = "/tools/cronwright/"
# The page's own marks: from the navigation's begin to the first row, and to the last.
MEASURE = """() => new Promise(resolve => {
    const began = performance.now();
    let first = 0;
    const look = () => {
        const rows = document.querySelectorAll("table.services tr:not(.group) th[scope=row]").length;
        first ||= rows ? performance.now() : 0;
        rows >= %d ? resolve({first: first - began, all: performance.now() - began, rows}) : requestAnimationFrame(look);
    };
    location.hash = "#/services";
    look();
})""" % MANY


class ReverseProxy(Server):
    """lighttpd, which passes on what is below PREFIX, and nothing else."""

    def __init__(self, directory, agent):
        super().__init__(directory, "127.0.0.1")
        host, _, port = agent.admin.rpartition(":")
        (directory / "nothing").mkdir()
        self.config = directory / "lighttpd.conf"
        self.config.write_text(f'''
server.modules = ("mod_proxy")
server.document-root = "{directory / "nothing"}"
server.bind = "127.0.0.1"
server.port = {self.port}
server.stream-response-body = 2
$HTTP["url"] =~ "^{PREFIX}" {{
    proxy.server = ("" => (("host" => "{host}", "port" => {port})))
    proxy.header = ("map-urlpath" => ("{PREFIX}" => "/"))
}}
''')

    def command(self):
        return ["/usr/sbin/lighttpd", "-D", "-f", self.config]


@pytest.fixture(scope="module")
def many(place, agent):
    """Services that nothing is done with."""
    with concurrent.futures.ThreadPoolExecutor(8) as workers:
        make = lambda _: Service(place, place.name("of-many"), spec={"suspend": True})
        services = list(workers.map(make, range(MANY)))
    eventually(lambda: len(agent.get(f"/v1/services?namespace={place.namespace}")["services"]) == MANY,
               "the agent knows them all", 120)
    yield services
    # A namespace that goes with so many takes longer than is waited for.
    place.cluster.kubectl("-n", place.namespace, "delete", "cronjobs", "--all", "--wait=false")
    eventually(lambda: not place.cluster.list("cronjobs", place.namespace), "they are gone", 300)


@pytest.fixture
def page(open_page, agent, many, tmp_path):
    with ReverseProxy(tmp_path / "proxy", agent) as proxy:
        with open_page(agent, url=f"http://{proxy.address}{PREFIX}") as page:
            yield page.sign_in().is_live()


def test_a_thousand_are_shown_and_searched(page, many, record_testsuite_property):
    expect(page.tab.locator(".title").get_by_text(f"{MANY:,} services")).to_be_visible()
    page.go("#/nowhere")
    expect(page.tab.get_by_role("heading", name="Not found")).to_be_visible()
    took = page.tab.evaluate(MEASURE)
    print(f"first rows after {took['first']:.0f} ms, all after {took['all']:.0f} ms")
    record_testsuite_property("first_rows_ms", took["first"])
    record_testsuite_property("all_rows_ms", took["all"])
    assert took["rows"] == MANY
    page.tab.get_by_label("Search services").fill(many[-1].name)
    expect(page.row(many[-1])).to_be_visible()
    expect(page.row(many[0])).to_have_count(0)


def test_all_is_below_the_prefix(page, agent, many):
    """Its requests, its updates and its links."""
    service = many[0]
    service.merge(spec={"suspend": False})
    page.tab.get_by_label("Search services").fill(service.name)
    expect(page.row(service).locator(".state")).to_contain_text("started")
    page.row(service).get_by_role("link", name=service.name, exact=True).click()
    expect(page.tab.get_by_role("heading", name=service.name)).to_be_visible()
    assert re.search(rf"{PREFIX}#/services/{service.namespace}/{service.name}$", page.tab.url)
