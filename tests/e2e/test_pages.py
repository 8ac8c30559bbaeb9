"""Every page at both sizes in both themes: accessible, inside the policy, no wider than the window."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from playwright.sync_api import Page, StorageState, expect

from tests.e2e.conftest import SCHEMES, SIZES, Visitor
from tests.e2e.history import History
from tests.e2e.people import confirm_password
from tests.e2e.product import Product
from tests.e2e.watching import sticking_out, violations

pytestmark = pytest.mark.browser

PUBLIC = {
    "front": "/",
    "strategies": "/strategies/",
    "strategy": "/strategies/btc-trend/",
    "log-in": "/accounts/login/",
    "sign-up": "/accounts/signup/",
    "password-reset": "/accounts/password/reset/",
    "password-reset-done": "/accounts/password/reset/done/",
}
OWN = {
    "dashboard": "/app/",
    "connectors": "/app/connectors/",
    "connector-new": "/app/connectors/new/",
    "connector-keys": "/app/connectors/new/paper/futures/",
    "connector-live-keys": "/app/connectors/new/live/spot/",
    "connector-futures": "/app/connectors/{futures}/",
    "connector-spot": "/app/connectors/{spot}/",
    "connector-settings": "/app/connectors/{futures}/settings/",
    "connector-credentials": "/app/connectors/{futures}/credentials/",
    "connector-rotate": "/app/connectors/{futures}/rotate/",
    "connector-delete": "/app/connectors/{futures}/delete/",
    "alerts": "/app/alerts/",
    "alert-filled": "/app/alerts/{filled}/",
    "alert-rejected": "/app/alerts/{rejected}/",
    "alert-duplicate": "/app/alerts/{duplicate}/",
    "alert-held": "/app/alerts/{held}/",
    "alert-ignored": "/app/alerts/{ignored}/",
    "orders": "/app/orders/",
    "order": "/app/orders/{order}/",
    "positions": "/app/positions/",
    "strategy-own": "/strategies/btc-trend/",
    "settings": "/app/settings/",
    "tokens": "/app/settings/tokens/",
    "email": "/accounts/email/",
    "password-change": "/accounts/password/change/",
    "two-factor": "/accounts/2fa/",
    "two-factor-activate": "/accounts/2fa/totp/activate/",
    "sessions": "/accounts/sessions/",
    "log-out": "/accounts/logout/",
    "reauthenticate": "/accounts/reauthenticate/",
}
EMPTY = {
    "dashboard": "/app/",
    "connectors": "/app/connectors/",
    "alerts": "/app/alerts/",
    "orders": "/app/orders/",
    "positions": "/app/positions/",
    "tokens": "/app/settings/tokens/",
}
Take = Callable[[Page, str], None]
WINDOWS = [(width, scheme) for width in SIZES for scheme in SCHEMES]

everywhere = pytest.mark.parametrize(("width", "scheme"), WINDOWS, ids=[f"{w}-{s}" for w, s in WINDOWS])


def must_be_clean(visitor: Visitor, path: str, keep: Callable[[Page], None], *, product: Product) -> None:
    page = visitor.page
    answer = page.goto(path)
    if "/reauthenticate/" in page.url and "/reauthenticate/" not in path:
        confirm_password(page, product)
        answer = page.goto(path)

    assert answer is not None
    assert answer.status == 200, page.url
    assert page.url.endswith(path)
    expect(page.locator("h1")).to_have_count(1)
    keep(page)
    assert sticking_out(page) == []
    assert violations(page) == []


@everywhere
@pytest.mark.parametrize("name", PUBLIC)
def test_public_page_is_clean(
    look: Callable[..., Visitor], product: Product, picture: Take, name: str, width: int, scheme: str
) -> None:
    visitor = look(width=width, scheme=scheme)

    must_be_clean(visitor, PUBLIC[name], lambda page: picture(page, f"public-{name}-{width}-{scheme}"), product=product)


@everywhere
@pytest.mark.parametrize("name", OWN)
def test_own_page_is_clean(
    look: Callable[..., Visitor],
    product: Product,
    demo: StorageState,
    history: History,
    picture: Take,
    name: str,
    width: int,
    scheme: str,
) -> None:
    visitor = look(width=width, scheme=scheme, state=demo)
    path = OWN[name].format(**asdict(history))

    must_be_clean(visitor, path, lambda page: picture(page, f"own-{name}-{width}-{scheme}"), product=product)


@everywhere
@pytest.mark.parametrize("name", EMPTY)
def test_empty_page_is_clean(
    look: Callable[..., Visitor],
    product: Product,
    beginner: StorageState,
    picture: Take,
    name: str,
    width: int,
    scheme: str,
) -> None:
    visitor = look(width=width, scheme=scheme, state=beginner)

    must_be_clean(visitor, EMPTY[name], lambda page: picture(page, f"empty-{name}-{width}-{scheme}"), product=product)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_menu_and_dialog_are_clean_on_a_phone(
    visit: Callable[..., Visitor], demo: StorageState, picture: Take, scheme: str
) -> None:
    page = visit(width=390, scheme=scheme, state=demo).page
    page.goto("/app/")

    page.get_by_role("button", name="Menu").click()
    expect(page.get_by_role("link", name="Positions", exact=True)).to_be_visible()
    picture(page, f"own-menu-390-{scheme}")
    assert violations(page) == []

    page.keyboard.press("Escape")
    page.get_by_role("button", name="Stop everything").click()
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    picture(page, f"own-stop-390-{scheme}")
    assert violations(page) == []


@pytest.mark.parametrize("path", ["/app/no-such-page/", "/app/alerts/5f0f0000-0000-4000-8000-000000000000/"])
def test_unknown_address_is_a_clean_404(visit: Callable[..., Visitor], demo: StorageState, path: str) -> None:
    visitor = visit(state=demo)

    answer: Any = visitor.page.goto(path)

    assert answer.status == 404
    expect(visitor.page.locator("h1")).to_have_count(1)
    assert violations(visitor.page) == []
