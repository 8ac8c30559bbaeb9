"""A connector's own names for symbols: the ticker a chart sends, and what is traded for it."""

from collections.abc import Collection, Mapping
from uuid import UUID

from apps.connectors import instruments
from apps.connectors.exchange import Market
from apps.connectors.models import Connector, SymbolAlias
from apps.connectors.symbols import MAX_TICKER, UnknownSymbolError, normalize, resolve
from apps.lib.compiled import Compiled

MOST = 200


class AliasError(Exception):
    """Refused, nothing stored; `field` is the input it is about."""

    def __init__(self, code: str, sentence: str, *, field: str) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.field = field


def of(connector: Connector) -> Mapping[str, str]:
    """Return folded ticker to symbol, for `symbols.resolve`."""
    return dict(pairs_of(workspace=connector.workspace_id, connector=connector.pk))


pairs_of = Compiled(
    lambda workspace, connector: (
        SymbolAlias.objects.for_workspace(workspace)
        .filter(connector_id=connector)
        .order_by("ticker")
        .values_list("ticker", "symbol")
    )
)


def add(connector: Connector, *, ticker: str, symbol: str) -> SymbolAlias:
    """Store an alias; one of the same ticker gives way. AliasError when it could never be used."""
    folded = normalize(ticker[:MAX_TICKER]).candidate
    listing = instruments.listing(connector.environment, connector.market)
    market = Market(connector.market)
    if not folded:
        raise AliasError("TICKER_EMPTY", f"'{ticker[:MAX_TICKER]}' holds no letter or digit.", field="ticker")
    if _is_listed(folded, market, listing):
        raise AliasError(
            "TICKER_LISTED",
            f"'{ticker[:MAX_TICKER]}' is itself a symbol of this market, so an alias for it would never be used. "
            "Nothing was stored.",
            field="ticker",
        )
    try:
        meant = resolve(symbol, market=market, listing=listing).symbol
    except UnknownSymbolError as error:
        nearest = f" Nearest: {', '.join(error.nearest)}." if error.nearest else ""
        raise AliasError(
            error.code,
            f"'{error.found}' is not a symbol of this connector's market.{nearest} Nothing was stored.",
            field="symbol",
        ) from None
    aliases = SymbolAlias.objects.for_workspace(connector.workspace_id).filter(connector=connector)
    existing = aliases.filter(ticker=folded).first()
    if existing is None and aliases.count() >= MOST:
        raise AliasError(
            "TOO_MANY_ALIASES", f"A connector keeps up to {MOST} aliases. Remove one first.", field="ticker"
        )
    alias = existing or SymbolAlias(workspace_id=connector.workspace_id, connector=connector, ticker=folded)
    alias.symbol = meant
    alias.save()
    return alias


def remove(connector: Connector, alias_id: UUID) -> SymbolAlias | None:
    """Delete the connector's alias and return what it was; None when it is not there."""
    rows = SymbolAlias.objects.for_workspace(connector.workspace_id)
    alias: SymbolAlias | None = rows.filter(connector=connector, pk=alias_id).first()
    if alias is not None:
        rows.filter(pk=alias.pk).delete()
    return alias


def _is_listed(folded: str, market: Market, listing: Collection[str]) -> bool:
    try:
        resolve(folded, market=market, listing=listing)
    except UnknownSymbolError as error:
        # Two symbols of one folded name: the ticker is listed, only not spelt out.
        return any(normalize(symbol).candidate == folded for symbol in error.nearest)
    return True
