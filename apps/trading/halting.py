"""What is forbidden on a connector, whatever the order: asked before what no alert has planned is sent, and of entries
that wait at the exchange.
"""

from apps.connectors.models import Connector
from apps.lib import world
from apps.trading import guards
from apps.trading.denials import Denial
from apps.trading.guards import GuardFacts, GuardLimits
from apps.trading.legs import Intent
from apps.trading.placing import standing


def halted(connector: Connector) -> Denial | None:
    """Say who has forbidden exits too: what the operators stopped is not closed behind their back."""
    return guards.check_halted(_facts(connector, Intent.EXIT), GuardLimits())


def entries_withdrawn(connector: Connector) -> Denial | None:
    """Say whose word, or what end, forbids entries. An incident or a failing exchange, which are over by themselves,
    keep back new ones only.
    """
    facts, limits = _facts(connector, Intent.ENTRY), GuardLimits()
    checks = (guards.check_halted, guards.check_reduce_only, guards.check_paused, guards.check_trial)
    return next((found for check in checks if (found := check(facts, limits)) is not None), None)


def _facts(connector: Connector, intent: Intent) -> GuardFacts:
    stands = standing(connector, "")
    return GuardFacts(
        intent=intent,
        now=world.now(),
        received_at=world.now(),
        symbol="",
        quote="",
        **stands,  # type: ignore[arg-type]
    )
