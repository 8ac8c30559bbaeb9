"""What a stranger can write into headers is no reason to fail."""

import pytest
import pytest_django
from django.test import Client

from apps.accounts.models import AuditEvent
from tests.people import Member


@pytest.mark.parametrize("path", ["/", "/healthz", "/strategies/", "/accounts/login/"])
@pytest.mark.django_db
def test_session_cookie_that_spells_nul_is_no_session(path: str) -> None:
    answer = Client().get(path, headers={"cookie": r'session="\000aaaaaaaaaaaaaaaa"'})

    assert answer.status_code == 200
    assert answer.cookies["session"]["max-age"] == 0


@pytest.mark.parametrize(
    ("forwarded", "kept"), [("203.0.113.9", "203.0.113.9"), ("nonsense", None), ("203.0.113.9:5000", None)]
)
def test_only_an_address_is_kept_as_one(
    owner: Member, settings: pytest_django.Settings, forwarded: str, kept: str | None
) -> None:
    settings.TRUSTED_PROXIES = 1

    answer = owner.client.post(
        "/app/settings/stop/", {"state": "halted"}, headers={"x-forwarded-for": f"198.51.100.1, {forwarded}"}
    )

    assert answer.status_code == 302
    assert AuditEvent.objects.for_workspace(owner.workspace).get().ip == kept
