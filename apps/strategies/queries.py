from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.models import Workspace
from apps.connectors import pointers
from apps.connectors.message import close_all_message, standard_message
from apps.connectors.models import Connector
from apps.strategies.models import Strategy

PLACEHOLDER = "PASTE-YOUR-POINTER-HERE"


@dataclass(frozen=True, slots=True)
class MessageToPaste:
    """`has_pointer` False: the text carries the placeholder."""

    standard: str
    close_all: str
    has_pointer: bool


def published() -> QuerySet[Strategy]:
    return Strategy.objects.filter(status=Strategy.Status.PUBLISHED)


def fitting_connectors(workspace: Workspace, strategy: Strategy) -> list[Connector]:
    """Return the workspace's connectors of the strategy's market, oldest first."""
    connectors = Connector.objects.for_workspace(workspace).filter(market=strategy.market, deleted_at=None)
    return list(connectors.order_by("created_at"))


def chosen(connectors: Iterable[Connector], pk: UUID | None) -> Connector | None:
    """Return the connector with that id, else the first, else None."""
    listed = list(connectors)
    return next((connector for connector in listed if connector.pk == pk), listed[0] if listed else None)


def message_for(strategy: Strategy, connector: Connector | None) -> MessageToPaste:
    pointer = pointers.current(connector) if connector is not None else None
    text = pointers.reveal(pointer) if pointer is not None else PLACEHOLDER
    return MessageToPaste(
        standard=standard_message(text, tag=tag_of(strategy)),
        close_all=close_all_message(text),
        has_pointer=pointer is not None,
    )


def tag_of(strategy: Strategy) -> str:
    """Return four characters that keep this strategy's alert ids apart from those of another on the same symbol."""
    return sha256(strategy.slug.encode()).hexdigest()[:4]
