from django.urls import path

from apps.trading import incident_views, views

app_name = "trading"

urlpatterns = [
    path("orders/", views.OrderList.as_view(), name="orders"),
    path("orders.csv", views.OrderCsv.as_view(), name="orders_csv"),
    path("orders/<uuid:pk>/", views.OrderDetail.as_view(), name="order"),
    path("orders/<uuid:pk>/cancel/", views.OrderCancel.as_view(), name="cancel_order"),
    path("positions/", views.PositionList.as_view(), name="positions"),
    path("incidents/", incident_views.IncidentList.as_view(), name="incidents"),
    path("incidents/<uuid:pk>/", incident_views.IncidentDetail.as_view(), name="incident"),
    path("incidents/<uuid:pk>/resolve/", incident_views.ResolveIncident.as_view(), name="resolve_incident"),
    path("incidents/<uuid:pk>/order/", incident_views.SettleOrder.as_view(), name="settle_order"),
    path("positions.csv", views.PositionCsv.as_view(), name="positions_csv"),
]
