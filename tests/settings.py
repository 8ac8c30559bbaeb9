"""The product's settings on servers of their own, gone with the run. DATABASE_URL and REDIS_URL name others."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from config import broker, embedded

os.environ.setdefault("DEBUG", "1")
if "TEST_STATE_DIR" not in os.environ:  # set in xdist's workers, which use what their parent booted
    os.environ["TEST_STATE_DIR"] = tempfile.mkdtemp(prefix="sferica-test-")
    atexit.register(shutil.rmtree, os.environ["TEST_STATE_DIR"], ignore_errors=True)
embedded.prepare(Path(os.environ["TEST_STATE_DIR"]), for_tests=True)

from config.settings import *  # noqa: E402, F403 - they read what was just prepared
from config.settings import CACHES, DATABASES, REDIS_URL  # noqa: E402

# Each xdist worker has its own database by pytest-django, and its own numbered one in Redis by this.
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
REDIS_URL = broker.with_database(REDIS_URL, 1 + _worker % 15)
CELERY_BROKER_URL = broker.celery_url(REDIS_URL)
CACHES = {"default": CACHES["default"] | {"LOCATION": REDIS_URL}}

if "TEST_DATABASE" in os.environ:  # of a run beside others on one server
    DATABASES["default"]["TEST"] = {"NAME": os.environ["TEST_DATABASE"]}

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

# Static files are looked for when one is asked for: listing them all costs every client of a test a tenth of a second.
WHITENOISE_AUTOREFRESH = True

# Tests wait one after the other, in the transaction of the test.
INNER_THREADS = 0
