from django.urls import path

from apps.trading import views

app_name = "trading"

urlpatterns = [
    path("orders/", views.OrderList.as_view(), name="orders"),
    path("orders.csv", views.OrderCsv.as_view(), name="orders_csv"),
    path("orders/<uuid:pk>/", views.OrderDetail.as_view(), name="order"),
    path("positions/", views.PositionList.as_view(), name="positions"),
    path("positions.csv", views.PositionCsv.as_view(), name="positions_csv"),
]
