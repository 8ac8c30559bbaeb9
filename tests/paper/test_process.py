"""The real process: signals, kill -9, faults, and what a socket sees."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from apps.paper.auth import sign
from tests.paper.running import PaperAccount, PaperProcess, running_paper

pytestmark = pytest.mark.process
SUBMIT = "/spot/v2/submit_order"


def post(paper: PaperProcess, account: PaperAccount, path: str, body: dict[str, Any], timeout: float = 10) -> Any:
    raw = json.dumps(body).encode()
    stamp = str(time.time_ns() // 1_000_000)
    headers = {
        "X-BM-KEY": account.access_key,
        "X-BM-TIMESTAMP": stamp,
        "X-BM-SIGN": sign(account.secret_key, timestamp=stamp, memo=account.memo, body=raw),
        "Content-Type": "application/json",
    }
    return requests.post(paper.base_url + path, data=raw, headers=headers, timeout=timeout)


def limit_order(client_order_id: str) -> dict[str, str]:
    return {
        "symbol": "BTC_USDT",
        "side": "buy",
        "type": "limit",
        "size": "0.001",
        "price": "10000",
        "client_order_id": client_order_id,
    }


def test_kill_9_loses_no_acknowledged_order_and_the_book_goes_on(tmp_path: Path) -> None:
    with running_paper(tmp_path) as paper:
        account = paper.new_account(spot={"USDT": "10000"})
        paper.set_price("BTC_USDT", "60000")
        acknowledged = [
            post(paper, account, SUBMIT, limit_order(f"k{number}")).json()["data"]["order_id"] for number in range(20)
        ]
        paper.kill()

        paper.start()

        assert [row["id"] for row in paper.orders(account.access_key)] == acknowledged
        assert {row["state"] for row in paper.orders(account.access_key)} == {"new"}
        paper.set_price("BTC_USDT", "9000")
        assert len(paper.fills(account.access_key)) == 20
        assert post(paper, account, SUBMIT, limit_order("k0")).json()["code"] == 50042


@pytest.mark.parametrize("token", ["", "hush"])
def test_sigterm_ends_the_process_cleanly(tmp_path: Path, token: str) -> None:
    with running_paper(tmp_path, control_token=token) as paper:
        paper.new_account()
        stranger = requests.post(f"{paper.base_url}/_paper/accounts", json={}, timeout=5)

        assert stranger.status_code == (404 if token else 200)
        assert paper.stop() == 0


def test_faults_are_unknown_unless_the_process_allows_them(tmp_path: Path) -> None:
    with running_paper(tmp_path) as paper, pytest.raises(RuntimeError, match="404"):
        paper.fault("/system/time", "html")


def test_a_dropped_answer_leaves_the_order_placed(paper: PaperProcess) -> None:
    account = paper.new_account()
    paper.fault(SUBMIT, "drop_answer")

    with pytest.raises(requests.ConnectionError):
        post(paper, account, SUBMIT, limit_order("d1"))

    assert [row["client_order_id"] for row in paper.orders(account.access_key)] == ["d1"]
    assert post(paper, account, SUBMIT, limit_order("d2")).status_code == 200


def test_a_dropped_request_places_nothing(paper: PaperProcess) -> None:
    account = paper.new_account()
    paper.fault(SUBMIT, "drop_request")

    with pytest.raises(requests.ConnectionError):
        post(paper, account, SUBMIT, limit_order("d1"))

    assert paper.orders(account.access_key) == []


def test_a_delayed_answer_is_placed_before_the_caller_gives_up(paper: PaperProcess) -> None:
    account = paper.new_account()
    paper.fault(SUBMIT, "delay", delay_ms=3_000)

    with pytest.raises(requests.ReadTimeout):
        post(paper, account, SUBMIT, limit_order("d1"), timeout=0.3)

    assert [row["client_order_id"] for row in paper.orders(account.access_key)] == ["d1"]


@pytest.mark.parametrize(
    ("action", "details", "status", "kind", "placed"),
    [
        ("status", {"status": 503}, 503, "text/plain", 1),
        ("status", {"status": 502, "accepted": False}, 502, "text/plain", 0),
        ("html", {}, 403, "text/html", 0),
        ("html", {"status": 520, "accepted": True}, 520, "text/html", 1),
    ],
)
def test_status_and_html_faults(
    paper: PaperProcess, action: str, details: dict[str, Any], status: int, kind: str, placed: int
) -> None:
    account = paper.new_account()
    paper.fault(SUBMIT, action, **details)

    answer = post(paper, account, SUBMIT, limit_order("d1"))

    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (status, kind)
    assert len(paper.orders(account.access_key)) == placed


def test_a_forwarded_header_does_not_make_a_caller_loopback(paper: PaperProcess) -> None:
    headers = {"X-Forwarded-For": "10.0.0.9"}

    # The peer is loopback, and stays what it is: the header is not read at all.
    assert requests.get(f"{paper.base_url}/healthz", headers=headers, timeout=5).text == "ok"
    assert requests.post(f"{paper.base_url}/_paper/accounts", json={}, headers=headers, timeout=5).status_code == 200


def test_kill_9_in_a_burst_loses_no_acknowledged_order(tmp_path: Path) -> None:
    with running_paper(tmp_path) as paper:
        paper.set_price("BTC_USDT", "60000")
        accounts = [paper.new_account(spot={"USDT": "100000"}) for _ in range(8)]
        acknowledged: dict[str, set[str]] = {account.access_key: set() for account in accounts}
        started = threading.Barrier(len(accounts) + 1)

        def burst(account: PaperAccount) -> None:
            started.wait()
            for number in range(38):
                order = limit_order(f"b{number}") | {"side": "buy", "price": "60000" if number % 2 else "10000"}
                try:
                    answer = post(paper, account, SUBMIT, order).json()
                except requests.RequestException:
                    return
                if answer["code"] == 1000:
                    acknowledged[account.access_key].add(answer["data"]["order_id"])

        threads = [threading.Thread(target=burst, args=(account,)) for account in accounts]
        for thread in threads:
            thread.start()
        started.wait()
        while sum(map(len, acknowledged.values())) < 60:
            time.sleep(0.002)
        paper.kill()
        for thread in threads:
            thread.join()
        paper.start()

        assert 60 <= sum(map(len, acknowledged.values())) < 8 * 38
        for account in accounts:
            known = {row["id"]: row for row in paper.orders(account.access_key)}
            assert acknowledged[account.access_key] <= set(known)
            filled = {row["order_id"] for row in paper.fills(account.access_key)}
            assert filled == {number for number, row in known.items() if row["state"] == "filled"}
