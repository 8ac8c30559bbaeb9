"""Where BitMart's documents and its live frames disagree: which of the two the streams follow."""

from dataclasses import dataclass

from apps.paper.params import Params

KLINES = ("items", "flat")
TABLES = ("order", "orders")
SUFFIXES = ("", "@100ms")
_SWITCH = ("on", "off")


@dataclass(slots=True)
class Manners:
    """`kline` and `ticker_suffix` shape futures pushes, `order_table` names the table of the spot topic of all symbols.

    `deflate` has every push leave as raw deflate; without it only the hosts and paths that ask for it get that.
    """

    kline: str = "items"
    order_table: str = "order"
    ticker_suffix: str = ""
    deflate: bool = False

    def change(self, params: Params) -> None:
        """Take the fields that are given; refuse all of them when one is none of the known."""
        kline = params.choice("kline", KLINES, code=50021, default=self.kline)
        table = params.choice("order_table", TABLES, code=50021, default=self.order_table)
        suffix = self.ticker_suffix
        if "ticker_suffix" in params.values:
            suffix = params.text("ticker_suffix") or ""
        if suffix not in SUFFIXES:
            raise params.invalid("ticker_suffix")
        deflate = params.choice("deflate", _SWITCH, code=50021, default=_SWITCH[0] if self.deflate else _SWITCH[1])
        self.kline, self.order_table, self.ticker_suffix, self.deflate = kline, table, suffix, deflate == "on"
