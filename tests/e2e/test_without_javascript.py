"""Forms post, and dialogs are not needed, where scripts do not run."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Visitor
from tests.e2e.people import fill_log_in
from tests.e2e.product import Product

pytestmark = pytest.mark.browser


def test_log_in_connector_and_settings_work_without_javascript(visit: Callable[..., Visitor], product: Product) -> None:
    page = visit(javascript=False).page

    fill_log_in(page, product.facts["email"], product.facts["password"])
    expect(page.get_by_role("heading", level=1, name="Dashboard")).to_be_visible()

    page.goto("/app/connectors/new/")
    page.get_by_label("Name").fill("Made without scripts")
    page.get_by_role("button", name="Open a paper account for me").click()
    expect(page.get_by_role("heading", level=1, name="Made without scripts")).to_be_visible()
    page.locator("summary", has_text="Show").first.click()
    expect(page.get_by_text("sf_", exact=False).first).to_be_visible()

    page.goto("/app/settings/")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()

    page.goto("/accounts/logout/")
    page.get_by_role("main").get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in")).to_be_visible()
