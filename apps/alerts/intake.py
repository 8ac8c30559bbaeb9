"""Store a delivery: one statement, no ORM objects. Nothing is judged here."""

import select
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address
from uuid import UUID
from weakref import WeakKeyDictionary

import psycopg
from django.conf import settings
from django.db import connection
from psycopg.pq import ExecStatus

from apps.alerts.redaction import find_pointers, redact
from apps.connectors.pointers import lookup_of

MAX_POINTERS = 10

# One row for each pointer found in the body that is live and below its rate; the others are counted on the pointer.
# $1 now, $2 rate, $3 body, $4 content type, $5 sender, $6 address, the rest lookups: one placeholder each, because with
# an array there the server takes the plan it prepared for dearer than it is, and plans anew for every alert.
STORE = """
WITH known AS MATERIALIZED (
    SELECT p.id, p.workspace_id, p.connector_id, (
        SELECT count(*) FROM (
            SELECT 1 FROM alerts_alert a
            WHERE a.pointer_id = p.id AND a.received_at > $1 - interval '60 seconds'
            LIMIT $2
        ) recent
    ) AS recent
    FROM connectors_pointer p
    WHERE p.lookup IN ({lookups}) AND p.revoked_at IS NULL AND (p.expires_at IS NULL OR p.expires_at > $1)
), stored AS (
    INSERT INTO alerts_alert (
        id, workspace_id, connector_id, pointer_id, received_at, next_at, body, content_type, source_ip, sender,
        part, status, reason_code, reason, facts, understood, repairs, notes, symbol, is_exit, external_id, attempts
    )
    SELECT gen_random_uuid(), workspace_id, connector_id, id, $1, $1, $3, $4, $6, $5,
           0, 'received', '', '', '{{}}', '{{}}', '[]', '[]', '', false, '', 0
    FROM known WHERE recent < $2
    RETURNING id
), limited AS (
    UPDATE connectors_pointer p SET limited_count = p.limited_count + 1, limited_at = $1
    FROM known WHERE known.id = p.id AND known.recent >= $2
    RETURNING p.id
)
SELECT id, true FROM stored UNION ALL SELECT id, false FROM limited
"""
TYPES = [psycopg.adapters.types[name].oid for name in ("timestamptz", "int8", "bytea", "varchar", "varchar", "inet")]
TEXT, BINARY = 0, 1
FORMATS = [TEXT, TEXT, BINARY, TEXT, TEXT, TEXT]

# How many placeholders the statements have that a connection has prepared.
_prepared: WeakKeyDictionary[psycopg.Connection, set[int]] = WeakKeyDictionary()


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
    values = [
        now.isoformat().encode(),
        str(settings.WEBHOOK_RATE_PER_MINUTE).encode(),
        redact(body),
        _plain(content_type),
        _plain(sender),
        _address(ip),
        *(lookup_of(text) for text in found),
    ]
    rows = _execute(values, len(found))
    alert_ids = tuple(UUID(key) for key, is_stored in rows if is_stored)
    return Receipt(alert_ids, is_limited=len(alert_ids) < len(rows))


def _execute(values: list[bytes | None], lookups: int) -> list[tuple[str, bool]]:
    """Run the statement by libpq's one blocking call: a cursor takes several times its CPU, and gives up the GIL
    several times where this does it once."""
    raw = _connection()
    with connection.wrap_database_errors:
        name = f"store_{lookups}".encode()
        if lookups not in _prepared.setdefault(raw, set()):
            placeholders = ", ".join(f"${len(TYPES) + number}" for number in range(1, lookups + 1))
            types = TYPES + [psycopg.adapters.types["bytea"].oid] * lookups
            _expect(raw.pgconn.prepare(name, STORE.format(lookups=placeholders).encode(), types), ExecStatus.COMMAND_OK)
            _prepared[raw].add(lookups)
        formats = FORMATS + [BINARY] * lookups
        result = raw.pgconn.exec_prepared(name, values, formats)  # type: ignore[arg-type]  # it takes None for NULL
        _expect(result, ExecStatus.TUPLES_OK)
    return [
        ((result.get_value(row, 0) or b"").decode(), result.get_value(row, 1) == b"t") for row in range(result.ntuples)
    ]


def _connection() -> psycopg.Connection:
    """Return this thread's open connection. One on which the server has said something since its last answer is on its
    way out, or gone: a new one takes its place before the alert is sent, not after it was lost."""
    raw: psycopg.Connection | None = connection.connection
    if raw is not None and not raw.closed:
        waiting = select.poll()
        waiting.register(raw.fileno(), select.POLLIN)
        if not waiting.poll(0):
            return raw
    if raw is not None:
        connection.close()
    connection.ensure_connection()
    opened: psycopg.Connection = connection.connection
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
