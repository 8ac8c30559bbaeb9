"""Errors, and what each proves about an order that was being sent:

    ExchangeError
    ├── NotSentError            no byte of the request can have been acted on (DNS, refused, TLS)
    │   └── BudgetError         our own limiter kept it back: the venue's request limit is used up
    ├── RateLimitError          refused before it was looked at; may be sent again after `retry_after` seconds
    ├── ClockError              refused for its timestamp; measure the clock, then sign anew
    ├── CredentialsError        key, signature, permission, address or account refused: nothing was placed
    ├── OrderRejectedError      looked at and refused with a listed code: nothing was placed
    ├── DuplicateOrderError     the client order id is known to the venue: the order exists, query it
    ├── NotSupportedError       this venue or market has no such call: nothing was sent
    └── UnreachableError        anything else (time-out, 5xx, HTML, unlisted code): the outcome is unknown

Only UnreachableError and DuplicateOrderError leave an order in doubt. A query that raises is "no news", never "none".
"""

from apps.connectors.exchange.kinds import RejectReason


class ExchangeError(Exception):
    """Base. `sentence` is for the trader; `code` is the venue's own code ("" when it gave none)."""

    def __init__(self, sentence: str, *, code: str = "", http_status: int | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code
        self.http_status = http_status

    @property
    def with_effect(self) -> str:
        """The sentence, and that nothing was traded; most of what is said of a key says so itself."""
        return self.sentence if "Nothing was traded." in self.sentence else f"{self.sentence} Nothing was traded."


class NotSentError(ExchangeError):
    pass


class BudgetError(NotSentError):
    """`retry_after` seconds from now there is room again, if nobody more important takes it."""

    def __init__(self, sentence: str, *, retry_after: float, banned: bool = False) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after
        self.banned = banned


class RateLimitError(ExchangeError):
    def __init__(
        self,
        sentence: str,
        *,
        code: str = "",
        http_status: int | None = None,
        retry_after: float = 2.0,
        banned: bool = False,
    ) -> None:
        super().__init__(sentence, code=code, http_status=http_status)
        self.retry_after = retry_after
        self.banned = banned


class ClockError(ExchangeError):
    pass


class CredentialsError(ExchangeError):
    """`reason` is one of KEY_UNKNOWN, KEY_FROZEN, KEY_EXPIRED, SIGNATURE, PERMISSION, ADDRESS, ACCOUNT, REGION."""

    def __init__(self, sentence: str, *, reason: str, code: str = "", http_status: int | None = None) -> None:
        super().__init__(sentence, code=code, http_status=http_status)
        self.reason = reason

    @property
    def reason_code(self) -> str:
        """As it stands on an alert."""
        return self.reason if self.reason.startswith("KEY_") else f"KEY_{self.reason}"


class OrderRejectedError(ExchangeError):
    def __init__(self, sentence: str, *, reason: RejectReason, code: str = "", http_status: int | None = None) -> None:
        super().__init__(sentence, code=code, http_status=http_status)
        self.reason = reason


class DuplicateOrderError(ExchangeError):
    pass


class NotSupportedError(ExchangeError):
    pass


class UnreachableError(ExchangeError):
    pass
