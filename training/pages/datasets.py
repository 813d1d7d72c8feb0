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
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from training.datasets.images import BadImage
from training.datasets.pictures import offender_key, pictures_all, pictures_by_path, pictures_find
from training.datasets.selectors import class_counts, dataset_jobs, dataset_list, dataset_search, dataset_sizes
from training.datasets.services import DESCRIPTION_LENGTH, NAME_LENGTH, DatasetInUse, dataset_delete, dataset_edit
from training.datasets.split import MAX_SEED
from training.datasets.thumbnails import COLOURS, SIDES, thumbnail
from training.imports.selectors import imports_on_their_way
from training.labeler.client import labeler_configured
from training.models import Dataset, Membership
from training.pages.doors import person, signed_in
from training.pages.fields import errors_put
from training.people.roles import Action, allowed, organizations_where, require
from training.storage.store import ObjectMissing, internal_store

KINDS = {
    "copies": gettext_noop("copies"),
    "names": gettext_noop("names"),
    "ids": gettext_noop("ids given twice"),
    "orphaned": gettext_noop("labels without an image"),
    "missing": gettext_noop("missing"),
    "outside": gettext_noop("labels outside of the image"),
    "sizes": gettext_noop("labels without a size, or for another size"),
    "classes": gettext_noop("classes"),
    "corrupt": gettext_noop("damaged files"),
    "other": gettext_noop("others"),
}
ROWS = 50
PICTURES = 24
JOBS = 10
IMPORTS = 5
# Pictures are drawn by two threads of their own, so that a gallery of large ones delays nobody else.
drawers = ThreadPoolExecutor(2, thread_name_prefix="thumbnails")


class DatasetForm(forms.Form):
    """A dataset's name, description and split; limits are the service's."""

    use_required_attribute = False
    name = forms.CharField(label=_("Name"), max_length=NAME_LENGTH, widget=forms.TextInput({"autocomplete": "off"}))
    description = forms.CharField(
        label=_("Description"),
        required=False,
        max_length=DESCRIPTION_LENGTH,
        widget=forms.Textarea({"rows": 5}),
        help_text=_("Where the images come from, what is labelled, what to mind."),
    )
    val = forms.FloatField(
        required=False,
        min_value=0,
        max_value=100,
        label=_("Percent for validation"),
        widget=forms.TextInput({"inputmode": "decimal", "autocomplete": "off"}),
        help_text=_("Empty: the dataset's own split, or 20 % where it has none."),
    )
    test = forms.FloatField(
        required=False,
        min_value=0,
        max_value=100,
        label=_("Percent for testing"),
        widget=forms.TextInput({"inputmode": "decimal", "autocomplete": "off"}),
    )
    seed = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=MAX_SEED,
        label=_("Seed of the split"),
        help_text=_("Another one draws another split."),
        widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "off"}),
    )
    group = forms.CharField(
        required=False,
        max_length=20,
        label=_("Keep together"),
        help_text=_("Nothing, or folder: what lies in one folder, or before:_ for names that begin alike up to a _."),
    )

    def split(self) -> dict[str, Any]:
        """What is wanted as the service takes it; empty for the dataset's own."""
        said = self.cleaned_data
        if said["val"] is None and said["test"] is None and not said["seed"] and not said["group"]:
            return {}
        val, test = (20 if said["val"] is None else said["val"]) / 100, (said["test"] or 0) / 100
        shares = {"train": round(1 - val - test, 9), "val": val, "test": test}
        return shares | {"seed": said["seed"] or 0, "group": said["group"].strip()}


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
        "copies": _copies(dataset),
        "kinds": _kinds(dataset),
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


@require_GET
@signed_in
def dataset_offender(request: HttpRequest, dataset_id: int, number: int) -> HttpResponseBase:
    """A picture that the import left out, small."""
    dataset = dataset_or_404(request, dataset_id)
    try:
        small = internal_store().get(offender_key(dataset, number))
    except ObjectMissing as error:
        raise Http404("No such picture.") from error
    headers = {"Cache-Control": "private, max-age=86400"}
    return HttpResponse(small, content_type="image/jpeg", headers=headers)


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
    messages.success(request, gettext("%(name)s was deleted.") % {"name": name})
    return redirect("dataset-list")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def dataset_change(request: HttpRequest, dataset_id: int) -> HttpResponseBase:
    """The form for a dataset's name and description."""
    dataset = dataset_or_404(request, dataset_id)
    require(person(request), Action.EDIT_DATASET, dataset)
    form = DatasetForm(request.POST or None, initial=_initial(dataset))
    if request.method == "POST" and form.is_valid():
        try:
            said = form.cleaned_data
            split = form.split()
            if split and "stratify" in dataset.split_config:  # which the form does not ask for
                split["stratify"] = dataset.split_config["stratify"]
            dataset_edit(dataset, said["name"], said["description"], split, by=person(request))
            return redirect("dataset-page", dataset_id=dataset_id)
        except ValidationError as error:
            errors_put(form, error)
            dataset.refresh_from_db()
    status = 422 if form.errors else 200
    return render(request, "training/dataset_edit.html", {"form": form, "dataset": dataset}, status=status)


def _initial(dataset: Dataset) -> dict[str, Any]:
    """What the form shows first."""
    config = dataset.split_config
    shares = {part: f"{100 * config[part]:.6g}" for part in ("val", "test") if config.get(part)}
    kept = {name: config.get(name) for name in ("seed", "group")} if config else {}
    return {"name": dataset.name, "description": dataset.description, **shares, **kept}


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
        raise Http404(gettext("This picture can't be shown.")) from error


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


def _copies(dataset: Dataset) -> list[dict[str, Any]]:
    """The groups of copies that the report names, with their pictures; first those in several parts of the split."""
    groups = dataset.report.get("copies", {}).get("groups", [])
    there = pictures_by_path(dataset) if groups else {}
    told = ({**one, "pictures": [there[path] for path in one["paths"] if path in there]} for one in groups)
    return [one for one in told if one["pictures"]]


def _kinds(dataset: Dataset) -> list[tuple[str, int]]:
    """What the problems are, in words, with how many there are."""
    kinds: dict[str, int] = dataset.report.get("problem_kinds", {})
    return [(gettext(KINDS[kind]) if kind in KINDS else kind, count) for kind, count in kinds.items()]


def _legend(dataset: Dataset, classes: tuple[int, ...]) -> list[tuple[int, str, int]]:
    """(colour, name, count) of each class on a picture."""
    names = dict(enumerate(dataset.classes))
    return [
        (one % len(COLOURS), names.get(one, gettext("class %(number)s") % {"number": one}), classes.count(one))
        for one in sorted(set(classes))
    ]
