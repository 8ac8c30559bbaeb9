"""Hear: every delivery that carried a pointer of ours, and what became of it."""

from typing import Any

from django.db import models
from django.db.models import Q

from apps.accounts.models import Workspace
from apps.accounts.tenancy import WorkspaceOwned
from apps.connectors.models import Connector, Pointer
from apps.lib import world
from apps.lib.compiled import update_asked
from apps.lib.statements import Asked, ask
from apps.trading.models import Order


class AlertStatus(models.TextChoices):
    RECEIVED = "received", "received"
    QUEUED = "queued", "queued"
    EXECUTING = "executing", "sending"
    EXECUTED = "executed", "executed"
    HELD = "held", "held"
    SPLIT = "split", "split"
    IGNORED = "ignored", "ignored"
    REJECTED = "rejected", "rejected"
    DUPLICATE = "duplicate", "duplicate"
    EXPIRED = "expired", "too old"
    TESTED = "tested", "test"
    FAILED = "failed", "failed"


WAITING = frozenset({AlertStatus.RECEIVED, AlertStatus.QUEUED, AlertStatus.EXECUTING})


class Alert(WorkspaceOwned):
    """One delivery (or one message of a delivery that held several: `parent` set, `part` 1, 2, …).

    `body` is the delivery's bytes with every pointer cut to its last four characters. The webhook writes the first
    block of fields and judges nothing; the worker writes the rest.
    """

    same_workspace = ("connector", "pointer")

    # One foreign key over all three holds them to the pointer's own row (migration 0002): single ones would only cost.
    workspace = models.ForeignKey(
        Workspace, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    connector = models.ForeignKey(
        Connector, on_delete=models.PROTECT, related_name="alerts", db_index=False, db_constraint=False
    )
    pointer = models.ForeignKey(
        Pointer, on_delete=models.PROTECT, related_name="alerts", db_index=False, db_constraint=False
    )
    received_at = models.DateTimeField(default=world.now)
    body = models.BinaryField()
    content_type = models.CharField(max_length=100, blank=True)
    source_ip = models.GenericIPAddressField(null=True, blank=True)
    sender = models.CharField(max_length=100, blank=True, help_text="User-Agent or X-requester as sent")

    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="parts", db_index=False
    )
    part = models.PositiveSmallIntegerField(default=0)
    status = models.CharField(max_length=16, choices=AlertStatus, default=AlertStatus.RECEIVED)
    reason_code = models.CharField(max_length=60, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    facts = models.JSONField(default=dict, blank=True)
    understood = models.JSONField(default=dict, blank=True)
    repairs = models.JSONField(default=list, blank=True)
    notes = models.JSONField(default=list, blank=True)
    symbol = models.CharField(max_length=40, blank=True)
    is_exit = models.BooleanField(default=False)
    fingerprint = models.BinaryField(max_length=32, null=True, blank=True)
    external_id = models.CharField(max_length=64, blank=True)
    duplicate_of = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="duplicates", db_index=False
    )
    order = models.ForeignKey(Order, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    released_at = models.DateTimeField(null=True, blank=True, help_text="when a person ran a held alert")

    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True, blank=True, default=world.now, help_text="due; null = nothing to do")
    read_at = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    planned_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta(WorkspaceOwned.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["connector", "external_id"],
                condition=~Q(external_id="") & Q(duplicate_of__isnull=True),
                name="one_alert_per_external_id",
            ),
            models.UniqueConstraint(
                fields=["parent", "part"], condition=Q(parent__isnull=False), name="one_alert_per_part"
            ),
        ]
        indexes = [
            models.Index(fields=["workspace", "-received_at", "-id"], name="alert_newest"),
            models.Index(fields=["next_at"], condition=Q(next_at__isnull=False), name="alert_due"),
            models.Index(
                fields=["connector", "symbol", "received_at", "id"],
                condition=Q(next_at__isnull=False),
                name="alert_queue",
            ),
            models.Index(
                fields=["connector", "fingerprint", "-received_at"],
                condition=Q(fingerprint__isnull=False),
                name="alert_fingerprint",
            ),
            models.Index(fields=["pointer", "-received_at"], name="alert_of_pointer"),
            models.Index(fields=["order"], condition=Q(order__isnull=False), name="alert_of_order"),
            models.Index(fields=["duplicate_of"], condition=Q(duplicate_of__isnull=False), name="alert_duplicates"),
        ]

    def __str__(self) -> str:
        return f"{self.received_at:%Y-%m-%d %H:%M:%S} {self.status}"

    @property
    def is_waiting(self) -> bool:
        return self.status in WAITING

    def keep(self) -> None:
        """Write what a worker writes, on the row that the webhook made; what arrived is never written twice."""
        ask(self.kept())

    def kept(self, **where: Any) -> Asked:
        """Return the statement of `keep`, for a row that equals `where`; it reads how many rows there were."""
        return update_asked(Alert, {name: getattr(self, name) for name in _WORKERS}, id=self.pk, **where)


_WORKERS = (
    "status",
    "reason_code",
    "reason",
    "facts",
    "understood",
    "repairs",
    "notes",
    "symbol",
    "is_exit",
    "fingerprint",
    "external_id",
    "duplicate_of_id",
    "order_id",
    "released_at",
    "attempts",
    "next_at",
    "read_at",
    "claimed_at",
    "planned_at",
    "finished_at",
)


class Preview(WorkspaceOwned):
    """A question what a message would do now, and a worker's answer; it never becomes an order.

    `text` has its pointers cut as in an alert's body. `answer` is a frozen `previewing.Answer`, {} until there is one.
    """

    same_workspace = ("connector", "alert")

    connector = models.ForeignKey(Connector, on_delete=models.CASCADE, related_name="+", db_index=False)
    alert = models.ForeignKey(Alert, null=True, blank=True, on_delete=models.CASCADE, related_name="previews")
    text = models.TextField()
    requested_at = models.DateTimeField(default=world.now)
    next_at = models.DateTimeField(null=True, blank=True, help_text="due; null = answered")
    tries = models.PositiveSmallIntegerField(default=0)
    answered_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveSmallIntegerField(default=0)
    answer = models.JSONField(default=dict, blank=True)
    reason_code = models.CharField(max_length=60, blank=True)
    reason = models.CharField(max_length=500, blank=True)

    class Meta(WorkspaceOwned.Meta):
        indexes = [
            models.Index(fields=["connector", "-requested_at"], name="preview_of_connector"),
            models.Index(fields=["next_at"], condition=Q(next_at__isnull=False), name="preview_due"),
        ]

    def __str__(self) -> str:
        return f"{self.requested_at:%Y-%m-%d %H:%M:%S} {self.reason_code or ('answered' if self.answered_at else '')}"

    @property
    def is_waiting(self) -> bool:
        return self.answered_at is None
