"""Speak: an exchange account (connector), the capability to trade on it (pointer), and what it lists (instrument)."""

from decimal import Decimal

from django.db import models
from django.db.models import Q

from apps.accounts.models import User
from apps.accounts.tenancy import WorkspaceOwned
from apps.accounts.trading_state import TradingState
from apps.connectors.exchange import MarginMode, Market
from apps.connectors.policies import (
    Adds,
    Direction,
    ExitExcess,
    ExternalTrades,
    LowBalance,
    Mismatch,
    SuspectedDuplicate,
    Unprotected,
)
from apps.lib import world
from apps.lib.fields import MoneyField

MARKETS = [(Market.SPOT.value, "BitMart Spot"), (Market.FUTURES.value, "BitMart Futures")]
MARGIN_MODES = [(mode.value, mode.value) for mode in MarginMode]


class Environment(models.TextChoices):
    PAPER = "paper", "Paper"
    LIVE = "live", "Live"


class CheckStatus(models.TextChoices):
    NEVER = "never", "not checked yet"
    RUNNING = "running", "checking"
    OK = "ok", "connected"
    FAILED = "failed", "needs attention"


class Connector(WorkspaceOwned):
    """One account at one market of the exchange. Limits are in quote currency; None = the plan's limit."""

    label = models.CharField(max_length=80)
    market = models.CharField(max_length=16, choices=MARKETS)
    environment = models.CharField(max_length=16, choices=Environment)
    trading_state = models.CharField(max_length=16, choices=TradingState, default=TradingState.ACTIVE)
    # The operators' own switch: no member can lift it. The stricter of the two holds.
    staff_state = models.CharField(max_length=16, choices=TradingState, default=TradingState.ACTIVE)
    staff_reason = models.CharField(max_length=200, blank=True, help_text="shown to the workspace")
    paused_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True, db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)

    # Sealed to the trading workers' public key (sealing.py); the web process cannot open them.
    sealed_access_key = models.TextField()
    sealed_secret_key = models.TextField()
    sealed_memo = models.TextField()
    access_key_hint = models.CharField(max_length=16, help_text="first and last four characters")
    key_fingerprint = models.CharField(
        max_length=64, help_text="HMAC of the access key: finds two connectors of one key"
    )
    credentials_set_at = models.DateTimeField(default=world.now)

    exit_excess = models.CharField(max_length=16, choices=ExitExcess, default=ExitExcess.REVERSE)
    mismatch = models.CharField(max_length=16, choices=Mismatch, default=Mismatch.CLOSE_ONLY)
    suspected_duplicate = models.CharField(max_length=16, choices=SuspectedDuplicate, default=SuspectedDuplicate.HOLD)
    external_trades = models.CharField(max_length=16, choices=ExternalTrades, default=ExternalTrades.ADOPT)
    unprotected = models.CharField(max_length=16, choices=Unprotected, default=Unprotected.CLOSE)
    strict_json = models.BooleanField(default=False, help_text="refuse messages that need a repair")
    usd_means_usdt = models.BooleanField(default=False, help_text="read a USD ticker as USDT")
    max_lag_s = models.PositiveIntegerField(default=300, help_text="oldest own time of an entry alert, seconds")
    max_order_notional = MoneyField(null=True, blank=True)
    max_open_notional = MoneyField(null=True, blank=True)
    max_orders_per_minute = models.PositiveIntegerField(null=True, blank=True)
    leverage = models.DecimalField(max_digits=6, decimal_places=2, default=Decimal(1))
    margin_mode = models.CharField(max_length=16, choices=MARGIN_MODES, default=MarginMode.ISOLATED.value)
    most_leverage = models.DecimalField(
        max_digits=6, decimal_places=2, null=True, blank=True, help_text="the most a message may ask for"
    )
    allowed_symbols = models.JSONField(default=list, blank=True, help_text="empty = all")
    direction = models.CharField(max_length=8, choices=Direction, default=Direction.BOTH)
    adds = models.CharField(max_length=8, choices=Adds, default=Adds.ALLOW)
    max_adds = models.PositiveIntegerField(default=1, help_text="counts with adds=up_to only")
    max_open_positions = models.PositiveIntegerField(null=True, blank=True)
    max_daily_loss = MoneyField(null=True, blank=True)
    max_price_deviation_pct = models.DecimalField(max_digits=6, decimal_places=2, null=True, blank=True)
    low_balance = models.CharField(max_length=8, choices=LowBalance, default=LowBalance.REFUSE)

    check_status = models.CharField(max_length=16, choices=CheckStatus, default=CheckStatus.NEVER)
    check_lines = models.JSONField(default=list, help_text="one finding a line: ok, what, sentence")
    check_requested_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    position_mode = models.CharField(max_length=16, blank=True, help_text="as read from the exchange")
    clock_offset_ms = models.IntegerField(null=True, blank=True)
    clock_measured_at = models.DateTimeField(null=True, blank=True)

    class Meta(WorkspaceOwned.Meta):
        indexes = [models.Index(fields=["workspace", "created_at"], name="connector_of_workspace")]

    def __str__(self) -> str:
        return self.label

    @property
    def is_paper(self) -> bool:
        return self.environment == Environment.PAPER


class Pointer(WorkspaceOwned):
    """The capability to send alerts to one connector. Looked up by HMAC; the copy for display is sealed apart."""

    class Source(models.TextChoices):
        TRADINGVIEW = "tradingview", "TradingView"
        TRENDSPIDER = "trendspider", "TrendSpider"

    same_workspace = ("connector",)

    connector = models.ForeignKey(Connector, on_delete=models.CASCADE, related_name="pointers")
    lookup = models.BinaryField(max_length=32, unique=True, help_text="HMAC-SHA256 of the pointer")
    sealed_display = models.TextField()
    last4 = models.CharField(max_length=4)
    source = models.CharField(max_length=16, choices=Source, default=Source.TRADINGVIEW)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="end of the overlap after a rotation")
    revoked_at = models.DateTimeField(null=True, blank=True)
    limited_count = models.PositiveIntegerField(default=0, help_text="deliveries refused by the rate limit")
    limited_at = models.DateTimeField(null=True, blank=True)

    class Meta(WorkspaceOwned.Meta):
        indexes = [models.Index(fields=["connector", "-created_at"], name="pointer_of_connector")]

    def __str__(self) -> str:
        return f"…{self.last4}"

    @property
    def is_live(self) -> bool:
        if self.revoked_at is not None:
            return False
        return self.expires_at is None or self.expires_at > world.now()


class Instrument(models.Model):
    """A symbol as the exchange lists it, one row for all tenants of an environment. Units: `exchange.Instrument`."""

    environment = models.CharField(max_length=16, choices=Environment)
    market = models.CharField(max_length=16, choices=MARKETS)
    symbol = models.CharField(max_length=40)
    base = models.CharField(max_length=20)
    quote = models.CharField(max_length=20)
    contract_size = MoneyField()
    quantity_step = MoneyField()
    price_tick = MoneyField()
    min_quantity = MoneyField()
    max_quantity = MoneyField(null=True, blank=True)
    min_notional = MoneyField(default=0)
    max_leverage = models.DecimalField(max_digits=8, decimal_places=2, null=True, blank=True)
    is_trading = models.BooleanField(default=True)
    is_listed = models.BooleanField(default=True, help_text="in the newest listing; rows are kept for what was traded")
    delist_at = models.DateTimeField(null=True, blank=True)
    synced_at = models.DateTimeField(default=world.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["environment", "market", "symbol"], name="one_row_per_instrument"),
            models.CheckConstraint(
                condition=Q(contract_size__gt=0, quantity_step__gt=0, price_tick__gt=0),
                name="instrument_steps_positive",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.symbol} ({self.market}, {self.environment})"


class InstrumentChange(models.Model):
    """What the exchange changed about an instrument, as text; "" = nothing. Nobody edits it.

    `field` is a column of Instrument. A new listing is `is_listed` from "" to "True", a delisting from "True" to
    "False". The first listing that was ever read is no change.
    """

    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="changes")
    at = models.DateTimeField()
    field = models.CharField(max_length=30)
    old = models.CharField(max_length=60, blank=True)
    new = models.CharField(max_length=60, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["instrument", "at", "field"], name="one_change_per_field_and_moment")
        ]
        indexes = [models.Index(fields=["-at"], name="instrument_change_newest")]

    def __str__(self) -> str:
        return f"{self.field}: {self.old} → {self.new}"


class SymbolAlias(WorkspaceOwned):
    """A ticker that the market does not list, and the symbol the trader means by it."""

    same_workspace = ("connector",)

    connector = models.ForeignKey(Connector, on_delete=models.CASCADE, related_name="aliases")
    ticker = models.CharField(max_length=64, help_text="folded as in symbols.normalize")
    symbol = models.CharField(max_length=40)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(WorkspaceOwned.Meta):
        verbose_name_plural = "symbol aliases"
        constraints = [models.UniqueConstraint(fields=["connector", "ticker"], name="one_alias_per_ticker")]

    def __str__(self) -> str:
        return f"{self.ticker} → {self.symbol}"


class MarketPrice(models.Model):
    """The newest prices of an instrument, fetched once for all tenants. `mark` falls back to `last` on spot."""

    instrument = models.OneToOneField(Instrument, on_delete=models.CASCADE, primary_key=True, related_name="price")
    last = MoneyField()
    bid = MoneyField(null=True)
    ask = MoneyField(null=True)
    mark = MoneyField()
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.instrument}: {self.mark.normalize():f}"


class CallCount(models.Model):
    """How the exchange calls of one process ended lately, told to the others: see `outages`. Nobody edits it.

    `counts` lists [age in seconds at `at`, calls, ambiguous].
    """

    venue = models.CharField(max_length=200)
    process = models.CharField(max_length=120)
    at = models.DateTimeField(db_index=True)
    counts = models.JSONField(default=list)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["venue", "process"], name="one_count_per_process")]

    def __str__(self) -> str:
        return f"{self.venue}, {self.process}"


class Outage(models.Model):
    """The breaker of a venue: while it is open no entry of any connector there is sent. Written by `outages`.

    `calls` and `ambiguous` are those that opened it, or opened it again. From `half_open_at` on answers close it or
    open it again; `probed_at` is when enough of them had come, and one entry may try; `trial_at` is when one did.
    """

    venue = models.CharField(max_length=200)
    opened_at = models.DateTimeField(default=world.now)
    calls = models.PositiveIntegerField()
    ambiguous = models.PositiveIntegerField()
    reopened = models.PositiveIntegerField(default=0, help_text="how often it opened again")
    half_open_at = models.DateTimeField()
    probed_at = models.DateTimeField(null=True, blank=True)
    trial_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", help_text="empty = by itself"
    )
    closed_how = models.CharField(max_length=200, blank=True)
    mailed_at = models.DateTimeField(null=True, blank=True)
    mail_next_at = models.DateTimeField(default=world.now, help_text="when the mail is tried (again)")
    mailed_to = models.JSONField(null=True, blank=True, help_text="ids of staff who have it, while others do not")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["venue"], condition=Q(closed_at=None), name="one_open_outage_per_venue"),
        ]
        indexes = [
            models.Index(fields=["venue", "-opened_at", "-id"], name="outage_newest"),
            models.Index(fields=["mail_next_at"], condition=Q(mailed_at=None), name="outage_unmailed"),
        ]

    def __str__(self) -> str:
        return f"{self.venue}: {self.ambiguous} of {self.calls}"
