"""A connector's life on its pages: made, checked, rotated, paused, deleted."""

from collections.abc import Callable

import pytest
import requests
from playwright.sync_api import Page, StorageState, expect

from tests.e2e.conftest import Visitor
from tests.e2e.people import confirm_password, fill_log_in
from tests.e2e.product import Product, fired

pytestmark = pytest.mark.browser

TEN_MINUTES_AGO = """
from django.contrib.sessions.backends.db import SessionStore
session = SessionStore("{session}")
for method in session["account_authentication_methods"]:
    method["at"] -= 600
session.save()
"""


@pytest.fixture
def tab(visit: Callable[..., Visitor], demo: StorageState) -> Page:
    return visit(state=demo).page


def open_paper_connector(page: Page, name: str, *, market: str = "futures") -> None:
    page.goto("/app/connectors/new/")
    page.get_by_label("Market").select_option(market)
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Open a paper account for me").click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def shown_pointer(page: Page) -> str:
    return page.locator("[data-copy^=sf_]").first.get_attribute("data-copy") or ""


def deliver(product: Product, pointer: str) -> int:
    message = {
        "ticker": "BTCUSDT.P",
        "action": "buy",
        "prev_position": "flat",
        "quantity": "0.001",
        "pointer": pointer,
    }
    return requests.post(f"{product.url}/webhook", json=message, timeout=3).status_code


def test_check_reports_line_by_line_without_a_reload(tab: Page) -> None:
    open_paper_connector(tab, "Checked")
    tab.evaluate("window.stayed = true")

    for sentence in ("Clocks agree", "The key can read balances", "a signed call was accepted"):
        expect(tab.locator("#findings")).to_contain_text(sentence)
    expect(tab.locator("#findings")).to_contain_text("Checked at")
    expect(tab.locator("#connector-state")).to_have_text("connected")

    assert tab.evaluate("window.stayed") is True


def test_first_alert_appears_on_the_page_it_was_copied_from(tab: Page, product: Product) -> None:
    open_paper_connector(tab, "Watched")
    tab.evaluate("window.stayed = true")
    tab.locator("[data-copy-from=message-first]").click()
    expect(tab.locator("#announcer")).to_have_text("Copied")

    product.post(fired(tab.evaluate("navigator.clipboard.readText()")))

    alerts = tab.locator("#connector-alerts")
    expect(alerts).to_contain_text("BTCUSDT buy")
    alerts.get_by_role("link").nth(1).focus()
    with tab.expect_response("**/findings/"):
        pass
    expect(alerts.get_by_role("link").nth(1)).to_be_focused()
    assert tab.evaluate("window.stayed") is True


def test_keys_that_the_exchange_refuses_are_named_and_never_sent_back(tab: Page) -> None:
    tab.goto("/app/connectors/new/paper/futures/")
    tab.get_by_label("Name").fill("Wrong keys")
    tab.get_by_label("Access key").fill("a" * 40)
    tab.get_by_label("Secret key").fill("b" * 64)
    tab.get_by_label("Memo").fill("nobody")
    tab.get_by_role("button", name="Store and check").click()

    expect(tab.get_by_role("heading", level=1, name="Wrong keys")).to_be_visible()
    expect(tab.locator("#findings")).to_contain_text("Nothing was traded.")
    assert "b" * 64 not in tab.content()


def test_rotated_pointer_replaces_the_old_one_at_once(tab: Page, product: Product) -> None:
    open_paper_connector(tab, "Rotated")
    old = shown_pointer(tab)
    tab.get_by_role("link", name="Rotate pointer").click()
    confirm_password(tab, product)
    tab.get_by_label("at once").check()
    tab.get_by_role("button", name="Rotate pointer").click()
    expect(tab.get_by_text("New pointer made.")).to_be_visible()
    new = shown_pointer(tab)

    assert new != old
    assert [deliver(product, old), deliver(product, new)] == [404, 200]


def test_rotation_asks_for_the_password_when_it_was_entered_long_ago(
    visit: Callable[..., Visitor], product: Product
) -> None:
    tab = visit().page
    fill_log_in(tab, product.facts["email"], product.facts["password"])
    open_paper_connector(tab, "Asked again")
    session = next(cookie["value"] for cookie in tab.context.cookies() if cookie["name"] == "session")
    product.manage("shell", "--no-imports", "-c", TEN_MINUTES_AGO.format(session=session))

    tab.get_by_role("link", name="Rotate pointer").click()
    expect(tab.get_by_role("heading", level=1, name="Confirm that it is you")).to_be_visible()
    tab.get_by_label("Password").fill("not the password")
    tab.get_by_role("main").get_by_role("button").first.click()
    expect(tab.get_by_role("heading", level=1, name="Confirm that it is you")).to_be_visible()
    confirm_password(tab, product)

    expect(tab.get_by_role("heading", level=1, name="Rotate pointer")).to_be_visible()


def test_pause_refuses_entries_until_resume(tab: Page, product: Product) -> None:
    open_paper_connector(tab, "Paused")
    pointer = shown_pointer(tab)
    tab.get_by_role("button", name="Pause").click()
    expect(tab.get_by_role("button", name="Cancel")).to_be_focused()
    tab.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(tab.get_by_text("Paused since")).to_be_visible()

    assert deliver(product, pointer) == 200
    product.wait("the refused entry", lambda: _shows(tab, "paused"))

    tab.get_by_role("button", name="Resume").click()
    expect(tab.get_by_text("takes new positions again")).to_be_visible()


def test_delete_wants_the_name_and_the_open_position_acknowledged(tab: Page, product: Product) -> None:
    open_paper_connector(tab, "Doomed")
    pointer = shown_pointer(tab)
    assert deliver(product, pointer) == 200
    product.wait("the position", lambda: _shows(tab, "BTCUSDT long"))
    tab.get_by_role("link", name="Delete connector").click()
    confirm_password(tab, product)
    expect(tab.get_by_text("Still open at the exchange")).to_be_visible()

    tab.get_by_label("Type the name").fill("Doomed")
    tab.get_by_role("button", name="Delete connector").click()
    expect(tab.get_by_role("main")).to_contain_text("close them first, or tick this box")
    tab.get_by_label("I know that these positions").check()
    tab.get_by_label("Type the name").fill("Doomed")
    tab.get_by_role("button", name="Delete connector").click()

    expect(tab.get_by_text("'Doomed' is deleted")).to_be_visible()
    expect(tab.get_by_role("link", name="Doomed")).to_have_count(0)
    assert deliver(product, pointer) == 404


def _shows(page: Page, text: str) -> bool:
    page.reload()
    return text in page.get_by_role("main").inner_text()
