"""The fault matrix of the safety net uses the engine's bench: real PostgreSQL, the real paper exchange."""

from tests.engine.conftest import _nothing_failed_unseen, failing, futures, no_waiting, spot

__all__ = ["_nothing_failed_unseen", "failing", "futures", "no_waiting", "spot"]
