"""When beat did what last, kept in a file that a kill may tear."""

import logging

from celery.beat import PersistentScheduler

logger = logging.getLogger(__name__)


class Scheduler(PersistentScheduler):  # type: ignore[misc]  # celery has no types
    """Begins anew where the file cannot be read: Celery's own ends, each time it is started."""

    def setup_schedule(self) -> None:
        try:
            super().setup_schedule()
        except Exception:
            logger.exception("beat's schedule file cannot be read, beginning anew")
            self._remove_db()
            super().setup_schedule()
