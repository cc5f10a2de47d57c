"""Sign-in of the page: a token for a cookie, that no other site's page can use, and that ends with the token."""

import datetime

import pytest

from agents import TOKENS, Agent, ask
from browsers import FROM_PAGE, SAME_ORIGIN, Browser, sign_in
from places import SCHEDULE
from test_reload import reload
from waiting import eventually


@pytest.fixture(scope="module")
def place(new_place):
    return new_place("session")


@pytest.fixture(scope="module")
def agent(place):
    with Agent(place, place.directory) as agent:
        yield agent


def test_a_token_is_exchanged_for_a_cookie(agent, place):
    browser = Browser(agent, "viewer")
    expires = datetime.datetime.fromisoformat(browser.signed_in.pop("expires"))
    assert browser.signed_in == {"name": "viewer", "role": "viewer", "namespaces": [place.namespace]}
    left = expires - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(hours=11) < left < datetime.timedelta(hours=13)
    cookie = browser.cookie
    assert len(cookie.value) == 64 and cookie["httponly"] and cookie["samesite"] == "Strict" and not cookie["secure"]
    assert (cookie["path"], cookie["max-age"]) == ("/", str(12 * 3600))
    seen = browser.ask("GET", "/v1/session")
    assert (seen.status, seen.json["name"], seen.json["role"]) == (200, "viewer", "viewer")
    assert seen.headers["Cache-Control"] == "no-store" and seen.headers["X-Content-Type-Options"] == "nosniff"
    assert TOKENS["viewer"] not in agent.log_text() and cookie.value not in agent.log_text()
    assert "signed in token=viewer peer=127.0.0.1" in agent.log_text()


def test_a_token_says_who_it_is_too(agent):
    seen = agent.api("GET", "/v1/session")
    assert seen.json == {"name": "admin", "role": "admin", "namespaces": ["*"], "expires": None}


def test_each_session_has_a_key_of_its_own(agent):
    assert Browser(agent).cookie.value != Browser(agent).cookie.value


@pytest.mark.parametrize("forwarded, secure", [("https", True), ("HTTPS, http", True), ("http", False),
                                               ("httpsx", False), ("http, https", False)])
def test_behind_tls_the_cookie_is_secure(agent, forwarded, secure):
    answer = sign_in(agent, "viewer", [FROM_PAGE, ("X-Forwarded-Proto", forwarded)])
    assert ("; Secure" in answer.headers["Set-Cookie"]) == secure


def test_wrong_tokens_get_nothing(agent):
    answer = sign_in(agent, "no-token-of-anybody")
    assert (answer.status, answer.json["reason"], answer.headers["Set-Cookie"]) == (401, "unauthorized", None)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")  # no browser asks for a password then
    eventually(lambda: "wrong admin token" in agent.log_text(), "it is logged")
    assert "no-token-of-anybody" not in agent.log_text()


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"{", b'{"token": 5}', b'{"token": "a", "more": 1}'])
def test_malformed_sign_ins(agent, body):
    assert ask(agent.admin, "POST", "/v1/session", [FROM_PAGE], body).status == 400


def test_nobody_sends_much_to_sign_in(agent):
    answer = ask(agent.admin, "POST", "/v1/session", [FROM_PAGE], b" " * 5000)
    assert (answer.status, answer.json["reason"]) == (413, "too-large")


@pytest.mark.parametrize("cookie", ["", "{}=", "{}=" + "0" * 64, "other=1", "{}=" + "x" * 5000, "{}", "{}x=" + "0" * 64])
def test_other_cookies_are_nobody(agent, cookie):
    answer = ask(agent.admin, "GET", "/v1/services", [("Cookie", cookie.format(Browser(agent).cookie.key))])
    assert (answer.status, answer.json["reason"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


def test_what_a_role_may_not_is_refused(agent, place):
    service = place.service("watched").seen_by(agent)
    viewer, runner, stranger = (Browser(agent, role) for role in ("viewer", "runner", "stranger"))
    assert any(row["name"] == service.name for row in viewer.ask("GET", "/v1/services").json["services"])
    assert stranger.ask("GET", "/v1/services").json["services"] == []
    for browser, path in ((viewer, f"{service.path}/runs"), (viewer, f"{service.path}/stop"),
                          (runner, f"{service.path}/stop"), (stranger, f"{service.path}/runs")):
        answer = browser.ask("POST", path)
        assert (answer.status, answer.json["reason"]) == (403, "forbidden"), (path, answer)
    answer = viewer.ask("DELETE", service.path)
    assert (answer.status, answer.json["reason"]) == (403, "forbidden")
    assert Browser(agent).ask("POST", f"{service.path}/stop").status == 200


# What pages of other sites can make a browser send, were the cookie with it.
CROSS_SITE = [("no-header", []), ("other-header", [("Cronwright-Page", "yes")]),
              ("same-site", [FROM_PAGE, ("Sec-Fetch-Site", "same-site")]),
              ("cross-site", [FROM_PAGE, ("Sec-Fetch-Site", "cross-site")]),
              ("typed", [FROM_PAGE, ("Sec-Fetch-Site", "none")])]


@pytest.mark.parametrize("headers", [headers for _, headers in CROSS_SITE], ids=[name for name, _ in CROSS_SITE])
def test_other_sites_change_nothing(agent, place, headers):
    browser = Browser(agent)
    body = {"name": place.name("forged"), "namespace": place.namespace, "schedule": SCHEDULE,
            "source": {"image": place.cluster.busybox_image}}
    for method, path in (("POST", "/v1/services"), ("DELETE", "/v1/session")):
        answer = browser.ask(method, path, body if method == "POST" else None, headers)
        assert (answer.status, answer.json["reason"]) == (403, "cross-site"), answer
    assert browser.ask("GET", "/v1/session").status == 200
    # Nor do they sign anybody in as somebody else.
    answer = sign_in(agent, "admin", headers)
    assert (answer.status, answer.json["reason"], answer.headers["Set-Cookie"]) == (403, "cross-site", None)


@pytest.mark.parametrize("site, status", [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)])
def test_other_sites_read_nothing(agent, site, status):
    assert Browser(agent).ask("GET", "/v1/services", headers=[("Sec-Fetch-Site", site)]).status == status


def test_browsers_that_do_not_say_where_they_are(agent):
    assert Browser(agent).ask("DELETE", "/v1/session", headers=[FROM_PAGE]).status == 204


def test_a_bearer_token_goes_before_the_cookie(agent):
    viewer = Browser(agent, "viewer")
    bearer = lambda token: [viewer.who, ("Authorization", f"Bearer {token}")]
    assert ask(agent.admin, "GET", "/v1/session", bearer(TOKENS["admin"])).json["role"] == "admin"
    assert ask(agent.admin, "GET", "/v1/session", bearer("wrong-" * 4)).status == 401
    # It is no browser's doing, so that nothing needs to be proved.
    assert ask(agent.admin, "DELETE", "/v1/session", bearer(TOKENS["admin"])).status == 204
    assert viewer.ask("GET", "/v1/session").status == 200


def test_sign_out(agent):
    browser, other = Browser(agent, "viewer"), Browser(agent, "viewer")
    answer = browser.ask("DELETE", "/v1/session")
    assert answer.status == 204 and answer.headers["Set-Cookie"].startswith(f"{browser.cookie.key}=;")
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert browser.ask("GET", "/v1/session").status == 401
    assert other.ask("GET", "/v1/session").status == 200
    assert "signed out token=viewer" in agent.log_text()


def test_each_agent_has_a_cookie_of_its_own(agent, own_agent):
    """A browser sends those of one host to all that listens there."""
    here, there = Browser(agent, "viewer"), Browser(own_agent, "runner")
    both = [("Cookie", "; ".join(f"{each.cookie.key}={each.cookie.value}" for each in (here, there)))]
    assert [ask(each.admin, "GET", "/v1/session", both).json["role"] for each in (agent, own_agent)] == ["viewer", "runner"]
    own_agent.restart()
    assert Browser(own_agent).cookie.key == there.cookie.key  # or they would gather


def test_signing_in_again_ends_the_former_session(agent):
    browser = Browser(agent, "viewer")
    assert sign_in(agent, "runner", [FROM_PAGE, SAME_ORIGIN, browser.who]).status == 201
    assert browser.ask("GET", "/v1/session").status == 401


@pytest.fixture
def own_agent(place, tmp_path):
    with Agent(place, tmp_path) as agent:
        yield agent


def test_a_session_ends_with_its_token(own_agent):
    tokens = own_agent.config["admin"]["tokens"]
    viewer, runner, admin = (Browser(own_agent, role) for role in ("viewer", "runner", "admin"))
    before = list(tokens)
    next(token for token in tokens if token["name"] == "viewer")["role"] = "runner"
    own_agent.config["admin"]["tokens"] = [token for token in tokens if token["name"] != "runner"]
    assert "sessions ended with their tokens count=2" in reload(own_agent)
    assert [browser.ask("GET", "/v1/session").status for browser in (viewer, runner, admin)] == [401, 401, 200]
    # It does not live again when the token does.
    own_agent.config["admin"]["tokens"] = before
    reload(own_agent)
    assert runner.ask("GET", "/v1/session").status == 401


def test_a_session_ends_in_time(own_agent):
    """As the settings say now, which is the shortest there is."""
    browser = Browser(own_agent, "viewer")
    own_agent.config["admin"]["sessionTimeout"] = "1m"
    reload(own_agent)
    assert int(Browser(own_agent).cookie["max-age"]) == 60
    assert browser.ask("GET", "/v1/session").status == 200
    eventually(lambda: browser.ask("GET", "/v1/session").status == 401, "the minute is over", 120)


def test_a_restart_ends_all(own_agent):
    browser = Browser(own_agent)
    own_agent.restart()
    assert browser.ask("GET", "/v1/session").status == 401
