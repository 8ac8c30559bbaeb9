"""Fills, and what they add up to: positions and the ledger."""

from django.db import models
from django.db.models import Q

from apps.accounts.tenancy import WorkspaceOwned
from apps.connectors.exchange import Book, Side
from apps.connectors.models import Connector, Instrument
from apps.lib import world
from apps.lib.fields import MoneyField
from apps.trading.models.orders import ZERO, Order, choices_of


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

    `change` signed, in exchange units; what came in is taken at `price`, what left, left at its own cost. What was
    liquidated left at `price`, its fee included, and realised what that makes.
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

    @property
    def realises(self) -> bool:
        return self.cause == self.Cause.LIQUIDATED


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
