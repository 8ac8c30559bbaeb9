"""Traders, each with a connector and a few pointers, through the product's own code."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from django.db import transaction

from apps.accounts.models import User
from apps.accounts.signup import open_workspace
from apps.connectors import pointers
from apps.connectors.exchange import Credentials
from apps.connectors.models import Connector, Environment, Pointer
from apps.connectors.opening import seal_credentials

POINTERS_EACH = 30


def many_pointers(count: int, kept: Path) -> list[str]:
    """Return the texts of `count` live pointers of many workspaces; made once, kept in the file `kept`."""
    if kept.is_file():
        return kept.read_text().split()
    with transaction.atomic():
        texts = [text for number in range(count // POINTERS_EACH) for text in _pointers_of_trader(number)]
    kept.write_text("\n".join(texts))
    return texts


def desks(count: int, open_account: Callable[[], Credentials]) -> list[str]:
    """Return the texts of one live pointer of each of `count` futures connectors, all of them able to trade."""
    return [_desk(number, open_account()) for number in range(count)]


@transaction.atomic
def _desk(number: int, account: Credentials) -> str:
    user = User.objects.create_user(f"desk{number}@example.com", None)
    connector = Connector(
        workspace_id=open_workspace(user).pk,
        label="Desk",
        market="futures",
        environment=Environment.PAPER,
        max_orders_per_minute=10**6,
        max_order_notional=Decimal(10) ** 6,
        max_open_notional=Decimal(10) ** 6,
    )
    seal_credentials(connector, account.access_key, account.secret_key, account.memo)
    connector.save(force_insert=True)
    return pointers.reveal(pointers.issue(connector, source=Pointer.Source.TRADINGVIEW))


def _pointers_of_trader(number: int) -> list[str]:
    user = User.objects.create_user(f"bench{number}@example.com", None)
    workspace = open_workspace(user)
    connector = Connector(workspace_id=workspace.pk, label="Bench", market="futures", environment=Environment.PAPER)
    seal_credentials(connector, "bench-access-key-0123456789", "bench-secret-key-0123456789", "bench")
    connector.save(force_insert=True)
    issued = [pointers.issue(connector, source=Pointer.Source.TRADINGVIEW) for _ in range(POINTERS_EACH)]
    return [pointers.reveal(pointer) for pointer in issued]
