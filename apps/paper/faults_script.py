"""Reading a script of faults from the control address, and telling what it did."""

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal

from apps.paper.amounts import plain
from apps.paper.faults import (
    ACTIONS,
    LARGEST_SKEW_MS,
    LONGEST_DELAY_MS,
    MOST_RULES,
    MOST_TIMES,
    Fault,
    FaultRoom,
)
from apps.paper.params import Params

_DATA = ("absent", "null", "empty", "text")
_CODES = {"too_many": (30013, 429), "banned": (30017, 418), "maintenance": (30016, 200)}
_STATUSES = {"html": 403, "status": 502}
_MESSAGES = {
    30013: "Request too many requests",
    30014: "Service unavailable",
    30016: "Service maintenance, the function is temporarily unavailable",
    30017: "RATE_LIMIT. Account temporarily rejected by limiting rules",
}
_ACCEPTED_UNLESS_TOLD = ("status",)
_LONGEST_TEXT = 200


def order(params: Params, room: FaultRoom) -> object:
    """Arm what the body asks: one rule in its fields, or several in `rules`; `skew_ms` turns the server's clock."""
    script = params.items("rules")
    if script is not None:
        rules = [_rule(Params(_fields(params, row), params.codes)) for row in script]
    else:
        rules = [_rule(params)] if "action" in params.values or "route" in params.values else []
    if len(room.rules) + len(rules) > MOST_RULES:
        raise params.invalid("rules")
    if "skew_ms" in params.values:
        room.skew_ms = params.whole_between("skew_ms", -LARGEST_SKEW_MS, LARGEST_SKEW_MS, default=0)
    elif not rules:
        raise params.missing("route")
    room.arm(*rules)
    return _view(rules[0]) if script is None and rules else {"rules": [_view(rule) for rule in rules]}


def report(room: FaultRoom) -> object:
    """Return every rule with how often it matched and fired, and the last thousand firings, oldest first."""
    return {
        "skew_ms": room.skew_ms,
        "rules": [_view(rule) for rule in room.rules],
        "fired": [asdict(row) for row in room.log],
    }


def _fields(params: Params, row: object) -> Mapping[str, object]:
    if not isinstance(row, dict):
        raise params.invalid("rules")
    return row


def _rule(params: Params) -> Fault:
    action = params.choice("action", ACTIONS, code=50021)
    code, status = _CODES.get(action, (0, _STATUSES.get(action, 200)))
    code = params.whole_between("code", 0, 999_999, default=code)
    if action == "code" and not code:
        raise params.missing("code")
    return Fault(
        route=params.need("route"),
        action=action,
        times=params.whole_between("times", 1, MOST_TIMES, default=MOST_TIMES if action == "invisible" else 1),
        delay_ms=params.whole_between("delay_ms", 0, LONGEST_DELAY_MS, default=0),
        status=params.whole_between("status", 200, 599, default=status),
        accepted=_flag(params, "accepted", default=action in _ACCEPTED_UNLESS_TOLD),
        account=_text(params, "account"),
        client_order_id=_text(params, "client_order_id"),
        nth=params.whole_between("nth", 1, MOST_TIMES, default=1),
        probability=_probability(params),
        seed=params.whole_between("seed", 0, 10**9, default=1),
        code=code,
        message=_text(params, "message") or _MESSAGES.get(code, ""),
        data=params.choice("data", _DATA, code=50021, default="absent"),
    )


def _probability(params: Params) -> Decimal:
    value = params.number("probability")
    if value is None:
        return Decimal(1)
    if not 0 <= value <= 1:
        raise params.invalid("probability")
    return value


def _text(params: Params, name: str) -> str:
    value = params.text(name) or ""
    if len(value) > _LONGEST_TEXT:
        raise params.invalid(name)
    return value


def _flag(params: Params, name: str, *, default: bool) -> bool:
    value = params.values.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise params.invalid(name)
    return value


def _view(rule: Fault) -> dict[str, object]:
    names = (name for name in Fault.__slots__ if name != "dice")
    values = {name: getattr(rule, name) for name in names}
    return {name: plain(value) if isinstance(value, Decimal) else value for name, value in values.items()}
