"""A decision keeps what it was made from, in the transaction that holds it."""

import json

import pytest
from django.db import DatabaseError, transaction

from apps.connectors.models import Connector
from apps.trading.deciding import decide
from apps.trading.models import PlanRecord
from apps.trading.outline import outline_of
from apps.trading.records import inputs_in, outline_in
from tests.engine.conftest import Bench


def record_of(alert: object) -> PlanRecord:
    return PlanRecord.unscoped.get(origin_id=alert.pk)


@pytest.mark.parametrize("market", ["futures", "spot"])
def test_a_trade_keeps_its_inputs_and_they_decide_the_same(market: str, request: pytest.FixtureRequest) -> None:
    bench: Bench = request.getfixturevalue(market)

    alert = bench.send("buy", "flat", "0.01")

    record = record_of(alert)
    inputs = inputs_in(record)
    [leg] = outline_in(record).legs
    order = bench.order()
    assert (leg.client_order_id, leg.quantity, leg.notional) == (order.client_order_id, order.quantity, order.notional)
    assert outline_of(decide(inputs)) == outline_in(record)
    assert (record.workspace_id, record.connector_id, record.at) == (
        alert.workspace_id, bench.connector.pk, inputs.now,
    )  # fmt: skip


def test_an_alert_refused_before_the_account_was_read_keeps_its_own(futures: Bench) -> None:
    Connector.unscoped.filter(pk=futures.connector.pk).update(trading_state="halted")

    alert = futures.send("buy", "flat", "0.01")

    inputs, outline = inputs_in(record_of(alert)), outline_in(record_of(alert))
    assert (inputs.account, inputs.standing.connector) == (None, "halted")
    assert outline.denial is not None
    assert outline.denial.code == alert.reason_code == "CONNECTOR_HALTED"
    assert outline_of(decide(inputs)) == outline
    assert futures.book() == []


def test_nothing_secret_is_kept(futures: Bench) -> None:
    alert = futures.send("buy", "flat", "0.01")

    text = json.dumps([record_of(alert).inputs, record_of(alert).outline])
    account = futures.account
    for secret in (futures.pointer, account.access_key, account.secret_key, account.memo):
        assert secret not in text


def test_a_record_is_never_changed_or_removed(futures: Bench) -> None:
    record = record_of(futures.send("buy", "flat", "0.01"))

    for change in (lambda: PlanRecord.unscoped.filter(pk=record.pk).update(version=2), record.delete):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()
