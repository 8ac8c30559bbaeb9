"""Bodies and addresses as senders really use them."""

import pytest

from apps.alerts.models import Alert, AlertStatus
from tests.line.conftest import Desk


@pytest.mark.parametrize(
    ("path", "quantity"), [("/webhook", "0.001"), ("/webhook/", "0.002"), ("/", "0.003")], ids=["bare", "slash", "root"]
)
def test_curly_quotes_as_plain_text_make_one_order(futures: Desk, path: str, quantity: str) -> None:
    body = (
        "{\n “ticker” : “BTCUSDT.P”,\n “action” : “buy”,\n “prev_position” : “flat”,\n "
        f"“quantity” : “{quantity}”,\n “pointer” : “{futures.pointer}”\n}}"
    )

    answer = futures.post(body.encode(), path=path, content_type="text/plain; charset=utf-8")
    futures.work()

    assert answer.status_code == 200
    alert = Alert.unscoped.get(pk=answer.json()["id"])
    assert alert.status == AlertStatus.EXECUTED
    assert [repair["code"] for repair in alert.repairs] == ["quotes"]
    assert [row["size"] for row in futures.at_exchange()] == [str(int(float(quantity) * 1000))]


def test_two_messages_in_one_delivery_run_in_order(futures: Desk) -> None:
    messages = [futures.message("buy", "flat", "0.01"), futures.message("sell", "long", "0.004")]

    answer = futures.post(messages)
    futures.work()

    delivery = Alert.unscoped.get(pk=answer.json()["id"])
    assert delivery.status == AlertStatus.SPLIT
    assert [part.status for part in delivery.parts.order_by("part")] == ["executed", "executed"]
    assert futures.position().signed_quantity == 6


def test_unknown_symbol_is_refused_by_name_with_the_nearest(futures: Desk) -> None:
    alert = futures.send("buy", "flat", "0.01", ticker="BTCUSD")

    assert (alert.status, alert.reason_code) == (AlertStatus.REJECTED, "UNKNOWN_SYMBOL")
    assert "BTCUSDT" in alert.facts["accepted"]
    assert futures.at_exchange() == []


def test_a_test_message_opens_no_exchange(futures: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(connector: object) -> None:
        raise AssertionError("an exchange was opened for a test")

    monkeypatch.setattr("apps.alerts.execution.open_connector", refuse)

    alert = futures.send("buy", "flat", "0.01", test=True)

    assert alert.status == AlertStatus.TESTED
    assert futures.at_exchange() == []
