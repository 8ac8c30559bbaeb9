"""The keys of a message: which we read, which we refuse rather than ignore, and how a written key finds its name."""

import re

from apps.alerts.typography import plain_characters

MANDATORY = ("ticker", "action", "prev_position", "quantity", "pointer")
MANDATORY_TO_CLOSE_ALL = ("ticker", "pointer")
OPTIONAL = (
    "closeall",
    "hedgemode",
    "market_position",
    "market_position_size",
    "prev_market_position",
    "prev_market_position_size",
    "time",
    "signal_price",
    "max_lag",
    "id",
    "test",
    "order_type",
    "quantity_type",
)
NUMERIC = frozenset({"quantity", "market_position_size", "prev_market_position_size", "signal_price", "max_lag"})

# Each changes what an order does: a message that carries one must not run as if it did not.
_REFUSED = re.compile(
    r"(?:limit|stop|trigger|activation)?price|stop|limit|leverage|marginmode|margintype|reduceonly|closeonly|postonly|"
    r"timeinforce|tif|cancel\w*|(?:sl|tp)(?:\d{0,2}|price|percent|pct)\d?|takeprofit\w*|stoploss\w*|trail\w*|targets?|oco|bracket"
)
# Said in the negative, these ask for what is done anyway.
MAY_BE_FALSE = frozenset({"reduceonly", "cancel", "postonly", "closeonly"})


def fold_key(key: str) -> str:
    """Return the key in lower case, plain characters, with `-` and spaces as `_`."""
    return re.sub(r"[-\s]+", "_", plain_characters(key).strip().lower())


def canonical_key(key: str) -> str:
    """Return the name of a key we read, however it is cased or separated; "" for any other key."""
    return key if key in _KNOWN.values() else _KNOWN.get(_letters(key), "")


def is_refused(key: str) -> bool:
    return _REFUSED.fullmatch(_letters(key)) is not None


def _letters(key: str) -> str:
    return fold_key(key).replace("_", "")


_KNOWN = {name.replace("_", ""): name for name in (*MANDATORY, *OPTIONAL)}
