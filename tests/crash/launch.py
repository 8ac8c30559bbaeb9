"""Start one process of the product, or one that dies at a named point: `python -m tests.crash.launch <what>`."""

import os
import signal
import sys
from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

import django

django.setup()

from celery.signals import worker_ready  # noqa: E402 - needs the settings

from apps.alerts import execution  # noqa: E402
from config import processes  # noqa: E402

# What a worker does, and just before or just after which call it dies.
POINTS: dict[str, tuple[str, str]] = {
    "alert read, nothing planned": ("before", "apps.alerts.execution._plan"),
    "orders committed, none sent": ("before", "apps.alerts.execution._drive"),
    "claimed, bytes not sent": ("before", "apps.connectors.bitmart.futures.FuturesExchange.submit"),
    "answer read, not recorded": ("after", "apps.connectors.bitmart.futures.FuturesExchange.submit"),
    "acknowledged, fills not read": ("before", "apps.trading.executor._follow"),
    "last fill recorded, nobody told": ("after", "apps.trading.recording.record"),
    "filled, alert not finished": ("before", "apps.trading.executor.settle_legs"),
}


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def die_at_points() -> None:
    """Fork one worker for each point that is asked for, and tell how it ended. Nothing is open here that it shares."""
    say("ready")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _work_and_die(line.strip())
            os._exit(0)
        _, status = os.waitpid(child, 0)
        say(str(os.waitstatus_to_exitcode(status)))


def _work_and_die(point: str) -> None:
    when, name = POINTS[point]
    module, attribute = name.rsplit(".", 1)
    target = resolve_name(module)
    original: Callable[..., Any] = getattr(target, attribute)

    def dying(*args: Any, **kwargs: Any) -> Any:
        if when == "after":
            original(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(target, attribute, dying)
    execution.execute_due()


def main() -> None:
    what = sys.argv[1]
    if what == "points":
        die_at_points()
    elif what == "worker":
        worker_ready.connect(lambda **_: say("ready"), weak=False)
        processes.worker()
    elif what == "sweeper":
        say("ready")
        processes.sweeper()
    elif what == "web":
        say("ready")
        processes.web(int(sys.argv[2]))


if __name__ == "__main__":
    main()
