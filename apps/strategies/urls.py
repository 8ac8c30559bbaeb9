from django.urls import path

from apps.strategies import views

app_name = "strategies"
urlpatterns = [
    path("", views.StrategyList.as_view(), name="list"),
    path("<slug:slug>/", views.StrategyDetail.as_view(), name="detail"),
]
