"""Create and delete connectors, replace their keys. No exchange is asked here: the check runs in a trading process."""

from dataclasses import dataclass

from django.db import transaction

from apps.accounts.models import Plan, Workspace
from apps.connectors import check, pointers, queries
from apps.connectors.exchange import Credentials
from apps.connectors.models import Connector, Pointer
from apps.connectors.opening import forget_credentials, seal_credentials
from apps.connectors.policies import ExitExcess
from apps.lib import wakeups, world

RUN_CHECKS = "apps.connectors.tasks.run_checks"


class ConnectorLimitError(Exception):
    """The plan's number of connectors is used up; nothing was created."""

    code = "CONNECTOR_LIMIT"

    def __init__(self, count: int, limit: int) -> None:
        self.sentence = (
            f"Your plan allows {limit} connectors and you have {count}. "
            "Nothing was created. Delete one that you no longer use, or choose a larger plan."
        )
        super().__init__(self.sentence)


@dataclass(frozen=True, slots=True)
class NewConnector:
    label: str
    market: str
    environment: str
    source: str


def create(workspace: Workspace, new: NewConnector, credentials: Credentials) -> Connector:
    """Store a connector with sealed keys and its first pointer, and ask for its check. ConnectorLimitError."""
    with transaction.atomic():
        # Locked, so that two requests at once cannot both take the last place.
        Workspace.objects.select_for_update().get(pk=workspace.pk)
        require_room(workspace)
        connector = Connector(
            workspace=workspace, label=new.label, market=new.market, environment=new.environment,
            exit_excess=default_exit_excess(new.source),
        )  # fmt: skip
        seal_credentials(connector, credentials.access_key, credentials.secret_key, credentials.memo)
        connector.save(force_insert=True)
        pointers.issue(connector, source=new.source)
        request_check(connector)
    return connector


def require_room(workspace: Workspace) -> None:
    limit = plan_of(workspace).max_connectors
    count = Connector.objects.for_workspace(workspace).filter(deleted_at=None).count()
    if count >= limit:
        raise ConnectorLimitError(count, limit)


def plan_of(workspace: Workspace) -> Plan:
    return workspace.subscription.plan


def default_exit_excess(source: str) -> str:
    """An exit typed by hand for TrendSpider is usually larger than the position and means: close."""
    return ExitExcess.CLOSE_ONLY if source == Pointer.Source.TRENDSPIDER else ExitExcess.REVERSE


def replace_credentials(connector: Connector, credentials: Credentials) -> None:
    seal_credentials(connector, credentials.access_key, credentials.secret_key, credentials.memo)
    connector.check_lines = []
    connector.save(
        update_fields=[
            "sealed_access_key", "sealed_secret_key", "sealed_memo", "access_key_hint", "key_fingerprint",
            "credentials_set_at", "check_lines",
        ]
    )  # fmt: skip
    request_check(connector)


def request_check(connector: Connector) -> None:
    check.request(connector)
    transaction.on_commit(lambda: wakeups.publish(RUN_CHECKS))


def pause(connector: Connector) -> bool:
    """Stop new positions; True when it was running. Exits go on."""
    return _set_paused(connector, is_paused=True)


def resume(connector: Connector) -> bool:
    return _set_paused(connector, is_paused=False)


def _set_paused(connector: Connector, *, is_paused: bool) -> bool:
    rows = Connector.unscoped.filter(pk=connector.pk, paused_at__isnull=is_paused)
    return bool(rows.update(paused_at=world.now() if is_paused else None))


def delete(connector: Connector, *, leaves_open: bool) -> bool:
    """Take the connector out of use for good: keys erased, pointers dead. What it traded stays on record.

    False, and nothing is changed, where positions or orders are open and `leaves_open` was not said. While its row is
    held no order is made for it.
    """
    with transaction.atomic():
        locked = Connector.unscoped.select_for_update().get(pk=connector.pk)
        if not leaves_open and (queries.open_positions(locked) or queries.live_orders(locked)):
            return False
        locked.deleted_at = world.now()
        forget_credentials(locked)
        locked.save(
            update_fields=[
                "deleted_at", "sealed_access_key", "sealed_secret_key", "sealed_memo", "key_fingerprint",
                "credentials_set_at",
            ]
        )  # fmt: skip
        pointers.revoke_all(locked)
        return True


def twins(connector: Connector) -> list[Connector]:
    """Return the workspace's other connectors with the same access key."""
    rows = Connector.objects.for_workspace(connector.workspace_id).filter(deleted_at=None)
    return list(rows.filter(key_fingerprint=connector.key_fingerprint).exclude(pk=connector.pk).order_by("created_at"))
