"""Store a delivery: one statement, no ORM objects. Nothing is judged here."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import connection

from apps.alerts.redaction import find_pointers, redact
from apps.connectors.pointers import lookup_of

MAX_POINTERS = 10

# One row for each pointer found in the body that is live and below its rate; the others are counted on the pointer.
STORE = """
WITH known AS MATERIALIZED (
    SELECT p.id, p.workspace_id, p.connector_id, (
        SELECT count(*) FROM (
            SELECT 1 FROM alerts_alert a
            WHERE a.pointer_id = p.id AND a.received_at > %(now)s - interval '60 seconds'
            LIMIT %(rate)s
        ) recent
    ) AS recent
    FROM connectors_pointer p
    WHERE p.lookup = ANY(%(lookups)s) AND p.revoked_at IS NULL AND (p.expires_at IS NULL OR p.expires_at > %(now)s)
), stored AS (
    INSERT INTO alerts_alert (
        id, workspace_id, connector_id, pointer_id, received_at, next_at, body, content_type, source_ip, sender,
        part, status, reason_code, reason, facts, understood, repairs, notes, symbol, is_exit, external_id, attempts
    )
    SELECT gen_random_uuid(), workspace_id, connector_id, id, %(now)s, %(now)s, %(body)s, %(content_type)s, %(ip)s,
           %(sender)s, 0, 'received', '', '', '{}', '{}', '[]', '[]', '', false, '', 0
    FROM known WHERE recent < %(rate)s
    RETURNING id
), limited AS (
    UPDATE connectors_pointer p SET limited_count = p.limited_count + 1, limited_at = %(now)s
    FROM known WHERE known.id = p.id AND known.recent >= %(rate)s
    RETURNING p.id
)
SELECT id, true FROM stored UNION ALL SELECT id, false FROM limited
"""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a delivery: ids of the stored alerts, and whether a known pointer was over its rate."""

    alert_ids: tuple[UUID, ...]
    is_limited: bool


def store(body: bytes, *, content_type: str, sender: str, ip: str | None, now: datetime) -> Receipt:
    """Commit the delivery and return its receipt; empty when the body holds no live pointer of ours.

    `django.db.Error` when it could not be stored.
    """
    found = find_pointers(body)[:MAX_POINTERS]
    if not found:
        return Receipt((), is_limited=False)
    parameters = {
        "lookups": [lookup_of(text) for text in found],
        "now": now,
        "rate": settings.WEBHOOK_RATE_PER_MINUTE,
        "body": redact(body),
        "content_type": _plain(content_type),
        "sender": _plain(sender),
        "ip": _address(ip),
    }
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(STORE, parameters, prepare=True)
        rows = cursor.fetchall()
    return Receipt(tuple(row[0] for row in rows if row[1]), is_limited=any(not row[1] for row in rows))


def _plain(header: str) -> str:
    return redact(header.encode(errors="replace")).decode(errors="replace").replace("\x00", "")[:100]


def _address(ip: str | None) -> str | None:
    try:
        return str(ip_address(ip)) if ip else None
    except ValueError:
        return None
