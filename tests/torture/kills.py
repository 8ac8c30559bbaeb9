"""kill -9 and SIGSTOP with real processes: web, Celery workers and sweeper on PostgreSQL (fsync on), Redis and the
paper exchange over HTTP, which remembers no client id once an order is closed.

A round mines every window and strikes workers at random moments while alerts for many connectors come in; dead
processes are replaced. Then everything has to come to rest, and what the exchange itself has in its book is compared
with our rows: no order twice, none lost, nothing that waits for ever.
"""

import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from tests.torture.crew import Crew, fork
from tests.torture.mines import INTAKE, WINDOWS, Field
from tests.torture.tally import Tally

if TYPE_CHECKING:
    from apps.alerts.models import Alert
    from apps.lib.compiled import Compiled
    from apps.trading.models import Order

CONNECTORS = 24
WORKERS = 2
IN_FLIGHT = 16
STRIKES = 10  # at random moments, in each round; every fifth is a SIGSTOP
STOPS = 3  # windows mined with SIGSTOP in each round
LONGEST_STOP_S = 6.0
# Far more than they take where nothing else runs.
ROUND_WITHIN_S = 240.0
REST_WITHIN_S = 300.0
# Short, so that recovery takes seconds. The exchange refuses what is older than two of them, as is assumed.
WINDOW_MS = 2000
SHORT = {
    "SEND_LIMIT_S": "2",
    "LEASE_S": "6",
    "FENCE_WINDOW_S": "2",
    "FENCE_SKEW_S": "0",
    "FENCE_VISIBILITY_S": "1",
    "INNER_THREADS": "4",
    "WEBHOOK_RATE_PER_MINUTE": "1000000",
}
WANTED = (
    *(("buy", "flat"), ("sell", "long"), ("sell", "flat"), ("buy", "short"), ("sell", "long"), ("buy", "short")),
    *(("limit", "flat"), ("cancel", "")),
)


@dataclass(slots=True)
class Desk:
    connector: Any
    account: Any
    pointer: str


@dataclass(slots=True)
class Campaign:
    paper: Any
    address: str
    crew: Crew
    field: Field
    dice: Random
    desks: list[Desk]
    tally: Tally
    acknowledged: dict[str, str] = field(default_factory=dict)  # our id in the message: the alert's
    sent: int = 0
    by_window: Counter[str] = field(default_factory=Counter)

    def send_one(self) -> None:
        """Deliver one alert as its sender would: at most 3 s, and again when it was not taken."""
        import requests

        self.sent += 1
        desk = self.dice.choice(self.desks)
        action, prev = self.dice.choice(WANTED)
        name = f"k{self.sent}"
        message: dict[str, Any] = {"ticker": "BTCUSDT", "pointer": desk.pointer, "id": name}
        if action == "cancel":
            message |= {"cancel": True}
        elif action == "limit":
            message |= {"action": "buy", "prev_position": prev, "quantity": "0.003"}
            message |= {"order_type": "limit", "limit_price": "50000"}
        else:
            message |= {"action": action, "prev_position": prev, "quantity": f"0.0{self.dice.randint(1, 3)}"}
        for _ in range(4):
            try:
                answer = requests.post(f"{self.address}/webhook", data=json.dumps(message), timeout=3)
            except requests.RequestException:
                self.crew.look_after()
                time.sleep(0.2)
                continue
            if answer.status_code == 200:
                self.acknowledged[name] = answer.json()["id"]
                return

    def round(self, *, strikes: int) -> None:
        mines = {window: self.field.lay(window, signal.SIGKILL) for window in WINDOWS}
        stops = self.dice.sample([window for window in WINDOWS if window not in INTAKE], STOPS)
        until = time.monotonic() + ROUND_WITHIN_S
        while time.monotonic() < until and (mines or strikes):
            if _number_waiting() < IN_FLIGHT:
                self.send_one()
            self.crew.look_after()
            for window, mine in list(mines.items()):
                if not mine.exists():
                    del mines[window]
                    self.by_window[window] += 1
                    if window in stops:
                        # The next one who comes here freezes.
                        self.field.lay(window, signal.SIGSTOP)
            if strikes and self.dice.random() < 0.4:
                strikes -= 1
                self.crew.strike(signal.SIGSTOP if strikes % 5 == 4 else signal.SIGKILL)
            time.sleep(self.dice.uniform(0, 0.1))
        self.field.clear()
        self.tally.violations += [f"nobody came to {window!r}" for window in mines]

    def rest(self) -> list[str]:
        """Wait until nothing waits any more; name what still does after that."""
        until = time.monotonic() + REST_WITHIN_S
        while (number := _number_waiting()) and time.monotonic() < until:
            self.crew.look_after()
            time.sleep(0.3)
        waiting = _waiting() if number else []
        self.crew.wake_all()
        return waiting

    def check(self) -> None:
        """Compare what the exchange has with our rows."""
        from apps.alerts.models import Alert
        from apps.trading.models import Fill, Order, Position
        from tests.torture.contests import replayed

        tally = self.tally
        known = {str(pk) for pk in Alert.unscoped.values_list("pk", flat=True)}
        for name, alert_id in self.acknowledged.items():
            if alert_id not in known:
                tally.lost += 1
                tally.violations.append(f"alert {name} was answered 200 and is not there")
        for desk in self.desks:
            book = self.paper.orders(desk.account.access_key)
            rows = {order.client_order_id: order for order in Order.unscoped.filter(connector=desk.connector)}
            for name, times in Counter(row["client_order_id"] for row in book).items():
                if times > 1:
                    tally.duplicates += 1
                    tally.violations.append(f"{name} was placed {times} times: {_life(rows.get(name))}")
            placed = {row["client_order_id"]: row for row in book}
            for name, row in placed.items():
                order = rows.get(name)
                if order is None or order.state not in {"filled", "canceled", "accepted", "partial"}:
                    tally.phantoms += 1
                    tally.violations.append(f"{name} is at the exchange ({row['size']}), and here {_life(order)}")
            for name, order in rows.items():
                if order.state in {"filled", "canceled", "accepted", "partial"} and name not in placed:
                    tally.lost += 1
                    tally.violations.append(f"{name} is not at the exchange: {_life(order)}")
                if wrong := replayed(order):
                    tally.violations.append(f"{name}: {wrong}")
            theirs = {str(row["id"]) for row in self.paper.fills(desk.account.access_key)}
            ours = set(Fill.unscoped.filter(connector=desk.connector).values_list("trade_id", flat=True))
            if theirs != ours:
                tally.lost += 1
                tally.violations.append(f"fills only here {ours - theirs}, only there {theirs - ours}")
            position = Position.unscoped.filter(connector=desk.connector).first()
            held = sum(
                (Decimal(fill.quantity) * (1 if fill.side == "buy" else -1) for fill in _fills(desk)), Decimal(0)
            )
            if position is not None and position.signed_quantity != held:
                tally.violations.append(f"position {position.signed_quantity}, fills {held}")


def _fills(desk: Desk) -> list[Any]:
    from apps.trading.models import Fill

    return list(Fill.unscoped.filter(connector=desk.connector))


@cache
def _questions() -> "tuple[Compiled[Alert], Compiled[Order], Compiled[Order]]":
    """What asks for the alerts that wait, for the orders that are not finished, and for those to be placed anew."""
    from apps.alerts.models import WAITING, Alert
    from apps.lib.compiled import Compiled
    from apps.trading.models import FINAL_STATES, Order

    return (
        Compiled(lambda: Alert.unscoped.filter(status__in=sorted(WAITING))),
        # A limit order that lies at the exchange is where it should be.
        Compiled(
            lambda: Order.unscoped.exclude(state__in=sorted(FINAL_STATES)).exclude(order_type="limit", state="accepted")
        ),
        Compiled(lambda: Order.unscoped.filter(state="not_placed", next_at__isnull=False)),
    )


def _number_waiting() -> int:
    """Ask for it as `_waiting` does, which tells each order's life too: some fifteen times a second."""
    from apps.lib.statements import together

    return sum(map(len, together(*(question.asked() for question in _questions()))))


def _waiting() -> list[str]:
    from apps.lib.statements import together

    alerts, unfinished, again = together(*(question.asked() for question in _questions()))
    waiting = [f"alert {alert.pk}: {alert.status}" for alert in alerts]
    return waiting + [f"order {_life(order)}" for order in (*unfinished, *again)]


def _life(order: Any) -> str:
    from apps.trading.models import OrderEvent

    if order is None:
        return "nothing"
    events = OrderEvent.unscoped.filter(order=order).order_by("version")
    return f"{order} [{' · '.join(f'{event.to_state} ({event.cause})' for event in events)}]"


def _worker() -> None:
    from apps.lib import pool
    from config import processes

    pool.forget_threads()
    processes.worker()


def _sweeper() -> None:
    from config import processes

    processes.sweeper()


@contextmanager
def _servers(folder: Path) -> Iterator[None]:
    """PostgreSQL with fsync on, and Redis, of this campaign's own; Django on them, migrated."""
    for name in ("DATABASE_URL", "REDIS_URL", "TORTURE_TEMPLATE", "TEST_STATE_DIR"):
        os.environ.pop(name, None)
    port = _free_port()
    os.environ |= {"DEBUG": "1", "DJANGO_SETTINGS_MODULE": "config.settings", "LOG_LEVEL": "ERROR", **SHORT}
    os.environ |= {"PAPER_URL": f"http://127.0.0.1:{port}"}
    from config import embedded

    embedded.prepare(folder)
    import django

    django.setup()
    from django.core.checks import run_checks
    from django.core.management import call_command

    from config.celery import app

    call_command("migrate", verbosity=0)
    # What every worker loads when it starts is there before the first is forked.
    run_checks()
    app.loader.import_default_modules()
    try:
        yield
    finally:
        from django.db import connections

        connections.close_all()
        embedded.release(folder)


def _free_port() -> int:
    from tests.paper.running import free_port

    return free_port()


def _open_paper(folder: Path) -> tuple[Any, int]:
    """Run the paper exchange as one of us, with the refusal window that is assumed of it."""
    from django.conf import settings

    from tests.paper.running import PaperProcess

    port = int(settings.PAPER_URL.rpartition(":")[2])
    paper = PaperProcess(folder, faults=True, control_token=secrets.token_hex(8), port=port)
    child = _serve_paper(paper)
    pid = fork(child)
    _until(paper._is_ready)
    return paper, pid


def _serve_paper(paper: Any) -> Any:
    def serve() -> None:
        from apps.paper import auth
        from apps.paper.server import Choices
        from apps.paper.server import serve as run

        auth.WINDOW_MS = WINDOW_MS
        choices = Choices(policies={"client_ids": "live", "reduce_only": "clip"})
        run(
            port=paper.port,
            state_dir=paper.state_dir,
            seed=1,
            control_token=paper.control_token,
            faults=True,
            choices=choices,
        )

    return serve


def _until(is_so: Any, *, within_s: float = 60) -> None:
    until = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > until:
            raise RuntimeError("the campaign's processes did not come up")
        time.sleep(0.05)


def _desks(paper: Any) -> list[Desk]:
    from datetime import timedelta

    from django.utils import timezone

    from apps.connectors import pointers
    from tests.factories import ConnectorFactory, InstrumentFactory, MarketPriceFactory, PointerFactory

    later = timezone.now() + timedelta(days=1)
    instrument = InstrumentFactory()
    MarketPriceFactory(instrument=instrument, bid=Decimal(60000), ask=Decimal(60000), at=later)
    paper.set_price("BTCUSDT", "60000")
    desks = []
    for _ in range(CONNECTORS):
        account = paper.new_account(futures={"USDT": "1000000"})
        connector = ConnectorFactory(
            credentials=(account.access_key, account.secret_key, account.memo),
            max_orders_per_minute=10**6,
            max_order_notional=Decimal(10) ** 6,
            max_open_notional=Decimal(10) ** 6,
            clock_offset_ms=0,
            clock_measured_at=later,
        )
        desks.append(Desk(connector, account, pointers.reveal(PointerFactory(connector=connector))))
    return desks


def main(count: int, seed: int) -> Tally:
    """Kill `count` times in each window and ten times as often at random moments."""
    started = time.monotonic()
    tally, dice = Tally("kill -9 and SIGSTOP", seed), Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="sferica-kills-"))
    try:
        with _servers(folder):
            from django.db import connection

            from apps.trading.models import Order
            from config import processes

            with connection.cursor() as cursor:
                cursor.execute("SHOW fsync")
                fsync = cursor.fetchone()[0]
            field_ = Field(folder / "mines")
            log = folder / "processes.log"
            crew = Crew(dice, longest_stop_s=LONGEST_STOP_S, log=log)
            paper, paper_pid = _open_paper(folder / "paper")
            desks = _desks(paper)
            field_.lay_out()
            port = _free_port()
            try:
                crew.hire("web", lambda: processes.web(port))
                for number in range(WORKERS):
                    crew.hire(f"worker {number}", _worker)
                crew.hire("sweeper", _sweeper)
                campaign = Campaign(paper, f"http://127.0.0.1:{port}", crew, field_, dice, desks, tally)
                _until(lambda: _answers(campaign.address))
                for number in range(1, count + 1):
                    campaign.round(strikes=STRIKES)
                    sys.stdout.write(f"  round {number}: {campaign.sent} alerts, {crew.killed} killed\n")
                    sys.stdout.flush()
                    stuck = campaign.rest()
                    tally.stuck += len(stuck)
                    tally.violations += [f"waits for ever: {what}" for what in stuck]
                    if not stuck:
                        campaign.check()
                    if tally.violations:
                        sys.stdout.write("".join(log.read_text(errors="replace").splitlines(keepends=True)[-40:]))
                        break
            finally:
                crew.dismiss()
                os.kill(paper_pid, signal.SIGTERM)
                os.waitpid(paper_pid, 0)
            tally.histories = campaign.sent
            # The web server replaces its own process, so nobody else hears of that death.
            in_web = sum(campaign.by_window[window] for window in INTAKE)
            tally.faults = in_web + crew.killed + crew.stopped
            windows = f"{sum(campaign.by_window.values())} kills in {len(campaign.by_window)} windows"
            hit = f"processes killed {in_web + crew.killed}, stopped {crew.stopped}"
            sent = Order.unscoped.exclude(signed_at=None).count()
            taken = len(campaign.acknowledged)
            sys.stdout.write(f"  fsync {fsync}; {windows}, {hit}; {taken} alerts answered 200, {sent} orders sent\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tally.seconds = time.monotonic() - started
    return tally


def _answers(address: str) -> bool:
    import requests

    try:
        return requests.get(f"{address}/healthz", timeout=1).status_code == 200
    except requests.RequestException:
        return False
