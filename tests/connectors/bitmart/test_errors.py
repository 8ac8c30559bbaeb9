"""Every code of BitMart's tables, through a whole submit, so that the class is what the executor will see."""

from decimal import Decimal
from typing import Any

import pytest
import responses

from apps.connectors.bitmart.errors import CODES
from apps.connectors.exchange import (
    ClockError,
    CredentialsError,
    DuplicateOrderError,
    ExchangeError,
    NotSupportedError,
    OrderRejectedError,
    OrderRequest,
    OrderType,
    RateLimitError,
    RejectReason,
    Side,
    UnreachableError,
)
from tests.connectors.bitmart.venue import BASE, KEY, MEMO, NOW_MS, SECRET, answer, futures, spot

SPOT_PATH = "/spot/v2/submit_order"
FUTURES_PATH = "/contract/private/submit-order"
R = RejectReason

REJECTED: dict[RejectReason, list[int]] = {
    R.INVALID_REQUEST: [
        *[30018, 50000, 50004, 50010, 50011, 50012, 50013, 50014, 50015, 50016, 50017, 50018, 50021, 50028, 50033],
        *[50037, 50038, 50039, 50041, 51000, 51001, 51002, 51003, 51004, 51005, 51006, 51007],
        *[52000, 52001, 52002, 52003, 52004, 57001, 58001, 61000, 61003, 70000, 70001],
        *[60000, 60001, 60002, 60003, 60004, 60005, 60006, 60007, 60009, 60010, 60011, 60012],
        *[71001, 71002, 71003, 71004, 71005, 49998],
        *[40007, 40010, 40011, 40028, 40031, 40032, 40033, 40038, 40039, 40041, 40042, 40044, 40045, 40048, 40049],
    ],
    R.UNKNOWN_SYMBOL: [50001, 70002, 40034],
    R.SYMBOL_NOT_TRADING: [50023, 50040, 51008, 40014, 40015],
    R.BELOW_MINIMUM: [50006, 50009, 50029, 51009, 51010, 51011, 51012, 51013, 51014, 51015],
    R.ABOVE_MAXIMUM: [50007],
    R.PRICE_OUT_OF_RANGE: [50008, 50025, 50026, 50027],
    R.INSUFFICIENT_BALANCE: [50020, 60008, 61001, 40027, 42000],
    R.WOULD_NOT_MATCH: [50034, 50035],
    R.POSITION_CONFLICT: [40016, 40017, 40019, 40020, 40022, 40023, 40024, 40025, 40026, 40059],
    R.NO_POSITION: [40018, 40021],
    R.LEVERAGE: [40029, 40030, 40040],
    R.PRECISION: [40043],
}
ABOUT_ANOTHER_ORDER: dict[RejectReason, list[int]] = {
    R.ORDER_UNKNOWN: [50005, 50032, 40035, 40037],
    R.ORDER_FINISHED: [50030, 50031, 50036, 40036],
}
REFUSED_KEY: dict[str, list[int]] = {
    "KEY_UNKNOWN": [30001, 30002],
    "KEY_FROZEN": [30003],
    "KEY_EXPIRED": [30011],
    "SIGNATURE": [30004, 30005],
    "PERMISSION": [30012, 30019],
    "ADDRESS": [30010, 40006],
    "ACCOUNT": [
        *[53000, 53002, 53003, 53005, 53006, 53007, 53009, 53010, 53011, 40046],
        *[60020, 60021, 60022, 60023, 60024, 60025, 60026, 60027, 60028, 60029, 61005, 61006, 61007, 61008],
    ],
    "REGION": [53001, 53004, 53008, 40047],
}
OTHER: dict[type[ExchangeError], list[int]] = {
    ClockError: [30006, 30007, 30008, 40008],
    RateLimitError: [30013, 30017, 40013],
    DuplicateOrderError: [50042, 61004, 40050],
    NotSupportedError: [30000, 30030, 30031],
    UnreachableError: [
        *[30014, 30016, 50022, 60050, 60051, 70003, 40012, 25601],
        *[59001, 59002, 59003, 59004, 59005, 59006, 59007, 59008, 59009, 59010, 59011],
    ],
}


def spot_order() -> OrderRequest:
    return OrderRequest(
        client_order_id="tv1", symbol="BTC_USDT", side=Side.BUY, order_type=OrderType.MARKET, notional=Decimal(10)
    )


def futures_order() -> OrderRequest:
    return OrderRequest(
        client_order_id="tv1", symbol="BTCUSDT", side=Side.BUY, order_type=OrderType.MARKET, quantity=Decimal(1)
    )


def refused_submit(code: Any, *, status: int = 400, message: str = "Refused") -> ExchangeError:
    answer("POST", SPOT_PATH, {}, code=code, status=status, message=message)
    with pytest.raises(ExchangeError) as caught:
        spot().submit(spot_order(), signed_at_ms=NOW_MS)
    assert len(responses.calls) == 1
    return caught.value


def pairs(table: dict[Any, list[int]]) -> list[tuple[Any, int]]:
    return [(meaning, code) for meaning, codes in table.items() for code in codes]


def test_this_file_names_every_code_of_the_table() -> None:
    named = [code for table in (REJECTED, ABOUT_ANOTHER_ORDER, REFUSED_KEY, OTHER) for _, code in pairs(table)]

    assert sorted(named) == sorted(CODES)


@pytest.mark.parametrize(("reason", "code"), pairs(REJECTED))
@pytest.mark.parametrize("status", [200, 400, 503])
@responses.activate
def test_listed_refusals_are_rejections_whatever_the_status(reason: RejectReason, code: int, status: int) -> None:
    error = refused_submit(code, status=status)

    assert isinstance(error, OrderRejectedError)
    assert (error.reason, error.code, error.http_status) == (reason, str(code), status)
    assert f"(BitMart {code})" in error.sentence


@pytest.mark.parametrize(("reason", "code"), pairs(ABOUT_ANOTHER_ORDER))
@responses.activate
def test_a_refusal_about_an_existing_order_is_a_rejected_cancel_but_an_unknown_submit(
    reason: RejectReason, code: int
) -> None:
    answer("POST", "/contract/private/cancel-order", None, code=code, status=400)

    with pytest.raises(OrderRejectedError) as caught:
        futures().cancel("BTCUSDT", exchange_order_id="1", signed_at_ms=NOW_MS)

    assert (caught.value.reason, caught.value.code) == (reason, str(code))
    responses.calls.reset()
    submitted = refused_submit(code)
    assert type(submitted) is UnreachableError
    assert submitted.code == str(code)


@pytest.mark.parametrize(("reason", "code"), pairs(REFUSED_KEY))
@responses.activate
def test_refused_keys_say_why(reason: str, code: int) -> None:
    error = refused_submit(code, status=401)

    assert isinstance(error, CredentialsError)
    assert (error.reason, error.code) == (reason, str(code))


@pytest.mark.parametrize(("kind", "code"), pairs(OTHER))
@responses.activate
def test_other_listed_codes(kind: type[ExchangeError], code: int) -> None:
    error = refused_submit(code)

    assert type(error) is kind
    assert error.code == str(code)


@responses.activate
def test_a_code_sent_as_text_means_the_same() -> None:
    assert isinstance(refused_submit("50020"), OrderRejectedError)


@pytest.mark.parametrize("code", [12345, 0, -1, None, True, 1000.5, "x", "", [], 10**30])
@responses.activate
def test_an_unlisted_code_proves_nothing(code: Any) -> None:
    assert type(refused_submit(code, message="balance not enough")) is UnreachableError


@responses.activate
def test_success_code_with_a_failure_status_proves_nothing() -> None:
    answer("POST", SPOT_PATH, {"order_id": "1"}, code=1000, status=502)

    with pytest.raises(UnreachableError):
        spot().submit(spot_order(), signed_at_ms=NOW_MS)


@pytest.mark.parametrize("data", [{}, None, [], {"order_id": ""}, {"order_id": None}, {"order_id": True}, "1", 5])
@responses.activate
def test_success_without_an_order_id_leaves_the_order_in_doubt(data: Any) -> None:
    answer("POST", SPOT_PATH, data)
    answer("POST", FUTURES_PATH, data)

    with pytest.raises(UnreachableError):
        spot().submit(spot_order(), signed_at_ms=NOW_MS)
    with pytest.raises(UnreachableError):
        futures().submit(futures_order(), signed_at_ms=NOW_MS)

    assert len(responses.calls) == 2


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("You contract account available balance not enough.", OrderRejectedError),
        ("System error", UnreachableError),
        ("", UnreachableError),
    ],
)
@responses.activate
def test_40012_is_judged_by_its_text(message: str, kind: type[ExchangeError]) -> None:
    answer("POST", FUTURES_PATH, None, code=40012, status=500, message=message)

    with pytest.raises(ExchangeError) as caught:
        futures().submit(futures_order(), signed_at_ms=NOW_MS)

    assert type(caught.value) is kind


@responses.activate
def test_40013_about_the_clock_is_a_clock_error() -> None:
    error = refused_submit(40013, message="CLIENT_TIME_INVALID, Please check your system time.")

    assert type(error) is ClockError


@responses.activate
def test_the_retired_route_shape_is_read() -> None:
    body = {"msg": "This endpoint has been deprecated. Please use another", "code": 30031}
    responses.add("POST", BASE + SPOT_PATH, json=body)

    with pytest.raises(NotSupportedError) as caught:
        spot().submit(spot_order(), signed_at_ms=NOW_MS)

    assert caught.value.code == "30031"


@pytest.mark.parametrize(
    ("status", "headers", "code", "retry_after", "banned"),
    [
        (429, {}, 30013, 2.0, False),
        (429, {"X-BM-RateLimit-Reset": "3"}, 30013, 3.0, False),
        (429, {"Retry-After": "7", "X-BM-RateLimit-Reset": "3"}, 30013, 7.0, False),
        (429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30013, 2.0, False),
        (418, {"X-BM-RateLimit-Reset": "2"}, 30017, 60.0, True),
        (418, {"Retry-After": "300"}, 30017, 300.0, True),
    ],
)
@responses.activate
def test_rate_limits_say_how_long(
    status: int, headers: dict[str, str], code: int, retry_after: float, banned: bool
) -> None:
    responses.add("POST", BASE + SPOT_PATH, json={"code": code, "message": "m"}, status=status, headers=headers)

    with pytest.raises(RateLimitError) as caught:
        spot().submit(spot_order(), signed_at_ms=NOW_MS)

    assert (caught.value.retry_after, caught.value.banned) == (retry_after, banned)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, UnreachableError),
        (302, UnreachableError),
        (403, UnreachableError),
        (404, UnreachableError),
        (418, RateLimitError),
        (429, RateLimitError),
        (500, UnreachableError),
        (502, UnreachableError),
        (503, UnreachableError),
        (520, UnreachableError),
    ],
)
@responses.activate
def test_html_is_never_an_exchange_answer(status: int, kind: type[ExchangeError]) -> None:
    responses.add(
        "POST",
        BASE + SPOT_PATH,
        body="<html>error code: 1010</html>",
        status=status,
        headers={"Location": BASE + "/elsewhere"},
    )

    with pytest.raises(ExchangeError) as caught:
        spot().submit(spot_order(), signed_at_ms=NOW_MS)

    assert type(caught.value) is kind
    assert getattr(caught.value, "banned", False) is (status == 418)
    assert len(responses.calls) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"code":50020',
        b"[]",
        b'"50020"',
        b'{"code":NaN}',
        b'{"code":50020,"data":Infinity}',
        b'\xff{"code":50020}',
        b'{"code":50020,"data":' + b"[" * 100_000,
        b'{"code":' + b"9" * 5000 + b"}",
        b'{"code":50020,"data":1e99999999999999999999}',
    ],
)
@responses.activate
def test_broken_json_proves_nothing(body: bytes) -> None:
    responses.add("POST", BASE + SPOT_PATH, body=body, status=400)

    with pytest.raises(UnreachableError):
        spot().submit(spot_order(), signed_at_ms=NOW_MS)


@responses.activate
def test_the_venues_words_are_quoted_for_a_rejection() -> None:
    error = refused_submit(51011, message="param not match : size * price >=5")

    assert error.sentence == (
        "The order is smaller than BitMart's minimum for this symbol. Nothing was traded. Make the size larger. "
        '(BitMart 51011) BitMart says: "param not match : size * price >=5"'
    )


@pytest.mark.parametrize("secret", [KEY, SECRET, MEMO])
@responses.activate
def test_a_secret_sent_back_by_the_venue_is_not_repeated(secret: str) -> None:
    error = refused_submit(50000, message=f"bad header {secret}")

    assert secret not in str(error)
    assert secret not in repr(error)
