"""Calls that are the same on both markets: the clock, and what the venue says about the key."""

from apps.connectors.bitmart.client import Client
from apps.connectors.bitmart.wire import Row, instant_or_none, to_decimal, unreadable
from apps.connectors.exchange import CredentialsError, KeyInfo, NotSupportedError, UnreachableError


def server_time_ms(client: Client) -> int:
    data = client.public("/system/time").data
    value = to_decimal(data.get("server_time")) if isinstance(data, dict) else None
    if value is None or value <= 0:
        raise unreadable("server_time")
    return int(value)


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
    keys = data.get("api_keys") if isinstance(data, dict) else None
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
