"""Every reason why a delivery, or one message in it, does not become a signal, with what the sender can do about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from apps.alerts.display import showable

# The longest fact is the cause of an unreplaced placeholder.
MAX_FACT = 400


class Reason(StrEnum):
    NOT_A_TRADE = "NOT_A_TRADE"
    BAD_JSON = "BAD_JSON"
    STRICT_JSON = "STRICT_JSON"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    TOO_MANY_MESSAGES = "TOO_MANY_MESSAGES"
    TOO_MANY_KEYS = "TOO_MANY_KEYS"
    TOO_DEEP = "TOO_DEEP"
    VALUE_TOO_LONG = "VALUE_TOO_LONG"
    DUPLICATE_KEY = "DUPLICATE_KEY"
    PLACEHOLDER = "PLACEHOLDER"
    MISSING_FIELD = "MISSING_FIELD"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    POINTER_UNREADABLE = "POINTER_UNREADABLE"
    NULL_VALUE = "NULL_VALUE"
    EMPTY_VALUE = "EMPTY_VALUE"
    BAD_VALUE = "BAD_VALUE"
    UNKNOWN_ACTION = "UNKNOWN_ACTION"
    UNKNOWN_POSITION = "UNKNOWN_POSITION"
    UNKNOWN_HEDGEMODE = "UNKNOWN_HEDGEMODE"
    UNKNOWN_CLOSEALL = "UNKNOWN_CLOSEALL"
    CONTRADICTION = "CONTRADICTION"
    LIMIT_WITHOUT_PRICE = "LIMIT_WITHOUT_PRICE"
    PRICE_WITHOUT_LIMIT = "PRICE_WITHOUT_LIMIT"
    PERCENT_OF_WHAT = "PERCENT_OF_WHAT"
    RISK_WITHOUT_STOP = "RISK_WITHOUT_STOP"
    RISK_ON_EXIT = "RISK_ON_EXIT"
    PRICE_OR_PERCENT = "PRICE_OR_PERCENT"
    BAD_WEIGHTS = "BAD_WEIGHTS"
    WRONG_SIDE = "WRONG_SIDE"
    NOT_A_NUMBER = "NOT_A_NUMBER"
    INFINITE = "INFINITE"
    ZERO = "ZERO"
    NEGATIVE = "NEGATIVE"
    AMBIGUOUS_COMMA = "AMBIGUOUS_COMMA"
    HAS_UNIT = "HAS_UNIT"
    UNREADABLE_NUMBER = "UNREADABLE_NUMBER"
    NUMBER_OUT_OF_RANGE = "NUMBER_OUT_OF_RANGE"
    UNREADABLE_TIME = "UNREADABLE_TIME"


# `{name}` is filled from the refusal's facts.
SENTENCES: Mapping[Reason, str] = {
    Reason.NOT_A_TRADE: (
        "This text is not a trade message, so nothing was traded. If it should be one, paste the whole "
        "message from the connector's page into the alert."
    ),
    Reason.BAD_JSON: (
        "The message cannot be read as JSON at line {line}, column {column}, near {found}. Copy the message "
        "from the connector's page again and change only what stands between the quotes."
    ),
    Reason.STRICT_JSON: (
        "The message needs repair ({repairs}) and this connector accepts strict JSON only. Correct the "
        "message, or turn 'Strict JSON' off on the connector."
    ),
    Reason.BODY_TOO_LARGE: (
        "The message has {found} bytes; at most {accepted} are read. Send only the keys a trade needs."
    ),
    Reason.TOO_MANY_MESSAGES: (
        "This delivery holds {found} messages, more than {accepted}, so none was run. Split it into several alerts."
    ),
    Reason.TOO_MANY_KEYS: (
        "The message has {found} keys; at most {accepted} are read. Send only the keys a trade needs."
    ),
    Reason.TOO_DEEP: "The message is nested deeper than {accepted} levels. Send one flat object of keys and values.",
    Reason.VALUE_TOO_LONG: "'{field}' is {found} bytes long; at most {accepted} are read. Shorten it.",
    Reason.DUPLICATE_KEY: (
        "'{field}' stands more than once in the message, so it is not clear which one counts. Keep one."
    ),
    Reason.PLACEHOLDER: "{found} arrived as written instead of being replaced. {cause}",
    Reason.MISSING_FIELD: "The message has no {missing}. Add it: copy the message from the connector's page again.",
    Reason.NOT_SUPPORTED: (
        "'{field}' is not supported yet, and ignoring it could cost money, so nothing was traded. Remove "
        "'{field}' from the message; accepted: {accepted}."
    ),
    Reason.POINTER_UNREADABLE: (
        "The value of 'pointer' is not one of your pointers. Copy the pointer from the connector's page and "
        "paste it between the quotes."
    ),
    Reason.NULL_VALUE: "'{field}' is null: the script had no value for it. Send {accepted}.",
    Reason.EMPTY_VALUE: "'{field}' is empty: the placeholder in it had no value. Send {accepted}.",
    Reason.BAD_VALUE: "'{field}' is {found}; accepted: {accepted}. Correct it in the alert's message.",
    Reason.UNKNOWN_ACTION: (
        "'action' is {found}; accepted: buy or sell. Use {{{{strategy.order.action}}}} in a strategy, or type"
        " buy or sell."
    ),
    Reason.UNKNOWN_POSITION: (
        "'{field}' is {found}; accepted: flat, long or short. A position that is not known is never taken for"
        " flat. Use the placeholder {placeholder}, or type one of the three."
    ),
    Reason.UNKNOWN_HEDGEMODE: (
        "'hedgemode' is {found}; accepted: hedge. Remove the key to trade one position per symbol."
    ),
    Reason.UNKNOWN_CLOSEALL: (
        "'closeall' is {found}; accepted: \"true\". Remove the key when the message is not meant to close everything."
    ),
    Reason.CONTRADICTION: (
        "'{field}' says {found} but '{other}' says {other_found}. Take both from TradingView's placeholders, "
        "or leave one out."
    ),
    Reason.LIMIT_WITHOUT_PRICE: (
        "'order_type' is limit, but the message has no 'limit_price'. Add it ({accepted}), or trade at market."
    ),
    Reason.PRICE_WITHOUT_LIMIT: (
        "'limit_price' is {found}, but the order is a market order, which takes the price it gets. Add {accepted}, "
        "or call the key 'signal_price' when it only tells what the chart showed."
    ),
    Reason.PERCENT_OF_WHAT: (
        "'quantity' is {found}: a percentage, but not of what. Add 'quantity_type': percent_equity, percent_balance, "
        "percent_position or risk_percent."
    ),
    Reason.RISK_WITHOUT_STOP: (
        "'quantity_type' is risk_percent, which is what the stop loss may cost, but the message has no 'stop_loss'. "
        "Add {accepted}, or size the order another way."
    ),
    Reason.RISK_ON_EXIT: (
        "'quantity_type' is risk_percent, which sizes a new position, but this message closes one. Add "
        "'market_position', which says what is left, or use percent_position (100 closes all of it)."
    ),
    Reason.PRICE_OR_PERCENT: (
        "'{field}' does not say one thing, price or percentage (found: {found}). Write {accepted}."
    ),
    Reason.BAD_WEIGHTS: (
        "The weights of 'take_profit' are {found}; accepted: {accepted}. Give every target its share of the position."
    ),
    Reason.WRONG_SIDE: (
        "'{field}' is {found} while '{other}' is {other_found}: it would be reached at once or never. Send {accepted}."
    ),
    Reason.NOT_A_NUMBER: (
        "'{field}' is {found}: the script computed na. Check the script's size on this bar; send {accepted}."
    ),
    Reason.INFINITE: "'{field}' is infinite: the script divided by zero. Send {accepted}.",
    Reason.ZERO: "'{field}' is 0, so there is nothing to trade. Check the size in the strategy; send {accepted}.",
    Reason.NEGATIVE: "'{field}' is {found}; the side is in 'action', so sizes carry no sign. Send {accepted}.",
    Reason.AMBIGUOUS_COMMA: (
        "'{field}' is {found}: the comma can mean thousands or decimals. Write decimals with a point, as in 0.5."
    ),
    Reason.HAS_UNIT: ("'{field}' is {found}: a number with a unit. Send the number alone: {accepted}."),
    Reason.UNREADABLE_NUMBER: "'{field}' is {found}, not a number. Send {accepted}.",
    Reason.NUMBER_OUT_OF_RANGE: (
        "'{field}' is {found}, outside what is accepted ({accepted}). Check the number in the strategy."
    ),
    Reason.UNREADABLE_TIME: (
        "'{field}' is {found}; accepted: a UTC time like 2026-01-31T15:04:05Z. Use the placeholder {{{{timenow}}}}."
    ),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one message does not run. All texts are safe to store and to show: printable, short, no pointer."""

    code: Reason
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        return SENTENCES[self.code].format(**self.facts)

    def __str__(self) -> str:
        listed = ", ".join(f"{name}={value}" for name, value in self.facts.items())
        return f"{self.code}: {listed}" if listed else str(self.code)


class PayloadError(Exception):
    """Carries a Refusal out of the readers; `payload.parse` turns it into an item."""

    def __init__(self, code: Reason, **facts: str) -> None:
        self.refusal = Refusal(code, {name: showable(value, MAX_FACT) for name, value in facts.items()})
        super().__init__(str(self.refusal))
