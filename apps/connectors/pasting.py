"""The messages that a connector's page offers to paste."""

from dataclasses import dataclass

from apps.connectors.exchange import Market
from apps.connectors.message import close_all_message, standard_message, trendspider_message
from apps.connectors.models import Pointer
from apps.connectors.pointers import PREFIX


@dataclass(frozen=True, slots=True)
class Paste:
    """One message to paste: what it is for, when to use it, and its text with the pointer whole and masked."""

    title: str
    use: str
    message: str
    pointer_text: str

    @property
    def masked(self) -> str:
        return self.message.replace(self.pointer_text, f"{PREFIX}••••{self.pointer_text[-4:]}")


TRENDSPIDER_SIDES = (
    ("enter long", "buy", "flat", False),
    ("exit long", "sell", "long", False),
    ("enter short", "sell", "flat", True),
    ("exit short", "buy", "short", True),
)


def messages_to_paste(pointer_text: str, *, source: str, market: str) -> tuple[Paste, ...]:
    """Return the messages of a connector, those of its own source first; a spot connector gets none for shorts."""
    tradingview = (
        Paste(
            "TradingView strategy",
            "One alert on the strategy covers entries, exits and reversals.",
            standard_message(pointer_text),
            pointer_text,
        ),
    )
    trendspider = tuple(
        Paste(
            f"TrendSpider, {title}",
            "Type the size you want in place of 0.01, in units of the coin.",
            trendspider_message(pointer_text, action=action, prev_position=before),
            pointer_text,
        )
        for title, action, before, is_short in TRENDSPIDER_SIDES
        if not (is_short and market == Market.SPOT)
    )
    close_all = Paste(
        "Close all", "Closes whatever is open in the alert's symbol.", close_all_message(pointer_text), pointer_text
    )
    is_trendspider = source == Pointer.Source.TRENDSPIDER
    first, second = (trendspider, tradingview) if is_trendspider else (tradingview, trendspider)
    return (*first, *second, close_all)
