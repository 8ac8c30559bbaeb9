"""The scenarios of crash_points.py played, one tenant after the other, in worlds that many share."""

import gc
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from apps.alerts.models import WAITING, Alert
from apps.connectors.models import Connector
from apps.lib.compiled import Compiled, update
from apps.lib.statements import together
from apps.trading.models import FINAL_STATES, Order
from tests.torture import oracle, tenants
from tests.torture.scenarios import Scenario
from tests.torture.simulated import Scene, staged
from tests.torture.steps import History
from tests.torture.tally import Tally
from tests.torture.tenants import Tenant

ROUNDS = 12
# An entry whose sender died before its bytes left, or whose close came too late.
_UNSENT = frozenset({"not_placed", "expired", "denied"})
_SETTINGS = {
    "suspected_duplicate": "run", "mismatch": "close_only", "exit_excess": "reverse", "leverage": Decimal(1),
}  # fmt: skip
# Asked after every step of a recovery, fifteen thousand times a run.
_orders_left = Compiled(
    lambda connector: (
        Order.unscoped.filter(connector=connector)
        .exclude(state__in=FINAL_STATES, next_at__isnull=True)
        .values_list("pk", flat=True)[:1]
    )
)
_alerts_left = Compiled(
    lambda connector: Alert.unscoped.filter(connector=connector, status__in=WAITING).values_list("pk", flat=True)[:1]
)
_orders_at_the_end: Compiled[tuple[str, str, str, Decimal]] = Compiled(
    lambda connector: (
        Order.unscoped.filter(connector=connector)
        .order_by("created_at", "leg")
        .values_list("leg", "intent", "state", "filled_quantity")
    )
)
_alerts_at_the_end: Compiled[str] = Compiled(
    lambda connector: (
        Alert.unscoped.filter(connector=connector).order_by("received_at", "part").values_list("status", flat=True)
    )
)


@dataclass(frozen=True, slots=True)
class End:
    """What is left: what the book holds, each order's leg, state and filled size, each alert's status."""

    held: Decimal
    orders: tuple[tuple[str, str, str, Decimal], ...]
    alerts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Played:
    """`points` up to the first death or the end, `first` of them by the first worker; `after` those after a death."""

    end: End
    points: list[str]
    first: int
    after: list[str]


class _Grounds:
    """Worlds to play in: a new one when every tenant of the last has had its turn."""

    def __init__(self, people: list[Tenant], seed: int) -> None:
        self._people, self._seed = people, seed
        self._worlds = 0
        self._stack = ExitStack()
        self._scene: Scene | None = None
        self._left: list[History] = []

    def close(self) -> None:
        self._stack.close()

    def play(self, scenario: Scenario, deaths: tuple[int, ...], tally: Tally | None = None) -> Played:
        """Let a tenant live the scenario; the first death counts points from its start, the second from the first."""
        scene, history = self._next(scenario)
        update(Connector, _SETTINGS, id=history.connector.pk)
        reaper = scene.reaper
        for message in scenario.before:
            history.deliver(_body(history, message))
            scene.engine.wake()
            scene.clock.sleep(5)
            scene.engine.sweep()
        for fault in scenario.faults:
            scene.venue.fault(history.key, fault.route, fault.action, **fault.details)
        scene.venue.unreachable[history.key] = scenario.unreachable
        for delivery in scenario.alerts:
            history.deliver(_body(history, delivery))
            # Which of two comes first is said by when they came.
            scene.clock.sleep(0.001)
        points: list[str] = []
        after: list[str] = []
        reaper.passed, reaper.death_in = points, deaths[0] if deaths else 0
        has_died = not scene.engine.wake()
        first = len(points)
        if has_died:
            reaper.passed, reaper.death_in = after, deaths[1] if len(deaths) > 1 else 0
        _recover(scene, history)
        reaper.passed, reaper.death_in = None, 0
        # The last to die may have held the lease.
        scene.clock.sleep(61)
        _recover(scene, history)
        if tally is not None:
            self._judge(scene, history, f"{scenario.name} {deaths}", tally)
        return Played(_end(scene, history), points, first, after)

    def _next(self, scenario: Scenario) -> tuple[Scene, History]:
        """Return the world and a tenant of it that trades where the scenario does."""
        fits = [history for history in self._left if history.tenant.market == scenario.market]
        if not fits or self._scene is None:
            self._begin()
            return self._next(scenario)
        history = fits[0]
        self._left.remove(history)
        self._scene.venue.choose(history.account_id, mode=scenario.mode, policies="client_ids=live")
        return self._scene, history

    def _begin(self) -> None:
        self._stack.close()
        if not gc.isenabled():
            gc.collect()
        self._worlds += 1
        self._scene = self._stack.enter_context(staged(self._people, f"{self._seed}.{self._worlds}"))
        for symbol in tenants.SYMBOLS.values():
            self._scene.venue.set_price(symbol, Decimal(60_000))
        self._left = list(self._scene.histories)

    def _judge(self, scene: Scene, history: History, name: str, tally: Tally) -> None:
        found = oracle.judge([history], scene.venue, scene.laws)
        found.into(tally, name, [history], [])
        scene.laws.broken.clear()


def run(people: list[Tenant], tally: Tally, scenarios: Sequence[Scenario], *, pairs: bool) -> None:
    """Play the scenarios, and with `pairs` every pair of deaths in the core ones."""
    grounds = _Grounds(people, tally.seed)
    for scenario in scenarios:
        _die_everywhere(grounds, scenario, tally)
        if pairs and scenario.is_core:
            _die_twice(grounds, scenario, tally)
    grounds.close()


def _die_everywhere(grounds: _Grounds, scenario: Scenario, tally: Tally) -> None:
    clean = grounds.play(scenario, (), tally)
    for number in range(1, len(clean.points) + 1):
        _compare(grounds, scenario, (number,), clean, tally)


def _die_twice(grounds: _Grounds, scenario: Scenario, tally: Tally) -> None:
    clean = grounds.play(scenario, ())
    for first in range(1, clean.first + 1):
        for second in range(1, len(grounds.play(scenario, (first,)).after) + 1):
            _compare(grounds, scenario, (first, second), clean, tally)


def _compare(grounds: _Grounds, scenario: Scenario, deaths: tuple[int, ...], clean: Played, tally: Tally) -> None:
    end, wanted = grounds.play(scenario, deaths, tally).end, clean.end
    tally.histories += 1
    tally.faults += len(deaths)
    unsent = {row[0] for row in end.orders if row[1] == "entry" and row[2] in _UNSENT}
    if unsent & {row[0] for row in wanted.orders if row[2] == "filled"}:
        return
    if (end.held, end.orders) != (wanted.held, wanted.orders):
        where = f"{scenario.name}: died at point {deaths}, {clean.points[deaths[0] - 1]}"
        tally.violations.append(f"{where}\n  ended as {end}\n  without  {wanted}")


def _recover(scene: Scene, history: History) -> None:
    """Time passes, and whoever is there does what is due, until nothing is."""

    for number in range(ROUNDS):
        scene.clock.sleep(3 if number < 2 else 31)
        scene.engine.wake()
        scene.engine.sweep()
        connector = history.connector.pk
        if not any(together(_orders_left.asked(connector=connector), _alerts_left.asked(connector=connector))):
            return


def _end(scene: Scene, history: History) -> End:

    if history.tenant.market == "spot":
        held = scene.venue.free(history.account_id, "spot", "BTC")
    else:
        held = sum((p.amount * p.direction for p in scene.venue.positions(history.account_id)), Decimal(0))
    connector = history.connector.pk
    orders, alerts = together(
        _orders_at_the_end.asked(connector=connector), _alerts_at_the_end.asked(connector=connector)
    )
    return End(held, tuple(orders), tuple(alerts))


def _body(history: History, delivery: Any) -> bytes:
    named = {"ticker": history.tenant.symbol, "pointer": history.tenant.pointer}
    if isinstance(delivery, list):
        return json.dumps([{**named, **message} for message in delivery]).encode()
    return json.dumps({**named, **delivery}).encode()
