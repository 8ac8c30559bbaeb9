"""Every page of the staff admin answers, shows no secret, and needs nothing the CSP forbids."""

import re
from datetime import UTC
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Plan
from tests.admin.rows import OURS, TOTP_SECRET, one_of_each, our_models
from tests.people import Member

# What a strict CSP refuses to run or apply; a block of data is neither.
INLINE = re.compile(r'<script(?![^>]*\bsrc=)(?![^>]*type="application/json")|<style|\sstyle="|\son[a-z]+="|javascript:')


def test_every_model_of_ours_is_in_the_admin() -> None:
    assert [model for model in our_models() if not admin.site.is_registered(model)] == []


def test_every_page_answers_without_secrets_and_inline_code(staff: Client) -> None:
    rows = one_of_each()
    assert [model for model in admin.site._registry if model not in rows] == []
    connector, pointer = rows_named(rows, "connector"), rows_named(rows, "pointer")
    secrets = [
        TOTP_SECRET, connector.sealed_access_key, connector.sealed_secret_key, connector.sealed_memo,
        connector.key_fingerprint, pointer.sealed_display, bytes(pointer.lookup).hex(),
        rows_named(rows, "user").password,
    ]  # fmt: skip
    pages = [reverse("admin:index")]
    for model, row in rows.items():
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        listing = reverse(f"{base}_changelist")
        pages += [listing, f"{listing}?q=something", f"{listing}?q={row.pk}", f"{listing}?q=%00", f"{listing}?p=9999"]
        pages += [reverse(f"{base}_change", args=[row.pk]), reverse(f"{base}_history", args=[row.pk])]
        if admin.site._registry[model].has_add_permission(request_of(staff)):
            pages.append(reverse(f"{base}_add"))

    for page in pages:
        answer = staff.get(page, follow=True)
        html = answer.content.decode()

        assert answer.status_code == 200, page
        assert [secret for secret in secrets if secret in html] == [], page
        assert INLINE.findall(html) == [], page
        assert 'rel="icon"' in html, page  # or the browser asks for a /favicon.ico that is not there
        assert "unsafe" not in answer.headers["Content-Security-Policy"]


def test_an_orders_page_shows_every_step_and_fill_and_takes_no_change(staff: Client) -> None:
    rows = one_of_each()
    event, fill, order = (rows_named(rows, name) for name in ("orderevent", "fill", "order"))

    html = staff.get(reverse("admin:trading_order_change", args=[order.pk])).content.decode()

    assert event.at.astimezone(UTC).isoformat(" ", "milliseconds") in html
    assert (event.cause in html, fill.trade_id in html) == (True, True)
    # Django's own, which say how many rows there are.
    counts = {"TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS", "MAX_NUM_FORMS"}
    named = {name for name in re.findall(r'name="((?:events|fills)-[^"]+)"', html) if name.split("-")[1] not in counts}
    assert named <= {"events-0-id", "events-0-order", "fills-0-id", "fills-0-order"}


def test_amounts_are_shown_without_the_zeros_of_their_columns(staff: Client) -> None:
    rows = one_of_each()

    for name in ("order", "fill", "position", "ledgerentry", "equitypoint", "instrument", "marketprice", "protection"):
        row = rows_named(rows, name)
        base = f"admin:{row._meta.app_label}_{row._meta.model_name}"
        for page in (reverse(f"{base}_changelist"), reverse(f"{base}_change", args=[row.pk])):
            html = staff.get(page).content.decode()

            assert re.findall(r"\d\.\d*0{9}", html) == [], page
    order = staff.get(reverse("admin:trading_order_change", args=[rows_named(rows, "order").pk])).content.decode()
    assert '<div class="readonly">10</div>' in order
    assert "sent only once the parent is filled" in order, "the help of a column stays"


def test_links_lead_from_a_row_to_what_belongs_to_it(staff: Client) -> None:
    rows = one_of_each()
    followed = 0

    for name in ("user", "workspace", "connector", "pointer", "alert", "order"):
        row = rows_named(rows, name)
        page = staff.get(reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk]))
        for href in re.findall(r'<a href="([^"]+\?q=[^"]+)">', page.content.decode()):
            answer = staff.get(href)

            assert (answer.status_code, answer.context["cl"].result_count) == (200, 1), href
            followed += 1
    assert followed == 32


def test_no_list_offers_to_count_its_whole_table(staff: Client) -> None:
    rows = one_of_each()

    for model in rows:
        page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")

        assert "_facets" not in staff.get(page).content.decode(), page


def test_every_page_says_in_which_zone_its_times_are(staff: Client) -> None:
    assert "Times in UTC" in staff.get(reverse("admin:trading_order_changelist")).content.decode()


def rows_named(rows: dict[type[Model], Any], name: str) -> Any:
    return next(row for model, row in rows.items() if model._meta.model_name == name and model._meta.app_label in OURS)


def request_of(client: Client) -> object:
    return client.get(reverse("admin:index")).wsgi_request


def test_a_page_asks_a_bounded_number_of_queries(staff: Client, django_assert_max_num_queries: object) -> None:
    from tests.factories import ConnectorFactory, OrderFactory

    connector = ConnectorFactory()
    for _ in range(30):
        OrderFactory(connector=connector)

    with django_assert_max_num_queries(16):  # type: ignore[operator]
        staff.get(reverse("admin:trading_order_changelist"))


@pytest.mark.parametrize("path", ["admin:index", "admin:trading_order_changelist", "admin:accounts_user_changelist"])
def test_who_is_not_staff_stays_outside(owner: Member, path: str) -> None:
    url = reverse(path)

    nobody = Client().get(url, follow=True)
    trader = owner.client.get(url, follow=True)

    assert nobody.redirect_chain[-1][0].startswith(reverse("account_login"))
    assert trader.status_code == 403


def test_pages_are_counted_no_further_than_the_cap(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.accounts.staff import CappedPaginator

    monkeypatch.setattr(CappedPaginator, "CAP", 3)
    Plan.objects.bulk_create([Plan(code=f"plan-{n}", name="Plan") for n in range(5)])

    changelist = staff.get(reverse("admin:accounts_plan_changelist")).context["cl"]

    assert (changelist.result_count, changelist.full_result_count) == (3, None)
