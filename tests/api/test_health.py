"""What a load balancer is told."""

import json
import logging
from datetime import timedelta
from threading import Event
from unittest.mock import patch

import pytest
from django.db import OperationalError
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from apps.dashboard import health
from apps.lib import world
from apps.trading.models import WorkerHeartbeat

OK = {"database": "ok", "migrations": "ok", "worker": "ok", "sweeper": "ok", "broker": "ok"}


@pytest.fixture
def alive(db: None) -> None:
    for kind in ("worker", "sweeper"):
        WorkerHeartbeat.objects.create(name=f"{kind}-1", kind=kind, at=timezone.now())


def ask() -> tuple[int, dict[str, object]]:
    answer = Client().get("/readyz")
    return answer.status_code, json.loads(answer.content)


def test_healthz_asks_nobody() -> None:
    answer = Client().get("/healthz")

    assert (answer.status_code, answer.content) == (200, b"ok")


def test_ready_when_everything_answers(alive: None) -> None:
    assert ask() == (200, {"ready": True, "missing": [], "checks": OK})


def test_a_silent_worker_is_named(alive: None) -> None:
    WorkerHeartbeat.objects.filter(kind="worker").update(at=timezone.now() - timedelta(seconds=45))

    status, told = ask()

    assert (status, told["missing"]) == (503, ["worker"])
    assert told["checks"] == OK | {"worker": "last seen 45 s ago"}


def levels(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(row.levelname, row.getMessage()) for row in caplog.records if row.name == "django.request"]


def test_what_is_not_there_yet_while_all_starts_is_logged_as_no_error(
    alive: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(health, "_been_ready", Event())
    monkeypatch.setattr(health, "_began", world.monotonic())
    WorkerHeartbeat.objects.all().delete()
    caplog.set_level(logging.INFO)

    assert [ask()[0] for _ in range(2)] == [503, 503]

    assert levels(caplog) == [("INFO", "Not ready yet: worker, sweeper")] * 2

    monkeypatch.setattr(health, "_began", world.monotonic() - health.STARTS_WITHIN_S)
    assert ask()[0] == 503
    assert levels(caplog)[2:] == [("ERROR", "Service Unavailable: /readyz")]


def test_what_goes_away_after_all_was_ready_is_logged_as_an_error(
    alive: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(health, "_been_ready", Event())
    assert ask()[0] == 200
    WorkerHeartbeat.objects.all().delete()

    assert ask()[0] == 503

    assert levels(caplog) == [("ERROR", "Service Unavailable: /readyz")]


def test_one_fresh_worker_of_several_is_enough(alive: None) -> None:
    WorkerHeartbeat.objects.create(name="worker-0", kind="worker", at=timezone.now() - timedelta(days=1))

    assert ask()[0] == 200


def test_a_sweeper_that_never_started_is_named(alive: None) -> None:
    WorkerHeartbeat.objects.filter(kind="sweeper").delete()

    assert ask() == (503, {"ready": False, "missing": ["sweeper"], "checks": OK | {"sweeper": "never seen"}})


def test_a_missing_migration_is_counted(alive: None) -> None:
    MigrationRecorder.Migration.objects.filter(app="alerts").order_by("-id")[0].delete()

    status, told = ask()

    assert (status, told["missing"]) == (503, ["migrations"])
    assert told["checks"] == OK | {"migrations": "1 to apply: run migrate"}


def test_an_absent_broker_is_named_without_its_address(alive: None, settings: Settings) -> None:
    settings.REDIS_URL = "redis://:hidden-password@127.0.0.1:1/0"

    status, told = ask()

    assert (status, told["missing"]) == (503, ["broker"])
    assert told["checks"] == OK | {"broker": "no answer (ConnectionError)"}


def test_an_absent_database_is_named_and_not_asked_further(alive: None) -> None:
    with patch("apps.dashboard.health._database", side_effect=OperationalError("host db.internal refused")):
        status, told = ask()

    assert (status, told["checks"]) == (503, {"database": "no answer (OperationalError)", "broker": "ok"})
