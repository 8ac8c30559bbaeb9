"""The unknown-order protocol's questions: found only by our own id, absent only when every place said so."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
import responses

from apps.connectors.exchange import CredentialsError, OrderStatus, RateLimitError, UnreachableError
from tests.connectors.bitmart.venue import BASE, answer, futures, recorded, sent, spot

CLIENT_ORDER = "/spot/v4/query/client-order"
SPOT_ORDER = "/spot/v4/query/order"
OPEN = "/contract/private/get-open-orders"
HISTORY = "/contract/private/order-history"
TRADES = "/contract/private/trades"
ORDER = "/contract/private/order"


def spot_row(**change: Any) -> dict[str, Any]:
    return recorded("spot/client-order")["response"]["data"] | {"clientOrderId": "tv1"} | change


def futures_row(**change: Any) -> dict[str, Any]:
    return recorded("futures/order")["response"]["data"] | {"client_order_id": "tv1"} | change


def paths() -> list[str]:
    return [urlsplit(call.request.url).path for call in responses.calls]


@responses.activate
def test_spot_asks_open_then_history() -> None:
    answer("POST", CLIENT_ORDER, {}, code=50005, status=400)
    answer("POST", CLIENT_ORDER, spot_row())

    report = spot().find_order("BTC_USDT", client_order_id="tv1")

    assert report is not None
    assert report.status is OrderStatus.FILLED
    assert [call.request.body for call in responses.calls] == [
        b'{"clientOrderId":"tv1","queryState":"open","recvWindow":5000}',
        b'{"clientOrderId":"tv1","queryState":"history","recvWindow":5000}',
    ]


@responses.activate
def test_spot_absent_everywhere_is_none() -> None:
    answer("POST", CLIENT_ORDER, {}, code=50005, status=400)
    answer("POST", SPOT_ORDER, {}, code=50005, status=400)

    assert spot().find_order("BTC_USDT", client_order_id="tv1", exchange_order_id="5") is None
    assert paths() == [CLIENT_ORDER, CLIENT_ORDER, SPOT_ORDER]


@responses.activate
def test_spot_order_without_an_echo_is_found_by_the_id_of_its_acceptance() -> None:
    answer("POST", CLIENT_ORDER, {}, code=50005, status=400)
    answer("POST", SPOT_ORDER, spot_row(clientOrderId="", orderId="5"))

    report = spot().find_order("BTC_USDT", client_order_id="tv1", exchange_order_id="5")

    assert report is not None
    assert (report.exchange_order_id, report.client_order_id) == ("5", "")
    assert sent(2).body == b'{"orderId":"5","recvWindow":5000}'


@pytest.mark.parametrize("data", [None, {}, [], spot_row(clientOrderId="other"), spot_row(clientOrderId="")])
@responses.activate
def test_spot_answer_about_something_else_is_neither_found_nor_absent(data: Any) -> None:
    answer("POST", CLIENT_ORDER, data)

    with pytest.raises(UnreachableError):
        spot().find_order("BTC_USDT", client_order_id="tv1")


@responses.activate
def test_spot_error_in_one_place_does_not_hide_the_order_in_another() -> None:
    def by_state(request: Any) -> tuple[int, dict[str, str], str]:
        if json.loads(request.body)["queryState"] == "open":
            return 502, {}, "<html>"
        return 200, {}, json.dumps({"code": 1000, "message": "success", "data": spot_row()})

    responses.add_callback("POST", BASE + CLIENT_ORDER, callback=by_state)

    assert spot().find_order("BTC_USDT", client_order_id="tv1") is not None


@responses.activate
def test_spot_error_in_one_place_is_not_absence() -> None:
    def by_state(request: Any) -> tuple[int, dict[str, str], str]:
        if json.loads(request.body)["queryState"] == "open":
            return 502, {}, "<html>"
        return 400, {}, json.dumps({"code": 50005, "message": "not found", "data": {}})

    responses.add_callback("POST", BASE + CLIENT_ORDER, callback=by_state)

    with pytest.raises(UnreachableError):
        spot().find_order("BTC_USDT", client_order_id="tv1")


@responses.activate
def test_futures_absent_from_all_three_places_is_none() -> None:
    answer("GET", OPEN, [futures_row(client_order_id="other")])
    answer("GET", HISTORY, [])
    answer("GET", TRADES, [])

    assert futures().find_order("LTCUSDT", client_order_id="tv1") is None
    assert [call.request.url for call in responses.calls] == [
        BASE + OPEN + "?symbol=LTCUSDT&limit=100",
        BASE + HISTORY + "?symbol=LTCUSDT&client_order_id=tv1",
        BASE + TRADES + "?symbol=LTCUSDT&client_order_id=tv1",
    ]


@responses.activate
def test_futures_not_found_code_of_a_query_is_absence() -> None:
    answer("GET", OPEN, [])
    answer("GET", HISTORY, None, code=40035, status=400)
    answer("GET", TRADES, None, code=40035, status=400)

    assert futures().find_order("LTCUSDT", client_order_id="tv1") is None


@responses.activate
def test_futures_open_order_is_found_first() -> None:
    answer("GET", OPEN, [futures_row(client_order_id="other"), futures_row(state=2, deal_size="0")])

    report = futures().find_order("LTCUSDT", client_order_id="tv1")

    assert report is not None
    assert report.status is OrderStatus.ACCEPTED
    assert paths() == [OPEN]


@responses.activate
def test_futures_history_with_an_ignored_filter_is_compared_here() -> None:
    answer("GET", OPEN, [])
    answer("GET", HISTORY, [futures_row(client_order_id="x", order_id="1"), futures_row(order_id="2")])

    report = futures().find_order("LTCUSDT", client_order_id="tv1")

    assert report is not None
    assert (report.exchange_order_id, report.status) == ("2", OrderStatus.FILLED)


@responses.activate
def test_futures_fills_lead_to_the_order_which_must_carry_our_id() -> None:
    trade = recorded("futures/trades")["response"]["data"][0]
    answer("GET", OPEN, [])
    answer("GET", HISTORY, [])
    answer("GET", TRADES, [trade | {"order_id": "7"}])
    answer("GET", ORDER, futures_row(order_id="7"))

    report = futures().find_order("LTCUSDT", client_order_id="tv1")

    assert report is not None
    assert report.exchange_order_id == "7"
    assert sent(3).url == BASE + ORDER + "?symbol=LTCUSDT&order_id=7"


@responses.activate
def test_futures_fills_of_a_stranger_are_not_ours() -> None:
    trade = recorded("futures/trades")["response"]["data"][0]
    answer("GET", OPEN, [])
    answer("GET", HISTORY, [])
    answer("GET", TRADES, [trade | {"order_id": "7"}])
    answer("GET", ORDER, futures_row(order_id="7", client_order_id="stranger"))

    assert futures().find_order("LTCUSDT", client_order_id="tv1") is None


@responses.activate
def test_futures_fills_of_an_order_that_is_not_shown_yet_leave_doubt() -> None:
    trade = recorded("futures/trades")["response"]["data"][0]
    answer("GET", OPEN, [])
    answer("GET", HISTORY, [])
    answer("GET", TRADES, [trade])
    answer("GET", ORDER, None, code=40035, status=400)

    with pytest.raises(UnreachableError):
        futures().find_order("LTCUSDT", client_order_id="tv1")


@pytest.mark.parametrize("broken", [OPEN, HISTORY, TRADES])
@responses.activate
def test_futures_error_in_any_place_is_not_absence(broken: str) -> None:
    for path in (OPEN, HISTORY, TRADES):
        if path == broken:
            answer("GET", path, None, code=30014, status=503)
        else:
            answer("GET", path, [])

    with pytest.raises(UnreachableError):
        futures().find_order("LTCUSDT", client_order_id="tv1")


@pytest.mark.parametrize(("path", "longest"), [(OPEN, 100), (HISTORY, 200)])
@responses.activate
def test_futures_full_page_without_our_order_leaves_doubt(path: str, longest: int) -> None:
    for other in {OPEN, HISTORY, TRADES} - {path}:
        answer("GET", other, [])
    answer("GET", path, [futures_row(client_order_id="other")] * longest)

    with pytest.raises(UnreachableError):
        futures().find_order("LTCUSDT", client_order_id="tv1")


@responses.activate
def test_futures_exchange_id_is_asked_first() -> None:
    answer("GET", ORDER, futures_row(order_id="7"))

    report = futures().find_order("LTCUSDT", client_order_id="tv1", exchange_order_id="7")

    assert report is not None
    assert paths() == [ORDER]


@responses.activate
def test_futures_exchange_id_of_a_foreign_order_is_not_ours() -> None:
    answer("GET", ORDER, futures_row(order_id="7", client_order_id="stranger"))
    for path in (OPEN, HISTORY, TRADES):
        answer("GET", path, [])

    assert futures().find_order("LTCUSDT", client_order_id="tv1", exchange_order_id="7") is None


@pytest.mark.parametrize(("code", "kind"), [(30005, CredentialsError), (30013, RateLimitError)])
@responses.activate
def test_refused_questions_raise_and_are_not_repeated(code: int, kind: type[Exception]) -> None:
    answer("GET", OPEN, None, code=code, status=401)

    with pytest.raises(kind):
        futures().find_order("LTCUSDT", client_order_id="tv1")

    assert len(responses.calls) == 1


@responses.activate
def test_a_search_without_our_id_is_a_mistake() -> None:
    for exchange in (spot(), futures()):
        with pytest.raises(ValueError):
            exchange.find_order("BTCUSDT", client_order_id="", exchange_order_id="7")

    assert len(responses.calls) == 0
