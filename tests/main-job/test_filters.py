"""Path filters: what a push changes, from what is live to the head, decides whether it is built."""

import json
import shutil
import stat

import pytest

import forges
from agents import HELPER, Agent, push_of
from places import report
from repositories import git
from waiting import eventually


SLOW = 'RUN ["/bin/busybox", "sleep", "4"]'
# Keeps the answer that nothing changed to itself while there is a file that says so.
HELD_HELPER = """#!/bin/sh
answer=$({helper})
status=$?
case "$answer" in
*'"unchanged"'*) [ ! -e {barrier} ] || : >{barrier}.reached; while [ -e {barrier} ]; do sleep 0.05; done ;;
esac
echo "$answer"
exit $status
"""


def outcome(agent, repository, commit, reason):
    return agent.outcome_of(agent.accept(push_of(repository, commit)), reason)


def part(place, folder, text, *lines):
    """Files below `folder` whose image prints `text`."""
    return {f"{folder}/{name}": content for name, content in report(place.cluster, text, *lines).items()}


def filtered_service(place, word, repository, folder, *paths):
    return place.service(word, repository=repository, annotations={
        "context": folder, "paths": json.dumps(paths or [f"{folder}/**"])})


def job_names(place, repository):
    return sorted(job["metadata"]["name"] for job in place.build_jobs(repository))


def test_a_push_outside_the_paths_changes_nothing_and_one_inside_builds_the_head(agent, place):
    repository = place.repository("filter")
    service = filtered_service(place, "filter", repository, "report", "report/**", "**/*.sql").seen_by(agent)
    first = repository.push({**part(place, "report", "one"), "README": "of all"})
    outcome(agent, repository, first, "deployed")  # without a live commit it is always built
    image, jobs = service.image(), job_names(place, repository)

    outside = repository.push({"README": "of everything", "report.txt": "beside it"}, "Say more")
    found = outcome(agent, repository, outside, "filtered")
    sentence = f"nothing that matches **/*.sql or report/** changed since {first[:7]}"
    assert found["detail"] == sentence and not found["pending"]
    [build] = found["builds"]
    assert (build["state"], build["reason"], build["commit"], build["subject"], build["author"], build["detail"]) == \
        ("filtered", "filtered", outside, "Say more", "Ana", sentence)
    assert (service.image(), service.annotation("commit"), job_names(place, repository)) == (image, first, jobs)
    rows, _ = agent.cli("deliveries", "--repository", repository.url)
    assert any("filtered" in row and sentence in row for row in rows.splitlines()), rows
    rows, _ = agent.cli("builds", "--repository", repository.url)
    assert any(build["build"] in row and sentence in row for row in rows.splitlines()), rows

    # The same head again, and changes that come to nothing in the end.
    assert outcome(agent, repository, outside, "filtered")["detail"] == sentence
    repository.commit({"report/report.sh": "echo wrong\n"})
    back = repository.push({"report/report.sh": "echo 'one'\n"})
    outcome(agent, repository, back, "filtered")
    assert (service.image(), job_names(place, repository)) == (image, jobs)

    repository.commit({"db/schema.sql": "SELECT 1;\n"})
    inside = repository.push({"README": "of the lot"})
    outcome(agent, repository, inside, "deployed")
    assert service.annotation("commit") == inside and service.image() != image


def test_a_failed_push_is_made_up_for_by_the_next_one_outside(agent, place):
    """What counts is what is live: the broken commit's changes are not."""
    repository = place.repository("broken")
    service = filtered_service(place, "broken", repository, "report").seen_by(agent)
    outcome(agent, repository, repository.push(part(place, "report", "one")), "deployed")
    broken = part(place, "report", "two")
    whole = broken["report/Dockerfile"]
    broken["report/Dockerfile"] = whole.replace("COPY report.sh", "COPY missing.sh")
    outcome(agent, repository, repository.push(broken), "build-failed")
    outcome(agent, repository, repository.push({"README": "of all"}), "build-failed")
    mended = repository.push({"report/Dockerfile": whole})
    outcome(agent, repository, mended, "deployed")
    assert service.annotation("commit") == mended


def test_a_push_outside_during_a_build_builds_the_head_with_both(agent, place):
    repository = place.repository("during")
    service = filtered_service(place, "during", repository, "report").seen_by(agent)
    outcome(agent, repository, repository.push(part(place, "report", "one")), "deployed")
    inside = repository.push(part(place, "report", "two", SLOW))
    agent.accept(push_of(repository, inside))
    agent.build_reaches(repository, inside, "running")
    outside = repository.push({"README": "of all"})
    outcome(agent, repository, outside, "deployed")
    assert service.annotation("commit") == outside
    assert agent.build_reaches(repository, inside, "superseded")["reason"] == "cancelled"


def test_of_two_services_on_one_branch_only_the_one_that_is_meant_is_built(agent, place):
    """A person's wish for one of them is fulfilled in spite of its filter, and leaves the other alone."""
    repository = place.repository("mono")
    bills = filtered_service(place, "bills", repository, "bills").seen_by(agent)
    mails = filtered_service(place, "mails", repository, "mails").seen_by(agent)
    first = repository.push({**part(place, "bills", "one"), **part(place, "mails", "one")})
    outcome(agent, repository, first, "deployed")
    assert (bills.annotation("commit"), mails.annotation("commit")) == (first, first)
    image = mails.image()

    second = repository.push({"bills/report.sh": "echo two\n"})
    found = outcome(agent, repository, second, "deployed")
    assert bills.full_name in found["detail"] and mails.full_name not in found["detail"]
    assert bills.annotation("commit") == second
    third = repository.push({"mails/report.sh": "echo two\n"})
    outcome(agent, repository, third, "deployed")
    assert (bills.annotation("commit"), mails.annotation("commit")) == (second, third) and mails.image() != image

    image, jobs = mails.image(), job_names(place, repository)
    head = repository.push({"README": "of both"})
    outcome(agent, repository, head, "filtered")
    assert job_names(place, repository) == jobs
    answer = agent.api("POST", f"{bills.path}/build")
    assert answer.status == 202, answer
    asked = forges.Delivery("admin", answer.json["delivery"], [], b"")
    agent.outcome_of(asked, "deployed")
    assert bills.annotation("commit") == head
    assert (mails.annotation("commit"), mails.image()) == (third, image)


def test_another_way_to_build_is_not_filtered_and_other_paths_alone_build_nothing(agent, place):
    repository = place.repository("ways")
    service = filtered_service(place, "ways", repository, "report").seen_by(agent)
    first = repository.push({**part(place, "report", "one"), "README": "of all"})
    outcome(agent, repository, first, "deployed")
    image = service.image()
    service.merge(metadata={"annotations": {"cronwright.io/paths": '["report/*", "lib/**"]'}})
    eventually(lambda: agent.get(service.path)["source"]["git"]["paths"] == ["report/*", "lib/**"],
               "the agent sees the new paths")
    outcome(agent, repository, repository.push({"README": "of more"}), "filtered")
    assert service.image() == image
    service.merge(metadata={"annotations": {"cronwright.io/build-args": '{"EDITION": "full"}'}})
    eventually(lambda: service.image() != image, "it is built in the new way", 90)


def test_a_wrong_annotation_is_told(agent, place):
    repository = place.repository("wrong", {"README": "of all"})
    service = place.service("wrong", repository=repository, annotations={"paths": '["/report/**"]'}).seen_by(agent)
    assert "cronwright.io/paths" in service.status(agent)["problem"]
    found = agent.outcome(agent.accept(push_of(repository, repository.commit_of_head())))
    assert found["reason"] == "misconfigured" and "cronwright.io/paths" in found["detail"]


def test_a_filtered_head_is_built_when_another_commit_became_live(agent, place):
    """A branch that is rewritten, and put back to where it was."""
    repository = place.repository("back")
    service = filtered_service(place, "back", repository, "report").seen_by(agent)
    outcome(agent, repository, repository.push(part(place, "report", "one")), "deployed")
    head = repository.push({"README": "of all"})
    outcome(agent, repository, head, "filtered")
    git(repository.work, "checkout", "-q", "--orphan", "fresh")
    outcome(agent, repository, repository.push({"report/report.sh": "echo other\n"}), "deployed")
    git(repository.work, "checkout", "-q", "-B", "main", head)
    git(repository.work, "push", "-q", "-f", repository.url, "HEAD:refs/heads/main")
    outcome(agent, repository, head, "deployed")
    assert service.annotation("commit") == head


def test_a_draft_is_built_although_the_head_was_filtered(agent, place):
    """It has no live commit, and nobody pushes for it."""
    repository = place.repository("late")
    service = filtered_service(place, "late", repository, "report").seen_by(agent)
    outcome(agent, repository, repository.push(part(place, "report", "one")), "deployed")
    head = repository.push({"README": "of all"})
    outcome(agent, repository, head, "filtered")
    draft = place.service("draft", repository=repository, destination=service.destination, spec={"suspend": True},
                          annotations={"context": "report", "paths": '["report/**"]', "state": "draft"})
    eventually(lambda: draft.annotation("commit") == head, "the draft is built", 90)
    # Now it is known what becomes of the next one: neither goes round in circles.
    agent.build_reaches(repository, head, "done")
    last = repository.push({"README": "of more"})
    outcome(agent, repository, last, "filtered")
    assert len([build for build in agent.builds_of(repository) if build["commit"] == last]) == 1


# --- an agent that is killed, or loses its mirror ---

@pytest.fixture(scope="module")
def own_place(new_place):
    return new_place("filters")


@pytest.fixture(scope="module")
def barrier(own_place):
    return own_place.directory / "barrier"


@pytest.fixture(scope="module")
def mortal(own_place, barrier):
    helper = own_place.directory / "cronwright-git"
    helper.write_text(HELD_HELPER.format(barrier=barrier, helper=HELPER))
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    agent = Agent(own_place, own_place.directory, git={"helper": str(helper)}).start()
    yield agent
    agent.finish()


def compared(barrier):
    reached = barrier.with_name("barrier.reached")
    eventually(reached.exists, "the trees are compared")
    reached.unlink()


def test_killed_before_it_heard_that_nothing_changed(mortal, own_place, barrier):
    """And a person who asks at that moment is not told that nothing changed."""
    repository = own_place.repository("killed")
    service = filtered_service(own_place, "killed", repository, "report").seen_by(mortal)
    outcome(mortal, repository, repository.push(part(own_place, "report", "one")), "deployed")
    image, jobs = service.image(), job_names(own_place, repository)
    barrier.touch()
    head = repository.push({"README": "of all"})
    delivery = mortal.accept(push_of(repository, head))
    compared(barrier)
    assert mortal.build_reaches(repository, head, "fetching")["attempt"] == 1
    mortal.kill()
    barrier.unlink()
    mortal.start()
    mortal.outcome_of(delivery, "filtered")
    [build] = [build for build in mortal.builds_of(repository) if build["commit"] == head]
    assert (build["state"], build["attempt"]) == ("filtered", 1)
    assert (service.image(), job_names(own_place, repository)) == (image, jobs)
    # Looked at again after a restart, it stays as it is.
    mortal.restart()
    assert len(mortal.builds_of(repository)) == 2

    barrier.touch()
    head = repository.push({"README": "of more"})
    delivery = mortal.accept(push_of(repository, head))
    compared(barrier)
    answer = mortal.api("POST", f"{service.path}/build")
    assert answer.status == 202, answer
    barrier.unlink()
    mortal.outcome_of(forges.Delivery("admin", answer.json["delivery"], [], b""), "deployed")
    assert service.annotation("commit") == head and service.image() != image


def test_a_live_commit_that_is_nowhere_counts_as_changed(mortal, own_place):
    """The branch was rewritten, and the mirror has never seen what was before."""
    repository = own_place.repository("nowhere")
    service = filtered_service(own_place, "nowhere", repository, "report").seen_by(mortal)
    outcome(mortal, repository, repository.push(part(own_place, "report", "one")), "deployed")
    git(repository.work, "checkout", "-q", "--orphan", "fresh")
    same = repository.push({"README": "of all"})
    outcome(mortal, repository, same, "filtered")  # the mirror has both
    mortal.stop()
    shutil.rmtree(mortal.directory / "state/mirrors")
    git(repository.bare, "reflog", "expire", "--expire=now", "--all")
    git(repository.bare, "gc", "-q", "--prune=now")
    mortal.start()
    other = repository.push({"README": "of more"})
    outcome(mortal, repository, other, "deployed")
    assert service.annotation("commit") == other
