import json
import re

import pytest

from apps.connectors.message import close_all_message, standard_message, trendspider_message

POINTER = "pointer-of-the-test"


def test_standard_message_has_the_five_keys_the_position_time_and_id():
    assert json.loads(standard_message(POINTER)) == {
        "ticker": "{{ticker}}",
        "action": "{{strategy.order.action}}",
        "prev_position": "{{strategy.prev_market_position}}",
        "quantity": "{{strategy.order.contracts}}",
        "pointer": POINTER,
        "market_position": "{{strategy.market_position}}",
        "market_position_size": "{{strategy.market_position_size}}",
        "prev_market_position_size": "{{strategy.prev_market_position_size}}",
        "time": "{{timenow}}",
        "id": "{{ticker}}-{{timenow}}-{{strategy.order.action}}-{{strategy.position_size}}",
    }


def test_ticker_may_be_fixed_and_the_id_tagged():
    message = json.loads(standard_message(POINTER, "BTCUSDT", tag="ab12"))

    assert message["ticker"] == "BTCUSDT"
    assert message["id"].startswith("ab12-{{ticker}}-")


def test_filled_id_of_a_long_ticker_fits_the_limit():
    filled = {
        "{{ticker}}": "1000000MOGUSDT.P",
        "{{timenow}}": "2026-11-22T08:41:03Z",
        "{{strategy.order.action}}": "sell",
        "{{strategy.position_size}}": "-123456789.123",
    }

    message = standard_message(POINTER, tag="ab12")
    for placeholder, value in filled.items():
        message = message.replace(placeholder, value)

    assert json.loads(message)["id"] == "ab12-1000000MOGUSDT.P-2026-11-22T08:41:03Z-sell--123456789.123"
    assert len(json.loads(message)["id"]) == 62


def test_trendspider_message_types_out_side_and_size():
    assert json.loads(trendspider_message(POINTER, action="sell", prev_position="long", quantity="0.5")) == {
        "ticker": "%bot_symbol%",
        "action": "sell",
        "prev_position": "long",
        "quantity": "0.5",
        "pointer": POINTER,
    }


def test_close_all_message_has_three_keys():
    assert json.loads(close_all_message(POINTER)) == {"ticker": "{{ticker}}", "closeall": "true", "pointer": POINTER}


@pytest.mark.parametrize(
    "message", [standard_message(POINTER), trendspider_message(POINTER), close_all_message(POINTER)]
)
def test_quotes_are_straight(message):
    assert re.search("[\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}']", message) is None
