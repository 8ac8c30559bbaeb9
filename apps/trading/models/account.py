"""What is read of an account, and the closing of all it holds."""

from django.db import models
from django.db.models import Q

from apps.accounts.models import User
from apps.accounts.tenancy import WorkspaceOwned
from apps.connectors.models import Connector
from apps.lib import world
from apps.lib.fields import MoneyField
from apps.trading.models.orders import ZERO


class AccountWatch(WorkspaceOwned):
    """When a connector's account is read next, and what the last readings found."""

    same_workspace = ("connector",)

    connector = models.OneToOneField(Connector, on_delete=models.CASCADE, related_name="watch")
    next_at = models.DateTimeField(default=world.now)
    read_at = models.DateTimeField(null=True, blank=True)
    swept_at = models.DateTimeField(null=True, blank=True, help_text="orders were last compared")
    refused_symbols = models.JSONField(
        null=True, blank=True, help_text="symbols whose orders were refused: since when they are not compared"
    )
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
        verbose_name_plural = "account watches"
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
