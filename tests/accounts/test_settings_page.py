import pytest

from apps.accounts.forms import zone_choices
from apps.accounts.models import AuditEvent, Role
from apps.accounts.trading_state import TradingState
from tests.people import member

PAGE = "/app/settings/"


def test_owner_sets_zone_and_name(owner):
    answer = owner.client.post(PAGE, {"time_zone": "Europe/Vienna", "workspace_name": "Ada's desk"})

    assert answer["Location"] == PAGE
    owner.user.refresh_from_db()
    owner.workspace.refresh_from_db()
    assert owner.user.time_zone == "Europe/Vienna"
    assert owner.workspace.name == "Ada's desk"
    event = AuditEvent.objects.for_workspace(owner.workspace).get()
    assert (event.action, event.facts) == ("settings.changed", {"fields": ["time_zone", "workspace_name"]})


def test_unknown_zone_changes_nothing(owner):
    answer = owner.client.post(PAGE, {"time_zone": "Mars/Olympus", "workspace_name": "X"})

    assert answer.status_code == 422
    owner.user.refresh_from_db()
    owner.workspace.refresh_from_db()
    assert owner.user.time_zone == ""
    assert owner.workspace.name != "X"


@pytest.mark.parametrize("role", [Role.TRADER, Role.VIEWER])
def test_only_an_owner_renames(owner, role):
    other = member(role=role, workspace=owner.workspace)

    other.client.post(PAGE, {"time_zone": "Europe/Vienna", "workspace_name": "Taken over"})

    owner.workspace.refresh_from_db()
    other.user.refresh_from_db()
    assert owner.workspace.name != "Taken over"
    assert other.user.time_zone == "Europe/Vienna"


def test_browser_zone_is_kept_once(owner):
    first = owner.client.post("/app/settings/zone/", {"zone": "America/New_York"})
    second = owner.client.post("/app/settings/zone/", {"zone": "Asia/Tokyo"})

    owner.user.refresh_from_db()
    assert (first.status_code, second.status_code) == (204, 204)
    assert owner.user.time_zone == "America/New_York"


def test_zone_is_asked_until_it_is_known(owner):
    before = owner.client.get(PAGE)
    owner.client.post("/app/settings/zone/", {"zone": "America/New_York"})
    after = owner.client.get(PAGE)

    assert b'data-ask-zone="/app/settings/zone/"' in before.content
    assert b"data-ask-zone" not in after.content


def test_unknown_browser_zone_is_refused(owner):
    answer = owner.client.post("/app/settings/zone/", {"zone": "../../etc/passwd"})

    owner.user.refresh_from_db()
    assert answer.status_code == 400
    assert owner.user.time_zone == ""


def test_zones_hold_what_browsers_report():
    names = {name for name, _ in zone_choices()}

    assert {"UTC", "Europe/Vienna", "America/New_York", "Asia/Calcutta", "Asia/Kolkata"} <= names


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCE_ONLY, TradingState.ACTIVE])
def test_trader_stops_and_starts_the_workspace(owner, state):
    trader = member(role=Role.TRADER, workspace=owner.workspace)

    answer = trader.client.post("/app/settings/stop/", {"state": state.value})

    owner.workspace.refresh_from_db()
    event = AuditEvent.objects.for_workspace(owner.workspace).get()
    assert answer["Location"] == "/app/"
    assert owner.workspace.trading_state == state
    assert event.facts == {"before": "active", "after": state.value}


def test_viewer_stops_nothing(owner):
    viewer = member(role=Role.VIEWER, workspace=owner.workspace)

    answer = viewer.client.post("/app/settings/stop/", {"state": "halted"})

    owner.workspace.refresh_from_db()
    assert answer.status_code == 403
    assert owner.workspace.trading_state == TradingState.ACTIVE


def test_stop_of_one_workspace_leaves_the_other(owner, stranger):
    owner.client.post("/app/settings/stop/", {"state": "halted"})

    stranger.workspace.refresh_from_db()
    assert stranger.workspace.trading_state == TradingState.ACTIVE


def test_unknown_state_is_refused(owner):
    answer = owner.client.post("/app/settings/stop/", {"state": "faster"})

    assert answer.status_code == 400
    assert AuditEvent.objects.for_workspace(owner.workspace).count() == 0


def test_stop_leads_back_to_the_page_it_was_pressed_on(owner):
    own = owner.client.post(
        "/app/settings/stop/", {"state": "halted"}, headers={"referer": "http://testserver/app/alerts/"}
    )
    foreign = owner.client.post(
        "/app/settings/stop/", {"state": "active"}, headers={"referer": "https://evil.example/"}
    )

    assert own["Location"] == "http://testserver/app/alerts/"
    assert foreign["Location"] == "/app/"


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (TradingState.HALTED, "Everything is stopped in this workspace"),
        (TradingState.REDUCE_ONLY, "New positions are off in this workspace"),
    ],
)
def test_stop_stands_on_every_page_until_it_is_lifted(owner, state, sentence):
    owner.client.post("/app/settings/stop/", {"state": state.value})
    stopped = owner.client.get(PAGE).content.decode()
    owner.client.post("/app/settings/stop/", {"state": "active"})
    lifted = owner.client.get(PAGE).content.decode()

    assert sentence in stopped
    assert sentence not in lifted
    assert "Trading is on again." in lifted
