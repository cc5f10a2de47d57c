"""What it costs that a second agent serves the same services: from a push to the patched CronJob, told to one agent,
and told to both."""

import statistics

from figures import second_agent, row


def measure(push, one, pushes):
    """`push(number, addresses)` gives the seconds of one push that is told at these addresses; `one` is that of the
    agent which runs already."""
    alone = [push(f"alone {number}", [one]) for number in range(pushes)]
    with second_agent() as agent:
        agent.start()
        both = [push(f"both {number}", [one, f"http://{agent.webhooks}"]) for number in range(pushes)]
    took = [statistics.median(seconds) for seconds in (alone, both)]
    row("push to patched, one agent", f"{took[0]:.2f} s", f"median of {pushes}")
    row("push to patched, two agents told", f"{took[1]:.2f} s", f"{took[1] / took[0]:.2f} of that")
