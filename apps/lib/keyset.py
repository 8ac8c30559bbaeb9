"""Pages of a list ordered newest first, found by the last row seen instead of by counting."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Model, Q, QuerySet


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended. As text: `<ISO time>_<uuid>`."""

    at: datetime
    pk: uuid.UUID

    def __str__(self) -> str:
        return f"{self.at.isoformat()}_{self.pk}"

    @classmethod
    def read(cls, text: str) -> "Cursor | None":
        """Return the cursor, or None for a text that is none: the list then starts at its newest row."""
        at, _, pk = text.partition("_")
        try:
            moment = datetime.fromisoformat(at)
            # In UTC: Python reads zones that the database refuses.
            return cls(moment.astimezone(UTC), uuid.UUID(pk)) if moment.tzinfo else None
        except (ValueError, OverflowError):
            return None


@dataclass(frozen=True, slots=True)
class KeysetPage:
    """`older` is the text of the next cursor, "" on the last page; `is_first` says that nothing newer was left out."""

    rows: list[Any]
    older: str
    is_first: bool


def page_of(rows: QuerySet[Any], *, field: str, cursor: str, size: int) -> KeysetPage:
    """Return the page after `cursor` of rows ordered by `field` and id, newest first."""
    start = Cursor.read(cursor)
    ordered = rows.order_by(f"-{field}", "-id")
    if start is not None:
        # The first condition repeats what the others imply: it bounds the index scan.
        ordered = ordered.filter(
            Q(**{f"{field}__lte": start.at}) & (Q(**{f"{field}__lt": start.at}) | Q(id__lt=start.pk))
        )
    found = list(ordered[: size + 1])
    shown = found[:size]
    return KeysetPage(shown, _cursor_after(shown[-1], field) if len(found) > size else "", is_first=start is None)


def _cursor_after(row: Model, field: str) -> str:
    return str(Cursor(getattr(row, field), row.pk))
