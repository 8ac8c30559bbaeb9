"""A delivery as a WSGI environment in, an answer out. Both doors use it: the entry before Django, and Django's view."""

import json
import logging
import threading
from dataclasses import dataclass
from typing import Any

import django.db
from django.conf import settings
from django.db import connection

from apps.accounts.audit import address_of
from apps.alerts.intake import store
from apps.lib import wakeups, world

PATHS = frozenset({"/webhook", "/webhook/"})
MAX_BODY = 64 * 1024
EXECUTE = "apps.alerts.tasks.execute_due"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content: bytes
    headers: dict[str, str]


def is_delivery(environ: dict[str, Any]) -> bool:
    """`/webhook` with and without its slash, and a POST to `/`, where users of other products send theirs."""
    path = environ["PATH_INFO"]
    return path in PATHS or (path == "/" and environ["REQUEST_METHOD"] == "POST")


def receive(environ: dict[str, Any]) -> Answer:
    """Store the delivery and answer; nothing that talks to an exchange happens here.

    200 stored · 400 empty or broken off · 404 no live pointer, one constant answer · 405 · 413 · 429 · 503 could not
    be stored, send it again.
    """
    if environ["REQUEST_METHOD"] != "POST":
        return _refuse(405, "METHOD", "Send alerts with POST.", Allow="POST")
    body = read_body(environ)
    if body is None:
        return _refuse(413, "TOO_LARGE", "The message is larger than 64 KiB.")
    if len(body) < (announced(environ) or 0):
        # Its sender sends it again: half of several messages must not run now and once more then.
        return _refuse(400, "INCOMPLETE", "The message broke off before its end: send it again.")
    if not body.strip():
        return _refuse(400, "EMPTY", "The message is empty: put the alert message into the alert.")
    ip = address_of(environ, settings.TRUSTED_PROXIES)
    sender = environ.get("HTTP_X_REQUESTER") or environ.get("HTTP_USER_AGENT", "")
    try:
        receipt = store(body, content_type=environ.get("CONTENT_TYPE", ""), sender=sender, ip=ip, now=world.now())
    except django.db.Error as error:
        logger.error("alert not stored, sender asked to send again: %s", type(error).__name__)
        connection.close()
        return _refuse(503, "NOT_STORED", "The alert could not be stored: send it again.", **{"Retry-After": "5"})
    if receipt.alert_ids:
        wakeups.publish(EXECUTE)
        ids = [str(alert_id) for alert_id in receipt.alert_ids]
        return _answer(200, {"id": ids[0], "ids": ids, "status": "received", "reason": ""})
    if receipt.is_limited:
        logger.warning("delivery refused: its pointer is over %s a minute", settings.WEBHOOK_RATE_PER_MINUTE)
        return _refuse(
            429, "RATE_LIMITED", "More alerts than this pointer may send in a minute.", **{"Retry-After": "60"}
        )
    if unknown_pointers.is_over(ip or "", settings.UNKNOWN_POINTERS_PER_MINUTE):
        return _refuse(429, "RATE_LIMITED", "Too many deliveries without a valid pointer.", **{"Retry-After": "60"})
    return _refuse(404, "NO_POINTER", "No valid pointer in the message: copy the message from your connector's page.")


def read_body(environ: dict[str, Any]) -> bytes | None:
    """Return the body, or None when it is larger than MAX_BODY; never reads more than that."""
    stream = environ["wsgi.input"]
    length = announced(environ)
    if length is not None:
        return None if length > MAX_BODY else stream.read(length)
    # Chunked: there is no length, and the server's stream ends where the body does.
    body: bytes = stream.read(MAX_BODY + 1)
    return None if len(body) > MAX_BODY else body


def announced(environ: dict[str, Any]) -> int | None:
    length = environ.get("CONTENT_LENGTH") or ""
    return int(length) if length.isdecimal() else None


class UnknownPointers:
    """Deliveries without a live pointer, counted by address and minute in this process; nothing of them is stored."""

    MOST_ADDRESSES = 10_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute = 0
        self._counts: dict[str, int] = {}

    def is_over(self, ip: str, limit: int) -> bool:
        minute = int(world.monotonic() // 60)
        with self._lock:
            if minute != self._minute or len(self._counts) > self.MOST_ADDRESSES:
                if self._counts:
                    logger.info("%d deliveries without a live pointer", sum(self._counts.values()))
                self._minute, self._counts = minute, {}
            self._counts[ip] = self._counts.get(ip, 0) + 1
            return self._counts[ip] > limit


unknown_pointers = UnknownPointers()


def _refuse(status: int, code: str, sentence: str, **headers: str) -> Answer:
    return _answer(status, {"status": "refused", "reason": code, "detail": sentence}, **headers)


def _answer(status: int, facts: dict[str, Any], **headers: str) -> Answer:
    """JSON with its length: nothing adds that later, and without it the server would answer in chunks."""
    content = json.dumps(facts).encode()
    return Answer(status, content, {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers})
