"""Next times of schedules per second, beside the Go library that Kubernetes' controller uses: by turns,
in one run, one core each."""

import pathlib
import statistics
import subprocess
import sys

PROGRAM = pathlib.Path(sys.argv[1]) / "bench-next"
REFERENCE = sys.argv[2]
ROUNDS = 5
SECONDS = "0.4"
FROM = "2026-03-28T00:00:00Z"
CASES = [("*/5 * * * *", "UTC"), ("*/5 * * * *", "Europe/Berlin"), ("30 2 * * *", "Europe/Berlin"),
         ("0 3 * * 1-5", "America/New_York"), ("0 0 13 * 5", "Europe/Berlin"), ("15 4 1 */3 *", "Europe/Berlin")]


def rate(*command):
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


for expression, zone in CASES:
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(rate(PROGRAM, expression, zone, FROM, SECONDS))
        theirs.append(rate(REFERENCE, "bench", expression, zone, FROM, SECONDS))
    own, library = statistics.median(ours), statistics.median(theirs)
    print(f"{f'next times of {expression!r} {zone}':<46} {own / 1e6:>11.2f} M/s  Go library "
          f"{library / 1e6:.2f} M/s: {own / library:.1f} times as many", flush=True)
