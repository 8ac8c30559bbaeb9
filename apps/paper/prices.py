"""The moving price: a pure function of seed, symbol and time, so nothing has to tick and a restart loses nothing.

The path is a sum of value noise at nine periods, from a second to a week, in whole billionths of the level.
"""

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from apps.paper.amounts import ceil_to, floor_to, nearest_to
from apps.paper.instruments import Catalogue, Coin, FuturesInstrument, SpotInstrument
from apps.paper.recording import Recording
from apps.paper.records import PricePin
from apps.paper.store import Store

STEP_MS = 250
DAY_MS = 86_400_000

# (period in steps, amplitude in billionths of the level)
_OCTAVES = (
    (4, 150_000),
    (16, 250_000),
    (64, 400_000),
    (256, 700_000),
    (1_200, 1_500_000),
    (7_200, 3_000_000),
    (57_600, 8_000_000),
    (345_600, 20_000_000),
    (2_419_200, 45_000_000),
)
_BASIS = (120, 60_000)
_HALF_SPREAD = Decimal("0.0001")
_UNIT = 1_000_000_000
_NODE = 1_000_000


@dataclass(frozen=True, slots=True)
class Quote:
    last: Decimal
    bid: Decimal
    ask: Decimal
    mark: Decimal
    index: Decimal


@lru_cache(maxsize=400_000)
def _node(seed: int, name: str, place: int) -> int:
    digest = hashlib.blake2b(f"{seed}/{name}/{place}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % (2 * _NODE + 1) - _NODE


def _noise(seed: int, name: str, step: int, period: int, amplitude: int) -> int:
    place, part = divmod(step, period)
    left = _node(seed, name, place)
    right = _node(seed, name, place + 1)
    return amplitude * (left * period + (right - left) * part) // (period * _NODE)


def noise(seed: int, name: str, place: int) -> int:
    """Return the same whole number in -1,000,000..1,000,000 for the same seed, name and place."""
    return _node(seed, name, place)


@lru_cache(maxsize=20_000)
def _octave_names(currency: str) -> tuple[tuple[str, int, int], ...]:
    return tuple((f"{currency}/{period}", period, amplitude) for period, amplitude in _OCTAVES)


class Prices:
    def __init__(
        self, store: Store, catalogue: Catalogue, *, seed: int, now_ms: int, recording: Recording | None = None
    ) -> None:
        """Take seed and start from the store when it has them: a restart continues the path it was on.

        Symbols of a recording follow it, its first price being that of the start.
        """
        self._store = store
        self._catalogue = catalogue
        self._recording = recording or Recording({})
        with store.transaction():
            if store.setting("seed") is None:
                store.set_setting("seed", str(seed))
                store.set_setting("epoch_ms", str(now_ms))
        self.seed = int(store.setting("seed") or seed)
        self.epoch_ms = int(store.setting("epoch_ms") or now_ms)
        self._pins = {pin.symbol: pin for pin in store.find(PricePin)}
        # The number of the latest change of a held price, by symbol.
        self.changes: dict[str, int] = {}
        self._step = -1
        self._quotes: dict[str, Quote] = {}

    def pin(self, pin: PricePin) -> None:
        self._store.save(pin)
        self._pins[pin.symbol] = pin
        self._changed(pin.symbol)

    def pinned(self, symbol: str) -> PricePin | None:
        return self._pins.get(symbol)

    def release(self, symbol: str) -> None:
        pin = self._pins.pop(symbol, None)
        self._changed(symbol)
        if pin is not None:
            self._store.delete(pin)

    def _changed(self, symbol: str) -> None:
        self._quotes.pop(symbol, None)
        self.changes.pop(symbol, None)
        self.changes[symbol] = max(self.changes.values(), default=0) + 1

    def path(self, symbol: str, at_ms: int) -> Decimal:
        """Return the unpinned last price at any time, past or future, on the instrument's tick."""
        instrument = self._instrument(symbol)
        return max(nearest_to(self._raw(instrument, at_ms), instrument.tick), instrument.tick)

    def mark_path(self, symbol: str, at_ms: int) -> Decimal:
        """Return the unpinned mark price at any time, on the instrument's tick."""
        instrument = self._instrument(symbol)
        return max(nearest_to(self._index(instrument, at_ms), instrument.tick), instrument.tick)

    def quote(self, symbol: str, at_ms: int) -> Quote:
        """Return the prices of the step that holds `at_ms`."""
        step = at_ms // STEP_MS
        if step != self._step:
            self._step = step
            self._quotes.clear()
        found = self._quotes.get(symbol)
        if found is None:
            found = self._quotes[symbol] = self._make_quote(symbol, at_ms)
        return found

    def _make_quote(self, symbol: str, at_ms: int) -> Quote:
        pin = self._pins.get(symbol)
        if pin is not None and pin.price:
            return _pinned_quote(pin)
        instrument = self._instrument(symbol)
        raw = self._raw(instrument, at_ms)
        tick = instrument.tick
        last = max(nearest_to(raw, tick), tick)
        bid = max(floor_to(raw * (1 - _HALF_SPREAD), tick), tick)
        ask = max(ceil_to(raw * (1 + _HALF_SPREAD), tick), bid + tick)
        index = self._index(instrument, at_ms)
        return Quote(last=last, bid=bid, ask=ask, mark=max(nearest_to(index, tick), tick), index=index)

    def _instrument(self, symbol: str) -> SpotInstrument | FuturesInstrument:
        return self._catalogue.spot.get(symbol) or self._catalogue.futures[symbol]

    def _raw(self, instrument: SpotInstrument | FuturesInstrument, at_ms: int) -> Decimal:
        index = self._index(instrument, at_ms)
        if isinstance(instrument, SpotInstrument) or self._recording.has(instrument.symbol):
            return index
        step = (at_ms - self.epoch_ms) // STEP_MS
        period, amplitude = _BASIS
        basis = _noise(self.seed, f"{instrument.symbol}/basis", step, period, amplitude)
        return index * (_UNIT + basis) / _UNIT

    def _index(self, instrument: SpotInstrument | FuturesInstrument, at_ms: int) -> Decimal:
        raw = self._recording.price(instrument.symbol, at_ms - self.epoch_ms)
        if raw is None:
            raw = self._walk(instrument.base, (at_ms - self.epoch_ms) // STEP_MS)
        pin = self._pins.get(instrument.symbol)
        return raw if pin is None else raw * pin.factor

    def _walk(self, base: Coin, step: int) -> Decimal:
        offset = 0
        for name, period, amplitude in _octave_names(base.currency):
            offset += _noise(self.seed, name, step, period, amplitude)
        return base.level * (_UNIT + offset) / _UNIT


def _pinned_quote(pin: PricePin) -> Quote:
    last = Decimal(pin.price)
    mark = Decimal(pin.mark or pin.price)
    return Quote(last=last, bid=Decimal(pin.bid or pin.price), ask=Decimal(pin.ask or pin.price), mark=mark, index=mark)
