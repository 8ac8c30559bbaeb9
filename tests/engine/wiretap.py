"""Every request that leaves for the exchange, with the exact bytes of its body; and one way to send none."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
import requests

from apps.connectors import opening
from apps.connectors.bitmart import transport
from apps.connectors.bitmart.transport import RawAnswer, Transport
from apps.connectors.exchange import NotSentError
from apps.connectors.models import Connector
from apps.trading.executor import request_of
from apps.trading.models import Order


@dataclass(slots=True)
class Wiretap:
    """`posts` are (path, body) in the order in which they left."""

    posts: list[tuple[str, bytes]] = field(default_factory=list)
    is_cut: bool = False

    def take(self) -> list[tuple[str, bytes]]:
        taken, self.posts = self.posts, []
        return taken


class _Tapped(Transport):
    def __init__(self, tap: Wiretap) -> None:
        super().__init__()
        self._tap = tap

    def send(self, request: requests.PreparedRequest) -> RawAnswer:
        if request.method != "GET":
            body = request.body if isinstance(request.body, bytes) else (request.body or "").encode()
            self._tap.posts.append((urlsplit(request.url or "").path, body))
            if self._tap.is_cut:
                raise NotSentError("the wire is cut")
        return super().send(request)


@contextmanager
def tapped() -> Iterator[Wiretap]:
    tap = Wiretap()
    with transport.replaced(lambda: _Tapped(tap)):
        opening.close_all()
        yield tap
    opening.close_all()


def bytes_of(tap: Wiretap, connector: Connector, orders: list[Order]) -> list[tuple[str, bytes]]:
    """Return what the adapter would send for the (unsaved) orders, from the wire itself, cut before the exchange."""
    tap.take()
    tap.is_cut = True
    for order in orders:
        with pytest.raises(NotSentError):
            opening.open_connector(connector).submit(request_of(order), signed_at_ms=1_700_000_000_000)
    tap.is_cut = False
    return tap.take()
