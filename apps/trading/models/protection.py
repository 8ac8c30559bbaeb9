"""Guards of an entry as they stand at the exchange."""

from django.db import models
from django.db.models import Q

from apps.accounts.tenancy import WorkspaceOwned
from apps.connectors.exchange import Book, Side
from apps.connectors.models import Connector
from apps.lib import world
from apps.lib.fields import MoneyField
from apps.trading.models.orders import Order, choices_of
from apps.trading.protecting import ProtectionKind


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
