import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django_application = get_wsgi_application()

from apps.alerts.entry import WebhookEntry  # noqa: E402 - its models need Django set up

application = WebhookEntry(django_application)
