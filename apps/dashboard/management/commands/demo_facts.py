import json
from typing import Any

from django.core.management.base import BaseCommand

from apps.dashboard.demo import facts


class Command(BaseCommand):
    help = "Print the demo's address, login, token and pointers as JSON."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(json.dumps(facts(), indent=2))
