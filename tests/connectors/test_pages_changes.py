from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import responses
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import AuditEvent, Plan
from apps.connectors import pointers
from apps.connectors.forms import ConnectorSettingsForm, DeleteForm
from apps.connectors.models import CheckStatus, Connector, Pointer
from apps.connectors.opening import credentials_of, open_connector
from apps.connectors.sealing import SealError
from tests.connectors.confirming import confirm
from tests.factories import ConnectorFactory, InstrumentFactory, OrderFactory, PointerFactory, PositionFactory
from tests.people import Member

pytestmark = pytest.mark.django_db

KEYS = {"access_key": "canary-access-key-1234abcd", "secret_key": "canary-secret-key-1234abcd", "memo": "my memo"}
NEW = {"label": "BTC trend", "source": "tradingview", **KEYS}
PAPER_ACCOUNTS = f"{settings.PAPER_URL}/_paper/accounts"


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr("apps.lib.wakeups.publish", names.append)
    return names


@pytest.fixture(autouse=True)
def _commits(monkeypatch: pytest.MonkeyPatch) -> None:
    # The test's own transaction never commits; what waits for it runs at once.
    monkeypatch.setattr("django.db.transaction.on_commit", lambda run, *_: run())


def mine(owner: Member, **fields: Any) -> Connector:
    return PointerFactory(connector=ConnectorFactory(workspace=owner.workspace, **fields)).connector


def post(owner: Member, name: str, connector: Connector, **data: Any) -> Any:
    return owner.client.post(reverse(f"connectors:{name}", args=[connector.pk]), data)


def actions(owner: Member) -> list[str]:
    rows = AuditEvent.objects.for_workspace(owner.workspace).order_by("at")
    return list(rows.values_list("action", flat=True))


def connectors(owner: Member) -> list[Connector]:
    return list(Connector.objects.for_workspace(owner.workspace))


def new_keys(environment: str, market: str) -> str:
    return reverse("connectors:new_keys", args=[environment, market])


def two_factor(owner: Member) -> None:
    Authenticator.objects.create(user=owner.user, type=Authenticator.Type.TOTP, data={"secret": "x"})


# Create


@responses.activate
def test_one_button_opens_a_paper_account(owner: Member, woken: list[str]) -> None:
    responses.post(PAPER_ACCOUNTS, json=KEYS)

    answer = owner.client.post(reverse("connectors:paper"), {"market": "spot", "label": "", "source": "tradingview"})

    [connector] = connectors(owner)
    assert answer["Location"] == reverse("connectors:detail", args=[connector.pk])
    assert (connector.market, connector.environment, connector.label) == ("spot", "paper", "Paper account")
    assert connector.check_status == CheckStatus.RUNNING
    assert credentials_of(connector).access_key == KEYS["access_key"]
    assert pointers.current(connector) is not None
    assert woken == ["apps.connectors.tasks.run_checks"]
    assert actions(owner) == ["connector.created"]


@responses.activate
def test_paper_accounts_without_a_name_can_be_told_apart(owner: Member) -> None:
    for number in range(3):
        responses.post(PAPER_ACCOUNTS, json=KEYS | {"access_key": f"{number}" * 40})

    for market in ("futures", "spot", "futures"):
        owner.client.post(reverse("connectors:paper"), {"market": market, "label": " ", "source": "tradingview"})

    labels = [(connector.market, connector.label) for connector in connectors(owner)]
    assert sorted(labels) == [
        ("futures", "Paper account"), ("futures", "Paper account 3"), ("spot", "Paper account 2"),
    ]  # fmt: skip


@responses.activate
def test_paper_exchange_that_is_down_leaves_nothing(owner: Member, woken: list[str]) -> None:
    responses.post(PAPER_ACCOUNTS, status=503)

    answer = owner.client.post(reverse("connectors:paper"), {"market": "spot", "label": "", "source": "tradingview"})

    assert answer.status_code == 422
    assert "PAPER_UNAVAILABLE" in answer.content.decode()
    assert connectors(owner) == []
    assert woken == []


def test_keys_of_the_paper_exchange_need_no_confirmation(owner: Member, woken: list[str]) -> None:
    owner.client.post(new_keys("paper", "futures"), NEW)

    [connector] = connectors(owner)
    assert credentials_of(connector).memo == "my memo"
    assert connector.exit_excess == "reverse"


def test_trendspider_connector_closes_only(owner: Member, woken: list[str]) -> None:
    owner.client.post(new_keys("paper", "futures"), {**NEW, "source": "trendspider"})

    [connector] = connectors(owner)
    assert connector.exit_excess == "close_only"
    assert pointers.current(connector).source == Pointer.Source.TRENDSPIDER


def test_live_keys_are_asked_for_only_after_a_confirmation(owner: Member) -> None:
    two_factor(owner)

    answer = owner.client.get(new_keys("live", "spot"))

    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/reauthenticate/?next=")


def test_live_keys_sent_without_a_confirmation_are_stored_nowhere(owner: Member, woken: list[str]) -> None:
    two_factor(owner)

    answer = owner.client.post(new_keys("live", "spot"), NEW)

    assert answer["Location"].startswith("/accounts/reauthenticate/")
    assert connectors(owner) == []
    assert KEYS["secret_key"] not in str(dict(owner.client.session))
    assert woken == []


def test_live_connector_needs_two_factor_login(owner: Member, woken: list[str]) -> None:
    confirm(owner)

    shown = owner.client.get(new_keys("live", "spot"))
    answer = owner.client.post(new_keys("live", "spot"), NEW)

    assert 'name="secret_key"' not in shown.content.decode()
    assert answer.status_code == 403
    assert "TWO_FACTOR_NEEDED" in answer.content.decode()
    assert connectors(owner) == []


def test_confirmed_owner_with_two_factor_login_creates_a_live_connector(owner: Member, woken: list[str]) -> None:
    two_factor(owner)
    confirm(owner)

    owner.client.post(new_keys("live", "spot"), NEW)

    [connector] = connectors(owner)
    assert (connector.environment, connector.market) == ("live", "spot")


def test_live_form_says_that_bitmart_closes_and_how_to_make_the_key(owner: Member) -> None:
    two_factor(owner)
    confirm(owner)

    html = owner.client.get(new_keys("live", "futures")).content.decode()

    assert "BitMart has announced that it is closing" in html
    assert "Future-Trade" in html
    assert "Withdraw off" in html
    assert "Memo (the text you typed when creating the key)" in html


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        (
            "secret_key",
            "canary-secret-key-12ab\n",
            "There is a space or a line break at the end of the secret key.",
        ),
        (
            "access_key",
            " canary-access-key-12ab",
            "There is a space or a line break at the start of the access key.",
        ),
        ("access_key", "canary access", "There is a space inside the access key"),
        ("memo", "memo ", "There is a space or a line break at the end of the memo."),
        ("secret_key", "schlüssel", "The secret key has a character that BitMart does not use."),
    ],
)
def test_pasted_white_space_is_pointed_out_and_not_stored(
    owner: Member, woken: list[str], field: str, value: str, sentence: str
) -> None:
    answer = owner.client.post(new_keys("paper", "spot"), {**NEW, field: value})

    html = answer.content.decode()
    assert answer.status_code == 422
    assert sentence in html
    assert 'value="BTC trend"' in html
    assert KEYS["secret_key"] not in html
    assert connectors(owner) == []


def test_memo_may_have_a_space_inside(owner: Member, woken: list[str]) -> None:
    owner.client.post(new_keys("paper", "spot"), {**NEW, "memo": "my trading memo"})

    assert credentials_of(connectors(owner)[0]).memo == "my trading memo"


def test_plans_number_of_connectors_is_the_most(owner: Member, woken: list[str]) -> None:
    Plan.objects.update(max_connectors=2)
    mine(owner)
    mine(owner)

    answer = owner.client.post(new_keys("paper", "spot"), NEW)

    assert answer.status_code == 422
    assert "CONNECTOR_LIMIT: Your plan allows 2 connectors and you have 2." in answer.content.decode()
    assert len(connectors(owner)) == 2


@responses.activate
def test_no_paper_account_is_opened_beyond_the_limit(owner: Member) -> None:
    Plan.objects.update(max_connectors=0)

    owner.client.post(reverse("connectors:paper"), {"market": "spot", "label": "", "source": "tradingview"})

    assert len(responses.calls) == 0
    assert connectors(owner) == []


def test_deleted_connectors_do_not_count(owner: Member, woken: list[str]) -> None:
    Plan.objects.update(max_connectors=1)
    mine(owner, deleted_at=timezone.now())

    owner.client.post(new_keys("paper", "spot"), NEW)

    assert len(connectors(owner)) == 2


@pytest.mark.parametrize("path", [("demo", "spot"), ("paper", "margin")])
def test_other_environments_and_markets_are_404(owner: Member, path: tuple[str, str]) -> None:
    assert owner.client.get(new_keys(*path)).status_code == 404


# Settings


def settings_of(connector: Connector, **changed: Any) -> dict[str, Any]:
    data = {
        "label": connector.label, "exit_excess": "reverse", "mismatch": "close_only", "suspected_duplicate": "hold",
        "external_trades": "adopt", "unprotected": "close",
        "max_lag_s": "300", "max_order_notional": "", "max_open_notional": "", "max_orders_per_minute": "",
        "leverage": "1", "margin_mode": "isolated", "most_leverage": "", "allowed_symbols": "", "direction": "both",
        "adds": "allow", "max_adds": "1", "max_open_positions": "", "max_daily_loss": "",
        "max_price_deviation_pct": "", "low_balance": "refuse",
    }  # fmt: skip
    return data | changed


def test_settings_are_saved_and_recorded(owner: Member) -> None:
    connector = mine(owner)

    answer = post(owner, "settings", connector, **settings_of(connector, mismatch="reject", strict_json="on"))

    connector.refresh_from_db()
    assert answer.status_code == 302
    assert (connector.mismatch, connector.strict_json) == ("reject", True)
    [event] = AuditEvent.objects.for_workspace(owner.workspace)
    assert event.facts["changed"] == {"mismatch": "reject", "strict_json": "True"}


@pytest.mark.parametrize(
    "raised",
    [{"max_order_notional": "1000.01"}, {"max_open_notional": "6000"}, {"leverage": "2"}, {"most_leverage": "1.5"}],
)
def test_raising_a_limit_needs_a_confirmation(owner: Member, raised: dict[str, str]) -> None:
    connector = mine(owner)

    answer = post(owner, "settings", connector, **settings_of(connector, **raised))

    connector.refresh_from_db()
    assert answer["Location"].startswith("/accounts/reauthenticate/")
    assert (connector.max_order_notional, connector.max_open_notional, connector.leverage) == (None, None, 1)
    assert actions(owner) == []


def test_values_survive_the_confirmation(owner: Member) -> None:
    connector = mine(owner)

    html = owner.client.get(
        reverse("connectors:settings", args=[connector.pk]), settings_of(connector, max_order_notional="2500")
    ).content.decode()

    assert 'value="2500"' in html


def test_confirmed_owner_raises_a_limit(owner: Member) -> None:
    connector = mine(owner)
    confirm(owner)

    post(owner, "settings", connector, **settings_of(connector, max_order_notional="2500.5"))

    connector.refresh_from_db()
    assert connector.max_order_notional == Decimal("2500.5")


def test_lowering_a_limit_needs_none(owner: Member) -> None:
    connector = mine(owner)

    post(owner, "settings", connector, **settings_of(connector, max_order_notional="100", max_orders_per_minute="5"))

    connector.refresh_from_db()
    assert (connector.max_order_notional, connector.max_orders_per_minute) == (Decimal(100), 5)


def test_emptying_a_lowered_limit_raises_it_to_the_plans(owner: Member) -> None:
    connector = mine(owner, max_order_notional=Decimal(100))

    answer = post(owner, "settings", connector, **settings_of(connector))

    assert answer["Location"].startswith("/accounts/reauthenticate/")


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("max_order_notional", "0", "Found 0; accepted: more than 0"),
        ("max_order_notional", "-5", "Found -5; accepted: more than 0"),
        ("leverage", "126", "Found 126; accepted: 1 to 125."),
        ("leverage", "0.5", "Found 0.5; accepted: 1 to 125."),
        ("max_lag_s", "4", "Found 4; accepted: 5 to 86400 seconds."),
        ("max_orders_per_minute", "0", "Found 0; accepted: 1 to 1000 orders."),
        ("max_daily_loss", "0", "Found 0; accepted: more than 0, up to 1000000000 USDT. Leave it empty for no limit."),
        ("max_open_positions", "0", "Found 0; accepted: 1 to 1000 positions."),
        ("max_price_deviation_pct", "0", "Found 0; accepted: 0.01 to 100 %."),
        ("max_price_deviation_pct", "101", "Found 101; accepted: 0.01 to 100 %."),
        ("max_adds", "101", "Found 101; accepted: 1 to 100 adds."),
        ("most_leverage", "126", "Found 126; accepted: 1 to 125 x."),
        ("allowed_symbols", "BTCUSDT, DOGEUSDT", "&#x27;DOGEUSDT&#x27; is not a symbol of this market."),
    ],
)
def test_values_out_of_range_are_refused_by_name(owner: Member, field: str, value: str, sentence: str) -> None:
    connector = mine(owner)
    InstrumentFactory()
    confirm(owner)

    answer = post(owner, "settings", connector, **settings_of(connector, **{field: value}))

    assert answer.status_code == 422
    assert sentence in answer.content.decode()


RISK = {
    "allowed_symbols": ["BTCUSDT"],
    "direction": "long",
    "adds": "up_to",
    "max_adds": 2,
    "max_open_positions": 3,
    "max_daily_loss": Decimal(100),
    "max_price_deviation_pct": Decimal("0.5"),
    "most_leverage": Decimal(5),
    "leverage": Decimal(5),
}
SAME = {**RISK, "allowed_symbols": "BTCUSDT"}


@pytest.mark.parametrize(
    ("changed", "asks"),
    [
        ({}, False),
        ({"allowed_symbols": "BTCUSDT ETHUSDT"}, True),
        ({"allowed_symbols": ""}, True),
        ({"direction": "both"}, True),
        ({"direction": "short"}, True),
        ({"adds": "allow"}, True),
        ({"adds": "block"}, False),
        ({"max_adds": "3"}, True),
        ({"max_adds": "1"}, False),
        ({"max_open_positions": "4"}, True),
        ({"max_open_positions": ""}, True),
        ({"max_open_positions": "2"}, False),
        ({"max_daily_loss": "100.01"}, True),
        ({"max_daily_loss": "99"}, False),
        ({"max_price_deviation_pct": "0.51"}, True),
        ({"max_price_deviation_pct": "0.1"}, False),
        ({"most_leverage": "6"}, True),
        ({"most_leverage": ""}, False),
        ({"low_balance": "reduce"}, False),
    ],
)
def test_allowing_more_needs_a_confirmation_and_allowing_less_none(
    owner: Member, changed: dict[str, str], *, asks: bool
) -> None:
    InstrumentFactory()
    InstrumentFactory(symbol="ETHUSDT", base="ETH")
    connector = mine(owner, **RISK)

    answer = post(owner, "settings", connector, **settings_of(connector, **{**SAME, **changed}))

    assert answer.status_code == 302, answer.content.decode()
    assert answer["Location"].startswith("/accounts/reauthenticate/") is asks
    fresh = Connector.unscoped.get(pk=connector.pk)
    kept = {name: getattr(fresh, name) for name in RISK}
    assert (kept == RISK) is (asks or changed in ({}, {"low_balance": "reduce"}))


def test_symbols_are_stored_as_the_market_lists_them(owner: Member) -> None:
    InstrumentFactory()
    InstrumentFactory(symbol="ETHUSDT", base="ETH")
    connector = mine(owner)

    post(owner, "settings", connector, **settings_of(connector, allowed_symbols="binance:btcusdt.p; ETH/USDT,btcusdt"))

    assert Connector.unscoped.get(pk=connector.pk).allowed_symbols == ["BTCUSDT", "ETHUSDT"]
    html = owner.client.get(reverse("connectors:settings", args=[connector.pk])).content.decode()
    assert 'value="BTCUSDT, ETHUSDT"' in html


def test_the_page_shows_every_setting_that_saving_asks_for(owner: Member) -> None:
    for market in ("futures", "spot"):
        connector = mine(owner, market=market)
        html = owner.client.get(reverse("connectors:settings", args=[connector.pk])).content.decode()

        wanted = ConnectorSettingsForm(instance=connector).fields
        assert [name for name in wanted if f'name="{name}"' not in html] == []


def test_a_number_is_judged_as_it_was_typed(owner: Member) -> None:
    connector = mine(owner, max_daily_loss=Decimal(600))
    confirm(owner)

    form = owner.client.get(reverse("connectors:settings", args=[connector.pk])).content.decode()
    answer = post(owner, "settings", connector, **settings_of(connector, max_daily_loss="1,000 USDT"))

    assert 'type="number"' not in form
    assert answer.status_code == 422
    assert 'value="1,000 USDT"' in answer.content.decode()
    assert "This is not a number. Type digits only" in answer.content.decode()
    assert Connector.unscoped.get(pk=connector.pk).max_daily_loss == 600


def test_spot_has_no_leverage(owner: Member) -> None:
    connector = mine(owner, market="spot")

    html = owner.client.get(reverse("connectors:settings", args=[connector.pk])).content.decode()

    for name in ("leverage", "margin_mode", "most_leverage", "direction"):
        assert f'name="{name}"' not in html
    assert 'name="max_daily_loss"' in html


def test_spot_settings_are_saved(owner: Member) -> None:
    connector = mine(owner, market="spot")

    answer = post(owner, "settings", connector, **settings_of(connector, max_daily_loss="50", adds="block"))

    assert answer.status_code == 302
    fresh = Connector.unscoped.get(pk=connector.pk)
    assert (fresh.max_daily_loss, fresh.adds, fresh.direction) == (Decimal(50), "block", "both")


# Keys, pointer, pause


@pytest.mark.parametrize("name", ["credentials", "rotate", "delete"])
def test_dangerous_pages_ask_who_it_is(owner: Member, name: str) -> None:
    connector = mine(owner)

    shown = owner.client.get(reverse(f"connectors:{name}", args=[connector.pk]))
    sent = post(owner, name, connector, label=connector.label, overlap_hours="0", **KEYS)

    assert shown["Location"].startswith("/accounts/reauthenticate/")
    assert sent["Location"].startswith("/accounts/reauthenticate/")
    assert KEYS["secret_key"] not in str(dict(owner.client.session))
    fresh = Connector.unscoped.get(pk=connector.pk)
    assert (fresh.sealed_secret_key, fresh.deleted_at) == (connector.sealed_secret_key, None)
    assert connector.pointers.count() == 1


def test_replaced_key_is_sealed_and_checked(owner: Member, woken: list[str]) -> None:
    connector = mine(owner)
    confirm(owner)

    post(owner, "credentials", connector, **KEYS)

    connector.refresh_from_db()
    assert credentials_of(connector).secret_key == KEYS["secret_key"]
    assert connector.check_status == CheckStatus.RUNNING
    assert woken == ["apps.connectors.tasks.run_checks"]
    assert actions(owner) == ["connector.credentials_replaced"]


@pytest.mark.parametrize("hours", [0, 1, 24])
def test_old_pointer_ends_after_the_overlap(owner: Member, hours: int) -> None:
    connector = mine(owner)
    old = pointers.current(connector)
    confirm(owner)

    post(owner, "rotate", connector, overlap_hours=str(hours))

    old.refresh_from_db()
    left = old.expires_at - timezone.now()
    assert timedelta(hours=hours, seconds=-30) < left <= timedelta(hours=hours)
    assert pointers.current(connector).pk != old.pk
    assert actions(owner) == ["connector.pointer_rotated"]


def test_other_overlaps_are_refused(owner: Member) -> None:
    connector = mine(owner)
    confirm(owner)

    post(owner, "rotate", connector, overlap_hours="48")

    assert connector.pointers.count() == 1


def test_pause_and_resume_need_no_confirmation(owner: Member) -> None:
    connector = mine(owner)

    post(owner, "pause", connector)
    connector.refresh_from_db()
    paused_at = connector.paused_at
    post(owner, "pause", connector)
    connector.refresh_from_db()

    assert paused_at is not None
    assert connector.paused_at == paused_at
    post(owner, "resume", connector)
    connector.refresh_from_db()
    assert connector.paused_at is None
    assert actions(owner) == ["connector.paused", "connector.resumed"]


def test_check_now_asks_a_trading_process(owner: Member, woken: list[str]) -> None:
    connector = mine(owner)

    post(owner, "check", connector)

    connector.refresh_from_db()
    assert connector.check_status == CheckStatus.RUNNING
    assert woken == ["apps.connectors.tasks.run_checks"]


# Delete


def test_deletion_erases_keys_and_pointers_and_keeps_history(owner: Member) -> None:
    connector = mine(owner, label="Old desk")
    position = PositionFactory(connector=connector, signed_quantity=Decimal(0))
    confirm(owner)

    answer = post(owner, "delete", connector, label="Old desk")

    connector.refresh_from_db()
    assert answer["Location"] == reverse("connectors:list")
    assert connector.deleted_at is not None
    assert (connector.sealed_access_key, connector.sealed_secret_key, connector.sealed_memo) == ("", "", "")
    assert not any(pointer.is_live for pointer in connector.pointers.all())
    position.refresh_from_db()
    assert actions(owner) == ["connector.deleted"]


def test_an_account_held_open_does_not_outlive_the_deletion(owner: Member) -> None:
    connector = mine(owner, label="Old desk")
    open_connector(connector)
    confirm(owner)

    post(owner, "delete", connector, label="Old desk")

    connector.refresh_from_db()
    with pytest.raises(SealError):
        open_connector(connector)


def test_wrong_name_deletes_nothing(owner: Member) -> None:
    connector = mine(owner, label="Old desk")
    confirm(owner)

    answer = post(owner, "delete", connector, label="old desk")

    connector.refresh_from_db()
    assert answer.status_code == 422
    assert connector.deleted_at is None


def test_open_position_and_live_order_are_listed_and_need_an_acknowledgement(owner: Member) -> None:
    connector = mine(owner)
    PositionFactory(connector=connector)
    OrderFactory(connector=connector, state="accepted", side="sell")
    confirm(owner)

    shown = owner.client.get(reverse("connectors:delete", args=[connector.pk])).content.decode()
    refused = post(owner, "delete", connector, label=connector.label)
    connector.refresh_from_db()
    deleted_too_early = connector.deleted_at
    post(owner, "delete", connector, label=connector.label, acknowledge="on")
    connector.refresh_from_db()

    assert "BTCUSDT long" in shown
    assert shown.count('10 <span class="unit">contracts</span>') == 2
    assert "Order: sell" in shown
    assert refused.status_code == 422
    assert "close them first, or tick this box" in refused.content.decode()
    assert deleted_too_early is None
    assert connector.deleted_at is not None


@pytest.mark.parametrize("what", ["position", "order"])
def test_what_is_opened_while_the_form_is_read_needs_an_acknowledgement(
    owner: Member, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    connector = mine(owner)
    confirm(owner)
    read = DeleteForm.clean_label

    def filled_meanwhile(form: DeleteForm) -> str:
        if not connector.positions.exists() and not connector.orders.exists():
            PositionFactory(connector=connector) if what == "position" else OrderFactory(connector=connector)
        return read(form)

    monkeypatch.setattr(DeleteForm, "clean_label", filled_meanwhile)

    answer = post(owner, "delete", connector, label=connector.label)

    connector.refresh_from_db()
    assert answer.status_code == 422
    assert "close them first, or tick this box" in answer.content.decode()
    assert ("BTCUSDT long" in answer.content.decode()) is (what == "position")
    assert (connector.deleted_at, bool(connector.sealed_secret_key)) == (None, True)
    assert actions(owner) == []


def test_what_is_open_can_be_closed_from_the_delete_page(owner: Member) -> None:
    connector = mine(owner)
    position = PositionFactory(connector=connector)
    confirm(owner)
    url = reverse("trading:close_connector", args=[connector.pk])

    assert url in owner.client.get(reverse("connectors:delete", args=[connector.pk])).content.decode()

    position.signed_quantity = Decimal(0)
    position.save()
    assert url not in owner.client.get(reverse("connectors:delete", args=[connector.pk])).content.decode()


def test_finished_orders_need_no_acknowledgement(owner: Member) -> None:
    connector = mine(owner)
    OrderFactory(connector=connector, state="filled")
    confirm(owner)

    post(owner, "delete", connector, label=connector.label)

    connector.refresh_from_db()
    assert connector.deleted_at is not None
