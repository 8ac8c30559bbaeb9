"""Is everything forbidden on a connector, exits too? Asked before what no alert has planned is sent."""

from apps.connectors.models import Connector
from apps.lib import world
from apps.trading import guards
from apps.trading.denials import Denial
from apps.trading.guards import GuardFacts, GuardLimits
from apps.trading.legs import Intent
from apps.trading.placing import standing


def halted(connector: Connector) -> Denial | None:
    """Say who has forbidden exits too: what the operators stopped is not closed behind their back."""
    facts = GuardFacts(
        intent=Intent.EXIT,
        now=world.now(),
        received_at=world.now(),
        symbol="",
        quote="",
        **standing(connector, ""),  # type: ignore[arg-type]
    )
    return guards.check_halted(facts, GuardLimits())
