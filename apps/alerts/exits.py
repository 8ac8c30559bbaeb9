"""Where a message wants the position left that its order opens: take profit, stop loss, trailing stop.

A bare number would be a price to one sender and a percentage to the next, so it is refused: `{"price": 70000}`,
`{"percent": 5}`, `"5%"` and the flat spellings `take_profit_price`, `take_profit_percent` have one meaning each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from apps.alerts.display import showable
from apps.alerts.json_values import Json
from apps.alerts.keys import ACCEPTED, fold_key
from apps.alerts.reasons import PayloadError, Reason
from apps.alerts.repairs import RepairCode, repair
from apps.alerts.values import Values
from apps.connectors.exchange import Side
from apps.lib.decimals import DecimalRangeError, DecimalSyntaxError, normalize_text, parse_decimal
from apps.trading.signal import ExitTarget, TrailingStop

MAX_TARGETS = 5
MAX_PERCENT = Decimal(1000)
# A stop that far away is never reached: the price would be nothing.
MAX_STOP_PERCENT = Decimal("99.99")
_INNER = {
    "take_profit": {"price": "price", "limit_price": "price", "limitprice": "price", "percent": "percent"},
    "stop_loss": {"price": "price", "stop_price": "price", "stopprice": "price", "percent": "percent"},
    "activation": {"price": "price", "percent": "percent"},
    "trailing_stop": {"percent": "percent", "activation": "activation"},
}


@dataclass(frozen=True, slots=True)
class Exits:
    take_profits: tuple[ExitTarget, ...] = ()
    stop_loss: ExitTarget | None = None
    trailing_stop: TrailingStop | None = None


def read_exits(values: Values) -> Exits:
    """Return what the message says; PayloadError for the first thing that is not clear."""
    return Exits(_take_profits(values), _stop_loss(values), _trailing_stop(values))


def check_sides(exits: Exits, *, opens: Side, reference: tuple[str, Decimal] | None) -> None:
    """Raise WRONG_SIDE when a price lies on the losing side of a profit, or a stop's on the winning one.

    `opens` is the side of the opening order, `reference` the key and value that say where the price is.
    """
    up = opens is Side.BUY
    profits = [("take_profit", target.price) for target in exits.take_profits if target.price is not None]
    if exits.trailing_stop is not None and exits.trailing_stop.activation is not None:
        activation = exits.trailing_stop.activation.price
        profits += [("trailing_stop", activation)] if activation is not None else []
    stop = exits.stop_loss.price if exits.stop_loss is not None else None
    if reference is not None:
        for name, price in profits:
            _check_side(name, price, reference, above=up)
        if stop is not None:
            _check_side("stop_loss", stop, reference, above=not up)
    elif stop is not None:
        for name, price in profits:
            _check_side(name, price, ("stop_loss", stop), above=up)
    if not up:
        _check_reachable(exits)


def _check_side(name: str, price: Decimal, reference: tuple[str, Decimal], *, above: bool) -> None:
    other, against = reference
    if (price > against) if above else (price < against):
        return
    raise PayloadError(
        Reason.WRONG_SIDE,
        field=name,
        found=normalize_text(price),
        other=other,
        other_found=normalize_text(against),
        accepted=f"a price {'above' if above else 'below'} {normalize_text(against)}",
    )


def _check_reachable(exits: Exits) -> None:
    """A short cannot win more than the whole price."""
    for target in exits.take_profits:
        if target.percent is not None and target.percent > MAX_STOP_PERCENT:
            raise _out_of_range("take_profit", target.percent, MAX_STOP_PERCENT)


def _take_profits(values: Values) -> tuple[ExitTarget, ...]:
    value = _written(values, "take_profit")
    if value is None:
        return ()
    listed = value.value if isinstance(value.value, list) else [value.value]
    if not 1 <= len(listed) <= MAX_TARGETS:
        accepted = f"1 to {MAX_TARGETS} targets"
        raise PayloadError(Reason.BAD_VALUE, field="take_profit", found=f"{len(listed)} targets", accepted=accepted)
    read = [_target(values, "take_profit", item, most=MAX_PERCENT) for item in listed]
    targets = _weighted([target for target, _ in read], [weight for _, weight in read])
    values.fields["take_profit"] = ", ".join(_said(target, with_weight=len(targets) > 1) for target in targets)
    return targets


def _weighted(targets: list[ExitTarget], weights: list[Decimal | None]) -> tuple[ExitTarget, ...]:
    """Give each target its share of the position. Nothing is guessed: shares are all given, or there is one target."""
    if len(targets) == 1 and weights == [None]:
        return tuple(targets)
    given = [weight for weight in weights if weight is not None]
    total = sum(given, Decimal(0))
    if len(given) < len(weights) or total not in {Decimal(1), Decimal(100)}:
        found = f"{normalize_text(total)} together" if len(given) == len(weights) else "not given for every target"
        raise PayloadError(Reason.BAD_WEIGHTS, field="take_profit", found=found, accepted="1 or 100 together")
    return tuple(replace(target, weight=weight / total) for target, weight in zip(targets, given, strict=True))


def _stop_loss(values: Values) -> ExitTarget | None:
    value = _written(values, "stop_loss")
    if value is None:
        return None
    target, _ = _target(values, "stop_loss", value.value, most=MAX_STOP_PERCENT)
    values.fields["stop_loss"] = _said(target)
    return target


def _trailing_stop(values: Values) -> TrailingStop | None:
    value = _written(values, "trailing_stop")
    if value is None:
        return None
    activation = None
    if isinstance(value.value, dict):
        inner = _named(values, "trailing_stop", value.value)
        if "percent" not in inner:
            raise PayloadError(
                Reason.PRICE_OR_PERCENT, field="trailing_stop", found="neither", accepted=ACCEPTED["trailing_stop"]
            )
        percent = _percent(values, "trailing_stop", inner["percent"], MAX_STOP_PERCENT)
        if "activation" in inner:
            activation, _ = _target(values, "activation", inner["activation"], most=MAX_PERCENT)
    else:
        percent = _bare_percent(values, "trailing_stop", value.value, MAX_STOP_PERCENT)
    said = f"{normalize_text(percent)} %"
    values.fields["trailing_stop"] = f"{said} from {_said(activation)}" if activation else said
    return TrailingStop(percent, activation)


@dataclass(frozen=True, slots=True)
class _Written:
    """One value as the message has it; JSON null is a value too."""

    value: Json


def _written(values: Values, name: str) -> _Written | None:
    """Return the value of the key or of its flat spelling; DUPLICATE_KEY when both stand there."""
    found: list[Json] = [values.by_name[name]] if name in values else []
    found += [{kind: values.by_name[f"{name}_{kind}"]} for kind in ("price", "percent") if f"{name}_{kind}" in values]
    if len(found) > 1:
        raise PayloadError(Reason.DUPLICATE_KEY, field=name)
    return _Written(found[0]) if found else None


def _target(values: Values, name: str, value: Json, *, most: Decimal) -> tuple[ExitTarget, Decimal | None]:
    """Return one target and its weight as written."""
    if not isinstance(value, dict):
        return ExitTarget(percent=_bare_percent(values, name, value, most)), None
    inner = _named(values, name, value)
    weight = _number(values, "weight", inner.pop("weight"), ACCEPTED["weight"]) if "weight" in inner else None
    if len(inner) != 1:
        found = "both" if inner else "neither"
        raise PayloadError(Reason.PRICE_OR_PERCENT, field=name, found=found, accepted=ACCEPTED[name])
    if "percent" in inner:
        return ExitTarget(percent=_percent(values, name, inner["percent"], most)), weight
    return ExitTarget(price=_number(values, name, inner["price"], ACCEPTED["price"])), weight


def _named(values: Values, name: str, value: Mapping[str, Json]) -> dict[str, Json]:
    """Return the members of an object by the names we read; any other is refused by its own."""
    known = {**_INNER[name], "pct": "percent"}
    if name == "take_profit":
        known["weight"] = "weight"
    out: dict[str, Json] = {}
    for key, member in value.items():
        found = known.get(fold_key(key))
        if found is None:
            raise PayloadError(
                Reason.NOT_SUPPORTED,
                field=f"{name}.{showable(key, 40)}",
                accepted=ACCEPTED[name],
                found=showable(key, 40),
            )
        if found in out:
            raise PayloadError(Reason.DUPLICATE_KEY, field=f"{name}.{found}")
        if found != key:
            values.repair(repair(RepairCode.KEY_FOLDED, f"'{showable(key, 40)}' as '{found}'"))
        out[found] = member
    return out


def _bare_percent(values: Values, name: str, value: Json, most: Decimal) -> Decimal:
    """Return the percentage of a text such as `2%`; a number without the sign could be a price."""
    text = values.text_of(name, value, ACCEPTED[name])
    if text.endswith("%"):
        return _percent(values, name, text, most)
    reason = Reason.PRICE_OR_PERCENT if _is_number(text) else Reason.BAD_VALUE
    raise PayloadError(reason, field=name, found=showable(text, 60), accepted=ACCEPTED[name])


def _percent(values: Values, name: str, value: Json, most: Decimal) -> Decimal:
    text = values.text_of(name, value, ACCEPTED["percent"])
    percent = values.number(name, text.removesuffix("%").rstrip(), ACCEPTED["percent"])
    if percent > most:
        raise _out_of_range(name, percent, most)
    return percent


def _out_of_range(name: str, percent: Decimal, most: Decimal) -> PayloadError:
    accepted = f"above 0, at most {normalize_text(most)} per cent"
    return PayloadError(Reason.NUMBER_OUT_OF_RANGE, field=name, found=f"{normalize_text(percent)} %", accepted=accepted)


def _number(values: Values, name: str, value: Json, accepted: str) -> Decimal:
    return values.number(name, values.text_of(name, value, accepted), accepted)


def _is_number(text: str) -> bool:
    try:
        parse_decimal(text)
    except DecimalSyntaxError:
        return False
    except DecimalRangeError:
        return True
    return True


def _said(target: ExitTarget, *, with_weight: bool = False) -> str:
    where = f"price {normalize_text(target.price)}" if target.price is not None else ""
    if target.percent is not None:
        where = f"{normalize_text(target.percent)} %"
    return f"{where} (weight {normalize_text(target.weight)})" if with_weight else where
