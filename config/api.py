from django.urls import path
from drf_spectacular.views import SpectacularJSONAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.routers import SimpleRouter
from rest_framework.throttling import UserRateThrottle

from apps.accounts.api import ApiToken
from apps.alerts.api import AlertViewSet
from apps.connectors.api import ConnectorViewSet
from apps.trading.api import EquityPointViewSet, FillViewSet, IncidentViewSet, OrderViewSet, PositionViewSet

app_name = "api"

router = SimpleRouter()
router.register("connectors", ConnectorViewSet, basename="connector")
router.register("alerts", AlertViewSet, basename="alert")
router.register("orders", OrderViewSet, basename="order")
router.register("fills", FillViewSet, basename="fill")
router.register("positions", PositionViewSet, basename="position")
router.register("equity-points", EquityPointViewSet, basename="equity-point")
router.register("incidents", IncidentViewSet, basename="incident")

schema = SpectacularJSONAPIView.as_view(
    authentication_classes=[ApiToken],
    permission_classes=[IsAuthenticated],
    throttle_classes=[UserRateThrottle],
)

urlpatterns = [path("schema/", schema, name="schema"), *router.urls]
