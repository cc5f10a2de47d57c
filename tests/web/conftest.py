"""The page in Debian's Chromium. Agent, cluster and namespaces are those of tests/main-job. Whatever a page writes to
its console as an error, or throws, fails the test, and so does what its Content-Security-Policy forbids."""

import contextlib
import pathlib
import re
import sys

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "main-job"))

from agents import TOKENS, TOP, Agent  # noqa: E402
from fixtures import account, cluster, new_place, pytest_runtest_makereport  # noqa: E402, F401

SCREENSHOTS = TOP / "out/web"
LOOKS = {"light": {"color_scheme": "light", "viewport": {"width": 1440, "height": 900}},
         "dark": {"color_scheme": "dark", "viewport": {"width": 1440, "height": 900}},
         "phone": {"color_scheme": "light", "viewport": {"width": 360, "height": 760}}}
PATIENCE = 30_000  # milliseconds that a condition on the page is waited for
# What a browser writes by itself of answers that the page expects and handles.
EXPECTED = re.compile(r"Failed to load resource|net::ERR_|Password forms should have")

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as playwright:
        # Its own sandbox cannot be had by root.
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def place(new_place, request):
    return new_place(request.module.__name__.removeprefix("test_").replace("_", "-"))


@pytest.fixture(scope="module")
def agent(place):
    with Agent(place, place.directory) as agent:
        yield agent


class Page:
    """One tab of one browser, signed in or not, and what has gone wrong in it."""

    def __init__(self, chromium, agent, look="light", url=None, **more):
        self.agent, self.url = agent, url or f"http://{agent.admin}/"
        self.context = chromium.new_context(**{**LOOKS[look], "timezone_id": "Europe/Berlin", **more})
        self.context.set_default_timeout(PATIENCE)
        self.tab = self.context.new_page()
        self.errors = []
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("console", self.heard)

    def heard(self, message):
        if message.type in ("error", "warning") and not EXPECTED.search(message.text):
            self.errors.append(message.text)

    def open(self, address=""):
        self.tab.goto(self.url + address)
        return self

    def sign_in(self, token="admin", address="#/services"):
        self.tab.goto("about:blank")  # or the view that stands would be replaced while one types
        self.open(address)
        self.tab.get_by_label("Admin token").fill(TOKENS.get(token, token))
        self.tab.get_by_role("button", name="Sign in").click()
        expect(self.tab.get_by_role("button", name="Sign out")).to_be_visible()
        return self

    def go(self, address):
        """To another view of the page that is open, as by a link."""
        self.tab.evaluate("address => { location.hash = address; }", address)
        return self

    def row(self, service):
        """The service's row in the list."""
        return self.tab.locator("table.services tr").filter(
            has=self.tab.get_by_role("link", name=service.name, exact=True))

    def is_live(self):
        expect(self.tab.locator("#connection")).to_contain_text("live")
        return self

    def check(self):
        """Nothing has gone wrong, nobody is shut out, and a phone need not be pushed sideways."""
        assert self.errors == []
        self.tab.emulate_media(reduced_motion="reduce")  # no text is half transparent then
        found = [f"{each['id']}: {each['help']}: {[node['html'][:200] for node in each['nodes']]}"
                 for each in Axe().run(self.tab).response["violations"]]
        assert found == []
        assert self.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")

    def close(self):
        self.context.close()
        assert self.errors == []


@pytest.fixture(scope="session")
def open_page(chromium):
    """A tab as a context: `with open_page(agent, look) as page`."""
    @contextlib.contextmanager
    def opened(agent, look="light", **more):
        page = Page(chromium, agent, look, **more)
        try:
            yield page
        except BaseException:
            SCREENSHOTS.mkdir(parents=True, exist_ok=True)
            page.tab.screenshot(path=SCREENSHOTS / "failed.png")
            page.context.close()
            raise
        page.close()
    return opened


@pytest.fixture
def page(open_page, agent):
    """Signed in as an admin, on the list."""
    with open_page(agent) as page:
        yield page.sign_in().is_live()


@pytest.fixture(scope="session")
def pictures(open_page):
    """Takes the screenshots of a view in each look, once it shows `until`, and checks it in each."""
    def take(agent, name, address, until, token="admin"):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        for look in LOOKS:
            with open_page(agent, look, reduced_motion="reduce") as page:
                page.sign_in(token, address)
                until(page)
                page.check()
                page.tab.screenshot(path=SCREENSHOTS / f"{name}-{look}.png", full_page=look == "phone")
    return take
