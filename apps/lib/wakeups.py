"""Tell the workers that there is work. A wake-up is a hint: it may be lost, doubled or late, and nothing depends on it.

Every publish happens on one background thread with its own connection and quarter-second limits, so that a hung broker
never holds up a request; wake-ups for the same task that are not out yet count as one.
"""

import json
import logging
import os
import threading
import time
from functools import cache
from typing import Any

from celery import current_app
from celery.utils import uuid
from kombu.connection import Connection
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

_TIMEOUT_S = 0.25
# A message costs half a millisecond of CPU. The first of a herd goes out at once, the rest count as one.
_COALESCE_S = 0.05
_BREAKER_S = 10.0


class Waker:
    def __init__(self) -> None:
        self._pending: set[str] = set()
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._pid = 0
        self._connection: Connection | None = None

    def publish(self, task_name: str) -> None:
        with self._lock:
            if task_name in self._pending and self._pid == os.getpid():
                return
            self._pending.add(task_name)
            if self._pid != os.getpid():
                # A thread does not survive a fork, nor may its connection be shared.
                self._pid = os.getpid()
                self._work = threading.Event()
                self._connection = None
                threading.Thread(target=self._run, name="wakeups", daemon=True).start()
        self._work.set()

    def _run(self) -> None:
        while True:
            self._work.wait()
            self._work.clear()
            with self._lock:
                names = sorted(self._pending)
                self._pending.clear()
            if not self._send(names):
                time.sleep(_BREAKER_S)
            time.sleep(_COALESCE_S)

    def _send(self, names: list[str]) -> bool:
        try:
            if self._connection is None:
                self._connection = _connect()
            for name in names:
                _publish(self._connection.default_channel, name)
        except (OperationalError, RedisError, OSError) as error:
            logger.warning("wake-up not published, the sweeper will find the work: %s", type(error).__name__)
            self._connection = None
            return False
        return True


def _publish(channel: Any, name: str) -> None:
    """Put one run of the task onto its queue. Wake-ups differ by their ids alone; `send_task` would make each anew and
    ask the exchange for its queues, for twice the CPU."""
    headers, body = _parts(name)
    task_id = uuid()
    message = channel.prepare_message(
        body,
        content_type="application/json",
        content_encoding="utf-8",
        headers={**headers, "id": task_id, "root_id": task_id},
        properties={"correlation_id": task_id, "reply_to": "", "delivery_mode": 2},
    )
    channel.basic_publish(message, exchange="", routing_key=current_app.conf.task_default_queue)


@cache
def _parts(name: str) -> tuple[dict[str, Any], str]:
    task = current_app.amqp.as_task_v2("", name, ignore_result=True)
    return task.headers, json.dumps(task.body)


def _connect() -> Connection:
    limits = {
        "socket_timeout": _TIMEOUT_S,
        "socket_connect_timeout": _TIMEOUT_S,
        "max_retries": 0,
        "retry_on_timeout": False,
    }
    url = current_app.conf.broker_url
    return Connection(
        url, transport_options={**current_app.conf.broker_transport_options, **limits}, connect_timeout=_TIMEOUT_S
    )


_waker = Waker()


def publish(task_name: str) -> None:
    """Ask for one run of a task without arguments; never blocks, never raises."""
    _waker.publish(task_name)
