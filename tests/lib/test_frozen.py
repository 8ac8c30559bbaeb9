"""What is frozen comes back as it was, to the last digit; what cannot is refused."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import pytest

from apps.lib.frozen import ThawError, freeze, thaw


class Side(StrEnum):
    BUY = "buy"


@dataclass(frozen=True)
class Part:
    size: Decimal
    side: Side | None = None


@dataclass(frozen=True)
class Whole:
    at: datetime
    id: UUID
    parts: tuple[Part, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    wait: timedelta = timedelta(0)
    is_late: bool = False
    count: int | None = None


WHOLE = Whole(
    at=datetime(2026, 11, 27, 22, 30, 0, 123456, tzinfo=UTC),
    id=UUID(int=5),
    parts=(Part(Decimal("0.100000000000000001"), Side.BUY), Part(Decimal("1E+3"))),
    facts={"held": "1"},
    wait=timedelta(hours=24, microseconds=1),
    is_late=True,
    count=7,
)


def test_everything_comes_back_through_json() -> None:
    written = json.dumps(freeze(WHOLE))

    assert thaw(Whole, json.loads(written)) == WHOLE
    assert '"size": "0.100000000000000001"' in written


def test_defaults_are_written_too() -> None:
    assert freeze(Part(Decimal(1))) == {"size": "1", "side": None}


def test_what_a_later_release_added_takes_its_default() -> None:
    data = freeze(WHOLE)
    del data["count"], data["facts"]

    assert thaw(Whole, data).count is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"side": "buy"}, "Part without size"),
        ({"size": 1}, "int in place of str"),
        ({"size": "one"}, "Part: "),
        ({"size": "1", "side": "hold"}, "'hold' is not a valid Side"),
        (None, "Part: "),
    ],
)
def test_what_does_not_fit_is_not_guessed(data: object, said: str) -> None:
    with pytest.raises(ThawError, match=said):
        thaw(Part, data)


def test_a_float_is_no_figure() -> None:
    with pytest.raises(TypeError, match="float"):
        freeze(Part(0.1))  # type: ignore[arg-type]
