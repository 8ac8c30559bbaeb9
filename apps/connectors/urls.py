from django.urls import path

from apps.connectors import alias_views, views

app_name = "connectors"

urlpatterns = [
    path("", views.ConnectorList.as_view(), name="list"),
    path("new/", views.NewConnector.as_view(), name="new"),
    path("new/paper-account/", views.OpenPaperAccount.as_view(), name="paper"),
    path("new/<slug:environment>/<slug:market>/", views.NewWithKeys.as_view(), name="new_keys"),
    path("<uuid:pk>/", views.ConnectorDetail.as_view(), name="detail"),
    path("<uuid:pk>/findings/", views.Findings.as_view(), name="findings"),
    path("<uuid:pk>/settings/", views.ConnectorSettings.as_view(), name="settings"),
    path("<uuid:pk>/aliases/", alias_views.Aliases.as_view(), name="aliases"),
    path("<uuid:pk>/aliases/remove/", alias_views.RemoveAlias.as_view(), name="remove_alias"),
    path("<uuid:pk>/credentials/", views.ReplaceCredentials.as_view(), name="credentials"),
    path("<uuid:pk>/rotate/", views.RotatePointer.as_view(), name="rotate"),
    path("<uuid:pk>/check/", views.CheckNow.as_view(), name="check"),
    path("<uuid:pk>/pause/", views.Pause.as_view(), name="pause"),
    path("<uuid:pk>/resume/", views.Resume.as_view(), name="resume"),
    path("<uuid:pk>/delete/", views.DeleteConnector.as_view(), name="delete"),
]
