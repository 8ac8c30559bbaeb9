"""Make an alert's decision again from what it was made from. Sends nothing."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from apps.lib.decimals import normalize_text
from apps.lib.frozen import ThawError
from apps.trading.models import PlanRecord
from apps.trading.outline import LegOutline, Outline
from apps.trading.records import inputs_in, outline_in
from apps.trading.replaying import SettingError, replay


class Command(BaseCommand):
    help = "Run an alert again against its frozen inputs and compare the plans; exit code 1 when they differ."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("alert", type=UUID)
        parser.add_argument(
            "--set", dest="changes", action="append", default=[], metavar="SETTING=VALUE", help="a setting to change"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        record = PlanRecord.unscoped.filter(origin_id=options["alert"]).first()
        if record is None:
            raise CommandError("nothing was planned for this alert, so there is nothing to replay")
        changes = dict(change.partition("=")[::2] for change in options["changes"])
        try:
            found = replay(inputs_in(record), outline_in(record), changes=changes)
        except (ThawError, SettingError) as error:
            raise CommandError(str(error)) from error
        self._print("before", found.before)
        if found.missing:
            raise CommandError(f"cannot be decided: {found.missing}", returncode=1)
        if found.is_same:
            self.stdout.write("again: the same plan")
            return
        self._print("again", found.after)
        raise CommandError("the plans differ", returncode=1)

    def _print(self, name: str, outline: Outline) -> None:
        self.stdout.write(f"{name}: {outline.denial.code if outline.denial else f'{len(outline.legs)} orders'}")
        for leg in outline.legs:
            self.stdout.write(f"  {_line(leg)}")


def _line(leg: LegOutline) -> str:
    size = normalize_text(leg.quantity if leg.notional is None else leg.notional)
    unit = "" if leg.notional is None else " quote"
    refused = f" not sent: {leg.denial.code}" if leg.denial else ""
    return f"{leg.code} {leg.side} {size}{unit} {leg.client_order_id}{refused}"
