"""Who: the people, their workspaces, and what a workspace may do."""

from datetime import timedelta
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models

from apps.accounts.tenancy import WorkspaceOwned
from apps.accounts.trading_state import TradingState
from apps.lib import world
from apps.lib.fields import MoneyField

TRIAL_LENGTH = timedelta(days=14)


class UserManager(BaseUserManager["User"]):
    """Users log in with their e-mail address; there is no user name."""

    use_in_migrations = True

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractUser):
    id = models.UUIDField(primary_key=True, default=world.new_id, editable=False)
    username = None  # type: ignore[assignment]
    email = models.EmailField(unique=True, error_messages={"unique": "An account with this e-mail address exists."})
    time_zone = models.CharField(max_length=64, blank=True, help_text="IANA name; asked from the browser once")

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()  # type: ignore[assignment,misc]

    def __str__(self) -> str:
        return self.email


class Workspace(models.Model):
    """The tenant."""

    id = models.UUIDField(primary_key=True, default=world.new_id, editable=False)
    name = models.CharField(max_length=120)
    trading_state = models.CharField(max_length=16, choices=TradingState, default=TradingState.ACTIVE)
    # The operators' own switch: no member can lift it. The stricter of the two holds.
    staff_state = models.CharField(max_length=16, choices=TradingState, default=TradingState.ACTIVE)
    staff_reason = models.CharField(max_length=200, blank=True, help_text="shown to the workspace")
    lift_needs_word = models.BooleanField(default=False, help_text="everything was closed: lifting asks for its name")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    OWNER = "owner", "owner"
    TRADER = "trader", "trader"
    VIEWER = "viewer", "viewer"


class Membership(models.Model):
    """A person's part in a workspace. Viewers read; traders and owners change."""

    id = models.UUIDField(primary_key=True, default=world.new_id, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role, default=Role.OWNER)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "user"], name="one_membership_per_person")]

    def __str__(self) -> str:
        return f"{self.user} in {self.workspace}"

    @property
    def may_trade(self) -> bool:
        return self.role in {Role.OWNER, Role.TRADER}


class Plan(models.Model):
    """What a subscription allows. Notional limits are in quote currency (USDT)."""

    id = models.UUIDField(primary_key=True, default=world.new_id, editable=False)
    code = models.SlugField(unique=True)
    name = models.CharField(max_length=60)
    max_connectors = models.PositiveIntegerField(default=10)
    max_order_notional = MoneyField(default=1000)
    max_open_notional = MoneyField(default=5000)
    max_orders_per_minute = models.PositiveIntegerField(default=60)

    def __str__(self) -> str:
        return self.name


class Subscription(models.Model):
    """A workspace's right to open positions. `trial_ends_at` passes: exits go on, entries stop."""

    class Status(models.TextChoices):
        TRIAL = "trial", "trial"
        ACTIVE = "active", "active"
        ENDED = "ended", "ended"

    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, related_name="subscription", primary_key=True)
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=16, choices=Status, default=Status.TRIAL)
    trial_started_at = models.DateTimeField()
    trial_ends_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.workspace}: {self.status}"

    @property
    def allows_entries(self) -> bool:
        if self.status == self.Status.ACTIVE:
            return True
        return self.status == self.Status.TRIAL and world.now() < self.trial_ends_at

    @property
    def trial_days_left(self) -> int:
        """Whole days left, the last one counted as 1; 0 when over."""
        left = self.trial_ends_at - world.now()
        return max(0, -(-int(left.total_seconds()) // 86400))


class PlatformState(models.Model):
    """One row: the staff's kill switch over all tenants."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    trading_state = models.CharField(max_length=16, choices=TradingState, default=TradingState.ACTIVE)
    reason = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_platform_state")]
        verbose_name_plural = "platform state"

    def __str__(self) -> str:
        return self.trading_state


class AuditEvent(WorkspaceOwned):
    """Who did what from where. Append-only: the database refuses UPDATE and DELETE. `facts` never holds a secret."""

    actor = models.ForeignKey(User, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    action = models.CharField(max_length=60)
    object_id = models.UUIDField(null=True)
    facts = models.JSONField(default=dict)
    ip = models.GenericIPAddressField(null=True)
    at = models.DateTimeField(default=world.now, db_index=True)

    class Meta(WorkspaceOwned.Meta):
        indexes = [models.Index(fields=["workspace", "-at"], name="audit_newest")]

    def __str__(self) -> str:
        return f"{self.action} at {self.at:%Y-%m-%d %H:%M:%S}"
