"""The catalogue hands its reader a message with the pointer of their own connector in it."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import StorageState, expect

from tests.e2e.conftest import Visitor
from tests.e2e.product import Product

pytestmark = pytest.mark.browser


def test_own_pointer_stands_in_the_message_of_a_strategy(
    visit: Callable[..., Visitor], product: Product, demo: StorageState
) -> None:
    page = visit(state=demo).page
    page.goto("/strategies/")
    page.get_by_role("link", name="BTC spot dips").click()
    if page.get_by_label("Connector").count():  # only asked for when there are several
        page.get_by_label("Connector").select_option(label="Paper spot (Paper)")
        page.get_by_role("button", name="Use").click()

    page.locator("[data-copy-from=message]").click()
    expect(page.locator("#announcer")).to_have_text("Copied")

    copied = page.evaluate("navigator.clipboard.readText()")
    assert product.pointer("spot") in copied
    assert "{{strategy.order.action}}" in copied


def test_stranger_gets_a_placeholder_instead_of_a_pointer(visit: Callable[..., Visitor]) -> None:
    page = visit().page

    page.goto("/strategies/btc-spot-dips/")

    message = page.locator("#message")
    expect(message).to_contain_text('"pointer"')
    assert re.search(r"sf_[a-z2-7]{32}", message.inner_text()) is None
