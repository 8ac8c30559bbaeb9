from typing import Any

from django.views.generic import TemplateView

from apps.strategies import queries


class FrontView(TemplateView):
    template_name = "dashboard/front.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(strategies=queries.published()[:3], **kwargs)
