"""What the lists and details say, exactly."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse

from apps.connectors import pointers
from apps.trading.models import Order
from tests.factories import (
    AlertFactory,
    ConnectorFactory,
    EquityPointFactory,
    FillFactory,
    InstrumentFactory,
    MarketPriceFactory,
    OrderFactory,
    PointerFactory,
    PositionFactory,
)
from tests.people import Member

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
ONE = datetime(2026, 7, 1, 13, tzinfo=UTC)


def only(member: Member, name: str, **query: Any) -> dict[str, Any]:
    answer = member.api.get(reverse(f"api:{name}-list"), query)
    assert answer.status_code == 200, answer.content
    [row] = answer.json()["results"]
    detail = member.api.get(reverse(f"api:{name}-detail", args=[row["id"]]))
    assert detail.json() == row
    return row


def ids(member: Member, name: str, **query: Any) -> list[str]:
    answer = member.api.get(reverse(f"api:{name}-list"), query)
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


def test_a_connector_shows_four_characters_of_its_pointer_and_nothing_of_its_keys(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace, label="Main")
    old = PointerFactory(connector=connector)
    new = pointers.rotate(connector, overlap_hours=24)

    row = only(owner, "connector")

    assert row.pop("created_at").endswith("Z")
    assert old.last4 != new.last4
    assert row == {
        "id": str(connector.pk),
        "label": "Main",
        "market": "futures",
        "environment": "paper",
        "state": "ACTIVE",
        "check_status": "NEVER",
        "checked_at": None,
        "paused_at": None,
        "deleted_at": None,
        "pointer_last4": new.last4,
        "max_order_notional": None,
        "max_open_notional": None,
        "max_orders_per_minute": None,
        "max_open_positions": None,
        "max_daily_loss": None,
        "max_price_deviation_pct": None,
        "allowed_symbols": [],
        "direction": "BOTH",
        "adds": "ALLOW",
        "max_adds": 1,
        "low_balance": "REFUSE",
        "leverage": "1",
        "margin_mode": "ISOLATED",
        "most_leverage": None,
    }


def test_a_deleted_connector_leaves_the_list_and_keeps_its_page(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace, deleted_at=NOON)

    detail = owner.api.get(reverse("api:connector-detail", args=[connector.pk]))

    assert ids(owner, "connector") == []
    assert detail.json()["deleted_at"] == "2026-07-01T12:00:00Z"


def test_an_alert_names_its_orders_and_does_not_repeat_its_body(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    alert = AlertFactory(pointer=PointerFactory(connector=connector), received_at=NOON, status="rejected",
                         reason_code="QUANTITY_BELOW_STEP", reason="Too small.", facts={"found": "0.1"},
                         symbol="BTCUSDT", understood={"action": "buy"})  # fmt: skip
    first = OrderFactory(connector=connector, origin_id=alert.pk, leg="c", created_at=NOON)
    second = OrderFactory(connector=connector, origin_id=alert.pk, leg="o", created_at=ONE)
    OrderFactory(connector=connector)

    assert only(owner, "alert") == {
        "id": str(alert.pk),
        "received_at": "2026-07-01T12:00:00Z",
        "connector": str(connector.pk),
        "status": "REJECTED",
        "reason_code": "QUANTITY_BELOW_STEP",
        "reason": "Too small.",
        "facts": {"found": "0.1"},
        "symbol": "BTCUSDT",
        "is_exit": False,
        "understood": {"action": "buy"},
        "notes": [],
        "repairs": [],
        "external_id": "",
        "parent": None,
        "part": 0,
        "duplicate_of": None,
        "orders": [str(first.pk), str(second.pk)],
        "finished_at": None,
    }


def test_an_order_says_its_state_as_a_word_and_its_amounts_as_plain_text(owner: Member) -> None:
    alert_id = uuid4()
    order = OrderFactory(
        connector=ConnectorFactory(workspace=owner.workspace), origin_id=alert_id, state="filled",
        quantity=Decimal("0.000000010000000000"), filled_quantity=Decimal("1000000"), notional=Decimal("1E+3"),
        avg_fill_price=Decimal("64000.500"), fees={"USDT": "0.36"}, exchange_order_id="23456", leverage=Decimal("5.00"),
        client_order_id="zo0abc", created_at=NOON, finished_at=ONE,
    )  # fmt: skip

    assert only(owner, "order") == {
        "id": str(order.pk),
        "alert": str(alert_id),
        "parent": None,
        "connector": str(order.connector_id),
        "symbol": "BTCUSDT",
        "leg": "o",
        "intent": "entry",
        "side": "buy",
        "order_type": "market",
        "time_in_force": "gtc",
        "book": "net",
        "quantity": "0.00000001",
        "notional": "1000",
        "price": None,
        "reduce_only": False,
        "leverage": "5",
        "margin_mode": "",
        "state": "FILLED",
        "reason_code": "",
        "reason": "",
        "client_order_id": "zo0abc",
        "exchange_order_id": "23456",
        "filled_quantity": "1000000",
        "avg_fill_price": "64000.5",
        "fees": {"USDT": "0.36"},
        "created_at": "2026-07-01T12:00:00Z",
        "expires_at": None,
        "signed_at": None,
        "acknowledged_at": None,
        "first_fill_at": None,
        "last_fill_at": None,
        "finished_at": "2026-07-01T13:00:00Z",
    }


def test_a_fill_names_its_order(owner: Member) -> None:
    order = OrderFactory(connector=ConnectorFactory(workspace=owner.workspace))
    fill = FillFactory(order=order, trade_id="7", filled_at=NOON, recorded_at=ONE, realized_pnl=Decimal("-1.50"))

    assert only(owner, "fill", alert=order.origin_id, order=order.pk) == {
        "id": str(fill.pk),
        "trade_id": "7",
        "order": str(order.pk),
        "connector": str(order.connector_id),
        "symbol": "BTCUSDT",
        "book": "net",
        "side": "buy",
        "price": "60000",
        "quantity": "10",
        "fee": "0.36",
        "fee_currency": "USDT",
        "role": "taker",
        "realized_pnl": "-1.5",
        "filled_at": "2026-07-01T12:00:00Z",
        "recorded_at": "2026-07-01T13:00:00Z",
    }


@pytest.mark.parametrize(
    ("signed_quantity", "side", "unrealized"), [("10", "long", "10"), ("-10", "short", "-10"), ("0", "flat", "0")]
)
def test_a_position_is_valued_at_the_mark(owner: Member, signed_quantity: str, side: str, unrealized: str) -> None:
    # 10 contracts of 0.001 BTC at 60,000 cost 600; at 61,000 they are worth 610.
    instrument = InstrumentFactory(contract_size=Decimal("0.001"))
    MarketPriceFactory(instrument=instrument, mark=Decimal(61000), at=NOON)
    quantity = Decimal(signed_quantity)
    PositionFactory(
        connector=ConnectorFactory(workspace=owner.workspace), instrument=instrument, signed_quantity=quantity,
        cost=abs(quantity) * 60, avg_entry_price=Decimal(60000), realized_pnl=Decimal("12.50"),
    )  # fmt: skip

    row = only(owner, "position")

    assert row["side"] == side
    assert row["signed_quantity"] == signed_quantity
    assert row["mark_price"] == "61000"
    assert row["mark_at"] == "2026-07-01T12:00:00Z"
    assert row["unrealized_pnl"] == unrealized
    assert row["realized_pnl"] == "12.5"


def test_a_position_without_a_price_has_no_unrealized_pnl(owner: Member) -> None:
    PositionFactory(connector=ConnectorFactory(workspace=owner.workspace))

    row = only(owner, "position")

    assert (row["mark_price"], row["mark_at"], row["unrealized_pnl"]) == (None, None, None)


def test_an_equity_point_is_plain_text(owner: Member) -> None:
    point = EquityPointFactory(
        connector=ConnectorFactory(workspace=owner.workspace), at=NOON, equity=Decimal("1000.10")
    )

    assert only(owner, "equity-point") == {
        "id": str(point.pk),
        "connector": str(point.connector_id),
        "at": "2026-07-01T12:00:00Z",
        "equity": "1000.1",
        "available": "0",
        "currency": "USDT",
        "unvalued": [],
    }


def test_filters_narrow_the_orders(owner: Member) -> None:
    connector, other = ConnectorFactory.create_batch(2, workspace=owner.workspace)
    filled = OrderFactory(connector=connector, state="filled", created_at=NOON)
    denied = OrderFactory(connector=other, state="denied", created_at=ONE, symbol="ETHUSDT")

    def found(**query: Any) -> list[str]:
        return ids(owner, "order", **query)

    assert found() == [str(denied.pk), str(filled.pk)]
    assert found(connector=connector.pk) == [str(filled.pk)]
    assert found(alert=denied.origin_id) == [str(denied.pk)]
    assert found(symbol="ETHUSDT") == [str(denied.pk)]
    assert found(state="FILLED") == [str(filled.pk)]
    assert found(state="FILLED,DENIED") == [str(denied.pk), str(filled.pk)]
    assert found(created_after="2026-07-01T12:30:00Z") == [str(denied.pk)]
    assert found(created_before="2026-07-01T13:00:00Z") == [str(filled.pk)]


def test_filters_narrow_the_other_lists(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace, created_at=NOON)
    alert = AlertFactory(pointer=PointerFactory(connector=connector), status="held", received_at=NOON)
    AlertFactory(pointer=alert.pointer, received_at=ONE)
    opened = PositionFactory(connector=connector)
    flat = PositionFactory(connector=connector, symbol="ETHUSDT", signed_quantity=0)

    assert ids(owner, "alert", status="HELD", connector=connector.pk) == [str(alert.pk)]
    assert ids(owner, "alert", created_before="2026-07-01T12:30:00Z") == [str(alert.pk)]
    assert ids(owner, "position", open="true") == [str(opened.pk)]
    assert ids(owner, "position", open="false") == [str(flat.pk)]
    assert ids(owner, "connector", state="HALTED") == []
    assert ids(owner, "connector", state="ACTIVE", market="futures") == [str(connector.pk)]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [({"state": "DONE"}, "state"), ({"connector": "x"}, "connector"), ({"created_after": "soon"}, "created_after"),
     ({"sybmol": "BTCUSDT"}, "sybmol"), ({"symbol": "\0"}, "symbol")],
)  # fmt: skip
def test_a_filter_that_cannot_be_read_is_refused_by_name(owner: Member, query: dict[str, str], parameter: str) -> None:
    OrderFactory(connector=ConnectorFactory(workspace=owner.workspace))

    answer = owner.api.get(reverse("api:order-list"), query)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["attr"].split(".")[0] == parameter


def test_pages_go_from_the_newest_to_the_oldest_even_where_times_are_equal(owner: Member) -> None:
    connector = ConnectorFactory(workspace=owner.workspace)
    for _ in range(5):
        OrderFactory(connector=connector, created_at=NOON)
    OrderFactory(connector=connector, created_at=ONE)
    wanted = [str(pk) for pk in Order.unscoped.order_by("-created_at", "-id").values_list("id", flat=True)]

    seen, url = [], reverse("api:order-list") + "?limit=2"
    while url:
        page = owner.api.get(url).json()
        assert len(page["results"]) == 2
        seen += [row["id"] for row in page["results"]]
        url = page["next"]

    assert seen == wanted


@pytest.mark.parametrize("cursor", ["x", "cD1hYmM=", "cD0lMDA=", "bz05OTk5OTk5OTk5OQ==", "é"])
def test_a_cursor_that_is_none_gives_no_5xx(owner: Member, cursor: str) -> None:
    answer = owner.api.get(reverse("api:order-list"), {"cursor": cursor, "limit": "-1"})

    assert answer.status_code in {200, 404}
