"""What each BitMart code means: one table, code -> class, reason and sentence. Callers never see a raw code alone.

The table is the allow-list of proof. A code that is not in it, or an answer without one, proves nothing about the
request and becomes UnreachableError. Codes: https://developer-pro.bitmart.com/en/spot/#error-code and futuresv2.
"""

from dataclasses import dataclass

from apps.connectors.exchange import (
    ClockError,
    CredentialsError,
    DuplicateOrderError,
    ExchangeError,
    NotSupportedError,
    OrderRejectedError,
    RateLimitError,
    RejectReason,
    UnreachableError,
)

OK_CODE = 1000
BALANCE_TEXT = "balance not enough"
LIMITER_PAUSE_S = 2.0
BAN_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Meaning:
    """`reason` is a RejectReason for OrderRejectedError and a credential reason for CredentialsError."""

    error: type[ExchangeError]
    happened: str
    to_do: str
    reason: str = ""
    banned: bool = False

    @property
    def sentence(self) -> str:
        return f"{self.happened} {self.to_do}"


def _rejected(reason: RejectReason, happened: str, to_do: str) -> Meaning:
    return Meaning(OrderRejectedError, happened, to_do, reason)


def _credentials(reason: str, happened: str, to_do: str) -> Meaning:
    return Meaning(CredentialsError, happened, to_do, reason)


_WAIT = "We are checking; do not repeat it by hand."
_UNKNOWN_OUTCOME = Meaning(UnreachableError, "BitMart could not say whether the request was carried out.", _WAIT)
_MAINTENANCE = Meaning(
    UnreachableError, "BitMart is under maintenance and did not say whether the request was carried out.", _WAIT
)
_RETIRED = Meaning(NotSupportedError, "BitMart no longer offers this call. Nothing was traded.", "Please tell support.")
_MALFORMED = _rejected(
    RejectReason.INVALID_REQUEST,
    "BitMart found a fault in the request and did not carry it out.",
    "Check symbol, size and price of the alert.",
)
_BALANCE = _rejected(
    RejectReason.INSUFFICIENT_BALANCE,
    "The balance is too low for this order. Nothing was traded.",
    "Add funds or make the size smaller.",
)
_TOO_SMALL = _rejected(
    RejectReason.BELOW_MINIMUM,
    "The order is smaller than BitMart's minimum for this symbol. Nothing was traded.",
    "Make the size larger.",
)
_TOO_LARGE = _rejected(
    RejectReason.ABOVE_MAXIMUM,
    "The order is larger than BitMart's maximum for this symbol. Nothing was traded.",
    "Make the size smaller.",
)
_PRICE_RANGE = _rejected(
    RejectReason.PRICE_OUT_OF_RANGE,
    "The limit price is outside what BitMart accepts for this symbol now. Nothing was traded.",
    "Use a price nearer the market.",
)
_PRECISION = _rejected(
    RejectReason.PRECISION,
    "Price or size has more decimals than this contract allows. Nothing was traded.",
    "Please tell support.",
)
_OUTSIDE_LIMITS = _rejected(
    RejectReason.INVALID_REQUEST,
    "Price or size is outside the limits of this contract. Nothing was traded.",
    "Change the size or the price.",
)
_NOT_TRADING = _rejected(
    RejectReason.SYMBOL_NOT_TRADING,
    "BitMart does not trade this symbol by API at the moment. Nothing was traded.",
    "Choose another symbol or wait.",
)
_NO_SYMBOL = _rejected(
    RejectReason.UNKNOWN_SYMBOL,
    "BitMart does not know this symbol on this market. Nothing was traded.",
    "Check the ticker in the alert.",
)
_NO_ORDER = _rejected(
    RejectReason.ORDER_UNKNOWN,
    "BitMart does not know this order.",
    "It may have finished or never have existed: look at the order list.",
)
_FINISHED = _rejected(
    RejectReason.ORDER_FINISHED,
    "This order is already filled or cancelled, so there is nothing left to cancel.",
    "Nothing to do.",
)
_WOULD_NOT_MATCH = _rejected(
    RejectReason.WOULD_NOT_MATCH,
    "At this price the order could not be placed as asked (post-only or immediate-or-cancel). Nothing was traded.",
    "Change the price or the order type.",
)
_CONFLICT = _rejected(
    RejectReason.POSITION_CONFLICT,
    "The order does not fit the position that is open in this symbol. Nothing was traded.",
    "Check the position and its margin at BitMart.",
)
_MODE_IN_USE = _rejected(
    RejectReason.POSITION_CONFLICT,
    "The position mode cannot be switched while a position or an order is open. Nothing was changed.",
    "Close all positions and cancel all orders first.",
)
_NO_POSITION = _rejected(
    RejectReason.NO_POSITION,
    "There is no position to close in this symbol. Nothing was traded.",
    "Nothing to do unless you expected a position there.",
)
_LEVERAGE = _rejected(
    RejectReason.LEVERAGE,
    "BitMart refused the leverage: it is outside the limits of this contract, or differs from the open position's. "
    "Nothing was traded.",
    "Set the same leverage as the position, or close it first.",
)
_TRIGGER = _rejected(
    RejectReason.INVALID_REQUEST,
    "BitMart refused the trigger order: there are too many, or its trigger price or lifetime is out of range. "
    "Nothing was placed.",
    "Cancel trigger orders you no longer need, or use a trigger price nearer the market.",
)
_CLIENT_ID = _rejected(
    RejectReason.INVALID_REQUEST,
    "BitMart refused the order's id (letters and digits, at most 32). Nothing was traded.",
    "Please tell support.",
)
_DUPLICATE = Meaning(
    DuplicateOrderError,
    "BitMart already has an order with this id. It was not sent twice;",
    "we are looking it up.",
)
_CLOCK = Meaning(
    ClockError, "BitMart refused the time on the request. Nothing was traded.", "Our clock is being measured again."
)
_TOO_OFTEN = Meaning(
    RateLimitError, "Too many requests to BitMart; this one was refused unread.", "It can be sent again shortly."
)
_BANNED = Meaning(
    RateLimitError,
    "BitMart has shut us out for a while for too many requests. Nothing was traded.",
    "It can be sent again in a minute or later.",
    banned=True,
)
_KEY_UNKNOWN = _credentials(
    "KEY_UNKNOWN", "BitMart does not know this access key. Nothing was traded.", "Paste it again, or make a new key."
)
_KEY_FROZEN = _credentials(
    "KEY_FROZEN", "BitMart has frozen this access key. Nothing was traded.", "Make a new key at BitMart."
)
_KEY_EXPIRED = _credentials(
    "KEY_EXPIRED", "This access key has expired. Nothing was traded.", "Make a new key at BitMart."
)
_SIGNATURE = _credentials(
    "SIGNATURE",
    "BitMart refused the signature: the secret or the memo is wrong, most often cut when pasting. Nothing was traded.",
    "Paste both again.",
)
_ADDRESS = _credentials(
    "ADDRESS",
    "BitMart does not accept this key from our address. Nothing was traded.",
    "Add our addresses to the key's IP list.",
)
_PERMISSION = _credentials(
    "PERMISSION",
    "This key has no permission for that. Nothing was traded.",
    "Allow reading and trading for the market of this connector (never withdrawals) in the key's settings.",
)
_ACCOUNT = _credentials(
    "ACCOUNT",
    "BitMart does not let this account do that (frozen, not verified, or the market is not opened). "
    "Nothing was traded.",
    "Resolve it in the account at BitMart.",
)
_REGION = _credentials(
    "REGION",
    "BitMart does not offer this in the account's country or region. Nothing was traded.",
    "Ask BitMart's support what the account may trade.",
)


def _between(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1))


_TABLE: tuple[tuple[tuple[int, ...], Meaning], ...] = (
    # Gateway
    ((30000, 30030, 30031), _RETIRED),
    ((30001, 30002), _KEY_UNKNOWN),
    ((30003,), _KEY_FROZEN),
    ((30004, 30005), _SIGNATURE),
    ((30006, 30007, 30008), _CLOCK),
    ((30010,), _ADDRESS),
    ((30011,), _KEY_EXPIRED),
    ((30012, 30019), _PERMISSION),
    ((30013,), _TOO_OFTEN),
    ((30014,), _UNKNOWN_OUTCOME),
    ((30016,), _MAINTENANCE),
    ((30017,), _BANNED),
    ((30018,), _MALFORMED),
    # Spot
    ((50000, 50004, 50010, 50011, 50012, *_between(50013, 50018), 50021, 50028, 50033, 50041), _MALFORMED),
    ((50001,), _NO_SYMBOL),
    ((50023, 50040, 51008), _NOT_TRADING),
    ((50005, 50032), _NO_ORDER),
    ((50006, 50009, 50029, *_between(51009, 51015)), _TOO_SMALL),
    ((50007,), _TOO_LARGE),
    ((50008, 50025, 50026, 50027), _PRICE_RANGE),
    ((50020,), _BALANCE),
    ((50022,), _UNKNOWN_OUTCOME),
    ((50030, 50031, 50036), _FINISHED),
    ((50034, 50035), _WOULD_NOT_MATCH),
    ((50037, 50038, 50039), _CLIENT_ID),
    ((50042,), _DUPLICATE),
    (_between(51000, 51007), _MALFORMED),
    (_between(52000, 52004), _MALFORMED),
    ((53000, 53002, 53003, 53005, 53006, 53007, 53009, 53010, 53011), _ACCOUNT),
    ((53001, 53004, 53008), _REGION),
    ((57001, 58001), _MALFORMED),
    (_between(59001, 59011), _UNKNOWN_OUTCOME),
    # Account and transfer
    ((*_between(60000, 60007), *_between(60009, 60012), 61000, 61003), _MALFORMED),
    ((60008, 61001), _BALANCE),
    ((*_between(60020, 60029), *_between(61005, 61008)), _ACCOUNT),
    ((60050, 60051), _UNKNOWN_OUTCOME),
    ((61004,), _DUPLICATE),
    # Public v3
    ((70000, 70001, *_between(71001, 71005)), _MALFORMED),
    ((70002,), _NO_SYMBOL),
    ((70003,), _UNKNOWN_OUTCOME),
    # Futures; 40006 and 40008 are in the older futures page only ("Invalid ip error", "Check nonce error")
    ((40006,), _ADDRESS),
    ((40008,), _CLOCK),
    ((40007, 40010, 40011, 49998, 40038, 40039, 40041, 40042, 40045), _MALFORMED),
    ((40028, *_between(40031, 40033)), _TRIGGER),
    ((40012, 25601), _UNKNOWN_OUTCOME),
    ((40013,), _TOO_OFTEN),
    ((40014, 40015), _NOT_TRADING),
    ((40016, 40017, 40019, 40020, *_between(40022, 40026)), _CONFLICT),
    ((40059,), _MODE_IN_USE),
    ((40018, 40021), _NO_POSITION),
    ((40027, 42000), _BALANCE),
    ((40029, 40030, 40040), _LEVERAGE),
    ((40034,), _NO_SYMBOL),
    ((40035, 40037), _NO_ORDER),
    ((40036,), _FINISHED),
    ((40043,), _PRECISION),
    ((40044,), _OUTSIDE_LIMITS),
    ((40046,), _ACCOUNT),
    ((40047,), _REGION),
    ((40048, 40049), _CLIENT_ID),
    ((40050,), _DUPLICATE),
)

CODES: dict[int, Meaning] = {code: meaning for codes, meaning in _TABLE for code in codes}


# Codes that carry several meanings: what the text says -> what it means. The first text found in the message decides.
BY_TEXT: dict[int, tuple[tuple[str, Meaning], ...]] = {
    40012: ((BALANCE_TEXT, _BALANCE), ("leverage", _LEVERAGE), ("open type", _LEVERAGE), ("open_type", _LEVERAGE)),
    40013: (("client_time", _CLOCK), ("system time", _CLOCK)),
    # Seen during a server upgrade in October 2025, when it said nothing about the position.
    40020: (("upgrad", _MAINTENANCE), ("maintenance", _MAINTENANCE)),
}


def meaning_of(code: int, message: str) -> Meaning | None:
    """Return what a listed code means, told apart by the message's text where the code alone does not say."""
    said = message.lower()
    for words, meaning in BY_TEXT.get(code, ()):
        if words in said:
            return meaning
    return CODES.get(code)


def refusal(code: int | None, *, message: str, http_status: int, pause_s: float | None) -> ExchangeError:
    """Return the error for an answer that is not a success: by code first, then by HTTP status.

    `message` is the venue's text without secrets; `pause_s` is how long it asked us to wait.
    """
    if code is not None and code != OK_CODE:
        meaning = meaning_of(code, message)
        if meaning is not None:
            return _build(meaning, code=code, message=message, http_status=http_status, pause_s=pause_s)
    if http_status in (418, 429) and code != OK_CODE:
        # The gateway's word and not BitMart's: without a code of the table the error names none.
        meaning = _BANNED if http_status == 418 else _TOO_OFTEN
        return _build(meaning, code=None, message="", http_status=http_status, pause_s=pause_s)
    return _no_proof(code, http_status)


def _build(
    meaning: Meaning, *, code: int | None, message: str, http_status: int, pause_s: float | None
) -> ExchangeError:
    number = "" if code is None else str(code)
    sentence = f"{meaning.sentence} (BitMart {number or f'HTTP {http_status}'})"
    if meaning.error is OrderRejectedError:
        if message:
            sentence = f'{sentence} BitMart says: "{message}"'
        return OrderRejectedError(sentence, reason=RejectReason(meaning.reason), code=number, http_status=http_status)
    if meaning.error is CredentialsError:
        return CredentialsError(sentence, reason=meaning.reason, code=number, http_status=http_status)
    if meaning.error is RateLimitError:
        wait = pause_s if pause_s is not None else LIMITER_PAUSE_S
        return RateLimitError(
            sentence,
            code=number,
            http_status=http_status,
            retry_after=max(wait, BAN_PAUSE_S) if meaning.banned else wait,
            banned=meaning.banned,
        )
    return meaning.error(sentence, code=number, http_status=http_status)


NO_PROOF = Meaning(
    UnreachableError,
    "BitMart gave no clear answer ({found}).",
    "Whether the request was carried out is being checked; do not repeat it by hand.",
)


def _no_proof(code: int | None, http_status: int) -> UnreachableError:
    if code is None:
        found = f"HTTP {http_status}, no readable answer"
    elif code == OK_CODE:
        found = f"code {code}, but HTTP {http_status}"
    else:
        found = f"code {code}, which we do not know"
    return UnreachableError(
        NO_PROOF.sentence.format(found=found),
        code="" if code is None else str(code),
        http_status=http_status,
    )
