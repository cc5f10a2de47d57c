"""A real Gitea: its private repository, its own webhook, its push, and the commit's status in it."""

import pytest

from agents import Agent
from gitea import ROBOT, Gitea
from places import report
from waiting import eventually

SECRET = "the secret of Gitea's hooks"
PUBLIC = "https://cronwright.example/"


@pytest.fixture(scope="module")
def gitea(cluster):
    with Gitea(cluster.host_address) as gitea:
        yield gitea


@pytest.fixture(scope="module")
def agent(gitea, new_place):
    place = new_place("gitea")
    directory = place.directory
    files = {name: directory / name for name in ("hook.secret", "robot.token", "authority.crt")}
    files["hook.secret"].write_text(SECRET)
    files["robot.token"].write_text(gitea.robot_token)
    files["authority.crt"].write_text(gitea.authority.read_text())
    with Agent(place, directory,
               webhooks={"gitea": {"secretFiles": [str(files["hook.secret"])]}}, admin={"publicUrl": PUBLIC},
               git={"caFile": str(files["authority.crt"]),
                    "credentials": [{"url": gitea.url, "username": ROBOT, "passwordFile": str(files["robot.token"])}]},
               allow=[{"namespaces": [place.namespace], "images": [place.images], "repositories": [gitea.url]}],
               statuses=[{"url": gitea.url, "forge": "gitea", "tokenFile": str(files["robot.token"])}]) as agent:
        yield agent


class Pushed:
    """A service of a new repository, whose hook calls the agent, and one push to that."""

    def __init__(self, agent, gitea, word, files, content_type="json"):
        place = agent.place
        self.agent = agent
        self.repository = gitea.repository(place.name(word), place.directory)
        self.service = place.service(word, repository=self.repository).seen_by(agent)
        self.repository.add_hook(f"http://{agent.webhooks}/webhooks/gitea", SECRET, content_type)
        self.push(files)

    def push(self, files):
        self.commit = self.repository.push(files)

    def delivery(self):
        """The one that Gitea made of the push, once it is final."""
        def final():
            return [one for one in self.agent.deliveries()["deliveries"]
                    if one["commit"] == self.commit and one["repository"] in self.repository.url and not one["pending"]]
        [delivery] = eventually(final, "Gitea's own webhook arrived, and its end is known", 180)
        return delivery

    def status(self, *states):
        """The newest that Gitea was told, once it is one of these."""
        def told():
            statuses = self.repository.statuses(self.commit)
            return statuses if statuses and statuses[-1]["status"] in states else None
        return eventually(told, f"Gitea was told {' or '.join(states)}", 60)


@pytest.mark.parametrize("content_type", ["json", "form"])
def test_push_is_deployed_and_told(agent, gitea, cluster, content_type):
    pushed = Pushed(agent, gitea, f"report-{content_type}", report(cluster, "from Gitea"), content_type)
    delivery = pushed.delivery()
    assert (delivery["forge"], delivery["event"], delivery["reason"]) == ("gitea", "push", "deployed"), delivery
    assert pushed.service.annotation("commit") == pushed.commit
    statuses = pushed.status("success")
    assert [one["status"] for one in statuses] == ["pending", "success"]
    assert {one["context"] for one in statuses} == {f"cronwright/{pushed.service.full_name}"}
    assert {one["creator"]["login"] for one in statuses} == {ROBOT}
    assert statuses[-1]["description"] == f"deployed to {pushed.service.full_name}"
    assert statuses[-1]["target_url"] == f"https://cronwright.example/builds/{delivery['build']}"

    def known():
        [status] = agent.cli_json("builds", delivery["build"])["statuses"]
        return status if status["told"] else None
    status = eventually(known, "the agent knows that it was told")
    assert (status["state"], status["error"]) == ("success", None)


def test_failure_is_told_with_its_sentence(agent, gitea, cluster):
    files = report(cluster, "never", 'RUN ["/bin/busybox", "false"]')
    pushed = Pushed(agent, gitea, "broken", files)
    delivery = pushed.delivery()
    assert delivery["reason"] == "build-failed", delivery
    status = pushed.status("failure")[-1]
    assert "/bin/busybox" in status["description"] and "false" in status["description"], status
    assert len(status["description"]) <= 140
    # Mended, it is a commit of its own.
    pushed.push(report(cluster, "mended"))
    assert pushed.delivery()["reason"] == "deployed"
    assert pushed.status("success")[-1]["description"].startswith("deployed to ")


def test_two_services_have_a_status_each(agent, gitea, cluster):
    place = agent.place
    repository = gitea.repository(place.name("shared"), place.directory)
    services = [place.service(word, repository=repository, destination=f"{place.images}/shared").seen_by(agent)
                for word in ("one", "two")]
    repository.add_hook(f"http://{agent.webhooks}/webhooks/gitea", SECRET)
    commit = repository.push(report(cluster, "for two"))

    def all_told():
        last = {one["context"]: one["status"] for one in repository.statuses(commit)}
        return last == {f"cronwright/{service.full_name}": "success" for service in services}
    eventually(all_told, "both are told", 180)


def test_wrong_secret_is_refused_and_remembered(agent, gitea, cluster):
    place = agent.place
    repository = gitea.repository(place.name("wrong"), place.directory)
    repository.add_hook(f"http://{agent.webhooks}/webhooks/gitea", "not the secret")
    repository.push(report(cluster, "never"))
    refused = lambda: [one for one in agent.deliveries()["refused"] if one["forge"] == "gitea"]
    [one] = eventually(refused, "the refusal is shown")
    assert (one["status"], one["reason"]) == (401, "the signature matches no configured secret")


def test_forge_that_does_not_listen_holds_nothing_up(agent, gitea, cluster):
    """A token without the right; the status is told after a restart with a better one."""
    token = agent.directory / "robot.token"
    status_token = agent.directory / "status.token"
    status_token.write_text(gitea.new_token("read:repository"))
    entry = agent.config["statuses"][0]
    entry["tokenFile"] = str(status_token)
    agent.restart()
    pushed = Pushed(agent, gitea, "unheard", report(cluster, "deployed all the same"))
    delivery = pushed.delivery()
    assert delivery["reason"] == "deployed"

    def failed():
        [status] = agent.cli_json("builds", delivery["build"])["statuses"]
        return status if status["tries"] > 0 and status["state"] == "success" else None
    status = eventually(failed, "the status was tried", 60)
    assert not status["told"] and "403" in status["error"], status
    assert pushed.repository.statuses(pushed.commit) == []
    entry["tokenFile"] = str(token)
    agent.restart()
    assert [one["status"] for one in pushed.status("success")] == ["success"]
