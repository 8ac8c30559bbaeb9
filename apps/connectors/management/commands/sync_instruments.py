"""Read the listings now, beside the hourly schedule."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.connectors import instruments
from apps.connectors.exchange import ExchangeError
from apps.connectors.tasks import used_markets


class Command(BaseCommand):
    help = "Read the listing of every market that a connector trades on; what changed goes into the history."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--accept-short",
            action="store_true",
            help="believe a listing in which many known symbols are missing: only when the exchange says so itself",
        )

    def handle(self, *args: Any, accept_short: bool, **options: Any) -> None:
        refused = []
        for environment, market in used_markets():
            try:
                count = instruments.sync(environment, market, accept_short=accept_short)
            except ExchangeError as error:
                refused.append(f"{environment} {market}: {error.sentence}")
                continue
            if not count:
                refused.append(f"{environment} {market}: the listing is suspiciously short, nothing was changed")
            self.stdout.write(f"{environment} {market}: {count} symbols")
        if refused:
            raise CommandError("; ".join(refused))
