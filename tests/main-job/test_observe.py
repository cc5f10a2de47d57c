"""What the agent shows of itself: health, readiness."""

from agents import Agent, ask


def test_health_and_readiness_need_no_token(agent):
    for path, status in (("/healthz", "ok"), ("/readyz", "ready")):
        for address in (agent.metrics, agent.admin):
            answer = ask(address, "GET", path)
            assert (answer.status, answer.json) == (200, {"status": status})
        assert ask(agent.metrics, "HEAD", path).status == 200


def test_metrics_listener_serves_nothing_else(agent):
    for path in ("/", "/v1/services", "/openapi.json", "/webhooks/github"):
        assert ask(agent.metrics, "GET", path).status == 404
    answer = ask(agent.metrics, "POST", "/healthz", body=b"{}")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_metrics_listener_can_be_off(place, tmp_path):
    with Agent(place, tmp_path, metrics={"listen": ""}) as agent:
        assert agent.metrics is None
        assert ask(agent.admin, "GET", "/healthz").status == 200
