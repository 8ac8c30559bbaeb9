"""Wallets, fees, what the key is, and transfers between the wallets."""

from decimal import Decimal

from apps.paper.amounts import fixed, plain
from apps.paper.instruments import QUOTE
from apps.paper.limits import Limit
from apps.paper.params import ACCOUNT, SPOT
from apps.paper.records import Balance, Transfer
from apps.paper.refusals import Refusal
from apps.paper.wallets import FUTURES
from apps.paper.wallets import SPOT as SPOT_WALLET
from apps.paper.wire import Bare, Call, Route

_CLASSES = (("A", "0.001", "0.0008"), ("B", "0.0025", "0.002"), ("C", "0.0025", "0.002"), ("D", "0.0025", "0.002"))
_WALLETS = {"spot": SPOT_WALLET, "contract": FUTURES, "fund": "fund"}
_SMALLEST_TRANSFER = Decimal("0.01")
_LARGEST_TRANSFER = Decimal(10_000_000_000)


def _listed(call: Call) -> list[Balance]:
    """Return the spot balances with money in them: an absent currency is zero."""
    found = call.exchange.wallets.balances(call.account.id, SPOT_WALLET)
    return [balance for balance in found if balance.available or balance.frozen]


def spot_wallet(call: Call) -> object:
    return {"wallet": [_spot_row(call, balance) for balance in _listed(call)]}


def _spot_row(call: Call, balance: Balance) -> dict[str, str]:
    return {
        "id": balance.currency,
        "name": call.exchange.catalogue.coins[balance.currency].name,
        "available": fixed(balance.available, 8),
        "frozen": fixed(balance.frozen, 8),
        "total": fixed(balance.available + balance.frozen, 8),
    }


def account_wallet(call: Call) -> object:
    currency = call.params.text("currency")
    rows = [balance for balance in _listed(call) if currency in {None, balance.currency}]
    return {"wallet": [_account_row(call, balance) for balance in rows]}


def _account_row(call: Call, balance: Balance) -> dict[str, str | None]:
    worth = None
    if call.params.text("needUsdValuation") == "true" or call.params.values.get("needUsdValuation") is True:
        worth = fixed(balance.available * _usd_price(call, balance.currency), 2)
    return {
        "currency": balance.currency,
        "name": call.exchange.catalogue.coins[balance.currency].name,
        "available": fixed(balance.available, 8),
        "frozen": fixed(balance.frozen, 8),
        "unAvailable": fixed(balance.frozen, 8),
        "available_usd_valuation": worth,
    }


def _usd_price(call: Call, currency: str) -> Decimal:
    if currency == QUOTE:
        return Decimal(1)
    return call.exchange.prices.quote(f"{currency}_{QUOTE}", call.now_ms).last


def trade_fee(call: Call) -> object:
    instrument = call.exchange.spot.instrument(call.params.need("symbol"))
    taker, maker = plain(instrument.taker_fee_rate), plain(instrument.maker_fee_rate)
    return {
        "symbol": instrument.symbol,
        "buy_taker_fee_rate": taker,
        "sell_taker_fee_rate": taker,
        "buy_maker_fee_rate": maker,
        "sell_maker_fee_rate": maker,
    }


def user_fee(call: Call) -> object:
    rates: dict[str, object] = {"user_rate_type": 0, "level": "LV1"}
    for name, taker, maker in _CLASSES:
        rates[f"taker_fee_rate_{name}"] = taker
        rates[f"maker_fee_rate_{name}"] = maker
    return rates


def withdraw_charge(call: Call) -> object:
    """Answer the probe of a key that was made with the withdraw permission. No money ever leaves this exchange."""
    currency = call.params.need("currency")
    if currency not in call.exchange.catalogue.coins:
        raise Refusal(51000)
    return {
        "today_available_withdraw_BTC": "0.0000",
        "min_withdraw": "0.00000000",
        "withdraw_precision": 8,
        "withdraw_fee": "0.00000000",
        "withdraw_Precision_GeTen": 10,
    }


def key_info(call: Call) -> object:
    account = call.account
    key = {
        "access_key_masked": f"{account.access_key[:4]}****{account.access_key[-4:]}",
        "is_current": True,
        "permissions": _permission_names(call),
        "ip_whitelist": [address for address in account.addresses.split(",") if address],
        "api_key_label": account.label,
        "api_key_created_time": account.created_ms,
        "api_key_expire_time": account.expires_ms,
        "api_key_status": account.state,
    }
    data = {
        "cid": str(account.id),
        "account_type": "main",
        "parent_cid": None,
        "account_status": "active",
        "kyc_level": "2",
        "broker_id": "",
        "register_time": account.created_ms,
        "api_keys": [key],
    }
    return Bare({"code": 1000, "msg": "OK", "errorData": None, "success": True, "data": data})


def _permission_names(call: Call) -> list[str]:
    names = call.account.permissions.split(",")
    spelling = call.exchange.policies.of(call.account, "permission_names")
    if spelling == "hidden":
        return []
    return [name.replace("_", "-").title() for name in names] if spelling == "title" else names


def transfer(call: Call) -> object:
    direction = call.params.choice("type", ("spot_to_contract", "contract_to_spot"), code=60000)
    amount = _moved(call, direction)
    call.exchange.store.save(
        Transfer(call.exchange.store.new_id(Transfer), call.account.id, QUOTE, amount, direction, call.now_ms)
    )
    return {"currency": QUOTE, "amount": plain(amount)}


def fund_transfer(call: Call) -> object:
    direction = call.params.choice("type", ("spot_to_fund", "fund_to_spot"), code=60000)
    return {"currency": QUOTE, "amount": plain(_moved(call, direction))}


def fund_contract_transfer(call: Call) -> object:
    direction = call.params.choice("type", ("fund_to_contract", "contract_to_fund"), code=60000)
    return {"currency": QUOTE, "amount": plain(_moved(call, direction))}


def _moved(call: Call, direction: str) -> Decimal:
    """Move USDT between two wallets, named as in `spot_to_contract`, and return the amount."""
    _currency(call)
    amount = call.params.need_number("amount")
    if amount <= 0:
        raise Refusal(61000)
    if not _SMALLEST_TRANSFER <= amount <= _LARGEST_TRANSFER:
        raise Refusal(60000, "The amount must be between 0.01 and 10000000000")
    source, target = (_WALLETS[name] for name in direction.split("_to_"))
    wallets, account_id = call.exchange.wallets, call.account.id
    if wallets.balance(account_id, source, QUOTE).available < amount:
        raise Refusal(61001)
    wallets.change(account_id, source, QUOTE, available=-amount, cause="transfer")
    wallets.change(account_id, target, QUOTE, available=amount, cause="transfer")
    if FUTURES in {source, target}:
        signed = amount if target == FUTURES else -amount
        call.exchange.futures.positions.book(account_id, "", kind="Transfer", amount=signed, now_ms=call.now_ms)
    return amount


def _currency(call: Call) -> None:
    if call.params.need("currency") != QUOTE:
        raise Refusal(60001)


def transfer_list(call: Call) -> object:
    params = call.params
    page = params.whole_between("page", 1, 1000, default=1)
    limit = params.whole_between("limit", 10, 100, default=10)
    start = params.whole_between("time_start", 0, 10**15, default=0)
    end = params.whole_between("time_end", 0, 10**15, default=10**15)
    where = "account_id = ? AND created_ms BETWEEN ? AND ?"
    found = call.exchange.store.find(Transfer, where, call.account.id, start, end, order="id DESC", limit=page * limit)
    currency = params.text("currency")
    records = [
        {
            "transfer_id": str(row.id),
            "currency": row.currency,
            "amount": plain(row.amount),
            "type": row.type,
            "state": "FINISHED",
            "timestamp": row.created_ms,
        }
        for row in found[(page - 1) * limit :]
        if currency in {None, row.currency}
    ]
    return {"records": records}


def _key(count: int) -> Limit:
    return Limit(count, 2, "KEY")


_TRANSFER_BETWEEN_FUND = "/contract/private/account/v1/transfer"
ROUTES = (
    Route("POST", "/account/v1/transfer", "signed", ACCOUNT, fund_transfer, _key(2), "spot_trade", recv_window=True),
    Route("POST", _TRANSFER_BETWEEN_FUND, "signed", ACCOUNT, fund_contract_transfer, _key(2), "future_trade"),
    Route("GET", "/spot/v1/wallet", "keyed", SPOT, spot_wallet, _key(12)),
    Route("GET", "/account/v1/wallet", "keyed", ACCOUNT, account_wallet, _key(12)),
    Route("GET", "/spot/v1/trade_fee", "keyed", SPOT, trade_fee, _key(2)),
    Route("GET", "/spot/v1/user_fee", "keyed", SPOT, user_fee, _key(2)),
    Route("GET", "/account/v1/withdraw/charge", "keyed", ACCOUNT, withdraw_charge, _key(2), "withdraw"),
    Route("GET", "/uapi-key/v1/account/info", "keyed", ACCOUNT, key_info),
    Route(
        "POST", "/account/v1/transfer-contract", "signed", ACCOUNT, transfer, _key(1), "future_trade", recv_window=True
    ),
    Route(
        "POST",
        "/account/v1/transfer-contract-list",
        "signed",
        ACCOUNT,
        transfer_list,
        _key(1),
        "future_trade",
        recv_window=True,
    ),
)
