"""A database of this process's own, with ids that come from the seed."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

# What a history writes is in these.
ROOMS = ("alerts", "trading")

# Alerts are named by the database itself: named by this instead, the same seed gives the same names.
_IDS = """
CREATE SCHEMA IF NOT EXISTS torture;
CREATE SEQUENCE IF NOT EXISTS torture.named;
CREATE OR REPLACE FUNCTION torture.gen_random_uuid() RETURNS uuid LANGUAGE sql VOLATILE AS
    $$SELECT md5(current_setting('torture.seed') || nextval('torture.named'))::uuid$$;
"""


@contextmanager
def opened(name: str) -> Iterator[None]:
    """Make a migrated test database for the block. Everything that is due to Django's start is done here.

    TORTURE_TEMPLATE names a database that `make_template` made: a copy of it takes no time.
    """
    import django

    django.setup()
    from django.db import connection, connections
    from django.test.utils import setup_test_environment, teardown_test_environment

    # Django's own asks at each statement, several times, whether an event loop is running. There is none here.
    connections._connections = threading.local()  # type: ignore[attr-defined]
    setup_test_environment(debug=False)  # with it on, every statement is kept and told
    before, database = connection.settings_dict["NAME"], f"test_{name}"
    if "TORTURE_TEMPLATE" in os.environ:
        copy_template(database)
        connection.close()
        connection.settings_dict["NAME"] = database
    else:
        _migrate(database)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(before, verbosity=0)
        teardown_test_environment()


def copy_template(database: str) -> None:
    """Make a database that is a copy of the one TORTURE_TEMPLATE names."""
    import django

    django.setup()
    template = os.environ["TORTURE_TEMPLATE"]
    _admin(f"DROP DATABASE IF EXISTS {database}", f"CREATE DATABASE {database} TEMPLATE {template}")


def make_template(name: str) -> str:
    """Make a migrated database for others to copy and return its name."""
    import django

    django.setup()
    from django.db import connection

    _migrate(f"test_{name}")
    connection.close()
    return f"test_{name}"


def _migrate(database: str) -> None:
    from django.db import connection

    connection.settings_dict["TEST"]["NAME"] = database
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    add_names()


def add_names() -> None:
    """Give the database its own source of ids. What `name_from` then sets lasts as long as the connection."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(_IDS)


def _admin(*statements: str) -> None:
    from django.db import connection

    with connection._nodb_cursor() as cursor:  # type: ignore[attr-defined]
        for statement in statements:
            cursor.execute(statement)


def empty(*beside: str) -> None:
    """Empty every table of ROOMS, and `beside` them these; numbers begin anew."""
    from django.apps import apps
    from django.db import connection

    models = (model for room in ROOMS for model in apps.get_app_config(room).get_models())
    tables = [model._meta.db_table for model in models if model._meta.managed]
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join([*tables, *beside])} RESTART IDENTITY CASCADE")


def name_from(seed: int) -> None:
    """Let the ids that the database gives begin anew for this seed."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET search_path = torture, public, pg_catalog")
        cursor.execute(f"SET torture.seed = '{seed:d}/'")
        cursor.execute("ALTER SEQUENCE torture.named RESTART")
