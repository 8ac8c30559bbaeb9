"""Orders and each step of theirs. An order knows nothing of the alert that caused it (`origin_id` is opaque)."""

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Q

from apps.accounts.tenancy import WorkspaceOwned
from apps.connectors.exchange import Book, MarginMode, OrderType, Side, TimeInForce
from apps.connectors.models import Connector, Instrument
from apps.lib import world
from apps.lib.fields import MoneyField
from apps.trading.legs import Intent

ZERO = Decimal(0)


def choices_of(enum: Any) -> list[tuple[str, str]]:
    return [(member.value, member.value) for member in enum]


class OrderState(models.TextChoices):
    PLANNED = "planned", "queued"
    SUBMITTING = "submitting", "sending"
    UNKNOWN = "unknown", "unknown: checking"
    ACCEPTED = "accepted", "sent"
    PARTIAL = "partial", "partly filled"
    CANCELLING = "cancelling", "cancelling"
    NOT_PLACED = "not_placed", "not placed"
    FILLED = "filled", "filled"
    CANCELED = "canceled", "cancelled"
    REJECTED = "rejected", "rejected"
    DENIED = "denied", "denied"
    EXPIRED = "expired", "too old"


S = OrderState
FINAL_STATES = frozenset({S.FILLED, S.CANCELED, S.REJECTED, S.DENIED, S.EXPIRED, S.NOT_PLACED})
LIVE_STATES = frozenset({S.ACCEPTED, S.PARTIAL, S.CANCELLING})
OPEN_STATES = frozenset(S) - FINAL_STATES
DOUBTFUL_STATES = frozenset({S.SUBMITTING, S.UNKNOWN})


MOVES: dict[OrderState, frozenset[OrderState]] = {
    S.PLANNED: frozenset({S.SUBMITTING, S.DENIED, S.EXPIRED}),
    # PLANNED again only on proof that the venue refused to look at it (rate limit, timestamp) or that nothing was sent.
    S.SUBMITTING: frozenset({S.PLANNED, S.ACCEPTED, S.PARTIAL, S.FILLED, S.CANCELED, S.REJECTED, S.UNKNOWN}),
    S.UNKNOWN: frozenset({S.ACCEPTED, S.PARTIAL, S.FILLED, S.CANCELED, S.REJECTED, S.NOT_PLACED}),
    S.ACCEPTED: frozenset({S.PARTIAL, S.FILLED, S.CANCELED, S.REJECTED, S.CANCELLING}),
    S.PARTIAL: frozenset({S.PARTIAL, S.FILLED, S.CANCELED, S.CANCELLING}),
    S.CANCELLING: frozenset({S.ACCEPTED, S.PARTIAL, S.FILLED, S.CANCELED}),
    # An exit may be planned anew from the real position; a late proof of life raises an alarm.
    S.NOT_PLACED: frozenset({S.PLANNED, S.ACCEPTED, S.PARTIAL, S.FILLED}),
    # The venue may tell of the last fill after it told of the cancellation.
    S.CANCELED: frozenset({S.FILLED}),
    S.REJECTED: frozenset({S.ACCEPTED, S.PARTIAL, S.FILLED}),
    S.FILLED: frozenset(),
    S.DENIED: frozenset(),
    S.EXPIRED: frozenset(),
}


class Order(WorkspaceOwned):
    """One leg. Committed before a byte leaves; `client_order_id` is its one name at the exchange for life.

    `quantity` is base units on spot, contracts on futures; `notional` (quote) is what a spot market buy sends instead.
    `filled_quantity`, `avg_fill_price` and `fees` repeat what the Fill rows say.
    """

    same_workspace = ("connector", "parent")

    # Indexes are named in Meta: each one is written again with every move of an order.
    connector = models.ForeignKey(Connector, on_delete=models.PROTECT, related_name="orders", db_index=False)
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+", db_index=False)
    origin_id = models.UUIDField(help_text="what asked for it")
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="legs", db_index=False
    )
    waits_for_parent = models.BooleanField(default=False, help_text="sent only once the parent is filled")
    leg = models.CharField(max_length=1)
    intent = models.CharField(max_length=8, choices=choices_of(Intent))

    symbol = models.CharField(max_length=40)
    side = models.CharField(max_length=8, choices=choices_of(Side))
    order_type = models.CharField(max_length=8, choices=choices_of(OrderType), default=OrderType.MARKET.value)
    time_in_force = models.CharField(max_length=12, choices=choices_of(TimeInForce), default=TimeInForce.GTC.value)
    book = models.CharField(max_length=8, choices=choices_of(Book), default=Book.NET.value)
    quantity = MoneyField()
    notional = MoneyField(null=True, blank=True)
    price = MoneyField(null=True, blank=True)
    reduce_only = models.BooleanField(default=False)
    leverage = models.DecimalField(max_digits=6, decimal_places=2, null=True, blank=True)
    margin_mode = models.CharField(max_length=16, choices=choices_of(MarginMode), blank=True)

    client_order_id = models.CharField(max_length=32)
    exchange_order_id = models.CharField(max_length=40, blank=True)

    state = models.CharField(max_length=16, choices=OrderState, default=OrderState.PLANNED)
    version = models.PositiveIntegerField(default=0)
    reason_code = models.CharField(max_length=60, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    facts = models.JSONField(
        default=dict, blank=True, help_text="snapshot the plan was made from, estimates, denial facts"
    )

    filled_quantity = MoneyField(default=ZERO)
    avg_fill_price = MoneyField(null=True, blank=True)
    fees = models.JSONField(default=dict, blank=True, help_text="currency: amount as text")

    cancel_requested_at = models.DateTimeField(null=True, blank=True, help_text="when it was asked to be taken back")
    cancel_sent_at = models.DateTimeField(null=True, blank=True, help_text="when the newest cancellation went out")
    cancel_attempt = models.PositiveSmallIntegerField(default=0)

    attempt = models.PositiveSmallIntegerField(default=0)
    worker = models.CharField(max_length=120, blank=True)
    not_found_count = models.PositiveSmallIntegerField(default=0)
    query_count = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField(null=True, blank=True, help_text="when somebody has to look at it next")

    created_at = models.DateTimeField(default=world.now)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="an entry not sent by then is not sent")
    signed_at = models.DateTimeField(null=True, blank=True)
    fence_at = models.DateTimeField(null=True, blank=True, help_text="before it 'not found' proves nothing")
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    first_fill_at = models.DateTimeField(null=True, blank=True)
    last_fill_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta(WorkspaceOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["connector", "client_order_id"], name="one_order_per_client_order_id"),
            models.UniqueConstraint(fields=["origin_id", "connector", "leg"], name="one_order_per_leg"),
            models.CheckConstraint(
                condition=Q(quantity__gte=0, filled_quantity__gte=0), name="order_quantity_unsigned"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["submitting", "unknown"]) | Q(signed_at__isnull=False, fence_at__isnull=False),
                name="sent_order_has_fence",
            ),
        ]
        indexes = [
            models.Index(fields=["workspace", "-created_at", "-id"], name="order_newest"),
            models.Index(fields=["next_at"], condition=Q(next_at__isnull=False), name="order_due"),
            models.Index(
                fields=["connector", "symbol"],
                condition=Q(state__in=["planned", "submitting", "unknown", "accepted", "partial", "cancelling"]),
                name="order_open",
            ),
            models.Index(fields=["connector", "signed_at"], condition=Q(signed_at__isnull=False), name="order_signed"),
            models.Index(fields=["parent"], condition=Q(parent__isnull=False), name="order_of_parent"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity.normalize():f} {self.symbol}: {self.state}"

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def is_of_a_later_release(self) -> bool:
        """True in a state that this release does not know: whoever wrote it goes on with it, here it is let alone."""
        return self.state not in OrderState

    @property
    def is_resting(self) -> bool:
        """True for a limit order that lies at the exchange: it may stay there for days and holds up nothing."""
        return self.order_type == OrderType.LIMIT and self.state in LIVE_STATES

    @property
    def may_be_cancelled(self) -> bool:
        return not self.is_final and self.cancel_requested_at is None


class OrderEvent(WorkspaceOwned):
    """One step of an order's life, append-only."""

    same_workspace = ("order",)

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="events", db_index=False)
    from_state = models.CharField(max_length=16, choices=OrderState, blank=True)
    to_state = models.CharField(max_length=16, choices=OrderState)
    version = models.PositiveIntegerField()
    cause = models.CharField(max_length=60)
    evidence = models.JSONField(default=dict)
    worker = models.CharField(max_length=120, blank=True)
    at = models.DateTimeField(default=world.now)

    class Meta(WorkspaceOwned.Meta):
        ordering = ["order", "version"]
        constraints = [models.UniqueConstraint(fields=["order", "version"], name="one_event_per_version")]

    def __str__(self) -> str:
        return f"{self.from_state} → {self.to_state}: {self.cause}"


class PlanRecord(WorkspaceOwned):
    """What one decision was made from and what it was, append-only; read through `trading.records`.

    `inputs` and `outline` are `frozen` dataclasses of trading.inputs and trading.outline; no secret is in them.
    """

    same_workspace = ("connector",)

    connector = models.ForeignKey(Connector, on_delete=models.PROTECT, related_name="+", db_index=False)
    origin_id = models.UUIDField(unique=True, help_text="what asked")
    at = models.DateTimeField(help_text="when everything was read")
    version = models.PositiveSmallIntegerField()
    inputs = models.JSONField()
    outline = models.JSONField()

    def __str__(self) -> str:
        return f"plan for {self.origin_id}"
