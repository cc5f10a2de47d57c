"""Pods of several containers, and repositories of several images: who gets what."""

import pytest

from agents import push_of
from places import container_of, dockerfile, report, shell
from registry import Image
from waiting import eventually

OLD = "example.com/old:1"
SLOW = 'RUN ["/bin/busybox", "sleep", "4"]'


def deployed(agent, repository, files):
    return agent.outcome_of(agent.accept(push_of(repository, repository.push(files))), "deployed")


def images(service):
    """Name → image of the pod's containers."""
    pod = service.get()["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return {container["name"]: container["image"]
            for kind in ("initContainers", "containers") for container in pod.get(kind, [])}


@pytest.fixture
def pod_of(place):
    """Settings of a pod: containers with these images, init containers before them."""
    def make(containers, before=()):
        entry = lambda name, image: {"name": name, "image": image, **shell("true")}
        return {"containers": [entry(*pair) for pair in containers],
                "initContainers": [entry(*pair) for pair in before]}
    return make


def test_init_container_and_main_one_get_the_image_in_one_patch(agent, place, pod_of):
    busybox = place.cluster.busybox_image
    repository = place.repository("both")
    service = place.service("both", repository=repository, annotations={"container": "main, prepare"}, template=pod_of(
        [("side", busybox), ("main", OLD)], [("login", busybox), ("prepare", "example.com/older:1")])).seen_by(agent)
    before = service.get()["metadata"]["generation"]
    deployed(agent, repository, report(place.cluster, "both"))
    now = images(service)
    assert now["main"] == now["prepare"] and now["main"].startswith(service.destination + ":")
    assert now["side"] == now["login"] == busybox
    assert service.get()["metadata"]["generation"] == before + 1
    assert service.annotation("patched-containers") == "main,prepare"
    run = service.force(agent).json["name"]
    assert service.ended(agent, run)["state"] == "succeeded"


def test_container_is_found_by_the_image_it_has(agent, place, pod_of):
    """No annotation says which: the one whose image is the destination's, an init container here."""
    repository, name = place.repository("named"), place.name("named")
    destination = f"{place.images}/{name}"
    service = place.service("named", repository=repository, destination=destination, template=pod_of(
        [("main", place.cluster.busybox_image), ("side", place.cluster.busybox_image)],
        [("migrate", f"{destination}:old")])).seen_by(agent)
    assert service.status(agent)["problem"] is None
    deployed(agent, repository, report(place.cluster, "named"))
    assert images(service)["migrate"].startswith(destination + ":") and "@sha256:" in images(service)["migrate"]
    assert images(service)["main"] == images(service)["side"] == place.cluster.busybox_image


def test_ambiguous_containers_are_named(agent, place, pod_of):
    repository = place.repository("which", report(place.cluster, "never"))
    service = place.service("which", repository=repository, template=pod_of(
        [("first", "a"), ("second", "b")], [("prepare", "c")])).seen_by(agent)
    found = agent.outcome_of(agent.accept(push_of(repository, repository.commit_of_head())), "misconfigured")
    assert "first, second, and before them prepare" in found["detail"] and service.full_name in found["detail"]
    assert service.status(agent)["problem"] in found["detail"]
    assert agent.builds_of(repository) == []


def test_container_that_is_named_later_gets_the_image_without_a_build(agent, place, pod_of):
    repository = place.repository("later")
    service = place.service("later", repository=repository, annotations={"container": "main"}, template=pod_of(
        [("main", OLD)], [("prepare", "example.com/older:1")])).seen_by(agent)
    deployed(agent, repository, report(place.cluster, "later"))
    assert images(service)["prepare"] == "example.com/older:1"
    service.merge(metadata={"annotations": {"cronwright.io/container": '["main", "prepare"]'}})
    eventually(lambda: images(service)["prepare"] == images(service)["main"], "both have it")
    assert service.status(agent)["pinned"] is False
    assert len(agent.builds_of(repository)) == 1


def test_one_of_several_changed_by_hand_pins_the_service(agent, place, pod_of):
    repository = place.repository("hand")
    service = place.service("hand", repository=repository, annotations={"container": "main,prepare"}, template=pod_of(
        [("main", OLD)], [("prepare", OLD)])).seen_by(agent)
    deployed(agent, repository, report(place.cluster, "one"))
    ours, by_hand = images(service)["main"], place.cluster.busybox_image
    place.cluster.kubectl("-n", place.namespace, "set", "image", f"cronjob/{service.name}", f"prepare={by_hand}")
    eventually(lambda: service.status(agent)["pinned"], "it is pinned")
    commit = repository.push(report(place.cluster, "two"))
    agent.outcome_of(agent.accept(push_of(repository, commit)), "pinned")
    assert images(service) == {"main": ours, "prepare": by_hand}
    agent.cli("resume", service.full_name)
    eventually(lambda: service.annotation("commit") == commit, "it follows its branch again")
    assert images(service)["main"] == images(service)["prepare"] != ours


def test_container_that_is_gone_when_its_image_is_built(agent, place, pod_of):
    repository = place.repository("renamed")
    service = place.service("renamed", repository=repository, annotations={"container": "main"}, template=pod_of(
        [("main", OLD), ("side", "b")])).seen_by(agent)
    commit = repository.push(report(place.cluster, "never", SLOW))
    delivery = agent.accept(push_of(repository, commit))
    agent.build_reaches(repository, commit, "running")
    renamed = pod_of([("report", OLD), ("side", "b")])["containers"]
    service.merge(spec={"jobTemplate": {"spec": {"template": {"spec": {"containers": renamed}}}}})
    found = agent.outcome_of(delivery, "misconfigured")
    assert 'there is no container "main"; there are: report, side' in found["detail"]
    assert images(service) == {"report": OLD, "side": "b"}
    service.merge(metadata={"annotations": {"cronwright.io/container": "report"}})
    listed = lambda: agent.get(f"/v1/services?namespace={service.namespace}")["services"]
    eventually(lambda: [None] == [row["problem"] for row in listed() if row["name"] == service.name],
               "the agent has seen the new name")
    agent.accept(delivery)  # a redelivery of one that failed
    agent.outcome_of(delivery, "deployed")
    assert images(service)["report"].startswith(service.destination + ":")


def test_two_images_of_one_push(agent, place):
    """Two Dockerfiles, and a second target of one of them: three builds, and each CronJob gets its own image."""
    repository = place.repository("images")
    parts = {"report": {}, "import": {"dockerfile": "import.Dockerfile"}, "check": {"target": "check"}}
    services = {word: place.service(word, repository=repository, annotations=notes).seen_by(agent)
                for word, notes in parts.items()}
    twin = place.service("twin", repository=repository, destination=services["report"].destination).seen_by(agent)
    main = dockerfile(place.cluster, "ENV PART=report")
    commit = repository.push({
        "report.sh": "echo $PART\n", "import.Dockerfile": dockerfile(place.cluster, "ENV PART=import"),
        "Dockerfile": f"FROM {place.cluster.busybox_image} AS check\nENV PART=check\n{main}"})
    agent.outcome_of(agent.accept(push_of(repository, commit)), "deployed")
    assert sorted(build["services"] for build in agent.builds_of(repository)) == [1, 1, 2]
    for word, service in services.items():
        image = container_of(service.get())["image"]
        assert image.startswith(service.destination + ":")
        assert f"PART={word}" in Image(image).config["config"]["Env"]
    assert twin.image() == services["report"].image()
