"""The door through which a page keeps how a person looks at charts."""

import json

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_POST

from training.models import Project
from training.pages.doors import person, signed_in
from training.projects.chart_layout import LayoutRefused, chart_layout_save


@require_POST
@signed_in
def chart_layout(request: HttpRequest, project_id: int) -> HttpResponseBase:
    """Keep the layout in the body for this person and project."""
    project = Project.objects.visible_to(request.user).filter(pk=project_id).first()
    if project is None:
        raise Http404("No such project.")
    try:
        chart_layout_save(person(request), project, json.loads(request.body))
    except (LayoutRefused, ValueError, RecursionError) as refusal:
        return HttpResponse(f"layout: {refusal}", status=400, content_type="text/plain")
    return HttpResponse(status=204)
