"""The webhook: bytes in, an Alert row, 200."""

import logging
import threading
import time

import django.db
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from apps.accounts.audit import client_ip
from apps.alerts.intake import store
from apps.lib import wakeups

MAX_BODY = 64 * 1024
EXECUTE = "apps.alerts.tasks.execute_due"

logger = logging.getLogger(__name__)


@csrf_exempt
def webhook(request: HttpRequest) -> HttpResponse:
    """Store the delivery and answer; nothing that talks to an exchange happens here.

    200 stored · 400 empty · 404 no live pointer, one constant answer · 405 · 413 · 429 · 503 could not be stored, send
    it again.
    """
    if request.method != "POST":
        return _refuse(405, "METHOD", "Send alerts with POST.", Allow="POST")
    body = read_body(request)
    if body is None:
        return _refuse(413, "TOO_LARGE", "The message is larger than 64 KiB.")
    if not body.strip():
        return _refuse(400, "EMPTY", "The message is empty: put the alert message into the alert.")
    ip = client_ip(request)
    headers = request.META
    sender = headers.get("HTTP_X_REQUESTER") or headers.get("HTTP_USER_AGENT", "")
    try:
        receipt = store(body, content_type=headers.get("CONTENT_TYPE", ""), sender=sender, ip=ip, now=timezone.now())
    except django.db.Error as error:
        logger.error("alert not stored, sender asked to send again: %s", type(error).__name__)
        connection.close()
        return _refuse(503, "NOT_STORED", "The alert could not be stored: send it again.", **{"Retry-After": "5"})
    if receipt.alert_ids:
        wakeups.publish(EXECUTE)
        ids = [str(alert_id) for alert_id in receipt.alert_ids]
        return JsonResponse({"id": ids[0], "ids": ids, "status": "received", "reason": ""})
    if receipt.is_limited:
        logger.warning("delivery refused: its pointer is over %s a minute", settings.WEBHOOK_RATE_PER_MINUTE)
        return _refuse(
            429, "RATE_LIMITED", "More alerts than this pointer may send in a minute.", **{"Retry-After": "60"}
        )
    if unknown_pointers.is_over(ip or "", settings.UNKNOWN_POINTERS_PER_MINUTE):
        return _refuse(429, "RATE_LIMITED", "Too many deliveries without a valid pointer.", **{"Retry-After": "60"})
    return _refuse(404, "NO_POINTER", "No valid pointer in the message: copy the message from your connector's page.")


def read_body(request: HttpRequest) -> bytes | None:
    """Return the body, or None when it is larger than MAX_BODY; never reads more than that."""
    length = request.META.get("CONTENT_LENGTH") or ""
    if length.isdigit():
        if int(length) > MAX_BODY:
            return None
        return request.read(MAX_BODY)
    # Chunked: Django takes a missing length for an empty body, the server's stream ends where the body does.
    stream = request.META.get("wsgi.input")
    body = stream.read(MAX_BODY + 1) if stream is not None else request.read(MAX_BODY + 1)
    return None if len(body) > MAX_BODY else body


class UnknownPointers:
    """Deliveries without a live pointer, counted by address and minute in this process; nothing of them is stored."""

    MOST_ADDRESSES = 10_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute = 0
        self._counts: dict[str, int] = {}

    def is_over(self, ip: str, limit: int) -> bool:
        minute = int(time.monotonic() // 60)
        with self._lock:
            if minute != self._minute or len(self._counts) > self.MOST_ADDRESSES:
                if self._counts:
                    logger.info("%d deliveries without a live pointer", sum(self._counts.values()))
                self._minute, self._counts = minute, {}
            self._counts[ip] = self._counts.get(ip, 0) + 1
            return self._counts[ip] > limit


unknown_pointers = UnknownPointers()


def _refuse(status: int, code: str, sentence: str, **headers: str) -> JsonResponse:
    return JsonResponse({"status": "refused", "reason": code, "detail": sentence}, status=status, headers=headers)
