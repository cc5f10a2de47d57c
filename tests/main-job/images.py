"""An image of the built program with the libraries it needs, as pods run it."""

import pathlib
import re
import subprocess

from agents import PROGRAM, TOP

NAMES = {"passwd": "nonroot:x:65532:65532::/:/nowhere\n", "group": "nonroot:x:65532:\n"}


def libraries(program):
    """What the dynamic linker loads, and itself."""
    listed = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return sorted(set(re.findall(r"(?:=> |^\s*)(/\S+) \(0x", listed, re.MULTILINE)))


def push_program(reference, directory):
    """The program as /usr/bin/cronwright."""
    entries = [f"file:/usr/bin/cronwright={PROGRAM}", "dir:/tmp=1777"]
    entries += [f"file:{path}={pathlib.Path(path).resolve()}" for path in libraries(PROGRAM)]
    for name, text in NAMES.items():
        (directory / name).write_text(text)
        entries.append(f"file:/etc/{name}={directory / name}")
    subprocess.run([TOP / "tests/cluster/push-image", reference, "--uncompressed", *entries], check=True,
                   capture_output=True)
    return reference
