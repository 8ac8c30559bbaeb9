"""Test a connector: what works, what does not, and what to do, one finding a line."""

from dataclasses import asdict, dataclass

from apps.connectors.exchange import (
    CredentialsError,
    Exchange,
    ExchangeError,
    Market,
    NotSentError,
    UnreachableError,
)
from apps.connectors.models import CheckStatus, Connector
from apps.connectors.opening import open_connector
from apps.connectors.sealing import SealError
from apps.lib import world

MOST_SKEW_MS = 5000


@dataclass(frozen=True, slots=True)
class Finding:
    """`ok` is None for something worth knowing that is neither good nor bad."""

    what: str
    ok: bool | None
    sentence: str


def check(connector: Connector) -> list[Finding]:
    """Ask the exchange everything a key must be able to do; nothing is traded. The findings go onto the row."""
    findings: list[Finding] = []
    try:
        exchange = open_connector(connector)
        findings.append(_clock(connector, exchange))
        findings.append(_read(exchange))
        findings.append(_signature(exchange))
        findings.append(_withdrawal(exchange))
        if connector.market == Market.FUTURES:
            findings.append(_position_mode(connector, exchange))
    except (UnreachableError, NotSentError) as error:
        findings.append(
            Finding("Exchange", ok=False, sentence=f"{error.sentence} Nothing was traded. Try again later.")
        )
    except CredentialsError as error:
        findings.append(Finding("Key", ok=False, sentence=error.with_effect))
    except ExchangeError as error:
        findings.append(Finding("Exchange", ok=False, sentence=error.sentence))
    except SealError:
        findings.append(Finding("Key", ok=False, sentence="The stored key cannot be opened here. Enter the key again."))
    failed = any(finding.ok is False for finding in findings)
    connector.check_lines = [asdict(finding) for finding in findings]
    connector.check_status = CheckStatus.FAILED if failed else CheckStatus.OK
    connector.checked_at = world.now()
    connector.check_requested_at = None
    connector.save(
        update_fields=[
            "check_lines",
            "check_status",
            "checked_at",
            "check_requested_at",
            "position_mode",
            "clock_offset_ms",
            "clock_measured_at",
        ]
    )
    return findings


def measure_offset_ms(exchange: Exchange) -> int:
    """Return the venue's clock minus ours: the median of five samples."""
    return sorted(exchange.offset_sample_ms() for _ in range(5))[2]


def _clock(connector: Connector, exchange: Exchange) -> Finding:
    offset = measure_offset_ms(exchange)
    connector.clock_offset_ms = offset
    connector.clock_measured_at = world.now()
    exchange.clock_offset_ms = offset
    if abs(offset) > MOST_SKEW_MS:
        return Finding("Clock", ok=False, sentence=f"Our clock and the exchange's differ by {offset / 1000:.1f} s.")
    return Finding("Clock", ok=True, sentence=f"Clocks agree within {abs(offset)} ms.")


def _read(exchange: Exchange) -> Finding:
    held = len([balance for balance in exchange.balances() if balance.total])
    return Finding("Read", ok=True, sentence=f"The key can read balances ({held} with funds).")


def _signature(exchange: Exchange) -> Finding:
    exchange.verify_signature()
    return Finding("Signature", ok=True, sentence="Secret key and memo are right: a signed call was accepted.")


def _withdrawal(exchange: Exchange) -> Finding:
    info = exchange.key_info()
    if info.can_withdraw:
        return Finding(
            "Withdrawal",
            ok=False,
            sentence="This key can withdraw funds. Make a new key at BitMart without the Withdraw permission.",
        )
    if info.can_withdraw is None:
        return Finding(
            "Withdrawal", ok=None, sentence="BitMart did not say whether this key can withdraw: look it up there."
        )
    return Finding("Withdrawal", ok=True, sentence="The key cannot withdraw funds, as it should be.")


def _position_mode(connector: Connector, exchange: Exchange) -> Finding:
    connector.position_mode = exchange.position_mode().value
    words = "one-way" if connector.position_mode == "one_way" else "hedge"
    return Finding("Position mode", ok=True, sentence=f"The account is in {words} mode.")


def request(connector: Connector) -> None:
    """Ask a trading process to check the connector; the page shows the findings when they are there."""
    connector.check_status = CheckStatus.RUNNING
    connector.check_requested_at = world.now()
    connector.save(update_fields=["check_status", "check_requested_at"])
