"""Where processes die: between any two steps of an alert's way, at a point that somebody mined.

`lay_out` puts a detonator at every point of this process. A mine is a file; whoever passes the point first takes the
file away and is killed there by SIGKILL, or stopped by SIGSTOP.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any


@dataclass(frozen=True, slots=True)
class Point:
    """Just `when` (before, after) the call of `target`, when `counts` says that the call is the one meant."""

    when: str
    target: str
    counts: Callable[..., bool] = lambda *_, **__: True


def _posts_an_order(_: Any, method: str, url: str, *__: Any, **___: Any) -> bool:
    return method == "POST" and "submit" in url


def _closes_in_front_of_another(order: Any) -> bool:
    from apps.trading.models import Order

    return order.is_final and Order.unscoped.filter(parent_id=order.pk, waits_for_parent=True).exists()


_FUTURES = "apps.connectors.bitmart.futures.FuturesExchange"
# The table of crash points in section 9 of the specification, by what has just been done and what has not.
WINDOWS: dict[str, Point] = {
    "request read, alert not committed": Point("before", "apps.alerts.receiving.store"),
    "alert committed, nobody told": Point("after", "apps.alerts.receiving.store"),
    "alert claimed, plan not committed": Point("before", "apps.alerts.execution._commit"),
    "plan committed, nothing sent": Point("before", "apps.alerts.execution._drive"),
    "sending committed, no byte out": Point("before", f"{_FUTURES}.submit"),
    "bytes out, answer not read": Point("after", "urllib3.connection.HTTPConnection.request", _posts_an_order),
    "answer read, not recorded": Point("after", f"{_FUTURES}.submit"),
    "acknowledged, fills not asked for": Point("before", "apps.trading.executor._follow"),
    "fills written, not committed": Point("before", "apps.trading.recording.move"),
    "fills committed, state not": Point("after", "apps.trading.recording.record"),
    "close done, opening leg not sent": Point(
        "before", "apps.trading.executor.settle_legs", _closes_in_front_of_another
    ),
    "cancel sent, answer not recorded": Point("after", f"{_FUTURES}.cancel"),
    "orders done, alert not finished": Point("before", "apps.alerts.execution.finish"),
}
# What the web process passes; a frozen web process is a sender's timeout, which the others cover.
INTAKE = tuple(WINDOWS)[:2]


class Field:
    """The mines of one campaign, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def lay(self, window: str, number: signal.Signals) -> Path:
        mine = self.folder / f"{list(WINDOWS).index(window)}.{number.name}"
        mine.touch()
        return mine

    def clear(self) -> int:
        """Take away what nobody stepped on; return how many."""
        left = list(self.folder.iterdir())
        for mine in left:
            mine.unlink(missing_ok=True)
        return len(left)

    def lay_out(self) -> None:
        for number, point in enumerate(WINDOWS.values()):
            self._wire(number, point)

    def _wire(self, number: int, point: Point) -> None:
        module, attribute = point.target.rsplit(".", 1)
        owner = resolve_name(module)
        original = getattr(owner, attribute)
        mines = [(self.folder / f"{number}.{kind.name}", kind) for kind in (signal.SIGKILL, signal.SIGSTOP)]

        def mined(*args: Any, **kwargs: Any) -> Any:
            if not point.counts(*args, **kwargs):
                return original(*args, **kwargs)
            if point.when == "before":
                _step_on(mines)
                return original(*args, **kwargs)
            result = original(*args, **kwargs)
            _step_on(mines)
            return result

        setattr(owner, attribute, mined)


def _step_on(mines: list[tuple[Path, signal.Signals]]) -> None:
    for mine, kind in mines:
        try:
            mine.unlink()
        except FileNotFoundError:
            continue
        os.kill(os.getpid(), kind)
