"""Decide: the public catalogue of strategies."""

from django.db import models
from django.db.models import Q

from apps.connectors.models import MARKETS
from apps.lib import world


class Strategy(models.Model):
    """A catalogue entry, written by staff. `ticker` is what the alert message carries (TradingView's spelling)."""

    class Status(models.TextChoices):
        DRAFT = "draft", "draft"
        PUBLISHED = "published", "published"

    id = models.UUIDField(primary_key=True, default=world.new_id, editable=False)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=80)
    summary = models.CharField(max_length=200)
    rules = models.TextField(help_text="Markdown: what it trades and when")
    risks = models.TextField(blank=True, help_text="Markdown: when it loses")
    market = models.CharField(max_length=16, choices=MARKETS)
    ticker = models.CharField(max_length=40)
    timeframe = models.CharField(max_length=20, help_text="as on the chart: 15m, 1h, 4h, 1D")
    chart_url = models.URLField(help_text="the TradingView chart or script page")
    status = models.CharField(max_length=16, choices=Status, default=Status.DRAFT)
    position = models.PositiveIntegerField(default=0, help_text="order in the catalogue")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["position", "name"]
        verbose_name_plural = "strategies"
        constraints = [
            models.CheckConstraint(condition=Q(chart_url__startswith="https://"), name="strategy_chart_is_https")
        ]

    def __str__(self) -> str:
        return self.name
