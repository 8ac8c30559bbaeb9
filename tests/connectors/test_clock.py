"""When the exchange's clock is known well enough to open positions."""

from datetime import UTC, datetime, timedelta

import pytest
import requests
from django.utils import timezone

from apps.connectors import clock
from apps.connectors.bitmart import client, open_exchange, transport
from apps.connectors.budget import Budget, Slot
from apps.connectors.budget_windows import Bucket, LocalWindows
from apps.connectors.check import measure_offset_ms
from apps.connectors.clock import ClockReading, fresh_reading
from apps.connectors.exchange import Market, UnreachableError
from apps.connectors.models import Connector
from apps.lib import world
from tests.factories import ConnectorFactory

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("offset_ms", "age_s", "fault"),
    [
        (None, None, "it was never measured"),
        (3, None, "it was never measured"),
        (None, 1, "it was never measured"),
        (0, 0, ""),
        (-5000, 300, ""),
        (5000, 300, ""),
        (0, 301, "last measured 301 s ago"),
        (5001, 0, "they differ by 5.0 s"),
        (-61000, 0, "they differ by 61.0 s"),
    ],
)
def test_a_reading_is_trusted_when_fresh_and_small(offset_ms: int | None, age_s: int | None, fault: str) -> None:
    measured_at = None if age_s is None else NOW - timedelta(seconds=age_s)

    reading = ClockReading(offset_ms, measured_at)

    assert reading.fault(NOW) == fault
    assert reading.age(NOW) == (None if age_s is None else timedelta(seconds=age_s))


class Venue:
    """A transport to an exchange whose clock is 500 ms ahead; an answer takes 40 ms, and the first try none comes."""

    def __init__(self) -> None:
        self.our_ms, self.tries = 1_760_000_000_000, 0

    def send(self, request: requests.PreparedRequest) -> transport.RawAnswer:
        self.tries += 1
        self.our_ms += 20
        told = self.our_ms + 500
        self.our_ms += 20
        if self.tries == 1:
            raise UnreachableError("no answer")
        return transport.RawAnswer(200, {}, b'{"code":1000,"data":{"server_time":%d}}' % told)

    def close(self) -> None: ...

    def wait(self, seconds: float) -> None:
        self.our_ms += int(seconds * 1000)


class Queue(Budget):
    """A budget that is used up: each request has to wait three seconds."""

    def __init__(self, venue: Venue) -> None:
        super().__init__(LocalWindows(), None)
        self._venue = venue

    def admit(self, bucket: Bucket, *, address: str) -> Slot:
        self._venue.wait(3)
        return super().admit(bucket, address=address)


@pytest.mark.parametrize("market", list(Market))
def test_waiting_for_a_turn_and_a_try_that_failed_are_no_part_of_the_round_trip(
    monkeypatch: pytest.MonkeyPatch, market: Market
) -> None:
    venue = Venue()
    monkeypatch.setattr(world, "now_ms", lambda: venue.our_ms)
    monkeypatch.setattr(client, "RETRY_PAUSES_S", (0.001, 0.001))
    with transport.replaced(lambda: venue):
        exchange = open_exchange(
            market=market, base_url="http://127.0.0.1:1", credentials=None, user_agent="t/1", budget=Queue(venue)
        )

    assert measure_offset_ms(exchange) == 500
    assert venue.tries == 6


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the next measurements find; an empty list = the exchange does not answer."""
    found: list[int] = []

    def measure(_: object) -> int:
        if not found:
            raise UnreachableError("no answer")
        return found.pop(0)

    monkeypatch.setattr(clock, "measure_offset_ms", measure)
    return found


@pytest.mark.django_db
def test_a_trusted_reading_is_not_measured_again(measured: list[int]) -> None:
    connector = ConnectorFactory(clock_offset_ms=12, clock_measured_at=timezone.now())

    assert fresh_reading(connector).offset_ms == 12


@pytest.mark.django_db
@pytest.mark.parametrize(("offset_ms", "age_s"), [(None, None), (12, 600), (70_000, 1)])
def test_a_reading_that_is_not_trusted_is_measured_anew_and_kept(
    offset_ms: int | None, age_s: int | None, measured: list[int]
) -> None:
    measured_at = None if age_s is None else timezone.now() - timedelta(seconds=age_s)
    connector = ConnectorFactory(clock_offset_ms=offset_ms, clock_measured_at=measured_at)
    measured.append(-40)

    reading = fresh_reading(connector)

    assert (reading.offset_ms, reading.fault(timezone.now())) == (-40, "")
    assert clock.reading_of(Connector.unscoped.get(pk=connector.pk)) == reading


@pytest.mark.django_db
def test_an_exchange_that_does_not_answer_leaves_the_old_reading(measured: list[int]) -> None:
    measured_at = timezone.now() - timedelta(seconds=600)
    connector = ConnectorFactory(clock_offset_ms=12, clock_measured_at=measured_at)

    reading = fresh_reading(connector)

    assert reading == ClockReading(12, measured_at)
    assert reading.fault(timezone.now()) == "last measured 600 s ago"


@pytest.mark.django_db
@pytest.mark.parametrize(("offset_ms", "age_s"), [(None, None), (12, 600)])
def test_entry_that_can_be_tried_again_hears_that_the_exchange_did_not_answer(
    offset_ms: int | None, age_s: int | None, measured: list[int]
) -> None:
    measured_at = None if age_s is None else timezone.now() - timedelta(seconds=age_s)
    connector = ConnectorFactory(clock_offset_ms=offset_ms, clock_measured_at=measured_at)

    with pytest.raises(UnreachableError):
        fresh_reading(connector, or_raise=True)


@pytest.mark.django_db
def test_clocks_known_to_be_apart_are_told_whoever_is_asked(measured: list[int]) -> None:
    connector = ConnectorFactory(clock_offset_ms=70_000, clock_measured_at=timezone.now())

    reading = fresh_reading(connector, or_raise=True)

    assert reading.fault(timezone.now()) == "they differ by 70.0 s"


@pytest.mark.django_db
def test_reading_of_the_same_address_is_not_measured_once_more(measured: list[int]) -> None:
    at = timezone.now() - timedelta(seconds=20)
    ConnectorFactory(clock_offset_ms=33, clock_measured_at=at - timedelta(seconds=5))
    ConnectorFactory(clock_offset_ms=34, clock_measured_at=at)
    ConnectorFactory(market="spot", clock_offset_ms=35, clock_measured_at=timezone.now())
    connector = ConnectorFactory(clock_offset_ms=None, clock_measured_at=None)

    reading = fresh_reading(connector)

    assert reading == ClockReading(34, at)
    assert clock.reading_of(Connector.unscoped.get(pk=connector.pk)) == reading


@pytest.mark.django_db
def test_reading_of_another_connector_is_not_believed_against_our_own_measurement(measured: list[int]) -> None:
    ConnectorFactory(clock_offset_ms=34, clock_measured_at=timezone.now())
    connector = ConnectorFactory(clock_offset_ms=70_000, clock_measured_at=timezone.now())
    measured.append(69_000)

    assert fresh_reading(connector).fault(timezone.now()) == "they differ by 69.0 s"
