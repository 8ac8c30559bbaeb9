"""Names of orders. Both derive from what asked for the order, so that a plan made again names the same orders."""

from uuid import UUID, uuid5

_NAMESPACE = UUID("3b0f2c1e-7d0c-5a53-9d0c-5f1f6a1c9c11")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LENGTH = 25


def order_id(origin_id: UUID, *, connector_id: UUID, leg: str) -> UUID:
    return uuid5(_NAMESPACE, f"{origin_id}|{connector_id}|{leg}")


def client_order_id(order: UUID, *, leg: str, retry: int = 0) -> str:
    """Return 28 letters and digits: `z`, the leg, the number of the human retry (0-35), the order's id in base 36."""
    digits = []
    rest = order.int
    for _ in range(_LENGTH):
        rest, digit = divmod(rest, 36)
        digits.append(_DIGITS[digit])
    return f"z{leg}{_DIGITS[retry]}{''.join(reversed(digits))}"


def order_of(client_order_id: str) -> UUID | None:
    """Return the id of our order that a client order id names; None when it is not of our form."""
    if len(client_order_id) != _LENGTH + 3 or client_order_id[0] != "z" or not client_order_id.isalnum():
        return None
    number = int(client_order_id[3:], 36)
    return UUID(int=number) if number < 1 << 128 else None
