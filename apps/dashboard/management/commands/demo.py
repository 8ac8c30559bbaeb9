import contextlib
import fcntl
import http.client
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.urls import get_resolver

from apps.dashboard.demo import curl_line, facts
from config import processes, secretfile
from config.supervisor import ChildFailedError, StopRequested, Supervisor

PAPER_SEED = 20260718
READY_WITHIN = 60.0
NOT_READY_YET = r"Service Unavailable: /readyz"


class Command(BaseCommand):
    help = "Run the whole product here, with demo data: web, worker, beat, sweeper, stream and paper exchange."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("The demo has a known password: it runs with DEBUG=1 only.")
        port, paper_port = port_from("PORT", 8000), port_from("PAPER_PORT", 8801)
        with only_one(settings.STATE_DIR):
            refuse_taken(port, "PORT")
            refuse_taken(paper_port, "PAPER_PORT")
            secretfile.write(
                settings.STATE_DIR / "addresses.env", {"SITE_URL": settings.SITE_URL, "PAPER_URL": settings.PAPER_URL}
            )
            try:
                self.run(port, paper_port)
            except StopRequested:
                pass
            except ChildFailedError as error:
                raise CommandError(str(error)) from error
            self.say("Stopped.")

    def run(self, port: int, paper_port: int) -> None:
        """Start everything and watch it. Return never, raise StopRequested."""
        state_dir: Path = settings.STATE_DIR
        with Supervisor(
            state_dir / "logs", before_fork=close_connections, say=self.say, expected=NOT_READY_YET
        ) as supervisor:
            self.say("Starting the paper exchange …")
            paper = partial(
                processes.paper,
                paper_port,
                state_dir=state_dir,
                control_token=settings.PAPER_CONTROL_TOKEN,
                seed=PAPER_SEED,
            )
            supervisor.start("paper", paper)
            wait_for(paper_port, supervisor, "the paper exchange")
            about = json.loads(supervisor.result_of("demo data", partial(fill_database, self.say)))
            _ = get_resolver().url_patterns  # loaded once, shared by the children
            supervisor.start("worker", processes.worker)
            supervisor.start("beat", partial(processes.beat, state_dir))
            supervisor.start("sweeper", processes.sweeper)
            supervisor.start("stream", processes.stream)
            supervisor.start("web", partial(processes.web, port))
            self.wait_until_ready(port, supervisor)
            self.stdout.write(welcome(about))
            self.stdout.flush()
            supervisor.watch(lambda: None)

    def wait_until_ready(self, port: int, supervisor: Supervisor) -> None:
        started = time.monotonic()
        told = 0.0
        while (answer := ask(port, "/readyz")) != "200 OK":
            supervisor.look()
            waited = time.monotonic() - started
            if waited > READY_WITHIN:
                raise CommandError(f"/readyz answers {answer} after {waited:.0f} s. Logs: {supervisor.logs}")
            if waited - told > 3:
                told = waited
                self.say(f"Waiting for /readyz ({answer}) …")
            time.sleep(0.1)

    def say(self, text: str) -> None:
        self.stderr.write(text)
        self.stderr.flush()


def port_from(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise CommandError(f"{name}={text} is no port. Give a number from 1 to 65535.")
    return int(text)


def refuse_taken(port: int, name: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CommandError(
                f"Port {port} cannot be used ({error.strerror}). Stop what listens there, or take another: "
                f"make run {name}={port + 1 if port < 65535 else port - 1}"
            ) from error


@contextlib.contextmanager
def only_one(state_dir: Path) -> Iterator[None]:
    """Hold the lock of the demo in `state_dir`. A second one would trade the same rows with a second set of workers."""
    with (state_dir / "demo.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError(
                f"A demo already runs in {state_dir}. Stop it, or give this one its own: make run STATE_DIR=.state-2"
            ) from error
        yield


def fill_database(say: Callable[[str], None]) -> str:
    """Migrate, make the demo data, and return the facts about it as JSON."""
    executor = MigrationExecutor(connections["default"])
    pending = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if pending:
        say(f"Applying {pending} migrations …")
        call_command("migrate", interactive=False, verbosity=0)
    call_command("demo_data")
    return json.dumps(facts())


def close_connections() -> None:
    """Leave the children no connection of ours: two processes on one socket would mix their answers."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        if hasattr(connection, "close_pool"):
            connection.close_pool()


def wait_for(port: int, supervisor: Supervisor, what: str) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError as error:
            supervisor.look()
            if time.monotonic() > deadline:
                raise CommandError(f"No answer from {what} on port {port}. Logs: {supervisor.logs}") from error
            time.sleep(0.05)
        else:
            return


def ask(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()
    return f"{response.status} {response.reason}"


def welcome(about: dict[str, Any]) -> str:
    """Return what to do next, from `apps.dashboard.demo.facts()`."""
    rule = "─" * 78
    return "\n".join(
        [
            "",
            rule,
            f"  {settings.SITE_NAME} is ready    {about['base_url']}",
            f"  Sign in with        {about['email']}   password  {about['password']}",
            f"  Paper exchange      {about['paper_url']}",
            "  Send an alert (it fills on the paper exchange):",
            *[f"    {curl_line(connector)}" for connector in about["connectors"]],
            "  Stop with Ctrl-C",
            rule,
            "",
        ]
    )
