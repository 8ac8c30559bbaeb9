"""Settings, tokens, log out, a forgotten password, and who may see the staff's pages."""

import re
from collections.abc import Callable

import pytest
import requests
from playwright.sync_api import StorageState, expect

from tests.e2e.conftest import Visitor
from tests.e2e.people import code_for, confirm_password, fill_log_in, newcomer, sign_up
from tests.e2e.product import Product, text_of

pytestmark = pytest.mark.browser

STAFF_PAGES = [
    "",
    "accounts/user/",
    "accounts/workspace/",
    "connectors/connector/",
    "connectors/pointer/",
    "alerts/alert/",
    "trading/order/",
    "trading/position/",
    "strategies/strategy/",
]


def test_time_zone_of_the_settings_is_used_on_every_page(visit: Callable[..., Visitor], product: Product) -> None:
    page = visit().page
    sign_up(page, product, newcomer())
    page.goto("/app/settings/")
    expect(page.get_by_label("Time zone")).to_have_value("Europe/Vienna")

    page.get_by_label("Time zone").select_option("Asia/Tokyo")
    page.get_by_label("Workspace name").fill("Lovelace & Co")
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page.get_by_label("Time zone")).to_have_value("Asia/Tokyo")
    page.get_by_role("button", name="Your account").click()
    expect(page.get_by_text("Lovelace & Co · owner")).to_be_visible()


def test_chosen_theme_stays(visit: Callable[..., Visitor]) -> None:
    page = visit(scheme="light").page
    page.goto("/")
    page.get_by_role("button", name="Dark theme").click()

    page.goto("/strategies/")

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_token_is_shown_once_reads_and_is_revoked(
    visit: Callable[..., Visitor], product: Product, demo: StorageState
) -> None:
    page = visit(state=demo).page
    page.goto("/app/settings/tokens/")
    page.get_by_role("button", name="Create token").click()
    confirm_password(page, product)
    if page.get_by_label("Token", exact=True).count() == 0:
        page.get_by_role("button", name="Create token").click()
    token = page.get_by_label("Token", exact=True).input_value()

    def status() -> int:
        header = {"Authorization": f"Token {token}"}
        return requests.get(f"{product.url}/api/v1/positions/", headers=header, timeout=5).status_code

    assert status() == 200
    page.goto("/app/settings/tokens/")
    assert token not in page.content()
    row = page.get_by_role("row").filter(has_text=token[:12])
    row.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("is revoked")).to_be_visible()
    assert status() == 401


def test_log_out_ends_the_session(visit: Callable[..., Visitor], product: Product) -> None:
    page = visit().page
    fill_log_in(page, product.facts["email"], product.facts["password"])
    page.get_by_role("button", name="Your account").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in")).to_be_visible()

    page.goto("/app/")

    expect(page).to_have_url("/accounts/login/?next=/app/")


def test_forgotten_password_is_set_anew_by_mail(visit: Callable[..., Visitor], product: Product) -> None:
    page = visit().page
    person = newcomer()
    sign_up(page, product, person)
    page.context.clear_cookies(name="session")
    page.goto("/accounts/login/")
    page.get_by_role("link", name=re.compile("[Ff]orgot")).click()
    page.get_by_label("Email").fill(person.email)
    page.get_by_role("button", name="Send the link").click()
    expect(page.get_by_role("heading", level=1, name="Look at your e-mail")).to_be_visible()
    text = text_of(product.mail_to(person.email, "assword"))
    [link] = re.findall(r"http://\S+/accounts/password/reset/key/\S+", text)

    page.goto(link)
    for field in page.get_by_role("main").locator("input[type=password]").all():
        field.fill("Analytical-Engine-1843")
    page.get_by_role("main").get_by_role("button").first.click()
    expect(page.get_by_role("heading", level=1, name="Password changed")).to_be_visible()

    fill_log_in(page, person.email, person.password)
    expect(page.get_by_text("do not go together").first).to_be_visible()
    fill_log_in(page, person.email, "Analytical-Engine-1843")
    expect(page.get_by_role("heading", level=1, name="Dashboard")).to_be_visible()


def test_wrong_code_is_explained(visit: Callable[..., Visitor], product: Product) -> None:
    page = visit().page
    person = newcomer()
    page.goto("/accounts/signup/")
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password", exact=True).fill(person.password)
    page.get_by_role("button", name="Start trial").click()
    right = code_for(product, person)

    page.get_by_label("Code").fill(right[::-1])
    page.get_by_role("button", name="Confirm", exact=True).click()

    expect(page.get_by_text("This code is not the one we sent").first).to_be_visible()


@pytest.mark.parametrize("path", STAFF_PAGES, ids=lambda path: path or "index")
def test_staff_page_opens_for_staff(
    visit: Callable[..., Visitor], product: Product, staff: StorageState, path: str
) -> None:
    page = visit(state=staff).page

    answer = page.goto(f"{product.facts['staff_url']}{path}")

    assert answer is not None
    assert answer.status == 200
    assert page.url == f"{product.facts['staff_url']}{path}"


@pytest.mark.parametrize("path", STAFF_PAGES, ids=lambda path: path or "index")
def test_staff_page_is_refused_to_a_user(
    visit: Callable[..., Visitor], product: Product, demo: StorageState, path: str
) -> None:
    page = visit(state=demo).page

    answer = page.goto(f"{product.facts['staff_url']}{path}")

    assert answer is not None
    assert answer.status in {403, 404} or "/login/" in page.url
    assert page.locator("#changelist").count() == 0
