"""The first strategies of the catalogue: public, simple rules that anyone can build from TradingView's own scripts."""

from typing import TypedDict

from apps.strategies.models import Strategy


class Seed(TypedDict):
    slug: str
    name: str
    summary: str
    rules: str
    risks: str
    market: str
    ticker: str
    timeframe: str
    chart_url: str
    position: int


SEEDS: list[Seed] = [
    {
        "slug": "btc-trend",
        "name": "BTC trend",
        "summary": "Follows Bitcoin's larger moves, long and short, by two crossing averages on the 4-hour chart.",
        "market": "futures",
        "ticker": "BTCUSDT.P",
        "timeframe": "4h",
        "chart_url": "https://www.tradingview.com/chart/?symbol=BINANCE%3ABTCUSDT.P&interval=240",
        "position": 10,
        "rules": """\
Always in the market, one position, reversed when the direction changes.

- **Long** when the 20-bar exponential average closes above the 50-bar one.
- **Short** when it closes below.
- **Reversal:** the opposite crossing closes the position and opens the other side in one alert.
- **Size:** fixed, set in the script's properties. Orders at the close of the bar.

To build it: open the chart, add the built-in *MovingAvg2Line Cross* strategy, set the lengths to 20 and 50 and the
order size in base units, not in percent. One alert on the strategy covers every order.
""",
        "risks": """\
- In a market without direction the averages cross back and forth: many small losses in a row, each with two fees.
- The averages lag. Part of every move is over before the entry, and part of the gain is given back before the exit.
- The position is held through gaps and funding. There is no stop order at the exchange.
""",
    },
    {
        "slug": "eth-breakout",
        "name": "ETH breakout",
        "summary": "Buys Ether above its range, sells it short below, turns with each breakout on the 1-hour chart.",
        "market": "futures",
        "ticker": "ETHUSDT.P",
        "timeframe": "1h",
        "chart_url": "https://www.tradingview.com/chart/?symbol=BINANCE%3AETHUSDT.P&interval=60",
        "position": 20,
        "rules": """\
One position at a time, turned by the opposite breakout.

- **Long** when the price rises above the highest high of the last 20 bars.
- **Short** when it falls below the lowest low of the last 20 bars.
- **Exit:** by the opposite breakout, which reverses the position.
- **Size:** fixed, set in the script's properties.

To build it: open the chart, add the built-in *ChannelBreakOutStrategy* and set its length to 20. It enters by stop
inside the bar, so alerts come at any moment, not only at the bar's close.
""",
        "risks": """\
- Most breakouts fail: fewer than half of the trades can be expected to gain, and the losing ones come in series.
- Entries chase a moving price. In fast markets the fill is worse than the chart shows.
- A wide range means a wide distance to the exit, and so a large loss on a single trade.
""",
    },
    {
        "slug": "btc-spot-dips",
        "name": "BTC spot dips",
        "summary": "Buys Bitcoin after a sharp fall in a rising market and sells the recovery. Spot, no leverage.",
        "market": "spot",
        "ticker": "BTCUSDT",
        "timeframe": "1D",
        "chart_url": "https://www.tradingview.com/chart/?symbol=BINANCE%3ABTCUSDT&interval=1D",
        "position": 30,
        "rules": """\
Long or in cash, spot only.

- **Buy** when the 2-day RSI closes below 10 while the price is above its 200-day average.
- **Sell everything** when the 2-day RSI closes above 70.
- **Size:** fixed, set in the script's properties. Orders at the close of the day.

To build it, this is the whole script:

    //@version=6
    strategy("BTC spot dips", default_qty_type = strategy.fixed, default_qty_value = 0.001)
    rsi = ta.rsi(close, 2)
    if rsi < 10 and close > ta.sma(close, 200)
        strategy.entry("Dip", strategy.long)
    if rsi > 70
        strategy.close("Dip")
""",
        "risks": """\
- A dip can be the start of a crash: there is no stop, and the position is held until the RSI recovers.
- Few trades, weeks apart. A handful of them decides the year's result.
- While the price is under its 200-day average nothing is bought, recoveries included.
""",
    },
]


def seed() -> int:
    """Publish the seeds that are missing and return how many; an entry that staff edited stays as it is."""
    made = 0
    for entry in SEEDS:
        facts = {**entry, "status": Strategy.Status.PUBLISHED}
        slug = facts.pop("slug")
        made += Strategy.objects.get_or_create(slug=slug, defaults=facts)[1]
    return made
