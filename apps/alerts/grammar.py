"""The grammar of messages as a page for people: docs/alert-messages.md is this module's output.

python -m apps.alerts.grammar > docs/alert-messages.md
"""

import re
import sys

from apps.alerts.keys import ACCEPTED, MANDATORY, OPTIONAL, aliases_of
from apps.alerts.reasons import SENTENCES, Reason

_HEAD = """# Alert messages

Made from `apps/alerts/keys.py` and `apps/alerts/reasons.py`, and compared with them by a test: change the code, then
run `python -m apps.alerts.grammar > docs/alert-messages.md`.

A message is one flat JSON object; a delivery may hold up to ten, in an array or one a line. Numbers may be quoted.
Names are read whatever their case, with `-`, `_` or nothing between the words. A key nobody knows is left out and
listed; a key that would change an order and is not carried out is refused (`NOT_SUPPORTED`), never ignored.

## Keys

The first five are needed in every order; `ticker` and `pointer` are enough with `closeall`, and with `cancel` alone.

| key | accepted | also written |
|---|---|---|
"""
_RULES = """
## What the optional keys do together

* `order_type` limit needs `limit_price`; a `limit_price` needs `order_type` limit. What the chart showed is
  `signal_price`.
* `quantity` counts what `quantity_type` says: `base` coins (the default), `contracts`, `quote` (the position's value),
  `margin` (the money put up: value = margin × leverage), or per cent of equity, free balance or the open position.
  `risk_percent` of the equity is what may be lost between the entry and the stop loss, so it needs one, and an entry.
  Fees of both orders, and what a stop fills beyond its price, come on top: with 0.06 % a side and a stop 1 % away the
  loss is about an eighth larger. `10%` is read where the type is a percentage. No percentage is above 100.
* `take_profit`, `stop_loss` and the `activation` of a `trailing_stop` are a price or a percentage from the entry:
  `{"price": 70000}`, `{"percent": 5}`, `"5%"`, or a flat key (`stop_loss_percent`). A bare number is refused. Several
  take profits are a list, each with a `weight`; the weights add up to 1 (or 100). A partial exit leaves the targets
  that are still open their part by weight; a trailing stop is placed anew for what is left, and follows from then on.
* Prices are compared with `limit_price`, else `signal_price`, else each other: the stop of a long lies below, its
  profits above.
* `leverage`, `margin_mode` and the three exits belong to the position that the order opens. In an exit they count for
  the other side of a reversal only; where they cannot be read there, the message closes and opens nothing.
* `reduce_only` closes and never opens. `cancel` takes back our own open orders of the symbol: before the order, or
  alone.
* Equal messages 4 to 60 seconds apart are repeated deliveries. An `id` of one's own settles it for ever.
* `market_position_size` and `prev_market_position_size` tell a reversal from an exit, and show that an alert never
  came. With both, alerts that arrive in another order than the strategy sent them run in the strategy's order: one
  before which another is missing waits a second for it. What comes later still opens nothing (`OVERTAKEN`), and closes
  no more than what the strategy has left; `time` (`{{timenow}}`, not the bar's `{{time}}`) tells it from the same
  trade made anew.

## Why a message is refused

Every refusal carries its code, what was found and what is accepted. Words in *italics* are filled in.

| code | sentence |
|---|---|
"""


def markdown() -> str:
    keys = "".join(
        f"| `{name}` | {_cell(ACCEPTED[name])} | {', '.join(f'`{alias}`' for alias in aliases_of(name)) or '—'} |\n"
        for name in (*MANDATORY, *OPTIONAL)
    )
    reasons = "".join(f"| `{reason.value}` | {_cell(_italic(SENTENCES[reason]))} |\n" for reason in Reason)
    return _HEAD + keys + _RULES + reasons


def _italic(sentence: str) -> str:
    filled = re.sub(r"(?<!\{)\{(\w+)\}(?!\})", r"*\1*", sentence)
    return filled.replace("{{", "{").replace("}}", "}")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(markdown())
