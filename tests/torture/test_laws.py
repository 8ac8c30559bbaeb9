"""The law against sending twice: what may go again within the window, and what may not."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from apps.paper.rest import Request
from tests.factories import OrderFactory
from tests.torture.clock import VirtualWorld
from tests.torture.laws import Watch
from tests.torture.venue import SUBMIT

pytestmark = pytest.mark.django_db


def _broken_by(facts: dict[str, str], code: int | None) -> list[str]:
    """Send an order, have it answered by `code`, and send it again 5 s later."""
    clock, venue = VirtualWorld(1), SimpleNamespace()
    order = OrderFactory(state="submitting", signed_at=clock.now(), fence_at=clock.now(), facts=facts)
    watch = Watch(venue, clock, [])  # type: ignore[arg-type]
    headers = {"x-bm-key": "key", "x-bm-timestamp": str(clock.venue_ms())}
    body: Any = json.dumps({"client_order_id": order.client_order_id}).encode()
    asked = Request("POST", SUBMIT["futures"], "", headers, body, "127.0.0.1")
    venue.on_submit(asked)
    venue.on_submitted(asked, code)
    clock.sleep(5)
    venue.on_submit(asked)
    return [sentence for _, sentence in watch.broken if "again" in sentence]


@pytest.mark.parametrize(
    ("facts", "code", "count"),
    [
        ({}, 30013, 0),
        ({}, None, 1),
        ({}, 1000, 1),
        ({}, 40018, 1),
        ({"beside_open_orders": "yes"}, 40018, 0),
        ({"beside_open_orders": "yes"}, None, 1),
        ({"beside_open_orders": "yes"}, 1000, 1),
        ({"beside_open_orders": "yes"}, 99999, 1),
    ],
)
def test_sent_again_within_the_window(facts: dict[str, str], code: int | None, count: int) -> None:
    assert len(_broken_by(facts, code)) == count
