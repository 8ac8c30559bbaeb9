"""Futures money: assets, fees, modes, leverage, transactions and the three views of a position."""

from decimal import Decimal

from apps.paper.amounts import ZERO, plain
from apps.paper.futures import OPEN_TYPES, POSITION_MODES
from apps.paper.futures_fills import HEDGE
from apps.paper.instruments import QUOTE, FuturesInstrument
from apps.paper.limits import Limit
from apps.paper.params import FUTURES
from apps.paper.records import Position, Transaction
from apps.paper.refusals import Refusal
from apps.paper.wallets import FUTURES as FUTURES_WALLET
from apps.paper.wire import Call, Route

_CURRENCIES = (QUOTE, "BTC", "ETH")
_WEEK_MS = 7 * 86_400_000
_FOREVER_MS = 10**15
_CLAIM, _LARGEST_CLAIM = Decimal(100), Decimal(100_000)
_TWELVE = Decimal("0.000000000001")


def assets_detail(call: Call) -> object:
    """Return the three rows that BitMart always shows."""
    held = call.exchange.futures.positions.held(call.account.id)
    deposit = sum((position.margin for position in held), ZERO)
    unrealised = sum((_unrealised(call, position) for position in held), ZERO)
    rows = []
    for currency in _CURRENCIES:
        balance = call.exchange.wallets.balance(call.account.id, FUTURES_WALLET, currency)
        tied, open_pnl = (deposit, unrealised) if currency == QUOTE else (ZERO, ZERO)
        rows.append(
            {
                "currency": currency,
                "available_balance": plain(balance.available),
                "frozen_balance": plain(balance.frozen),
                "unrealized": plain(open_pnl),
                "equity": plain(balance.available + balance.frozen + tied + open_pnl),
                "position_deposit": plain(tied),
            }
        )
    return rows


def trade_fee_rate(call: Call) -> object:
    instrument = call.exchange.futures.instrument(call.params.need("symbol"))
    return {
        "symbol": instrument.symbol,
        "taker_fee_rate": plain(instrument.taker_fee_rate),
        "maker_fee_rate": plain(instrument.maker_fee_rate),
    }


def get_position_mode(call: Call) -> object:
    return {"position_mode": call.account.position_mode}


def set_position_mode(call: Call) -> object:
    mode = call.params.choice("position_mode", POSITION_MODES, code=40011)
    call.exchange.futures.set_position_mode(call.account, mode)
    return {"position_mode": mode}


def submit_leverage(call: Call) -> object:
    params = call.params
    instrument = call.exchange.futures.instrument(params.need("symbol"))
    open_type = params.choice("open_type", OPEN_TYPES, code=40045)
    leverage = params.need_number("leverage", 40040)
    call.exchange.futures.submit_leverage(call.account, instrument.symbol, leverage=leverage, open_type=open_type)
    return {
        "symbol": instrument.symbol,
        "leverage": plain(leverage),
        "open_type": open_type,
        "max_value": str(instrument.max_leverage),
    }


def close_all_position(call: Call) -> object:
    """Close at the market; nothing held is no error. Coin contracts (contractType 2) do not exist here."""
    params = call.params
    if params.whole_between("contractType", 1, 2, default=1) != 1:
        raise params.invalid("contractType")
    symbol = params.text("symbol") or ""
    if symbol:
        call.exchange.futures.instrument(symbol)
    side = params.choice("position_side", ("long", "short"), code=40011, default="")
    call.exchange.futures.close_all(call.account, symbol=symbol, side=side, now_ms=call.now_ms)
    return {}


def claim(call: Call) -> object:
    """Pay out play money, as the demo host does; without fields 100 USDT."""
    currency = call.params.choice("currency", (QUOTE,), code=40011, default=QUOTE)
    amount = call.params.number("amount") or _CLAIM
    if not 0 < amount <= _LARGEST_CLAIM:
        raise call.params.invalid("amount")
    call.exchange.wallets.change(call.account.id, FUTURES_WALLET, currency, available=amount, cause="deposit")
    positions = call.exchange.futures.positions
    positions.book(call.account.id, "", kind="Transfer", amount=amount, now_ms=call.now_ms)
    return {"currency": currency, "amount": plain(amount)}


def transaction_history(call: Call) -> object:
    """Return rows newest first; start_time and end_time are in MILLISECONDS here."""
    params = call.params
    symbol = params.text("symbol")
    if symbol is not None:
        call.exchange.futures.instrument(symbol)
    flow_type = params.whole_between("flow_type", 0, 5, default=0)
    end = params.whole_between("end_time", 0, _FOREVER_MS, default=_FOREVER_MS, code=40039)
    start_default = min(end, call.now_ms) - _WEEK_MS
    start = params.whole_between("start_time", 0, _FOREVER_MS, default=start_default, code=40039)
    if end < start:
        raise Refusal(40039)
    limit = params.whole_between("page_size", 1, 1000, default=100)
    where = "account_id = ? AND created_ms BETWEEN ? AND ?"
    values: list[str | int | Decimal] = [call.account.id, start, end]
    if symbol is not None:
        where += " AND symbol = ?"
        values.append(symbol)
    if flow_type:
        where += " AND flow_type = ?"
        values.append(flow_type)
    found = call.exchange.store.find(Transaction, where, *values, order="id DESC", limit=limit)
    return [_transaction(row) for row in found]


def _transaction(row: Transaction) -> dict[str, object]:
    return {
        "symbol": row.symbol,
        "type": row.type,
        "amount": plain(row.amount),
        "asset": row.asset,
        "account": "futures",
        "time": str(row.created_ms),
        "tran_id": str(row.id),
        "flow_type": row.flow_type,
    }


def _held(call: Call) -> list[Position]:
    symbol = call.params.text("symbol")
    if symbol is not None:
        call.exchange.futures.instrument(symbol)
    return call.exchange.futures.positions.held(call.account.id, symbol or "")


def _unrealised(call: Call, position: Position) -> Decimal:
    """Return open PnL at mark, or at the last price where that is the policy."""
    instrument = call.exchange.catalogue.futures[position.symbol]
    quote = call.exchange.prices.quote(position.symbol, call.now_ms)
    at_mark = call.exchange.policies.of(call.account, "unrealized") == "mark"
    return call.exchange.futures.positions.unrealised(position, instrument, quote.mark if at_mark else quote.last)


def _average(value: Decimal, contracts: Decimal, instrument: FuturesInstrument) -> Decimal:
    if not contracts:
        return ZERO
    return (value / (contracts * instrument.contract_size)).quantize(_TWELVE)


def position_v1(call: Call) -> object:
    return [_position_v1(call, position) for position in _held(call)]


def _common(call: Call, position: Position) -> dict[str, object]:
    instrument = call.exchange.catalogue.futures[position.symbol]
    quote = call.exchange.prices.quote(position.symbol, call.now_ms)
    entry = _average(position.cost, position.amount, instrument)
    opened = _average(position.opened_value, position.opened_volume, instrument)
    closed = _average(position.closed_value, position.closed_volume, instrument)
    return {
        "symbol": position.symbol,
        "leverage": plain(position.leverage),
        "timestamp": call.now_ms,
        "current_fee": plain(position.funding),
        "open_timestamp": position.opened_ms,
        "current_value": plain(instrument.value(position.amount, quote.last)),
        "mark_value": plain(instrument.value(position.amount, quote.mark)),
        "mark_price": plain(quote.mark),
        "position_value": plain(position.cost),
        "position_cross": plain(position.margin),
        "maintenance_margin": plain(call.exchange.futures.positions.maintenance(position, instrument)),
        "close_vol": plain(position.closed_volume),
        "close_avg_price": plain(closed),
        "open_avg_price": plain(opened),
        "entry_price": plain(entry),
        "current_amount": plain(position.amount),
        "realized_value": plain(position.realised),
        "account": "futures",
    }


def _position_v1(call: Call, position: Position) -> dict[str, object]:
    instrument = call.exchange.catalogue.futures[position.symbol]
    last = call.exchange.prices.quote(position.symbol, call.now_ms).last
    # The first version of the route counts open PnL at the last price, the second at mark.
    open_pnl = call.exchange.futures.positions.unrealised(position, instrument, last)
    return _common(call, position) | {
        "margin_type": position.open_type.capitalize(),
        "position_mode": call.account.position_mode,
        "unrealized_value": plain(open_pnl),
        "position_type": 1 if position.side == "long" else 2,
    }


def position_v2(call: Call) -> object:
    """Return held positions; with a symbol always its rows, zeros when flat."""
    return [_position_v2(call, position, shown_side) for position, shown_side in _rows(call)]


def _rows(call: Call) -> list[tuple[Position, str]]:
    held = _held(call)
    symbol = call.params.text("symbol")
    if call.account.position_mode == HEDGE:
        if symbol is None:
            return [(position, position.side) for position in held]
        by_side = {position.side: position for position in held}
        return [(by_side.get(side) or _flat(call, symbol, side), side) for side in ("long", "short")]
    if symbol is None or held:
        return [(position, "both") for position in held]
    return [(_flat(call, symbol, "long"), "both")]


def _flat(call: Call, symbol: str, side: str) -> Position:
    setting = call.exchange.futures.leverage_setting(call.account.id, symbol)
    return Position(
        account_id=call.account.id,
        symbol=symbol,
        side=side,
        amount=ZERO,
        leverage=setting.leverage if setting else ZERO,
        open_type=setting.open_type if setting else "cross",
        cost=ZERO,
        margin=ZERO,
        realised=ZERO,
        funding=ZERO,
        opened_volume=ZERO,
        opened_value=ZERO,
        closed_volume=ZERO,
        closed_value=ZERO,
        opened_ms=0,
        updated_ms=call.now_ms,
    )


def _position_v2(call: Call, position: Position, shown_side: str) -> dict[str, object]:
    instrument = call.exchange.catalogue.futures[position.symbol]
    signed = position.amount * position.direction if shown_side == "both" else position.amount
    liquidation = call.exchange.liquidator.liquidation_price(position) if position.amount else ZERO
    initial = position.cost / position.leverage if position.amount else ZERO
    return _common(call, position) | {
        "open_type": position.open_type,
        "position_side": shown_side,
        "position_amount": plain(signed),
        "unrealized_pnl": plain(_unrealised(call, position)),
        "liquidation_price": plain(liquidation),
        "max_notional_value": plain(instrument.notional_cap(max(position.leverage, Decimal(1)))),
        "initial_margin": plain(initial.quantize(_TWELVE)),
    }


def position_risk(call: Call) -> object:
    return [_position_risk(call, position) for position, _ in _rows(call)]


def _position_risk(call: Call, position: Position) -> dict[str, object]:
    instrument = call.exchange.catalogue.futures[position.symbol]
    mark = call.exchange.prices.quote(position.symbol, call.now_ms).mark
    isolated = position.margin if position.open_type == "isolated" else ZERO
    return {
        "symbol": position.symbol,
        "position_amt": plain(position.amount),
        "mark_price": plain(mark),
        "unrealized_profit": plain(_unrealised(call, position)),
        "liquidation_price": plain(call.exchange.liquidator.liquidation_price(position) if position.amount else ZERO),
        "leverage": plain(position.leverage),
        "max_notional_value": plain(instrument.notional_cap(max(position.leverage, Decimal(1)))),
        "margin_type": position.open_type.capitalize(),
        "isolated_margin": plain(isolated),
        "position_side": position.side.capitalize(),
        "notional": plain(instrument.value(position.amount, mark)),
        "update_time": position.updated_ms,
        "account": "futures",
    }


def _limit(count: int) -> Limit:
    return Limit(count, 2, "KEY")


_TRADE = "future_trade"
_PRIVATE = "/contract/private"
ROUTES = (
    Route("GET", f"{_PRIVATE}/assets-detail", "keyed", FUTURES, assets_detail, _limit(12)),
    Route("GET", f"{_PRIVATE}/trade-fee-rate", "keyed", FUTURES, trade_fee_rate, _limit(2)),
    Route("GET", f"{_PRIVATE}/get-position-mode", "keyed", FUTURES, get_position_mode, _limit(2)),
    Route("POST", f"{_PRIVATE}/set-position-mode", "signed", FUTURES, set_position_mode, _limit(2), _TRADE),
    Route("POST", f"{_PRIVATE}/submit-leverage", "signed", FUTURES, submit_leverage, _limit(24), _TRADE),
    Route("POST", f"{_PRIVATE}/close-all-position", "signed", FUTURES, close_all_position, _limit(2), _TRADE),
    Route("POST", f"{_PRIVATE}/claim", "signed", FUTURES, claim, _limit(2), _TRADE),
    Route("GET", f"{_PRIVATE}/transaction-history", "keyed", FUTURES, transaction_history, _limit(6)),
    Route("GET", f"{_PRIVATE}/position", "keyed", FUTURES, position_v1, _limit(6)),
    Route("GET", f"{_PRIVATE}/position-v2", "keyed", FUTURES, position_v2, _limit(6)),
    Route("GET", f"{_PRIVATE}/position-risk", "keyed", FUTURES, position_risk, _limit(24)),
)
