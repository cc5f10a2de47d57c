"""What the recipe makes."""

from registry import Image


def test_kaniko_builds_the_image(image):
    made = Image(image)
    config = made.config["config"]
    assert (config["User"], config["Entrypoint"], config["Cmd"]) == (
        "65532:65532", ["/usr/bin/cronwright"], ["agent"])


def test_it_has_what_runs_and_not_what_compiles(agent):
    """Asked of the running one: what is missing, and what is there for nothing."""
    assert agent.exec("cronwright", "--version").startswith("cronwright ")
    needed = ["/usr/libexec/cronwright-git", "/usr/share/zoneinfo/tzdata.zi", "/etc/ssl/certs/ca-certificates.crt"]
    agent.exec("ls", *needed)
    found = agent.exec("sh", "-c", "ls -d /usr/bin/cc /usr/bin/cmake /src /packages /var/lib/apt/lists/* "
                                   "/var/cache/apt/*.bin 2>/dev/null || true")
    assert found == ""
