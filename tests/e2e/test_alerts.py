"""The alert page answers what became of a delivery; a held one waits for a person."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, StorageState, expect

from tests.e2e.conftest import Visitor
from tests.e2e.history import History
from tests.e2e.product import Product

pytestmark = pytest.mark.browser


@pytest.fixture
def tab(visit: Callable[..., Visitor], demo: StorageState) -> Page:
    return visit(state=demo).page


def test_filled_alert_shows_its_way_and_its_order(tab: Page, history: History) -> None:
    tab.goto(f"/app/alerts/{history.filled}/")

    steps = tab.get_by_role("region", name="Steps in time")
    expect(steps.get_by_role("row").nth(1)).to_contain_text("Received")
    expect(steps).to_contain_text("Order: filled")
    expect(tab.get_by_role("region", name="Orders of this alert")).to_contain_text("buy BTCUSDT")
    tab.get_by_role("region", name="Orders of this alert").get_by_role("link").first.click()
    expect(tab).to_have_url(f"/app/orders/{history.order}/")
    expect(tab.locator("#figures")).to_contain_text("10 contracts")


def test_no_page_shows_a_pointer_whole(tab: Page, history: History, product: Product) -> None:
    tab.goto(f"/app/alerts/{history.filled}/")

    expect(tab.locator("#raw-text")).to_contain_text(product.pointer("futures")[-4:])
    assert product.pointer("futures") not in tab.content()


def test_rejected_alert_says_what_was_found_and_what_to_do(tab: Page, history: History) -> None:
    tab.goto(f"/app/alerts/{history.rejected}/")

    notice = tab.locator(".notice-error")
    expect(notice).to_contain_text("Smallest order")
    expect(notice).to_contain_text("Change the quantity")
    expect(tab.locator("#understood")).to_contain_text("0.00001")


def test_duplicate_leads_to_the_first_delivery(tab: Page, history: History) -> None:
    tab.goto(f"/app/alerts/{history.duplicate}/")

    tab.get_by_role("link", name="Open the first one").click()

    expect(tab).to_have_url(f"/app/alerts/{history.filled}/")
    expect(tab.locator("#duplicates")).to_contain_text("duplicate")


def test_held_alert_runs_once_when_told_to(tab: Page, product: Product, history: History) -> None:
    message = {
        "ticker": "BTCUSDT",
        "action": "buy",
        "prev_position": "flat",
        "quantity": "0.003",
        "pointer": product.pointer("spot"),
    }
    pair = [product.post(message) for _ in range(2)]
    [held] = [alert_id for alert_id in pair if product.alert_settles(alert_id)["status"] == "HELD"]
    tab.goto(f"/app/alerts/{held}/")
    assert product.api(f"orders/?alert={held}")["results"] == []

    tab.get_by_role("button", name="Run it").click()
    expect(tab.get_by_role("button", name="Cancel")).to_be_focused()
    tab.get_by_role("dialog").get_by_role("button", name="Run it").click()

    expect(tab.get_by_text("The alert runs now.")).to_be_visible()
    product.alert_settles(held)
    [order] = product.api(f"orders/?alert={held}")["results"]
    assert order["state"] == "FILLED"
    tab.reload()
    expect(tab.get_by_role("button", name="Run it")).to_have_count(0)


def test_list_filters_by_outcome_and_gives_the_same_rows_as_csv(tab: Page, history: History) -> None:
    tab.goto("/app/alerts/")
    rows = tab.get_by_role("region", name="Alerts").get_by_role("row")
    before = rows.count()
    with tab.expect_download() as download:
        tab.get_by_role("link", name="CSV").click()

    lines = download.value.path().read_text(encoding="utf-8-sig").splitlines()

    assert len(lines) == before
    assert lines[0].startswith("received_at,alert_id,connector,")


def test_order_and_position_lists_hold_what_was_filled(tab: Page, history: History) -> None:
    tab.goto("/app/orders/")
    expect(tab.get_by_role("region", name="Orders").get_by_role("row", name="sell ETHUSDT")).to_have_count(1)

    tab.goto("/app/positions/")
    opened = tab.get_by_role("region", name="Table of open positions")
    expect(opened.get_by_role("row", name="ETHUSDT")).to_contain_text("short")
    expect(tab.get_by_role("region", name="Positions that are flat again")).to_contain_text("SOLUSDT")
