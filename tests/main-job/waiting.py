"""Waiting for a condition, with a deadline."""

import time


def eventually(condition, what, seconds=60, every=0.05):
    """What `condition` gives as soon as that is true; fails with the last answer at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what} (last: {found!r})"
        time.sleep(every)
