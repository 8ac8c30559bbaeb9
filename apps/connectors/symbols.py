"""A sender's ticker to one symbol of the connector's market. Looked up in the venue's listing, never guessed."""

import difflib
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

from apps.connectors.exchange import Market

MAX_TICKER = 64
NEAREST = 3

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_SEPARATORS = re.compile(r"[/\-_\s]")
# ccxt writes the currency a perpetual settles in after a colon: BTC/USDT:USDT.
_SETTLED = re.compile(r"(?P<pair>[^/]+/[^/:]+):(?P<settle>[A-Z]{2,10})")
_PREFIXED = re.compile(r"(?P<prefix>.*:)(?P<rest>[^:]*[A-Z][^:]*)")
_PERPETUAL = re.compile(r"(?P<rest>.+?)(?P<suffix>\.P|[.\-_/ ]PERP|[\-_ ]SWAP)")
_PERPETUAL_WORD = re.compile(r"(?P<rest>.{5,})(?P<suffix>PERP)")


@dataclass(frozen=True, slots=True)
class NormalizedTicker:
    """`candidate` is folded like a listing key: upper case, no separator. `steps` say what was changed, for people."""

    candidate: str
    steps: tuple[str, ...]
    says_perpetual: bool


@dataclass(frozen=True, slots=True)
class Resolution:
    """`symbol` is the venue's own spelling."""

    symbol: str
    steps: tuple[str, ...]


class UnknownSymbolError(Exception):
    """No symbol of the market goes by this ticker; `nearest` holds up to three venue symbols that look like it."""

    code = "UNKNOWN_SYMBOL"

    def __init__(self, found: str, *, market: Market, nearest: tuple[str, ...]) -> None:
        self.found = found
        self.market = market
        self.nearest = nearest
        super().__init__(self.sentence)

    @property
    def facts(self) -> dict[str, str]:
        return {
            "field": "ticker",
            "found": self.found,
            "market": self.market.value,
            "accepted": ", ".join(self.nearest),
        }

    @property
    def sentence(self) -> str:
        hint = f" Nearest: {', '.join(self.nearest)}." if self.nearest else ""
        return (
            f"'{self.found}' is not a symbol of this connector's {self.market} market, so nothing was traded.{hint} "
            "Type the ticker in the alert's message as the exchange spells it."
        )


def normalize(ticker: str) -> NormalizedTicker:
    """Return what a ticker means before any listing is asked; never raises."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", ticker)).strip().upper()
    steps = [] if text == ticker else [f"read {_shown(ticker)} as {_shown(text)}"]
    says_perpetual = False
    if text.startswith("^"):
        text = text.lstrip("^")
        steps.append("dropped the leading ^")
    if settled := _SETTLED.fullmatch(text):
        text, says_perpetual = settled["pair"], True
        steps.append(f"dropped the settlement currency :{settled['settle']}")
    if prefixed := _PREFIXED.fullmatch(text):
        text = prefixed["rest"]
        steps.append(f"dropped the exchange prefix {_shown(prefixed['prefix'])}")
    if suffixed := _PERPETUAL.fullmatch(text):
        text, says_perpetual = suffixed["rest"], True
        steps.append(f"dropped the suffix {suffixed['suffix'].strip()}")
    text, folding = _folded(text)
    steps += folding
    if suffixed := _PERPETUAL_WORD.fullmatch(text):
        text, says_perpetual = suffixed["rest"], True
        steps.append("dropped the suffix PERP")
    if len(text) > len("USDTM") and text.endswith("USDTM"):
        text, says_perpetual = text.removesuffix("M"), True
        steps.append("read USDTM as USDT")
    if text.startswith("XBT"):
        text = "BTC" + text.removeprefix("XBT")
        steps.append("read XBT as BTC")
    return NormalizedTicker(text, tuple(steps), says_perpetual)


def resolve(
    ticker: str,
    *,
    market: Market,
    listing: Mapping[str, str] | Collection[str],
    usd_means_usdt: bool = False,
    aliases: Mapping[str, str] | None = None,
) -> Resolution:
    """Return the venue's symbol for `ticker`, from `listing`: folded name to venue symbol, or just the venue symbols.

    `aliases` are the trader's own, `normalize(…).candidate` to venue symbol; they speak for what is not listed, before
    USD is taken for USDT, which happens only when `usd_means_usdt` says so and the USD pair itself is not listed. Raise
    UnknownSymbolError when nothing, or more than one thing, goes by the name, or the alias's symbol is not listed.
    """
    # A listing of thousands is folded once, not for every alert.
    symbols = _folded_once(listing) if isinstance(listing, tuple) else _by_folded_name(listing)
    normal = normalize(ticker[:MAX_TICKER])
    if len(ticker) > MAX_TICKER:
        raise UnknownSymbolError(_shown(ticker), market=market, nearest=_nearest(normal.candidate, symbols))
    as_written = _folded(ticker.strip().upper())[0]
    if as_written in symbols:
        symbol = _only(symbols[as_written], ticker, market)
        return Resolution(symbol, () if symbol == ticker else (f"read {_shown(ticker)} as {symbol}",))
    candidate, steps = normal.candidate, normal.steps
    if candidate not in symbols and aliases and (meant := aliases.get(candidate)):
        candidate, steps = (
            _folded(meant.upper())[0],
            (*steps, f"read {_shown(candidate)} as {meant}, as your alias says"),
        )
        if candidate in symbols:
            return Resolution(_only(symbols[candidate], meant, market), steps)
    if candidate not in symbols and usd_means_usdt and candidate.endswith("USD"):
        candidate, steps = candidate + "T", (*steps, "read USD as USDT, as the connector is set")
    if candidate not in symbols:
        raise UnknownSymbolError(_shown(ticker), market=market, nearest=_nearest(normal.candidate, symbols))
    if normal.says_perpetual and market is Market.SPOT:
        steps = (*steps, "the ticker names a perpetual; this connector trades spot, so the spot pair is used")
    return Resolution(_only(symbols[candidate], ticker, market), steps)


@lru_cache(maxsize=16)
def _folded_once(listing: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    return _by_folded_name(listing)


def _by_folded_name(listing: Mapping[str, str] | Collection[str]) -> dict[str, tuple[str, ...]]:
    pairs = listing.items() if isinstance(listing, Mapping) else ((symbol, symbol) for symbol in listing)
    symbols: dict[str, tuple[str, ...]] = {}
    for name, symbol in pairs:
        folded = _folded(name.upper())[0]
        symbols[folded] = (*symbols.get(folded, ()), symbol)
    return symbols


def _only(symbols: tuple[str, ...], ticker: str, market: Market) -> str:
    """Return the one symbol of a name; of several (`A_BC`, `AB_C`) only the one that was spelt out."""
    if len(symbols) == 1:
        return symbols[0]
    spelt = ticker.strip().upper()
    if spelt in symbols:
        return spelt
    raise UnknownSymbolError(_shown(ticker), market=market, nearest=symbols[:NEAREST])


def _nearest(candidate: str, symbols: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    names = [candidate + "T"] if candidate + "T" in symbols else []
    names += [name for name in difflib.get_close_matches(candidate, symbols, n=NEAREST) if name not in names]
    return tuple(symbols[name][0] for name in names[:NEAREST])


def _folded(text: str) -> tuple[str, tuple[str, ...]]:
    folded = _SEPARATORS.sub("", text)
    return folded, () if folded == text else (f"dropped the separators of {_shown(text)}",)


def _shown(text: str) -> str:
    short = text[:MAX_TICKER]
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in short)
