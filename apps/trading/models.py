"""Act: orders and what became of them. An order knows nothing of the alert that caused it (`origin_id` is opaque)."""

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Q

from apps.accounts.models import User
from apps.accounts.tenancy import WorkspaceOwned
from apps.connectors.exchange import Book, MarginMode, OrderType, Side, TimeInForce
from apps.connectors.models import Connector, Instrument
from apps.lib import world
from apps.lib.fields import MoneyField
from apps.trading.incident_kinds import OF_A_LATER_RELEASE, TEXTS, IncidentKind, Severity, Text, filled_in, kind_choices
from apps.trading.legs import Intent
from apps.trading.protecting import ProtectionKind

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


class Position(WorkspaceOwned):
    """What our fills add up to, per connector, symbol and book, at average cost.

    `signed_quantity` in base units (spot) or contracts (futures), negative for short. `realized_pnl` is gross, in
    quote currency; `fees` paid in quote currency (positive = cost); `funding` received (negative = paid).
    """

    same_workspace = ("connector",)

    connector = models.ForeignKey(Connector, on_delete=models.PROTECT, related_name="positions", db_index=False)
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+", db_index=False)
    symbol = models.CharField(max_length=40)
    book = models.CharField(max_length=8, choices=choices_of(Book), default=Book.NET.value)
    signed_quantity = MoneyField(default=ZERO)
    cost = MoneyField(default=ZERO, help_text="what the open quantity cost, in quote currency")
    avg_entry_price = MoneyField(default=ZERO)
    realized_pnl = MoneyField(default=ZERO)
    fees = MoneyField(default=ZERO)
    funding = MoneyField(default=ZERO)
    opened_at = models.DateTimeField(null=True, blank=True)
    last_fill_at = models.DateTimeField(null=True, blank=True)
    last_trade_id = models.CharField(max_length=60, blank=True)
    # What the exchange said at the last reconciliation, and when; None = never read.
    exchange_quantity = MoneyField(null=True, blank=True)
    reconciled_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta(WorkspaceOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["connector", "symbol", "book"], name="one_position_per_book"),
            models.CheckConstraint(
                condition=Q(book="net")
                | (Q(book="long") & Q(signed_quantity__gte=0))
                | (Q(book="short") & Q(signed_quantity__lte=0)),
                name="position_sign_fits_book",
            ),
        ]
        indexes = [
            models.Index(fields=["workspace"], condition=~Q(signed_quantity=0), name="position_open"),
        ]

    def __str__(self) -> str:
        return f"{self.symbol} {self.signed_quantity.normalize():f}"

    @property
    def side(self) -> str:
        if self.signed_quantity > 0:
            return "long"
        return "short" if self.signed_quantity < 0 else "flat"


class Fill(WorkspaceOwned):
    """One match, recorded once per `trade_id`. `fee` positive = cost; `realized_pnl` gross, in quote currency."""

    same_workspace = ("connector", "order")

    connector = models.ForeignKey(Connector, on_delete=models.PROTECT, related_name="fills", db_index=False)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="fills")
    trade_id = models.CharField(max_length=60)
    symbol = models.CharField(max_length=40)
    book = models.CharField(max_length=8, choices=choices_of(Book), default=Book.NET.value)
    side = models.CharField(max_length=8, choices=choices_of(Side))
    price = MoneyField()
    quantity = MoneyField()
    fee = MoneyField()
    fee_currency = models.CharField(max_length=20)
    role = models.CharField(max_length=8)
    realized_pnl = MoneyField(default=ZERO)
    filled_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=world.now)

    class Meta(WorkspaceOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["connector", "trade_id"], name="one_fill_per_trade_id"),
            models.CheckConstraint(condition=Q(quantity__gt=0, price__gt=0), name="fill_signs"),
        ]
        indexes = [
            models.Index(fields=["workspace", "-filled_at", "-id"], name="fill_newest"),
            models.Index(fields=["connector", "symbol", "book", "filled_at", "trade_id"], name="fill_of_position"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity.normalize():f} {self.symbol} @ {self.price.normalize():f}"


class LedgerEntry(WorkspaceOwned):
    """Money that moved, append-only (the database refuses UPDATE and DELETE). `amount` signed: positive = received."""

    class Kind(models.TextChoices):
        REALIZED_PNL = "realized_pnl", "realized PnL"
        FEE = "fee", "fee"
        FUNDING = "funding", "funding"
        EXTERNAL = "external", "external"
        CORRECTION = "correction", "correction"

    same_workspace = ("connector", "fill")

    connector = models.ForeignKey(Connector, on_delete=models.PROTECT, related_name="ledger", db_index=False)
    fill = models.ForeignKey(Fill, null=True, blank=True, on_delete=models.PROTECT, related_name="ledger")
    symbol = models.CharField(max_length=40, blank=True)
    kind = models.CharField(max_length=16, choices=Kind)
    amount = MoneyField()
    currency = models.CharField(max_length=20)
    at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=world.now)
    reference = models.CharField(max_length=160, blank=True, help_text="the exchange's booking that it repeats")

    class Meta(WorkspaceOwned.Meta):
        verbose_name_plural = "ledger entries"
        constraints = [
            models.UniqueConstraint(
                fields=["connector", "reference"], condition=~Q(reference=""), name="one_entry_per_booking"
            ),
            models.UniqueConstraint(
                fields=["fill", "kind", "currency"],
                condition=Q(fill__isnull=False) & ~Q(kind="correction"),
                name="one_entry_per_fill_and_kind",
            ),
        ]
        indexes = [
            models.Index(fields=["workspace", "-at"], name="ledger_newest"),
            models.Index(fields=["connector", "at"], name="ledger_of_connector"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount.normalize():f} {self.currency}"


class Adjustment(WorkspaceOwned):
    """A position changed by what are not our fills. Append-only, like the fills that it stands beside.

    `change` signed, in exchange units; what came in is taken at `price`, what left, left at its own cost.
    """

    class Cause(models.TextChoices):
        EXTERNAL = "external", "not ours"
        LIQUIDATED = "liquidated", "liquidated"
        BY_HAND = "by_hand", "taken over by hand"

    same_workspace = ("connector",)

    connector = models.ForeignKey(Connector, on_delete=models.PROTECT, related_name="adjustments")
    symbol = models.CharField(max_length=40)
    book = models.CharField(max_length=8, choices=choices_of(Book), default=Book.NET.value)
    cause = models.CharField(max_length=16, choices=Cause)
    change = MoneyField()
    price = MoneyField()
    at = models.DateTimeField(default=world.now)

    class Meta(WorkspaceOwned.Meta):
        indexes = [models.Index(fields=["connector", "symbol", "book", "at"], name="adjustment_of_position")]

    def __str__(self) -> str:
        return f"{self.symbol} {self.change.normalize():f}: {self.get_cause_display()}"


class AccountWatch(WorkspaceOwned):
    """When a connector's account is read next, and what the last readings found."""

    same_workspace = ("connector",)

    connector = models.OneToOneField(Connector, on_delete=models.CASCADE, related_name="watch")
    next_at = models.DateTimeField(default=world.now)
    read_at = models.DateTimeField(null=True, blank=True)
    swept_at = models.DateTimeField(null=True, blank=True, help_text="orders were last compared")
    booked_until = models.DateTimeField(null=True, blank=True, help_text="bookings are taken over so far")
    differing = models.JSONField(default=dict, blank=True, help_text="symbol|book: readings in a row that differed")
    refused_count = models.PositiveIntegerField(default=0, help_text="times in a row that the key was refused")
    refused_since = models.DateTimeField(null=True, blank=True)
    orders_refused_count = models.PositiveIntegerField(
        default=0, help_text="orders in a row that were refused for the key"
    )
    orders_refused_since = models.DateTimeField(null=True, blank=True)
    orders_refused_at = models.DateTimeField(null=True, blank=True, help_text="the newest of them")

    class Meta(WorkspaceOwned.Meta):
        indexes = [models.Index(fields=["next_at"], name="account_watch_due")]

    def __str__(self) -> str:
        return f"watch over {self.connector}"


class Flatten(WorkspaceOwned):
    """Somebody asked for everything to be closed. `report`: one row a position, told while it goes on."""

    same_workspace = ("connector",)

    connector = models.ForeignKey(
        Connector, null=True, blank=True, on_delete=models.PROTECT, related_name="flattens", help_text="empty = all"
    )
    requested_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    requested_at = models.DateTimeField(default=world.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    next_at = models.DateTimeField(default=world.now)
    report = models.JSONField(default=dict, blank=True)

    class Meta(WorkspaceOwned.Meta):
        indexes = [models.Index(fields=["next_at"], condition=Q(finished_at=None), name="flatten_due")]

    def __str__(self) -> str:
        return f"close everything of {self.requested_at:%Y-%m-%d %H:%M:%S}"

    @property
    def rows(self) -> list[dict[str, str]]:
        return sorted(self.report.values(), key=lambda row: (row["connector"], row["symbol"]))

    @property
    def closed_count(self) -> int:
        return sum(row["state"] == "closed" for row in self.report.values())

    @property
    def failed_count(self) -> int:
        return sum(row["state"] == "failed" for row in self.report.values())


class EquityPoint(WorkspaceOwned):
    """A connector's equity as the exchange told it, valued in `currency`, open PnL included."""

    same_workspace = ("connector",)

    connector = models.ForeignKey(Connector, on_delete=models.CASCADE, related_name="equity_points")
    at = models.DateTimeField()
    equity = MoneyField()
    available = MoneyField(default=ZERO)
    currency = models.CharField(max_length=20, default="USDT")
    unvalued = models.JSONField(default=list, blank=True, help_text="currencies without a price, left out of equity")

    class Meta(WorkspaceOwned.Meta):
        constraints = [models.UniqueConstraint(fields=["connector", "at"], name="one_equity_point_per_moment")]
        indexes = [models.Index(fields=["workspace", "-at"], name="equity_newest")]

    def __str__(self) -> str:
        return f"{self.equity.normalize():f} {self.currency} at {self.at:%Y-%m-%d %H:%M:%S}"


class ProtectionState(models.TextChoices):
    WAITING = "waiting", "waiting for the entry"
    SUBMITTING = "submitting", "sending"
    UNKNOWN = "unknown", "unknown: checking"
    LIVE = "live", "at the exchange"
    CANCELLING = "cancelling", "cancelling"
    FIRED = "fired", "fired"
    CANCELED = "canceled", "cancelled"
    FAILED = "failed", "not placed"
    GONE = "gone", "not needed"


class Protection(WorkspaceOwned):
    """A stop loss, take profit or trailing stop of an entry. What it fires is an Order of its own.

    `quantity` in contracts, None = the whole position. `proven_by` is when it has to be seen at the exchange.
    """

    same_workspace = ("connector", "entry", "fired", "replaces")

    connector = models.ForeignKey(Connector, on_delete=models.PROTECT, related_name="+")
    entry = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="protections")
    fired = models.ForeignKey(Order, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    replaces = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    number = models.PositiveSmallIntegerField(help_text="counted per entry; names the order it fires")
    kind = models.CharField(max_length=16, choices=[(kind.value, kind.words) for kind in ProtectionKind])
    symbol = models.CharField(max_length=40)
    book = models.CharField(max_length=8, choices=choices_of(Book))
    side = models.CharField(max_length=8, choices=choices_of(Side), help_text="of the closing order")
    guard = models.JSONField(help_text="what was asked for")
    price = MoneyField()
    quantity = MoneyField(null=True, blank=True)
    in_entry = models.BooleanField(default=False, help_text="went out inside the entry request")
    client_order_id = models.CharField(max_length=32)
    exchange_order_id = models.CharField(max_length=40, blank=True)

    state = models.CharField(max_length=16, choices=ProtectionState, default=ProtectionState.WAITING)
    version = models.PositiveIntegerField(default=0)
    reason = models.CharField(max_length=500, blank=True)
    missing_count = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=world.now)
    signed_at = models.DateTimeField(null=True, blank=True)
    fence_at = models.DateTimeField(null=True, blank=True)
    cancel_sent_at = models.DateTimeField(null=True, blank=True)
    proven_by = models.DateTimeField(null=True, blank=True)
    alarmed_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta(WorkspaceOwned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["entry", "number"], name="one_protection_per_number"),
            models.UniqueConstraint(fields=["connector", "client_order_id"], name="one_protection_per_client_order_id"),
        ]
        indexes = [
            models.Index(fields=["next_at"], condition=Q(next_at__isnull=False), name="protection_due"),
            models.Index(
                fields=["connector", "symbol"],
                condition=Q(state__in=["waiting", "submitting", "unknown", "live", "cancelling"]),
                name="protection_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.symbol} at {self.price.normalize():f}: {self.state}"


class Lease(models.Model):
    """Who works on a (connector, symbol) now. Gives order, never safety: a taken-over lease never re-sends."""

    connector = models.ForeignKey(Connector, on_delete=models.CASCADE, related_name="+", db_index=False)
    symbol = models.CharField(max_length=40)
    owner = models.CharField(max_length=120, blank=True)
    until = models.DateTimeField()
    token = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connector", "symbol"], name="one_lease_per_symbol")]

    def __str__(self) -> str:
        return f"{self.symbol}: {self.owner}"


class ShadowPosition(WorkspaceOwned):
    """What the sender's strategy believes it holds on spot, where shorts cannot be followed (signed, base units)."""

    same_workspace = ("connector",)

    connector = models.ForeignKey(Connector, on_delete=models.CASCADE, related_name="+")
    symbol = models.CharField(max_length=40)
    signed_quantity = MoneyField(default=ZERO)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta(WorkspaceOwned.Meta):
        constraints = [models.UniqueConstraint(fields=["connector", "symbol"], name="one_shadow_per_symbol")]

    def __str__(self) -> str:
        return f"{self.symbol} {self.signed_quantity.normalize():f}"


class WorkerHeartbeat(models.Model):
    """Last sign of life of a background process."""

    name = models.CharField(max_length=120, primary_key=True)
    kind = models.CharField(max_length=20)
    at = models.DateTimeField()
    facts = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.name


class Incident(WorkspaceOwned):
    """Something that needs a person. Written through `incidents.py`; `facts` are texts without secrets."""

    same_workspace = ("connector", "order")

    connector = models.ForeignKey(Connector, on_delete=models.PROTECT, related_name="incidents")
    order = models.ForeignKey(Order, null=True, blank=True, on_delete=models.PROTECT, related_name="incidents")
    symbol = models.CharField(max_length=40, blank=True)
    kind = models.CharField(max_length=40, choices=kind_choices)
    severity = models.CharField(max_length=8, choices=Severity)
    facts = models.JSONField(default=dict, blank=True)
    opened_at = models.DateTimeField(default=world.now)
    seen_at = models.DateTimeField(default=world.now, help_text="when it was last found to be so")
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", help_text="empty = by itself"
    )
    resolution = models.CharField(max_length=300, blank=True)
    mailed_at = models.DateTimeField(null=True, blank=True)
    mail_next_at = models.DateTimeField(default=world.now, help_text="when the mail is tried (again)")

    class Meta(WorkspaceOwned.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["connector", "kind", "symbol"],
                condition=Q(resolved_at=None, order=None),
                name="one_open_incident_per_symbol",
            ),
            models.UniqueConstraint(
                fields=["order", "kind"],
                condition=Q(resolved_at=None, order__isnull=False),
                name="one_open_incident_per_order",
            ),
        ]
        indexes = [
            models.Index(fields=["workspace", "-opened_at", "-id"], name="incident_newest"),
            models.Index(fields=["connector", "kind"], condition=Q(resolved_at=None), name="incident_open"),
            models.Index(fields=["mail_next_at"], condition=Q(mailed_at=None), name="incident_unmailed"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.symbol}".strip()

    @property
    def title(self) -> str:
        return str(self.get_kind_display()).capitalize()

    @property
    def what(self) -> str:
        return self._told(self.text.what)

    @property
    def did(self) -> str:
        return self._told(self.text.did)

    @property
    def todo(self) -> str:
        return self._told(self.text.todo)

    @property
    def text(self) -> Text:
        return TEXTS[IncidentKind(self.kind)] if self.kind in IncidentKind else OF_A_LATER_RELEASE

    def _told(self, sentence: str) -> str:
        return filled_in(sentence, {"symbol": self.symbol, **self.facts})
