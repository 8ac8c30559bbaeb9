"""A layer's histories on every core: one database, a process each."""

import multiprocessing
import os
import time
from collections.abc import Callable

from tests.torture.database import opened
from tests.torture.tally import Tally


def spread(work: Callable[[int, int], Tally], *, name: str, count: int, seed: int) -> Tally:
    """Run `work(share, seed)` in a process for each core, in a database of its own, and add up what they counted."""
    cores = max(1, min(int(os.environ.get("TORTURE_CORES", "0")) or os.cpu_count() or 1, count))
    shares = [(count // cores + (number < count % cores), seed + number) for number in range(cores)]
    started = time.monotonic()
    with opened(f"{name}_{seed}"):
        if cores == 1:
            total = work(*shares[0])
        else:
            from django.db import connection

            connection.close()  # each process opens its own
            with multiprocessing.get_context("fork").Pool(cores) as pool:
                first, *others = pool.starmap(work, shares)
            total = first
            for other in others:
                total.add(other)
    total.seed, total.seconds = seed, time.monotonic() - started
    return total
