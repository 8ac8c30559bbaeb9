"""Orders at the exchange that carry one of our names and that nobody here remembers."""

from uuid import uuid4, uuid5

import pytest

from apps.connectors.exchange import Side
from apps.trading.ids import client_order_id
from apps.trading.models import AccountWatch, Incident, Order, OrderState
from tests.engine.conftest import Bench
from tests.factories import ago
from tests.matrix.outside import by_hand, poll

pytestmark = pytest.mark.django_db


def named_like_ours(leg: str = "o") -> tuple[str, str]:
    named = uuid5(uuid4(), "lost")
    return str(named), client_order_id(named, leg=leg)


@pytest.mark.parametrize("market", ["futures", "spot"])
def test_order_of_ours_without_a_row_is_adopted_followed_and_blocks_entries(
    request: pytest.FixtureRequest, market: str
) -> None:
    bench: Bench = request.getfixturevalue(market)
    pk, name = named_like_ours()
    bench.send("buy", "flat", "0.01")
    before = bench.held()
    by_hand(bench, Side.BUY, "5" if market == "futures" else "0.005", name=name)

    poll()

    orphan = Order.unscoped.get(pk=pk)
    assert (orphan.client_order_id, orphan.intent, orphan.state) == (name, "entry", OrderState.ACCEPTED)
    incident = Incident.unscoped.get()
    assert (incident.kind, incident.order_id) == ("orphan_order", orphan.pk)
    bench.wait()
    orphan.refresh_from_db()
    assert orphan.state == OrderState.FILLED
    assert bench.held() > before
    sent = len(bench.book())
    assert bench.status(bench.send("buy", "long", "0.01"))[1] == "INCIDENT_OPEN"
    assert len(bench.book()) == sent
    assert bench.status(bench.send("sell", "long", "0.015")) == ("executed", "")
    AccountWatch.unscoped.update(swept_at=ago(minutes=6))
    poll(2)
    assert Order.unscoped.filter(client_order_id=name).count() == 1
    assert Incident.unscoped.count() == 1


def test_orders_of_others_and_of_ours_on_record_are_no_orphans(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    by_hand(futures, Side.BUY, "1", name="somebody1")
    by_hand(futures, Side.BUY, "1", name=client_order_id(uuid4(), leg="o"))

    poll()

    assert Order.unscoped.count() == 1
    assert AccountWatch.unscoped.get().swept_at is not None
    assert Incident.unscoped.count() == 0


def test_orders_are_compared_every_five_minutes(futures: Bench) -> None:
    poll()
    _, name = named_like_ours()
    futures.send("buy", "flat", "0.01")
    by_hand(futures, Side.BUY, "5", name=name)

    poll()
    assert Incident.unscoped.count() == 0
    AccountWatch.unscoped.update(swept_at=ago(minutes=5, seconds=1))
    poll()

    assert Incident.unscoped.get().kind == "orphan_order"


def test_fills_that_a_finished_order_lacks_are_fetched(futures: Bench) -> None:
    futures.fault("drop_answer")
    futures.send("buy", "flat", "0.01")
    Order.unscoped.update(state="canceled", next_at=None, finished_at=ago(minutes=1))

    poll()

    order = futures.order()
    assert (order.state, order.filled_quantity, order.attempt) == (OrderState.FILLED, 10, 1)
    assert futures.held() == 10
    assert Incident.unscoped.count() == 0
