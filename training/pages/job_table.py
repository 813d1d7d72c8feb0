"""The table of jobs: the page, its rows for pages that are open, its CSV, and one verb for many rows."""

from dataclasses import replace
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from training.jobs.bulk import MOST, OF_DELETED, Bulk, bulk_preview, jobs_bulk
from training.jobs.selectors import jobs_kept, jobs_visible
from training.jobs.table import columns_offered, jobs_matching, table_choices, table_chunks, table_page, table_rows
from training.jobs.table_csv import table_csv
from training.jobs.table_query import SORTS, Params, QueryRefused, TableQuery
from training.jobs.tags import tags_clean, tags_known
from training.models import JobState, TrainingJob
from training.pages.doors import person, signed_in
from training.pages.outcomes import outcomes_tell
from training.people.roles import Action, organizations_where
from training.tables import download

MOST_ROWS = 100  # that a page asks for again
AT_ONCE = (Bulk.UNARCHIVE, Bulk.UNDELETE)  # nothing is lost by them, so nobody is asked twice


@require_GET
@signed_in
def job_list(request: HttpRequest) -> HttpResponseBase:
    """The table as its address says; one that makes no sense is told so, and what a form leaves empty is dropped."""
    try:
        query = TableQuery.read(request.GET)
    except QueryRefused as refusal:
        return _refused(request, refusal)
    if any(not value.strip() for values in dict(request.GET.lists()).values() for value in values):
        return redirect(f"{reverse('job-list')}?{query.address}".rstrip("?"))
    template = "_job_table.html" if request.headers.get("HX-Request") else "job_list.html"
    return render(request, f"training/{template}", _context(request, query))


@require_GET
@signed_in
def job_rows(request: HttpRequest) -> HttpResponseBase:
    """The rows that a page shows, as they are now, in the order in which it shows them."""
    try:
        query = TableQuery.read(request.GET, beside=("id", "newest"))
        ids = _ids(request.GET, "id", MOST_ROWS)
        newest = _ids(request.GET, "newest", 1)
    except QueryRefused as refusal:
        return _refused(request, refusal)
    jobs = jobs_kept(request.user) if query.shown == "deleted" else jobs_visible(request.user)
    seen = set(jobs.order_by().filter(pk__in=ids).values_list("pk", flat=True))
    newer = bool(newest) and jobs_matching(person(request), query).filter(pk__gt=newest[0]).exists()
    rows = table_rows([pk for pk in ids if pk in seen], query.columns)
    can_change = bool(organizations_where(person(request), Action.CREATE_JOB))
    context = {"rows": rows, "query": query, "can_choose": can_change or query.shown != "deleted"}
    response = render(request, "training/_job_table_rows.html", context)
    response["Cache-Control"] = "no-store"
    if newer:
        response["HX-Trigger"] = "jobsnewer"
    return response


@require_GET
@signed_in
def job_csv(request: HttpRequest) -> HttpResponseBase:
    """Every job that the table's filters let through, with the columns of choice."""
    try:
        query = TableQuery.read(request.GET)
    except QueryRefused as refusal:
        return _refused(request, refusal)
    return download(table_csv(table_chunks(person(request), query), query.columns), "text/csv", "jobs.csv")


@require_POST
@signed_in
def job_bulk(request: HttpRequest) -> HttpResponseBase:
    """Ask what one verb would do to the chosen jobs; once that is confirmed, do it and tell what became of each."""
    if request.POST.get("action") == "compare":
        return redirect(f"{reverse('compare')}?jobs={','.join(request.POST.getlist('job'))}")
    try:
        verb = _verb(request.POST.get("action", ""))
        ids = _ids(request.POST, "job", MOST)
        back = TableQuery.read(QueryDict(request.POST.get("back", "")))
        tags = tags_clean(request.POST.get("tags", "").replace("\x00", ""))
    except (QueryRefused, ValidationError) as refusal:
        return _refused(request, refusal)
    visible = jobs_kept(request.user) if verb in OF_DELETED else jobs_visible(request.user)
    jobs: list[TrainingJob] = list(visible.filter(pk__in=ids))
    asks = verb not in AT_ONCE and (not request.POST.get("confirmed") or (verb in (Bulk.TAG, Bulk.UNTAG) and not tags))
    if asks and jobs:
        return _confirmation(request, verb, jobs, back)
    outcomes = jobs_bulk(person(request), verb, jobs, tags)
    outcomes_tell(request, verb, outcomes, missing=len(set(ids)) - len(jobs))
    return redirect(f"{reverse('job-list')}?{back.address}".rstrip("?"))


def _context(request: HttpRequest, query: TableQuery) -> dict[str, Any]:
    user = person(request)
    page = table_page(user, query)
    ids = [one.job.pk for one in page.rows]
    can_create = bool(organizations_where(user, Action.CREATE_JOB))
    return {
        "query": query,
        "page": page,
        "rows": page.rows,
        "total": page.total,
        "choices": table_choices(user, query),
        "states": JobState.choices,
        "offered": columns_offered(page.rows, query.columns),
        "heads": {key: _head(query, key) for key in (*SORTS, *(column.key for column in query.columns))},
        "chosen": [(column, _head(query, column.key)) for column in query.columns],
        "before": replace(query, page=page.number - 1).address if page.number > 1 else None,
        "after": replace(query, page=page.number + 1).address if page.number < page.pages else None,
        "live": "&".join([replace(query, page=1).address, *(f"id={pk}" for pk in ids), f"newest={max(ids)}"])
        if ids
        else "",
        "can_create": can_create,
        "can_change": can_create,
        "can_choose": can_create or query.shown != "deleted",  # to compare: everybody who sees them may
    }


def _head(query: TableQuery, key: str) -> dict[str, str]:
    """A head's link, and how the table is sorted by it now."""
    order = {key: "ascending", f"-{key}": "descending"}.get(query.sort, "")
    return {"address": query.sorted_by(key).address, "order": order}


def _confirmation(request: HttpRequest, verb: Bulk, jobs: list[TrainingJob], back: TableQuery) -> HttpResponseBase:
    outcomes = bulk_preview(person(request), verb, jobs)
    context = {
        "verb": verb,
        "outcomes": outcomes,
        "doable": [one.job for one in outcomes if not one.refusal],
        "refused": [one for one in outcomes if one.refusal],
        "back": back,
        "tags": tags_known(person(request)) if verb in (Bulk.TAG, Bulk.UNTAG) else [],
    }
    template = "_job_bulk.html" if request.headers.get("HX-Request") else "job_bulk.html"
    return render(request, f"training/{template}", context)


def _verb(text: str) -> Bulk:
    if text not in list(Bulk):
        raise QueryRefused(
            gettext("action: %(text)s is none of %(bulk)s.") % {"text": repr(text[:60]), "bulk": ", ".join(Bulk)}
        )
    return Bulk(text)


def _ids(params: Params, name: str, most: int) -> list[int]:
    texts = params.getlist(name)
    if len(texts) > most or not all(text.isascii() and text.isdigit() and len(text) < 19 for text in texts):
        raise QueryRefused(gettext("%(name)s: at most %(most)s numbers of jobs.") % {"name": name, "most": most})
    return list(dict.fromkeys(map(int, texts)))


def _refused(request: HttpRequest, refusal: Exception) -> HttpResponseBase:
    reason = " ".join(refusal.messages) if isinstance(refusal, ValidationError) else str(refusal)
    return render(request, "400.html", {"reason": reason}, status=400)
