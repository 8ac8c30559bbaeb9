"""What a trader sets once for a connector and the planner follows. Pure."""

from django.db.models import TextChoices


class ExitExcess(TextChoices):
    """What an exit larger than the position means: the other side is wanted, or the quantity was typed by hand."""

    REVERSE = "reverse", "close, then open the rest the other way"
    CLOSE_ONLY = "close_only", "close only"


class Mismatch(TextChoices):
    """What to do when the alert's previous position is not what the account holds.

    CLOSE_ONLY: an exit never opens, an entry against an opposite position closes it and then opens.
    """

    CLOSE_ONLY = "close_only", "exits never open"
    REJECT = "reject", "place nothing"
    FOLLOW = "follow", "send the order as written"


class ExternalTrades(TextChoices):
    """What to do when the account holds another quantity than our fills add up to: somebody traded outside."""

    ADOPT = "adopt", "take over the exchange's figure and tell me"
    IGNORE = "ignore", "leave both as they are and show the difference"
    PAUSE = "pause", "leave both as they are and pause the connector"


class Unprotected(TextChoices):
    """What to do with a position whose stop could not be placed in time."""

    CLOSE = "close", "close it at the market"
    KEEP = "keep", "keep it and tell me"


class SuspectedDuplicate(TextChoices):
    """What to do with an entry that equals one of less than four seconds before."""

    HOLD = "hold", "hold for my decision"
    RUN = "run", "run"
    DROP = "drop", "drop"


class Adds(TextChoices):
    """What to do with an entry on the side that is already held (pyramiding)."""

    ALLOW = "allow", "run every one"
    UP_TO = "up_to", "run a number of them"
    BLOCK = "block", "run none"


class Direction(TextChoices):
    """Which positions may be opened."""

    BOTH = "both", "long and short"
    LONG = "long", "long only"
    SHORT = "short", "short only"


class LowBalance(TextChoices):
    """What to do with an entry that costs more than can be used."""

    REFUSE = "refuse", "refuse it"
    REDUCE = "reduce", "make it as large as the balance allows"
