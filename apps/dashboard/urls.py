from django.urls import path

from apps.dashboard import views
from apps.dashboard.front import FrontView

app_name = "dashboard"

urlpatterns = [
    path("", FrontView.as_view(), name="front"),
    path("app/", views.Home.as_view(), name="home"),
    path("app/live/", views.Live.as_view(), name="live"),
    path("app/setup/hide/", views.HideSetup.as_view(), name="hide_setup"),
]
