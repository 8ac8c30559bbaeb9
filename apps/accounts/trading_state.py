from django.db.models import TextChoices


class TradingState(TextChoices):
    """What may be sent to an exchange; the strictest of connector, workspace and platform holds."""

    ACTIVE = "active", "active"
    REDUCE_ONLY = "reduce_only", "exits only"
    HALTED = "halted", "halted"


_BY_STRICTNESS = (TradingState.ACTIVE, TradingState.REDUCE_ONLY, TradingState.HALTED)


def strictest(*states: str) -> TradingState:
    return max((TradingState(state) for state in states), key=_BY_STRICTNESS.index)
