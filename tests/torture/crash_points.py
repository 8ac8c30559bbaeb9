"""Die once at every point: before and after each commit, send and receive of every scenario, and recover.

A clean run of a scenario tells which points a worker passes. The scenario is then run again for each of them, and the
worker dies there. Whoever comes next has to bring it to the end the clean run came to: the same position, one order in
the book for each leg. An entry whose sender died before it was sent may stay unsent: flat is the accepted failure.
"""

import gc
import os
import time

from tests.torture import database
from tests.torture.tally import Tally

LAYER = "crash points"
TENANTS = 40


def main(count: int, seed: int) -> Tally:
    """`count` 1: each point once. 2: in the core scenarios every pair too, the second death during the recovery."""
    tally = Tally(LAYER, seed)
    started = time.monotonic()
    with database.opened(f"crash_{os.getpid()}"):
        from tests.torture import crashing, tenants
        from tests.torture.scenarios import SCENARIOS

        shard, shards = map(int, os.environ.get("TORTURE_SHARD", "0/1").split("/"))
        people = tenants.found(TENANTS)
        # What is loaded by now stays. What a world leaves in circles is collected once it is over.
        gc.freeze()
        gc.disable()
        crashing.run(people, tally, SCENARIOS[shard::shards], pairs=count > 1)
    tally.seconds = time.monotonic() - started
    return tally
