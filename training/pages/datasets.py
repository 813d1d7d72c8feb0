"""The web pages of datasets: the list, the report, the gallery and its pictures, and the delete button."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any
from urllib.parse import urlencode

from asgiref.sync import sync_to_async
from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from training.datasets.images import BadImage
from training.datasets.pictures import pictures_all, pictures_find
from training.datasets.selectors import class_counts, dataset_jobs, dataset_list, dataset_search, dataset_sizes
from training.datasets.services import DESCRIPTION_LENGTH, NAME_LENGTH, DatasetInUse, dataset_delete, dataset_edit
from training.datasets.thumbnails import COLOURS, SIDES, thumbnail
from training.imports.selectors import imports_on_their_way
from training.labeler.client import labeler_configured
from training.models import Dataset, Membership
from training.pages.doors import person, signed_in
from training.pages.fields import errors_put
from training.people.roles import Action, allowed, organizations_where, require

ROWS = 50
PICTURES = 24
JOBS = 10
IMPORTS = 5
# Pictures are drawn by two threads of their own, so that a gallery of large ones delays nobody else.
drawers = ThreadPoolExecutor(2, thread_name_prefix="thumbnails")


class DatasetForm(forms.Form):
    """A dataset's name and description; limits are the service's."""

    use_required_attribute = False
    name = forms.CharField(max_length=NAME_LENGTH, widget=forms.TextInput({"autocomplete": "off"}))
    description = forms.CharField(
        required=False,
        max_length=DESCRIPTION_LENGTH,
        widget=forms.Textarea({"rows": 5}),
        help_text="Where the images come from, what is labelled, what to mind.",
    )


@require_GET
@signed_in
def dataset_index(request: HttpRequest) -> HttpResponseBase:
    """The datasets, those whose name or description has the words that are searched for."""
    user, words = person(request), request.GET.get("q", "")[:120].replace("\x00", "").strip()
    page = Paginator(dataset_search(user, words), ROWS).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "total": page.paginator.count,
        "memberships": list(Membership.objects.filter(user=user).select_related("organization")),
        "words": words,
        "query": f"{urlencode({'q': words})}&" if words else "",
        "sizes": dataset_sizes(user),
        "imports": imports_on_their_way(user, IMPORTS),
        "labeler": labeler_configured(),
        "can_import": bool(organizations_where(user, Action.IMPORT_DATASET)),
    }
    return render(request, "training/dataset_list.html", context)


@require_GET
@vary_on_headers("HX-Request")
@signed_in
def dataset_page(request: HttpRequest, dataset_id: int) -> HttpResponseBase:
    """The whole page; asked by htmx, its gallery alone."""
    dataset = dataset_or_404(request, dataset_id)
    context = _gallery(request, dataset)
    # going back in the browser asks for the whole page again
    if request.headers.get("HX-Request") and not request.headers.get("HX-History-Restore-Request"):
        return render(request, "training/_gallery.html", context)
    counts, user = class_counts(dataset.report), person(request)
    context |= {
        "counts": counts,
        "most": max([one.total for one in counts], default=0),
        "jobs": dataset_jobs(dataset, JOBS),
        "job_count": dataset.jobs.filter(deleted_at=None).count(),
        "snapshots": list(dataset.snapshots.order_by("-created_at")[:JOBS]),
        "can_create": allowed(user, Action.CREATE_JOB, dataset),
        "can_delete": allowed(user, Action.DELETE_DATASET, dataset),
        "can_edit": allowed(user, Action.EDIT_DATASET, dataset),
        "imported": dataset.imports.order_by("-id").first(),
    }
    return render(request, "training/dataset_page.html", context)


async def dataset_picture(request: HttpRequest, dataset_id: int, number: int) -> HttpResponseBase:
    """One picture with its labels drawn; the data of a dataset never change, so browsers keep it for a day."""
    user = await request.auser()
    if not user.is_authenticated:
        return HttpResponse("Not signed in.", status=401, content_type="text/plain")
    dataset = await sync_to_async(dataset_or_404)(request, dataset_id)
    size = "large" if request.GET.get("size") == "large" else "small"
    drawing = partial(copy_context().run, _picture, dataset, number, size)  # in a hurry, as every page
    drawn = await asyncio.get_running_loop().run_in_executor(drawers, drawing)
    headers = {"Cache-Control": "private, max-age=86400"}
    return HttpResponse(drawn, content_type="image/jpeg", headers=headers)


@require_POST
@signed_in
def dataset_remove(request: HttpRequest, dataset_id: int) -> HttpResponseBase:
    dataset = dataset_or_404(request, dataset_id)
    require(person(request), Action.DELETE_DATASET, dataset)
    name = dataset.name
    try:
        dataset_delete(dataset)
    except DatasetInUse as refusal:
        messages.warning(request, str(refusal))
        return redirect("dataset-page", dataset_id=dataset_id)
    messages.success(request, f"{name} was deleted.")
    return redirect("dataset-list")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def dataset_change(request: HttpRequest, dataset_id: int) -> HttpResponseBase:
    """The form for a dataset's name and description."""
    dataset = dataset_or_404(request, dataset_id)
    require(person(request), Action.EDIT_DATASET, dataset)
    form = DatasetForm(request.POST or None, initial={"name": dataset.name, "description": dataset.description})
    if request.method == "POST" and form.is_valid():
        try:
            dataset_edit(dataset, form.cleaned_data["name"], form.cleaned_data["description"], by=person(request))
            return redirect("dataset-page", dataset_id=dataset_id)
        except ValidationError as error:
            errors_put(form, error)
            dataset.refresh_from_db()
    status = 422 if form.errors else 200
    return render(request, "training/dataset_edit.html", {"form": form, "dataset": dataset}, status=status)


def dataset_or_404(request: HttpRequest, dataset_id: int) -> Dataset:
    """The dataset, if this person may see it; another organization's is no different from none."""
    dataset: Any = dataset_list(request.user).filter(pk=dataset_id).first()
    if dataset is None:
        raise Http404("No such dataset.")
    return dataset


def _picture(dataset: Dataset, number: int, size: str) -> bytes:
    pictures = pictures_all(dataset)
    if number >= len(pictures) or size not in SIDES:
        raise Http404("No such picture.")
    try:
        return thumbnail(dataset, pictures[number], size)
    except BadImage as error:
        raise Http404("This picture can't be shown.") from error


def _gallery(request: HttpRequest, dataset: Dataset) -> dict[str, Any]:
    """One page of pictures by the filter in the address; what makes no sense in it is left out."""
    splits = list(dataset.report.get("splits", {}))
    split, wanted = request.GET.get("split", ""), request.GET.get("class", "")
    split = split if split in splits and split != "all" else ""
    number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 6 else None
    number = number if number is not None and number < len(dataset.classes) else None
    page = Paginator(pictures_find(dataset, split, number), PICTURES).get_page(request.GET.get("page"))
    chosen = {"split": split, "class": "" if number is None else str(number)}
    query = "".join(f"{urlencode({name: value})}&" for name, value in chosen.items() if value)
    return {
        "dataset": dataset,
        "page": page,
        "shown": [(picture, _legend(dataset, picture.classes)) for picture in page.object_list],
        "splits": [one for one in splits if one != "all"],
        "split": split,
        "number": number,
        "query": query,
    }


def _legend(dataset: Dataset, classes: tuple[int, ...]) -> list[tuple[int, str, int]]:
    """(colour, name, count) of each class on a picture."""
    names = dict(enumerate(dataset.classes))
    return [(one % len(COLOURS), names.get(one, f"class {one}"), classes.count(one)) for one in sorted(set(classes))]
