"""The messages to paste into an alert: straight quotes, one flat JSON object, the senders' own placeholders."""

import json


def standard_message(pointer_text: str, ticker: str | None = None, *, tag: str = "") -> str:
    """Return the message of a TradingView strategy alert. `ticker` None: the chart's own.

    The position and its sizes before and after tell a reversal from an exit, and show that an alert never arrived.
    `time` gives the alert its age. `id` names one order of the strategy, so that a repeated delivery is known for one:
    equal sizes on two symbols, or two partial exits in one second, still differ. `tag` (up to 4 characters) keeps two
    strategies apart that trade one symbol through one pointer. An id holds at most 64 characters.
    """
    parts = [
        *([tag] if tag else []),
        "{{ticker}}",
        "{{timenow}}",
        "{{strategy.order.action}}",
        "{{strategy.position_size}}",
    ]
    return _written(
        {
            "ticker": ticker or "{{ticker}}",
            "action": "{{strategy.order.action}}",
            "prev_position": "{{strategy.prev_market_position}}",
            "quantity": "{{strategy.order.contracts}}",
            "pointer": pointer_text,
            "market_position": "{{strategy.market_position}}",
            "market_position_size": "{{strategy.market_position_size}}",
            "prev_market_position_size": "{{strategy.prev_market_position_size}}",
            "time": "{{timenow}}",
            "id": "-".join(parts),
        }
    )


def trendspider_message(
    pointer_text: str, *, action: str = "buy", prev_position: str = "flat", quantity: str = "0.01"
) -> str:
    """Return the message of one side of a TrendSpider bot, which has no placeholder for side and size.

    buy + flat opens a long, sell + long closes it, sell + flat opens a short, buy + short closes it.
    """
    return _written(
        {
            "ticker": "%bot_symbol%",
            "action": action,
            "prev_position": prev_position,
            "quantity": quantity,
            "pointer": pointer_text,
        }
    )


def close_all_message(pointer_text: str, ticker: str | None = None) -> str:
    """Return the message that closes whatever is held in the alert's symbol."""
    return _written({"ticker": ticker or "{{ticker}}", "closeall": "true", "pointer": pointer_text})


def _written(message: dict[str, str]) -> str:
    return json.dumps(message, indent=2, ensure_ascii=False)
