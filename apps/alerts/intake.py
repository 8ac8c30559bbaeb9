"""Store a delivery: one statement, no ORM objects. Nothing is judged here."""

import select
import threading
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import ExecStatus

from apps.alerts.redaction import find_pointers, redact
from apps.connectors.pointers import lookup_of

MAX_POINTERS = 10

# One row for each pointer found in the body that is live and below its rate: of the last minute there are fewer alerts
# than `rate`, for if one leaves out `rate - 1` of them, none is left.
# $1 now, $2 rate, $3 body, $4 content type, $5 sender, $6 address, the rest lookups: one placeholder each, because with
# an array there the server takes the plan it prepared for dearer than it is, and plans anew for every alert.
STORE = """
INSERT INTO alerts_alert (
    id, workspace_id, connector_id, pointer_id, received_at, next_at, body, content_type, source_ip, sender,
    part, status, reason_code, reason, facts, understood, repairs, notes, symbol, is_exit, external_id, attempts
)
SELECT gen_random_uuid(), p.workspace_id, p.connector_id, p.id, $1, $1, $3, $4, $6, $5,
       0, 'received', '', '', '{{}}', '{{}}', '[]', '[]', '', false, '', 0
FROM connectors_pointer p
WHERE p.lookup IN ({lookups}) AND p.revoked_at IS NULL AND (p.expires_at IS NULL OR p.expires_at > $1)
  AND $2 > 0 AND NOT EXISTS (
    SELECT FROM alerts_alert a WHERE a.pointer_id = p.id AND a.received_at > $1 - interval '60 seconds' OFFSET $2 - 1
)
RETURNING id, pointer_id
"""
# Those that are live and got no row were over their rate.
COUNT_LIMITED = """
UPDATE connectors_pointer SET limited_count = limited_count + 1, limited_at = %(now)s
WHERE lookup = ANY(%(lookups)s) AND id <> ALL(%(stored)s::uuid[])
  AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %(now)s)
"""
TYPES = [psycopg.adapters.types[name].oid for name in ("timestamptz", "int8", "bytea", "varchar", "varchar", "inet")]
TEXT, BINARY = 0, 1
FORMATS = [TEXT, TEXT, BINARY, TEXT, TEXT, TEXT]


class _Line(threading.local):
    """This thread's open connection, and how many placeholders the statements have that are prepared on it."""

    raw: psycopg.Connection | None = None

    def take(self, raw: psycopg.Connection) -> None:
        self.raw = raw
        self.prepared: set[int] = set()
        self.waiting = select.poll()
        self.waiting.register(raw.fileno(), select.POLLIN)


_line = _Line()


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
    lookups = [lookup_of(text) for text in found]
    values = [
        now.isoformat().encode(),
        str(settings.WEBHOOK_RATE_PER_MINUTE).encode(),
        redact(body),
        _plain(content_type),
        _plain(sender),
        _address(ip),
    ]
    database = connections[DEFAULT_DB_ALIAS]
    with database.wrap_database_errors:
        stored = _execute(database, values, lookups)
    is_limited = len(stored) < len(found) and _count_limited(lookups, [pointer for _, pointer in stored], now)
    return Receipt(tuple(UUID(alert) for alert, _ in stored), is_limited=is_limited)


def _execute(database: BaseDatabaseWrapper, values: list[bytes | None], lookups: list[bytes]) -> list[tuple[str, str]]:
    """Return the ids of the stored alerts and of their pointers. Libpq's one blocking call: a cursor takes several
    times its CPU, and gives up the GIL several times where this does it once."""
    connected = _connected(database).pgconn
    number = len(lookups)
    name = f"store_{number}".encode()
    if number not in _line.prepared:
        placeholders = ", ".join(f"${len(TYPES) + place}" for place in range(1, number + 1))
        types = TYPES + [psycopg.adapters.types["bytea"].oid] * number
        _expect(connected.prepare(name, STORE.format(lookups=placeholders).encode(), types), ExecStatus.COMMAND_OK)
        _line.prepared.add(number)
    # The types do not know that it takes None for NULL.
    result = connected.exec_prepared(name, [*values, *lookups], FORMATS + [BINARY] * number)  # type: ignore[list-item]
    _expect(result, ExecStatus.TUPLES_OK)
    return [(_text(result.get_value(row, 0)), _text(result.get_value(row, 1))) for row in range(result.ntuples)]


def _count_limited(lookups: list[bytes], stored: list[str], now: datetime) -> bool:
    """Count the refusal on each live pointer that got no row; False when there is none."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT_LIMITED, {"lookups": lookups, "stored": stored, "now": now})
        return bool(cursor.rowcount)


def _text(value: bytes | None) -> str:
    return (value or b"").decode()


def _connected(database: BaseDatabaseWrapper) -> psycopg.Connection:
    """Return this thread's open connection. One on which the server has said something since its last answer is on its
    way out, or gone: a new one takes its place before the alert is sent, not after it was lost."""
    raw: psycopg.Connection | None = database.connection
    if raw is not None and not raw.closed:
        if _line.raw is not raw:
            _line.take(raw)
        if not _line.waiting.poll(0):
            return raw
    if raw is not None:
        database.close()
    database.ensure_connection()
    opened: psycopg.Connection = database.connection
    _line.take(opened)
    return opened


def _expect(result: psycopg.pq.abc.PGresult, status: ExecStatus) -> None:
    if result.status != status:
        raise psycopg.errors.error_from_result(result)


# Few senders send most deliveries.
@lru_cache(maxsize=1024)
def _plain(header: str) -> bytes:
    return redact(header.encode(errors="replace")).decode(errors="replace").replace("\x00", "")[:100].encode()


@lru_cache(maxsize=1024)
def _address(ip: str | None) -> bytes | None:
    try:
        return str(ip_address(ip)).encode() if ip else None
    except ValueError:
        return None
