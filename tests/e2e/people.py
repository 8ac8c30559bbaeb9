"""The people of these tests, by what they do in the browser."""

import re
import secrets
from dataclasses import dataclass

from playwright.sync_api import Browser, Page, StorageState, expect

from tests.e2e.product import Product, text_of


@dataclass(frozen=True, slots=True)
class Newcomer:
    email: str
    password: str


def newcomer() -> Newcomer:
    return Newcomer(f"ada-{secrets.token_hex(4)}@example.com", f"Lovelace-{secrets.token_hex(6)}")


def fill_log_in(page: Page, email: str, password: str) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Log in").click()


def log_in(chromium: Browser, product: Product, email: str) -> StorageState:
    """Log the demo's people in, who share one password, and return the cookies."""
    context = chromium.new_context(base_url=product.url)
    page = context.new_page()
    fill_log_in(page, email, product.facts["password"])
    expect(page).not_to_have_url(re.compile("/accounts/login/"))
    state = context.storage_state()
    context.close()
    return state


def confirm_password(page: Page, product: Product) -> None:
    """Answer the step-up, if it asks, on the way to a page that needs it."""
    if "/reauthenticate/" in page.url:
        page.get_by_label("Password").fill(product.facts["password"])
        page.get_by_role("button", name=re.compile("Confirm|Continue")).click()


def code_for(product: Product, person: Newcomer) -> str:
    text = text_of(product.mail_to(person.email, "code"))
    found = re.search(r"Your code is:\s+(\S+)", text)
    assert found, text
    return found[1]


def sign_up(page: Page, product: Product, person: Newcomer) -> None:
    """Sign up with the mouse, type the code from the mail, arrive on the dashboard."""
    page.goto("/")
    page.get_by_role("link", name="Start 14-day trial").first.click()
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password", exact=True).fill(person.password)
    page.get_by_role("button", name="Start trial").click()
    page.get_by_label("Code").fill(code_for(product, person))
    with page.expect_response("**/app/settings/zone/"):  # the browser tells its time zone, once
        page.get_by_role("button", name="Confirm", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Dashboard")).to_be_visible()
