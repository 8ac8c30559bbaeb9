import dataclasses
import logging

import requests

from apps.connectors.opening import base_url
from tests.canary.guard import Guard
from tests.shared_paper import SharedPaper


def test_paper_connectors_reach_the_paper_exchange(paper: SharedPaper) -> None:
    assert requests.get(f"{base_url('paper', 'futures')}/healthz", timeout=5).status_code == 200


def test_the_keys_of_a_paper_account_are_watched_like_marked_ones(paper: SharedPaper) -> None:
    account = paper.new_account()

    with Guard() as inner:
        logging.getLogger("apps.any").warning("%s", dataclasses.asdict(account))

    assert len(inner.leaks) == 2
