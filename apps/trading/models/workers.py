"""Who works on what, and that somebody does."""

from django.db import models

from apps.connectors.models import Connector


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


class WorkerHeartbeat(models.Model):
    """Last sign of life of a background process."""

    name = models.CharField(max_length=120, primary_key=True)
    kind = models.CharField(max_length=20)
    at = models.DateTimeField()
    facts = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.name
