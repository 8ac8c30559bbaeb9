import string
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

QUOTE = "USDT"
BMX = "BMX"
QUOTE_NAME = "Tether USD"

# base | name | level | price decimals on spot | size decimals on spot | tick of the contract | contract size | leverage
# Price and size decimals on spot add up to 8 at most: a notional is then exact to eight places.
_TABLE = """
BTC|Bitcoin|67000|2|5|0.1|0.001|100
ETH|Ethereum|3400|2|4|0.01|0.01|100
BNB|BNB|590|2|4|0.01|0.01|75
SOL|Solana|160|2|4|0.01|0.1|75
XRP|XRP|0.55|5|2|0.0001|10|75
ADA|Cardano|0.42|6|2|0.0001|10|50
DOGE|Dogecoin|0.14|6|1|0.00001|100|75
LTC|Litecoin|75|2|4|0.01|0.1|50
LINK|Chainlink|14.5|4|2|0.001|1|50
AVAX|Avalanche|28|4|3|0.001|1|50
DOT|Polkadot|6.3|4|2|0.001|1|50
TRX|TRON|0.13|6|1|0.00001|100|50
MATIC|Polygon|0.56|5|2|0.0001|10|50
BCH|Bitcoin Cash|390|2|4|0.01|0.01|50
UNI|Uniswap|8.2|4|2|0.001|1|50
ATOM|Cosmos|6.8|4|2|0.001|1|50
ETC|Ethereum Classic|23|3|3|0.001|1|50
XLM|Stellar|0.1|6|1|0.00001|100|50
FIL|Filecoin|4.4|4|2|0.001|1|50
NEAR|NEAR Protocol|5.1|4|2|0.001|1|50
APT|Aptos|7.4|4|2|0.001|1|50
ARB|Arbitrum|0.78|5|2|0.0001|10|50
OP|Optimism|1.75|4|2|0.0001|10|50
SUI|Sui|0.92|5|2|0.0001|10|50
INJ|Injective|24|3|3|0.001|1|50
AAVE|Aave|92|2|4|0.01|0.1|50
ALGO|Algorand|0.15|5|2|0.0001|10|50
HBAR|Hedera|0.075|6|1|0.00001|100|50
ICP|Internet Computer|8.6|4|2|0.001|1|50
PEPE|Pepe|0.0000115|8|0|0.0000000001|100000|50
SHIB|Shiba Inu|0.0000181|8|0|0.000000001|10000|50
TON|Toncoin|7.1|4|2|0.001|1|50
"""

KNOWN = len(_TABLE.strip().splitlines())
MOST = KNOWN + 26**3


@dataclass(frozen=True, slots=True)
class Coin:
    currency: str
    name: str
    level: Decimal


@dataclass(frozen=True, slots=True)
class SpotInstrument:
    symbol: str
    symbol_id: int
    base: Coin
    price_places: int
    size_places: int
    min_notional: Decimal
    taker_fee_rate: Decimal
    maker_fee_rate: Decimal

    @property
    def tick(self) -> Decimal:
        return Decimal(1).scaleb(-self.price_places)

    @property
    def step(self) -> Decimal:
        return Decimal(1).scaleb(-self.size_places)

    @property
    def max_size(self) -> Decimal:
        return Decimal(99_999_999)


@dataclass(frozen=True, slots=True)
class Bracket:
    number: int
    leverage: int
    floor: Decimal
    cap: Decimal
    ratio: Decimal
    cum: Decimal


@dataclass(frozen=True, slots=True)
class FuturesInstrument:
    symbol: str
    base: Coin
    tick: Decimal
    contract_size: Decimal
    max_leverage: int
    max_volume: Decimal
    market_max_volume: Decimal
    taker_fee_rate: Decimal
    maker_fee_rate: Decimal
    brackets: tuple[Bracket, ...]

    def value(self, contracts: Decimal, price: Decimal) -> Decimal:
        return contracts * self.contract_size * price

    def notional_cap(self, leverage: Decimal) -> Decimal:
        """Return the largest value that a position at this leverage may have."""
        return max(bracket.cap for bracket in self.brackets if leverage <= bracket.leverage)

    def maintenance_rate(self, value: Decimal) -> Decimal:
        for bracket in self.brackets:
            if value <= bracket.cap:
                return bracket.ratio
        return self.brackets[-1].ratio


@dataclass(frozen=True, slots=True)
class Catalogue:
    coins: Mapping[str, Coin]
    spot: Mapping[str, SpotInstrument]
    futures: Mapping[str, FuturesInstrument]


_BRACKETS = ((1, 500_000), (2, 5_000_000), (5, 50_000_000))


def _brackets(max_leverage: int) -> tuple[Bracket, ...]:
    rows: list[Bracket] = []
    floor, cum, previous = Decimal(0), Decimal(0), Decimal(0)
    for number, (divisor, cap) in enumerate(
        ((1, 500_000), (2, 5_000_000), (5, 50_000_000), (max_leverage, 500_000_000)), start=1
    ):
        leverage = max(1, max_leverage // divisor)
        # Half of the initial margin at the bracket's leverage, less a tenth: 0.0045 at 100 times.
        ratio = Decimal("0.45") / leverage
        cum += floor * (ratio - previous)
        rows.append(Bracket(number, leverage, floor, Decimal(cap), ratio, cum))
        floor, previous = Decimal(cap), ratio
    return tuple(rows)


def _coins(count: int) -> list[tuple[Coin, list[str]]]:
    """Return the rows of the table and then made-up ones, the same for ever, until there are `count`."""
    rows = [line.split("|") for line in _TABLE.strip().splitlines()]
    known = [(Coin(row[0], row[1], Decimal(row[2])), row[3:]) for row in rows]
    if count < len(known):
        return known[:count]
    return known + [_made_up(number) for number in range(count - len(known))]


def _made_up(number: int) -> tuple[Coin, list[str]]:
    # Four letters that begin with Q: no coin of the table has such a name.
    letters = "".join(string.ascii_uppercase[number // 26**place % 26] for place in (2, 1, 0))
    digits, head = -(number % 7) + 3, 10 + number * 37 % 90
    level = Decimal(head).scaleb(digits - 1)
    places = min(max(4 - digits, 2), 8)
    tick = Decimal(1).scaleb(-places)
    contract = Decimal(1).scaleb(max(-digits, -3) + 1)
    size_places = str(min(max(digits + 1, 0), 8 - places))
    leverage = str((20, 50, 75, 100)[number % 4])
    row = [str(places), size_places, format(tick, "f"), format(contract, "f"), leverage]
    return Coin(f"Q{letters}", f"Coin Q{letters}", level), row


def _spot(coin: Coin, row: list[str], symbol_id: int) -> SpotInstrument:
    major = symbol_id <= 60
    return SpotInstrument(
        symbol=f"{coin.currency}_{QUOTE}",
        symbol_id=symbol_id,
        base=coin,
        price_places=int(row[0]),
        size_places=int(row[1]),
        min_notional=Decimal(5),
        taker_fee_rate=Decimal("0.001") if major else Decimal("0.0025"),
        maker_fee_rate=Decimal("0.0008") if major else Decimal("0.002"),
    )


def _futures(coin: Coin, row: list[str]) -> FuturesInstrument:
    return FuturesInstrument(
        symbol=f"{coin.currency}{QUOTE}",
        base=coin,
        tick=Decimal(row[2]),
        contract_size=Decimal(row[3]),
        max_leverage=int(row[4]),
        max_volume=Decimal(1_000_000),
        market_max_volume=Decimal(500_000),
        taker_fee_rate=Decimal("0.0006"),
        maker_fee_rate=Decimal("0.0002"),
        brackets=_brackets(int(row[4])),
    )


def build_catalogue(count: int = KNOWN) -> Catalogue:
    """Return `count` spot pairs and as many perpetuals, and the exchange's own token on spot."""
    rows = _coins(count)
    spot = [_spot(coin, row, 53 + place) for place, (coin, row) in enumerate(rows)]
    futures = [_futures(coin, row) for coin, row in rows]
    token = Coin(BMX, "BitMart Token", Decimal("0.18"))
    spot.append(_spot(token, ["5", "2"], 53 + len(rows)))
    coins = {coin.currency: coin for coin, _ in rows} | {BMX: token} | {QUOTE: Coin(QUOTE, QUOTE_NAME, Decimal(1))}
    return Catalogue(coins, {i.symbol: i for i in spot}, {i.symbol: i for i in futures})
