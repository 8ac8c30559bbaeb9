"""A pytest plugin for the controller of xdist: the browser tests stay in one worker, as they share one product.

xdist's own `--dist loadgroup` (3.8.0) writes the group into an attribute that pytest 9.2 does not read.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

TOGETHER = "tests/e2e/"


class BrowserTestsTogether(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER if nodeid.startswith(TOGETHER) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> BrowserTestsTogether:
    return BrowserTestsTogether(config, log)
