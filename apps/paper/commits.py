"""One commit for all that ended in a turn of the event loop."""

import asyncio
import sqlite3

from apps.paper.store import Store


class GroupCommit:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Take over committing, from inside the running loop."""
        self._store.on_ended = self._schedule

    def stop(self) -> None:
        self._store.on_ended = None
        self._store.commit()

    async def wait(self) -> None:
        """Return when everything that has ended is in the file; raise what kept it from getting there."""
        if self._waiting is not None:
            await asyncio.shield(self._waiting)

    def _schedule(self) -> None:
        if self._waiting is None:
            loop = asyncio.get_running_loop()
            self._waiting = loop.create_future()
            loop.call_soon(self._write, self._waiting)

    def _write(self, waiting: "asyncio.Future[None]") -> None:
        self._waiting = None
        try:
            self._store.commit()
        except sqlite3.Error as error:
            waiting.set_exception(error)
            # Perhaps nobody waits for it.
            waiting.exception()
        else:
            waiting.set_result(None)
