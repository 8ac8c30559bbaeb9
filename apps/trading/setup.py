"""Leverage and margin mode of an entry: the message's, else the connector's; an open position keeps its own. Pure."""

from dataclasses import dataclass
from decimal import Decimal

from apps.connectors.exchange import Instrument, MarginMode, Market
from apps.connectors.policies import Mismatch
from apps.lib.decimals import normalize_text
from apps.trading.denials import Denial, DenialCode
from apps.trading.legs import Holding, Note, NoteCode
from apps.trading.signal import Signal, SignalKind
from apps.trading.wording import own_side


@dataclass(frozen=True, slots=True)
class Setup:
    """Both None on spot. `notes` says what the message asked for and did not get."""

    leverage: Decimal | None
    margin_mode: MarginMode | None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class SetupFacts:
    """`held_*` are those of the position that is open in the symbol, None when flat. The rest is the connector's.

    `most_leverage` is what a message may ask for; None = no more than `leverage`, which the connector uses by itself.
    """

    leverage: Decimal
    margin_mode: MarginMode
    most_leverage: Decimal | None = None
    held_leverage: Decimal | None = None
    held_margin_mode: MarginMode | None = None


def choose_setup(signal: Signal, *, instrument: Instrument, facts: SetupFacts, is_flat: bool) -> Setup | Denial:
    """Return what an entry is sent with, or why it must not be sent.

    `is_flat`: nothing is open in the symbol when the entry goes out, so that both can be set. That is so for the
    opening half of a reversal too.
    """
    if instrument.market is Market.SPOT:
        return _on_spot(signal, instrument)
    if not is_flat:
        return _kept(signal, facts)
    leverage = signal.leverage or facts.held_leverage or facts.leverage
    denial = _too_high(signal, leverage, instrument=instrument, facts=facts)
    if denial is not None:
        return denial
    return Setup(leverage, signal.margin_mode or facts.held_margin_mode or facts.margin_mode)


def will_be_flat(signal: Signal, *, holding: Holding, mismatch: Mismatch) -> bool:
    """True when nothing is open in the symbol by the time the signal's entry goes out.

    What is held on the opposite side is closed first, except on books of their own and for an entry that is sent as
    written.
    """
    if not holding.long and not holding.short:
        return True
    if signal.kind is not SignalKind.ORDER or signal.hedge or holding.of(own_side(signal)):
        return False
    return signal.is_exit or mismatch is not Mismatch.FOLLOW


def _on_spot(signal: Signal, instrument: Instrument) -> Setup | Denial:
    """Leverage 1 is what spot has; anything else would be ignored there, and is refused instead."""
    if signal.leverage is not None and signal.leverage != 1:
        what = f"leverage {normalize_text(signal.leverage)}x"
        return Denial(DenialCode.SETUP_NOT_ON_SPOT, {"what": what, "key": "leverage", "symbol": instrument.symbol})
    if signal.margin_mode is not None:
        what = f"{signal.margin_mode} margin"
        return Denial(DenialCode.SETUP_NOT_ON_SPOT, {"what": what, "key": "margin_mode", "symbol": instrument.symbol})
    return Setup(None, None)


def _kept(signal: Signal, facts: SetupFacts) -> Setup:
    leverage = facts.held_leverage or facts.leverage
    margin_mode = facts.held_margin_mode or facts.margin_mode
    notes = []
    if signal.leverage is not None and signal.leverage != leverage:
        figures = {"asked": f"{normalize_text(signal.leverage)}x", "kept": f"{normalize_text(leverage)}x"}
        notes.append(Note(NoteCode.SETUP_KEPT, figures))
    if signal.margin_mode is not None and signal.margin_mode is not margin_mode:
        notes.append(
            Note(NoteCode.SETUP_KEPT, {"asked": f"{signal.margin_mode} margin", "kept": f"{margin_mode} margin"})
        )
    return Setup(leverage, margin_mode, tuple(notes))


def _too_high(signal: Signal, leverage: Decimal, *, instrument: Instrument, facts: SetupFacts) -> Denial | None:
    most = facts.leverage if facts.most_leverage is None else facts.most_leverage
    shown = {"found": normalize_text(leverage), "symbol": instrument.symbol}
    if instrument.max_leverage is not None and leverage > instrument.max_leverage:
        return Denial(DenialCode.LEVERAGE_TOO_HIGH, {**shown, "maximum": normalize_text(instrument.max_leverage)})
    if signal.leverage is not None and leverage > most:
        return Denial(DenialCode.LEVERAGE_OVER_LIMIT, {**shown, "maximum": normalize_text(most)})
    return None
