from django.apps import AppConfig


class ConnectorsConfig(AppConfig):
    name = "apps.connectors"
    default_auto_field = "django.db.models.BigAutoField"
