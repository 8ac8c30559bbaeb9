"""Every route of the product and who may use it. A new route is listed here, or tests/tenancy/test_urls.py fails."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import get_resolver

from apps.accounts.tenancy import WorkspaceOwned
from apps.alerts.models import Alert, Preview
from apps.connectors.models import Connector
from apps.trading.models import EquityPoint, Fill, Flatten, Incident, Order, Position

PUBLIC = frozenset(
    {
        "dashboard:front",
        "webhook",
        "webhook/",
        "healthz",
        "readyz",
        "strategies:list",
        "strategies:detail",
        "account_login",
        "account_logout",
        "account_inactive",
        "account_signup",
        "account_email_verification_sent",
        "account_reset_password",
        "account_confirm_login_code",
        "account_reset_password_from_key",
        "account_reset_password_from_key_done",
        "account_reset_password_done",
        "mfa_authenticate",
    }
)

# Pages of one's own person or workspace, named by no id.
LOGIN = frozenset(
    {
        "dashboard:home",
        "dashboard:live",
        "dashboard:hide_setup",
        "connectors:list",
        "connectors:new",
        "connectors:paper",
        "connectors:new_keys",
        "alerts:list",
        "alerts:csv",
        "trading:orders",
        "trading:orders_csv",
        "trading:positions",
        "trading:incidents",
        "trading:close_everything",
        "trading:positions_csv",
        "accounts:settings",
        "accounts:zone",
        "accounts:stop",
        "accounts:tokens",
        "accounts:revoke_token",
        "account_reauthenticate",
        "account_email",
        "account_change_password",
        "account_set_password",
        "mfa_index",
        "mfa_reauthenticate",
        "mfa_activate_totp",
        "mfa_deactivate_totp",
        "mfa_view_recovery_codes",
        "mfa_generate_recovery_codes",
        "mfa_download_recovery_codes",
        "usersessions_list",
    }
)

# Pages of one row of a workspace: the model its id belongs to.
OWNED: dict[str, type[WorkspaceOwned]] = {
    "connectors:detail": Connector,
    "connectors:findings": Connector,
    "connectors:settings": Connector,
    "connectors:aliases": Connector,
    "connectors:remove_alias": Connector,
    "connectors:credentials": Connector,
    "connectors:rotate": Connector,
    "connectors:check": Connector,
    "connectors:pause": Connector,
    "connectors:resume": Connector,
    "connectors:delete": Connector,
    "alerts:detail": Alert,
    "alerts:run": Alert,
    "alerts:dismiss": Alert,
    "alerts:test": Alert,
    "alerts:replay": Alert,
    "alerts:preview": Preview,
    "alerts:ask": Connector,
    "trading:order": Order,
    "trading:cancel_order": Order,
    "trading:flatten": Flatten,
    "trading:close_connector": Connector,
    "trading:lift_connector": Connector,
    "trading:incident": Incident,
    "trading:resolve_incident": Incident,
    "trading:settle_order": Incident,
    "trading:bring_in_line": Incident,
}

# The same over the API, with a token.
TOKEN = frozenset(
    {
        "api:schema",
        "api:connector-list",
        "api:alert-list",
        "api:order-list",
        "api:fill-list",
        "api:position-list",
        "api:equity-point-list",
        "api:incident-list",
    }
)
TOKEN_OWNED: dict[str, type[WorkspaceOwned]] = {
    "api:connector-detail": Connector,
    "api:alert-detail": Alert,
    "api:order-detail": Order,
    "api:fill-detail": Fill,
    "api:position-detail": Position,
    "api:equity-point-detail": EquityPoint,
    "api:incident-detail": Incident,
}

# What stands in a path besides the id of a row.
ARGUMENTS: dict[str, dict[str, str]] = {
    "connectors:new_keys": {"environment": "paper", "market": "futures"},
    "strategies:detail": {"slug": "none"},
    "account_reset_password_from_key": {"uidb36": "1", "key": "none"},
}

# Lists on which their owner finds a row by its id.
SHOW_IDS = frozenset(
    {"connectors:list", "alerts:list", "alerts:csv", "trading:orders", "trading:orders_csv", "trading:incidents"}
    | {name for name in TOKEN if name.endswith("-list")}
)


@dataclass(frozen=True, slots=True)
class Route:
    """`key` is the full name, or the path of a route without one."""

    key: str
    path: str

    @property
    def is_staff(self) -> bool:
        return self.path.startswith(settings.ADMIN_PATH)


def routes() -> list[Route]:
    return list(_walk(get_resolver().url_patterns, "", ""))


def _walk(patterns: list[Any], path: str, namespace: str) -> Iterator[Route]:
    for pattern in patterns:
        whole = path + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from _walk(pattern.url_patterns, whole, inner)
        else:
            yield Route(f"{namespace}{pattern.name}" if pattern.name else whole, whole)
