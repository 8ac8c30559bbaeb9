from typing import Any

from django.core.management.base import BaseCommand

from apps.dashboard import demo


class Command(BaseCommand):
    help = "Make the demo's people, paper accounts and connectors where they are missing."

    def handle(self, *args: Any, **options: Any) -> None:
        demo.fill()
