"""How far the exchange's clock is from ours, and whether that is known well enough to open positions."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.connectors.budget import Priority, at_least
from apps.connectors.check import measure_offset_ms
from apps.connectors.exchange import Exchange, ExchangeError
from apps.connectors.models import Connector
from apps.connectors.opening import open_public
from apps.lib import world

FRESH_FOR = timedelta(minutes=5)
JUST_NOW = timedelta(seconds=10)
MOST_OFFSET_MS = 5000


@dataclass(frozen=True, slots=True)
class ClockReading:
    """`offset_ms` is the exchange's clock minus ours; None = never measured."""

    offset_ms: int | None
    measured_at: datetime | None

    def age(self, now: datetime) -> timedelta | None:
        return None if self.measured_at is None else now - self.measured_at

    def is_fresh(self, now: datetime) -> bool:
        age = self.age(now)
        return self.offset_ms is not None and age is not None and age <= FRESH_FOR

    def fault(self, now: datetime) -> str:
        """Say why the clock is not to be trusted; "" when it is."""
        age = self.age(now)
        if self.offset_ms is None or age is None:
            return "it was never measured"
        if age > FRESH_FOR:
            return f"last measured {int(age.total_seconds())} s ago"
        if abs(self.offset_ms) > MOST_OFFSET_MS:
            return f"they differ by {abs(self.offset_ms) / 1000:.1f} s"
        return ""


def reading_of(connector: Connector) -> ClockReading:
    return ClockReading(connector.clock_offset_ms, connector.clock_measured_at)


def fresh_reading(connector: Connector, *, or_raise: bool = False) -> ClockReading:
    """Return a reading to be trusted: the connector's, else one of its venue address, else measured now.

    When the exchange does not answer, the old reading; `or_raise`: its ExchangeError, unless the clocks are known to
    be apart. Asking too often is no reason to turn an entry down that can be tried again in a moment.
    """
    reading = reading_of(connector)
    now = world.now()
    if not reading.fault(now):
        return reading
    told = _told_by_others(connector, now) if abs(reading.offset_ms or 0) <= MOST_OFFSET_MS else None
    if told is None:
        try:
            told = ClockReading(measure_offset_ms(open_public(connector.environment, connector.market)), world.now())
        except ExchangeError:
            if or_raise and abs(reading.offset_ms or 0) <= MOST_OFFSET_MS:
                raise
            return reading
    _keep(connector, told)
    return reading_of(connector)


def measure_again(connector: Connector, exchange: Exchange, *, urgency: Priority) -> None:
    """After the exchange refused the time on a request of that urgency; without an answer the old offset stays.

    What another connector of the address has just measured counts: after our clock was turned all are refused at once.
    """
    now = world.now()
    told = _newest(connector, now, within=JUST_NOW)
    if told is None or told.offset_ms == exchange.clock_offset_ms:
        try:
            with at_least(urgency):
                told = ClockReading(measure_offset_ms(exchange), world.now())
        except ExchangeError:
            return
    _keep(connector, told)
    exchange.clock_offset_ms = told.offset_ms or 0


def _keep(connector: Connector, told: ClockReading) -> None:
    connector.clock_offset_ms, connector.clock_measured_at = told.offset_ms, told.measured_at
    Connector.unscoped.filter(pk=connector.pk).update(
        clock_offset_ms=told.offset_ms, clock_measured_at=told.measured_at
    )


def _told_by_others(connector: Connector, now: datetime) -> ClockReading | None:
    reading = _newest(connector, now, within=FRESH_FOR)
    return reading if reading is not None and not reading.fault(now) else None


def _newest(connector: Connector, now: datetime, *, within: timedelta) -> ClockReading | None:
    """All connectors of a venue address speak to one clock; asking it is rationed for all of them together."""
    others = Connector.unscoped.filter(environment=connector.environment, market=connector.market)
    others = others.filter(clock_measured_at__gt=now - within, clock_measured_at__lte=now)
    row = others.order_by("-clock_measured_at").values_list("clock_offset_ms", "clock_measured_at").first()
    return ClockReading(*row) if row is not None else None
