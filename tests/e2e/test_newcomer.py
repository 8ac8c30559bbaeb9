"""From the front page to a closed trade, as somebody who has never been here: with the mouse, and by keyboard alone."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import Visitor
from tests.e2e.people import code_for, newcomer, sign_up
from tests.e2e.product import Product, fired

pytestmark = pytest.mark.browser

MOST_TABS = 120


@pytest.fixture
def bitcoin(product: Product) -> Iterator[Callable[[str], None]]:
    """Hold the price of the BTC contract; it moves again afterwards."""
    yield lambda price: product.set_price("BTCUSDT", price)
    product.set_price("BTCUSDT", None)


def figure(page: Page, label: str) -> Locator:
    """Return the dashboard's figure of that name."""
    return page.locator("dl > div").filter(has=page.get_by_text(label, exact=True)).locator("dd").first


def trial_end() -> str:
    """Return the 14th day from now as the page writes it: the zone is Vienna's by then."""
    end = datetime.now(UTC) + timedelta(days=14)
    return f"ends {end.astimezone(ZoneInfo('Europe/Vienna')):%-d %b %Y}"


def sees_the_trade_through(page: Page, product: Product, message: str, price: Callable[[str], None]) -> None:
    """Fire the copied message, watch the position earn without a reload, fire its exit, read what was realised."""
    page.goto("/app/")
    page.evaluate("window.stayed = true")

    product.post(fired(message))

    positions = page.get_by_role("region", name="Table of open positions")
    expect(positions.get_by_role("row", name="BTCUSDT")).to_be_visible()
    expect(figure(page, "Unrealised PnL")).to_have_text("0.00 USDT")
    expect(page.locator("#first-steps-list")).to_contain_text("5 of 6 done")
    price("61000")
    expect(figure(page, "Unrealised PnL")).to_have_text("+10.00 USDT")
    expect(positions).to_contain_text("+10.00 USDT")
    price("59500")
    expect(figure(page, "Unrealised PnL")).to_have_text("−5.00 USDT")
    price("61000")
    expect(figure(page, "Unrealised PnL")).to_have_text("+10.00 USDT")
    before = {"strategy__prev_market_position": "long", "strategy__prev_market_position_size": "0.01"}
    after = {"strategy__market_position": "flat", "strategy__market_position_size": "0", "strategy__position_size": "0"}
    product.post(fired(message, strategy__order__action="sell", **before, **after))

    expect(page.get_by_text("No open position")).to_be_visible()
    # 10 earned, less 0.06 % of 600 and of 610.
    expect(figure(page, "Realised today")).to_have_text("+9.27 USDT")
    assert page.evaluate("window.stayed") is True


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_newcomer_trades_a_first_alert(
    visit: Callable[..., Visitor], product: Product, bitcoin: Callable[[str], None], width: int, scheme: str
) -> None:
    page = visit(width=width, scheme=scheme).page
    bitcoin("60000")

    sign_up(page, product, newcomer())
    page.reload()  # for the dates in the zone of the browser
    expect(page.get_by_text("14 days left")).to_be_visible()
    expect(page.get_by_text(trial_end())).to_be_visible()

    page.get_by_role("link", name="Add connector").first.click()
    page.get_by_role("button", name="Open a paper account for me").click()
    expect(page.get_by_role("heading", level=1, name="Paper account")).to_be_visible()
    expect(page.locator("#findings")).to_contain_text("a signed call was accepted")

    page.locator("[data-copy-from=message-first]").click()
    expect(page.locator("#announcer")).to_have_text("Copied")
    message = page.evaluate("navigator.clipboard.readText()")
    sees_the_trade_through(page, product, message, bitcoin)

    page.get_by_role("region", name="Last alerts").get_by_role("link").nth(1).click()
    expect(page.get_by_role("heading", level=1, name="BTCUSDT")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("Filled")


class Keyboard:
    """A person without a mouse: Tab, Enter, Space, letters."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def reach(self, target: Locator) -> None:
        """Press Tab until `target` has the focus, which must then be visible."""
        expect(target).to_be_visible()
        for _ in range(MOST_TABS):
            self.page.keyboard.press("Tab")
            if target.evaluate("node => node === document.activeElement"):
                outline = target.evaluate(
                    "node => { const s = getComputedStyle(node); return s.outlineStyle + s.boxShadow }"
                )
                assert outline != "nonenone", "the focus cannot be seen"
                return
        raise AssertionError(f"{MOST_TABS} times Tab do not reach {target}")

    def press(self, target: Locator) -> None:
        self.reach(target)
        self.page.keyboard.press("Enter")

    def write(self, target: Locator, text: str) -> None:
        self.reach(target)
        self.page.keyboard.type(text)


def test_whole_flow_works_by_keyboard_alone(
    visit: Callable[..., Visitor], product: Product, bitcoin: Callable[[str], None]
) -> None:
    page = visit().page
    keys = Keyboard(page)
    person = newcomer()
    bitcoin("60000")
    page.goto("/")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    keys.press(page.get_by_role("link", name="Start 14-day trial").first)
    keys.write(page.get_by_label("Email"), person.email)
    keys.write(page.get_by_label("Password", exact=True), person.password)
    page.keyboard.press("Enter")
    keys.write(page.get_by_label("Code"), code_for(product, person))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Dashboard")).to_be_visible()

    page.wait_for_load_state()  # a shortcut works once the page's scripts have run
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("c")
    expect(page.get_by_role("heading", level=1, name="TradingView connector configurations")).to_be_visible()
    keys.press(page.get_by_role("main").get_by_role("link", name="Add connector"))
    keys.press(page.get_by_role("button", name="Open a paper account for me"))
    expect(page.get_by_role("heading", level=1, name="Paper account")).to_be_visible()
    page.wait_for_load_state()
    keys.press(page.locator("[data-copy-from=message-first]"))
    expect(page.locator("#announcer")).to_have_text("Copied")
    message = page.evaluate("navigator.clipboard.readText()")

    sees_the_trade_through(page, product, message, bitcoin)

    page.keyboard.press("g")
    page.keyboard.press("a")
    expect(page.get_by_role("heading", level=1, name="Alerts")).to_be_visible()
    keys.press(page.get_by_role("region", name="Alerts").get_by_role("row").nth(1).get_by_role("link"))
    expect(page.get_by_role("heading", level=1, name="BTCUSDT")).to_be_visible()
    keys.press(page.get_by_role("button", name="Your account"))
    keys.press(page.get_by_role("button", name="Log out"))
    expect(page.get_by_role("link", name="Log in")).to_be_visible()
