import json

import pytest

from apps.alerts.payload import parse
from tests.alerts.payload.bodies import ENTER_LONG, body, only, refusal


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def test_eight_levels_run_and_nine_do_not() -> None:
    assert only(body(extra=nested(7))).signal == ENTER_LONG
    assert refusal(body(extra=nested(8))) == "TOO_DEEP"


@pytest.mark.parametrize("delivery", [b"[" * 60_000, b'{"a":' * 30_000, b"[" * 30_000 + b"]" * 30_000])
def test_bottomless_nesting_is_refused(delivery: bytes) -> None:
    assert refusal(delivery) in {"TOO_DEEP", "BAD_JSON", "NOT_A_TRADE"}


def test_sixty_four_keys_run_and_sixty_five_do_not() -> None:
    assert only(body(**{f"k{number}": 1 for number in range(59)})).signal == ENTER_LONG
    assert refusal(body(**{f"k{number}": 1 for number in range(60)})) == "TOO_MANY_KEYS"


def test_nested_keys_count_too() -> None:
    assert refusal(body(extra={f"k{number}": 1 for number in range(59)})) == "TOO_MANY_KEYS"


def test_a_string_of_4096_bytes_runs_and_a_longer_one_does_not() -> None:
    assert only(body(comment="x" * 4096)).signal == ENTER_LONG
    assert refusal(body(comment="x" * 4097)) == "VALUE_TOO_LONG"
    assert refusal(body(comment="é" * 2049)) == "VALUE_TOO_LONG"
    assert refusal(body(**{"k" * 4097: 1})) == "VALUE_TOO_LONG"


def test_ten_messages_run_and_eleven_run_none() -> None:
    assert len(parse(b"[" + b",".join([body()] * 10) + b"]").items) == 10
    assert refusal(b"[" + b",".join([body()] * 11) + b"]") == "TOO_MANY_MESSAGES"
    assert len(parse(b"\n".join([body()] * 3), max_items=2).items) == 1


def test_one_bad_message_does_not_stop_the_others() -> None:
    items = parse(b"[" + body(quantity="NaN") + b"," + body() + b',"x"]').items

    assert [item.signal for item in items] == [None, ENTER_LONG, None]
    assert [str(item.error.code) if item.error else "" for item in items] == ["NOT_A_NUMBER", "", "NOT_A_TRADE"]


def test_a_part_that_is_no_message_never_reads_as_one() -> None:
    parts = parse(b'["{}", [' + body() + b"], " + body(extra=nested(8)) + b"]").items

    assert [refusal(part.normalized.encode()) for part in parts] == ["NOT_A_TRADE"] * 3
    assert [str(part.error.code) for part in parts if part.error] == ["NOT_A_TRADE", "NOT_A_TRADE", "TOO_DEEP"]


def test_a_body_beyond_the_cap_is_not_read() -> None:
    assert refusal(b" " * 300_000) == "BODY_TOO_LARGE"


def test_equal_requests_normalize_equally_and_different_ones_do_not() -> None:
    plain = only(body()).normalized
    keys = {"Pointer": "••••efgh", "prev-position": "flat", "TICKER": "BTCUSDT.P", "quantity": 0.10, "action": "buy"}
    spelt = json.dumps(keys)

    assert plain == (
        '{"action":"buy","pointer":"\\u2022\\u2022\\u2022\\u2022efgh","prev_position":"flat","quantity":"0.1",'
        '"ticker":"BTCUSDT.P"}'
    )
    assert only(spelt.encode()).normalized == plain
    assert only(body(quantity="0.10")).normalized == plain
    assert only(body(quantity="0.2")).normalized != plain
    assert only(body(comment="x")).normalized != plain
    assert only(b" some text \n").normalized == "some text"
