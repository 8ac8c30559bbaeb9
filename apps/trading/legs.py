"""The words between the planner and the executor: what is held, what was set, what is to be sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from apps.connectors.exchange import Book, Side
from apps.connectors.policies import ExitExcess, Mismatch
from apps.trading.denials import Denial
from apps.trading.signal import PrevPosition


class Intent(StrEnum):
    ENTRY = "entry"
    EXIT = "exit"


@dataclass(frozen=True, slots=True)
class PlanSettings:
    exit_excess: ExitExcess = ExitExcess.REVERSE
    mismatch: Mismatch = Mismatch.CLOSE_ONLY


@dataclass(frozen=True, slots=True)
class Holding:
    """What the exchange holds now, unsigned, in the instrument's quantity units (contracts on futures).

    On spot `long` is the free base balance. Both sides are set only on a hedge account.
    """

    long: Decimal = Decimal(0)
    short: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        if self.long < 0 or self.short < 0:
            raise ValueError(f"a holding is unsigned: {self}")

    def of(self, side: PrevPosition) -> Decimal:
        """Return the size on LONG or SHORT; 0 for FLAT."""
        return {PrevPosition.LONG: self.long, PrevPosition.SHORT: self.short}.get(side, Decimal(0))

    def __add__(self, other: "Holding") -> "Holding":
        return Holding(self.long + other.long, self.short + other.short)


NOTHING = Holding()


@dataclass(frozen=True, slots=True)
class ShadowPosition:
    """The short that a strategy believes in and spot could not sell, in base units; kept per (pointer, ticker)."""

    short: Decimal = Decimal(0)


class NoteCode(StrEnum):
    RESIDUE_DROPPED = "RESIDUE_DROPPED"
    EXCESS_WITHIN_TOLERANCE = "EXCESS_WITHIN_TOLERANCE"
    EXCESS_NOT_OPENED = "EXCESS_NOT_OPENED"
    EXIT_OF_MORE_THAN_HELD = "EXIT_OF_MORE_THAN_HELD"
    OPENING_NOT_SIZED = "OPENING_NOT_SIZED"
    CLAMPED_TO_HELD = "CLAMPED_TO_HELD"
    SHORT_NOT_OPENED = "SHORT_NOT_OPENED"
    SHORT_PART_SUBTRACTED = "SHORT_PART_SUBTRACTED"
    POSITION_MISMATCH = "POSITION_MISMATCH"
    POSITION_GAP = "POSITION_GAP"
    ADDED_TO_HELD = "ADDED_TO_HELD"
    TARGET_USED = "TARGET_USED"
    TARGET_DISREGARDED = "TARGET_DISREGARDED"
    SETUP_KEPT = "SETUP_KEPT"
    PROTECTION_UNUSED = "PROTECTION_UNUSED"
    ADD_ALLOWED = "ADD_ALLOWED"
    CUT_TO_BALANCE = "CUT_TO_BALANCE"
    EXIT_REST_LEFT = "EXIT_REST_LEFT"
    CLOSED_AT_MARKET = "CLOSED_AT_MARKET"


@dataclass(frozen=True, slots=True)
class Note:
    """One thing the planner did or saw that the alert page shows."""

    code: NoteCode
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Leg:
    """One order to be sent. `code` is one lower-case letter and unique in the plan: client order ids derive from it.

    `quantity` is in exchange units, a multiple of the step. `after` names the leg that must be filled first. `is_whole`
    says that the leg closes everything held on its book, so the executor may size it anew from the position. `price`
    (quote, a multiple of the tick) makes it a limit order; None = at the market.
    """

    code: str
    intent: Intent
    side: Side
    book: Book
    quantity: Decimal
    reduce_only: bool
    sentence: str
    after: str | None = None
    is_whole: bool = False
    price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What one signal becomes. Exactly one of `legs`, `denial` and `outcome` says something.

    `denial` refuses (an error the trader sees); `outcome` says why there was nothing to send, which is not an error.
    `claimed` is the alert's previous position (None for close-all), `actual` what was held when the plan was made.
    `shadow_after` is to be stored for the (pointer, ticker) on spot; None there = the strategy's short is not known.
    """

    claimed: PrevPosition | None
    actual: Holding
    legs: tuple[Leg, ...] = ()
    denial: Denial | None = None
    outcome: Denial | None = None
    notes: tuple[Note, ...] = ()
    shadow_after: ShadowPosition | None = None

    def __post_init__(self) -> None:
        if sum((bool(self.legs), self.denial is not None, self.outcome is not None)) != 1:
            raise ValueError("a plan has legs, a denial or an outcome, and only one of them")

    @property
    def outcome_code(self) -> str:
        return self.outcome.code if self.outcome else ""
