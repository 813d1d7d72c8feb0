"""Some jobs side by side; the address holds all that is chosen, so it can be sent to a colleague."""

import json
import math
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from training.jobs.compare import FEWEST, MOST, Comparison, Row, compare_csv, jobs_compare, jobs_named
from training.models import TrainingJob
from training.pages.doors import person, signed_in
from training.tables import download

AXES = ("step", "epoch", "time")


@require_GET
@signed_in
def compare(request: HttpRequest) -> HttpResponseBase:
    """The curves, settings, environment and metrics of the jobs in the address."""
    ids = _ids(request.GET.get("jobs", ""))
    if ids is None:
        reason = gettext("Choose %(fewest)s to %(most)s jobs to compare.") % {"fewest": FEWEST, "most": MOST}
        return render(request, "400.html", {"reason": reason}, status=400)
    comparison = jobs_compare(_jobs(request, ids))
    return render(request, "training/compare.html", _context(request, comparison))


@require_GET
@signed_in
def compare_table(request: HttpRequest) -> HttpResponseBase:
    """The same as CSV, a line per job."""
    ids = _ids(request.GET.get("jobs", ""))
    if ids is None:
        return render(
            request,
            "400.html",
            {"reason": gettext("Choose %(fewest)s to %(most)s jobs to compare.") % {"fewest": FEWEST, "most": MOST}},
            status=400,
        )
    return download(compare_csv(jobs_compare(_jobs(request, ids))), "text/csv", "compared-jobs.csv")


def _jobs(request: HttpRequest, ids: list[int]) -> list[TrainingJob]:
    jobs = jobs_named(person(request), ids)
    if jobs is None:
        raise Http404("No such job.")
    return jobs


def _ids(text: str) -> list[int] | None:
    parts = list(dict.fromkeys(part for part in text[:2000].split(",") if part))
    if not FEWEST <= len(parts) <= MOST or not all(one.isascii() and one.isdigit() and len(one) < 19 for one in parts):
        return None
    return list(map(int, parts))


def _context(request: HttpRequest, comparison: Comparison) -> dict[str, Any]:
    names, hide = comparison.metric_names, bool(request.GET.get("hide"))
    columns = _columns(comparison)
    metric = _one_of(request.GET.get("metric"), names, 0)
    return {
        "comparison": comparison,
        "jobs": comparison.jobs,
        "snapshots": _snapshots(comparison.jobs),
        "address": ",".join(str(job.pk) for job in comparison.jobs),
        "hide": hide,
        "settings": [row for row in comparison.settings if not (hide and row.equal)],
        "environment": [row for row in comparison.environment if not (hide and row.equal)],
        "names": names,
        "metric": metric,
        "axes": AXES,
        "axis": _one_of(request.GET.get("axis"), AXES, 0),
        "columns": list(columns),
        "x": _one_of(request.GET.get("x"), list(columns), 0),
        "y": _one_of(request.GET.get("y"), list(columns), -1),
        "drawn": json.dumps({"jobs": [_drawn(job) for job in comparison.jobs], "columns": columns}),
    }


def _snapshots(jobs: list[TrainingJob]) -> list[int]:
    """The snapshots of two jobs, the older one's first, where they are not the same."""
    found = [job.snapshot_id for job in sorted(jobs, key=lambda job: job.pk) if job.snapshot_id is not None]
    return found if len(jobs) == len(set(found)) == 2 else []


def _columns(comparison: Comparison) -> dict[str, list[float | str | None]]:
    """What scatter and parallel coordinates may show: settings that differ, and the best of each metric."""
    parts = {"setting": [row for row in comparison.settings if not row.equal], "best": comparison.best}
    return {f"{kind} {row.name}": _values(row) for kind, rows in parts.items() for row in rows}


def _values(row: Row) -> list[float | str | None]:
    return [_plain(value) for value in row.values]


def _plain(value: Any) -> float | str | None:
    """A number or a word; what JSON can't hold is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return value[:60] if isinstance(value, str) else json.dumps(value)[:60]


def _drawn(job: TrainingJob) -> dict[str, Any]:
    page, source = reverse("job-page", args=[job.pk]), reverse("job-metrics", args=[job.pk])
    return {"id": job.pk, "name": job.name, "page": page, "source": source}


def _one_of(text: str | None, names: Any, default: int) -> str:
    return str(text) if text in names else str(names[default] if names else "")
