"""Clients that others wrote, unchanged but for the address: ccxt 4.5.70 (PyPI) and bitmart-api 2.5.1 (npm).

They are fetched once into pytest's cache. Without a registry the tests are skipped; REQUIRE_NPM=1 forbids that.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.paper.running import PaperProcess

pytestmark = pytest.mark.process

HERE = Path(__file__).parent / "clients"
CCXT, BITMART_API = "ccxt==4.5.70", "bitmart-api@2.5.1"
ATTEMPTS, ATTEMPT_S = 3, 150


def fetch(directory: Path, command: list[str], proof: Path) -> None:
    """Run the command until `proof` is there: a download that stands still is begun anew."""
    program = shutil.which(command[0])
    said = "not installed"
    for _ in range(ATTEMPTS if program else 0):
        if proof.exists():
            return
        said = run([str(program), *command[1:]], directory)
    if proof.exists():
        return
    if os.environ.get("REQUIRE_NPM"):
        pytest.fail(f"{' '.join(command)}: {said}")
    pytest.skip(f"{command[0]} could not fetch the client")


def run(command: list[str], directory: Path) -> str:
    """Return what it says of its failure, "" when it did not fail."""
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=ATTEMPT_S)
    except subprocess.TimeoutExpired:
        return f"stood still for {ATTEMPT_S} s"
    return done.stderr if done.returncode else ""


@pytest.fixture(scope="session")
def ccxt_path(pytestconfig: pytest.Config) -> Path:
    directory = Path(pytestconfig.cache.mkdir("ccxt-4.5.70"))
    # What it needs to run is here already.
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(directory), CCXT]
    fetch(directory, pip, directory / "ccxt" / "bitmart.py")
    return directory


@pytest.fixture(scope="session")
def node_path(pytestconfig: pytest.Config) -> Path:
    directory = Path(pytestconfig.cache.mkdir("bitmart-api-2.5.1"))
    npm = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(directory), BITMART_API]
    fetch(directory, npm, directory / "node_modules" / "bitmart-api" / "package.json")
    return directory / "node_modules"


def understood(command: list[str], paper: PaperProcess, **environment: str) -> dict[str, Any]:
    """Return what the client printed after trading with an account of its own."""
    for symbol in ("BTC_USDT", "BTCUSDT"):
        paper.set_price(symbol, "60000")
    account = paper.new_account(position_mode="hedge_mode")
    keys = [account.access_key, account.secret_key, account.memo]
    done = subprocess.run(
        [*command, paper.base_url, *keys], env=os.environ | environment, capture_output=True, text=True, timeout=120
    )
    for symbol in ("BTC_USDT", "BTCUSDT"):
        paper.set_price(symbol, None)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_ccxt_trades_unchanged(paper: PaperProcess, ccxt_path: Path) -> None:
    """It reads the fee names of an older copy, position_type that version 2 lacks, and calls state 4 closed."""
    seen = understood([sys.executable, str(HERE / "ccxt_calls.py")], paper, PYTHONPATH=str(ccxt_path))

    assert seen == {
        "markets": [True, True],
        "last": [60000, 60000],
        "asks": [60000, 60000],
        "candles": [5, 5],
        "tickers": 60000,
        "spot_free": 10000,
        "swap_free": 10000,
        "taker": None,
        "spot_open": [True],
        "spot_cancelled": "canceled",
        "spot_fills": [[0.00999, 60000, 0.5994]],
        "position": ["short", 10, 60000, 5],
        "swap_open": [[50000, 3]],
        "swap_cancelled": "closed",
        "plans": True,
        "flat": [0, 0],
        "swap_fills": [["buy", 10, 60000], ["sell", 10, 60000]],
        "transfer": 10,
        "refused": "InsufficientFunds",
    }


def test_bitmart_api_for_node_trades_unchanged(paper: PaperProcess, node_path: Path) -> None:
    seen = understood(["node", str(HERE / "bitmart_api_calls.cjs")], paper, NODE_PATH=str(node_path))

    assert seen == {
        "ticker": "60000.00",
        "detail": "0.001",
        "wallet": "10000.00000000",
        "info": True,
        "open": ["js1"],
        "cancelled": True,
        "fill": "0.00999",
        "placed": "market price",
        "position": "10",
        "plans": ["stop_loss"],
        "trades": ["10"],
        "trailing": ["1"],
        "transfer": "10",
        "refused": 40027,
    }
