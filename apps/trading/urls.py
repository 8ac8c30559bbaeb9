from django.urls import path

from apps.trading import flatten_views, incident_views, views

app_name = "trading"

urlpatterns = [
    path("orders/", views.OrderList.as_view(), name="orders"),
    path("orders.csv", views.OrderCsv.as_view(), name="orders_csv"),
    path("orders/<uuid:pk>/", views.OrderDetail.as_view(), name="order"),
    path("orders/<uuid:pk>/cancel/", views.OrderCancel.as_view(), name="cancel_order"),
    path("positions/", views.PositionList.as_view(), name="positions"),
    path("close-everything/", flatten_views.CloseEverything.as_view(), name="close_everything"),
    path("close-everything/<uuid:pk>/", flatten_views.FlattenReport.as_view(), name="flatten"),
    path("connectors/<uuid:pk>/close/", flatten_views.CloseConnector.as_view(), name="close_connector"),
    path("connectors/<uuid:pk>/lift/", flatten_views.LiftConnector.as_view(), name="lift_connector"),
    path("incidents/", incident_views.IncidentList.as_view(), name="incidents"),
    path("incidents/<uuid:pk>/", incident_views.IncidentDetail.as_view(), name="incident"),
    path("incidents/<uuid:pk>/resolve/", incident_views.ResolveIncident.as_view(), name="resolve_incident"),
    path("incidents/<uuid:pk>/position/", incident_views.BringInLine.as_view(), name="bring_in_line"),
    path("incidents/<uuid:pk>/order/", incident_views.SettleOrder.as_view(), name="settle_order"),
    path("positions.csv", views.PositionCsv.as_view(), name="positions_csv"),
]
