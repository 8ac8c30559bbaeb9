"""The trader's own names for symbols: used for what is not listed, and for nothing else."""

from typing import Any

import pytest
from django.urls import reverse

from apps.accounts.models import AuditEvent, Role
from apps.alerts.models import Alert, AlertStatus
from apps.alerts.reading import read_received
from apps.connectors import aliases
from apps.connectors.exchange import Market
from apps.connectors.models import Connector, SymbolAlias
from apps.connectors.symbols import UnknownSymbolError, resolve
from tests.factories import (
    AlertFactory,
    ConnectorFactory,
    InstrumentFactory,
    PointerFactory,
    SymbolAliasFactory,
)
from tests.people import Member, member

LISTING = ("BTCUSDT", "XAUTUSDT")


def meant(ticker: str, **options: Any) -> str:
    return resolve(ticker, market=Market.FUTURES, listing=LISTING, **options).symbol


@pytest.mark.parametrize("ticker", ["XAUUSD", "oanda:xauusd", "XAU/USD", "XAUUSD.P"])
def test_every_spelling_of_the_ticker_reaches_the_aliass_symbol(ticker: str) -> None:
    found = resolve(ticker, market=Market.FUTURES, listing=LISTING, aliases={"XAUUSD": "XAUTUSDT"})

    assert found.symbol == "XAUTUSDT"
    assert found.steps[-1] == "read XAUUSD as XAUTUSDT, as your alias says"


def test_a_listed_symbol_needs_no_alias_and_heeds_none() -> None:
    assert meant("BTCUSDT", aliases={"BTCUSDT": "XAUTUSDT"}) == "BTCUSDT"


def test_an_alias_goes_before_usd_as_usdt() -> None:
    assert meant("BTCUSD", usd_means_usdt=True, aliases={"BTCUSD": "XAUTUSDT"}) == "XAUTUSDT"
    assert meant("BTCUSD", usd_means_usdt=True) == "BTCUSDT"


def test_an_alias_of_a_delisted_symbol_trades_nothing() -> None:
    with pytest.raises(UnknownSymbolError):
        meant("GOLD", aliases={"GOLD": "PAXGUSDT"})


@pytest.fixture
def connector(owner: Member) -> Connector:
    InstrumentFactory()
    InstrumentFactory(symbol="XAUTUSDT", base="XAUT")
    row: Connector = ConnectorFactory(workspace=owner.workspace)
    return row


def post(who: Member, name: str, connector: Connector, **data: Any) -> Any:
    return who.client.post(reverse(f"connectors:{name}", args=[connector.pk]), data)


def kept(connector: Connector) -> dict[str, str]:
    return dict(aliases.of(connector))


def test_the_page_adds_replaces_and_removes(owner: Member, connector: Connector) -> None:
    added = post(owner, "aliases", connector, ticker="OANDA:XAU/USD", symbol="xautusdt")
    first = kept(connector)
    post(owner, "aliases", connector, ticker="XAUUSD", symbol="BTCUSDT.P")
    second = kept(connector)
    page = owner.client.get(reverse("connectors:aliases", args=[connector.pk])).content.decode()
    post(owner, "remove_alias", connector, alias=SymbolAlias.unscoped.get().pk)

    assert added.status_code == 302
    assert first == {"XAUUSD": "XAUTUSDT"}
    assert second == {"XAUUSD": "BTCUSDT"}
    assert "XAUUSD" in page
    assert kept(connector) == {}
    actions = AuditEvent.objects.for_workspace(owner.workspace).order_by("at").values_list("action", flat=True)
    assert list(actions) == ["connector.alias_set", "connector.alias_set", "connector.alias_removed"]


@pytest.mark.parametrize(
    ("ticker", "symbol", "said"),
    [
        (
            "XAUUSD",
            "XAUTUSD",
            "UNKNOWN_SYMBOL: &#x27;XAUTUSD&#x27; is not a symbol of this connector&#x27;s market. Nearest: XAUTUSDT",
        ),
        ("BINANCE:BTCUSDT.P", "XAUTUSDT", "TICKER_LISTED: &#x27;BINANCE:BTCUSDT.P&#x27; is itself a symbol"),
        ("/-_", "BTCUSDT", "TICKER_EMPTY"),
    ],
)
def test_an_alias_that_could_never_be_used_is_refused(
    owner: Member, connector: Connector, ticker: str, symbol: str, said: str
) -> None:
    answer = post(owner, "aliases", connector, ticker=ticker, symbol=symbol)

    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert kept(connector) == {}


def test_a_connector_keeps_a_bounded_number(
    owner: Member, connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aliases, "MOST", 1)
    SymbolAliasFactory(connector=connector, ticker="GOLD")

    refused = post(owner, "aliases", connector, ticker="XAUUSD", symbol="XAUTUSDT")
    replaced = post(owner, "aliases", connector, ticker="GOLD", symbol="BTCUSDT")

    assert (refused.status_code, replaced.status_code) == (422, 302)
    assert kept(connector) == {"GOLD": "BTCUSDT"}


def test_a_viewer_changes_nothing(owner: Member, connector: Connector) -> None:
    viewer = member(role=Role.VIEWER, workspace=owner.workspace)
    alias = SymbolAliasFactory(connector=connector)

    answers = [
        post(viewer, "aliases", connector, ticker="GOLD", symbol="XAUTUSDT").status_code,
        post(viewer, "remove_alias", connector, alias=alias.pk).status_code,
    ]

    assert answers == [403, 403]
    assert kept(connector) == {"XAUUSD": "XAUTUSDT"}


def test_another_connectors_alias_is_not_removed(owner: Member, stranger: Member, connector: Connector) -> None:
    theirs = SymbolAliasFactory(connector=ConnectorFactory(workspace=stranger.workspace))

    post(owner, "remove_alias", connector, alias=theirs.pk)
    post(owner, "remove_alias", connector, alias="no id")

    assert SymbolAlias.unscoped.get() == theirs


def test_an_alert_is_read_by_its_connectors_aliases_only(connector: Connector) -> None:
    SymbolAliasFactory(connector=connector)
    other = ConnectorFactory(workspace=connector.workspace)
    alerts = []
    for one in (connector, other):
        pointer = PointerFactory(connector=one)
        body = (
            '{"ticker":"OANDA:XAUUSD","action":"buy","prev_position":"flat","quantity":"0.01",'
            f'"pointer":"••••{pointer.last4}"}}'
        )
        alerts.append(AlertFactory(pointer=pointer, body=body.encode()))

    read_received()

    read, refused = (Alert.unscoped.get(pk=alert.pk) for alert in alerts)
    assert (read.status, read.symbol) == (AlertStatus.QUEUED, "XAUTUSDT")
    assert read.notes[-1] == {"code": "SYMBOL", "facts": {"step": "read XAUUSD as XAUTUSDT, as your alias says"}}
    assert (refused.status, refused.reason_code) == (AlertStatus.REJECTED, "UNKNOWN_SYMBOL")
