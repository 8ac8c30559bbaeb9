"""An account with a past: one alert of each outcome, open positions in both markets, a position that is flat again."""

from dataclasses import dataclass

from tests.e2e.product import Product

REFUSED_QUANTITY = "0.00001"
HELD_QUANTITY = "0.002"


@dataclass(frozen=True, slots=True)
class History:
    """Ids of alerts of the demo user, and of the order behind the filled one."""

    filled: str
    rejected: str
    duplicate: str
    held: str
    ignored: str
    order: str
    spot: str
    futures: str


def live_through(product: Product) -> History:
    """Deliver the alerts and wait for what becomes of each."""
    futures, spot = product.pointer("futures"), product.pointer("spot")

    def buy(pointer: str, ticker: str, quantity: str, **more: str) -> str:
        message = {"ticker": ticker, "action": "buy", "prev_position": "flat", "quantity": quantity, "pointer": pointer}
        return product.post(message | more)

    filled = buy(futures, "BTCUSDT.P", "0.01", id="first")
    short = buy(futures, "ETHUSDT.P", "0.2", action="sell")
    held_spot = buy(spot, "BTCUSDT", "0.005")
    solana = buy(futures, "SOLUSDT.P", "2")
    for alert_id in (filled, short, held_spot, solana):
        product.alert_settles(alert_id)
    duplicate = buy(futures, "BTCUSDT.P", "0.01", id="first")
    over = buy(futures, "SOLUSDT.P", "2", action="sell", prev_position="long")
    rejected = buy(spot, "ETHUSDT", REFUSED_QUANTITY)
    ignored = product.post(f"The strategy woke up. {futures}")
    pair = [buy(spot, "BTCUSDT", HELD_QUANTITY) for _ in range(2)]
    outcome = {
        alert_id: str(product.alert_settles(alert_id)["status"]).upper()
        for alert_id in (duplicate, over, rejected, ignored, *pair)
    }
    [held] = [alert_id for alert_id in pair if outcome[alert_id] == "HELD"]
    [order] = product.api(f"orders/?alert={filled}")["results"]
    ids = {connector["market"]: connector["id"] for connector in product.facts["connectors"]}
    return History(filled, rejected, duplicate, held, ignored, order["id"], ids["spot"], ids["futures"])
