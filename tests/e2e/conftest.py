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


@pytest.fixture
def visit(chromium: Browser, product: Product) -> Iterator[Callable[..., Visitor]]:
    """Open a window of its own cookies: `visit(width=390, scheme="dark", state=demo)`. Its console must stay silent."""
    contexts: list[BrowserContext] = []
    watches: list[Watch] = []

    def opened(
        *, width: int = 1440, scheme: str = "light", state: StorageState | None = None, javascript: bool = True
    ) -> Visitor:
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
        contexts.append(context)
        page = context.new_page()
        watches.append(Watch(page))
        return Visitor(page, watches[-1])

    yield opened
    for context in contexts:
        context.close()
    said = [line for watch in watches for line in watch.said]
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
def screenshots() -> Path:
    folder = Path(__file__).parent / "screenshots"
    folder.mkdir(exist_ok=True)
    return folder


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
