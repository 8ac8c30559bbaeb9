"""The processes of one installation, each a function to be called in its own child. Each ends on SIGTERM."""

from pathlib import Path
from types import ModuleType
from typing import Any

from celery.apps.beat import Beat
from django.core.management import call_command
from gunicorn.app.base import BaseApplication

import config.gunicorn
from config.celery import app
from config.wsgi import application

WORKER_THREADS = 8


class WebServer(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn with the settings of a module, some of them replaced."""

    def __init__(self, settings: ModuleType, **replaced: Any) -> None:
        public = {name: value for name, value in vars(settings).items() if name.islower() and name[0] != "_"}
        self.options = public | replaced
        super().__init__()

    def load_config(self) -> None:
        for name, value in self.options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        return application


def web(port: int) -> None:
    WebServer(config.gunicorn, bind=f"127.0.0.1:{port}", workers=1).run()


def worker() -> None:
    process = app.Worker(pool="threads", concurrency=WORKER_THREADS, quiet=True)
    process.start()
    raise SystemExit(process.exitcode)


def beat(state_dir: Path) -> None:
    Beat(app=app, schedule=str(state_dir / "beat"), quiet=True).run()


def sweeper() -> None:
    call_command("sweeper")


def stream() -> None:
    call_command("stream")


def paper(port: int, *, state_dir: Path, control_token: str, seed: int) -> None:
    from apps.paper.server import serve  # its server library is of no use to the other processes

    serve(host="127.0.0.1", port=port, state_dir=state_dir / "paper", seed=seed, control_token=control_token)
