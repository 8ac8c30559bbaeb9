"""The person who looks at the exchange once asking settles nothing any more, and says what is not there."""

from collections.abc import Collection

from apps.accounts.models import User
from apps.lib import world
from apps.trading import doubts
from apps.trading.models import FINAL_STATES, Incident, Order

EMAIL = "trader@sim.test"


def introduce() -> None:
    """Make the user who gives the word, before any world begins."""
    User.objects.get_or_create(email=EMAIL)


def settle(in_book: Collection[str]) -> int:
    """Say of each order in doubt that is not among the names `in_book` that it is not; return of how many.

    Of one that is there nothing is said: the engine had to find that by itself.
    """
    told = Incident.unscoped.filter(kind__in=doubts.KINDS, resolved_at=None, order__isnull=False)
    open_now = Order.unscoped.filter(pk__in=told.values("order_id")).exclude(state__in=FINAL_STATES)
    past = [order for order in open_now if order.fence_at is None or order.fence_at < world.now()]
    gone = [order for order in past if order.client_order_id not in in_book and doubts.may_be_settled(order)]
    if gone:
        by = User.objects.get(email=EMAIL)
        for order in gone:
            doubts.settle_as_not_placed(order, by=by)
    return len(gone)
