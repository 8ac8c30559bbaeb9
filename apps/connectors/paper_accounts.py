"""Open an account at the paper exchange, through its control address."""

import requests
from django.conf import settings

from apps.connectors.exchange import Credentials, Market

START_BALANCE = "10000"


class PaperUnavailableError(Exception):
    """The paper exchange did not open an account; nothing was created."""


def open_account(market: Market) -> Credentials:
    """Return the keys of a new account with 10,000 USDT at `market`."""
    headers = {"Authorization": f"Bearer {settings.PAPER_CONTROL_TOKEN}"} if settings.PAPER_CONTROL_TOKEN else {}
    body = {"balances": {market.value: {"USDT": START_BALANCE}}}
    try:
        answer = requests.post(f"{settings.PAPER_URL}/_paper/accounts", json=body, headers=headers, timeout=(3, 8))
        answer.raise_for_status()
        account = answer.json()
        return Credentials(account["access_key"], account["secret_key"], account["memo"])
    except (requests.RequestException, KeyError, ValueError, TypeError) as error:
        raise PaperUnavailableError(type(error).__name__) from None
