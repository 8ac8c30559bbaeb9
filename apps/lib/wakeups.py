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
from typing import Any, cast

from celery import current_app
from celery.utils import uuid
from kombu.connection import Connection
from kombu.exceptions import OperationalError
from kombu.utils.json import dumps
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

_TIMEOUT_S = 0.25
# A message costs half a millisecond of CPU. The first of a herd goes out at once, the rest count as one.
_COALESCE_S = 0.05
# Who asks for the first of a herd steps aside for a moment: the thread that publishes would wait for the interpreter
# until the answer to the sender is written, a millisecond later.
_STEP_ASIDE_S = 0.0001
_BREAKER_S = 10.0


class Waker:
    def __init__(self) -> None:
        self._pending: set[str] = set()
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._pid = 0
        self._line: _Line | None = None

    def publish(self, task_name: str) -> None:
        with self._lock:
            if task_name in self._pending and self._pid == os.getpid():
                return
            self._pending.add(task_name)
            if self._pid != os.getpid():
                # A thread does not survive a fork, nor may its connection be shared.
                self._pid = os.getpid()
                self._work = threading.Event()
                self._line = None
                threading.Thread(target=self._run, name="wakeups", daemon=True).start()
        self._work.set()
        time.sleep(_STEP_ASIDE_S)

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
            if self._line is None:
                self._line = _Line()
            for name in names:
                self._line.publish(name)
        except (OperationalError, RedisError, OSError) as error:
            logger.warning("wake-up not published, the sweeper will find the work: %s", type(error).__name__)
            self._line = None
            return False
        return True


class _Line:
    """The broker as Celery speaks to it. Each task's next message lies ready, and one client sends them all: together
    they cost as much as the sending."""

    def __init__(self) -> None:
        self._connection = _connect()
        self._channel = cast(Any, self._connection.default_channel)
        self._client = self._channel._create_client()
        self._ready: dict[str, tuple[str, str]] = {}

    def publish(self, name: str) -> None:
        self._client.lpush(*(self._ready.pop(name, None) or self._prepared(name)))
        self._ready[name] = self._prepared(name)

    def _prepared(self, name: str) -> tuple[str, str]:
        """Return where one run of the task is put, and its message. Wake-ups differ by their ids alone; `send_task`
        would make each anew and ask the exchange for its queues, for twice the CPU."""
        headers, body = _parts(name)
        task_id, queue = uuid(), current_app.conf.task_default_queue
        message = self._channel.prepare_message(
            body,
            content_type="application/json",
            content_encoding="utf-8",
            headers={**headers, "id": task_id, "root_id": task_id},
            properties={"correlation_id": task_id, "reply_to": "", "delivery_mode": 2},
        )
        self._channel._inplace_augment_message(message, "", queue)
        priority = self._channel._get_message_priority(message, reverse=False)
        return self._channel._q_for_pri(queue, priority), dumps(message)


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
    options = {**current_app.conf.broker_transport_options, **limits}
    return Connection(current_app.conf.broker_url, transport_options=options, connect_timeout=_TIMEOUT_S)


_waker = Waker()


def publish(task_name: str) -> None:
    """Ask for one run of a task without arguments; never blocks, never raises."""
    _waker.publish(task_name)
