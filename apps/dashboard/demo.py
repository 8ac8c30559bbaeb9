"""The demo's people, accounts and connectors: made once, kept in STATE_DIR, told by `facts`."""

import json
import secrets
from pathlib import Path
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import transaction
from knox.models import AuthToken

from apps.accounts.models import User
from apps.accounts.signup import open_workspace
from apps.connectors import check, instruments, pointers
from apps.connectors.exchange import Market
from apps.connectors.models import Connector, Environment, Pointer
from apps.connectors.opening import seal_credentials
from apps.connectors.paper_accounts import open_account
from apps.strategies.seeds import seed

EMAIL = "demo@example.com"
STAFF_EMAIL = "staff@example.com"
LABELS = {Market.SPOT: "Paper spot", Market.FUTURES: "Paper futures"}
TICKERS = {Market.SPOT: "BTCUSDT", Market.FUTURES: "BTCUSDT.P"}


def fill() -> None:
    """Make what is missing; a second run changes nothing. The paper exchange must be up."""
    kept = _read()
    kept.setdefault("password", secrets.token_urlsafe(12))
    user = _user(EMAIL, kept["password"], is_staff=False)
    _user(STAFF_EMAIL, kept["password"], is_staff=True)
    workspace = open_workspace(user)
    if not AuthToken.objects.filter(user=user).exists() or "api_token" not in kept:
        AuthToken.objects.filter(user=user).delete()
        _, kept["api_token"] = AuthToken.objects.create(user, expiry=None)
    _write(kept)
    seed()
    for market in Market:
        instruments.sync(Environment.PAPER, market)
        if not Connector.objects.for_workspace(workspace).filter(market=market, deleted_at=None).exists():
            _connect(workspace.pk, market)


def facts() -> dict[str, Any]:
    """Return what a script needs to use the demo; the pointers and the token are real."""
    kept = _read()
    user = User.objects.get(email=EMAIL)
    workspace = user.memberships.get().workspace
    connectors = Connector.objects.for_workspace(workspace).filter(deleted_at=None).order_by("created_at")
    return {
        "base_url": settings.SITE_URL,
        "email": EMAIL,
        "password": kept["password"],
        "staff_email": STAFF_EMAIL,
        "staff_url": f"{settings.SITE_URL}/{settings.ADMIN_PATH}",
        "api_token": kept["api_token"],
        "paper_url": settings.PAPER_URL,
        "connectors": [_connector_facts(connector) for connector in connectors],
    }


def curl_line(connector: dict[str, str]) -> str:
    """Return a ready command that buys a little of the connector's market."""
    ticker = TICKERS[Market(connector["market"])]
    message = {
        "ticker": ticker,
        "action": "buy",
        "prev_position": "flat",
        "quantity": "0.01",
        "pointer": connector["pointer"],
    }
    return f"curl -sS {settings.SITE_URL}/webhook -d '{json.dumps(message)}'"


def _connector_facts(connector: Connector) -> dict[str, str]:
    pointer = pointers.current(connector)
    return {
        "id": str(connector.pk),
        "label": connector.label,
        "market": connector.market,
        "environment": connector.environment,
        "pointer": pointers.reveal(pointer) if pointer else "",
    }


def _user(email: str, password: str, *, is_staff: bool) -> User:
    user = User.objects.filter(email=email).first()
    if user is None:
        user = User.objects.create_user(email, password, is_staff=is_staff, is_superuser=is_staff)
    elif not user.check_password(password):
        user.set_password(password)
        user.save(update_fields=["password"])
    EmailAddress.objects.get_or_create(user=user, email=email, defaults={"verified": True, "primary": True})
    return user


def _connect(workspace_id: Any, market: Market) -> None:
    account = open_account(market)
    with transaction.atomic():
        connector = Connector(
            workspace_id=workspace_id, label=LABELS[market], market=market.value, environment=Environment.PAPER
        )
        seal_credentials(connector, account.access_key, account.secret_key, account.memo)
        connector.save(force_insert=True)
        pointers.issue(connector, source=Pointer.Source.TRADINGVIEW)
        check.request(connector)


def _path() -> Path:
    return Path(settings.STATE_DIR) / "demo.json"


def _read() -> dict[str, str]:
    return json.loads(_path().read_text()) if _path().is_file() else {}


def _write(kept: dict[str, str]) -> None:
    _path().touch(mode=0o600)
    _path().write_text(json.dumps(kept, indent=1))
