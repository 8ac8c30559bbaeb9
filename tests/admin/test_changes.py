"""What staff may change, what they may not, and the trace that a change leaves."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db.models import Model
from django.forms.models import model_to_dict
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from knox.models import AuthToken

from apps.accounts.models import AuditEvent, PlatformState, Subscription, User, Workspace
from apps.alerts.models import Alert
from apps.connectors.models import Connector, Outage
from apps.strategies.models import Strategy
from apps.trading.models import EquityPoint, Fill, LedgerEntry, Order, OrderEvent, Position
from tests.admin.rows import one_of_each
from tests.factories import ConnectorFactory, SubscriptionFactory, UserFactory, WorkspaceFactory
from tests.people import Member

LEDGER_LIKE = [Alert, Order, OrderEvent, Fill, LedgerEntry, Position, EquityPoint, AuditEvent]
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def url_of(row: Model, page: str) -> str:
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_{page}"
    return reverse(name, args=[row.pk] if page in {"change", "delete"} else [])


@pytest.mark.parametrize("model", LEDGER_LIKE)
def test_a_read_only_row_cannot_be_posted_to(staff: Client, model: Any) -> None:
    row = one_of_each()[model]
    form = model_to_dict(row) | {"symbol": "CHANGED", "action": "changed"}
    data = {name: str(value) for name, value in form.items() if value is not None}
    before = list(model._base_manager.values())

    statuses = [
        staff.post(url_of(row, "change"), data).status_code,
        staff.post(url_of(row, "add"), data).status_code,
        staff.post(url_of(row, "delete"), {"post": "yes"}).status_code,
    ]
    deletion = staff.post(url_of(row, "changelist"), {"action": "delete_selected", "_selected_action": [str(row.pk)]})

    assert statuses == [403, 403, 403]
    assert deletion.status_code == 200  # the list again: it has no such action
    assert list(model._base_manager.values()) == before


def audited(workspace: Workspace) -> tuple[str, dict[str, Any], str]:
    event = AuditEvent.objects.for_workspace(workspace).get()
    return event.action, event.facts, event.actor.email


def test_halting_a_connector_is_audited_and_writes_nothing_else(staff: Client, chief: User) -> None:
    connector = ConnectorFactory(label="Main")
    form = {"staff_state": "halted", "label": "Changed", "sealed_memo": "changed"}

    staff.post(url_of(connector, "change"), form)

    stored = Connector.unscoped.get()
    assert (stored.staff_state, stored.label, stored.sealed_memo) == ("halted", "Main", connector.sealed_memo)
    facts = {"before": {"staff_state": "active"}, "after": {"staff_state": "halted"}}
    assert audited(connector.workspace) == ("connector.changed_by_staff", facts, chief.email)


def test_an_amount_that_is_only_shown_cannot_be_posted(staff: Client) -> None:
    connector = ConnectorFactory(leverage=3)
    data = {"staff_state": "halted", "staff_reason": "Look.", "leverage": "50", "max_order_notional": "900000"}

    staff.post(url_of(connector, "change"), data)

    connector.refresh_from_db()
    assert (connector.staff_state, connector.leverage, connector.max_order_notional) == ("halted", 3, None)


def test_halting_a_workspace_is_audited(staff: Client, chief: User) -> None:
    workspace = WorkspaceFactory()
    inline = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}

    staff.post(url_of(workspace, "change"), {"staff_state": "reduce_only"} | inline)

    workspace.refresh_from_db()
    facts = {"before": {"staff_state": "active"}, "after": {"staff_state": "reduce_only"}}
    assert (workspace.staff_state, workspace.trading_state) == ("reduce_only", "active")
    assert audited(workspace) == ("workspace.changed_by_staff", facts, chief.email)


def test_the_kill_switch_is_told_to_every_workspace(staff: Client, chief: User) -> None:
    one, two = WorkspaceFactory.create_batch(2)
    state, _ = PlatformState.objects.get_or_create(id=1)

    staff.post(url_of(state, "change"), {"trading_state": "halted", "reason": "drill"})

    facts = {
        "before": {"trading_state": "active", "reason": ""},
        "after": {"trading_state": "halted", "reason": "drill"},
    }
    assert PlatformState.objects.get().trading_state == "halted"
    assert audited(one) == audited(two) == ("platformstate.changed_by_staff", facts, chief.email)


def test_an_outage_is_ended_by_hand_and_on_record(staff: Client, chief: User) -> None:
    outage = Outage.objects.create(venue="bitmart a", calls=12, ambiguous=7, half_open_at=timezone.now())

    for _ in range(2):
        staff.post(
            reverse("admin:connectors_outage_changelist"), {"action": "end", "_selected_action": [str(outage.pk)]}
        )

    outage.refresh_from_db()
    assert outage.closed_at is not None
    assert (outage.closed_by, outage.closed_how) == (chief, "Closed by staff.")
    assert LogEntry.objects.filter(object_id=str(outage.pk), change_message="Ended by hand.").count() == 1


def test_a_save_without_a_change_leaves_no_trace(staff: Client) -> None:
    connector = ConnectorFactory()

    staff.post(url_of(connector, "change"), {"staff_state": "active"})

    assert AuditEvent.unscoped.count() == 0


@pytest.mark.parametrize(
    ("ends_at", "extended"),
    [(NOON + timedelta(days=2), NOON + timedelta(days=9)), (NOON - timedelta(days=30), NOON + timedelta(days=7))],
)
def test_a_trial_is_extended_by_seven_days(staff: Client, chief: User, ends_at: datetime, extended: datetime) -> None:
    subscription = SubscriptionFactory(trial_started_at=NOON - timedelta(days=60), trial_ends_at=ends_at)

    with time_machine.travel(NOON, tick=False):
        extend(staff, subscription)

    subscription.refresh_from_db()
    assert subscription.trial_ends_at == extended
    facts = {"before": ends_at.isoformat(), "after": extended.isoformat()}
    assert audited(subscription.workspace) == ("subscription.trial_extended", facts, chief.email)


def test_a_paid_subscription_has_no_trial_to_extend(staff: Client) -> None:
    subscription = SubscriptionFactory(status=Subscription.Status.ACTIVE)

    answer = extend(staff, subscription)

    assert Subscription.objects.get().trial_ends_at == subscription.trial_ends_at
    assert AuditEvent.unscoped.count() == 0
    assert [str(message) for message in answer.context["messages"]] == ["Not on trial, left as they are: 1."]


def extend(staff: Client, subscription: Subscription) -> Any:
    data = {"action": "extend_trial", "_selected_action": [str(subscription.pk)]}
    return staff.post(url_of(subscription, "changelist"), data, follow=True)


def test_a_strategy_is_written_by_staff(staff: Client) -> None:
    form = {
        "name": "Breakout", "slug": "breakout", "summary": "s", "rules": "r", "market": "futures", "position": "1",
        "ticker": "BTCUSDT.P", "timeframe": "4h", "chart_url": "https://www.tradingview.com/x/1/", "status": "draft",
    }  # fmt: skip

    staff.post(reverse("admin:strategies_strategy_add"), form)
    strategy = Strategy.objects.get()
    staff.post(url_of(strategy, "change"), form | {"status": "published"})
    published = Strategy.objects.get().status
    staff.post(url_of(strategy, "delete"), {"post": "yes"})

    assert published == "published"
    assert Strategy.objects.count() == 0


def test_logging_a_person_out_ends_sessions_and_tokens(staff: Client, owner: Member) -> None:
    data = {"action": "log_out_everywhere", "_selected_action": [str(owner.user.pk)]}
    owner.client.get("/healthz")

    staff.post(reverse("admin:accounts_user_changelist"), data)

    assert AuthToken.objects.filter(user=owner.user).count() == 0
    assert audited(owner.workspace)[0] == "user.logged_out_by_staff"


def test_ordinary_staff_can_neither_make_nor_change_a_superuser(chief: User) -> None:
    from django.contrib.auth.models import Permission

    clerk = UserFactory(is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
    client = Client()
    client.force_login(clerk, backend="django.contrib.auth.backends.ModelBackend")

    client.post(url_of(clerk, "change"), {"is_active": "on", "is_staff": "on", "is_superuser": "on"})
    refused = client.post(url_of(chief, "change"), {})

    clerk.refresh_from_db()
    chief.refresh_from_db()
    assert (clerk.is_superuser, refused.status_code, chief.is_active) == (False, 403, True)


def test_a_lost_second_factor_can_be_removed_but_not_read_or_changed(staff: Client) -> None:
    row = one_of_each()[Authenticator]

    changed = staff.post(url_of(row, "change"), {"data": "{}"})
    staff.post(url_of(row, "delete"), {"post": "yes"})

    assert changed.status_code == 403
    assert Authenticator.objects.count() == 0


def test_the_second_factor_of_a_superuser_is_not_for_other_staff_to_take(chief: User) -> None:
    helper = UserFactory(is_staff=True)
    helper.user_permissions.set(Permission.objects.filter(content_type__app_label="mfa"))
    client = Client()
    client.force_login(helper, backend="django.contrib.auth.backends.ModelBackend")
    of_chief = Authenticator.objects.create(user=chief, type=Authenticator.Type.TOTP, data={"secret": "x"})
    of_trader = Authenticator.objects.create(user=UserFactory(), type=Authenticator.Type.TOTP, data={"secret": "x"})

    statuses = [client.post(url_of(row, "delete"), {"post": "yes"}).status_code for row in (of_chief, of_trader)]

    assert statuses == [403, 302]
    assert list(Authenticator.objects.all()) == [of_chief]
