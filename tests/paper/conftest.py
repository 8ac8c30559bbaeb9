import random
import sys
from collections.abc import Iterator
from decimal import localcontext
from pathlib import Path

import pytest

from apps.paper.server import PRECISION
from tests.paper.desk import Desk
from tests.paper.running import PaperProcess, running_paper


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """An exchange in this process with BTC held at 60,000 on both markets."""
    with localcontext(prec=PRECISION):
        opened = Desk(tmp_path)
        opened.price("BTC_USDT", "60000")
        opened.price("BTCUSDT", "60000")
        yield opened
        opened.close()


@pytest.fixture
def dice() -> random.Random:
    """Return a generator of its own seed, which stands in the output of a failing test."""
    seed = random.randrange(10**6)
    sys.stdout.write(f"seed {seed}\n")
    return random.Random(seed)


@pytest.fixture(scope="session")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    """The real process, shared by the tests of this room."""
    with running_paper(tmp_path_factory.mktemp("paper"), seed=7, faults=True) as process:
        yield process
