"""Two answers for a load balancer: this process is up; everything behind it works. Neither needs a login."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from threading import Event

import redis
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Max
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.log import log_response
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.lib import world
from apps.trading.models import WorkerHeartbeat

FRESH = timedelta(seconds=30)
KINDS = ("worker", "sweeper")
TIMEOUT_S = 1
# Whether this process ever saw everything ready; and so long, since it began, it may not have.
_been_ready = Event()
STARTS_WITHIN_S = 120
_began = world.monotonic()


def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok", content_type="text/plain")


def readyz(request: HttpRequest) -> JsonResponse:
    """200 when every check is "ok", else 503; a check that is not ok says in words what is missing."""
    checks = {"database": _answer(_database)}
    if checks["database"] == "ok":
        checks["migrations"] = _answer(_migrations)
        for kind in KINDS:
            checks[kind] = _answer(partial(_heartbeat, kind))
    checks["broker"] = _answer(_broker)
    missing = [name for name, finding in checks.items() if finding != "ok"]
    answer = JsonResponse({"ready": not missing, "missing": missing, "checks": checks}, status=503 if missing else 200)
    if not missing:
        _been_ready.set()
    elif not _been_ready.is_set() and world.monotonic() - _began < STARTS_WITHIN_S:
        # Starting is no fault. Django logs as an error what was not logged yet.
        log_response("Not ready yet: %s", ", ".join(missing), response=answer, request=request, level="info")
    return answer


def _answer(check: Callable[[], str]) -> str:
    try:
        return check()
    except (DatabaseError, redis.RedisError, OSError) as error:
        # The type only: the text of a driver's error names hosts and users.
        return f"no answer ({type(error).__name__})"


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "ok"


def _migrations() -> str:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"{len(missing)} to apply: run migrate" if missing else "ok"


def last_heard_of() -> dict[str, datetime]:
    """Return the newest sign of life of each kind of process that ever gave one."""
    newest = WorkerHeartbeat.objects.order_by().values("kind").annotate(newest=Max("at"))
    return dict(newest.values_list("kind", "newest"))


def _heartbeat(kind: str) -> str:
    newest = last_heard_of().get(kind)
    if newest is None:
        return "never seen"
    age = world.now() - newest
    return "ok" if age <= FRESH else f"last seen {int(age.total_seconds())} s ago"


def _broker() -> str:
    limits = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S, "retry": Retry(NoBackoff(), 0)}
    with redis.Redis.from_url(settings.REDIS_URL, **limits) as client:
        client.ping()
    return "ok"
