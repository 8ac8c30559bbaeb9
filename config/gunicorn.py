"""gunicorn's settings. The environment: PORT, WEB_CONCURRENCY (processes), WEB_THREADS."""

import os
import select
from pathlib import Path

bind = f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT') or 8000}"  # noqa: S104 - behind a proxy
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
# Without epoll (macOS) gunicorn's own, which does the same for more CPU.
worker_class = "config.web_worker.WebWorker" if hasattr(select, "epoll") else "gthread"
threads = int(os.environ.get("WEB_THREADS") or 8)
# Every sender of a herd gets its connection accepted; what does not run yet waits inside.
worker_connections = 1000
backlog = 2048
keepalive = 30
timeout = 60
graceful_timeout = 20
preload_app = True
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - heartbeat files off the disk
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")
errorlog = "-"
accesslog = None  # a request line holds what a log must not: tokens in paths
