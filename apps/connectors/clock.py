"""How far the exchange's clock is from ours, and whether that is known well enough to open positions."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.connectors.check import measure_offset_ms
from apps.connectors.exchange import ExchangeError
from apps.connectors.models import Connector
from apps.connectors.opening import open_public
from apps.lib import world

FRESH_FOR = timedelta(minutes=5)
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


def fresh_reading(connector: Connector) -> ClockReading:
    """Return the connector's reading, measured now when the last one is too old or too far off to be trusted.

    When the exchange does not answer, the old reading.
    """
    reading = reading_of(connector)
    if not reading.fault(world.now()):
        return reading
    try:
        offset = measure_offset_ms(open_public(connector.environment, connector.market))
    except ExchangeError:
        return reading
    connector.clock_offset_ms, connector.clock_measured_at = offset, world.now()
    Connector.unscoped.filter(pk=connector.pk).update(
        clock_offset_ms=offset, clock_measured_at=connector.clock_measured_at
    )
    return reading_of(connector)
