"""The process that listens to the exchange, so that fills are seen at once. Trading goes on without it."""

import asyncio
import signal
from typing import Any

from django.core.management.base import BaseCommand

from apps.trading.streaming import Streaming


class Command(BaseCommand):
    help = "Hold the exchange's streams of all accounts: orders that changed become due, prices fresh."

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(_run())


async def _run() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await Streaming().run(stop)
