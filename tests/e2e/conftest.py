"""The product and the browser of these tests, each started once."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, expect, sync_playwright

from tests.e2e.history import History, live_through
from tests.e2e.people import log_in, newcomer, sign_up
from tests.e2e.product import Product
from tests.e2e.watching import Watch

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
SIZES = {1440: 900, 390: 844}
SCHEMES = ("light", "dark")
PATIENCE_MS = 15_000  # an idle page asks for news every 5 s


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium. Not pytest-playwright's fixture: its event loop would stay for the tests after these, and
    Django refuses the database to a thread with one."""
    path = os.environ.get("CHROMIUM", "")
    if not path:
        pytest.skip("NO CHROMIUM: set CHROMIUM, or run scripts/test.py, which looks for one")
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE_MS)
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def product() -> Iterator[Product]:
    # Not in pytest's own folder: each pytest that starts closes that to other users, and PostgreSQL runs as one.
    with tempfile.TemporaryDirectory(prefix="sferica-e2e-", ignore_cleanup_errors=True) as folder:
        running = Product(Path(folder))
        running.start()
        yield running
        running.stop()


@dataclass(slots=True)
class Visitor:
    """A browser window and what its console said."""

    page: Page
    watch: Watch


def open_window(
    chromium: Browser,
    product: Product,
    *,
    width: int = 1440,
    scheme: str = "light",
    state: StorageState | None = None,
    javascript: bool = True,
) -> tuple[BrowserContext, Visitor]:
    """Open a window of its own cookies."""
    context = chromium.new_context(
        base_url=product.url,
        viewport={"width": width, "height": SIZES[width]},
        color_scheme=scheme,  # type: ignore[arg-type]
        storage_state=state,
        java_script_enabled=javascript,
        timezone_id="Europe/Vienna",
        locale="en-GB",
    )
    context.set_default_timeout(PATIENCE_MS)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    return context, Visitor(page, Watch(page))


@pytest.fixture
def visit(chromium: Browser, product: Product) -> Iterator[Callable[..., Visitor]]:
    """Open a window of its own cookies: `visit(width=390, scheme="dark", state=demo)`. Its console must stay silent."""
    contexts: list[BrowserContext] = []
    watches: list[Watch] = []

    def opened(
        *, width: int = 1440, scheme: str = "light", state: StorageState | None = None, javascript: bool = True
    ) -> Visitor:
        context, visitor = open_window(
            chromium, product, width=width, scheme=scheme, state=state, javascript=javascript
        )
        contexts.append(context)
        watches.append(visitor.watch)
        return visitor

    yield opened
    for context in contexts:
        context.close()
    said = [line for watch in watches for line in watch.said]
    if said:
        sys.stderr.write(product.last_lines())
    assert said == []


@pytest.fixture(scope="module")
def _windows(chromium: Browser, product: Product) -> Iterator[Callable[..., Visitor]]:
    opened: dict[tuple[int, str, int], tuple[BrowserContext, Visitor]] = {}

    def window(width: int, scheme: str, state: StorageState | None) -> Visitor:
        key = width, scheme, id(state)
        if key not in opened:
            opened[key] = open_window(chromium, product, width=width, scheme=scheme, state=state)
        return opened[key][1]

    yield window
    for context, _ in opened.values():
        context.close()


@pytest.fixture
def look(_windows: Callable[..., Visitor], product: Product) -> Iterator[Callable[..., Visitor]]:
    """As `visit`, for who only looks: the window was used before by the module's other tests of this size, scheme and
    log-in, and has their cookies and what they loaded."""
    used: list[Visitor] = []

    def looked(*, width: int, scheme: str, state: StorageState | None = None) -> Visitor:
        visitor = _windows(width, scheme, state)
        visitor.watch.forget()
        used.append(visitor)
        return visitor

    yield looked
    said = [line for visitor in used for line in visitor.watch.said]
    for visitor in used:
        # Off a page that asks for news.
        visitor.page.goto("about:blank")
    if said:
        sys.stderr.write(product.last_lines())
    assert said == []


@pytest.fixture(scope="package")
def demo(chromium: Browser, product: Product) -> StorageState:
    """The demo user's log-in."""
    return log_in(chromium, product, product.facts["email"])


@pytest.fixture(scope="package")
def staff(chromium: Browser, product: Product) -> StorageState:
    return log_in(chromium, product, product.facts["staff_email"])


@pytest.fixture(scope="session")
def picture() -> Callable[[Page, str], None]:
    """Keep what the page looks like as screenshots/<name>.png; only SCREENSHOTS=1 asks for that."""
    folder = Path(__file__).parent / "screenshots"

    def take(page: Page, name: str) -> None:
        if os.environ.get("SCREENSHOTS") == "1":
            page.screenshot(path=folder / f"{name}.png", full_page=True)

    return take


@pytest.fixture(scope="package")
def history(product: Product) -> History:
    return live_through(product)


@pytest.fixture(scope="package")
def beginner(chromium: Browser, product: Product) -> StorageState:
    """Somebody who has just signed up and done nothing yet."""
    context = chromium.new_context(base_url=product.url)
    sign_up(context.new_page(), product, newcomer())
    state = context.storage_state()
    context.close()
    return state
