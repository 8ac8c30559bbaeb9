from django.db.models import TextChoices


class TradingState(TextChoices):
    """What may be sent to an exchange; the strictest of connector, workspace and platform holds."""

    ACTIVE = "active", "active"
    REDUCE_ONLY = "reduce_only", "exits only"
    HALTED = "halted", "halted"
