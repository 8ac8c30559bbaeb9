"""Calls that are the same on both markets: the clock, notices, and what the venue says about the key."""

from apps.connectors.bitmart.client import Client, Envelope
from apps.connectors.bitmart.market_rows import to_notice
from apps.connectors.bitmart.wire import (
    Row,
    identifier,
    identifier_or_blank,
    instant_or_none,
    readable,
    rows,
    table,
    text,
    to_decimal,
    unreadable,
)
from apps.connectors.exchange import (
    AccountInfo,
    CredentialsError,
    KeyInfo,
    NotSupportedError,
    ServiceNotice,
    UnreachableError,
)

_TIME = "/system/time"


def server_time_ms(client: Client) -> int:
    return _time_in(client.public(_TIME))


def offset_sample_ms(client: Client) -> int:
    answer = client.public(_TIME)
    return _time_in(answer) - answer.midway_ms


def _time_in(answer: Envelope) -> int:
    data = answer.data
    value = to_decimal(data.get("server_time")) if isinstance(data, dict) else None
    if value is None or value <= 0:
        raise unreadable("server_time")
    return int(value)


def service_notices(client: Client) -> list[ServiceNotice]:
    data = table(client.public("/system/service").data, "service")
    return readable(rows(data.get("service"), "service"), to_notice)


def account_info(client: Client) -> AccountInfo:
    """Read who is behind the key; from then on the account's shared request limits are known to be shared."""
    data = table(client.keyed("/uapi-key/v1/account/info").data, "account")
    account_id = identifier(data, "cid")
    client.learn_account(account_id)
    return AccountInfo(
        account_id=account_id,
        is_sub_account=_is(text(data, "account_type"), "sub", other="main"),
        is_active=_is(text(data, "account_status"), "active", other="frozen"),
        kyc_level=identifier_or_blank(data, "kyc_level"),
        registered_at=instant_or_none(data, "register_time"),
        current_key=_current_key(data),
    )


def _is(value: str, yes: str, *, other: str) -> bool | None:
    return {yes: True, other: False}.get(value.lower())


def key_info(client: Client) -> KeyInfo:
    """Read the key's own page; where it does not say whether the key may withdraw, ask the withdrawal fee page."""
    try:
        info = _listed_key(client)
    except (NotSupportedError, UnreachableError):
        info = None
    if info is not None and info.can_withdraw is not None:
        return info
    may_withdraw = _withdrawal_page_opens(client)
    if info is None:
        return KeyInfo(can_withdraw=may_withdraw)
    return KeyInfo(
        can_withdraw=may_withdraw, permissions=info.permissions, ip_bound=info.ip_bound, expires_at=info.expires_at
    )


def _listed_key(client: Client) -> KeyInfo | None:
    data = client.keyed("/uapi-key/v1/account/info").data
    if not isinstance(data, dict):
        return None
    if account_id := identifier_or_blank(data, "cid"):
        client.learn_account(account_id)
    return _current_key(data)


def _current_key(data: Row) -> KeyInfo | None:
    keys = data.get("api_keys")
    if not isinstance(keys, list):
        return None
    current = [key for key in keys if isinstance(key, dict) and key.get("is_current") is True]
    return _to_key_info(current[0]) if len(current) == 1 else None


def _to_key_info(key: Row) -> KeyInfo:
    listed = key.get("permissions")
    permissions = tuple(p for p in listed if isinstance(p, str) and p.strip()) if isinstance(listed, list) else ()
    addresses = key.get("ip_whitelist")
    # The spelling of the permissions is not documented: any word with "withdraw" in it counts, and an empty list says
    # nothing, since every key may at least read.
    return KeyInfo(
        can_withdraw=any("withdraw" in p.lower() for p in permissions) if permissions else None,
        permissions=permissions,
        ip_bound=bool(addresses) if isinstance(addresses, list) else None,
        expires_at=instant_or_none(key, "api_key_expire_time"),
    )


def _withdrawal_page_opens(client: Client) -> bool | None:
    """Return True when the page that needs the withdrawal permission answers; it moves no money."""
    try:
        client.keyed("/account/v1/withdraw/charge", {"currency": "USDT"})
    except CredentialsError as error:
        if error.reason == "PERMISSION":
            return False
        raise
    except NotSupportedError:
        return None
    except UnreachableError as error:
        if error.http_status == 404:
            return None
        raise
    return True
