"""The design system: every status has its look, every look its class in the built CSS, every figure its form."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django import forms
from django.conf import settings
from django.template import Context, Template
from django_cotton.compiler_regex import CottonCompiler

from apps.accounts.models import Subscription
from apps.accounts.trading_state import TradingState
from apps.alerts.models import AlertStatus
from apps.connectors.models import CheckStatus, Environment
from apps.lib.templatetags import figures
from apps.lib.templatetags.controls import may_be_left_empty
from apps.lib.templatetags.statuses import LOOKS, NOTICE_ICONS, look_of, notice_level
from apps.trading.models import OrderState, ProtectionState

CSS = (settings.BASE_DIR / "static/css/app.css").read_text()
ENUMS = [AlertStatus, OrderState, CheckStatus, TradingState, Environment, Subscription.Status]
NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize("status", [member for enum in ENUMS for member in enum], ids=lambda member: repr(member))
def test_every_status_has_a_look_in_the_built_css(status):
    look = look_of(status.value)

    for name in look.css.split():
        assert re.search(rf"\.{name}[^\w-]", CSS), name


@pytest.mark.parametrize("status", [*AlertStatus, *OrderState], ids=lambda member: repr(member))
def test_badge_says_the_word_of_the_model(status):
    assert LOOKS[status.value].word == status.label


@pytest.mark.parametrize("state", ProtectionState, ids=lambda member: repr(member))
def test_guard_of_an_order_has_its_look_and_the_word_of_the_model(state):
    look = look_of(f"guard_{state.value}")

    assert look.word == state.label
    for name in look.css.split():
        assert re.search(rf"\.{name}[^\w-]", CSS), name


class Choosing(forms.Form):
    unit = forms.ChoiceField(choices=[("percent", "percent"), ("price", "price")], required=False)
    margin = forms.ChoiceField(choices=[("", "as set"), ("cross", "cross")], required=False)
    price = forms.CharField(required=False)
    name = forms.CharField()


@pytest.mark.parametrize(("name", "says_so"), [("unit", False), ("margin", True), ("price", True), ("name", False)])
def test_optional_is_what_can_be_left_empty(name, says_so):
    assert may_be_left_empty(Choosing()[name]) is says_so


def test_figures_and_times_bring_no_space_before_a_comma():
    source = '<c-time :at="at" />.' + "".join(
        f'<c-{name} :value="n" />,' for name in ("money", "quantity", "price", "pnl")
    )

    html = Template(CottonCompiler().process(source)).render(Context({"at": NOON, "n": Decimal(1)}))

    assert not re.search(r">\s+[.,]", html)
    assert html.count(">,") == 4


@pytest.mark.parametrize(
    ("tag", "slot"),
    [
        ('<c-confirm id="run" action="/" title="t" word="w">', "fields"),
        ('<c-card title="t">', "actions"),
        ('<c-card title="t">', "footer"),
        ("<c-form>", "buttons"),
        ("<c-notice>", "actions"),
        ('<c-page-header title="t">', "crumbs"),
        ('<c-page-header title="t">', "badges"),
    ],
)
def test_slot_shows_what_it_is_given_and_nothing_of_the_page(tag, slot):
    name = tag.strip("<>").split()[0]
    page = Context({slot: [("ticker", "of the page")]})

    empty = Template(CottonCompiler().process(f"{tag}text</{name}>")).render(page)
    given = Template(CottonCompiler().process(f'{tag}text<c-slot name="{slot}">own</c-slot></{name}>')).render(page)

    assert "of the page" not in empty
    assert ("own" in given, "of the page" in given) == (True, False)


@pytest.mark.parametrize("level", NOTICE_ICONS)
def test_every_notice_has_its_class_in_the_built_css(level):
    assert f".notice-{level}" in CSS


def test_badge_is_word_icon_and_colour():
    html = Template("{% look_of 'filled' as look %}{{ look.css }}|{{ look.icon }}|{{ look.word }}").render(Context())

    assert html == "status status-good|circle-check|filled"


@pytest.mark.parametrize(
    ("value", "step", "written"),
    [
        (None, 2, "—"),
        ("", 2, "—"),
        (Decimal("1234567.891"), 2, "1,234,567.89"),
        (Decimal(1000), 2, "1,000.00"),
        (Decimal("0.00004"), None, "0.00004"),
        (Decimal("1E-18"), None, "0.000000000000000001"),
        (Decimal("63542.100000000000000000"), Decimal("0.100000000000000000"), "63,542.1"),
        (Decimal("12.000000000000000000"), Decimal(1), "12"),
        (Decimal("-3.2"), 2, "−3.20"),
        (Decimal("99999999999999999999.123456789012345678"), None, "99,999,999,999,999,999,999.123456789012345678"),
    ],
)
def test_amount(value, step, written):
    assert figures.amount(value, step) == written


@pytest.mark.parametrize(
    ("value", "written", "css"),
    [
        (Decimal("12.5"), "+12.50", "gain"),
        (Decimal("-12.5"), "−12.50", "loss"),
        (Decimal(0), "0.00", ""),
        (None, "—", ""),
    ],
)
def test_gain_and_loss_have_a_sign_and_a_colour(value, written, css):
    assert figures.signed(value, 2) == written
    assert figures.pnl_class(value) == css


def test_float_is_no_money():
    with pytest.raises(TypeError):
        figures.amount(0.1)


def test_moment_is_written_in_the_readers_zone():
    assert figures.local({"zone": "Europe/Vienna"}, NOON) == "2026-11-22 13:00:00"
    assert figures.local({}, NOON) == "2026-11-22 12:00:00"
    assert figures.local({}, None) == "—"
    assert figures.iso(NOON) == "2026-11-22T12:00:00.123Z"
    assert figures.utc(NOON) == "2026-11-22 12:00:00 UTC"


@pytest.mark.parametrize(
    ("age", "written"),
    [
        (timedelta(seconds=42), "42 s ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=23, minutes=59), "23 h ago"),
        (timedelta(hours=24), ""),
        (timedelta(seconds=-5), ""),
    ],
)
def test_relative_time_is_for_the_last_day(age, written):
    with time_machine.travel(NOON, tick=False):
        assert figures.ago(NOON - age) == written


@pytest.mark.parametrize(
    ("tags", "level"), [("success", "success"), ("safe warning", "warning"), ("debug", "info"), ("", "info")]
)
def test_message_tags_become_a_notice_level(tags, level):
    assert notice_level(tags) == level


def test_radio_button_keeps_its_size_beside_a_long_label():
    [rule] = re.findall(r"\.choices input{([^}]*)}", CSS)

    assert "flex:none" in rule


@pytest.mark.parametrize("font_or_host", ["http://", "https://", "@import", "url(//"])
def test_built_css_loads_nothing_from_elsewhere(font_or_host):
    assert font_or_host not in re.sub(r"/\*.*?\*/|http://www\.w3\.org/2000/svg|https://tailwindcss\.com", "", CSS)
