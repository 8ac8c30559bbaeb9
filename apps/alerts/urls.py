from django.urls import path

from apps.alerts import pages, preview_pages, replay_pages

app_name = "alerts"

urlpatterns = [
    path("", pages.AlertList.as_view(), name="list"),
    path("alerts.csv", pages.AlertCsv.as_view(), name="csv"),
    path("<uuid:pk>/", pages.AlertPage.as_view(), name="detail"),
    path("<uuid:pk>/run/", pages.RunHeld.as_view(), name="run"),
    path("<uuid:pk>/dismiss/", pages.DismissHeld.as_view(), name="dismiss"),
    path("<uuid:pk>/test/", preview_pages.SendAsTest.as_view(), name="test"),
    path("<uuid:pk>/replay/", replay_pages.ReplayPage.as_view(), name="replay"),
    path("previews/<uuid:pk>/", preview_pages.PreviewPage.as_view(), name="preview"),
    path("what-if/<uuid:pk>/", preview_pages.AskPreview.as_view(), name="ask"),
]
