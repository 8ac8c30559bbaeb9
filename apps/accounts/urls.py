from django.urls import path

from apps.accounts import tokens, views

app_name = "accounts"
urlpatterns = [
    path("", views.SettingsView.as_view(), name="settings"),
    path("zone/", views.ZoneView.as_view(), name="zone"),
    path("stop/", views.StopView.as_view(), name="stop"),
    path("tokens/", tokens.TokenList.as_view(), name="tokens"),
    path("tokens/revoke/", tokens.RevokeToken.as_view(), name="revoke_token"),
]
