"""The vectors of BitMart's documentation and those recomputed beside them, against the exchange's own verification."""

import pytest

from apps.paper.auth import sign
from tests.paper.desk import Desk

OFFICIAL = "6c6c98544461bbe71db2bca4c6d7fd0021e0ba9efc215f9c6ad41852df9d9df9"
OURS = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
SPOT_BODY = (
    '{"symbol":"BTC_USDT","side":"buy","type":"limit","client_order_id":"tv00000001","size":"0.01","price":"60000.00"}'
)
FUTURES_BODY = (
    '{"symbol":"BTCUSDT","client_order_id":"tv00000002","side":1,"mode":1,"type":"limit","leverage":"5",'
    '"open_type":"isolated","size":10,"price":"60000"}'
)
VECTORS = [
    (SPOT_BODY, "7c9886caf9080b2f879cb558c6cd5711736c4ad9736a944396d37a268123a495"),
    (FUTURES_BODY, "4b8330b35869fe0d5e789908786d41eda78ed693da46d657ab5c444d2117d04c"),
    (
        FUTURES_BODY.replace('":', '": ').replace(",", ", "),
        "c03672803bb0cef65b7a229d9e05b07d8c957b899aeaac309ea509e989fa8621",
    ),
    ("{}", "78391ee60ee949ce10220c1529909cbb96a2139965508512f83cdc11081bbe2d"),
    ("", "21edf650a643997de2ed6e70d4ab439a2062c86dbc4cb0c491ddd62fe97cb869"),
    ('{"symbol":"BTC_USDT","note":"é"}', "6ca0facb2cf6bb00aca25e71fcdf95f16f8d9398dc3a6d2bc8a9f2210886c3ad"),
    ("bitmart.WebSocket", "05190d2dc5414ad42904a019395daeb1a143d7f74db2298bf2012f673ebadd18"),
]


@pytest.mark.parametrize(("body", "signature"), VECTORS)
def test_our_vectors_are_reproduced(body: str, signature: str) -> None:
    assert sign(OURS, timestamp="1760000000000", memo="memo-01", body=body.encode()) == signature


@pytest.mark.parametrize(
    ("timestamp", "body", "signature"),
    [
        (
            "1589793796145",
            '{"symbol":"BTC_USDT","price":"8600","count":"100"}',
            "c31dc326bf87f38bfb49a3f8494961abfa291bd549d0d98d9578e87516cee46d",
        ),
        ("1589267764859", "bitmart.WebSocket", "3ceeb7e1b8cb165a975e28a2e2dfaca4d30b358873c0351c1a071d8c83314556"),
    ],
)
def test_the_official_vectors_are_reproduced(timestamp: str, body: str, signature: str) -> None:
    assert sign(OFFICIAL, timestamp=timestamp, memo="test001", body=body.encode()) == signature


def test_a_good_signature_places_the_order(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "1000"})

    answer = trader.spot_order(side="buy", type="limit", size="0.01", price="50000")

    assert (answer.status, answer.code) == (200, 1000)


def test_a_get_is_not_signed_and_takes_any_signature(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "1000"})

    headers = {"X-BM-KEY": trader.access_key, "X-BM-SIGN": "nonsense", "X-BM-TIMESTAMP": "1"}
    answer = desk.send("GET", "/spot/v1/wallet", headers=headers)

    assert answer.code == 1000


def refused(desk: Desk, changes: dict[str, str | None]) -> tuple[int, int, int]:
    """Return (status, code, orders at the exchange) after sending an order with changed headers."""
    trader = desk.trader(spot={"USDT": "1000"})
    order = b'{"symbol":"BTC_USDT","side":"buy","type":"market","notional":"10"}'
    headers = trader.signed(order) | {name: value for name, value in changes.items() if value is not None}
    headers = {name: value for name, value in headers.items() if changes.get(name, "") is not None}
    answer = desk.send("POST", "/spot/v2/submit_order", headers=headers, body=order)
    placed = desk.control("GET", f"accounts/{trader.access_key}/orders").content["orders"]
    return answer.status, answer.code, len(placed)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"X-BM-KEY": None}, 30001),
        ({"X-BM-KEY": "0" * 40}, 30002),
        ({"X-BM-TIMESTAMP": None}, 30006),
        ({"X-BM-TIMESTAMP": "soon"}, 30008),
        ({"X-BM-TIMESTAMP": "1759999939999"}, 30007),
        ({"X-BM-TIMESTAMP": "1760000060001"}, 30007),
        ({"X-BM-TIMESTAMP": "1760000000001"}, 30005),
        ({"X-BM-SIGN": None}, 30004),
        ({"X-BM-SIGN": "0" * 64}, 30005),
    ],
)
def test_a_bad_header_is_refused_and_nothing_is_placed(desk: Desk, changes: dict[str, str | None], code: int) -> None:
    assert refused(desk, changes) == (401, code, 0)


def test_a_wrong_memo_looks_like_a_wrong_secret(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "1000"})
    trader.memo = "other"

    assert trader.post("/spot/v4/query/open-orders", {"limit": 1}).code == 30005


def test_the_signature_covers_the_raw_bytes(desk: Desk) -> None:
    trader = desk.trader()
    headers = trader.signed(b'{"limit":1}')

    answer = desk.send("POST", "/spot/v4/query/open-orders", headers=headers, body=b'{"limit": 1}')

    assert answer.code == 30005


@pytest.mark.parametrize(
    ("behind_ms", "recv_window", "code"),
    [(5_000, None, 1000), (5_001, None, 30007), (20_000, 30_000, 1000), (-999, None, 1000), (-1_000, 60_000, 30007)],
)
def test_version_4_takes_recv_window(desk: Desk, behind_ms: int, recv_window: int | None, code: int) -> None:
    trader = desk.trader()
    body = b"{}" if recv_window is None else b'{"recvWindow":%d}' % recv_window
    headers = trader.signed(body, timestamp=str(desk.clock.ms - behind_ms))

    assert desk.send("POST", "/spot/v4/query/open-orders", headers=headers, body=body).code == code


@pytest.mark.parametrize("recv_window", [0, 60_001, "soon"])
def test_a_recv_window_out_of_range_is_refused(desk: Desk, recv_window: object) -> None:
    assert desk.trader().post("/spot/v4/query/open-orders", {"recvWindow": recv_window}).code == 50021


def test_a_key_without_the_permission_is_refused_and_places_nothing(desk: Desk) -> None:
    reader = desk.trader(spot={"USDT": "1000"}, permissions=["read"])

    answer = reader.spot_order(side="buy", type="market", notional="10")

    assert (answer.status, answer.code) == (403, 30012)
    assert desk.control("GET", f"accounts/{reader.access_key}/orders").content["orders"] == []
    assert reader.post("/spot/v4/query/open-orders", {"limit": 1}).code == 1000


def test_withdrawals_are_refused_unless_the_key_was_made_for_them(desk: Desk) -> None:
    usual, daring = desk.trader(), desk.trader(permissions=["read", "withdraw"])

    refused_answer = usual.get("/account/v1/withdraw/charge", currency="USDT")

    assert (refused_answer.status, refused_answer.code) == (403, 30012)
    assert daring.get("/account/v1/withdraw/charge", currency="USDT").code == 1000
