"""The real engine and the real paper exchange in virtual time: random histories of alerts, faults and deaths.

One world hosts many histories, one tenant each, that share the clock, the price and the workers. After the faults the
world is left in peace, and the venue's own book says what has to stand in ours.
"""

import gc
import os
import time

from tests.torture import database
from tests.torture.tally import Tally

LAYER = "engine"
TENANTS = 40


def main(count: int, seed: int) -> Tally:
    """Live `count` histories, or as many as end in TORTURE_SIMULATOR_SECONDS: the tally says how many."""
    tally = Tally(LAYER, seed)
    started = time.monotonic()
    with database.opened(f"sim_{os.getpid()}"):
        from tests.torture import simulated, tenants

        people = tenants.found(min(TENANTS, count))
        # What is loaded by now stays. What a world leaves in circles is collected once it is over.
        gc.freeze()
        gc.disable()
        number = 0
        until = started + float(os.environ.get("TORTURE_SIMULATOR_SECONDS", "inf"))
        while tally.histories < count and time.monotonic() < until:
            simulated.run(people, f"{seed}.{number}", tally)
            number += 1
            gc.collect()
    tally.seconds = time.monotonic() - started
    return tally
