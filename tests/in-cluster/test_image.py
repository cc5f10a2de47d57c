"""What the recipe makes."""

from registry import Image


def test_kaniko_builds_the_image(image):
    made = Image(image)
    config = made.config["config"]
    assert (config["User"], config["Entrypoint"], config["Cmd"]) == (
        "65532:65532", ["/usr/bin/cronwright"], ["agent"])
