"""The error table as a page for people: docs/bitmart-errors.md is this module's output.

python -m apps.connectors.bitmart.error_table > docs/bitmart-errors.md
"""

import sys

from apps.connectors.bitmart.errors import BY_TEXT, CODES, NO_PROOF, Meaning
from apps.connectors.exchange import (
    ClockError,
    CredentialsError,
    DuplicateOrderError,
    ExchangeError,
    NotSupportedError,
    OrderRejectedError,
    RateLimitError,
    UnreachableError,
)

# What a class proves about an order that was being sent.
PROOF: dict[type[ExchangeError], str] = {
    OrderRejectedError: "rejected",
    CredentialsError: "rejected",
    NotSupportedError: "rejected",
    RateLimitError: "refused unread, may be sent again",
    ClockError: "refused unread, may be sent again",
    DuplicateOrderError: "exists, is looked up",
    UnreachableError: "unknown, is looked up",
}
_GROUPS = (
    ("Gateway", 30000, 30999),
    ("Spot", 50000, 59999),
    ("Account and transfer", 60000, 69999),
    ("Public market data", 70000, 79999),
    ("Futures", 1, 29999),
    ("Futures", 40000, 49999),
)
_HEADER = """# BitMart's error codes

Made from `apps/connectors/bitmart/errors.py`, and compared with it by a test: change the code, then run
`python -m apps.connectors.bitmart.error_table > docs/bitmart-errors.md`.

An answer is judged by its code, then by its HTTP status. **Outcome** is what it proves about an order that was being
sent. Only a code of this page proves that nothing was traded: everything else leaves the order unknown, and unknown
orders are looked up, never sent again. A code that speaks of an existing order (ORDER_UNKNOWN, ORDER_FINISHED) is no
verdict on a new one, and a refused batch of several orders is none on each of them.
"""
_WITHOUT_CODE = (
    ("HTTP 429 without a listed code", RateLimitError, "the gateway's own refusal; an order is looked up"),
    ("HTTP 418 without a listed code", RateLimitError, "everything from our address stops for 60 s or longer"),
    ("HTTP 403 with an HTML page", UnreachableError, "as above: the gateway turns our address away for 60 s"),
    ("any other HTML page, truncated or other unreadable JSON", UnreachableError, "unknown, is looked up"),
    ("a code that is not on this page", UnreachableError, "unknown, is looked up"),
    ("code 1000 with an HTTP status of 400 or more", UnreachableError, "unknown, is looked up"),
    ("code 1000 without an order id, to a submitted order", UnreachableError, "unknown, is looked up"),
    ("an order state that we do not know", None, "the order stays as it was and is asked for again"),
)


def markdown() -> str:
    lines = [_HEADER]
    groups: dict[str, list[str]] = {}
    for name, first, last in _GROUPS:
        rows = groups.setdefault(name, [])
        for code in sorted(code for code in CODES if first <= code <= last):
            rows += [_row(f"{code}, text has “{words}”", meaning) for words, meaning in BY_TEXT.get(code, ())]
            rows.append(_row(str(code), CODES[code]))
    for name, rows in groups.items():
        lines += [
            f"## {name}\n",
            "| code | class | reason | outcome | what happened | what to do |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    lines += ["## Answers without a code of ours\n", "| answer | class | outcome |", "|---|---|---|"]
    lines += [f"| {answer} | {kind.__name__ if kind else '—'} | {outcome} |" for answer, kind, outcome in _WITHOUT_CODE]
    return "\n".join([*lines, "", f"The trader is told: “{NO_PROOF.sentence.format(found='what was found')}”", ""])


def _row(code: str, meaning: Meaning) -> str:
    kind = meaning.error.__name__ + (" (banned)" if meaning.banned else "")
    return (
        f"| {code} | {kind} | {meaning.reason or '—'} | {PROOF[meaning.error]} | {meaning.happened} | {meaning.to_do} |"
    )


if __name__ == "__main__":
    sys.stdout.write(markdown())
