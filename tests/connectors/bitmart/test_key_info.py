from datetime import UTC, datetime
from typing import Any

import pytest
import responses

from apps.connectors.exchange import CredentialsError, KeyInfo, UnreachableError
from tests.connectors.bitmart.venue import BASE, answer, futures, recorded, serve, spot

INFO = "/uapi-key/v1/account/info"
PROBE = "/account/v1/withdraw/charge"


def serve_key(**change: Any) -> None:
    body = recorded("spot/account-info")["response"]
    body["data"]["api_keys"][0].update(change)
    responses.add("GET", BASE + INFO, json=body)


@responses.activate
def test_the_recorded_key_cannot_withdraw() -> None:
    serve("spot/account-info")

    assert spot().key_info() == KeyInfo(
        can_withdraw=False, permissions=("read", "spot_trade"), ip_bound=False, expires_at=None
    )
    assert len(responses.calls) == 1


@pytest.mark.parametrize("spelling", ["withdraw", "Withdraw", "SPOT_WITHDRAWAL"])
@responses.activate
def test_any_spelling_of_withdraw_counts(spelling: str) -> None:
    serve_key(permissions=["read", spelling], ip_whitelist=["10.0.0.1"], api_key_expire_time=1760000000000)

    assert futures().key_info() == KeyInfo(
        can_withdraw=True,
        permissions=("read", spelling),
        ip_bound=True,
        expires_at=datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC),
    )


@pytest.mark.parametrize("permissions", [[], None, "withdraw", [1], [""]])
@responses.activate
def test_an_empty_or_unreadable_list_is_settled_by_the_withdrawal_page(permissions: Any) -> None:
    serve_key(permissions=permissions)
    answer("GET", PROBE, {"min_withdraw": "1"})

    assert spot().key_info().can_withdraw is True


@responses.activate
def test_the_withdrawal_page_refused_means_no() -> None:
    answer("GET", INFO, None, code=30000, status=404)
    answer("GET", PROBE, None, code=30012, status=403)

    assert spot().key_info() == KeyInfo(can_withdraw=False)


@responses.activate
def test_where_neither_page_exists_nothing_is_claimed() -> None:
    answer("GET", INFO, None, code=30000, status=404)
    answer("GET", PROBE, None, code=30000, status=404)

    assert futures().key_info() == KeyInfo(can_withdraw=None)


@responses.activate
def test_a_host_without_either_page_claims_nothing_and_a_silent_one_is_no_answer() -> None:
    responses.add("GET", BASE + INFO, body="<html>not found</html>", status=404)
    responses.add("GET", BASE + PROBE, body="<html>not found</html>", status=404)

    assert futures().key_info() == KeyInfo(can_withdraw=None)

    responses.replace("GET", BASE + PROBE, body="<html>bad gateway</html>", status=502)
    with pytest.raises(UnreachableError):
        futures().key_info()


@responses.activate
def test_an_unknown_key_is_not_hidden() -> None:
    answer("GET", INFO, None, code=30002, status=401)

    with pytest.raises(CredentialsError) as caught:
        spot().key_info()

    assert caught.value.reason == "KEY_UNKNOWN"
