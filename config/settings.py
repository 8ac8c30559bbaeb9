"""All settings. The environment is the only difference between machines; every variable stands in `.env.example`."""

from datetime import timedelta
from pathlib import Path

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from config import broker

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
if (BASE_DIR / ".env").is_file():
    environ.Env.read_env(BASE_DIR / ".env")


def required(name: str) -> str:
    value: str = env.str(name, default="")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set: see .env.example")
    return value


DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = required("SECRET_KEY")
SITE_NAME = env.str("SITE_NAME", default="Sferica")
SITE_URL = env.str("SITE_URL", default="http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"] if DEBUG else [])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
STATE_DIR = Path(env.str("STATE_DIR", default=str(BASE_DIR / ".state"))).resolve()
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)
ADMIN_PATH = env.str("ADMIN_PATH", default="staff/").lstrip("/")

if DEBUG and not set(ALLOWED_HOSTS) <= {"127.0.0.1", "localhost", "[::1]", "testserver", ".localhost"}:
    raise ImproperlyConfigured("DEBUG is on with a public host in ALLOWED_HOSTS: switch DEBUG off")

# Keys: each for one purpose, none derived from another. Formats in .env.example.
POINTER_KEY = required("POINTER_KEY")
DISPLAY_KEY = required("DISPLAY_KEY")
CREDENTIALS_PUBLIC_KEY = required("CREDENTIALS_PUBLIC_KEY")
# Only processes that trade hold it; without it credentials can be sealed and never opened.
CREDENTIALS_PRIVATE_KEYS = env.list("CREDENTIALS_PRIVATE_KEY", default=[])

INSTALLED_APPS = [
    "apps.accounts",
    "apps.connectors",
    "apps.strategies",
    "apps.trading",
    "apps.alerts",
    "apps.dashboard",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "django_cotton",
    "django_filters",
    "django_htmx",
    "csp",
    "drf_spectacular",
    "knox",
    "lucide",
    "rest_framework",
]

MIDDLEWARE = [
    # First: a delivery passes nothing it does not need.
    "apps.alerts.middleware.WebhookMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "apps.accounts.middleware.WorkspaceMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.accounts.context.site",
                "apps.connectors.context.environments",
            ],
            "builtins": [
                "lucide.templatetags.lucide",
                "apps.lib.templatetags.controls",
                "apps.lib.templatetags.figures",
                "apps.lib.templatetags.links",
                "apps.lib.templatetags.statuses",
            ],
        },
    }
]

# --- Data -----------------------------------------------------------------------------------------------------------
DATABASES = {"default": env.db_url_config(required("DATABASE_URL"))}
if DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql":
    raise ImproperlyConfigured("DATABASE_URL: only PostgreSQL (postgres://…) is supported")
DATABASES["default"]["ENGINE"] = "apps.lib.postgres"
DATABASES["default"]["CONN_MAX_AGE"] = None
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"].setdefault("OPTIONS", {})
# A kept connection is not asked whether it is still good: the kernel finds out within a minute that nobody is there.
for option, value in {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}.items():
    DATABASES["default"]["OPTIONS"].setdefault(option, value)

REDIS_URL = required("REDIS_URL")
CACHES = {
    "default": {
        "BACKEND": "apps.lib.cache.FailOpenRedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "sferica",
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
    }
}
SESSION_ENGINE = "django.contrib.sessions.backends.db"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- People ---------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_CHANGE = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_ADAPTER = "apps.accounts.adapter.AccountAdapter"
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXIES
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = SITE_NAME
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "dashboard:home"
LOGOUT_REDIRECT_URL = "dashboard:front"

EMAIL_CONFIG = env.email_url("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
# Without one a mail server that hangs would hold the sweeper's mails, and its end, for good.
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default=f"{SITE_NAME} <noreply@localhost>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# --- Browser --------------------------------------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
PERMISSIONS_POLICY: dict[str, list[str]] = {
    name: [] for name in ("camera", "geolocation", "microphone", "payment", "usb", "accelerometer", "gyroscope")
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
HTTPS = env.bool("HTTPS", default=not DEBUG)
SECURE_SSL_REDIRECT = HTTPS
# A redirect would turn a delivery into a lost alert; health checks come from inside.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 63072000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "csrf"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 7 * 86400

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = ["config.formats"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# --- API ------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["knox.auth.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "drf_standardized_errors.handler.exception_handler",
    "COERCE_DECIMAL_TO_STRING": True,
    "NUM_PROXIES": TRUSTED_PROXIES,
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.UserRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"user": env.str("API_RATE", default="600/min")},
}
REST_KNOX = {
    "TOKEN_PREFIX": "sfk_",
    "TOKEN_TTL": timedelta(days=90),
    "TOKEN_LIMIT_PER_USER": 10,
    "AUTH_HEADER_PREFIX": "Token",
}
SPECTACULAR_SETTINGS = {
    "TITLE": f"{SITE_NAME} API",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    # A tenant's `objects` answers to nothing but a workspace.
    "DEFAULT_QUERY_MANAGER": "_default_manager",
}

# --- Background work ------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = broker.celery_url(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_BACKEND = None
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = False
# What a worker has taken is off the broker, without a note of it there: a message only says that there is work, and the
# work is in the database. The note costs a round trip before a task begins and another behind it.
CELERY_BROKER_TRANSPORT_OPTIONS = {"ack_emulation": False}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 300
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULER = "config.schedule:Scheduler"
CELERY_WORKER_SEND_TASK_EVENTS = False
# The Django fixup would otherwise close the database connection around every task: 8-10 ms an order.
CELERY_DB_REUSE_MAX = 1_000_000
CELERY_BEAT_SCHEDULE = {
    "heartbeat": {"task": "apps.trading.tasks.beat_heart", "schedule": 10.0},
    "equity-points": {"task": "apps.trading.tasks.record_equity", "schedule": 60.0},
    "reconcile": {"task": "apps.trading.tasks.reconcile_positions", "schedule": 5.0},
    "sync-instruments": {"task": "apps.connectors.tasks.sync_instruments", "schedule": 3600.0},
    "check-keys": {"task": "apps.connectors.tasks.check_keys_daily", "schedule": 1800.0},
    "measure-clocks": {"task": "apps.connectors.tasks.measure_clocks", "schedule": 60.0},
    "forget-sessions": {"task": "apps.accounts.tasks.forget_sessions", "schedule": 86400.0},
    "forget-previews": {"task": "apps.alerts.tasks.forget_previews", "schedule": 86400.0},
}

# Threads of one process that wait for exchanges; 0 = one after the other.
INNER_THREADS = env.int("INNER_THREADS", default=32)

# --- Exchange -------------------------------------------------------------------------------------------------------
BITMART_SPOT_URL = env.str("BITMART_SPOT_URL", default="https://api-cloud.bitmart.com").rstrip("/")
BITMART_FUTURES_URL = env.str("BITMART_FUTURES_URL", default="https://api-cloud-v2.bitmart.com").rstrip("/")
BITMART_SPOT_WS_URL = env.str("BITMART_SPOT_WS_URL", default="wss://ws-manager-compress.bitmart.com").rstrip("/")
BITMART_FUTURES_WS_URL = env.str("BITMART_FUTURES_WS_URL", default="wss://openapi-ws-v2.bitmart.com").rstrip("/")
PAPER_URL = env.str("PAPER_URL", default="http://127.0.0.1:8801").rstrip("/")
PAPER_WS_URL = env.str("PAPER_WS_URL", default=PAPER_URL.replace("http", "ws", 1)).rstrip("/")
# The exchange limits connections per address: more addresses of this machine hold more accounts' streams.
STREAM_SOURCE_ADDRESSES = env.list("STREAM_SOURCE_ADDRESSES", default=[])
PAPER_CONTROL_TOKEN = env.str("PAPER_CONTROL_TOKEN", default="")
# Workers behind one address share its request limits; unset, all of them count as one.
OUTGOING_ADDRESS = env.str("OUTGOING_ADDRESS", default="")
USER_AGENT = env.str("USER_AGENT", default=f"{SITE_NAME}/0.1")

# How long the exchange may still accept an order after its signed time (W), how far clocks may differ, and how long an
# accepted order may stay invisible (V): execution-safety of the fence. Lower only what has been measured.
FENCE_WINDOW_S = env.int("FENCE_WINDOW_S", default=60)
FENCE_SKEW_S = env.int("FENCE_SKEW_S", default=3)
FENCE_VISIBILITY_S = env.int("FENCE_VISIBILITY_S", default=30)
# Who has not recorded the answer to an order by then counts as dead: connect 3 s, read 8 s, room for a slow database.
SEND_LIMIT_S = env.int("SEND_LIMIT_S", default=20)
# Work on one symbol of a connector that nobody renewed for so long may be taken over.
LEASE_S = env.int("LEASE_S", default=60)

# --- Alerts ---------------------------------------------------------------------------------------------------------
WEBHOOK_RATE_PER_MINUTE = env.int("WEBHOOK_RATE_PER_MINUTE", default=60)
UNKNOWN_POINTERS_PER_MINUTE = env.int("UNKNOWN_POINTERS_PER_MINUTE", default=20)
ENTRY_MAX_AGE_S = 120

# --- Logs -----------------------------------------------------------------------------------------------------------
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact": {"()": "apps.lib.logs.RedactFilter"}},
    "formatters": {
        "line": {"()": "apps.lib.logs.LineFormatter", "format": "%(asctime)s %(levelname)s %(name)s %(message)s"}
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "filters": ["redact"], "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django.server": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "urllib3": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
    },
}
