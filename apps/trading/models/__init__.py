"""Act: orders and what became of them."""

from apps.trading.models.account import (
    AccountWatch,
    EquityPoint,
    Flatten,
)
from apps.trading.models.incident import (
    Incident,
)
from apps.trading.models.orders import (
    DOUBTFUL_STATES,
    FINAL_STATES,
    LIVE_STATES,
    MOVES,
    OPEN_STATES,
    ZERO,
    Order,
    OrderEvent,
    OrderState,
    PlanRecord,
    choices_of,
)
from apps.trading.models.positions import (
    Adjustment,
    Fill,
    LedgerEntry,
    Position,
    ShadowPosition,
)
from apps.trading.models.protection import (
    Protection,
    ProtectionState,
)
from apps.trading.models.workers import (
    Lease,
    WorkerHeartbeat,
)

__all__ = [
    "DOUBTFUL_STATES",
    "FINAL_STATES",
    "LIVE_STATES",
    "MOVES",
    "OPEN_STATES",
    "ZERO",
    "AccountWatch",
    "Adjustment",
    "EquityPoint",
    "Fill",
    "Flatten",
    "Incident",
    "Lease",
    "LedgerEntry",
    "Order",
    "OrderEvent",
    "OrderState",
    "PlanRecord",
    "Position",
    "Protection",
    "ProtectionState",
    "ShadowPosition",
    "WorkerHeartbeat",
    "choices_of",
]
