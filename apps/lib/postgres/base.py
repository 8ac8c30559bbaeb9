import select

from django.db.backends.postgresql import base
from psycopg.pq import PipelineStatus, TransactionStatus


class DatabaseWrapper(base.DatabaseWrapper):
    def is_usable(self) -> bool:
        """Tell without a round trip, which Django's question takes before the first statement of each task.

        A connection on which the server has said something since its last answer is on its way out, or gone. What no
        server tells of, as a cable that was pulled, the statement itself finds out.
        """
        raw = self.connection
        if raw is None or raw.closed or raw.info.transaction_status != TransactionStatus.IDLE:
            return False
        if raw.pgconn.pipeline_status != PipelineStatus.OFF:
            # Whoever waited for its answers was torn away.
            return False
        waiting = select.poll()
        waiting.register(raw.fileno(), select.POLLIN)
        return not waiting.poll(0)
