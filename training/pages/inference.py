"""The quick test of a job's model: the panel on the job's page, the page of one test, and its picture."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods

from training.inference.selectors import (
    THRESHOLD,
    inference_drawn,
    inference_unheard,
    inferences_of,
    inferences_visible,
)
from training.inference.services import inference_create, job_testable
from training.models import InferenceJob, InferenceState, TrainingJob
from training.pages.doors import job_or_404, person, signed_in
from training.people.roles import Action, allowed, require
from training.storage.store import ObjectMissing, internal_store

SHOWN = 8


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def job_test(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """The panel; a POST with a picture begins a test and shows it, or says what is wrong with the picture."""
    job = job_or_404(request, job_id)
    if request.method != "POST":
        return _panel(request, job)
    require(person(request), Action.TEST_MODEL, job)
    file = request.FILES.get("picture")
    if file is None:
        return _panel(request, job, gettext("Choose a picture first."), 400)
    try:
        content = file.read(settings.INFERENCE_MAX_MB * 1024 * 1024 + 1)
        made = inference_create(person(request), job, content, str(file.name))
    except ValidationError as error:
        return _panel(request, job, " ".join(error.messages), 400)
    if request.headers.get("HX-Request"):
        return _panel(request, job, shown=made)
    return redirect("inference-page", inference_id=made.pk)


@require_GET
@signed_in
def inference_page(request: HttpRequest, inference_id: int) -> HttpResponseBase:
    """One test; asked by htmx, the part of it that changes."""
    inference = inference_or_404(request, inference_id)
    context = _context(inference)
    template = "_inference.html" if request.headers.get("HX-Request") else "inference_page.html"
    response = render(request, f"training/{template}", context)
    response["Cache-Control"] = "no-store"
    return response


@require_GET
@signed_in
def inference_picture(request: HttpRequest, inference_id: int) -> HttpResponseBase:
    """The picture as it was written anew at the door; 404 once it has been swept away."""
    inference = inference_or_404(request, inference_id)
    try:
        content = internal_store().get(inference.picture_key) if inference.picture_key else b""
    except ObjectMissing:
        content = b""
    if not content:
        raise Http404(gettext("This picture is kept no longer."))
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=3600"}
    return HttpResponse(content, content_type=inference.content_type, headers=headers)


def inference_or_404(request: HttpRequest, inference_id: int) -> InferenceJob:
    found: InferenceJob | None = inferences_visible(request.user).filter(pk=inference_id).first()
    if found is None:
        raise Http404("No such test.")
    return found


def _panel(
    request: HttpRequest, job: TrainingJob, wrong: str = "", status: int = 200, shown: InferenceJob | None = None
) -> HttpResponseBase:
    tests = inferences_of(job, SHOWN)
    context: dict[str, Any] = {
        "job": job,
        "checkpoint": job_testable(job),
        "can_test": allowed(person(request), Action.TEST_MODEL, job),
        "wrong": wrong,
        "tests": tests,
        "most": settings.INFERENCE_MAX_MB,
    }
    context |= _context(shown) if shown else {}
    if request.headers.get("HX-Request"):
        return render(request, "training/_quick_test.html", context, status=200 if wrong else status)
    return render(request, "training/quick_test.html", context, status=status)


def _context(inference: InferenceJob) -> dict[str, Any]:
    drawn = inference_drawn(inference) if inference.picture_key else []
    return {
        "inference": inference,
        "job": inference.job,
        "drawn": drawn,
        "seen": inference.result.get("objects") or inference.result.get("scores") or [],
        "pending": inference.state in (InferenceState.WAITING, InferenceState.WORKING),
        "unheard": inference_unheard(inference),
        "threshold": THRESHOLD,
    }
