import pytest

from apps.connectors.bitmart.signing import message, signature

OFFICIAL_SECRET = "6c6c98544461bbe71db2bca4c6d7fd0021e0ba9efc215f9c6ad41852df9d9df9"
OUR_SECRET = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
ORDER = (
    '{"symbol":"BTC_USDT","side":"buy","type":"limit","client_order_id":"tv00000001","size":"0.01","price":"60000.00"}'
)
FUTURES_ORDER = (
    '{"symbol":"BTCUSDT","client_order_id":"tv00000002","side":1,"mode":1,"type":"limit","leverage":"5",'
    '"open_type":"isolated","size":10,"price":"60000"}'
)
SPACED_ORDER = (
    '{"symbol": "BTCUSDT", "client_order_id": "tv00000002", "side": 1, "mode": 1, "type": "limit", "leverage": "5", '
    '"open_type": "isolated", "size": 10, "price": "60000"}'
)


@pytest.mark.parametrize(
    ("secret", "memo", "timestamp_ms", "body", "expected"),
    [
        (
            OFFICIAL_SECRET,
            "test001",
            1589793796145,
            '{"symbol":"BTC_USDT","price":"8600","count":"100"}',
            "c31dc326bf87f38bfb49a3f8494961abfa291bd549d0d98d9578e87516cee46d",
        ),
        (
            OFFICIAL_SECRET,
            "test001",
            1589267764859,
            "bitmart.WebSocket",
            "3ceeb7e1b8cb165a975e28a2e2dfaca4d30b358873c0351c1a071d8c83314556",
        ),
        (
            OUR_SECRET,
            "memo-01",
            1760000000000,
            ORDER,
            "7c9886caf9080b2f879cb558c6cd5711736c4ad9736a944396d37a268123a495",
        ),
        (
            OUR_SECRET,
            "memo-01",
            1760000000000,
            FUTURES_ORDER,
            "4b8330b35869fe0d5e789908786d41eda78ed693da46d657ab5c444d2117d04c",
        ),
        (
            OUR_SECRET,
            "memo-01",
            1760000000000,
            SPACED_ORDER,
            "c03672803bb0cef65b7a229d9e05b07d8c957b899aeaac309ea509e989fa8621",
        ),
        (
            OUR_SECRET,
            "memo-01",
            1760000000000,
            "{}",
            "78391ee60ee949ce10220c1529909cbb96a2139965508512f83cdc11081bbe2d",
        ),
        (
            OUR_SECRET,
            "memo-01",
            1760000000000,
            "",
            "21edf650a643997de2ed6e70d4ab439a2062c86dbc4cb0c491ddd62fe97cb869",
        ),
        (
            OUR_SECRET,
            "memo-01",
            1760000000000,
            '{"symbol":"BTC_USDT","note":"é"}',
            "6ca0facb2cf6bb00aca25e71fcdf95f16f8d9398dc3a6d2bc8a9f2210886c3ad",
        ),
        (
            OUR_SECRET,
            "memo-01",
            1760000000000,
            "bitmart.WebSocket",
            "05190d2dc5414ad42904a019395daeb1a143d7f74db2298bf2012f673ebadd18",
        ),
    ],
)
def test_signature_equals_the_published_vector(
    secret: str, memo: str, timestamp_ms: int, body: str, expected: str
) -> None:
    signed = signature(secret_key=secret, memo=memo, timestamp_ms=timestamp_ms, body=body.encode())

    assert signed == expected


def test_message_is_time_memo_and_the_exact_body() -> None:
    assert message(timestamp_ms=1760000000000, memo="é", body=b"{}") == "1760000000000#é#{}".encode()
