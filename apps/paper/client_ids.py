from dataclasses import dataclass

from apps.paper.params import CLIENT_ID
from apps.paper.policies import Policies
from apps.paper.records import Account, Order, Trigger
from apps.paper.refusals import Refusal
from apps.paper.store import Store

REMEMBERED_MS = 86_400_000
MAX_LENGTH = 32
_HOLDERS: tuple[tuple[type[Order] | type[Trigger], str], ...] = (
    (Order, "state IN ('new', 'partially_filled')"),
    (Trigger, "state = 'waiting'"),
)


@dataclass(frozen=True, slots=True)
class ClientIdCodes:
    length: int
    characters: int
    duplicate: int


SPOT_CODES = ClientIdCodes(length=50037, characters=50038, duplicate=50042)
FUTURES_CODES = ClientIdCodes(length=40049, characters=40048, duplicate=40050)


def check_client_id(
    store: Store, policies: Policies, account: Account, client_order_id: str, *, market: str, now_ms: int
) -> None:
    """Refuse an id that is too long, has odd characters, or is still taken: for how long is a policy."""
    codes = SPOT_CODES if market == "spot" else FUTURES_CODES
    if not client_order_id:
        return
    if len(client_order_id) > MAX_LENGTH:
        raise Refusal(codes.length)
    if not CLIENT_ID.fullmatch(client_order_id):
        raise Refusal(codes.characters)
    memory = policies.of(account, "client_ids")
    since = {"live": now_ms + 1, "day": now_ms - REMEMBERED_MS, "ever": -1}[memory]
    for kind, live in _HOLDERS:
        condition = f"account_id = ? AND client_order_id = ? AND market = ? AND ({live} OR created_ms > ?)"
        if store.one(kind, condition, account.id, client_order_id, market, since) is not None:
            raise Refusal(codes.duplicate)
