"""What two workers can contend for, each contest a function that commits the row and says what both sides do."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID


class Venue:
    """An exchange in this process that fills what it is sent and counts it."""

    clock_offset_ms = 0

    def __init__(self) -> None:
        self.submitted: list[str] = []
        self.reports: dict[str, Any] = {}
        self.fills_of: dict[str, list[Any]] = {}
        self._lock = threading.Lock()

    def submit(self, request: Any, *, signed_at_ms: int) -> Any:
        with self._lock:
            self.submitted.append(request.client_order_id)
        self.tell(request.client_order_id, request.symbol, request.side, "filled", request.quantity)
        return _report(request.client_order_id, request.symbol, "accepted", Decimal(0))

    def tell(self, name: str, symbol: str, side: Any, status: str, *quantities: Decimal) -> None:
        """Let the order be known from now on, filled by matches of `quantities`."""
        now = _now()
        with self._lock:
            self.reports[name] = _report(name, symbol, status, sum(quantities, Decimal(0)), at=now)
            self.fills_of[f"x{name}"] = [
                _fill(f"{name}{number}", name, symbol, side, quantity, now)
                for number, quantity in enumerate(quantities)
            ]

    def find_order(self, symbol: str, *, client_order_id: str, exchange_order_id: str = "") -> Any:
        return self.reports.get(client_order_id)

    def fills(self, symbol: str, *, exchange_order_id: str = "", since: Any = None) -> list[Any]:
        return self.fills_of.get(exchange_order_id, [])

    def positions(self, symbol: str | None = None) -> list[Any]:
        return []

    def server_time_ms(self) -> int:
        return int(_now().timestamp() * 1000)

    def position_mode(self) -> Any:
        from apps.connectors.exchange import PositionMode

        return PositionMode.ONE_WAY

    def balances(self) -> list[Any]:
        from apps.connectors.exchange import Balance

        much = Decimal(10) ** 9
        return [Balance("USDT", much, Decimal(0), much, much)]

    def fee_rates(self, symbol: str) -> Any:
        from apps.connectors.exchange import FeeRates

        return FeeRates(Decimal("0.0002"), Decimal("0.0006"))

    def set_leverage(self, symbol: str, *, leverage: Any, margin_mode: Any) -> None: ...

    def close(self) -> None: ...


def _now() -> Any:
    from apps.lib import world

    return world.now()


def _report(name: str, symbol: str, status: str, filled: Decimal, *, at: Any = None) -> Any:
    from apps.connectors.exchange import OrderReport, OrderStatus

    price = Decimal(60000) if filled else None
    return OrderReport(
        f"x{name}", name, symbol, OrderStatus(status), filled_quantity=filled, avg_fill_price=price, updated_at=at
    )


def _fill(trade_id: str, name: str, symbol: str, side: Any, quantity: Decimal, at: Any) -> Any:
    from apps.connectors.exchange import FillReport, LiquidityRole

    return FillReport(
        *(trade_id, f"x{name}", symbol, side, Decimal(60000), quantity, Decimal("0.36"), "USDT"),
        *(LiquidityRole.TAKER, at, name),
    )


@dataclass(slots=True)
class Stage:
    """What all races share: one connector whose exchange is `venue`."""

    venue: Venue
    connector: Any
    instrument: Any
    pointer: Any
    dice: Random
    number: int = field(default=0)

    def order(self, **columns: Any) -> Any:
        """Commit a new order with its first event; its symbol is its own."""
        from django.db import transaction
        from django.utils import timezone

        from apps.trading.ids import client_order_id
        from apps.trading.models import Order
        from apps.trading.transitions import born

        self.number += 1
        now = timezone.now()
        name = UUID(int=self.dice.getrandbits(128))
        leg = columns.get("leg", "o")
        order = Order(
            **{
                "id": name,
                "workspace_id": self.connector.workspace_id,
                "connector": self.connector,
                "instrument": self.instrument,
                "origin_id": UUID(int=self.dice.getrandbits(128)),
                "leg": leg,
                "intent": "entry",
                "symbol": f"R{self.number}",
                "side": "buy",
                "quantity": Decimal(10),
                "client_order_id": client_order_id(name, leg=leg),
                "signed_at": now,
                "fence_at": now,
                "facts": {"account": {"held_long": "0", "held_short": "0"}},
                **columns,
            }
        )
        with transaction.atomic():
            born(order, cause="planned")
        return order

    def copy(self, order: Any) -> Any:
        from apps.trading.models import Order

        return Order.unscoped.select_related("connector", "connector__workspace", "instrument").get(pk=order.pk)


@dataclass(frozen=True, slots=True)
class Race:
    """`works` by two workers, contending at the statements `at`; `check` says what is wrong afterwards, or who won."""

    works: tuple[Callable[[], Any], Callable[[], Any]]
    at: tuple[str, str]
    check: Callable[[list[Any]], str]
    orders: tuple[Any, ...] = ()


_SWAP = r'^(WITH moved AS \()?UPDATE "trading_order"'
_LOCK_ORDER = r'FROM "trading_order".* FOR UPDATE'
_LOCK_ALERT = r"(?s)FROM alerts_alert.* FOR UPDATE"


def alert_decided(stage: Stage) -> Race:
    """Two workers without a lease decide about one alert and send what they decided."""
    import json

    from django.utils import timezone

    from apps.alerts.execution import execute
    from apps.alerts.models import Alert
    from apps.alerts.redaction import mark_of
    from apps.trading.models import Order

    stage.number += 1
    message = {"ticker": "BTCUSDT", "action": "buy", "prev_position": "flat", "quantity": "0.01"}
    message |= {"pointer": mark_of(stage.pointer.last4), "id": f"n{stage.number}"}
    alert = Alert.objects.create(
        workspace_id=stage.connector.workspace_id,
        connector=stage.connector,
        pointer=stage.pointer,
        body=json.dumps(message).encode(),
        status="queued",
        symbol="BTCUSDT",
        external_id=f"n{stage.number}",
        received_at=timezone.now(),
        next_at=timezone.now(),
    )
    related = ("connector", "connector__workspace", "pointer")
    copies = [Alert.unscoped.select_related(*related).get(pk=alert.pk) for _ in range(2)]

    def check(_: list[Any]) -> str:
        order = Order.unscoped.get(origin_id=alert.pk)
        alert.refresh_from_db()
        return _differs(
            (order.state, order.attempt, stage.venue.submitted.count(order.client_order_id), str(alert.status)),
            ("filled", 1, 1, "executed"),
        )

    return Race((lambda: execute(copies[0]), lambda: execute(copies[1])), (_LOCK_ALERT, _LOCK_ALERT), check)


def lease_taken(stage: Stage) -> Race:
    """Two workers take one lease that is free."""
    from apps.trading import leases

    stage.number += 1
    symbol = f"R{stage.number}"
    held = leases.take(stage.connector.pk, symbol)
    assert held is not None
    held.release()
    at = "INSERT INTO trading_lease"

    def take() -> bool:
        return leases.take(stage.connector.pk, symbol) is not None

    return Race((take, take), (at, at), lambda results: _differs(sorted(results), [False, True]))


def lease_renewed(stage: Stage) -> Race:
    """A worker renews a lease that ran out while another takes it."""
    from django.utils import timezone

    from apps.trading import leases
    from apps.trading.models import Lease

    stage.number += 1
    symbol = f"R{stage.number}"
    held = leases.take(stage.connector.pk, symbol)
    assert held is not None
    Lease.objects.filter(connector=stage.connector, symbol=symbol).update(until=timezone.now())
    renewing, taking = r'UPDATE "trading_lease"', "INSERT INTO trading_lease"

    def renew() -> bool:
        try:
            held.renew()
        except leases.LeaseLostError:
            return False
        return True

    def take() -> bool:
        return leases.take(stage.connector.pk, symbol) is not None

    return Race((renew, take), (renewing, taking), lambda results: _differs(sorted(results), [False, True]))


def planned_sent(stage: Stage) -> Race:
    """Two workers send one planned order."""
    from apps.trading.executor import drive

    order = stage.order(signed_at=None, fence_at=None)
    copies = [stage.copy(order) for _ in range(2)]

    def check(_: list[Any]) -> str:
        row = stage.copy(order)
        sent = stage.venue.submitted.count(order.client_order_id)
        return _differs((row.state, row.attempt, sent, row.filled_quantity), ("filled", 1, 1, Decimal(10)))

    return Race((lambda: drive(copies[0]), lambda: drive(copies[1])), (_SWAP, _SWAP), check, (order,))


def absence_against_word(stage: Stage) -> Race:
    """The second "not found" after the fence, and the acknowledgement of the sender that was frozen."""
    from apps.trading import following
    from apps.trading.executor import _acknowledge

    order = stage.order(state="unknown", not_found_count=1, attempt=1)
    looker, sender = stage.copy(order), stage.copy(order)
    report = _report(order.client_order_id, order.symbol, "accepted", Decimal(0))

    def check(_: list[Any]) -> str:
        row = stage.copy(order)
        # Whichever came first: what the exchange said of it stands, and somebody looks at it again.
        return _differs(
            (row.state, row.exchange_order_id, row.next_at is None), ("accepted", f"x{order.client_order_id}", False)
        )

    return Race((lambda: following.look(looker), lambda: _acknowledge(sender, report)), (_SWAP, _SWAP), check, (order,))


def death_against_word(stage: Stage) -> Race:
    """The sweeper takes a sender for dead in the moment in which it tells of the acknowledgement."""
    from django.utils import timezone

    from apps.trading.executor import _acknowledge, step

    order = stage.order(state="submitting", attempt=1, next_at=timezone.now(), fence_at=timezone.now() + timedelta(60))
    sweeper, sender = stage.copy(order), stage.copy(order)
    report = _report(order.client_order_id, order.symbol, "accepted", Decimal(0))

    def check(_: list[Any]) -> str:
        row = stage.copy(order)
        return _differs((row.state, row.attempt, row.next_at is None), ("accepted", 1, False))

    return Race((lambda: step(sweeper), lambda: _acknowledge(sender, report)), (_SWAP, _SWAP), check, (order,))


def death_against_failure(stage: Stage) -> Race:
    """The sweeper takes a sender for dead in the moment in which it tells that nothing was sent."""
    from django.utils import timezone

    from apps.connectors.exchange import NotSentError
    from apps.trading.executor import _record_failure, step

    order = stage.order(state="submitting", attempt=1, next_at=timezone.now(), fence_at=timezone.now() + timedelta(60))
    sweeper, sender = stage.copy(order), stage.copy(order)
    failure = NotSentError("refused")

    def check(_: list[Any]) -> str:
        row = stage.copy(order)
        if row.state not in {"planned", "unknown"}:
            return f"{row.state} instead of planned or unknown"
        # Back in the queue only by the word of its sender, and then not in doubt as well.
        return _differs(
            (_path(order).count("planned"), _path(order).count("unknown")),
            (row.state == "planned", row.state == "unknown"),
        )

    return Race(
        (lambda: step(sweeper), lambda: _record_failure(sender, stage.venue, failure)),  # type: ignore[arg-type]
        (_SWAP, _SWAP),
        check,
        (order,),
    )


def fill_recorded(stage: Stage) -> Race:
    """Two workers hear of the same fill, each with another one beside it."""
    from apps.trading import recording
    from apps.trading.models import Fill, LedgerEntry, Position

    order = stage.order(state="accepted", attempt=1)
    copies = [stage.copy(order) for _ in range(2)]
    name = order.client_order_id
    at = _now()
    fills = [_fill(f"{name}{n}", name, order.symbol, _side("buy"), Decimal(3), at) for n in range(3)]

    def check(results: list[Any]) -> str:
        row = stage.copy(order)
        rows = Fill.unscoped.filter(order=order)
        position = Position.unscoped.get(connector=stage.connector, symbol=order.symbol)
        entries = LedgerEntry.unscoped.filter(fill__order=order).count()
        return _differs(
            (sum(results), rows.count(), row.filled_quantity, position.signed_quantity, entries, row.fees),
            (3, 3, Decimal(9), Decimal(9), 3, {"USDT": "1.080000000000000000"}),
        )

    return Race(
        (lambda: recording.record(copies[0], fills[:2]), lambda: recording.record(copies[1], fills[1:])),
        (_LOCK_ORDER, _LOCK_ORDER),
        check,
        (order,),
    )


def cancel_against_fill(stage: Stage) -> Race:
    """One worker is told that the order was cancelled after a part of it, the other one that it was filled."""
    from apps.trading import following

    order = stage.order(state="accepted", attempt=1)
    copies = [stage.copy(order) for _ in range(2)]
    name = order.client_order_id
    older, newer = Venue(), Venue()
    older.tell(name, order.symbol, _side("buy"), "canceled", Decimal(4))
    newer.tell(name, order.symbol, _side("buy"), "filled", Decimal(4), Decimal(6))

    def check(_: list[Any]) -> str:
        row = stage.copy(order)
        # The fill is proof, whichever came first.
        return _differs((row.state, row.filled_quantity, row.next_at), ("filled", Decimal(10), None))

    def look(side: int, venue: Venue) -> None:
        following._apply(copies[side], venue, venue.reports[name])  # type: ignore[arg-type]

    return Race((lambda: look(0, older), lambda: look(1, newer)), (_LOCK_ORDER, _LOCK_ORDER), check, (order,))


def waiting_leg_sent(stage: Stage) -> Race:
    """Worker and sweeper both see that the closing order is filled and send the one behind it."""
    from django.utils import timezone

    from apps.trading.executor import settle_legs
    from apps.trading.sweeper import _take_step

    now = timezone.now()
    parent = stage.order(state="filled", leg="c", intent="exit", side="sell", finished_at=now, attempt=1)
    leg = stage.order(
        symbol=parent.symbol,
        parent=parent,
        waits_for_parent=True,
        side="sell",
        next_at=now,
        signed_at=None,
        fence_at=None,
        expires_at=now + timedelta(seconds=60),
    )
    copy = stage.copy(parent)

    def check(_: list[Any]) -> str:
        row = stage.copy(leg)
        if row.state == "planned":
            # The sweeper gave way to the worker's step and the other way round: the leg is due, and not sent.
            return "" if row.next_at is not None and not stage.venue.submitted.count(row.client_order_id) else "dropped"
        return _differs((row.state, row.attempt, stage.venue.submitted.count(row.client_order_id)), ("filled", 1, 1))

    return Race(
        (lambda: settle_legs(copy), lambda: _take_step((stage.copy(leg), now))), (_SWAP, _SWAP), check, (parent, leg)
    )


def waiting_leg_driven(stage: Stage) -> Race:
    """Two workers at the same time behind one filled closing order."""
    from django.utils import timezone

    from apps.trading.executor import settle_legs

    now = timezone.now()
    parent = stage.order(state="filled", leg="c", intent="exit", side="sell", finished_at=now, attempt=1)
    leg = stage.order(
        symbol=parent.symbol,
        parent=parent,
        waits_for_parent=True,
        side="sell",
        signed_at=None,
        fence_at=None,
        expires_at=now + timedelta(seconds=60),
    )
    copies = [stage.copy(parent) for _ in range(2)]

    def check(_: list[Any]) -> str:
        row = stage.copy(leg)
        return _differs((row.state, row.attempt, stage.venue.submitted.count(row.client_order_id)), ("filled", 1, 1))

    return Race((lambda: settle_legs(copies[0]), lambda: settle_legs(copies[1])), (_SWAP, _SWAP), check, (parent, leg))


CONTESTS: tuple[Callable[[Stage], Race], ...] = (
    *(alert_decided, lease_taken, lease_renewed, planned_sent, absence_against_word, death_against_word),
    *(death_against_failure, fill_recorded, cancel_against_fill, waiting_leg_sent, waiting_leg_driven),
)


def _side(name: str) -> Any:
    from apps.connectors.exchange import Side

    return Side(name)


def _differs(found: Any, expected: Any) -> str:
    return "" if found == expected else f"{found} instead of {expected}"


def _path(order: Any) -> list[str]:
    from apps.trading.models import OrderEvent

    events = OrderEvent.unscoped.filter(order=order).order_by("version").values_list("from_state", "to_state")
    return [to_state for from_state, to_state in events if from_state != to_state]


def replayed(order: Any) -> str:
    """Say where an order's events do not lead to its row: invariant 6."""
    from apps.trading.models import Order, OrderEvent

    row = Order.unscoped.get(pk=order.pk)
    state, version = "", -1
    for event in OrderEvent.unscoped.filter(order=order).order_by("version"):
        if event.version != version + 1 or event.from_state != state:
            return f"event {event.version} starts from {event.from_state!r}, the one before led to {state!r}"
        state, version = event.to_state, event.version
    return _differs((state, version), (row.state, row.version))


def stage(seed: int) -> Stage:
    """Commit what every race needs and put the venue where the connector's exchange is kept open."""
    from django.utils import timezone

    from apps.connectors import opening
    from tests.factories import ConnectorFactory, InstrumentFactory, MarketPriceFactory, PointerFactory

    later = timezone.now() + timedelta(days=1)
    connector = ConnectorFactory(
        clock_offset_ms=0,
        clock_measured_at=later,
        max_orders_per_minute=10**6,
        max_open_notional=Decimal(10) ** 12,
        max_order_notional=Decimal(10) ** 9,
    )
    instrument = InstrumentFactory()
    MarketPriceFactory(instrument=instrument, bid=Decimal(60000), ask=Decimal(60000), at=later)
    pointer = PointerFactory(connector=connector)
    connector.refresh_from_db()
    venue = Venue()
    opening._open[connector.pk] = (connector.credentials_set_at, venue)  # type: ignore[assignment]
    return Stage(venue, connector, instrument, pointer, Random(seed))
