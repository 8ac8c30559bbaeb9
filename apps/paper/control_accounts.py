"""Accounts and keys as the control desk makes and changes them."""

import ipaddress
import secrets
from collections.abc import Mapping
from decimal import Decimal
from typing import cast

from apps.paper.exchange import Exchange
from apps.paper.futures import POSITION_MODES
from apps.paper.futures_fills import ONE_WAY
from apps.paper.params import SPOT, Params
from apps.paper.policies import own_policies, policies_text
from apps.paper.records import Account
from apps.paper.refusals import Refusal
from apps.paper.wallets import FUTURES
from apps.paper.wallets import SPOT as SPOT_WALLET

PERMISSIONS = ("read", "spot_trade", "margin_trade", "future_trade", "withdraw")
STATES = ("active", "frozen")
_DEFAULT_PERMISSIONS = ["read", "spot_trade", "future_trade"]
_MEMO_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbor", "iris", "juniper", "linden")
_LONGEST_LABEL = 64
_LARGEST_BALANCE = Decimal(1_000_000_000_000)


def create_account(exchange: Exchange, params: Params) -> Account:
    """Make a key with what it may do, or may not any more, and put money in its wallets."""
    account = Account(
        id=exchange.store.new_id(Account),
        access_key=secrets.token_hex(20),
        secret_key=secrets.token_hex(32),
        memo=f"{secrets.choice(_MEMO_WORDS)}{secrets.randbelow(9000) + 1000}",
        label=_label(params),
        position_mode=params.choice("position_mode", POSITION_MODES, code=50021, default=ONE_WAY),
        permissions=_permissions(params) or ",".join(_DEFAULT_PERMISSIONS),
        created_ms=exchange.clock(),
    )
    _put_on(account, params)
    _save(exchange, account, params)
    return account


def change_account(exchange: Exchange, account: Account, params: Params) -> Account:
    """Change what the body names; its balances are added to those that are there."""
    account.permissions = _permissions(params) or account.permissions
    _put_on(account, params)
    _save(exchange, account, params)
    return account


def account_view(account: Account) -> dict[str, object]:
    return {
        "access_key": account.access_key,
        "label": account.label,
        "state": account.state,
        "expires_ms": account.expires_ms,
        "addresses": [address for address in account.addresses.split(",") if address],
        "permissions": account.permissions.split(","),
        "policies": own_policies(account),
        "pays_in_bmx": bool(account.pays_in_bmx),
        "position_mode": account.position_mode,
    }


def policies_of(params: Params) -> dict[str, str] | None:
    """Return the body's policies, checked, None when it names none."""
    given = params.values.get("policies")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise params.invalid("policies")
    chosen = {str(name): str(choice) for name, choice in given.items()}
    try:
        policies_text(chosen)
    except ValueError as error:
        raise Refusal(50021, str(error)) from None
    return chosen


def _put_on(account: Account, params: Params) -> None:
    account.state = params.choice("state", STATES, code=50021, default=account.state)
    account.expires_ms = params.whole_between("expires_ms", 0, 10**15, default=account.expires_ms)
    addresses = params.items("addresses")
    if addresses is not None:
        account.addresses = ",".join(_address(params, address) for address in addresses)
    chosen = policies_of(params)
    if chosen is not None:
        account.policies = policies_text(chosen)
    pays_in_bmx = params.values.get("pays_in_bmx")
    if pays_in_bmx is not None:
        if not isinstance(pays_in_bmx, bool):
            raise params.invalid("pays_in_bmx")
        account.pays_in_bmx = int(pays_in_bmx)


def _save(exchange: Exchange, account: Account, params: Params) -> None:
    balances = _balances(exchange, params)
    with exchange.store.transaction():
        exchange.store.save(account)
        for wallet, currency, amount in balances:
            exchange.wallets.change(account.id, wallet, currency, available=amount, cause="deposit")


def _permissions(params: Params) -> str:
    permissions = params.items("permissions") or []
    if any(permission not in PERMISSIONS for permission in permissions):
        raise params.invalid("permissions")
    return ",".join(str(permission) for permission in permissions)


def _address(params: Params, address: object) -> str:
    try:
        return str(ipaddress.ip_address(str(address)))
    except ValueError:
        raise params.invalid("addresses") from None


def _balances(exchange: Exchange, params: Params) -> list[tuple[str, str, Decimal]]:
    given = params.values.get("balances")
    if given is None:
        return []
    if not isinstance(given, dict):
        raise params.invalid("balances")
    rows = []
    for wallet, amounts in given.items():
        if wallet not in {SPOT_WALLET, FUTURES} or not isinstance(amounts, dict):
            raise params.invalid("balances")
        fields = Params(cast(Mapping[str, object], amounts), SPOT)
        rows += [(wallet, currency, _amount(exchange, fields, currency)) for currency in amounts]
    return rows


def _amount(exchange: Exchange, fields: Params, currency: str) -> Decimal:
    if currency not in exchange.catalogue.coins:
        raise Refusal(51000)
    amount = fields.need_number(currency)
    if not 0 <= amount <= _LARGEST_BALANCE:
        raise fields.invalid(currency)
    return amount


def _label(params: Params) -> str:
    label = params.text("label") or "paper"
    if len(label) > _LONGEST_LABEL or not label.isprintable():
        raise params.invalid("label")
    return label
