"""What a browser adds to the requests of the page: a cookie, and headers that say where they come from."""

import contextlib
import http.client
import http.cookies
import json

from agents import TOKENS, ask

FROM_PAGE = ("Cronwright-Page", "1")
SAME_ORIGIN = ("Sec-Fetch-Site", "same-origin")


def sign_in(agent, token, headers=(FROM_PAGE, SAME_ORIGIN)):
    """The answer to a sign-in with one of the tests' tokens, or with that text."""
    return ask(agent.admin, "POST", "/v1/session", headers, json.dumps({"token": TOKENS.get(token, token)}).encode())


class Browser:
    """Signed in, as long as the agent thinks so."""

    def __init__(self, agent, token="admin"):
        self.agent = agent
        answer = sign_in(agent, token)
        assert answer.status == 201, answer
        self.signed_in = answer.json
        [self.cookie] = http.cookies.SimpleCookie(answer.headers["Set-Cookie"]).values()

    @property
    def who(self):
        return ("Cookie", f"theme=dark; {self.cookie.key}={self.cookie.value}")

    def ask(self, method, path, body=None, headers=(FROM_PAGE, SAME_ORIGIN)):
        content = None if body is None else json.dumps(body).encode()
        return ask(self.agent.admin, method, path, [self.who, *headers], content)

    @contextlib.contextmanager
    def updates(self, path="/v1/updates", timeout=60):
        with updates(self.agent, [self.who, SAME_ORIGIN], path, timeout) as stream:
            yield stream


@contextlib.contextmanager
def updates(agent, headers, path="/v1/updates", timeout=60):
    connection = http.client.HTTPConnection(agent.admin, timeout=timeout)
    try:
        connection.request("GET", path, headers=dict(headers))
        yield Updates(connection.getresponse())
    finally:
        connection.close()


class Updates:
    """A stream of server-sent events, read as it comes."""

    def __init__(self, response):
        self.response = response
        self.status, self.headers = response.status, response.headers
        self.comments = 0

    def line(self):
        """The next one with its end; "" when the stream has ended."""
        line = self.response.readline().decode()
        self.comments += line.startswith(":")
        return line

    def next(self):
        """(event, data) of the next one; None when the stream has ended."""
        event, data = None, []
        while line := self.line():
            line = line.rstrip("\n")
            if line.startswith(":"):
                continue
            if not line and event:
                return event, json.loads("\n".join(data))
            elif line:
                field, _, value = line.partition(": ")
                event, data = (value, data) if field == "event" else (event, [*data, value])
        return None

    def until(self, event, fits=lambda data: True):
        """The data of the next event of that kind that fits; what comes before it is passed over."""
        while found := self.next():
            if found[0] == event and fits(found[1]):
                return found[1]
        raise AssertionError(f"the stream ended without {event}")
