from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from apps.alerts.views import webhook
from apps.dashboard.health import healthz, readyz

urlpatterns = [
    path("", include("apps.dashboard.urls")),
    path("webhook", webhook, name="webhook"),
    path("webhook/", webhook),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("strategies/", include("apps.strategies.urls")),
    path("app/connectors/", include("apps.connectors.urls")),
    path("app/alerts/", include("apps.alerts.urls")),
    path("app/", include("apps.trading.urls")),
    path("app/settings/", include("apps.accounts.urls")),
    path("accounts/", include("allauth.urls")),
    path("api/v1/", include("config.api")),
    path(settings.ADMIN_PATH, admin.site.urls),
]
