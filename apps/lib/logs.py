"""Log lines that cannot carry a pointer or a token, whoever wrote them."""

import logging
import re

POINTER_LIKE = re.compile(r"sf_[a-z2-7]{32}|sfk_[0-9a-zA-Z]{20,}", re.IGNORECASE)


def redacted(text: str) -> str:
    return POINTER_LIKE.sub(lambda match: "••••" + match.group()[-4:], text)


class RedactFilter(logging.Filter):
    """Format the message here, so that what was cut stays cut for every formatter."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = redacted(record.getMessage())
        record.args = ()
        return True


class LineFormatter(logging.Formatter):
    """One line an event; tracebacks pass the same cut and show no local values."""

    def formatException(self, ei: object) -> str:
        return redacted(super().formatException(ei))  # type: ignore[arg-type]
