"""Orders at the exchange that carry one of our names and that nobody here remembers."""

from decimal import Decimal
from uuid import uuid4, uuid5

import pytest
from django.utils import timezone

from apps.connectors.exchange import MarginMode, OrderRequest, OrderType, Side
from apps.connectors.opening import open_connector
from apps.trading import cancelling, reconcile
from apps.trading.ids import client_order_id
from apps.trading.models import AccountWatch, Incident, Order, OrderState, Position
from tests.engine.conftest import Bench
from tests.factories import ago
from tests.matrix.outside import by_hand, poll

pytestmark = pytest.mark.django_db


def named_like_ours(leg: str = "o") -> tuple[str, str]:
    named = uuid5(uuid4(), "lost")
    return str(named), client_order_id(named, leg=leg)


def rest_unremembered(bench: Bench) -> str:
    """Have an order of ours wait at the exchange that no row speaks of; return the id that its name stands for."""
    pk, name = named_like_ours()
    is_futures = bench.connector.market == "futures"
    open_connector(bench.connector).submit(
        OrderRequest(
            client_order_id=name,
            symbol="BTCUSDT" if is_futures else "BTC_USDT",
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            price=Decimal(50000),
            quantity=Decimal(5) if is_futures else Decimal("0.005"),
            leverage=Decimal(1) if is_futures else None,
            margin_mode=MarginMode.ISOLATED if is_futures else None,
        ),
        signed_at_ms=int(timezone.now().timestamp() * 1000),
    )
    return pk


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


@pytest.mark.parametrize("market", ["futures", "spot"])
def test_order_of_ours_without_a_row_that_rests_holds_up_no_exit(request: pytest.FixtureRequest, market: str) -> None:
    bench: Bench = request.getfixturevalue(market)
    bench.send("buy", "flat", "0.01")
    pk = rest_unremembered(bench)
    poll()
    orphan = Order.unscoped.get(pk=pk)
    assert (orphan.state, orphan.price) == (OrderState.ACCEPTED, None)
    assert Incident.unscoped.get().kind == "orphan_order"

    leaving = bench.send("sell", "long", "0.01")
    bench.wait(3)

    assert bench.status(leaving) == ("executed", "")
    assert bench.held() == 0
    orphan.refresh_from_db()
    assert (orphan.state, orphan.order_type, orphan.cancel_requested_at) == (OrderState.ACCEPTED, "limit", None)


def test_position_is_compared_beside_an_order_of_ours_without_a_row_that_rests(
    futures: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "IN_A_ROW_WHILE_RESTING", 4)
    futures.send("buy", "flat", "0.01")
    rest_unremembered(futures)
    poll()
    by_hand(futures, Side.SELL, "4", reduce_only=True)

    poll(reconcile.IN_A_ROW_WHILE_RESTING - 1)
    assert futures.held() == 10
    poll()

    assert futures.held() == 6


@pytest.mark.parametrize("ends", ["filled", "canceled"])
def test_order_of_ours_without_a_row_that_rests_is_followed_to_its_end(futures: Bench, ends: str) -> None:
    futures.send("buy", "flat", "0.01")
    pk = rest_unremembered(futures)
    poll()
    orphan = Order.unscoped.get(pk=pk)

    if ends == "filled":
        futures.paper.set_price("BTCUSDT", "49990")
    else:
        cancelling.request(orphan, by="owner")
    futures.wait(2)

    orphan.refresh_from_db()
    assert (orphan.state, futures.held()) == (ends, 15 if ends == "filled" else 10)
    assert bool(orphan.filled_quantity) is (ends == "filled")
    poll()
    assert Position.unscoped.get().exchange_quantity == futures.held()


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
