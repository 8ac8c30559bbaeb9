from django.urls import path

from apps.accounts import views

app_name = "accounts"
urlpatterns = [
    path("", views.SettingsView.as_view(), name="settings"),
    path("zone/", views.ZoneView.as_view(), name="zone"),
    path("stop/", views.StopView.as_view(), name="stop"),
]
