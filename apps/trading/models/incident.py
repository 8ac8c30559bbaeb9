"""What a person is told of until it is over."""

from django.db import models
from django.db.models import Q

from apps.accounts.models import User
from apps.accounts.tenancy import WorkspaceOwned
from apps.connectors.models import Connector
from apps.lib import world
from apps.trading.incident_kinds import OF_A_LATER_RELEASE, TEXTS, IncidentKind, Severity, Text, filled_in, kind_choices
from apps.trading.models.orders import Order


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
    mailed_to = models.JSONField(null=True, blank=True, help_text="ids of owners who have it, while others do not")

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
