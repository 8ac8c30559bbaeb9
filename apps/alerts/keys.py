"""The keys of a message: which we read, which we refuse rather than ignore, and how a written key finds its name."""

import re
from collections.abc import Mapping

from apps.alerts.typography import plain_characters

MAX_ID = 64
MAX_LAG_S = 86_400
MAX_LEVERAGE = 200

MANDATORY = ("ticker", "action", "prev_position", "quantity", "pointer")
MANDATORY_FOR_THE_SYMBOL = ("ticker", "pointer")
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
    "limit_price",
    "quantity_type",
    "leverage",
    "margin_mode",
    "reduce_only",
    "cancel",
    "take_profit",
    "take_profit_price",
    "take_profit_percent",
    "stop_loss",
    "stop_loss_price",
    "stop_loss_percent",
    "trailing_stop",
    "trailing_stop_percent",
)
NUMERIC = frozenset(
    {
        "quantity",
        "market_position_size",
        "prev_market_position_size",
        "signal_price",
        "max_lag",
        "limit_price",
        "leverage",
        "take_profit_price",
        "take_profit_percent",
        "stop_loss_price",
        "stop_loss_percent",
        "trailing_stop_percent",
    }
)

# A number here is read as it is written: an id of 1e-05 is not the id 0.00001.
TEXTS = frozenset({*MANDATORY, *OPTIONAL}) - NUMERIC

# Read, but not carried out yet: refused by name unless they ask for what is done anyway. Whoever executes one takes it
# out here; the flat spellings go with their key.
NOT_EXECUTED: frozenset[str] = frozenset()
# The value that asks for what is done without the key.
NEUTRAL: Mapping[str, frozenset[str]] = {
    "order_type": frozenset({"market"}),
    "quantity_type": frozenset({"base"}),
    "reduce_only": frozenset({"false", "0"}),
    "cancel": frozenset({"false", "0"}),
}

ACCEPTED: Mapping[str, str] = {
    "ticker": "a pair name such as BTCUSDT",
    "action": "buy or sell",
    "prev_position": "flat, long or short",
    "quantity": "a number above 0, such as 0.5",
    "pointer": "the pointer from the connector's page",
    "closeall": '"true"',
    "hedgemode": "hedge",
    "market_position": "flat, long or short",
    "prev_market_position": "flat, long or short",
    "market_position_size": "a number, 0 or above",
    "prev_market_position_size": "a number, 0 or above",
    "time": "a UTC time like 2026-01-31T15:04:05Z",
    "signal_price": "a price above 0",
    "max_lag": f"whole seconds, 1 to {MAX_LAG_S}",
    "id": f"1 to {MAX_ID} printable characters",
    "test": "true or false",
    "order_type": "market or limit",
    "limit_price": "a price above 0",
    "quantity_type": "base, contracts, quote, margin, percent_equity, percent_balance, percent_position, risk_percent",
    "leverage": f"a whole number, 1 to {MAX_LEVERAGE}",
    "margin_mode": "cross or isolated",
    "reduce_only": "true or false",
    "cancel": "true or false",
    "take_profit": '{"price": 70000} or {"percent": 5}, or a list of them with weights',
    "take_profit_price": "a price above 0",
    "take_profit_percent": "a percentage above 0, such as 2 for two per cent",
    "stop_loss": '{"price": 60000} or {"percent": 2}',
    "stop_loss_price": "a price above 0",
    "stop_loss_percent": "a percentage above 0, such as 2 for two per cent",
    "trailing_stop": '{"percent": 1.5}, with "activation" if it starts later',
    "trailing_stop_percent": "a percentage above 0, such as 2 for two per cent",
    "price": "a price above 0",
    "percent": "a percentage above 0, such as 2 for two per cent",
    "weight": "a share above 0, all of them adding up to 1 (or to 100)",
    "activation": '{"price": 70000} or {"percent": 3}',
}

# Each changes what an order does: a message that carries one must not run as if it did not.
_REFUSED = re.compile(
    r"(?:limit|stop|trigger|activation)?price|stop|limit|leverage|marginmode|margintype|reduceonly|closeonly|postonly|"
    r"timeinforce|tif|cancel\w*|(?:sl|tp)(?:\d{0,2}|price|percent|pct)\d?|takeprofit\w*|stoploss\w*|trail\w*|targets?|oco|bracket|"
    r"(?:size|amount|amountpertrade)type|(?:qty|quantity|size|amount)(?:percent|pct)|risk(?:percent|pct)|"
    r"dryrun|istest|testmode|testonly|testorder|papertrade|papertrading|simulate|validateonly"
)
# Said in the negative, these ask for what is done anyway.
MAY_BE_FALSE = frozenset(
    {
        *("postonly", "dryrun", "istest", "testmode", "testonly", "testorder"),
        *("papertrade", "papertrading", "simulate", "validateonly"),
    }
)
# What other products call a key that we read, where the word has one meaning.
_ALIASES = {
    "qtytype": "quantity_type",
    "price": "limit_price",
    "margintype": "margin_mode",
    "closeonly": "reduce_only",
    "cancelorders": "cancel",
    "cancelopenorders": "cancel",
    "tp": "take_profit",
    "tpprice": "take_profit_price",
    "tppercent": "take_profit_percent",
    "tppct": "take_profit_percent",
    "takeprofitpct": "take_profit_percent",
    "sl": "stop_loss",
    "slprice": "stop_loss_price",
    "slpercent": "stop_loss_percent",
    "slpct": "stop_loss_percent",
    "stoplosspct": "stop_loss_percent",
    "trailingstoppct": "trailing_stop_percent",
    "trailingpercent": "trailing_stop_percent",
    "trailpercent": "trailing_stop_percent",
}


def fold_key(key: str) -> str:
    """Return the key in lower case, plain characters, with `-` and spaces as `_`."""
    return _BETWEEN.sub("_", plain_characters(key).strip().lower())


def canonical_key(key: str) -> str:
    """Return the name of a key we read, however it is cased, separated or called elsewhere; "" for any other key."""
    return key if key in _NAMES else _KNOWN.get(letters_of(key), "")


def option_of(name: str) -> str:
    """Return the option that a key belongs to: `stop_loss` for `stop_loss_price`."""
    return _OPTIONS.get(name, name)


def aliases_of(name: str) -> list[str]:
    return sorted(alias for alias, meant in _ALIASES.items() if meant == name)


def is_refused(key: str) -> bool:
    return _REFUSED.fullmatch(letters_of(key)) is not None


def letters_of(key: str) -> str:
    return fold_key(key).replace("_", "")


_BETWEEN = re.compile(r"[-\s]+")
_OPTIONS = {
    f"{option}_{unit}": option
    for option in ("take_profit", "stop_loss", "trailing_stop")
    for unit in ("price", "percent")
}
_NAMES = frozenset({*MANDATORY, *OPTIONAL})
_KNOWN = {**_ALIASES, **{name.replace("_", ""): name for name in _NAMES}}
