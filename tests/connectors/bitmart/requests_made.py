"""One request of each kind, for tests of what is sent and of what comes back."""

from decimal import Decimal

from apps.connectors.exchange import (
    Crossing,
    MarginMode,
    OrderRequest,
    OrderType,
    PresetPrice,
    PriceSource,
    Protection,
    ProtectionRequest,
    Side,
    TrailingRequest,
    TriggerChange,
    TriggerRequest,
)

BATCH = [
    OrderRequest(
        "tv00000011", "BTC_USDT", Side.BUY, OrderType.LIMIT, quantity=Decimal("0.01"), price=Decimal("60000.00")
    ),
    OrderRequest("tv00000012", "BTC_USDT", Side.BUY, OrderType.MARKET, notional=Decimal("25.50")),
]
TRIGGER = TriggerRequest(
    symbol="BTCUSDT",
    side=Side.BUY,
    quantity=Decimal(10),
    trigger_price=Decimal("60000.5"),
    crossing=Crossing.RISES_TO,
    price=Decimal(60100),
    leverage=Decimal(5),
    margin_mode=MarginMode.ISOLATED,
    take_profit=PresetPrice(Decimal(65000)),
    stop_loss=PresetPrice(Decimal(58000), PriceSource.MARK),
)
TRIGGER_CHANGE = TriggerChange(
    symbol="BTCUSDT",
    exchange_order_id="220609666322019",
    trigger_price=Decimal(60500),
    source=PriceSource.MARK,
    price=Decimal(60600),
)
STOP_LOSS = ProtectionRequest(
    client_order_id="tv00000003",
    symbol="BTCUSDT",
    kind=Protection.STOP_LOSS,
    side=Side.SELL,
    trigger_price=Decimal(58000),
    source=PriceSource.MARK,
)
TRAILING = TrailingRequest(
    symbol="BTCUSDT",
    side=Side.SELL,
    quantity=Decimal(10),
    activation_price=Decimal(61000),
    callback_rate=Decimal("0.005"),
    reduce_only=True,
)
