"""Traders, each with a connector and a few pointers, through the product's own code."""

from pathlib import Path

from django.db import transaction

from apps.accounts.models import User
from apps.accounts.signup import open_workspace
from apps.connectors import pointers
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


def _pointers_of_trader(number: int) -> list[str]:
    user = User.objects.create_user(f"bench{number}@example.com", None)
    workspace = open_workspace(user)
    connector = Connector(workspace_id=workspace.pk, label="Bench", market="futures", environment=Environment.PAPER)
    seal_credentials(connector, "bench-access-key-0123456789", "bench-secret-key-0123456789", "bench")
    connector.save(force_insert=True)
    issued = [pointers.issue(connector, source=Pointer.Source.TRADINGVIEW) for _ in range(POINTERS_EACH)]
    return [pointers.reveal(pointer) for pointer in issued]
